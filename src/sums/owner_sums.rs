//! The sums of the open window that go to one worker.

use super::batch::{Amount, ContributionBatch, Span};
use super::identity::KeyId;
use super::record::{Kind, begin_record, end_record, push_contribution, text_words};
use super::window_sums::{Addition, FeatureRef};
use crate::counter::{EventTime, MemberHash, Sighting, Uniques};
use crate::epoch::Window;
use crate::memory::{FlatIndex, prefetch};
use crate::pipeline::{FeatureKey, Group, GroupId, Pipeline};

/// A row of uniques whose members were named so many times within a window is hot: from then on a
/// set of its own gathers them, which becomes a sketch when they are many different ones.
const HOT_SIGHTINGS: u32 = 1024;

/// Adds up by key. The keys of the open window lie apart from their sums, of which the first has its place with the
/// key: one cache line for a key that one feature counts. At the window's end all are written out, key by key,
/// as the records of a batch.
#[derive(Default)]
pub(super) struct OwnerSums {
    /// What had to be put aside because it was full.
    full: Vec<ContributionBatch>,
    batch: ContributionBatch,
    /// Where in `keys` each key of the open window is.
    index: FlatIndex,
    keys: Vec<KeyHead>,
    texts: Vec<u64>,
    /// The sums of a key beyond its first.
    more: Vec<FeatureSum>,
    /// Those of [`Kind::Values`].
    values: Vec<f64>,
    /// Members of sums that have several, in the order in which they were seen.
    sightings: Vec<(SumAddress, Sighting)>,
    /// The sums whose members are among these.
    with_members: Vec<SumAddress>,
    /// The sums with uniques of their own, and their groups.
    hot: Vec<(SumAddress, GroupId)>,
    /// For each of the router's features, how many values its rows have; 0 where no sum refers to it.
    widths: Vec<u16>,
}

/// A key of the open window: 64 bytes.
#[repr(align(64))]
struct KeyHead {
    id: KeyId,
    text_start: u32,
    text_length: u32,
    first: FeatureSum,
}

/// What one feature of a key gets.
#[derive(Clone, Copy)]
struct FeatureSum {
    feature: u32,
    /// The key's next sum: its index in `more`, and 1; 0 if there is none.
    next: u32,
    kind: Kind,
    last_update: EventTime,
    /// As in a record; of [`Kind::Values`], where they begin in `values`.
    amount: u64,
}

/// Where a sum is: the first of a key, or one of `more`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SumAddress(u32);

impl SumAddress {
    const FIRST_OF_KEY: u32 = 1 << 31;

    fn first_of(key: usize) -> SumAddress {
        SumAddress(key as u32 | Self::FIRST_OF_KEY)
    }
}

/// Most vectors may become so long, and a little longer.
const ROOM: usize = 1 << 30;

impl OwnerSums {
    /// First step towards an [`OwnerSums::add`] that comes soon.
    #[inline]
    pub fn prefetch_index(&self, key: KeyId) {
        self.index.prefetch(key.index_hash());
    }

    /// Second step towards it.
    #[inline]
    pub fn prefetch_key(&self, key: KeyId) {
        if let Some(at) = self.index.candidate(key.index_hash()) {
            prefetch(&self.keys[at as usize]);
        }
    }

    /// Adds what one event adds to one key.
    #[inline]
    pub fn add(&mut self, key: KeyId, text: &[u64], text_length: u32, additions: &[Addition], pipeline: &Pipeline) {
        let Some((first, rest)) = additions.split_first() else { return };
        let found = self.index.find(key.index_hash(), |at| self.keys[at as usize].id == key);
        let (key, mut last, rest) = match found {
            Some(at) => (at as usize, SumAddress::first_of(at as usize), additions),
            None => {
                let at = self.begin(key, text, text_length, first);
                (at, SumAddress::first_of(at), rest)
            }
        };
        let mut from = last;
        for addition in rest {
            match self.find(key, from, addition.feature.number) {
                Ok(found) => {
                    last = found;
                    self.add_to(found, addition, pipeline.group(addition.feature.group));
                }
                Err(tail) => {
                    let sum = self.first_event(addition);
                    self.more.push(sum);
                    self.sum_mut(tail).next = self.more.len() as u32;
                    last = SumAddress(self.more.len() as u32 - 1);
                }
            }
            // The features of one event follow each other here, too.
            from = self.next(last).unwrap_or(SumAddress::first_of(key));
        }
    }

    fn begin(&mut self, id: KeyId, text: &[u64], text_length: u32, addition: &Addition) -> usize {
        let key = self.keys.len();
        let first = self.first_event(addition);
        self.keys.push(KeyHead { id, text_start: self.texts.len() as u32, text_length, first });
        text.iter().for_each(|word| self.texts.push(*word));
        self.index.insert(id.index_hash(), key as u32);
        key
    }

    fn first_event(&mut self, addition: &Addition) -> FeatureSum {
        let FeatureRef { number: feature, width, .. } = addition.feature;
        if self.widths.len() <= feature as usize {
            self.widths.resize(feature as usize + 1, 0);
        }
        self.widths[feature as usize] = width;
        let (kind, amount) = match addition.amount {
            Amount::Weight(1.0) => (Kind::Unit, 0),
            Amount::Weight(weight) => (Kind::Weight, weight.to_bits()),
            Amount::Member(member) => (Kind::Member, member.0),
        };
        FeatureSum { feature, next: 0, kind, last_update: addition.time, amount }
    }

    /// A key's sum for a feature, looked for from one of its sums on and all around; if there is none, its last sum.
    #[inline]
    fn find(&self, key: usize, from: SumAddress, feature: u32) -> Result<SumAddress, SumAddress> {
        let mut at = from;
        let tail = loop {
            if self.sum(at).feature == feature {
                return Ok(at);
            }
            match self.next(at) {
                Some(next) => at = next,
                None => break at,
            }
        };
        at = SumAddress::first_of(key);
        while at != from {
            if self.sum(at).feature == feature {
                return Ok(at);
            }
            match self.next(at) {
                Some(next) => at = next,
                None => break,
            }
        }
        Err(tail)
    }

    #[inline]
    fn next(&self, at: SumAddress) -> Option<SumAddress> {
        self.sum(at).next.checked_sub(1).map(SumAddress)
    }

    #[inline]
    fn sum(&self, at: SumAddress) -> &FeatureSum {
        match at.0 & SumAddress::FIRST_OF_KEY {
            0 => &self.more[at.0 as usize],
            first => &self.keys[(at.0 - first) as usize].first,
        }
    }

    #[inline]
    fn sum_mut(&mut self, at: SumAddress) -> &mut FeatureSum {
        match at.0 & SumAddress::FIRST_OF_KEY {
            0 => &mut self.more[at.0 as usize],
            first => &mut self.keys[(at.0 - first) as usize].first,
        }
    }

    #[inline]
    fn add_to(&mut self, at: SumAddress, addition: &Addition, group: &Group) {
        match addition.amount {
            Amount::Weight(weight) => self.add_weight(at, addition, weight, group),
            Amount::Member(member) => {
                self.add_member(at, Sighting { member, time: addition.time }, addition.feature.group, group);
            }
        }
    }

    #[inline]
    fn add_weight(&mut self, at: SumAddress, addition: &Addition, weight: f64, group: &Group) {
        let decays = group.decays_of(addition.feature.shape);
        let FeatureSum { kind, amount, mut last_update, .. } = *self.sum(at);
        let start = if kind == Kind::Values {
            amount as usize
        } else {
            let first = if kind == Kind::Unit { 1.0 } else { f64::from_bits(amount) };
            let start = self.values.len();
            self.values.resize(start + decays.width(), 0.0);
            decays.begin(&mut self.values[start..], first);
            start
        };
        let values = &mut self.values[start..][..decays.width()];
        decays.add(&mut last_update, values, addition.time, weight);
        let sum = self.sum_mut(at);
        (sum.kind, sum.amount, sum.last_update) = (Kind::Values, start as u64, last_update);
    }

    fn add_member(&mut self, at: SumAddress, seen: Sighting, id: GroupId, group: &Group) {
        let FeatureSum { kind, mut amount, last_update: before, .. } = *self.sum(at);
        let window_uniques = &group.other_shapes.window_uniques;
        let mut becomes = kind;
        match kind {
            Kind::Member if amount == seen.member.0 => {}
            Kind::Members if Span::from_word(amount).count < HOT_SIGHTINGS => {
                self.sightings.push((at, seen));
                amount += 1;
            }
            Kind::Members => {
                let mut uniques = Uniques::new();
                uniques.add(window_uniques, seen.member, seen.time);
                amount = self.batch.uniques.len() as u64;
                self.batch.uniques.push(uniques);
                becomes = Kind::Uniques;
                self.hot.push((at, id));
            }
            Kind::Uniques => {
                self.batch.uniques[amount as usize].add(window_uniques, seen.member, seen.time);
            }
            _ => {
                let first = Sighting { member: MemberHash(amount), time: before };
                self.sightings.extend([(at, first), (at, seen)]);
                amount = Span { start: 0, count: 2 }.word();
                self.with_members.push(at);
                becomes = Kind::Members;
            }
        }
        let sum = self.sum_mut(at);
        (sum.kind, sum.amount, sum.last_update) = (becomes, amount, seen.time.max(before));
    }

    /// Whether there is so much that the next event's addresses might not fit into 32 bits.
    pub fn is_full(&self) -> bool {
        let members = self.batch.sightings.len() + self.sightings.len();
        let sums = self.texts.len().max(self.keys.len() + self.more.len());
        self.batch.words.len().max(members).max(sums).max(self.values.len()) > ROOM
    }

    /// Ends the open window.
    pub fn close_window(&mut self, window: Window, pipeline: &Pipeline) {
        self.sort_members(pipeline);
        self.write_out();
        self.batch.end_window(window);
        self.forget_window();
    }

    /// Writes the keys of the open window and their sums into the batch.
    fn write_out(&mut self) {
        let words = &mut self.batch.words;
        for key in &self.keys {
            let text = &self.texts[key.text_start as usize..][..text_words(key.text_length as usize)];
            let start = begin_record(words, key.id, text, key.text_length);
            let mut next = Some(&key.first);
            while let Some(FeatureSum { feature, kind, last_update, amount, next: after }) = next.copied() {
                match kind {
                    Kind::Unit => push_contribution(words, feature, kind, last_update, &[]),
                    Kind::Values => {
                        let width = usize::from(self.widths[feature as usize]);
                        let values = &self.values[amount as usize..][..width];
                        push_contribution(words, feature, kind, last_update, bytemuck::cast_slice(values));
                    }
                    _ => push_contribution(words, feature, kind, last_update, &[amount]),
                }
                next = after.checked_sub(1).map(|index| &self.more[index as usize]);
            }
            end_record(words, start);
        }
    }

    /// Moves the members that were seen to where those of each sum stand together.
    fn sort_members(&mut self, pipeline: &Pipeline) {
        let mut end = self.batch.sightings.len();
        for index in 0..self.with_members.len() {
            let sum = self.sum_mut(self.with_members[index]);
            if sum.kind == Kind::Members {
                let Span { count, .. } = Span::from_word(sum.amount);
                // The count is that of the members that have found their place.
                sum.amount = Span { start: end as u32, count: 0 }.word();
                end += count as usize;
            }
        }
        self.batch.sightings.resize(end, Sighting::default());
        self.hot.sort_unstable_by_key(|(at, _)| *at);
        for index in 0..self.sightings.len() {
            let (at, seen) = self.sightings[index];
            let FeatureSum { kind, amount, .. } = *self.sum(at);
            if kind == Kind::Members {
                let Span { start, count } = Span::from_word(amount);
                self.batch.sightings[(start + count) as usize] = seen;
                self.sum_mut(at).amount += 1;
            } else if let Ok(hot) = self.hot.binary_search_by_key(&at, |(at, _)| *at) {
                let set = &pipeline.group(self.hot[hot].1).other_shapes.window_uniques;
                self.batch.uniques[amount as usize].add(set, seen.member, seen.time);
            }
        }
    }

    /// Forgets the open window.
    fn forget_window(&mut self) {
        self.index.clear(self.keys.iter().zip(0..).map(|(key, at)| (key.id.index_hash(), at)));
        self.keys.clear();
        self.texts.clear();
        self.more.clear();
        self.values.clear();
        self.sightings.clear();
        self.with_members.clear();
        self.hot.clear();
    }

    /// Puts the batch aside and begins another one. The open window must be closed.
    pub fn put_aside(&mut self, features: &[FeatureKey], pipeline: &Pipeline) {
        let mut batch = std::mem::take(&mut self.batch);
        for ((number, feature), width) in (0u32..).zip(features).zip(&self.widths) {
            if *width > 0 {
                batch.name_feature(number, feature, pipeline);
            }
        }
        self.widths.clear();
        // The next one will have as many.
        self.batch.words.reserve(batch.words.len());
        self.full.push(batch);
    }

    /// Hands over the batches of the epoch: one at least, be it empty.
    pub fn take_epoch(&mut self, features: &[FeatureKey], pipeline: &Pipeline) -> Vec<ContributionBatch> {
        self.put_aside(features, pipeline);
        std::mem::take(&mut self.full)
    }
}
