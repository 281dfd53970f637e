//! The reference job, beside what parsing alone costs: all on the same data, by turns.
//!
//! - *yardstick*: `serde_json` into a borrowed struct of the four fields, every line, one thread,
//!   nothing else.
//! - *decoder*: the project's own decoder alone, one thread.
//! - *replay*: the whole program, from the file to the sink `none`, with one and with two workers.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use counter_machine::counter::EventTime;
use counter_machine::event::{Decoder, Utf8};
use counter_machine::pipeline::Pipeline;
use counter_machine::telemetry::Stopwatch;
use serde::Deserialize;

use super::Size;
use super::figures::{Figure, bytes_per_line, median, reference_log, replay};

pub const PIPELINE: &str = "pipelines/user_counters.toml";

pub fn run(Size { events, rounds }: Size) {
    let log = reference_log(events, 1_000_000);
    let pipeline = Path::new(PIPELINE);
    let names = ["yardstick", "decoder", "replay, 1 worker", "replay, 2 workers"];
    let mut figures: Vec<Vec<Figure>> = vec![Vec::new(); names.len()];
    for _ in 0..rounds {
        figures[0].push(yardstick(&log));
        figures[1].push(decoder(&log));
        figures[2].push(replay(pipeline, &log, 1));
        figures[3].push(replay(pipeline, &log, 2));
    }
    println!("\nreference: {events} events, {} bytes each, {rounds} rounds by turns; medians", bytes_per_line(&log));
    println!("{:<20} {:>12} {:>14} {:>12}", "", "events/s", "CPU-s per M", "wall s");
    for (name, figures) in names.iter().zip(&figures) {
        let rate = median(figures.iter().map(Figure::events_per_second));
        let cpu = median(figures.iter().map(|figure| figure.cpu_nanoseconds_per_event() / 1e3));
        let wall = median(figures.iter().map(|figure| figure.wall_seconds));
        println!("{name:<20} {:>10.2} M {cpu:>14.3} {wall:>12.3}", rate / 1e6);
    }
    let ratio = |over: usize, under: usize| {
        median(figures[over].iter().zip(&figures[under]).map(|(a, b)| a.events_per_second() / b.events_per_second()))
    };
    println!("\nratios of events/s, round by round (medians)");
    println!("  decoder / yardstick            {:.2}", ratio(1, 0));
    println!("  replay, 1 worker / yardstick   {:.2}", ratio(2, 0));
    println!("  replay, 2 workers / 1 worker   {:.2}", ratio(3, 2));
}

/// The four fields, borrowed: about the least that any program must do with an event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "parsing them is the point")]
struct Borrowed<'a> {
    event_name: &'a str,
    user_id: &'a str,
    creator_id: &'a str,
    event_ts: i64,
}

fn yardstick(log: &Path) -> Figure {
    each_line(log, |line| {
        let event: Borrowed<'_> = serde_json::from_slice(line).expect("a generated event");
        std::hint::black_box(&event);
    })
}

fn decoder(log: &Path) -> Figure {
    let pipeline = Pipeline::load(Path::new(PIPELINE), &|_| None).expect("the reference pipeline");
    let mut decoder = Decoder::new(Arc::new(pipeline.event));
    each_line(log, |line| {
        let event = decoder.decode(line, EventTime(i64::MAX / 2), Utf8::Unchecked);
        std::hint::black_box(&event.expect("a generated event"));
    })
}

/// Reads the log block by block and shows every line.
fn each_line(log: &Path, mut visit: impl FnMut(&[u8])) -> Figure {
    let stopwatch = Stopwatch::start();
    let mut file = File::open(log).expect("the log");
    let mut buffer = vec![0; 1 << 20];
    let (mut kept, mut events) = (0, 0);
    loop {
        let read = file.read(&mut buffer[kept..]).expect("the log can be read");
        let filled = kept + read;
        let mut start = 0;
        while let Some(length) = memchr::memchr(b'\n', &buffer[start..filled]) {
            visit(&buffer[start..start + length]);
            events += 1;
            start += length + 1;
        }
        if read == 0 {
            break;
        }
        buffer.copy_within(start..filled, 0);
        kept = filled - start;
    }
    Figure {
        events,
        wall_seconds: stopwatch.elapsed().as_secs_f64(),
        cpu_seconds: stopwatch.cpu_seconds().unwrap_or(f64::NAN),
        rows: 0,
        items: 0,
        peak_memory_bytes: 0,
    }
}
