//! A few events of each block are looked at, to tell which keys get most.

use std::time::Instant;

use crate::pipeline::GroupId;
use crate::telemetry::{HotKeys, SampledKey};

/// About so many events of a block: a large one costs no more than a small one.
const LOOKS_PER_BLOCK: u64 = 32;

/// And never more than so many: where a large block comes behind a small one.
const MOST_LOOKS: u64 = 128;

/// So many keys of an event are noted; one that is exploded may have very many.
const KEYS_PER_LOOK: usize = 8;

/// Chooses at random among events that may be looked at, so that no rhythm of the stream matters, by how many of these the block before
/// had; keeps their keys until the block ends.
#[derive(Debug, Default)]
pub(super) struct KeySampler {
    /// How many events pass until the next is looked at.
    pass: u64,
    /// So many pass between two, on average.
    stride: u64,
    /// How many of the block could be looked at, and how many were.
    chances: u64,
    looks: u64,
    keys: Vec<SampledKey>,
}

impl KeySampler {
    /// Whether an event is to be looked at that may be.
    pub fn is_due(&mut self) -> bool {
        self.chances += 1;
        let is_due = self.pass == 0;
        self.pass = self.pass.wrapping_sub(1);
        is_due
    }

    /// Looks at the keys of an event.
    #[cold]
    pub fn look<'a>(&mut self, keys: impl Iterator<Item = (GroupId, &'a [u8])>) {
        self.looks += 1;
        self.pass = if self.looks < MOST_LOOKS { rand::random_range(0..=2 * self.stride) } else { u64::MAX };
        self.keys.extend(keys.take(KEYS_PER_LOOK).map(|(group, text)| SampledKey { group, text: text.into() }));
    }

    /// Hands over what was seen in a block of so many events: those that were looked at stand for all.
    pub fn end_block(&mut self, events: u64, hot: &HotKeys, now: Instant) {
        if self.looks > 0 {
            let stands_for = events as f64 / std::mem::take(&mut self.looks) as f64;
            hot.note(events as f64, stands_for, self.keys.drain(..), now);
        }
        let stride = std::mem::take(&mut self.chances) / LOOKS_PER_BLOCK;
        if stride != self.stride {
            (self.stride, self.pass) = (stride, rand::random_range(0..=stride));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_blocks_are_seen_whole_and_of_large_ones_a_few_events() {
        let (mut sampler, hot) = (KeySampler::default(), HotKeys::default());
        let mut looks = Vec::new();
        for events in [1, 1, 4, 10_000, 10_000, 10_000, 3, 3] {
            let mut seen = 0;
            for number in 0..events {
                if sampler.is_due() {
                    seen += 1;
                    sampler.look([(GroupId(0), if number % 2 == 0 { b"even".as_slice() } else { b"odd" })].into_iter());
                }
            }
            sampler.end_block(events, &hot, Instant::now());
            looks.push(seen);
        }
        assert_eq!(looks[..4], [1, 1, 4, MOST_LOOKS]);
        // At random, and on average 32.
        assert!(looks[4..6].iter().all(|seen| (12..=80).contains(seen)), "{looks:?}");
        assert_eq!(looks[7], 3);
        let shares: Vec<_> = hot.top(5).iter().map(|key| key.share).collect();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
        assert!(shares.iter().all(|share| (0.3..0.7).contains(share)), "no rhythm of the events matters: {shares:?}");
    }
}
