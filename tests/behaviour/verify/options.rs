//! How `verify` is asked, and how it ends.

use std::io::Write as _;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::world::{Log, PIPELINE};
use super::{agrees, count, disagrees, json, place, verify, world};
use crate::commands::reference;
use crate::program::{Workplace, binary};

/// The reference pipeline and its sample, counted into the sink that its file names.
fn counted() -> Workplace {
    let place = reference();
    place.run(&["run", "p.toml", "--events", "sample.jsonl"]).exits(0);
    place
}

#[test]
fn what_is_asked_wrongly_is_wrong_usage() {
    let place = counted();
    place.run(&["verify", "p.toml"]).exits(2).says(&["--events"]);
    place.run(&["verify", "--events", "sample.jsonl"]).exits(2).says(&["<PIPELINE>"]);
    let wrong: [(&[&str], &str); 12] = [
        (&["--from", "none"], "none"),
        (&["--from", "nowhere"], "nowhere"),
        (&["--from", "jsonl:-"], "jsonl:-"),
        (&["--sample", "1/0"], "1/N"),
        (&["--sample", "2/3"], "1/N"),
        (&["--sample", "0.1"], "1/N"),
        (&["--tolerance", "-1"], "'-1'"),
        (&["--tolerance", "NaN"], "--tolerance"),
        (&["--tolerance", "inf"], "--tolerance"),
        (&["--run-start", "yesterday"], "yesterday"),
        (&["--shift-to", "tomorrow"], "tomorrow"),
        (&["-w", "0"], "-w 0"),
    ];
    for (more, said) in wrong {
        let ended = place.run(&[&["verify", "p.toml", "--events", "sample.jsonl"], more].concat());
        assert_eq!(ended.exits(2).says(&[said]).stdout, "", "{more:?}");
    }
}

#[test]
fn what_is_not_there_is_told() {
    let place = counted();
    let verify = |events: &str, sink: &str| place.run(&["verify", "p.toml", "--events", events, "--from", sink]);
    for sink in ["sqlite:missing.db", "jsonl:missing.jsonl"] {
        verify("sample.jsonl", sink).exits(1).says(&["missing."]);
    }
    assert!(!place.path("missing.db").exists() && !place.path("missing.jsonl").exists(), "reading makes no file");
    place.write("text.db", "no database at all");
    verify("sample.jsonl", "sqlite:text.db").exits(1).says(&["text.db is no SQLite database"]);
    verify("sample.jsonl", "sqlite:p.toml").exits(1).says(&["p.toml"]);
    verify("sample.jsonl", "jsonl:p.toml").exits(1).says(&["p.toml, line 1"]);
    verify("sample.jsonl", "jsonl:sample.jsonl").exits(1).says(&["sample.jsonl, line 1: this is no published item"]);
    verify("missing.jsonl", "sqlite:user_counters.db").exits(2).says(&["missing.jsonl"]);
    place.run(&["verify", "missing.toml", "--events", "sample.jsonl"]).exits(2).says(&["missing.toml"]);
    place.write("broken.toml", "name = 1\n");
    place.run(&["verify", "broken.toml", "--events", "sample.jsonl"]).exits(2).says(&["broken.toml"]);
}

#[test]
fn the_sink_of_the_pipeline_file_is_compared_by_default() {
    let place = counted();
    let ended = place.run(&["verify", "p.toml", "--events", "sample.jsonl"]).exits(0);
    let ended = ended.prints(&["sqlite:user_counters.db against user_counters\n", "  equal            39, within "]);
    assert_eq!(ended.stderr, "", "nothing is to be said");
}

#[test]
fn nothing_against_nothing_does_not_agree() {
    let place = place(PIPELINE, "");
    for sink in ["sqlite:empty.db", "jsonl:empty.jsonl"] {
        count(&place, sink, &[]);
        for log in ["", "\n\n", "no event\n", "{\"name\":\"share\",\"time\":1707600000000}\n"] {
            place.write("log.jsonl", log);
            let ended = verify(&place, sink, &[]);
            assert_eq!(json(&ended)["agrees"], false);
            ended.exits(1).says(&["nothing was compared"]);
        }
        place.write("log.jsonl", Log::of_world(30).text());
        let missing = disagrees(verify(&place, sink, &[]));
        assert!(missing.iter().all(|(finding, _, _)| finding == "missing"));
        place.write("log.jsonl", "");
    }
    let (place, _) = world(30);
    count(&place, "sqlite:items.db", &[]);
    let key = rusqlite::Connection::open(place.path("items.db")).unwrap();
    key.execute("DELETE FROM states WHERE key <> 'c1'", []).unwrap();
    drop(key);
    let sample = ["--sample", "1/1000000000"];
    let nothing = verify(&place, "sqlite:items.db", &sample);
    assert_eq!(json(&nothing)["agrees"], false);
    nothing.exits(1).says(&["of this share of the keys"]);
}

#[test]
fn items_that_stand_beside_nothing_do_not_agree() {
    let place = counted();
    place.write("other.toml", place.read("p.toml").replace("feature = \"{event}\"", "feature = \"other.{event}\""));
    place.write("empty.jsonl", "");
    let verify = ["verify", "other.toml", "--events", "empty.jsonl", "--from", "sqlite:user_counters.db", "--json"];
    let ended = place.run(&verify).exits(1).says(&["nothing was compared", "39 not of this pipeline"]);
    assert_eq!(json(&ended)["agrees"], false);

    // The positions of a run that was done before the table was filled.
    let run = ["run", "p.toml", "--events", "sample.jsonl", "--replace", "--positions", "earlier.json"];
    place.run(&run).exits(0);
    let verify = ["verify", "p.toml", "--events", "sample.jsonl", "--until", "earlier.json"];
    place.run(&verify).exits(0);
    let later = rusqlite::Connection::open(place.path("user_counters.db")).unwrap();
    later.execute("UPDATE states SET version = version + 1000000000000", []).unwrap();
    let ended = place.run(&verify).exits(1);
    ended.says(&["nothing was compared", "39 of them newer"]);
}

#[test]
fn a_log_that_is_the_sink_does_not_agree() {
    let place = counted();
    let dump = place.run(&["dump", "sqlite:user_counters.db"]).exits(0).stdout;
    place.write("items.jsonl", dump);
    for events in ["items.jsonl", "user_counters.db", "."] {
        let from = ["--from", "jsonl:items.jsonl"];
        let ended = place.run(&[&["verify", "p.toml", "--events", events], &from[..]].concat());
        if events == "." {
            // Of a directory, what a run has written is left out.
            ended.exits(0);
        } else {
            ended.exits(1).says(&["39 extra"]);
        }
    }
}

const ARRIVING: &str = "time_unit = \"ms\"\narrival = \"arrived\"";

#[test]
fn a_pipe_needs_to_say_when_its_events_arrived() {
    let (place, mut log) = world(300);
    // Of an event without a field of arrival, only the run knows when it was read.
    log.0.retain(|line| line.counts);
    count(&place, "sqlite:items.db", &[]);
    let shell = |line: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(place.path("")).env("CM", binary()).stdin(Stdio::null());
        command.output().unwrap()
    };
    let verify_pipe = "cat log.jsonl | \"$CM\" verify p.toml --events - --from sqlite:items.db --json";
    let verify_fifo =
        "mkfifo fifo; cat log.jsonl > fifo & \"$CM\" verify p.toml --events fifo --from sqlite:items.db --json";
    let refused = shell(verify_pipe);
    assert_eq!((refused.status.code(), refused.stdout.as_slice()), (Some(2), &b""[..]));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("cannot be verified") && said.contains("arrival = \"FIELD\" in [event]"), "{said}");

    (0..log.0.len()).for_each(|line| {
        // One in ten comes two minutes too early, and is a dead letter.
        let too_early = if line % 10 == 0 { 120_000 } else { 0 };
        log.change(line, |event| event["arrived"] = (event["time"].as_i64().unwrap() - too_early).into());
    });
    place.write("log.jsonl", log.text());
    for pipeline in [
        PIPELINE.replace("time_unit = \"ms\"", ARRIVING),
        PIPELINE.replace("time_unit = \"ms\"", &format!("{ARRIVING}\nahead = \"arrival\"")),
        PIPELINE.replace("time_unit = \"ms\"", "time_unit = \"ms\"\nmax_ahead = \"none\""),
    ] {
        place.write("p.toml", pipeline);
        count(&place, "sqlite:items.db", &["--replace"]);
        agrees(verify(&place, "sqlite:items.db", &[]));
        for line in [verify_pipe, verify_fifo] {
            let ended = shell(line);
            let said = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(0), "{said}");
            let found: Value = serde_json::from_slice(&ended.stdout).unwrap();
            assert!(found["agrees"] == true && found["rows"].as_u64() > Some(100), "{found}");
            let _ = std::fs::remove_file(place.path("fifo"));
        }
    }
    let shifted = shell("cat log.jsonl | \"$CM\" verify p.toml --events - --from sqlite:items.db --shift-to now");
    assert_eq!(shifted.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&shifted.stderr).contains("--shift-to: - can be read only once"));
}

#[test]
fn a_damaged_log_is_told_though_the_rest_agrees() {
    let (place, log) = world(600);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(log.text().as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    place.write("damaged.gz", &whole[..whole.len() * 2 / 3]);
    let run = place.run(&["run", "p.toml", "--events", "damaged.gz", "--sink", "sqlite:items.db"]).exits(1);
    assert!(run.summary("events") > 100);
    for workers in ["1", "2"] {
        let arguments =
            ["verify", "p.toml", "--events", "damaged.gz", "--from", "sqlite:items.db", "--json", "-w", workers];
        let ended = place.run(&arguments).exits(1).says(&["damaged.gz"]);
        let found = json(&ended);
        assert_eq!((&found["off"], &found["missing"], &found["extra"]), (&0.into(), &0.into(), &0.into()), "{found:#}");
        assert!(found["rows"].as_u64() > Some(100) && found["rows"] == found["equal"]);
        assert!(!ended.stderr.contains("is not what the events say"), "{}", ended.stderr);
    }
    // A program looks at `agrees`, and perhaps at nothing else.
    count(&place, "sqlite:whole.db", &[]);
    let arguments = ["verify", "p.toml", "--events", "damaged.gz", "--from", "sqlite:whole.db", "--json"];
    let ended = place.run(&arguments).exits(1).says(&["is not what the events say"]);
    assert_eq!(json(&ended)["agrees"], false);
}

#[test]
fn whoever_closes_the_pipe_early_has_seen_enough() {
    let (place, _) = world(600);
    count(&place, "sqlite:items.db", &[]);
    place.write("empty.jsonl", "");
    for (log, code) in [("log.jsonl", "0"), ("empty.jsonl", "1")] {
        let verify = format!("\"$CM\" verify p.toml --events {log} --from sqlite:items.db --examples 100000");
        let line = format!("{{ {verify}; echo $? > code; }} | head -n 1");
        let mut command = Command::new("sh");
        command.args(["-c", &line]).current_dir(place.path("")).env("CM", binary());
        let ended = command.stdin(Stdio::null()).output().unwrap();
        let (said, shown) = (String::from_utf8_lossy(&ended.stderr), String::from_utf8_lossy(&ended.stdout));
        assert_eq!(place.read("code").trim(), code, "{said}");
        assert!(shown.starts_with("sqlite:items.db against world") && !said.contains("panic"), "{said}");
    }
}

#[test]
fn what_is_wrong_is_shown_with_both_sides() {
    let place = counted();
    rusqlite::Connection::open(place.path("user_counters.db"))
        .unwrap()
        // Any of them may be shown; those with more than one event.
        .execute(
            "UPDATE states SET counts = '[1e6]' WHERE key = '1234' AND feature <> (SELECT id FROM features WHERE name = 'click')",
            [],
        )
        .unwrap();
    let ended = place.run(&["verify", "p.toml", "--events", "sample.jsonl", "--examples", "1"]).exits(1);
    let ended = ended.prints(&[
        "  (key 1234, ",
        " events), the value of interval 5\n",
        "  recount  2024-",
        "  item     2024-",
        "1000000",
    ]);
    let ended = ended.says(&["sqlite:user_counters.db is not what the events say: ", " off"]);
    assert_eq!(ended.stdout.matches("\noff: ").count(), 1);
    let ended = place.run(&["verify", "p.toml", "--events", "sample.jsonl", "--examples", "0"]).exits(1);
    assert!(!ended.stdout.contains("(key "), "{}", ended.stdout);
}

#[test]
fn its_tables_fit_into_80_columns() {
    let (place, _) = world(600);
    count(&place, "sqlite:items.db", &[]);
    let changed = rusqlite::Connection::open(place.path("items.db")).unwrap();
    changed.execute("UPDATE states SET counts = '[1e-100]' WHERE key = 'zoë'", []).unwrap();
    changed.execute("UPDATE states SET key = key || '?' WHERE key = 'ß'", []).unwrap();
    drop(changed);
    let verify = ["verify", "p.toml", "--events", "log.jsonl", "--from", "sqlite:items.db", "--examples", "100"];
    let ended = place.run(&verify).exits(1).prints(&["group", "\nextra: ", "\nmissing: ", "\noff: "]);
    // What stands before them is wrapped at a terminal.
    let (_, tables) = ended.stdout.split_once("\n\n").unwrap();
    let wide: Vec<&str> = tables.lines().filter(|line| line.trim_end().chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn the_start_of_the_run_decides_what_was_too_far_ahead() {
    let log = concat!(
        r#"{"name":"share","user":"a","time":1707600000000}"#,
        "\n",
        r#"{"name":"share","user":"b","time":1707600060001}"#,
        "\n",
    );
    let place = place(PIPELINE, log);
    count(&place, "sqlite:items.db", &[]);
    let found = agrees(verify(&place, "sqlite:items.db", &["--run-start", "1707600000001"]));
    assert_eq!((&found["deadLetters"], &found["runStart"]), (&0.into(), &1_707_600_000_001_i64.into()));
    let told = disagrees(verify(&place, "sqlite:items.db", &["--run-start", "2024-02-10T21:20:00Z"]));
    assert_eq!(told.into_iter().collect::<Vec<_>>(), [super::told("extra", "b", "user.share.count")]);
}
