//! Keeps the lease of a state while a run goes on, and says there how it is getting on.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde_json::Value;

use crate::checkpoint::{CheckpointError, CheckpointErrorKind, HeldLease, Store};
use crate::lease::Leave;

/// So many times within the time that it is valid a lease is renewed.
const RENEWALS: u32 = 5;

/// Says how the run is getting on.
pub(crate) type Status = Arc<dyn Fn() -> Value + Send + Sync>;

/// Where it goes that the state is lost.
pub(crate) type Fail = Arc<dyn Fn(CheckpointError) + Send + Sync>;

/// A run that has begun.
struct RunOfLease {
    status: Status,
    fail: Fail,
}

/// Renews a lease until it is given back, or this process ends.
pub(crate) struct LeaseKeeper {
    run: Sender<RunOfLease>,
    thread: JoinHandle<()>,
}

impl LeaseKeeper {
    /// Takes the lease. Where `leave` is given the run may write as long as it is renewed in time.
    pub fn start(store: &Store, mut lease: HeldLease, leave: Option<Leave>) -> Result<LeaseKeeper, CheckpointError> {
        renew(store, &mut lease, Value::Null, leave.as_ref())?;
        let (run, heard) = bounded(1);
        let store = store.clone();
        let keep = move || keep(&store, lease, leave.as_ref(), &heard);
        let thread = thread::Builder::new().name("lease".to_owned()).spawn(keep).map_err(|error| {
            CheckpointError::caused_by(
                CheckpointErrorKind::Failed,
                "cannot start a thread that keeps the lease of the state",
                error,
            )
        })?;
        Ok(LeaseKeeper { run, thread })
    }

    /// The run has begun: `status` says how it is getting on, and it must `fail` where another run has taken the state.
    pub fn begins(&self, status: Status, fail: Fail) {
        let _ = self.run.send(RunOfLease { status, fail });
    }

    /// Gives it back: the next run need not wait.
    pub fn give_back(self) {
        drop(self.run);
        let _ = self.thread.join();
    }
}

fn keep(store: &Store, mut lease: HeldLease, leave: Option<&Leave>, heard: &Receiver<RunOfLease>) {
    let every = lease.valid_for() / RENEWALS;
    let mut run: Option<RunOfLease> = None;
    loop {
        match heard.recv_timeout(every) {
            Ok(begun) => run = Some(begun),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let shown = run.as_ref().map_or(Value::Null, |run| (run.status)());
        match renew(store, &mut lease, shown, leave) {
            Ok(()) => {}
            Err(error) if error.kind() == CheckpointErrorKind::InUse => {
                // It is another run's to renew and to give back. A run that has not begun yet hears of it when it does.
                if let Some(RunOfLease { fail, .. }) = run.or_else(|| heard.recv().ok()) {
                    fail(error);
                }
                return;
            }
            Err(error) => tracing::debug!("the lease of the state is not renewed: {error}"),
        }
    }
    if let Err(error) = lease.give_back(store, SystemTime::now()) {
        tracing::debug!("the lease of the state is not given back: {error}");
    }
}

/// It is valid from before it was sent: nobody who looks can have seen it earlier.
fn renew(store: &Store, lease: &mut HeldLease, status: Value, leave: Option<&Leave>) -> Result<(), CheckpointError> {
    let began = Instant::now();
    lease.renew(store, status, SystemTime::now())?;
    if let Some(leave) = leave {
        leave.until(began + valid_here(lease.valid_for()));
    }
    Ok(())
}

/// Whoever takes over counts from when he looks: a little less is left for clocks that go at different speeds.
fn valid_here(valid_for: Duration) -> Duration {
    valid_for - valid_for / 20
}
