//! What replays cost: figures of the whole program, beside what parsing alone costs.
//!
//! ```text
//! cargo bench                                                    everything: 10 million events, 3 rounds
//! cargo bench --bench replay -- reference --events 1000000 --rounds 1
//! cargo bench --bench replay -- feed memory
//! ```
//!
//! - `reference`: the reference job, beside a parser alone and the project's decoder alone.
//! - `feed`: the matrix of `pipelines/feed.toml`, with and without its uniques, on half as many events; and
//!   what a row update costs there, beside one of the reference job.
//! - `memory`: bytes per row, by kind of measure.
//! - `refused`: the reference job on a log in which every tenth line is a dead letter, beside the same without.
//!
//! The machine is shared and noisy: read the ratios, which compare figures of the same round.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on says so by a panic")]

mod feed;
mod figures;
mod memory;
mod reference;
mod refused;

/// How much is measured.
#[derive(Clone, Copy)]
struct Size {
    events: u64,
    rounds: u64,
}

/// A part of the benchmark, by its name.
type Part = (&'static str, fn(Size));

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str, default: u64| {
        let place = arguments.iter().position(|argument| argument == name);
        place.map_or(default, |place| arguments[place + 1].parse().expect("a number"))
    };
    let size = Size { events: option("--events", 10_000_000), rounds: option("--rounds", 3) };
    let parts: [Part; 4] =
        [("reference", reference::run), ("feed", feed::run), ("memory", memory::run), ("refused", refused::run)];
    let is_asked_for = |name: &str| arguments.iter().any(|argument| argument == name);
    let all = !parts.iter().any(|(name, _)| is_asked_for(name));
    for (_, run) in parts.iter().filter(|(name, _)| all || is_asked_for(name)) {
        run(size);
    }
}
