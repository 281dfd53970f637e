//! What writing an item takes.

use super::size::item_bytes;
use crate::counter::EventTime;
use crate::epoch::Version;
use crate::pipeline::{FeatureKey, Pipeline};
use crate::sink::{Count, Item};

/// What a write unit of DynamoDB writes, in bytes.
const WRITE_UNIT_BYTES: usize = 1024;

/// The write units that an item of so many bytes takes.
pub(crate) fn write_units(bytes: usize) -> u64 {
    bytes.div_ceil(WRITE_UNIT_BYTES).max(1) as u64
}

/// The size of an item of this feature as a run would publish it, without its key's text: with as many digits as there can be.
pub(crate) fn typical_item_bytes(pipeline: &Pipeline, feature: &FeatureKey) -> usize {
    // Decayed values, versions and times have as many digits as there can be.
    const VALUE: f64 = std::f64::consts::PI;
    const VERSION: Version = Version(u64::MAX >> 1);
    const NANOSECONDS: i128 = 1_707_605_599_123_456_789;
    let unit = pipeline.event.time_unit;
    let time = unit.from_nanoseconds(NANOSECONDS);
    let group = pipeline.group(feature.group);
    let is_uniques = group.measure(feature.measure).members.is_some();
    let count = |decay_interval| Count {
        decay_interval,
        last_update: EventTime(time),
        value: VALUE,
        squares: pipeline.needs_squares(&feature.name).then_some(VALUE),
        error: is_uniques.then_some(VALUE),
    };
    item_bytes(&Item {
        key: String::new(),
        feature_name: feature.name.clone(),
        counts: group.decays.intervals().iter().map(|interval| (*interval, count(*interval))).collect(),
        version: VERSION,
        expires_at: group.ttl.map(|_| unit.to_seconds(time)),
        since: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_takes_a_unit_for_each_beginning_kibibyte() {
        assert_eq!([0, 1, 1_024, 1_025, 4_096].map(write_units), [1, 1, 1, 2, 4]);
    }
}
