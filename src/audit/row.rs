//! What a recount is made of: rows by their identity, additions by their time, and the share of keys that is looked at.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128_with_seed};

use crate::pipeline::{FeatureKey, Pipeline, RowShape};

/// The identity of a row: of the text of its key and of its feature's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct RowId {
    pub key: KeyId,
    pub feature: FeatureId,
}

/// The identity of a key's text. 128 bits of a hash with a random seed, in two words: texts are not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct KeyId([u64; 2]);

/// The identity of a feature's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct FeatureId(u64);

/// What one event adds to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Addition {
    /// The event's time, in its unit.
    pub time: i64,
    /// Of a row of values the bits of the weight, of a row of uniques the hash of the member.
    pub amount: u64,
}

/// So many events add the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub addition: Addition,
    pub events: i64,
}

/// Makes identities, the same in all threads of a recount.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identities {
    seed: u64,
}

impl Identities {
    /// With a seed that nobody can guess: who makes the events may choose the keys.
    pub fn random() -> Identities {
        Identities { seed: rand::random() }
    }

    pub fn key(self, text: &[u8]) -> KeyId {
        let hash = xxh3_128_with_seed(text, self.seed);
        KeyId([(hash >> 64) as u64, hash as u64])
    }

    pub fn feature(self, name: &str) -> FeatureId {
        FeatureId(xxh3_64_with_seed(name.as_bytes(), !self.seed))
    }

    /// Of a member of uniques.
    pub fn member(self, text: &[u8]) -> u64 {
        xxh3_64_with_seed(text, self.seed.rotate_left(32))
    }
}

/// One feature, as the pipeline file makes it.
#[derive(Clone, Debug)]
pub(super) struct Feature {
    pub key: FeatureKey,
    pub shape: RowShape,
}

/// The features that events have made so far. Shared by the workers.
#[derive(Debug, Default)]
pub(super) struct Features {
    known: Mutex<HashMap<FeatureId, Arc<Feature>, RandomState>>,
}

impl Features {
    pub fn learn(&self, id: FeatureId, key: &FeatureKey, pipeline: &Pipeline) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(id).or_insert_with(|| Arc::new(Feature { key: key.clone(), shape: pipeline.shape(key) }));
    }

    pub fn all(&self) -> HashMap<FeatureId, Arc<Feature>, RandomState> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Which keys are looked at: one in so many, by a hash of the key's text without a seed, so that they are the same on both sides
/// and every time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    one_in: u64,
}

/// A share that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no share of keys: give 1/N, as in 1/100")]
pub struct InvalidSample(String);

impl Sample {
    /// Every key.
    pub const ALL: Sample = Sample { one_in: 1 };

    /// Whether this key is looked at.
    #[inline]
    pub fn takes(self, key: &[u8]) -> bool {
        self.one_in == 1 || xxh3_64(key).is_multiple_of(self.one_in)
    }

    /// Whether it is not all of them.
    pub fn is_partial(self) -> bool {
        self.one_in > 1
    }
}

impl FromStr for Sample {
    type Err = InvalidSample;

    fn from_str(text: &str) -> Result<Sample, InvalidSample> {
        let one_in = text.trim().strip_prefix("1/").and_then(|number| number.trim().parse().ok());
        one_in
            .filter(|one_in| *one_in > 0)
            .map(|one_in| Sample { one_in })
            .ok_or_else(|| InvalidSample(text.to_owned()))
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1/{}", self.one_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_takes_about_as_many_keys_as_it_says_and_always_the_same() {
        let tenth: Sample = "1/10".parse().unwrap();
        let takes = |key: u32| tenth.takes(key.to_string().as_bytes());
        let taken = (0..10_000).filter(|key| takes(*key)).count();
        assert!((900..1_100).contains(&taken), "{taken}");
        assert!((0..10_000).all(|key| Sample::ALL.takes(&[key as u8])));
        assert_eq!(tenth.to_string(), "1/10");
        for wrong in ["", "1/0", "2/10", "10", "1/-1", "1/x"] {
            assert_eq!(wrong.parse::<Sample>(), Err(InvalidSample(wrong.to_owned())));
        }
    }
}
