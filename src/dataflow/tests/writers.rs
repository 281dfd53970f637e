//! How the writer threads end.

use crossbeam_channel::TryRecvError;

use super::*;
use crate::dataflow::failure::RunError;

/// Says when it is closed, and closes badly if asked to.
struct ClosingSink {
    closed: Arc<AtomicBool>,
    badly: bool,
}

impl Sink for ClosingSink {
    fn write(&mut self, batches: &[ItemBatch], desk: &mut dyn Desk) -> Result<(), SinkError> {
        answer_all(batches, desk);
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), SinkError> {
        self.closed.store(true, Ordering::Release);
        if self.badly { Err(SinkError::new("cannot be closed")) } else { Ok(()) }
    }
}

/// A run that waits for blocks.
struct Waiting {
    execution: Execution,
    errors: Receiver<RunError>,
    sender: FeedSender,
}

impl Waiting {
    /// Dead letters go to this path.
    fn start(sink: ClosingSink, workers: usize, dead_letters: &std::path::Path) -> Waiting {
        let metrics = Arc::new(Metrics::default());
        let (failure, errors) = Failure::new(Arc::new(AtomicBool::new(false)));
        let (sender, shared) = feed(Epoch(1));
        let pipeline = pipeline("none");
        let execution = start(Run {
            peers: Peers::alone(workers as u32),
            observations: Arc::new(Observations::new(&pipeline, EventTime(2_000_000_000))),
            pipeline,
            feeds: vec![shared; workers],
            mesh: None,
            sink: ItemsTo::Here(Box::new(sink)),
            delivery: ItemDelivery::Changelog(Writers::OnePerCluster),
            signalled: Arc::default(),
            hold_until: None,
            dead_letters: DeadLetterFile::new(dead_letters, None, Arc::clone(&metrics)),
            seed: HashSeed(42),
            versions: Versions::new(Generation(1), Window(1)),
            serialise: false,
            metrics,
            failure,
            kept: None,
        })
        .expect("started");
        Waiting { execution, errors, sender }
    }
}

/// Starts a run over one event and, if wanted, one that is none.
fn run(sink: ClosingSink, bad_event: bool, dead_letters: &std::path::Path) -> (Execution, Receiver<RunError>) {
    let Waiting { execution, errors, sender } = Waiting::start(sink, 2, dead_letters);
    let event = TestEvent { name: "view", user: 1, creator: None, time: 1, amount: None };
    let lines = event.line() + if bad_event { "nonsense\n" } else { "" };
    sender.send(block(1, &lines, Vec::new())).expect("taken");
    (execution, errors)
}

#[test]
fn a_run_is_done_when_its_sink_is_closed_and_an_error_of_that_is_heard() {
    let folder = tempfile::tempdir().expect("a directory");
    for badly in [false, true] {
        let closed = Arc::new(AtomicBool::new(false));
        let sink = ClosingSink { closed: Arc::clone(&closed), badly };
        let (execution, errors) = run(sink, false, &folder.path().join("dead.jsonl"));
        assert!(execution.done().recv().is_err());
        assert!(closed.load(Ordering::Acquire));
        let error = errors.try_recv().map(|error| error.to_string());
        assert_eq!(error.ok().as_deref(), badly.then_some("cannot be closed"));
    }
}

#[test]
fn when_dead_letters_cannot_be_written_the_sink_is_closed_all_the_same() {
    let folder = tempfile::tempdir().expect("a directory");
    let closed = Arc::new(AtomicBool::new(false));
    // A directory can be no file of dead letters.
    let (execution, errors) = run(ClosingSink { closed: Arc::clone(&closed), badly: false }, true, folder.path());
    assert!(matches!(errors.recv(), Ok(RunError::Sink(_))));
    assert!(matches!(execution.done().try_recv(), Err(TryRecvError::Empty)), "a dead letter is not durable");
    execution.give_up();
    assert!(closed.load(Ordering::Acquire));
}

#[cfg(target_os = "linux")]
#[test]
fn dead_letters_that_cannot_be_written_hold_the_source_back_within_one_epoch() {
    use std::io::Read as _;
    use std::os::fd::AsRawFd as _;
    const LINE_BYTES: usize = 1 << 20;
    const BLOCKS: usize = 100;
    for workers in [1, 2] {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
        let sink = ClosingSink { closed: Arc::default(), badly: false };
        let Waiting { execution, errors, sender } = Waiting::start(sink, workers, path.as_ref());
        let bad_line = block(1, &("x".repeat(LINE_BYTES) + "\n"), Vec::new());
        // Nobody reads the pipe: either all is taken, or at some time nothing more.
        let patience = Duration::from_millis(300);
        let can_be_sent = |_: &usize| sender.try_send(bad_line.clone(), patience).expect("somebody is there").is_none();
        let sent = (0..BLOCKS).take_while(can_be_sent).count();
        assert!(sent < BLOCKS - 10, "{sent} blocks were taken");
        let reading = std::thread::spawn(move || {
            let mut lines = Vec::new();
            reader.read_to_end(&mut lines).map(|_| memchr::memchr_iter(b'\n', &lines).count())
        });
        (sent..BLOCKS).for_each(|_| sender.send(bad_line.clone()).expect("taken once the pipe is read"));
        drop(sender);
        assert!(execution.done().recv().is_err() && errors.try_recv().is_err());
        drop(writer);
        assert_eq!(reading.join().expect("a reader").expect("read"), BLOCKS);
    }
}
