//! `--positions`: up to where a run has read is what its table holds, whatever ended it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::commands::reference;
use crate::kafka::Topic;
use crate::program::{Ended, Workplace};
use crate::recount::{Group, Measure, assert_items, items, recount};

const GROUPS: [Group; 1] = [Group { name: "user", key: &["userId"], measures: &[Measure::Count], feature: "{event}" }];

/// The long one shows every event that is lost or doubled.
const INTERVALS: [i64; 2] = [5, 1_000_000_000_000];

fn place() -> Workplace {
    let place = reference();
    let pipeline =
        place.read("p.toml").replace("decays = [\"5s\", \"10s\", \"15s\"]", "decays = [\"5s\", \"1000000000000s\"]");
    let pipeline = pipeline.replace("ttl = \"7d\"", "ttl = \"none\"").replace("length = \"5s\"", "length = \"1s\"");
    assert!(pipeline.contains("\"none\"") && pipeline.contains("1000000000000s"));
    place.write("p.toml", pipeline);
    place
}

/// So many events of some users, one after the other; each tenth line is none.
fn a_log(lines: std::ops::Range<usize>, padding: usize) -> String {
    let line = |line: usize| match line % 10 {
        3 => format!("nonsense {}\n", "x".repeat(padding)),
        kind => {
            let (user, time) = (line % 997, 1_700_000_000 + line);
            let padding = "x".repeat(padding);
            format!(
                "{{\"eventName\":\"e{kind}\",\"userId\":\"{user}\",\"eventTs\":{time},\"padding\":\"{padding}\"}}\n"
            )
        }
    };
    lines.map(line).collect()
}

fn gzip(content: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(content.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

fn run(place: &Workplace, events: &[&str], more: &[&str]) -> Ended {
    place.run(&[&["run", "p.toml", "--events"], events, more].concat())
}

fn positions(place: &Workplace) -> Value {
    serde_json::from_str(&place.read("positions.json")).unwrap()
}

/// The table holds exactly what stands in these logs.
fn assert_table(place: &Workplace, logs: &[&str], what: &str) {
    let events: Vec<Value> =
        logs.iter().flat_map(|log| log.lines()).filter_map(|line| serde_json::from_str(line).ok()).collect();
    let rows = recount(&events, &GROUPS, &INTERVALS);
    let table = place.run(&["dump", "sqlite:items.db"]).exits(0).stdout;
    assert_items(&items(&table), &rows, None, what);
}

/// What the table keeps of its run.
fn meta(place: &Workplace) -> BTreeMap<String, String> {
    let database = rusqlite::Connection::open(place.path("items.db")).unwrap();
    let mut rows = database.prepare("SELECT name, value FROM meta").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

const OUT: [&str; 4] = ["--sink", "sqlite:items.db", "--positions", "positions.json"];

#[test]
fn after_a_whole_run_they_are_the_ends_of_its_logs() {
    for workers in ["1", "2"] {
        let place = place();
        // The last line of the first has no newline.
        let logs = [a_log(0..5_000, 10).trim_end().to_owned(), a_log(5_000..9_000, 300), a_log(9_000..9_100, 0)];
        place.write("logs/a.jsonl", &logs[0]);
        place.write("logs/b.jsonl.gz", gzip(&logs[1]));
        place.write("logs/c.jsonl.zst", zstd::encode_all(logs[2].as_bytes(), 1).unwrap());
        place.write("logs/d.jsonl", "");
        let json = ["--log-format", "json", "-w", workers];
        let ended = run(&place, &["logs"], &[&OUT[..], &json].concat()).exits(0);
        let read = positions(&place);
        let names = ["format", "logs", "pipeline", "version"];
        assert_eq!(read.as_object().unwrap().keys().collect::<Vec<_>>(), names, "{read}");
        assert_eq!((&read["format"], &read["pipeline"]), (&json!(1), &json!("user_counters")));
        let paths: Vec<_> = read["logs"].as_array().unwrap().iter().map(|log| log["path"].clone()).collect();
        assert_eq!(paths, ["logs/a.jsonl", "logs/b.jsonl.gz", "logs/c.jsonl.zst", "logs/d.jsonl"]);
        let meta = meta(&place);
        for (log, content) in read["logs"].as_array().unwrap().iter().zip(&logs) {
            let run_start: i64 = meta["runStart"].parse().unwrap();
            assert_eq!(log["parts"], json!([{"to": content.len(), "runStart": run_start}]), "{log}");
            let head = &log["head"];
            let stored = std::fs::metadata(place.path(log["path"].as_str().unwrap())).unwrap().len();
            assert_eq!((head["bytes"].as_u64(), head["hash"].as_str().unwrap().len()), (Some(stored.min(4_096)), 32));
        }
        assert_eq!(read["logs"][3]["parts"], json!([]), "nothing was read of it");
        // Of the run's generation, and above all that it has published.
        let (version, newest) = (read["version"].as_u64().unwrap(), meta["newestVersion"].parse::<u64>().unwrap());
        assert!(version > newest && (version >> 31).to_string() == meta["generation"], "{version} {meta:?}");
        assert_eq!((meta["arrival"].as_str(), meta.get("shiftTo")), ("files", None));
        assert!(ended.stderr.contains(&format!("\"run_start\":{}", meta["runStart"])), "{}", ended.stderr);
        assert_table(&place, &logs.each_ref().map(String::as_str), workers);
    }
}

#[test]
fn a_run_that_is_stopped_has_counted_exactly_what_stands_before_them() {
    let log = a_log(0..120_000, 150);
    for (name, stored) in [("log.jsonl", log.clone().into_bytes()), ("log.jsonl.gz", gzip(&log))] {
        for more in [&["-w", "1"][..], &["-w", "2"], &["-w", "2", "--every-window"]] {
            let place = place();
            place.write(name, &stored);
            assert!(Command::new("mkfifo").arg(place.path("letters")).status().unwrap().success());
            // While nobody takes the dead letters, so little is under way that the log never ends.
            let arguments =
                ["run", "p.toml", "--replay-batch", "1", "--dead-letters", "letters", "--events", name, "later"];
            place.write("later", "{}\n");
            let run = place.start(&[&arguments, &OUT[..], more].concat());
            let mut letters = BufReader::new(std::fs::File::open(place.path("letters")).unwrap());
            // Of a third of the log.
            for _ in 0..4_000 {
                letters.read_line(&mut String::new()).unwrap();
            }
            run.signal("INT");
            run.says("stopping: what was read is being published");
            let _ = std::io::copy(&mut letters, &mut std::io::sink());
            run.end().exits(130);
            let read = positions(&place);
            let to = read["logs"][0]["parts"][0]["to"].as_u64().unwrap() as usize;
            assert!((log.len() / 3..log.len()).contains(&to), "{to} of {}", log.len());
            assert_eq!(log.as_bytes()[to - 1], b'\n', "whole lines");
            assert_eq!((&read["logs"][1]["path"], &read["logs"][1]["parts"]), (&json!("later"), &json!([])));
            assert_table(&place, &[&log[..to]], &format!("{name} {more:?}"));
        }
    }
}

#[test]
fn a_shifted_run_says_how_its_times_were_moved() {
    for workers in ["1", "2"] {
        let place = place();
        let shift = ["--shift-to", "1800000000", "-w", workers];
        run(&place, &["sample.jsonl"], &[&OUT[..], &shift].concat()).exits(0);
        assert_eq!(positions(&place)["shift"], json!({"from": 1_707_605_599, "to": 1_800_000_000}));
        let meta = meta(&place);
        assert_eq!((meta["shiftFrom"].as_str(), meta["shiftTo"].as_str()), ("1707605599", "1800000000"));
    }
}

#[test]
fn a_pipe_is_named_as_one() {
    let place = place();
    let log = a_log(0..50, 0);
    place.write("first.jsonl", &log);
    let mut run = place.start(&[&["run", "p.toml", "--events", "first.jsonl", "-"], &OUT[..]].concat());
    run.write(&log);
    run.close_stdin();
    run.end().exits(0);
    let read = &positions(&place)["logs"][1];
    assert_eq!((&read["path"], &read["pipe"], read.get("head")), (&json!("-"), &json!(true), None));
    assert_eq!(read["parts"][0]["to"], log.len());
    assert_eq!(meta(&place)["arrival"], "pipe");
}

#[test]
fn beside_its_logs_they_are_no_event_log_and_take_the_place_of_earlier_ones() {
    let place = place();
    place.write("logs/a.jsonl", a_log(0..50, 0));
    let arguments = ["--sink", "sqlite:items.db", "--replace", "--positions", "logs/positions.json"];
    let first = run(&place, &["logs"], &arguments).exits(0);
    let before = place.read("logs/positions.json");
    place.write("logs/b.jsonl", a_log(50..90, 0));
    let second = run(&place, &["logs"], &arguments).exits(0).says(&["logs/positions.json (the positions of a run)"]);
    assert_eq!((first.summary("events"), second.summary("events")), (45, 81));
    assert_ne!(place.read("logs/positions.json"), before);
    let mut left: Vec<_> =
        std::fs::read_dir(place.path("logs")).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["a.jsonl", "b.jsonl", "positions.json"]);
}

#[test]
fn they_go_to_no_file_that_the_run_has_another_use_for() {
    let place = place();
    place.write("notes", "dear diary");
    std::os::unix::fs::symlink("sample.jsonl", place.path("link")).unwrap();
    let before = place.read("sample.jsonl");
    let with = |file: &str| run(&place, &["sample.jsonl"], &["--sink", "sqlite:items.db", "--positions", file]);
    for file in ["p.toml", "sample.jsonl", "link", "./link"] {
        with(file).exits(2).says(&["must not be written to", "--positions"]);
    }
    for (file, both) in [("items.db", "both items and positions"), ("./items.db-wal", "both items and positions")] {
        with(file).exits(2).says(&[both, "--sink or --positions"]);
    }
    with("dead_letters.jsonl").exits(2).says(&["both dead letters and positions", "--dead-letters or --positions"]);
    with("notes").exits(1).says(&["notes", "left as it is", "name another file"]);
    for (file, why) in
        [("no/such/p.json", "No such file"), (".", "no file"), ("/dev/null", "no file"), ("/proc/p", "/proc/p")]
    {
        with(file).exits(1).says(&["the positions of the run would go to", why]);
    }
    assert_eq!((place.read("sample.jsonl"), place.read("notes").as_str()), (before, "dear diary"));
    assert!(!place.path("items.db").exists(), "nothing was made");
}

#[test]
fn a_run_that_has_not_published_what_it_read_leaves_none_not_even_earlier_ones() {
    let place = place();
    let earlier = || run(&place, &["sample.jsonl"], &[&OUT[..], &["--replace"]].concat()).exits(0);
    for more in [&[][..], &["-w", "2"]] {
        earlier();
        assert!(place.path("positions.json").exists());
        let full = ["--sink", "jsonl:/dev/full", "--positions", "positions.json"];
        let ended = run(&place, &["sample.jsonl"], &[&full, more].concat()).exits(1);
        ended.says(&["no positions are written to positions.json: not everything that was read is published"]);
        assert!(!place.path("positions.json").exists());
        // What was refused before it began has changed nothing.
        earlier();
        let before = place.read("positions.json");
        run(&place, &["sample.jsonl"], &[&OUT[..], more].concat()).exits(1).says(&["--replace"]);
        assert_eq!(place.read("positions.json"), before);
    }
}

#[test]
fn a_log_that_is_damaged_has_been_read_to_where_it_decodes() {
    for workers in ["1", "2"] {
        let place = place();
        let log = a_log(0..20_000, 100);
        let stored = gzip(&log);
        place.write("log.jsonl.gz", &stored[..stored.len() / 2]);
        run(&place, &["log.jsonl.gz"], &[&OUT[..], &["-w", workers]].concat()).exits(1).says(&["damaged"]);
        let to = positions(&place)["logs"][0]["parts"][0]["to"].as_u64().unwrap() as usize;
        assert!((1_000..log.len()).contains(&to));
        assert_table(&place, &[&log[..to]], workers);
    }
}

#[test]
fn where_they_cannot_be_written_at_the_end_the_run_says_so() {
    let place = place();
    std::fs::create_dir(place.path("folder")).unwrap();
    let out = ["--sink", "sqlite:items.db", "--positions", "folder/positions.json"];
    let mut run = place.start(&[&["run", "p.toml", "--events", "-"], &out[..]].concat());
    run.write(&a_log(0..50, 0));
    while !place.path("items.db").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::remove_dir(place.path("folder")).unwrap();
    run.close_stdin();
    let ended = run.end().exits(1);
    let said = [
        "failed: the positions could not be written",
        "cannot write the positions of the run to folder/positions.json",
    ];
    ended.says(&said).says(&["to sqlite:items.db"]);
    assert_table(&place, &[&a_log(0..50, 0)], "everything else is done");
}

/// A topic with events of this many users in each of two partitions, and a place to count them in.
fn topic_and_place(users: usize) -> (Topic, Workplace) {
    let topic = Topic::new("positions", 2);
    let place = place();
    let brokers = std::env::var("KAFKA_BROKERS").expect("KAFKA_BROKERS names a broker; scripts/test sets it");
    let pipeline = place.read("p.toml").replace("${KAFKA_BROKERS:-localhost:9092}", &brokers);
    place.write("p.toml", pipeline.replace("${KAFKA_TOPIC:-events}", &topic.name));
    for partition in 0..2 {
        send(&topic, partition, 0..users);
    }
    (topic, place)
}

fn send(topic: &Topic, partition: i32, users: std::ops::Range<usize>) {
    use rdkafka::producer::{BaseRecord, Producer as _};
    let producer = topic.producer(&[]);
    for user in users {
        let payload = event(partition, user);
        producer.send(BaseRecord::<(), str>::to(&topic.name).partition(partition).payload(&payload)).expect("room");
    }
    producer.flush(Duration::from_secs(30)).expect("delivered");
}

fn event(partition: i32, user: usize) -> String {
    format!("{{\"eventName\":\"like\",\"userId\":\"{partition}-{user}\",\"eventTs\":1700000000}}")
}

#[test]
#[ignore = "needs Kafka"]
fn of_a_topic_they_are_the_ranges_of_its_partitions() {
    for workers in ["1", "2", "3"] {
        let (topic, place) = topic_and_place(500);
        topic.delete_records_before(0, 20);
        let arguments = ["run", "p.toml", "--until-end", "-w", workers];
        place.run(&[&arguments, &OUT[..]].concat()).exits(0);
        let mut read = positions(&place);
        // The cluster's and the topic's, which tell it from another one.
        for id in ["cluster", "topicId"] {
            let id = read["kafka"].as_object_mut().unwrap().remove(id);
            assert!(id.is_some_and(|id| id.as_str().is_some_and(|id| !id.is_empty())));
        }
        let meta = meta(&place);
        assert_eq!(meta["arrival"], "kafka");
        let run_start: i64 = meta["runStart"].parse().unwrap();
        let expected = json!({
            "topic": topic.name, "runStart": run_start,
            "partitions": {"0": {"from": 20, "to": 500}, "1": {"from": 0, "to": 500}},
        });
        assert_eq!((read["kafka"].clone(), read.get("logs")), (expected, None));
        topic.delete();
    }
}

#[test]
#[ignore = "needs Kafka"]
fn of_a_topic_whose_run_was_stopped_they_are_what_was_counted() {
    for more in [&["-w", "1"][..], &["-w", "2"], &["-w", "2", "--clock", "event", "--every-window"]] {
        let (topic, place) = topic_and_place(20_000);
        let run = place.start(&[&["run", "p.toml"], &OUT[..], more].concat());
        // Somewhere in the middle, or at the end: what is sent meanwhile goes on.
        while !place.path("items.db").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        send(&topic, 1, 20_000..60_000);
        run.signal("TERM");
        run.end().exits(0);
        let read = &positions(&place)["kafka"]["partitions"];
        let range = |id: i32| {
            let range = &read[id.to_string()];
            assert_eq!(range["from"], 0, "{read}");
            range["to"].as_u64().unwrap() as usize
        };
        let events: Vec<_> =
            [0, 1].into_iter().flat_map(|id| (0..range(id)).map(move |user| event(id, user))).collect();
        assert_table(&place, &[&events.join("\n")], &format!("{more:?}"));
        topic.delete();
    }
}
