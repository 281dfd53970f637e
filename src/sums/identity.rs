//! Who a key is: a 128-bit identity, and the shards that keys are spread over.
//!
//! A key is the values of a list of key fields, so two things make its identity: the names of those fields and the
//! key's text. Groups that are keyed alike share their keys, and where a group stands in the pipeline file does
//! not matter. Both are hashed with a random seed, because whoever makes the events may choose the keys: without the
//! seed nobody can build two keys that meet. 128 bits make an accidental meeting of any two of 10^12 keys as
//! likely as 10^-15, so identities alone are compared and never the texts.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::counter::MemberHash;
use crate::peers::WorkerIndex;

/// Seeds the hashes; the same in every process that shares keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashSeed(pub u64);

/// The hash of the names of a key's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyFieldsHash(u128);

/// The identity of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId {
    high: u64,
    low: u64,
}

/// A fixed share of all keys: the unit in which keys belong to workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(pub u16);

impl Shard {
    /// How many shards there are, whatever the number of workers.
    pub const COUNT: u16 = 1024;

    /// The worker that holds this shard's keys.
    #[inline]
    pub fn owner(self, workers: u32) -> WorkerIndex {
        WorkerIndex(u32::from(self.0) % workers)
    }
}

impl HashSeed {
    /// A seed that nobody can guess.
    pub fn random() -> HashSeed {
        HashSeed(rand::random())
    }

    /// The hash of the names of a key's fields, in the key's order.
    pub(crate) fn key_fields<'a>(self, names: impl IntoIterator<Item = &'a str>) -> KeyFieldsHash {
        let mut bytes = Vec::new();
        for name in names {
            // The length first, so that different lists never make the same bytes.
            bytes.extend_from_slice(&(name.len() as u64).to_le_bytes());
            bytes.extend_from_slice(name.as_bytes());
        }
        KeyFieldsHash(xxh3_128_with_seed(&bytes, !self.0))
    }

    /// The identity of the key of these fields that has this text.
    #[inline]
    pub(crate) fn key(self, fields: KeyFieldsHash, text: &[u8]) -> KeyId {
        let sum = xxh3_128_with_seed(text, self.0).wrapping_add(fields.0);
        KeyId { high: (sum >> 64) as u64, low: sum as u64 }
    }

    /// The hash of a member of `uniques`.
    #[inline]
    pub(crate) fn member(self, text: &[u8]) -> MemberHash {
        MemberHash(xxh3_64_with_seed(text, self.0.rotate_left(32)))
    }
}

impl KeyId {
    /// From the highest bits, which no index uses.
    #[inline]
    pub fn shard(self) -> Shard {
        Shard((self.high >> (64 - Shard::COUNT.trailing_zeros())) as u16)
    }

    /// A hash for indexes of keys: from bits that choose neither the shard nor, in [`KeyId::words`], the first word.
    #[inline]
    pub fn index_hash(self) -> u32 {
        (self.low >> 32) as u32
    }

    /// The identity as two machine words.
    #[inline]
    pub fn words(self) -> [u64; 2] {
        [self.high, self.low]
    }

    /// The identity that was these two words.
    #[inline]
    pub fn from_words([high, low]: [u64; 2]) -> KeyId {
        KeyId { high, low }
    }

    /// The key of one field with this text, the same in all tests.
    #[cfg(test)]
    pub fn of_test_key(text: &[u8]) -> KeyId {
        HashSeed(1).key(HashSeed(1).key_fields(["userId"]), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_spread_evenly_over_shards_and_workers() {
        let mut per_worker = [0u32; 3];
        for user in 0..30_000 {
            let shard = KeyId::of_test_key(user.to_string().as_bytes()).shard();
            assert!(shard.0 < Shard::COUNT);
            per_worker[shard.owner(3).0 as usize] += 1;
        }
        assert!(per_worker.iter().all(|keys| (9_500..10_500).contains(keys)), "{per_worker:?}");
    }

    #[test]
    fn text_fields_and_seed_all_tell_keys_apart() {
        let id = |seed: u64, fields: &[&str], text: &str| {
            let seed = HashSeed(seed);
            seed.key(seed.key_fields(fields.iter().copied()), text.as_bytes())
        };
        let key = id(1, &["user", "post"], "12|34");
        assert_eq!(key, id(1, &["user", "post"], "12|34"));
        let others: [(u64, &[&str], &str); 5] = [
            (1, &["user", "post"], "12|35"),
            (1, &["post", "user"], "12|34"),
            (1, &["userpost"], "12|34"),
            (1, &["use", "rpost"], "12|34"),
            (2, &["user", "post"], "12|34"),
        ];
        for (seed, fields, text) in others {
            assert_ne!(key, id(seed, fields, text));
        }
    }
}
