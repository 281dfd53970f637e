//! Published items, as they are written and read everywhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::counter::{DecayInterval, EventTime, effective_sample_size};
use crate::epoch::Version;

/// A published row as it is written and read everywhere: JSON in logs and SQLite, attributes of the
/// same names in DynamoDB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// The key's text.
    pub key: String,
    /// The feature's name.
    pub feature_name: String,
    /// One entry per decay interval, under the interval in time units.
    pub counts: BTreeMap<DecayInterval, Count>,
    /// Which of two items of one key and feature is the newer.
    pub version: Version,
    /// When the item may be forgotten, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// What it counts begins only here: what came before was evicted when memory ran short. In the
    /// event's time unit; mostly there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<EventTime>,
}

/// The value of one decay interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// The time in which the value falls to 1/e, in the event's time unit.
    pub decay_interval: DecayInterval,
    /// The time of the newest event in it.
    pub last_update: EventTime,
    /// The value at the last update.
    pub value: f64,
    /// The decayed sum of squared weights at the last update, where a ratio divides by this feature.
    /// It falls twice as fast: with half the interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub squares: Option<f64>,
    /// The relative standard error of an estimate (of uniques); 0 where it is exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
}

impl Item {
    /// The second since 1970 at which its ttl had passed, where that is so at the second `as_of`. It may be forgotten
    /// since then, and is shown as long as it is there.
    pub fn expired_since(&self, as_of: i64) -> Option<i64> {
        self.expires_at.filter(|expires_at| *expires_at <= as_of)
    }
}

impl Count {
    /// The effective sample size, where the squares are kept: it does not change as time passes.
    pub fn effective_sample_size(&self) -> Option<f64> {
        effective_sample_size(self.value, self.squares?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_has_expired_from_its_last_second_on() {
        let text = r#"{"key":"a","featureName":"like","counts":{},"version":1,"expiresAt":100}"#;
        let item: Item = serde_json::from_str(text).unwrap();
        assert_eq!([99, 100, 101].map(|as_of| item.expired_since(as_of)), [None, Some(100), Some(100)]);
        assert_eq!(Item { expires_at: None, ..item }.expired_since(i64::MAX), None);
    }
}
