//! How much waits to be published, and how long the oldest has: the freshness of a table.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Of all workers of a process.
#[derive(Debug)]
pub struct Waiting {
    /// When time began.
    started: Instant,
    workers: Mutex<Vec<Arc<WaitingGauge>>>,
}

/// What waits in one worker.
#[derive(Debug, Default)]
pub struct WaitingGauge {
    items: AtomicU64,
    /// Milliseconds since the run began, and one more; 0: nothing waits.
    since: AtomicU64,
    /// For how many milliseconds an item has waited at most while some were put off to hold a rate.
    latest: AtomicU64,
}

impl Default for Waiting {
    fn default() -> Waiting {
        Waiting { started: Instant::now(), workers: Mutex::default() }
    }
}

impl Waiting {
    /// When the run began, by which its moments are counted.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// One more worker's.
    pub fn register(&self) -> Arc<WaitingGauge> {
        let gauge = Arc::<WaitingGauge>::default();
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&gauge));
        gauge
    }

    /// How many items have changed, or are being written, and are not known to be in the table.
    pub fn items(&self) -> u64 {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter().map(|gauge| gauge.items.load(Ordering::Relaxed)).sum()
    }

    /// For how long an item has waited at most while some were put off to hold a rate; `None`: none were.
    pub fn latest(&self) -> Option<Duration> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = workers.iter().map(|gauge| gauge.latest.load(Ordering::Relaxed)).max()?;
        (latest > 0).then(|| Duration::from_millis(latest))
    }

    /// How long the oldest of them has waited, or a little longer; `None`: nothing waits.
    pub fn oldest(&self) -> Option<Duration> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let since = workers.iter().filter_map(|gauge| gauge.since.load(Ordering::Relaxed).checked_sub(1)).min()?;
        Some(self.started.elapsed().saturating_sub(Duration::from_millis(since)))
    }
}

impl WaitingGauge {
    /// Some items are put off to hold a rate, and the oldest that waits has waited for so many milliseconds.
    pub fn note_late(&self, milliseconds: u64) {
        self.latest.fetch_max(milliseconds.max(1), Ordering::Relaxed);
    }

    /// So many items wait, the oldest of them since so many milliseconds after the run began.
    pub fn set(&self, items: u64, oldest: Option<u64>) {
        self.items.store(items, Ordering::Relaxed);
        self.since.store(oldest.map_or(0, |since| since + 1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_workers_count_and_the_oldest_says_how_fresh() {
        let waiting = Waiting::default();
        let gauges = [waiting.register(), waiting.register()];
        assert_eq!((waiting.items(), waiting.oldest()), (0, None));
        std::thread::sleep(Duration::from_millis(5));
        gauges[0].set(3, Some(4));
        assert!(waiting.oldest().is_some_and(|oldest| oldest < waiting.started().elapsed()));
        gauges[1].set(4, Some(0));
        assert_eq!(waiting.items(), 7);
        assert!(waiting.oldest().is_some_and(|oldest| oldest >= Duration::from_millis(5)));
        gauges.iter().for_each(|gauge| gauge.set(0, None));
        assert_eq!((waiting.items(), waiting.oldest()), (0, None));
    }
}
