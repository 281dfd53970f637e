//! What writes cost: what a publisher with a table that takes everything at once would write of an event log, as a table in
//! Markdown. `scripts/measure-writes` makes those of `docs/dynamodb.md` with it.
//!
//! ```text
//! cargo bench --bench writes -- PIPELINE LOG... [--events-per-second 50000] [--most-rows 1000000]
//! ```
//!
//! The publisher is that of a run ([`counter_machine::plan`]), driven by a clock of so many events a second: with windows of
//! five seconds each round follows 250,000 events. With more rows than may be held a share of the keys stands for all.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on says so by a panic")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use counter_machine::counter::EventTime;
use counter_machine::event::Arrival;
use counter_machine::pipeline::{Encoding, HoldBack, Layout, Pipeline};
use counter_machine::plan::{GroupWrites, Rehearsal, RehearsalClock, Written};
use counter_machine::source::SourceError;
use counter_machine::source::log::for_each_line;

const WINDOW: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_secs(10);
const MAX_AGE: Duration = Duration::from_secs(600);
const LONGEST_LINE: usize = 1 << 20;

/// How it is published: how often, where not with every window, and what is held back.
const MANNERS: [(&str, Option<Duration>, f64); 4] = [
    ("every window (5 s)", None, 0.0),
    ("every 10 s", Some(EVERY), 0.0),
    ("every 10 s, `min_change = 0.01`", Some(EVERY), 0.01),
    ("every 10 s, `min_change = 0.05`", Some(EVERY), 0.05),
];
const LAYOUTS: [(&str, Layout); 2] = [("feature", Layout::Feature), ("key", Layout::Key(Encoding::Packed))];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut paths, mut rate, mut most_rows) = (Vec::new(), 50_000, 1_000_000);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().expect("a number").parse().expect("a number");
        match argument.as_str() {
            "--events-per-second" => rate = number(),
            "--most-rows" => most_rows = number() as usize,
            _ => paths.push(PathBuf::from(argument)),
        }
    }
    let [pipeline, logs @ ..] = paths.as_slice() else { panic!("give a pipeline and its logs") };
    let pipeline = Pipeline::load(pipeline, &|_| None).expect("a valid pipeline");
    let variants = MANNERS.iter().flat_map(|(_, every, min_change)| {
        let mut pipeline = pipeline.clone();
        pipeline.window.length = WINDOW;
        pipeline.publish_every(*every);
        pipeline.publish.hold_back_of_all(HoldBack { min_change: *min_change, max_age: MAX_AGE });
        LAYOUTS.map(|(_, layout)| {
            let mut pipeline = pipeline.clone();
            pipeline.publish.layout = layout;
            Arc::new(pipeline)
        })
    });
    let arrival = Arrival::before(EventTime(i64::MAX / 4));
    let clock = RehearsalClock::EventsPerSecond(rate);
    let mut rehearsal = Rehearsal::new(variants.collect(), clock, arrival, most_rows).expect("variants");
    for_each_line(logs, LONGEST_LINE, &mut |line| {
        rehearsal.observe(line.bytes).expect("there is room for it");
        Ok::<(), SourceError>(())
    })
    .expect("a log that can be read");
    let events = rehearsal.events() as f64;
    let written = rehearsal.finish().expect("there is room for it");
    print(&pipeline, events, &written);
}

fn print(pipeline: &Pipeline, events: f64, written: &[Written]) {
    println!("`{}`, {events} events:\n", pipeline.name);
    println!(
        "| published | layout | first writes | rewrites | units of first writes | of rewrites | in all | largest error |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|");
    for (index, written) in written.iter().enumerate() {
        let (manner, layout) = (MANNERS[index / LAYOUTS.len()].0, LAYOUTS[index % LAYOUTS.len()].0);
        let GroupWrites { writes, units, first_writes, first_units } = written.total();
        println!(
            "| {manner} | {layout} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.2} % |",
            first_writes / events,
            (writes - first_writes) / events,
            first_units / events,
            (units - first_units) / events,
            units / events,
            100.0 * written.largest_error,
        );
    }
    println!("\nRewrites of an item per event, by group (layout `feature`):\n");
    let manners: Vec<&str> = MANNERS.iter().map(|(manner, ..)| *manner).collect();
    println!("| group | first writes | {} |", manners.join(" | "));
    println!("|---|{}", "---:|".repeat(1 + manners.len()));
    for (index, group) in pipeline.groups.iter().enumerate() {
        let of_manner = |manner: usize| written[manner * LAYOUTS.len()].groups[index];
        let rewrites: Vec<String> = (0..MANNERS.len())
            .map(of_manner)
            .map(|group| format!("{:.4}", (group.writes - group.first_writes) / events))
            .collect();
        println!("| {} | {:.4} | {} |", group.name, of_manner(0).first_writes / events, rewrites.join(" | "));
    }
    println!();
}
