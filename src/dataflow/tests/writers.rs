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
    fn write(&mut self, batches: &[ItemBatch]) -> Result<u64, SinkError> {
        Ok(batches.iter().map(|batch| batch.len() as u64).sum())
    }

    fn close(self: Box<Self>) -> Result<(), SinkError> {
        self.closed.store(true, Ordering::Release);
        if self.badly { Err(SinkError::new("cannot be closed")) } else { Ok(()) }
    }
}

/// Starts a run over one event and, if wanted, one that is none; dead letters go to this path.
fn run(sink: ClosingSink, bad_event: bool, dead_letters: &std::path::Path) -> (Execution, Receiver<RunError>) {
    let metrics = Arc::new(Metrics::default());
    let (failure, errors) = Failure::new(Arc::new(AtomicBool::new(false)));
    let (sender, shared) = feed(Epoch(1));
    let pipeline = pipeline("none");
    let execution = start(Run {
        observations: Arc::new(Observations::new(&pipeline, EventTime(2_000_000_000))),
        pipeline,
        feeds: vec![shared; 2],
        sink: Box::new(sink),
        writers: Writers::OnePerCluster,
        dead_letters: DeadLetterFile::new(dead_letters, None, Arc::clone(&metrics)),
        seed: HashSeed(42),
        versions: Versions::new(Generation(1), Window(1)),
        run_start: EventTime(2_000_000_000),
        serialise: false,
        metrics,
        failure,
    })
    .expect("started");
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
