//! How many different things there are, in bounded memory.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Remembers things by their hash, each with what is counted of it; when told to, only a fair share of
/// them: those whose hash begins with so many zero bits, whatever the order in which they come. So
/// what is remembered stands for all, each for `2^level` of them (Gibbons, "Distinct sampling for
/// highly-accurate answers to distinct values queries", VLDB 2001).
pub(super) struct DistinctSample<T> {
    level: u32,
    seen: HashMap<u64, T, RandomState>,
}

impl<T> Default for DistinctSample<T> {
    fn default() -> Self {
        DistinctSample { level: 0, seen: HashMap::default() }
    }
}

impl<T> DistinctSample<T> {
    /// What is counted of the thing with this hash, which begins with `new`; `None` where it does not belong to the
    /// share.
    pub(super) fn entry(&mut self, hash: u64, new: impl FnOnce() -> T) -> Option<&mut T> {
        (hash.leading_zeros() >= self.level).then(|| self.seen.entry(hash).or_insert_with(new))
    }

    /// Goes on with half of what is remembered.
    pub(super) fn thin(&mut self) {
        self.level += 1;
        let level = self.level;
        self.seen.retain(|hash, _| hash.leading_zeros() >= level);
        self.seen.shrink_to_fit();
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether a share stands for all.
    pub(super) fn is_thinned(&self) -> bool {
        self.level > 0
    }

    /// For how many each stands.
    pub(super) fn stands_for(&self) -> u64 {
        1 << self.level
    }

    /// What is counted of those that are remembered.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.seen.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh3::xxh3_64;

    #[test]
    fn it_is_exact_until_it_is_thinned_and_near_afterwards() {
        let mut sample = DistinctSample::default();
        for round in 0..2u64 {
            for thing in 0..100_000u64 {
                if let Some(count) = sample.entry(xxh3_64(&thing.to_le_bytes()), || 0u64) {
                    *count += 1;
                }
                if round == 1 && thing % 25_000 == 0 {
                    sample.thin();
                }
            }
            if round == 0 {
                assert_eq!((sample.len() as u64, sample.is_thinned()), (100_000, false));
            }
        }
        assert_eq!(sample.stands_for(), 16);
        // 6,250 are remembered: the standard error is 1.3 %.
        let estimate = sample.len() as u64 * sample.stands_for();
        assert!((95_000..105_000).contains(&estimate), "{estimate}");
        assert!(sample.values().all(|count| *count == 2), "what is remembered was never forgotten");
    }
}
