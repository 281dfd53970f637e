//! How long items had waited when a table acknowledged them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Up to how many seconds the waits of each bucket are; one more holds those that are longer.
const BOUNDS: [f64; 18] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 10_800.0, 43_200.0,
    172_800.0, 604_800.0,
];

/// A histogram that many threads add to.
#[derive(Debug, Default)]
pub struct Freshness {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    waited_ms: AtomicU64,
}

/// What it holds at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    buckets: [u64; BOUNDS.len() + 1],
    waited_ms: u64,
}

impl Freshness {
    /// So many items have waited for so long, or a little less, and are in the table.
    pub fn note(&self, waited: Duration, items: u64) {
        let seconds = waited.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(items, Ordering::Relaxed);
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX).saturating_mul(items);
        self.waited_ms.fetch_add(waited_ms, Ordering::Relaxed);
    }

    /// What it holds now.
    pub fn now(&self) -> Waits {
        let buckets = self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed));
        Waits { buckets, waited_ms: self.waited_ms.load(Ordering::Relaxed) }
    }
}

impl Waits {
    /// The first bound of a bucket that is no less than this. Whether a quantile is above a bound can be told exactly, but not whether it is
    /// above what lies between two. (The last one is above all others, and no quantile is above it.)
    pub fn bound_from(wait: Duration) -> Duration {
        let seconds = wait.as_secs_f64();
        let bound = BOUNDS.into_iter().find(|bound| *bound >= seconds).unwrap_or(BOUNDS[BOUNDS.len() - 1]);
        Duration::from_secs_f64(bound)
    }

    /// The items of each bucket, with its upper bound in seconds; the last has none.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        BOUNDS.into_iter().chain([f64::INFINITY]).zip(self.buckets)
    }

    /// How many items.
    pub fn items(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How many seconds they have waited, all together.
    pub fn seconds(&self) -> f64 {
        self.waited_ms as f64 / 1_000.0
    }

    /// What has come since an earlier moment.
    pub fn since(&self, earlier: &Waits) -> Waits {
        let mut since = self.clone();
        for (bucket, before) in since.buckets.iter_mut().zip(earlier.buckets) {
            *bucket = bucket.saturating_sub(before);
        }
        since.waited_ms = since.waited_ms.saturating_sub(earlier.waited_ms);
        since
    }

    /// How many seconds this share of the items has waited at most, as exactly as the buckets say: evenly spread in each, as Prometheus takes
    /// it (`histogram_quantile`). `None`: there are no items.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = share * self.items() as f64;
        let (mut below, mut from) = (0.0, 0.0);
        for (to, items) in self.buckets().filter(|_| self.items() > 0) {
            let items = items as f64;
            if items > 0.0 && below + items >= wanted {
                // Of the last bucket no more is known than where it begins.
                return Some(if to.is_infinite() { from } else { from + (to - from) * (wanted - below) / items });
            }
            (below, from) = (below + items, to);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_found_in_their_buckets_and_quantiles_between_their_bounds() {
        let freshness = Freshness::default();
        assert_eq!(freshness.now().quantile(0.5), None);
        freshness.note(Duration::from_millis(100), 90);
        let before = freshness.now();
        assert_eq!(before.quantile(1.0), Some(0.1));
        freshness.note(Duration::from_secs(4), 10);
        freshness.note(Duration::from_secs(9_000), 1);
        let now = freshness.now();
        assert_eq!((now.items(), now.seconds()), (101, 9.0 + 40.0 + 9_000.0));
        assert_eq!(now.quantile(1.0), Some(10_800.0));
        assert!(now.quantile(0.95).is_some_and(|wait| (2.5..=5.0).contains(&wait)));
        let since = now.since(&before);
        assert_eq!((since.items(), since.quantile(0.5).map(|wait| wait > 2.5)), (11, Some(true)));
    }

    #[test]
    fn the_first_bound_from_a_wait_on_is_the_wait_itself_or_above_it() {
        for (wait, bound) in [(300, 300), (301, 600), (1_200, 1_800), (3_601, 10_800), (1_000_000, 604_800)] {
            assert_eq!(Waits::bound_from(Duration::from_secs(wait)), Duration::from_secs(bound), "{wait}");
        }
    }
}
