//! Pipes: what comes when it comes, and stops in between.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::*;

/// A source over a pipe, the pipe's end to write to, and what it hands over.
struct PipeRun {
    pipe: io::PipeWriter,
    feed: Feed,
    stop: Arc<AtomicBool>,
    reader: thread::JoinHandle<Result<LogEnd, SourceError>>,
}

fn pipe_run(options: LogOptions) -> PipeRun {
    let (from_pipe, pipe) = io::pipe().unwrap();
    let path = PathBuf::from(format!("/dev/fd/{}", from_pipe.as_raw_fd()));
    let source = LogSource::open(&[path], options).unwrap();
    let (sender, feed) = feed(Epoch(3));
    let stop = Arc::new(AtomicBool::new(false));
    let stop_of_reader = Arc::clone(&stop);
    let reader = thread::spawn(move || {
        let end = source.run(sender, &stop_of_reader);
        drop(from_pipe);
        end
    });
    PipeRun { pipe, feed, stop, reader }
}

impl PipeRun {
    fn next_lines(&self) -> (Epoch, Vec<u8>) {
        let block = self.feed.blocks.recv().unwrap();
        (block.epoch, bytes_of(&block).unwrap().2)
    }
}

#[test]
fn a_pipe_is_read_to_its_end_plain_or_compressed() {
    let log = a_log(3_000);
    for stored in [log.clone(), gzip(&log), zstd::encode_all(&log[..], 1).unwrap()] {
        let PipeRun { mut pipe, feed, reader, .. } = pipe_run(options());
        let blocks = thread::spawn(move || take_all(&feed));
        pipe.write_all(&stored).unwrap();
        drop(pipe);
        let run = Run { end: reader.join().unwrap(), blocks: blocks.join().unwrap() };
        assert!(matches!(run.end, Ok(LogEnd::Finished)), "{:?}", run.end);
        assert_eq!(run.contents()[0].1, log);
    }
}

#[test]
fn the_lines_of_a_pipe_that_pauses_go_out_and_their_epoch_ends_after_a_window() {
    for every_window in [false, true] {
        let mut run = pipe_run(LogOptions { every_window, window_length: Duration::from_millis(300), ..options() });
        run.pipe.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(run.next_lines(), (Epoch(3), b"one\ntwo\n".to_vec()));
        while run.feed.announced() < Epoch(4) {
            thread::yield_now();
        }
        run.pipe.write_all(b"ee\n").unwrap();
        assert_eq!(run.next_lines(), (Epoch(4), b"three\n".to_vec()));
        run.pipe.write_all(b"rest").unwrap();
        drop(run.pipe);
        assert_eq!(
            run.feed.blocks.iter().filter_map(|block| bytes_of(&block).map(|lines| lines.2)).last().unwrap(),
            b"rest"
        );
        assert!(matches!(run.reader.join().unwrap(), Ok(LogEnd::Finished)));
    }
}

#[test]
fn a_stop_is_noticed_while_a_pipe_is_silent() {
    let mut run = pipe_run(options());
    run.pipe.write_all(b"one\n").unwrap();
    run.next_lines();
    run.stop.store(true, Ordering::Relaxed);
    assert!(matches!(run.reader.join().unwrap(), Ok(LogEnd::Interrupted)));
}

#[test]
fn with_the_wall_clock_blocks_carry_its_epochs_and_a_silent_pipe_announces_them() {
    let first = Epoch(u64::MAX / 2);
    let options = LogOptions {
        clock: ClockKind::Wall,
        first_epoch: first,
        window_length: Duration::from_millis(100),
        ..options()
    };
    let mut run = pipe_run(options);
    run.pipe.write_all(b"one\n").unwrap();
    let (epoch, _) = run.next_lines();
    assert!(epoch >= first);
    let seen = Instant::now();
    while run.feed.announced() <= epoch {
        assert!(seen.elapsed() < Duration::from_secs(60), "the epoch never ended");
        thread::yield_now();
    }
    drop(run.pipe);
    assert!(matches!(run.reader.join().unwrap(), Ok(LogEnd::Finished)));
}

fn arrival(block: &Block) -> Arrival {
    let Payload::Lines { arrival, .. } = block.payload else { panic!("lines") };
    arrival
}

#[test]
fn the_lines_of_a_pipe_arrive_when_they_are_read_and_those_of_a_file_before_the_run() {
    let now = Arc::new(AtomicU64::new(20_000_000));
    let clock = Arc::clone(&now);
    let told = move || UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::Relaxed));
    let clock_options = LogOptions { now: ArrivalClock::told(TimeUnit::Seconds, told), ..options() };
    let mut run = pipe_run(clock_options.clone());
    for later in [20_000_000, 20_100_000] {
        now.store(later, Ordering::Relaxed);
        run.pipe.write_all(b"one\n").unwrap();
        assert_eq!(arrival(&run.feed.blocks.recv().unwrap()), Arrival::at(EventTime(later as i64)));
    }
    drop(run.pipe);
    run.reader.join().unwrap().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    std::fs::write(&file, a_log(1_000)).unwrap();
    for every_window in [false, true] {
        let run = super::run(std::slice::from_ref(&file), LogOptions { every_window, ..clock_options.clone() });
        let before_the_run = Arrival::before(EventTime(10_000_000));
        assert!(run.blocks.len() > 10 && run.blocks.iter().all(|block| arrival(block) == before_the_run));
    }
}

#[test]
fn what_counts_at_its_arrival_needs_a_pipe_or_a_field() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    std::fs::write(&file, a_log(10)).unwrap();
    let schema = |field: Option<&str>| {
        let arrival_field = field.map(FieldPath::top_level);
        LogOptions { schema: Arc::new(EventSchema { ahead: Ahead::Arrival, arrival_field, ..schema() }), ..options() }
    };
    let error = LogSource::open(std::slice::from_ref(&file), schema(None)).unwrap_err().to_string();
    assert!(error.contains("events.jsonl") && error.contains("arrival = \"FIELD\""), "{error}");
    LogSource::open(&[file], schema(Some("receivedAt"))).unwrap();
    let (from_pipe, _pipe) = io::pipe().unwrap();
    LogSource::open(&[PathBuf::from(format!("/dev/fd/{}", from_pipe.as_raw_fd()))], schema(None)).unwrap();
}
