//! `--shift-to`: a log is published as if its last event were at another time, and counted as ever.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::commands::reference;
use crate::program::{Ended, Workplace};

/// The time of the sample's last event.
const LAST: i64 = 1_707_605_599;

fn run(place: &Workplace, more: &[&str]) -> Ended {
    place.run(&[&["run", "p.toml", "--events"], more].concat())
}

/// The items on stdout, in any order, with their times moved back by so many units, of which so many make a second; without
/// their versions, which tell when a run started.
fn items(ended: &Ended, moved_by: i64, per_second: i64) -> BTreeMap<String, usize> {
    let mut items = BTreeMap::new();
    for line in ended.stdout.lines() {
        let mut item: Value = serde_json::from_str(line).unwrap();
        item.as_object_mut().unwrap().remove("version");
        item["expiresAt"] = (item["expiresAt"].as_i64().unwrap() - moved_by / per_second).into();
        for count in item["counts"].as_object_mut().unwrap().values_mut() {
            count["lastUpdate"] = (count["lastUpdate"].as_i64().unwrap() - moved_by).into();
        }
        *items.entry(item.to_string()).or_default() += 1;
    }
    items
}

#[test]
fn a_log_counts_as_it_does_and_is_published_with_all_times_moved_alike() {
    let place = reference();
    for more in [&["-w", "1"][..], &["-w", "2"], &["--every-window"]] {
        let arguments = [&["sample.jsonl", "--sink", "jsonl:-"][..], more].concat();
        let as_it_is = items(&run(&place, &arguments).exits(0), 0, 1);
        // By no multiple of a window.
        for to in [LAST + 1_003, LAST - 77, LAST] {
            let shifted = run(&place, &[&arguments[..], &["--shift-to", &to.to_string()]].concat()).exits(0);
            assert_eq!(items(&shifted, to - LAST, 1), as_it_is, "{more:?} to {to}");
        }
    }
}

#[test]
fn the_time_is_in_the_unit_of_the_event() {
    for (unit, per_second) in [("s", 1), ("ms", 1_000), ("us", 1_000_000), ("ns", 1_000_000_000), ("rfc3339", 1_000)] {
        let place = reference();
        place.write("p.toml", place.read("p.toml").replace("time_unit = \"s\"", &format!("time_unit = \"{unit}\"")));
        let time = |seconds: i64| match unit {
            "rfc3339" => format!("\"{}\"", jiff::Timestamp::from_second(seconds).unwrap()),
            _ => (seconds * per_second).to_string(),
        };
        let line =
            |user: i64| format!("{{\"eventName\":\"like\",\"userId\":{user},\"eventTs\":{}}}\n", time(LAST - user * 3));
        place.write("log.jsonl", (0..5).map(line).collect::<String>());
        let log = ["log.jsonl", "--sink", "jsonl:-"];
        let as_it_is = items(&run(&place, &log).exits(0), 0, per_second);
        let to = jiff::Timestamp::from_second(LAST + 500).unwrap().to_string();
        let shifted = run(&place, &[&log[..], &["--shift-to", &to]].concat()).exits(0);
        assert_eq!(items(&shifted, 500 * per_second, per_second), as_it_is, "{unit}");
        shifted.says(&[&format!("last event     2024-02-10T22:53:19Z, published as {to}")]);
    }
}

#[test]
fn what_is_shifted_to_now_is_alive_and_nothing_of_it_lies_ahead() {
    let place = reference();
    run(&place, &["sample.jsonl", "--shift-to", "now"]).exits(0);
    let alive = place.run(&["dump", "sqlite:user_counters.db", "--alive-at", "now"]).exits(0).stdout;
    let all = place.run(&["dump", "sqlite:user_counters.db"]).exits(0).stdout;
    assert!(alive == all && all.lines().count() == 39, "{alive}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    for line in all.lines() {
        let item: Value = serde_json::from_str(line).unwrap();
        assert!(item["counts"]["5"]["lastUpdate"].as_i64().unwrap() <= now, "{item} at {now}");
    }
    let read = ["get", "p.toml", "--key", "userId=1234", "--feature", "like", "--at", "now"];
    assert!(!place.run(&read).exits(0).stdout.contains("expired"));
}

#[test]
fn the_last_event_is_the_latest_that_counts_of_all_logs_and_dead_letters_stay_as_they_are() {
    let place = reference();
    let event = |time: i64| format!("{{\"eventName\":\"like\",\"userId\":\"7\",\"eventTs\":{time}}}\n");
    let bad = format!("nonsense\n{}{}\n", event(99_999_999_999), "x".repeat(1 << 21));
    place.write("logs/a.jsonl", event(LAST + 40) + &bad + &event(LAST));
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    place.write("logs/b.jsonl.gz", gzip(&event(LAST + 50)));
    place.write("logs/c.jsonl", event(LAST + 30));
    let log = ["logs", "--sink", "jsonl:-"];
    let as_it_is = run(&place, &log).exits(0);
    let dead_letters = place.read("dead_letters.jsonl");
    std::fs::remove_file(place.path("dead_letters.jsonl")).unwrap();
    let shifted = run(&place, &[&log[..], &["--shift-to", &(LAST + 150).to_string()]].concat()).exits(0);
    assert_eq!(items(&shifted, 100, 1), items(&as_it_is, 0, 1));
    assert_eq!((shifted.summary("events"), shifted.summary("dead letters")), (4, 3));
    assert_eq!(place.read("dead_letters.jsonl"), dead_letters);
}

#[test]
fn where_there_is_no_event_nothing_moves() {
    let place = reference();
    place.write("empty.jsonl", "\n");
    let ended = run(&place, &["empty.jsonl", "--sink", "none", "--shift-to", "now"]).exits(0);
    assert!(!ended.stderr.contains("last event"), "{}", ended.stderr);
}

/// For its last event a log is read to its end: at 5 seconds after 1970 it is refused only then.
#[test]
fn a_sink_or_dead_letters_that_cannot_be_are_refused_before_the_log_is_read_for_its_last_event() {
    let place = reference();
    place.write("text.db", "something else than a database, for long enough to be told from an empty one");
    place.write("text.jsonl", "something else\n");
    run(&place, &["sample.jsonl", "--sink", "jsonl:full.jsonl"]).exits(0);
    let full = place.read("full.jsonl");
    for (flags, told) in [
        (["--sink", "sqlite:text.db"], "text.db is no SQLite database"),
        (["--sink", "sqlite:no/such/folder.db"], "no/such/folder.db"),
        (["--sink", "jsonl:text.jsonl"], "text.jsonl holds something else than published items"),
        (["--sink", "jsonl:full.jsonl"], "full.jsonl holds the items of another run"),
        (["--dead-letters", "text.jsonl"], "it holds something else than dead letters"),
    ] {
        run(&place, &[&["sample.jsonl", "--shift-to", "5"], &flags[..]].concat()).exits(1).says(&[told]);
    }
    // Looking empties nothing.
    let refused = ["sample.jsonl", "--shift-to", "5", "--sink", "jsonl:full.jsonl", "--replace"];
    run(&place, &refused).exits(2).says(&["before 1970"]);
    assert_eq!(place.read("full.jsonl"), full);
}

#[test]
fn what_cannot_be_shifted_is_refused_before_anything_is_written() {
    let place = reference();
    run(&place, &["-", "--shift-to", "now"]).exits(2).says(&["--shift-to: - can be read only once"]);
    run(&place, &["sample.jsonl", "--shift-to", "soon"]).exits(2).says(&["`soon` is no time"]);
    let early = ["1970-01-01T00:00:05Z: with the last event there, the first one would be before 1970"];
    run(&place, &["sample.jsonl", "--shift-to", "5"]).exits(2).says(&early);
    place.run(&["run", "p.toml", "--shift-to", "now"]).exits(2).says(&["--shift-to is for event logs"]);
    let mut left: Vec<_> = std::fs::read_dir(place.path("")).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["p.toml", "sample.jsonl"]);
}
