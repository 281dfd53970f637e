//! Replays of real logs (`tests/data`) to the same items as an independent recount: with one and two
//! workers, in both rhythms of publishing.
//!
//! With `COUNTER_MACHINE_LOGS` set to a folder, the logs of the same names in it take the place of
//! the cuts in `tests/data`.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::PathBuf;

use serde_json::Value;

use crate::program::{Ended, Workplace};
use crate::recount::{
    Addition, Group, Item, Measure, RowName, Ttl, additions, assert_items, end_of, item, items, parse, recount, row_of,
    time_of, windows,
};

/// What is counted of a log.
struct Case {
    log: &'static str,
    time_unit: &'static str,
    units_per_second: i64,
    /// The longest decay interval that is used, in which every event is worth one.
    longest_decay_seconds: i64,
    groups: &'static [Group],
    /// Long enough that what is forgotten no longer counts, and shorter than the log.
    ttl_days: i64,
}

const GITLOG: Case = Case {
    log: "gitlog",
    time_unit: "s",
    units_per_second: 1,
    longest_decay_seconds: 1_000_000_000_000,
    groups: &[
        Group { name: "user", key: &["userId"], measures: &[Measure::Count], feature: "{group}.{event}.{measure}" },
        Group { name: "pair", key: &["userId", "creatorId"], measures: &[Measure::Count], feature: "pair" },
    ],
    ttl_days: 7,
};

const RETAIL: Case = Case {
    log: "retail",
    time_unit: "s",
    units_per_second: 1,
    longest_decay_seconds: 1_000_000_000_000,
    groups: &[
        Group {
            name: "user",
            key: &["userId"],
            measures: &[Measure::Count, Measure::Sum("quantity")],
            feature: "{group}.{event}.{measure}",
        },
        Group { name: "country", key: &["country"], measures: &[Measure::Count], feature: "country.{event}" },
    ],
    ttl_days: 7,
};

const IMPRESSIONS: Case = Case {
    log: "impressions",
    time_unit: "us",
    units_per_second: 1_000_000,
    // The longest there is in microseconds.
    longest_decay_seconds: i64::MAX / 64 / 1_000_000,
    groups: &[
        Group { name: "item", key: &["itemId"], measures: &[Measure::Count], feature: "item.{event}" },
        Group { name: "shown", key: &["itemId", "userId"], measures: &[Measure::Sum("position")], feature: "shown.at" },
    ],
    ttl_days: 2,
};

const SHORT_DECAYS: [i64; 4] = [5, 10, 15, 3_600];
const WINDOW_SECONDS: i64 = 5;
const SECONDS_PER_DAY: i64 = 86_400;

impl Case {
    fn log_path(&self) -> PathBuf {
        let data = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let folder = std::env::var_os("COUNTER_MACHINE_LOGS").map_or_else(data, PathBuf::from);
        folder.join(format!("{}.jsonl.zst", self.log))
    }

    fn text(&self) -> String {
        let path = self.log_path();
        let compressed = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        String::from_utf8(zstd::decode_all(compressed.as_slice()).unwrap()).unwrap()
    }

    fn units(&self, seconds: &[i64]) -> Vec<i64> {
        seconds.iter().map(|seconds| seconds * self.units_per_second).collect()
    }

    fn every_decay(&self) -> Vec<i64> {
        [SHORT_DECAYS.as_slice(), &[self.longest_decay_seconds]].concat()
    }

    fn ttl(&self) -> Ttl {
        Ttl { units: self.ttl_days * SECONDS_PER_DAY * self.units_per_second, per_second: self.units_per_second }
    }

    fn pipeline(&self, decay_seconds: &[i64], ttl: &str) -> String {
        let unit = self.time_unit;
        let mut text = format!(
            "name = \"{}\"\n[event]\nname = \"eventName\"\ntime = \"eventTs\"\ntime_unit = \"{unit}\"\nmax_ahead = \
             \"none\"\n[window]\nlength = \"{WINDOW_SECONDS}s\"\n",
            self.log
        );
        let decays: Vec<_> = decay_seconds.iter().map(|seconds| format!("{seconds}s")).collect();
        for Group { name, key, measures, feature } in self.groups {
            let measures: Vec<_> = measures.iter().map(measure).collect();
            text += &format!(
                "[[counters]]\nname = \"{name}\"\nkey = {key:?}\nevents = \"*\"\nmeasures = {measures:?}\ndecays = \
                 {decays:?}\nfeature = \"{feature}\"\nttl = \"{ttl}\"\n"
            );
        }
        text
    }
}

fn measure(measure: &Measure) -> String {
    match measure {
        Measure::Count => "count".to_owned(),
        Measure::Sum(field) => format!("sum({field})"),
    }
}

/// How a log is replayed.
struct Replay {
    what: &'static str,
    arguments: &'static [&'static str],
    rows_are_published_per_window: bool,
}

const EPOCHS: Replay =
    Replay { what: "epochs, -w 1", arguments: &["--replay-batch", "150"], rows_are_published_per_window: false };
const EPOCHS_2: Replay = Replay {
    what: "epochs, -w 2",
    arguments: &["--replay-batch", "150", "-w", "2"],
    rows_are_published_per_window: false,
};
const EPOCHS_SERIALISED: Replay = Replay {
    what: "epochs, -w 2 -z",
    arguments: &["--replay-batch", "150", "-w", "2", "-z"],
    rows_are_published_per_window: false,
};
const WINDOWS: Replay = Replay {
    what: "windows, -w 1",
    arguments: &["--replay-batch", "1000", "--every-window"],
    rows_are_published_per_window: true,
};
const WINDOWS_2: Replay = Replay {
    what: "windows, -w 2",
    arguments: &["--replay-batch", "1000", "--every-window", "-w", "2"],
    rows_are_published_per_window: true,
};

/// A folder with a pipeline `p.toml` and the log, cut into the pieces of the folder `pieces`.
struct Desk {
    place: Workplace,
    log: PathBuf,
}

impl Desk {
    fn new(case: &Case, text: &str, decay_seconds: &[i64], ttl: &str) -> Desk {
        let place = Workplace::new();
        place.write("p.toml", case.pipeline(decay_seconds, ttl));
        write_pieces(&place, text);
        Desk { place, log: case.log_path() }
    }

    /// Replays the log into this sink. An epoch of the default rhythm ends where a block does, and
    /// the pieces make small blocks.
    fn replay(&self, replay: &Replay, sink: &str) -> Ended {
        let log = if replay.rows_are_published_per_window { self.log.to_str().unwrap() } else { "pieces" };
        let arguments = ["run", "p.toml", "--events", log, "--sink", sink, "--replace"];
        self.place.run(&[&arguments, replay.arguments].concat()).exits(0)
    }

    fn items(&self, replay: &Replay) -> BTreeMap<RowName, Item> {
        self.replay(replay, "sqlite:items.db");
        items(&self.place.run(&["dump", "sqlite:items.db"]).exits(0).stdout)
    }
}

/// Files of 200 lines, or of a 100th of a long log; plain and compressed, by turns.
fn write_pieces(place: &Workplace, text: &str) {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for (number, piece) in lines.chunks((lines.len() / 100).max(200)).enumerate() {
        let piece = piece.concat();
        match number % 3 {
            0 => place.write(&format!("pieces/{number:03}.jsonl"), piece),
            1 => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(piece.as_bytes()).unwrap();
                place.write(&format!("pieces/{number:03}.jsonl.gz"), gzip.finish().unwrap());
            }
            _ => {
                // Two frames.
                let (head, tail) = piece.as_bytes().split_at(piece.len() / 2);
                let frames = [head, tail].map(|part| zstd::encode_all(part, 1).unwrap()).concat();
                place.write(&format!("pieces/{number:03}.jsonl.zst"), frames);
            }
        }
    }
}

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
        let items = desk.items(replay);
        assert_items(&items, &rows, None, &format!("{}, {}", case.log, replay.what));
        assert!(different_versions(&items) >= 5, "{}, {}: it came in several epochs", case.log, replay.what);
    }
}

/// With a ttl that is shorter than the log, those rows that are alive at its end are as the recount
/// says. The others may have been forgotten on the way, and some were.
fn what_is_alive_agrees(case: &Case, replays: &[Replay]) {
    let text = case.text();
    let events = parse(&text);
    let ttl = case.ttl();
    let end = end_of(events.iter().map(time_of));
    let mut rows = recount(&events, case.groups, &case.units(&SHORT_DECAYS));
    let all_rows = rows.len();
    rows.retain(|_, row| ttl.expires_at(row.last_update) > end.div_euclid(case.units_per_second));
    assert!(10 < rows.len() && rows.len() < all_rows, "{}: {} of {all_rows} rows are alive", case.log, rows.len());
    let desk = Desk::new(case, &text, &SHORT_DECAYS, &format!("{}d", case.ttl_days));
    for replay in replays {
        let what = format!("{}, ttl, {}", case.log, replay.what);
        let ended = desk.replay(replay, "sqlite:items.db");
        assert!(ended.summary("rows forgotten") > 0, "{what}: {}", ended.stderr);
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
    const WINDOW_BITS: u64 = (1 << 40) - 1;
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
        let times: Vec<i64> = events.iter().map(time_of).collect();
        times
            .iter()
            .enumerate()
            .filter(|(place, time)| **time + by < *times[..*place].iter().max().unwrap_or(&0))
            .count()
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
