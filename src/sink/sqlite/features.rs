//! What all rows of a feature share, which stands once in the file.

use std::fmt::Write as _;

use rusqlite::{Connection, params};

use super::schema::PUT_FEATURE;
use crate::pipeline::Pipeline;
use crate::sink::newest::{FeatureNumbers, newest_numbered};
use crate::sink::{ItemBatch, ItemRef};

/// The features of a table by their ids, and which of them the file does not have yet.
#[derive(Debug, Default)]
pub(super) struct Features {
    numbers: FeatureNumbers,
    known: Vec<Option<Feature>>,
    unrecorded: Vec<u32>,
}

#[derive(Debug)]
struct Feature {
    name: String,
    /// The decay intervals as a JSON array.
    decays: String,
    /// In time units; `None`: for ever.
    ttl: Option<i64>,
    units_per_second: i64,
    more: Option<More>,
}

/// What an entry of `counts` has beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    Squares,
    Errors,
}

impl More {
    fn of(item: &ItemRef<'_>) -> Option<More> {
        match (item.squares, item.errors) {
            ([], []) => None,
            (_, []) => Some(More::Squares),
            _ => Some(More::Errors),
        }
    }

    /// As it is called in a published entry.
    fn name(self) -> &'static str {
        match self {
            More::Squares => "squares",
            More::Errors => "error",
        }
    }
}

impl Features {
    /// The newest of these items with the ids of their features, in the order of (key, id). New features are taken
    /// notice of.
    pub(super) fn newest_of<'a>(
        &mut self,
        batches: &'a [ItemBatch],
        pipeline: &'a Pipeline,
    ) -> Vec<(u32, ItemRef<'a>)> {
        let items = newest_numbered(batches, pipeline, &mut self.numbers);
        for (id, item) in &items {
            self.learn(*id, item, pipeline);
        }
        items
    }

    #[inline]
    fn learn(&mut self, id: u32, item: &ItemRef<'_>, pipeline: &Pipeline) {
        let more = More::of(item);
        match self.known.get_mut(id as usize) {
            Some(Some(feature)) if more.is_none() || feature.more == more => return,
            Some(Some(feature)) => feature.more = more,
            _ => {
                self.known.resize_with(self.known.len().max(id as usize + 1), || None);
                self.known[id as usize] = Some(Feature::of(item, pipeline));
            }
        }
        self.unrecorded.push(id);
    }

    /// Puts those into the file that it does not have.
    pub(super) fn record(&self, connection: &Connection) -> rusqlite::Result<()> {
        for id in &self.unrecorded {
            let Some(feature) = &self.known[*id as usize] else { continue };
            let Feature { name, decays, ttl, units_per_second, more } = feature;
            let more = more.map(More::name);
            let mut put = connection.prepare_cached(PUT_FEATURE)?;
            put.execute(params![id, name, decays, ttl, units_per_second, more])?;
        }
        Ok(())
    }

    /// Takes notice that what was put into the file is durable.
    pub(super) fn recorded(&mut self) {
        self.unrecorded.clear();
    }
}

impl Feature {
    fn of(item: &ItemRef<'_>, pipeline: &Pipeline) -> Feature {
        let mut decays = String::new();
        for interval in item.group.decays.intervals() {
            let separator = if decays.is_empty() { '[' } else { ',' };
            let _ = write!(decays, "{separator}{}", interval.units());
        }
        decays.push(']');
        Feature {
            name: item.feature_name.to_owned(),
            decays,
            ttl: item.group.ttl,
            units_per_second: pipeline.event.time_unit.per_second(),
            more: More::of(item),
        }
    }
}
