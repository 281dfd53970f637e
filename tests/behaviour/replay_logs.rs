//! The logs in `tests/data`, what is counted of them, and how they are replayed.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use crate::program::{Ended, Workplace};
use crate::recount::{Group, Item, Measure, RowName, Ttl, items};

/// What is counted of a log.
pub struct Case {
    pub log: &'static str,
    pub time_unit: &'static str,
    pub units_per_second: i64,
    /// The longest decay interval that is used, in which every event is worth one.
    pub longest_decay_seconds: i64,
    pub groups: &'static [Group],
    /// Long enough that what is forgotten no longer counts, and shorter than the log.
    pub ttl_days: i64,
}

pub const GITLOG: Case = Case {
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

pub const RETAIL: Case = Case {
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

pub const IMPRESSIONS: Case = Case {
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

pub const SHORT_DECAYS: [i64; 4] = [5, 10, 15, 3_600];
pub const WINDOW_SECONDS: i64 = 5;
pub const SECONDS_PER_DAY: i64 = 86_400;

impl Case {
    pub fn log_path(&self) -> PathBuf {
        let data = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let folder = std::env::var_os("COUNTER_MACHINE_LOGS").map_or_else(data, PathBuf::from);
        folder.join(format!("{}.jsonl.zst", self.log))
    }

    pub fn text(&self) -> String {
        let path = self.log_path();
        let compressed = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        String::from_utf8(zstd::decode_all(compressed.as_slice()).unwrap()).unwrap()
    }

    pub fn units(&self, seconds: &[i64]) -> Vec<i64> {
        seconds.iter().map(|seconds| seconds * self.units_per_second).collect()
    }

    pub fn every_decay(&self) -> Vec<i64> {
        [SHORT_DECAYS.as_slice(), &[self.longest_decay_seconds]].concat()
    }

    pub fn ttl(&self) -> Ttl {
        Ttl { units: self.ttl_days * SECONDS_PER_DAY * self.units_per_second, per_second: self.units_per_second }
    }

    pub fn pipeline(&self, decay_seconds: &[i64], ttl: &str) -> String {
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
pub struct Replay {
    pub what: &'static str,
    pub arguments: &'static [&'static str],
    pub rows_are_published_per_window: bool,
}

pub const EPOCHS: Replay =
    Replay { what: "epochs, -w 1", arguments: &["--replay-batch", "150"], rows_are_published_per_window: false };
pub const EPOCHS_2: Replay = Replay {
    what: "epochs, -w 2",
    arguments: &["--replay-batch", "150", "-w", "2"],
    rows_are_published_per_window: false,
};
pub const EPOCHS_SERIALISED: Replay = Replay {
    what: "epochs, -w 2 -z",
    arguments: &["--replay-batch", "150", "-w", "2", "-z"],
    rows_are_published_per_window: false,
};
pub const WINDOWS: Replay = Replay {
    what: "windows, -w 1",
    arguments: &["--replay-batch", "1000", "--every-window"],
    rows_are_published_per_window: true,
};
pub const WINDOWS_2: Replay = Replay {
    what: "windows, -w 2",
    arguments: &["--replay-batch", "1000", "--every-window", "-w", "2"],
    rows_are_published_per_window: true,
};

/// A folder with a pipeline `p.toml` and the log, cut into the pieces of the folder `pieces`.
pub struct Desk {
    pub place: Workplace,
    pub log: PathBuf,
}

impl Desk {
    pub fn new(case: &Case, text: &str, decay_seconds: &[i64], ttl: &str) -> Desk {
        let place = Workplace::new();
        place.write("p.toml", case.pipeline(decay_seconds, ttl));
        write_pieces(&place, text);
        Desk { place, log: case.log_path() }
    }

    /// Replays the log into this sink. An epoch of the default rhythm ends where a block does, and
    /// the pieces make small blocks.
    pub fn replay(&self, replay: &Replay, sink: &str) -> Ended {
        let replace: &[&str] = if sink == "dynamodb" { &[] } else { &["--replace"] };
        let log = if replay.rows_are_published_per_window { self.log.to_str().unwrap() } else { "pieces" };
        let arguments = ["run", "p.toml", "--events", log, "--sink", sink];
        self.place.run(&[&arguments, replace, replay.arguments].concat()).exits(0)
    }

    pub fn items(&self, replay: &Replay, sink: &str) -> BTreeMap<RowName, Item> {
        self.replay(replay, sink);
        items(&self.place.run(&["dump", sink, "--pipeline", "p.toml"]).exits(0).stdout)
    }
}

/// Writes the log into the folder `pieces`: files of 200 lines, or of a 100th of a long log; plain and
/// compressed, by turns.
pub fn write_pieces(place: &Workplace, text: &str) {
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
