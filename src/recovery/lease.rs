//! Keeps the lease of a state while a run goes on, and says there how it is getting on.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde_json::Value;

use crate::checkpoint::{CheckpointError, LeaseRecord, Store};
use crate::lease::Leave;

/// So many times within the time that it is valid a lease is renewed.
const RENEWALS: u32 = 5;

/// Says how the run is getting on.
pub(crate) type Status = Arc<dyn Fn() -> Value + Send + Sync>;

/// Renews a lease until it is given back, or this process ends.
pub(crate) struct LeaseKeeper {
    status: Sender<Status>,
    thread: JoinHandle<()>,
}

impl LeaseKeeper {
    /// Takes the lease. Where `leave` is given the run may write as long as it is renewed in time.
    pub fn start(store: &Store, mut lease: LeaseRecord, leave: Option<Leave>) -> Result<LeaseKeeper, CheckpointError> {
        renew(store, &mut lease, Value::Null, leave.as_ref())?;
        let (status, heard) = bounded(1);
        let store = store.clone();
        let keep = move || keep(&store, lease, leave.as_ref(), &heard);
        let thread = thread::Builder::new().name("lease".to_owned()).spawn(keep).map_err(|error| {
            let kind = crate::checkpoint::CheckpointErrorKind::Failed;
            CheckpointError::caused_by(kind, "cannot start a thread that keeps the lease of the state", error)
        })?;
        Ok(LeaseKeeper { status, thread })
    }

    /// From now on this says how the run is getting on.
    pub fn show(&self, status: Status) {
        let _ = self.status.send(status);
    }

    /// Gives it back: the next run need not wait.
    pub fn give_back(self) {
        drop(self.status);
        let _ = self.thread.join();
    }
}

fn keep(store: &Store, mut lease: LeaseRecord, leave: Option<&Leave>, heard: &Receiver<Status>) {
    let every = lease.valid_for() / RENEWALS;
    let mut status: Option<Status> = None;
    loop {
        match heard.recv_timeout(every) {
            Ok(new) => status = Some(new),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let shown = status.as_ref().map_or(Value::Null, |status| status());
        if let Err(error) = renew(store, &mut lease, shown, leave) {
            tracing::debug!("the lease of the state is not renewed: {error}");
        }
    }
    if let Err(error) = lease.give_back(store, SystemTime::now()) {
        tracing::debug!("the lease of the state is not given back: {error}");
    }
}

/// It is valid from before it was sent: nobody who looks can have seen it earlier.
fn renew(store: &Store, lease: &mut LeaseRecord, status: Value, leave: Option<&Leave>) -> Result<(), CheckpointError> {
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
