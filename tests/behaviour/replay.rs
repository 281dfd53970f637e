//! Replays of real logs (`tests/data`) to the same items as an independent recount: with one and two
//! workers, in both rhythms of publishing.
//!
//! With `COUNTER_MACHINE_LOGS` set to a folder, the logs of the same names in it take the place of
//! the cuts in `tests/data`.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::program::Workplace;
use crate::recount::{
    Addition, Group, Item, Measure, RowName, additions, assert_items, end_of, item, items, parse, recount, row_of,
    time_of, windows,
};
use crate::replay_logs::{
    Case, Desk, EPOCHS, EPOCHS_2, EPOCHS_SERIALISED, GITLOG, IMPRESSIONS, RETAIL, Replay, SECONDS_PER_DAY,
    SHORT_DECAYS, WINDOW_SECONDS, WINDOWS, WINDOWS_2,
};

fn different_versions(items: &BTreeMap<RowName, Item>) -> usize {
    items.values().map(|item| item.version).collect::<std::collections::BTreeSet<_>>().len()
}

/// With `ttl = "none"`, every row is as the recount says, down to the oldest event.
fn every_row_agrees(case: &Case, replays: &[Replay]) {
    let text = case.text();
    let decays = case.every_decay();
    let rows = recount(&parse(&text), case.groups, &case.units(&decays));
    let desk = Desk::new(case, &text, &decays, "none");
    for replay in replays {
        for (sink, gets_every_change) in
            [("sqlite:items.db", replay.rows_are_published_per_window), ("jsonl:items.jsonl", true)]
        {
            let what = format!("{}, {}, {sink}", case.log, replay.what);
            let items = desk.items(replay, sink);
            assert_items(&items, &rows, None, &what);
            assert!(!gets_every_change || different_versions(&items) >= 5, "{what}: it came in several epochs");
        }
    }
}

/// Into DynamoDB Local, a table for each replay.
#[test]
#[ignore = "needs DynamoDB Local"]
fn retail_replays_into_dynamodb_to_the_recount() {
    let endpoint = std::env::var("DYNAMODB_ENDPOINT").expect("DYNAMODB_ENDPOINT names DynamoDB Local");
    let text = RETAIL.text();
    let decays = RETAIL.every_decay();
    let rows = recount(&parse(&text), RETAIL.groups, &RETAIL.units(&decays));
    let desk = Desk::new(&RETAIL, &text, &decays, "none");
    let pipeline = desk.place.read("p.toml");
    for (number, replay) in [EPOCHS, EPOCHS_2, WINDOWS, WINDOWS_2].iter().enumerate() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let table = format!("[dynamodb]\ntable = \"retail-{number}-{now}\"\nendpoint = \"{endpoint}\"\n");
        desk.place.write("p.toml", pipeline.clone() + &table);
        desk.place.run(&["table", "p.toml"]).exits(0);
        assert_items(&desk.items(replay, "dynamodb"), &rows, None, &format!("dynamodb, {}", replay.what));
    }
}

/// With a ttl that is shorter than the log, those rows that are alive at its end are as the recount
/// says. The others may have been forgotten on the way, and some were.
fn what_is_alive_agrees(case: &Case, replays: &[Replay]) {
    // Nothing is forgotten before very many events were seen: each comes so many times.
    const TIMES: usize = 8;
    let text: String = case.text().lines().map(|line| format!("{line}\n").repeat(TIMES)).collect();
    let events = parse(&text);
    let ttl = case.ttl();
    let end = end_of(events.iter().map(time_of));
    let mut rows = recount(&events, case.groups, &case.units(&SHORT_DECAYS));
    let all_rows = rows.len();
    rows.retain(|_, row| ttl.expires_at(row.last_update) > end.div_euclid(case.units_per_second));
    assert!(10 < rows.len() && rows.len() < all_rows, "{}: {} of {all_rows} rows are alive", case.log, rows.len());
    let mut desk = Desk::new(case, &text, &SHORT_DECAYS, &format!("{}d", case.ttl_days));
    desk.place.write("whole.jsonl", &text);
    desk.log = desk.place.path("whole.jsonl");
    for replay in replays {
        let what = format!("{}, ttl, {}", case.log, replay.what);
        let ended = desk.replay(replay, "sqlite:items.db");
        // Of streams one after the other, each over the whole time, the stream's time stays at the beginning.
        let in_order = case.log != IMPRESSIONS.log;
        assert_eq!(ended.summary("rows forgotten") > 0, in_order, "{what}: {}", ended.stderr);
        let dump = ["dump", "sqlite:items.db", "--pipeline", "p.toml", "--alive-at", &end.to_string()];
        assert_items(&items(&desk.place.run(&dump).exits(0).stdout), &rows, Some(ttl), &what);
    }
}

/// Everything that is published, window by window: each row once for each window that changed it,
/// as it was at that window's end.
fn every_window_is_published(case: &Case) {
    let text = case.text();
    let events = parse(&text);
    let decays = case.units(&case.every_decay());
    let times = events.iter().map(time_of);
    let mut by_row: HashMap<RowName, Vec<(u64, Addition)>> = HashMap::new();
    for (event, window) in events.iter().zip(windows(times, WINDOW_SECONDS * case.units_per_second)) {
        for one in additions(event, case.groups) {
            by_row.entry(one.row.clone()).or_default().push((window, one));
        }
    }
    let changes: usize = by_row.values().map(|additions| additions.chunk_by(|a, b| a.0 == b.0).count()).sum();
    let rows = recount(&events, case.groups, &decays);
    let desk = Desk::new(case, "", &case.every_decay(), "none");
    for replay in [WINDOWS, WINDOWS_2] {
        let what = format!("{}, {}", case.log, replay.what);
        let ended = desk.replay(&replay, "jsonl:items.jsonl");
        assert_eq!(ended.summary("items written"), changes as u64, "{what}");
        let published: Vec<_> = desk.place.read("items.jsonl").lines().map(item).collect();
        assert_eq!(published.len(), changes, "{what}");
        let mut newest = BTreeMap::new();
        for (name, item) in &published {
            let before: Option<Item> = newest.insert(name.clone(), item.clone());
            assert!(before.is_none_or(|before| before.version < item.version), "{what}: versions rise: {name:?}");
        }
        assert_items(&newest, &rows, None, &what);
        assert_states(&published, &by_row, &decays, &what);
    }
}

/// Of so many published states at most, the values are recounted: each costs a pass over its row.
const STATES_RECOUNTED: usize = 2_000;

fn assert_states(
    published: &[(RowName, Item)],
    by_row: &HashMap<RowName, Vec<(u64, Addition)>>,
    decays: &[i64],
    what: &str,
) {
    const WINDOW_BITS: u64 = (1 << 31) - 1;
    let some = published.len().div_ceil(STATES_RECOUNTED);
    for (place, (name, item)) in published.iter().enumerate() {
        let window = item.version & WINDOW_BITS;
        let additions = &by_row[name];
        let until = additions.partition_point(|(of, _)| *of <= window);
        assert!(until > 0 && additions[until - 1].0 == window, "{what}: window {window} did not change {name:?}");
        if place % some == 0 {
            let weights: Vec<_> = additions[..until].iter().map(|(_, one)| (one.time, one.weight)).collect();
            let row = row_of(&weights, decays);
            assert!(item.is(&row, None), "{what}: {name:?} at the end of window {window}: {item:?} is not {row:?}");
        }
    }
}

#[test]
fn gitlog_replays_to_the_recount() {
    every_row_agrees(&GITLOG, &[EPOCHS, EPOCHS_2, EPOCHS_SERIALISED, WINDOWS, WINDOWS_2]);
}

#[test]
fn retail_replays_to_the_recount() {
    every_row_agrees(&RETAIL, &[EPOCHS, EPOCHS_2, WINDOWS, WINDOWS_2]);
}

#[test]
fn impressions_replay_to_the_recount() {
    every_row_agrees(&IMPRESSIONS, &[EPOCHS, EPOCHS_2, WINDOWS, WINDOWS_2]);
}

#[test]
fn gitlog_replays_with_a_ttl_to_the_recount_of_what_is_alive() {
    what_is_alive_agrees(&GITLOG, &[EPOCHS, EPOCHS_2, WINDOWS, WINDOWS_2]);
}

#[test]
fn retail_replays_with_a_ttl_to_the_recount_of_what_is_alive() {
    what_is_alive_agrees(&RETAIL, &[EPOCHS, EPOCHS_2, WINDOWS, WINDOWS_2]);
}

#[test]
fn impressions_replay_with_a_ttl_to_the_recount_of_what_is_alive() {
    what_is_alive_agrees(&IMPRESSIONS, &[EPOCHS, EPOCHS_2, WINDOWS, WINDOWS_2]);
}

#[test]
fn gitlog_is_published_window_by_window() {
    every_window_is_published(&GITLOG);
}

#[test]
fn retail_is_published_window_by_window() {
    every_window_is_published(&RETAIL);
}

#[test]
fn impressions_are_published_window_by_window() {
    every_window_is_published(&IMPRESSIONS);
}

/// Events that are almost a ttl late find what else came almost a ttl late: what is alive at the end
/// has lost nothing that counts.
#[test]
fn a_row_that_expires_while_its_late_events_come_is_whole() {
    const NOW: i64 = 1_700_000_000;
    let case = Case {
        log: "late",
        time_unit: "s",
        units_per_second: 1,
        longest_decay_seconds: 3_600,
        groups: &[Group { name: "user", key: &["userId"], measures: &[Measure::Count], feature: "{event}" }],
        ttl_days: 7,
    };
    let event =
        |user: &str, time: i64| format!("{{\"eventName\":\"like\",\"userId\":\"{user}\",\"eventTs\":{time}}}\n");
    let clock = |seconds: i64| event("clock", NOW + seconds).repeat(20);
    let border = NOW - case.ttl().units;
    // One piece of the log, and so one epoch, each.
    let pieces = [
        clock(0),
        event("late", border - 60) + &clock(10),
        clock(20),
        clock(30),
        event("late", border + 60) + &clock(40),
    ];
    let place = Workplace::new();
    place.write("p.toml", case.pipeline(&[3_600], "7d"));
    for (number, piece) in pieces.iter().enumerate() {
        place.write(&format!("pieces/{number}.jsonl"), piece);
    }
    let run = ["run", "p.toml", "--events", "pieces", "--sink", "sqlite:items.db", "--replay-batch", "1"];
    place.run(&run).exits(0);
    let rows = recount(&parse(&pieces.concat()), case.groups, &[3_600]);
    let items = items(&place.run(&["dump", "sqlite:items.db"]).exits(0).stdout);
    assert_eq!(different_versions(&items), 1, "both rows changed in the last epoch");
    assert_items(&items, &rows, Some(case.ttl()), "late");
}

/// The logs are worth their place: what makes a recount hard is in them.
#[test]
fn the_logs_hold_what_makes_a_recount_hard() {
    let events = |case: &Case| parse(&case.text());
    let late = |events: &[Value], by: i64| {
        let mut newest = 0;
        let is_late = |time: i64| {
            newest = newest.max(time);
            time + by < newest
        };
        events.iter().map(time_of).map(is_late).filter(|late| *late).count()
    };
    let gitlog = events(&GITLOG);
    let end = end_of(gitlog.iter().map(time_of));
    assert!(late(&gitlog, SECONDS_PER_DAY) > 100, "late by more than a day");
    assert!(gitlog.iter().any(|event| time_of(event) > end + 3_600), "from the future");
    let mut times: Vec<i64> = gitlog.iter().map(time_of).collect();
    times.sort_unstable();
    assert!(times.chunk_by(|a, b| a == b).any(|second| second.len() > 1_000), "a burst");
    let retail = events(&RETAIL);
    assert!(retail.iter().filter(|event| event["userId"].is_null()).count() > 1_000, "nobody");
    assert!(retail.iter().any(|event| event["quantity"].as_i64().unwrap() < 0), "a retraction");
    assert!(late(&events(&IMPRESSIONS), 60_000_000) > 1_000, "late by more than a minute");
}
