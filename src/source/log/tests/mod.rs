//! What becomes of whole sequences of logs, in every form.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use crossbeam_channel::TryRecvError;
use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::clock::ArrivalClock;
use crate::counter::EventTime;
use crate::epoch::{Epoch, Window};
use crate::event::{Ahead, Arrival, FieldPath, TimeUnit};
use crate::pipeline::ClockKind;
use crate::source::{Block, Feed, LogBytes, Payload, feed};

mod files;
mod go_on;
mod pipes;
mod up_to;

fn schema() -> EventSchema {
    EventSchema {
        name_field: FieldPath::top_level("eventName"),
        time_field: FieldPath::top_level("eventTs"),
        time_unit: TimeUnit::Seconds,
        max_ahead: Some(86_400),
        ahead: Ahead::DeadLetter,
        arrival_field: None,
        max_bytes: 5_000,
        fields: Vec::new(),
    }
}

fn options() -> LogOptions {
    LogOptions {
        schema: Arc::new(schema()),
        clock: ClockKind::Event,
        window_length: Duration::from_secs(5),
        replay_batch: 100,
        every_window: false,
        run_start: EventTime(10_000_000),
        now: ArrivalClock::told(TimeUnit::Seconds, || UNIX_EPOCH + Duration::from_secs(10_000_000)),
        first_epoch: Epoch(3),
        block_bytes: 1_000,
    }
}

/// A log with late, future and broken lines, blank ones, and three events a second.
fn a_log(lines: i64) -> Vec<u8> {
    let line = |line: i64| {
        let time = match line % 11 {
            4 => line / 3 - 50,
            7 => line / 3 + 50_000_000,
            _ => line / 3 + 1_000,
        };
        match line % 37 {
            5 => "not an event\n".to_string(),
            6 => "\n".to_string(),
            7 => format!("{{\"eventName\":\"like\",\"eventTs\":{time}}}\r\n"),
            padding => {
                format!("{{\"eventName\":\"like\",\"eventTs\":{time}{:width$}}}\n", "", width = padding as usize)
            }
        }
    };
    (0..lines).map(line).collect::<String>().into_bytes()
}

/// Stores a log.
type Store = fn(&[u8]) -> Vec<u8>;

/// In what form a log may be stored, by a name that fits.
const FORMS: [(&str, Store); 3] = [
    ("log.jsonl", <[u8]>::to_vec),
    ("log.jsonl.gz", gzip),
    ("log.jsonl.zst", |content| zstd::encode_all(content, 1).unwrap()),
];

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Everything a source handed over.
#[derive(Debug)]
struct Run {
    end: Result<LogEnd, SourceError>,
    blocks: Vec<Block>,
}

/// Runs a source to its end and checks what must hold of every feed.
fn run(paths: &[PathBuf], options: LogOptions) -> Run {
    let source = LogSource::open(paths, options).unwrap();
    let progress = source.progress();
    let (sender, feed) = feed(Epoch(3));
    let (end, blocks) = thread::scope(|scope| {
        let blocks = scope.spawn(move || take_all(&feed));
        let end = source.run(sender, &AtomicBool::new(false));
        (end, blocks.join().unwrap())
    });
    if progress.total_bytes().is_some() && matches!(end, Ok(LogEnd::Finished)) {
        let marks = 4;
        assert!(progress.bytes_read() + marks >= progress.total_bytes().unwrap());
    }
    Run { end, blocks }
}

fn take_all(feed: &Feed) -> Vec<Block> {
    let (mut floor, mut last, mut blocks) = (Epoch(0), Epoch(0), Vec::new());
    loop {
        let announced = feed.announced();
        match feed.blocks.try_recv() {
            Ok(block) => {
                assert!(block.epoch >= floor && block.epoch >= last, "epochs only rise, and not before announced");
                last = block.epoch;
                blocks.push(block);
            }
            Err(TryRecvError::Empty) => {
                floor = announced;
                thread::yield_now();
            }
            Err(TryRecvError::Disconnected) => return blocks,
        }
    }
}

fn bytes_of(block: &Block) -> Option<(&Path, u64, Vec<u8>)> {
    match &block.payload {
        Payload::Lines { file, offset, bytes: LogBytes::Read(bytes), .. } => Some((file, *offset, bytes.clone())),
        Payload::Lines { file, offset, bytes: LogBytes::InFile { file: open, length }, .. } => {
            let mut bytes = vec![0; *length];
            open.read_exact_at(&mut bytes, *offset).unwrap();
            Some((file, *offset, bytes))
        }
        _ => None,
    }
}

impl Run {
    /// The blocks of each log put together again.
    fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut logs: Vec<(PathBuf, Vec<u8>)> = Vec::new();
        for (file, offset, bytes) in self.blocks.iter().filter_map(bytes_of) {
            assert!(!bytes.is_empty());
            match logs.last_mut() {
                Some((log, content)) if log == file => {
                    assert_eq!(offset, content.len() as u64, "no gap and no overlap");
                    content.extend(bytes);
                }
                _ => logs.push((file.into(), bytes)),
            }
        }
        logs
    }

    /// The epoch, offset and bytes of each block.
    fn cut(&self) -> Vec<(Epoch, u64, Vec<u8>)> {
        self.blocks
            .iter()
            .filter_map(|block| bytes_of(block).map(|(_, offset, bytes)| (block.epoch, offset, bytes)))
            .collect()
    }

    /// The epoch and the window of each line, by its offset.
    fn windows(&self) -> BTreeMap<u64, (Epoch, Window)> {
        let mut windows = BTreeMap::new();
        for block in &self.blocks {
            let Some((_, offset, bytes)) = bytes_of(block) else { continue };
            let mut start = 0;
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                let newest = block.window_starts.iter().rev().find(|(first, _)| *first <= start);
                let window = newest.map_or(Window(block.epoch.0), |(_, window)| *window);
                windows.insert(offset + start as u64, (block.epoch, window));
                start += line.len();
            }
        }
        windows
    }
}
