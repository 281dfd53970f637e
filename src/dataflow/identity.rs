//! Who a row is: 128-bit identities, and the shards that rows are spread over.
//!
//! A row is found by the sum of two hashes, one of its key's text and one of its feature. They are
//! seeded by a random number, because whoever makes the events may choose the keys: without the seed
//! nobody can build two keys that meet. 128 bits make an accidental meeting of any two of 10^12 rows
//! as likely as 10^-15, so identities alone are compared and never the texts.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::counter::MemberHash;
use crate::pipeline::FeatureKey;

/// Seeds the hashes; the same in every process that shares rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashSeed(pub u64);

/// The hash of a key's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash(u128);

/// The hash of a [`FeatureKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureHash(u128);

/// The identity of a row: of one key and one feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RowId {
    high: u64,
    low: u64,
}

/// A fixed share of all rows: the unit in which rows belong to workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shard(pub u16);

impl Shard {
    /// How many shards there are, whatever the number of workers.
    pub const COUNT: u16 = 1024;

    /// The worker that holds this shard's rows.
    #[inline]
    pub fn worker(self, workers: u32) -> u32 {
        u32::from(self.0) % workers
    }
}

impl HashSeed {
    /// A seed that nobody can guess.
    pub fn random() -> HashSeed {
        HashSeed(rand::random())
    }

    /// The hash of a key's text.
    #[inline]
    pub fn key(self, text: &[u8]) -> KeyHash {
        KeyHash(xxh3_128_with_seed(text, self.0))
    }

    /// The hash of a member of `uniques`.
    #[inline]
    pub fn member(self, text: &[u8]) -> MemberHash {
        MemberHash(xxh3_64_with_seed(text, self.0.rotate_left(32)))
    }

    /// The hash of a feature: of its group, its measure and its name.
    pub fn feature(self, feature: &FeatureKey) -> FeatureHash {
        let mut bytes = Vec::with_capacity(4 + feature.name.len());
        bytes.extend_from_slice(&feature.group.0.to_le_bytes());
        bytes.extend_from_slice(&feature.measure.0.to_le_bytes());
        bytes.extend_from_slice(feature.name.as_bytes());
        FeatureHash(xxh3_128_with_seed(&bytes, !self.0))
    }
}

impl RowId {
    /// The row of this key and this feature.
    #[inline]
    pub fn new(key: KeyHash, feature: FeatureHash) -> RowId {
        let sum = key.0.wrapping_add(feature.0);
        RowId { high: (sum >> 64) as u64, low: sum as u64 }
    }

    /// The shard that the row belongs to: from the highest bits, which no index uses.
    #[inline]
    pub fn shard(self) -> Shard {
        Shard((self.high >> (64 - Shard::COUNT.trailing_zeros())) as u16)
    }

    /// A hash for indexes of rows: from bits that choose neither the shard nor, in
    /// [`RowId::words`], the first word.
    #[inline]
    pub fn index_hash(self) -> u32 {
        (self.low >> 32) as u32
    }

    /// The identity as two machine words.
    #[inline]
    pub fn words(self) -> [u64; 2] {
        [self.high, self.low]
    }

    /// Whether the [words](RowId::words) stand at the beginning of these. (Comparing slices would
    /// call a function.)
    #[inline]
    pub fn is_at_beginning_of(self, words: &[u64]) -> bool {
        matches!(words, [high, low, ..] if *high == self.high && *low == self.low)
    }

    /// The row of this key and one feature, the same in all tests.
    #[cfg(test)]
    pub fn of_test_key(key: &[u8]) -> RowId {
        let feature = FeatureKey {
            group: crate::pipeline::GroupId(0),
            measure: crate::pipeline::MeasureId(0),
            name: "like".into(),
        };
        RowId::new(HashSeed(1).key(key), HashSeed(1).feature(&feature))
    }

    /// The identity that was these two words.
    #[inline]
    pub fn from_words([high, low]: [u64; 2]) -> RowId {
        RowId { high, low }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{GroupId, MeasureId};

    #[test]
    fn rows_spread_evenly_over_shards_and_workers() {
        let seed = HashSeed(7);
        let feature = seed.feature(&FeatureKey { group: GroupId(0), measure: MeasureId(0), name: "like".into() });
        let mut per_worker = [0u32; 3];
        for user in 0..30_000 {
            let shard = RowId::new(seed.key(user.to_string().as_bytes()), feature).shard();
            assert!(shard.0 < Shard::COUNT);
            per_worker[shard.worker(3) as usize] += 1;
        }
        assert!(per_worker.iter().all(|rows| (9_500..10_500).contains(rows)), "{per_worker:?}");
    }

    #[test]
    fn key_feature_and_seed_all_tell_rows_apart() {
        let feature = |name: &str| FeatureKey { group: GroupId(0), measure: MeasureId(0), name: name.into() };
        let id = |seed: u64, key: &str, name: &str| {
            RowId::new(HashSeed(seed).key(key.as_bytes()), HashSeed(seed).feature(&feature(name)))
        };
        let row = id(1, "1234", "like");
        assert_eq!(row, id(1, "1234", "like"));
        for other in [id(1, "1235", "like"), id(1, "1234", "view"), id(2, "1234", "like"), id(1, "like", "1234")] {
            assert_ne!(row, other);
        }
    }
}
