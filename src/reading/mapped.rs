//! All features of a key as a map, for people to read: `features` of an item in the layout `key` with `encoding = "map"`.
//!
//! The same members as JSON in SQLite and as attributes in DynamoDB.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Count;
use crate::counter::{DecayInterval, EventTime};

/// One number for each decay interval.
pub type ByInterval = BTreeMap<DecayInterval, f64>;

/// A feature as it stands in the map, under its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MappedFeature {
    /// The time of the newest event in it.
    pub last_update: EventTime,
    /// Seconds since 1970; without it: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The values at the last update.
    pub values: ByInterval,
    /// The decayed sums of squared weights, where a ratio divides by the feature.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub squares: ByInterval,
    /// The relative standard errors of uniques.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: ByInterval,
}

impl MappedFeature {
    /// A feature as an item of its own has it.
    pub fn of(
        last_update: EventTime,
        expires_at: Option<i64>,
        counts: impl IntoIterator<Item = Count, IntoIter: Clone>,
    ) -> Self {
        let counts = counts.into_iter();
        let by_interval = |number: fn(&Count) -> Option<f64>| -> ByInterval {
            counts.clone().filter_map(|count| Some((count.decay_interval, number(&count)?))).collect()
        };
        MappedFeature {
            last_update,
            expires_at,
            values: by_interval(|count| Some(count.value)),
            squares: by_interval(|count| count.squares),
            errors: by_interval(|count| count.error),
        }
    }

    /// As the entries of an item of its own.
    pub fn counts(&self) -> BTreeMap<DecayInterval, Count> {
        let count = |(interval, value): (&DecayInterval, &f64)| Count {
            decay_interval: *interval,
            last_update: self.last_update,
            value: *value,
            squares: self.squares.get(interval).copied(),
            error: self.errors.get(interval).copied(),
        };
        self.values.iter().map(|entry| (*entry.0, count(entry))).collect()
    }
}
