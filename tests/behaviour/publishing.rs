//! What a table gets, and when: one that is locked, a run that is killed while it writes, rhythms.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::dynamodb_fake::{FakeDynamoDb, Fault};
use crate::dynamodb_items::pipeline_text;
use crate::program::{Running, Workplace};

/// Every event is worth one for ever, in each of two intervals: an item is whole if they agree.
fn place(publish: &str) -> Workplace {
    let place = Workplace::new();
    place.write(
        "p.toml",
        format!(
            r#"
            name = "publishing"
            event = {{ name = "n", time = "t" }}
            window = {{ length = "100ms" }}
            {publish}
            [[counters]]
            name = "user"
            key = ["u"]
            events = ["like"]
            decays = ["999999999999s", "1000000000000s"]
            ttl = "none"
            "#
        ),
    );
    place
}

fn start(place: &Workplace, workers: &str) -> Running {
    place.start(&["run", "p.toml", "--events", "-", "--sink", "sqlite:items.db", "--replace", "-w", workers])
}

/// One like of each of these users.
fn likes(users: impl IntoIterator<Item = usize>) -> String {
    users.into_iter().map(|user| format!("{{\"n\":\"like\",\"u\":\"{user}\",\"t\":1700000000}}\n")).collect()
}

/// What stands in the table: by key, the version and the value.
fn items(place: &Workplace) -> BTreeMap<String, (u64, f64)> {
    let dump = place.run(&["dump", "sqlite:items.db"]).exits(0).stdout;
    dump.lines().map(item).collect()
}

fn item(line: &str) -> (String, (u64, f64)) {
    let item: Value = serde_json::from_str(line).unwrap();
    let value = |interval: &str| item["counts"][interval]["value"].as_f64().unwrap();
    assert!(value("999999999999") > 0.0 && value("999999999999") == value("1000000000000"), "not whole: {line}");
    (item["key"].as_str().unwrap().to_owned(), (item["version"].as_u64().unwrap(), value("1000000000000")))
}

/// Waits until the table holds so many items.
fn wait_for_items(place: &Workplace, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while place.run(&["dump", "sqlite:items.db"]).stdout.lines().count() < count {
        assert!(Instant::now() < deadline, "there are not {count} items");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn lock(place: &Workplace) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(place.path("items.db")).unwrap();
    database.busy_timeout(Duration::from_secs(60)).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    database
}

/// Locks the table for so long while the run is fed, and for a while longer.
fn a_locked_table_holds_nobody_up(locked: Duration, workers: &str) {
    const USERS: usize = 2_000;
    let place = place("");
    let mut run = start(&place, workers);
    run.write(&likes(0..USERS));
    wait_for_items(&place, USERS);
    let database = lock(&place);
    let (since, mut rounds) = (Instant::now(), 1);
    while since.elapsed() < locked {
        run.write(&likes(0..USERS));
        rounds += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    run.says("is locked by another process");
    run.close_stdin();
    std::thread::sleep(Duration::from_millis(300));
    assert!(!run.has_ended(), "what it has counted is not in the table");
    database.execute_batch("ROLLBACK").unwrap();
    let ended = run.end().exits(0);
    assert_eq!(ended.summary("events"), (rounds * USERS) as u64);
    // Two rounds, or a few more, and not one for each of so many windows.
    assert!(ended.summary("items written") < (8 * USERS) as u64, "{}", ended.stderr);
    let items = items(&place);
    assert_eq!(items.len(), USERS);
    assert!(items.values().all(|(_, value)| *value == rounds as f64), "{rounds} rounds, {:?}", items.first_key_value());
}

#[test]
fn a_table_that_is_locked_for_a_while_gets_the_newest_when_it_is_free() {
    for workers in ["1", "2"] {
        a_locked_table_holds_nobody_up(Duration::from_secs(3), workers);
    }
}

#[test]
#[ignore = "takes a minute"]
fn a_table_that_is_locked_for_30_seconds_takes_minutes_to_try() {
    for workers in ["1", "2"] {
        a_locked_table_holds_nobody_up(Duration::from_secs(30), workers);
    }
}

#[test]
fn a_run_that_is_asked_to_stop_waits_eight_seconds_for_its_table() {
    let place = place("");
    let mut run = start(&place, "2");
    run.write(&likes(0..10));
    wait_for_items(&place, 10);
    let database = lock(&place);
    run.write(&likes(0..10));
    run.says("is locked by another process");
    let since = Instant::now();
    run.signal("TERM");
    let ended = run.end().exits(75).says(&["10 items could not be written to items.db within 8 seconds of the signal"]);
    assert!((8..20).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    assert_eq!(ended.summary("not published"), 10);
    drop(database);
    assert!(items(&place).values().all(|(_, value)| *value == 1.0));
}

#[test]
fn with_every_window_a_run_waits_for_its_table_and_loses_nothing() {
    let place = place("");
    let mut run =
        place.start(&["run", "p.toml", "--events", "-", "--sink", "sqlite:items.db", "--every-window", "-w", "2"]);
    run.write(&likes(0..10));
    wait_for_items(&place, 10);
    let database = lock(&place);
    run.write(&likes(0..10));
    run.says("is locked by another process");
    database.execute_batch("ROLLBACK").unwrap();
    run.write(&likes(0..10));
    run.close_stdin();
    run.end().exits(0);
    assert!(items(&place).values().all(|(_, value)| *value == 3.0));
}

#[test]
fn a_kill_at_any_moment_leaves_whole_items_and_none_older_than_was_there() {
    const USERS: usize = 3_000;
    let mut random = StdRng::seed_from_u64(11);
    let mut changed = 0;
    for kill in 0..20 {
        let place = place("");
        let mut run = start(&place, ["1", "2"][kill % 2]);
        run.write(&likes(0..USERS));
        wait_for_items(&place, 1);
        let until = Instant::now() + Duration::from_millis(random.random_range(0..500));
        let mut before = items(&place);
        while Instant::now() < until {
            run.write(&likes((0..USERS).filter(|_| random.random())));
            before = items(&place);
        }
        run.write(&likes(0..USERS));
        std::thread::sleep(Duration::from_millis(random.random_range(0..200)));
        run.signal("KILL");
        drop(run);
        let after = items(&place);
        for (key, (version, value)) in &before {
            let (version_after, value_after) = after[key];
            assert!(
                version_after >= *version && value_after >= *value,
                "{key}: {version} {value} became {:?}",
                after[key]
            );
        }
        changed += usize::from(before != after);
    }
    assert!(changed > 3, "kills came while it was writing: {changed}");
}

#[test]
fn a_rhythm_says_how_often_a_table_is_written() {
    let place = place("publish = { every = \"1h\" }");
    let mut run = start(&place, "1");
    run.write(&likes(0..3));
    wait_for_items(&place, 3);
    for _ in 0..10 {
        run.write(&likes(0..3));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(items(&place).values().all(|(_, value)| *value == 1.0));
    run.close_stdin();
    assert_eq!(run.end().exits(0).summary("items written"), 6);
    assert!(items(&place).values().all(|(_, value)| *value == 11.0));
}

#[test]
fn a_rhythm_and_every_window_exclude_each_other() {
    let place = place("publish = { every = \"1s\" }");
    let run = place.run(&["run", "p.toml", "--events", "-", "--sink", "none", "--every-window"]);
    run.exits(2).says(&["--every-window", "publish.every"]);
}

#[test]
fn a_run_that_is_to_catch_up_first_publishes_at_the_end_of_its_log_and_nothing_if_it_is_stopped_before() {
    for workers in ["1", "2"] {
        let place = place("publish = { every = \"100ms\", hold_until_caught_up = true }");
        let mut run = start(&place, workers);
        run.write(&likes(0..50));
        std::thread::sleep(Duration::from_millis(1_500));
        assert_eq!(items(&place).len(), 0, "something was published");
        run.signal("TERM");
        let ended = run.end().exits(75);
        ended.says(&["50 items were not published", "hold_until_caught_up", "stopped before it had caught up"]);
        assert_eq!(items(&place).len(), 0);

        let mut run = start(&place, workers);
        run.write(&likes(0..50));
        std::thread::sleep(Duration::from_millis(300));
        run.close_stdin();
        run.end().exits(0).says(&["caught up with what there was at the start"]);
        assert_eq!(items(&place).len(), 50);
    }
    let place = place("publish = { hold_until_caught_up = true }");
    for more in [&["--sink", "jsonl:items.jsonl"][..], &["--sink", "sqlite:items.db", "--every-window"]] {
        let run = place.run(&[&["run", "p.toml", "--events", "-"], more].concat());
        run.exits(2).says(&["`hold_until_caught_up` is for tables"]);
    }
}

#[test]
fn small_changes_are_held_back_through_the_program_and_a_changelog_gets_every_one() {
    let place = place("publish = { every = \"100ms\", min_change = 0.5, max_age = \"10m\" }");
    for workers in ["1", "2"] {
        let mut run = start(&place, workers);
        (0..100).for_each(|_| run.write(&likes(0..20)));
        wait_for_items(&place, 20);
        std::thread::sleep(Duration::from_millis(1_500));
        let before = items(&place);
        run.write(&likes(0..20));
        std::thread::sleep(Duration::from_millis(1_500));
        assert_eq!(items(&place), before, "a change of 1 % was published");
        (0..200).for_each(|_| run.write(&likes(0..1)));
        std::thread::sleep(Duration::from_millis(1_500));
        let after = items(&place);
        let changed: Vec<_> = before.iter().filter(|(key, item)| after[*key] != **item).map(|(key, _)| key).collect();
        assert_eq!(changed, ["0"]);
        // What is held back goes out at the end.
        run.close_stdin();
        run.end().exits(0);
        let all = items(&place);
        assert!(all.iter().all(|(key, (_, value))| *value == if key == "0" { 301.0 } else { 101.0 }), "{all:?}");
    }
    let mut run = place.start(&["run", "p.toml", "--events", "-", "--sink", "jsonl:changes.jsonl"]);
    for _ in 0..4 {
        run.write(&likes(1..2));
        std::thread::sleep(Duration::from_millis(1_000));
    }
    run.close_stdin();
    run.end().exits(0);
    assert_eq!(place.read("changes.jsonl").lines().filter(|line| line.contains("featureName")).count(), 4);
    let refused = place.run(&["run", "p.toml", "--events", "-", "--sink", "sqlite:other.db", "--every-window"]);
    refused.exits(2).says(&["--every-window", "min_change"]);
}

#[test]
fn a_budget_of_write_units_is_kept_and_at_the_end_everything_is_there() {
    const USERS: usize = 300;
    let fake = FakeDynamoDb::start(|_| Fault::None);
    for workers in ["1", "2"] {
        let place = Workplace::new();
        let text = pipeline_text(&fake.endpoint(), "Fake").replace("[dynamodb]", "[dynamodb]\nbudget_wcu = 100");
        place.write("p.toml", text);
        let likes = |user| format!("{{\"eventName\":\"like\",\"userId\":\"{user}\",\"eventTs\":1707605599}}\n");
        place.write("events.jsonl", (0..USERS).map(likes).collect::<String>());
        let since = Instant::now();
        let ended = place.run(&["run", "p.toml", "--events", "events.jsonl", "-w", workers]).exits(0);
        // The first second's worth is there at once.
        assert!(since.elapsed() >= Duration::from_millis(1_900), "{:?}", since.elapsed());
        assert_eq!(ended.summary("items written"), USERS as u64);
    }
}
