//! A ratio and items of its features, for the tests of what reads and of what shows it.

use std::collections::BTreeMap;

use super::{Count, Item};
use crate::counter::{DecayInterval, EventTime};
use crate::epoch::Version;
use crate::pipeline::{Prior, Ratio, RatioKind};

pub(crate) fn interval(units: i64) -> DecayInterval {
    DecayInterval::new(units).unwrap()
}

/// What was liked of what was viewed, with an interval of 10.
pub(crate) fn ratio() -> Ratio {
    Ratio {
        name: "ctr".to_owned(),
        numerator: "like".to_owned(),
        denominator: "view".to_owned(),
        kind: RatioKind::Proportion,
        prior: Some(Prior { numerator: 1.0, denominator: 20.0 }),
        decays: vec![interval(10)],
    }
}

/// An item of the key `p`, alike in the intervals of 10 and of 99.
pub(crate) fn item(name: &str, last_update: i64, value: f64, squares: Option<f64>) -> Item {
    let count =
        Count { decay_interval: interval(10), last_update: EventTime(last_update), value, squares, error: None };
    Item {
        key: "p".to_owned(),
        feature_name: name.to_owned(),
        counts: BTreeMap::from([(interval(10), count), (interval(99), count)]),
        version: Version(1),
        expires_at: None,
        since: None,
    }
}
