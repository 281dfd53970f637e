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
    /// What it counts begins only here: what came before was evicted when memory ran short, or came before the pipeline file had the
    /// feature. In the event's time unit; mostly there is none.
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

/// A value as it is published: DynamoDB's numbers reach from 1e-130 to 9.99..e125, and an item is
/// the same everywhere. What is smaller is 0, what is larger is the largest.
pub fn published(value: f64) -> f64 {
    const SMALLEST: f64 = 1e-130;
    const LARGEST: f64 = 1e126_f64.next_down();
    if value.abs() < SMALLEST { 0.0 } else { value.clamp(-LARGEST, LARGEST) }
}

/// When an item expires, in seconds since 1970: its last update and its group's ttl, both in time units. `None` where that is
/// later than any time.
pub fn expires_at(last_update: EventTime, ttl: i64, units_per_second: i64) -> Option<i64> {
    let expiry = last_update.0.checked_add(ttl)?;
    // Rounded up: a row lives out its ttl in full.
    Some(expiry.saturating_sub(1).div_euclid(units_per_second) + 1)
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
    fn published_values_fit_every_sink() {
        assert_eq!(published(1e-131), 0.0);
        assert_eq!(published(1e126), 1e126_f64.next_down());
        assert!(format!("{:?}", published(-f64::MAX)).ends_with("e125"));
        assert_eq!(published(0.1), 0.1);
    }

    #[test]
    fn a_ttl_ends_with_the_second_that_it_ends_in() {
        let ends = |time, ttl| expires_at(EventTime(time), ttl, 1_000);
        assert_eq!([ends(0, 1_000), ends(0, 1_001), ends(1, 1_999), ends(-5, 1)], [Some(1), Some(2), Some(2), Some(0)]);
        assert_eq!(ends(i64::MAX, 1), None);
    }

    #[test]
    fn an_item_has_expired_from_its_last_second_on() {
        let text = r#"{"key":"a","featureName":"like","counts":{},"version":1,"expiresAt":100}"#;
        let item: Item = serde_json::from_str(text).unwrap();
        assert_eq!([99, 100, 101].map(|as_of| item.expired_since(as_of)), [None, Some(100), Some(100)]);
        assert_eq!(Item { expires_at: None, ..item }.expired_since(i64::MAX), None);
    }
}
