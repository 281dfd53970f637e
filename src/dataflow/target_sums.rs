//! The sums of the open window that go to one worker.

use super::contribution::{ContributionBatch, Span};
use super::flat_index::FlatIndex;
use super::identity::RowId;
use super::records::{Form, KeyWords, Place};
use super::route::EventAmount;
use super::window_sums::Addition;
use crate::counter::{EventTime, MemberHash, Sighting, Uniques};
use crate::epoch::Window;
use crate::pipeline::{FeatureKey, Group, GroupId, Pipeline};

/// A row of uniques whose members were named so many times within a window is hot: from then on a
/// set of its own gathers them, which becomes a sketch when they are many different ones.
const HOT_SIGHTINGS: u32 = 1024;

/// Sums and where they are: they are added up where they will leave, in the records of a batch.
#[derive(Default)]
pub struct TargetSums {
    /// What had to be put aside because it was full.
    full: Vec<ContributionBatch>,
    batch: ContributionBatch,
    /// Where the record of each row of the open window begins.
    index: FlatIndex,
    /// Where the open window begins in the batch's records.
    window_start: usize,
    /// Members of rows that have several, in the order in which they were seen: each with the place
    /// of its row's record.
    sightings: Vec<(Place, Sighting)>,
    /// The records whose members are among these.
    members: Vec<Place>,
    /// The records with uniques of their own, and their groups.
    hot: Vec<(Place, GroupId)>,
    /// For each of the router's features, whether a record refers to it.
    features: Vec<bool>,
}

impl TargetSums {
    /// First step towards a [`TargetSums::add`] that comes soon.
    #[inline]
    pub fn prefetch_index(&self, row: RowId) {
        self.index.prefetch(row.index_hash());
    }

    /// Second step towards it.
    #[inline]
    pub fn prefetch_record(&self, row: RowId) {
        if let Some(place) = self.index.candidate(row.index_hash()) {
            self.batch.records.prefetch(place);
        }
    }

    /// Adds one event to a row.
    #[inline]
    pub fn add(&mut self, addition: &Addition, key: KeyWords<'_>, group: &Group) {
        let hash = addition.row.index_hash();
        let Some(place) = self.index.find(hash, |place| self.batch.records.get(place).is_of(addition.row)) else {
            return self.begin(addition, key);
        };
        match addition.amount {
            EventAmount::Weight(weight) => self.add_weight(place, addition, weight, group),
            EventAmount::Member(member) => {
                self.add_member(place, Sighting { member, time: addition.time }, addition.rows.group, group);
            }
        }
    }

    fn begin(&mut self, addition: &Addition, key: KeyWords<'_>) {
        let place = self.batch.records.len() as Place;
        let (form, amount) = match addition.amount {
            EventAmount::Weight(weight) => (Form::Weight, weight.to_bits()),
            EventAmount::Member(member) => (Form::Member, member.0),
        };
        let feature = addition.rows.feature;
        self.batch.records.push(addition.row, feature, addition.time, form, amount, key);
        self.index.insert(addition.row.index_hash(), place);
        if self.features.len() <= feature as usize {
            self.features.resize(feature as usize + 1, false);
        }
        self.features[feature as usize] = true;
    }

    #[inline]
    fn add_weight(&mut self, mut place: Place, addition: &Addition, weight: f64, group: &Group) {
        let decays = group.decays_of(addition.rows.shape);
        let record = self.batch.records.get(place);
        if record.form() == Form::Weight {
            let first = f64::from_bits(record.amount()[0]);
            let longer = self.batch.records.replace_by_values(place, decays.width());
            self.index.relocate(addition.row.index_hash(), place, longer);
            place = longer;
            let (_, values) = self.batch.records.get_mut(place);
            decays.begin(bytemuck::cast_slice_mut(values), first);
        }
        let (last_update, values) = self.batch.records.get_mut(place);
        let mut time = EventTime(*last_update as i64);
        decays.add(&mut time, bytemuck::cast_slice_mut(values), addition.time, weight);
        *last_update = time.0 as u64;
    }

    fn add_member(&mut self, place: Place, seen: Sighting, id: GroupId, group: &Group) {
        let record = self.batch.records.get(place);
        let (form, word, before) = (record.form(), record.amount()[0], record.last_update());
        let (last_update, amount) = self.batch.records.get_mut(place);
        *last_update = seen.time.max(before).0 as u64;
        match form {
            Form::Member if word == seen.member.0 => {}
            Form::Member => {
                let first = Sighting { member: MemberHash(word), time: before };
                self.sightings.extend([(place, first), (place, seen)]);
                amount[0] = Span { start: 0, count: 2 }.word();
                self.members.push(place);
                self.batch.records.set_form(place, Form::Members);
            }
            Form::Members if Span::from_word(word).count < HOT_SIGHTINGS => {
                self.sightings.push((place, seen));
                amount[0] = word + 1;
            }
            Form::Members => {
                let mut uniques = Uniques::new();
                uniques.add(&group.other_shapes.window_uniques, seen.member, seen.time);
                amount[0] = self.batch.uniques.len() as u64;
                self.batch.uniques.push(uniques);
                self.batch.records.set_form(place, Form::Uniques);
                self.hot.push((place, id));
            }
            _ => {
                let uniques = &mut self.batch.uniques[word as usize];
                uniques.add(&group.other_shapes.window_uniques, seen.member, seen.time);
            }
        }
    }

    /// Whether there is so much that the next event's places might not fit into 32 bits.
    pub fn is_full(&self) -> bool {
        const ROOM: usize = 1 << 30;
        self.batch.records.len() > ROOM || self.batch.sightings.len() + self.sightings.len() > ROOM
    }

    /// Ends the open window.
    pub fn close_window(&mut self, window: Window, pipeline: &Pipeline) {
        self.sort_members(pipeline);
        let end = self.batch.records.len();
        if end > self.window_start {
            self.batch.windows.push((window, end));
        }
        self.forget_places();
        self.window_start = end;
    }

    /// Moves the members that were seen to where those of each row stand together.
    fn sort_members(&mut self, pipeline: &Pipeline) {
        let ContributionBatch { records, sightings, uniques, .. } = &mut self.batch;
        let mut end = sightings.len();
        for place in self.members.drain(..) {
            if records.get(place).form() == Form::Members {
                let (_, amount) = records.get_mut(place);
                let Span { count, .. } = Span::from_word(amount[0]);
                // The count is that of the members that have found their place.
                amount[0] = Span { start: end as u32, count: 0 }.word();
                end += count as usize;
            }
        }
        sightings.resize(end, Sighting::default());
        self.hot.sort_unstable_by_key(|(place, _)| *place);
        for (place, seen) in self.sightings.drain(..) {
            let form = records.get(place).form();
            let (_, amount) = records.get_mut(place);
            if form == Form::Members {
                let Span { start, count } = Span::from_word(amount[0]);
                sightings[(start + count) as usize] = seen;
                amount[0] += 1;
            } else if let Ok(hot) = self.hot.binary_search_by_key(&place, |(place, _)| *place) {
                let set = &pipeline.group(self.hot[hot].1).other_shapes.window_uniques;
                uniques[amount[0] as usize].add(set, seen.member, seen.time);
            }
        }
        self.hot.clear();
    }

    /// Puts the batch aside and begins another one. The open window must be closed.
    pub fn put_aside(&mut self, features: &[FeatureKey]) {
        let batch = self.take_batch(features);
        self.full.push(batch);
    }

    /// Hands over the batches of the epoch: one at least, be it empty.
    pub fn take_epoch(&mut self, features: &[FeatureKey]) -> Vec<ContributionBatch> {
        self.put_aside(features);
        std::mem::take(&mut self.full)
    }

    fn take_batch(&mut self, features: &[FeatureKey]) -> ContributionBatch {
        let mut batch = std::mem::take(&mut self.batch);
        let used = (0u32..).zip(features).zip(&self.features).filter(|(_, used)| **used);
        batch.features = used.map(|((number, feature), _)| (number, feature.clone())).collect();
        self.features.clear();
        self.window_start = 0;
        // The next one will have as many.
        self.batch.records.reserve(batch.records.len());
        batch
    }

    /// See [`super::window_sums::WindowSums::drain_rows`].
    pub fn drain_rows(&mut self, mut each: impl FnMut(RowId, u32, &[u8])) {
        for (_, record) in self.batch.records.iter(0, self.batch.records.len()) {
            each(record.row(), record.feature(), record.key());
        }
        self.forget_places();
        self.batch.records.clear();
        self.batch.uniques.clear();
        self.window_start = 0;
        self.sightings.clear();
        self.members.clear();
        self.hot.clear();
        self.features.clear();
    }

    /// Forgets where the records of the open window begin.
    fn forget_places(&mut self) {
        let records = self.batch.records.iter(self.window_start, self.batch.records.len());
        self.index.clear(records.map(|(place, record)| (record.row().index_hash(), place)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataflow::contribution::Amount;
    use crate::dataflow::records::append_key_words;
    use crate::dataflow::route::Rows;
    use crate::pipeline::{MeasureId, RowShape};

    const PIPELINE: &str = r#"
        name = "test"
        event = { name = "n", time = "t" }
        [[counters]]
        name = "user"
        key = ["u"]
        events = "*"
        decays = ["1h"]
    "#;

    /// An epoch may leave in several batches, and a window in several parts: nothing is lost or doubled.
    #[test]
    fn what_is_put_aside_leaves_with_the_epoch() {
        let pipeline = Pipeline::parse(PIPELINE, "test.toml", &|_| None).expect("a valid pipeline");
        let feature = FeatureKey { group: GroupId(0), measure: MeasureId(0), name: "user.like.count".into() };
        let features = [feature];
        let mut sums = TargetSums::default();
        let add = |sums: &mut TargetSums, user: &str| {
            let row = RowId::of_test_key(user.as_bytes());
            let rows = Rows { group: GroupId(0), feature: 0, shape: RowShape::Values };
            let mut words = Vec::new();
            append_key_words(&mut words, user.as_bytes());
            let addition = Addition { row, rows, time: EventTime(5), amount: EventAmount::Weight(1.0) };
            sums.add(&addition, KeyWords { words: &words, length: user.len() }, pipeline.group(GroupId(0)));
        };
        for part in 0..3 {
            (0..100).for_each(|user| add(&mut sums, &user.to_string()));
            add(&mut sums, "7");
            sums.close_window(Window(9), &pipeline);
            if part < 2 {
                sums.put_aside(&features);
            }
        }
        let batches = sums.take_epoch(&features);
        assert_eq!(batches.len(), 3);
        for batch in &batches {
            assert_eq!(batch.features, [(0, features[0].clone())]);
            let parts: Vec<_> = batch.windows().collect();
            assert!(matches!(&parts[..], [(Window(9), _)]));
            let weight = |amount: Amount<'_>| match amount {
                Amount::Weight(weight) => weight,
                Amount::Values(values) => values[0],
                Amount::Members(_) => 0.0,
            };
            let weights: Vec<f64> =
                batch.contributions(parts[0].1.clone()).map(|contribution| weight(contribution.amount)).collect();
            assert_eq!((weights.len(), weights.iter().sum::<f64>()), (100, 101.0));
        }
        assert!(sums.take_epoch(&features).iter().all(|batch| batch.windows().next().is_none()));
    }
}
