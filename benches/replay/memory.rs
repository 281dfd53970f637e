//! Bytes per row, by what the row counts: the peak of a run with many keys, less that of the same events
//! with a single key.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use super::Size;
use super::figures::{kept, replay};

/// What rows hold, and how many of them there are.
struct Kind {
    name: &'static str,
    measure: &'static str,
    with_squares: bool,
    /// How many events each row gets, each with a member of its own.
    events_per_row: u64,
    rows: u64,
}

const KINDS: [Kind; 6] = [
    Kind { name: "count", measure: "count", with_squares: false, events_per_row: 1, rows: 2_000_000 },
    Kind { name: "count with squares", measure: "count", with_squares: true, events_per_row: 1, rows: 2_000_000 },
    Kind { name: "sum", measure: "sum(amount)", with_squares: false, events_per_row: 1, rows: 2_000_000 },
    Kind {
        name: "uniques, 1 member",
        measure: "uniques(user)",
        with_squares: false,
        events_per_row: 1,
        rows: 2_000_000,
    },
    Kind {
        name: "uniques, 64 members",
        measure: "uniques(user)",
        with_squares: false,
        events_per_row: 64,
        rows: 100_000,
    },
    Kind {
        name: "uniques, a sketch",
        measure: "uniques(user)",
        with_squares: false,
        events_per_row: 100,
        rows: 50_000,
    },
];

pub fn run(_: Size) {
    println!("\nmemory: keys of 8 bytes, 5 decays");
    for kind in &KINDS {
        let pipeline = pipeline(kind);
        let peak = |keys: u64| {
            let figure = replay(&pipeline, &log(kind, keys), 1);
            assert_eq!(figure.rows, keys);
            figure.peak_memory_bytes
        };
        let bytes = peak(kind.rows).saturating_sub(peak(1)) as f64 / (kind.rows - 1) as f64;
        println!("{:<24} {bytes:>8.0} bytes for each of {} rows", kind.name, kind.rows);
    }
}

fn pipeline(kind: &Kind) -> PathBuf {
    let Kind { name, measure, with_squares, .. } = kind;
    let ratio = "[[ratios]]\nname = \"r\"\nnumerator = \"post.view\"\ndenominator = \"post.view\"\n";
    let text = format!(
        "name = \"memory\"\n\
         [event]\nname = \"eventName\"\ntime = \"eventTs\"\n\
         [[counters]]\nname = \"post\"\nkey = [\"post\"]\nevents = [\"view\"]\nmeasures = [\"{measure}\"]\n\
         decays = [\"1m\", \"10m\", \"1h\", \"1d\", \"7d\"]\nttl = \"none\"\nfeature = \"{{group}}.{{event}}\"\n{}",
        if *with_squares { ratio } else { "" }
    );
    kept(&format!("memory-{name}.toml"), |path| std::fs::write(path, text).expect("a file of our own"))
}

/// As many events as all rows get, over so many keys.
fn log(kind: &Kind, keys: u64) -> PathBuf {
    let events = kind.rows * kind.events_per_row;
    kept(&format!("memory-{events}-{keys}.jsonl"), |path| {
        let mut file = BufWriter::new(std::fs::File::create(path).expect("a file of our own"));
        for event in 0..events {
            let (key, user, time) =
                (10_000_000 + event % keys, event / keys % kind.events_per_row, 1_700_000_000 + event / 10_000);
            writeln!(file, r#"{{"eventName":"view","post":"{key}","user":{user},"amount":1.5,"eventTs":{time}}}"#)
                .expect("written");
        }
        file.flush().expect("written");
    })
}
