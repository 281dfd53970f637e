//! What all rows of a feature share, which stands once in the file.

use std::fmt::Write as _;

use rusqlite::{Connection, params};

use super::reshape::Reshapes;
use super::schema::{PUT_FEATURE, SELECT_FEATURES};
use crate::pipeline::Pipeline;
use crate::sink::newest::{FeatureNumbers, newest_numbered};
use crate::sink::{ItemBatch, ItemRef};

/// The features of a table by their ids, and which of them the file does not have yet.
#[derive(Debug, Default)]
pub(super) struct Features {
    numbers: FeatureNumbers,
    known: Vec<Option<Feature>>,
    unrecorded: Vec<u32>,
    /// Whose rows have the shape of an earlier run.
    reshapes: Reshapes,
}

#[derive(Clone, Debug, PartialEq)]
struct Feature {
    name: String,
    /// The decay intervals as a JSON array.
    decays: String,
    /// In time units; `None`: for ever.
    ttl: Option<i64>,
    units_per_second: i64,
    more: Option<More>,
    /// It is described by an earlier run, and none of its items was written by this one.
    is_of_earlier: bool,
}

/// What an entry of `counts` has beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    Squares,
    Errors,
}

impl More {
    const ALL: [More; 2] = [More::Squares, More::Errors];

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
    /// What the file knows from an earlier run: its rows name features by the numbers that they have there.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Features> {
        let mut features = Features::default();
        let mut select = connection.prepare(SELECT_FEATURES)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (id, more): (u32, Option<String>) = (row.get(0)?, row.get(5)?);
            let more = more.and_then(|more| More::ALL.into_iter().find(|known| known.name() == more));
            let feature = Feature {
                name: row.get(1)?,
                decays: row.get(2)?,
                ttl: row.get(3)?,
                units_per_second: row.get(4)?,
                more,
                is_of_earlier: true,
            };
            features.put(id, feature);
        }
        let with_ids = (0..).zip(&features.known);
        let known = with_ids.filter_map(|(id, feature)| Some((feature.as_ref()?.name.as_str(), id)));
        features.numbers = FeatureNumbers::of_known(known);
        Ok(features)
    }

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
            Some(Some(feature)) if feature.is_of_earlier => return self.compare(id, Feature::of(item, pipeline)),
            Some(Some(feature)) if more.is_none() || feature.more == more => return,
            Some(Some(feature)) => feature.more = more,
            _ => self.put(id, Feature::of(item, pipeline)),
        }
        self.unrecorded.push(id);
    }

    fn put(&mut self, id: u32, feature: Feature) {
        self.known.resize_with(self.known.len().max(id as usize + 1), || None);
        self.known[id as usize] = Some(feature);
    }

    /// Takes notice of what this run has of a feature of an earlier one.
    #[cold]
    fn compare(&mut self, id: u32, mut now: Feature) {
        let Some(was) = self.known[id as usize].take() else { return };
        let drops_more = now.more.is_some() && was.more.is_some() && now.more != was.more;
        // Rows of before may still have it.
        now.more = now.more.or(was.more);
        if now.decays != was.decays || drops_more {
            self.reshapes.add(id, &was.decays, &now.decays, drops_more);
        }
        if now != (Feature { is_of_earlier: false, ..was }) {
            self.unrecorded.push(id);
        }
        self.put(id, now);
    }

    /// Puts those into the file that it does not have.
    pub(super) fn record(&self, connection: &Connection) -> rusqlite::Result<()> {
        for id in &self.unrecorded {
            let Some(feature) = &self.known[*id as usize] else { continue };
            let Feature { name, decays, ttl, units_per_second, more, .. } = feature;
            let more = more.map(More::name);
            let mut put = connection.prepare_cached(PUT_FEATURE)?;
            put.execute(params![id, name, decays, ttl, units_per_second, more])?;
        }
        self.reshapes.carry_out(connection)
    }

    /// Takes notice that what was put into the file is durable.
    pub(super) fn recorded(&mut self) {
        self.unrecorded.clear();
        self.reshapes = Reshapes::default();
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
            is_of_earlier: false,
        }
    }
}
