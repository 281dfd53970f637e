//! What writing an item takes before it is made: for plans, and for holding a rate.

use super::size::item_bytes;
use crate::counter::EventTime;
use crate::epoch::Version;
use crate::pipeline::{Encoding, FeatureKey, Layout, Pipeline, RowShape};
use crate::sink::{Count, Item};

/// What an item of a whole key takes without its text and its features, about.
pub(crate) const KEY_ITEM_BYTES: usize = 96;

/// What a feature takes in an item of its whole key, about: packed, its values, its times, and what its name has of its own.
pub(crate) fn typical_bytes_in_key(pipeline: &Pipeline, feature: &FeatureKey) -> usize {
    const PACKED_BESIDE_VALUES: usize = 16;
    match pipeline.publish.layout {
        Layout::Key(Encoding::Map) => typical_item_bytes(pipeline, feature),
        Layout::Feature | Layout::Key(Encoding::Packed) => {
            let intervals = pipeline.group(feature.group).decays.width();
            let values = if pipeline.shape(feature) == RowShape::Values { intervals } else { 2 * intervals };
            PACKED_BESIDE_VALUES + 8 * values
        }
    }
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
