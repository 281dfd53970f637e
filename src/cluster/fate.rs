//! Whether the run goes on: one process that is lost ends it for all, and the first that was is named by all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::heard::Heard;
use crate::dataflow::Failure;

/// What became of the other processes, as this one knows it.
pub(super) struct Fate {
    /// This process, and when it was last seen awake: after so long what it thinks of others is of no use.
    name: String,
    awake: Arc<Heard>,
    within: Duration,
    culprit: Mutex<Option<String>>,
    /// Hears of it once the run has begun.
    failure: OnceLock<Failure>,
    /// They may go now.
    is_over: AtomicBool,
    /// Disconnected with the first loss.
    goes_on: Mutex<Option<Sender<()>>>,
    lost: Receiver<()>,
}

impl Fate {
    pub fn new(name: String, within: Duration) -> Fate {
        let (goes_on, lost) = bounded(0);
        Fate {
            awake: Heard::of(name.clone()),
            name,
            within,
            culprit: Mutex::default(),
            failure: OnceLock::new(),
            is_over: AtomicBool::new(false),
            goes_on: Mutex::new(Some(goes_on)),
            lost,
        }
    }

    /// This process is awake.
    pub fn is_awake(&self) {
        self.awake.now();
    }

    /// The run cannot go on because of this; whether that is the first that is heard.
    pub fn lose(&self, culprit: String) -> bool {
        let slept = self.awake.since();
        let culprit = match slept >= self.within {
            true => format!("{} was stopped for {:.1} s", self.name, slept.as_secs_f64()),
            false => culprit,
        };
        if self.is_over.load(Ordering::Acquire) {
            return false;
        }
        let mut first = self.culprit.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_some() {
            return false;
        }
        tracing::debug!("the run is over: {culprit}");
        *first = Some(culprit.clone());
        drop(first);
        if let Some(failure) = self.failure.get() {
            failure.peer(culprit);
        }
        self.goes_on.lock().unwrap_or_else(PoisonError::into_inner).take();
        true
    }

    /// Why the run cannot go on.
    pub fn culprit(&self) -> Option<String> {
        self.culprit.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells the run from now on.
    pub fn tell(&self, failure: Failure) {
        if let Some(culprit) = self.culprit() {
            failure.peer(culprit);
        }
        let _ = self.failure.set(failure);
    }

    /// Whatever happens to the others from now on, the run has ended.
    pub fn is_over(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Whether there is nothing to watch any more.
    pub fn has_ended(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Disconnected when the run cannot go on.
    pub fn lost(&self) -> &Receiver<()> {
        &self.lost
    }
}

/// How long the others are waited for once this process has ended.
pub(super) const END_WITHIN: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::dataflow::RunError;

    #[test]
    fn the_first_that_is_lost_is_the_one_that_is_told() {
        let fate = Fate::new("process 1".to_owned(), Duration::from_secs(60));
        assert!(fate.lose("process 2".to_owned()) && !fate.lose("process 0".to_owned()));
        assert_eq!(fate.culprit().as_deref(), Some("process 2"));
        assert!(fate.lost().recv().is_err(), "whoever waits is woken");
        let (failure, errors) = Failure::new(Arc::<AtomicBool>::default());
        fate.tell(failure);
        let told = errors.try_recv();
        assert!(matches!(&told, Ok(RunError::Peer(culprit)) if culprit == "process 2"), "{told:?}");
    }

    #[test]
    fn whoever_has_slept_is_the_one_that_is_to_blame() {
        let fate = Fate::new("process 1 (here)".to_owned(), Duration::from_millis(1));
        std::thread::sleep(Duration::from_millis(5));
        fate.lose("process 0 is gone".to_owned());
        let culprit = fate.culprit().unwrap();
        assert!(culprit.starts_with("process 1 (here) was stopped for "), "{culprit}");
    }

    #[test]
    fn whoever_leaves_behind_the_end_is_not_lost() {
        let fate = Fate::new("process 1".to_owned(), Duration::from_secs(60));
        fate.is_over();
        assert!(!fate.lose("process 1".to_owned()) && fate.culprit().is_none() && fate.has_ended());
    }
}
