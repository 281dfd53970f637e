//! The sums of the open window that go to one worker.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::addition::{Addition, Amount, FeatureRef};
use super::batch::{ContributionBatch, Span};
use super::identity::KeyId;
use super::record::Kind;
use crate::counter::{EventTime, MemberHash, Sighting, Uniques};
use crate::memory::{FlatIndex, prefetch};
use crate::pipeline::{Group, GroupId, Pipeline};

/// A key with so many sums has them in an index of their own: looking for one among them would take too long.
const MANY_SUMS: u32 = 32;

/// A row of uniques whose members were named so many times within a window is hot: from then on a
/// set of its own gathers them, which becomes a sketch when they are many different ones.
const HOT_SIGHTINGS: u32 = 1024;

/// Adds up by key. The keys of the open window lie apart from their sums, of which the first has its place with the
/// key: one cache line for a key that one feature counts. At the window's end all are written out, key by key,
/// as the records of a batch.
#[derive(Default)]
pub(super) struct OwnerSums {
    /// What had to be put aside because it was full.
    pub(super) full: Vec<ContributionBatch>,
    pub(super) batch: ContributionBatch,
    /// Where in `keys` each key of the open window is.
    pub(super) index: FlatIndex,
    pub(super) keys: Vec<KeyHead>,
    pub(super) texts: Vec<u64>,
    /// The sums of a key beyond its first.
    pub(super) more: Vec<FeatureSum>,
    /// Those of [`Kind::Values`].
    pub(super) values: Vec<f64>,
    /// Members of sums that have several, in the order in which they were seen.
    pub(super) sightings: Vec<(SumAddress, Sighting)>,
    /// The sums whose members are among these.
    pub(super) with_members: Vec<SumAddress>,
    /// The sums with uniques of their own, and their groups.
    pub(super) hot: Vec<(SumAddress, GroupId)>,
    /// By the router's numbers of them.
    pub(super) features: Vec<UsedFeature>,
    /// How many of these sums refer to.
    pub(super) used_features: u32,
    /// Where the sums are of keys that have [many](MANY_SUMS), by key and feature.
    pub(super) many: HashMap<(u32, u32), SumAddress, RandomState>,
}

/// A key that an event adds to.
#[derive(Clone, Copy)]
pub(super) struct EventKey<'a> {
    pub id: KeyId,
    /// In whole words.
    pub text: &'a [u64],
    pub text_length: u32,
    /// How far the steps towards it have come, if there was a [candidate](OwnerSums::candidate).
    pub steps: Option<Steps>,
}

/// How far the steps towards a key's sum for the first feature have come.
#[derive(Clone, Copy)]
pub(super) struct Steps {
    /// The index of the candidate.
    key: u32,
    /// No sum before this one is that of the feature.
    pub reached: SumAddress,
}

/// A key of the open window: 64 bytes.
#[repr(align(64))]
pub(super) struct KeyHead {
    pub id: KeyId,
    pub text_start: u32,
    pub text_length: u32,
    pub first: FeatureSum,
    /// Its last sum, and how many it has.
    last: SumAddress,
    sums: u32,
}

/// A feature, as the open epoch has it.
#[derive(Clone, Copy, Default)]
pub(super) struct UsedFeature {
    /// How many values its rows have; 0 where no sum refers to it.
    pub width: u16,
    /// Its index in the batch.
    pub index: u32,
}

/// What one feature of a key gets.
#[derive(Clone, Copy)]
pub(super) struct FeatureSum {
    /// By the router's number.
    pub feature: u32,
    /// The key's next sum: its index in `more`, and 1; 0 if there is none.
    pub next: u32,
    pub kind: Kind,
    pub last_update: EventTime,
    /// As in a record; of [`Kind::Values`], where they begin in `values`.
    pub amount: u64,
}

/// Where a sum is: the first of a key, or one of `more`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SumAddress(u32);

impl SumAddress {
    const FIRST_OF_KEY: u32 = 1 << 31;

    fn first_of(key: usize) -> SumAddress {
        SumAddress(key as u32 | Self::FIRST_OF_KEY)
    }

    /// The sum that is there.
    #[inline(always)]
    fn sum_mut<'a>(self, keys: &'a mut [KeyHead], more: &'a mut [FeatureSum]) -> &'a mut FeatureSum {
        match self.0 & Self::FIRST_OF_KEY {
            0 => &mut more[self.0 as usize],
            first => &mut keys[(self.0 - first) as usize].first,
        }
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

    /// Second step: asks for the key that is most probably meant.
    #[inline]
    pub fn candidate(&self, key: KeyId) -> Option<Steps> {
        let key = self.index.candidate(key.index_hash())?;
        prefetch(&self.keys[key as usize]);
        Some(Steps { key, reached: SumAddress::first_of(key as usize) })
    }

    /// Third step: looks whether it is the candidate, and whether its first sum is that of a feature. Asks for what comes
    /// next: that sum's values, or the key's next sum. Says whether that has to be [looked at](OwnerSums::step), too.
    ///
    /// Which of them it is nobody can foretell, so nothing here branches on it: both are asked for.
    #[inline(always)]
    pub fn arrive(&self, id: KeyId, feature: u32, steps: &mut Option<Steps>) -> bool {
        let Some(Steps { key, .. }) = *steps else { return false };
        let key = &self.keys[key as usize];
        if key.id != id {
            *steps = None;
            return false;
        }
        if let Some(value) = self.values.get(key.first.amount as usize) {
            prefetch(value);
        }
        self.follow(&key.first, feature, steps)
    }

    /// Further steps: looks whether the sum that was reached is that of the feature, and so on.
    #[inline(always)]
    pub fn step(&self, feature: u32, steps: &mut Option<Steps>) -> bool {
        let Some(Steps { reached, .. }) = *steps else { return false };
        let sum = self.sum(reached);
        if sum.feature == feature && sum.kind == Kind::Values {
            prefetch(&self.values[sum.amount as usize]);
        }
        self.follow(sum, feature, steps)
    }

    #[inline(always)]
    fn follow(&self, sum: &FeatureSum, feature: u32, steps: &mut Option<Steps>) -> bool {
        let next = sum.next.saturating_sub(1);
        if let Some(next) = self.more.get(next as usize) {
            prefetch(next);
        }
        let goes_on = (sum.feature != feature) & (sum.next != 0);
        if let Some(steps) = steps {
            steps.reached = if goes_on { SumAddress(next) } else { steps.reached };
        }
        goes_on
    }

    /// Adds what one event adds to one key.
    #[inline(always)]
    pub fn add(&mut self, key: EventKey<'_>, additions: &[Addition], pipeline: &Pipeline) {
        let Some((first, rest)) = additions.split_first() else { return };
        let (at, from) = match key.steps {
            Some(steps) => (steps.key, steps.reached),
            None => match self.index.find(key.id.index_hash(), |at| self.keys[at as usize].id == key.id) {
                Some(at) => (at, SumAddress::first_of(at as usize)),
                None => {
                    let at = self.begin(&key, first);
                    return self.add_rest(at, SumAddress::first_of(at), rest, pipeline);
                }
            },
        };
        let last = self.add_one(at as usize, from, first, pipeline);
        if !rest.is_empty() {
            self.add_rest(at as usize, last, rest, pipeline);
        }
    }

    /// Adds what an event adds to further features of a key: they follow each other here, too.
    fn add_rest(&mut self, key: usize, mut last: SumAddress, additions: &[Addition], pipeline: &Pipeline) {
        for addition in additions {
            let from = self.next(last).unwrap_or(SumAddress::first_of(key));
            last = self.add_one(key, from, addition, pipeline);
        }
    }

    /// Adds to one feature of a key, whose sum is looked for from one on; says where it is.
    #[inline(always)]
    fn add_one(&mut self, key: usize, from: SumAddress, addition: &Addition, pipeline: &Pipeline) -> SumAddress {
        match self.find(key, from, addition.feature.number) {
            Some(found) => {
                self.add_to(found, addition, pipeline);
                found
            }
            None => self.append(key, addition),
        }
    }

    /// Adds a sum to those of a key.
    fn append(&mut self, key: usize, addition: &Addition) -> SumAddress {
        let sum = self.first_event(addition);
        self.more.push(sum);
        let added = SumAddress(self.more.len() as u32 - 1);
        let head = &mut self.keys[key];
        let before = std::mem::replace(&mut head.last, added);
        head.sums += 1;
        let sums = head.sums;
        self.sum_mut(before).next = added.0 + 1;
        if sums == MANY_SUMS {
            let mut at = Some(SumAddress::first_of(key));
            while let Some(sum) = at {
                self.many.insert((key as u32, self.sum(sum).feature), sum);
                at = self.next(sum);
            }
        } else if sums > MANY_SUMS {
            self.many.insert((key as u32, sum.feature), added);
        }
        added
    }

    #[inline(always)]
    fn begin(&mut self, key: &EventKey<'_>, addition: &Addition) -> usize {
        let at = self.keys.len();
        let first = self.first_event(addition);
        let EventKey { id, text, text_length, .. } = *key;
        let text_start = self.texts.len() as u32;
        self.keys.push(KeyHead { id, text_start, text_length, first, last: SumAddress::first_of(at), sums: 1 });
        text.iter().for_each(|word| self.texts.push(*word));
        self.index.insert(id.index_hash(), at as u32);
        at
    }

    fn first_event(&mut self, addition: &Addition) -> FeatureSum {
        let FeatureRef { number: feature, width, .. } = addition.feature;
        if self.features.len() <= feature as usize {
            self.features.resize(feature as usize + 1, UsedFeature::default());
        }
        let used = &mut self.features[feature as usize];
        if used.width == 0 {
            *used = UsedFeature { width, index: self.used_features };
            self.used_features += 1;
        }
        let (kind, amount) = match addition.amount {
            Amount::Weight(1.0) => (Kind::Unit, 0),
            Amount::Weight(weight) => (Kind::Weight, weight.to_bits()),
            Amount::Member(member) => (Kind::Member, member.0),
        };
        FeatureSum { feature, next: 0, kind, last_update: addition.time, amount }
    }

    /// A key's sum for a feature, looked for from one of its sums on and all around.
    #[inline(always)]
    fn find(&self, key: usize, from: SumAddress, feature: u32) -> Option<SumAddress> {
        if self.sum(from).feature == feature {
            return Some(from);
        }
        self.find_around(key, from, feature)
    }

    fn find_around(&self, key: usize, from: SumAddress, feature: u32) -> Option<SumAddress> {
        if self.keys[key].sums >= MANY_SUMS {
            return self.many.get(&(key as u32, feature)).copied();
        }
        let first = SumAddress::first_of(key);
        let mut at = self.next(from).unwrap_or(first);
        while at != from {
            if self.sum(at).feature == feature {
                return Some(at);
            }
            at = self.next(at).unwrap_or(first);
        }
        None
    }

    #[inline(always)]
    fn next(&self, at: SumAddress) -> Option<SumAddress> {
        self.sum(at).next.checked_sub(1).map(SumAddress)
    }

    #[inline(always)]
    pub(super) fn sum(&self, at: SumAddress) -> &FeatureSum {
        match at.0 & SumAddress::FIRST_OF_KEY {
            0 => &self.more[at.0 as usize],
            first => &self.keys[(at.0 - first) as usize].first,
        }
    }

    #[inline(always)]
    pub(super) fn sum_mut(&mut self, at: SumAddress) -> &mut FeatureSum {
        at.sum_mut(&mut self.keys, &mut self.more)
    }

    #[inline(always)]
    fn add_to(&mut self, at: SumAddress, addition: &Addition, pipeline: &Pipeline) {
        let group = pipeline.group(addition.feature.group);
        match addition.amount {
            Amount::Weight(weight) => self.add_weight(at, addition, weight, group),
            Amount::Member(member) => {
                self.add_member(at, Sighting { member, time: addition.time }, addition.feature.group, group);
            }
        }
    }

    #[inline(always)]
    fn add_weight(&mut self, at: SumAddress, addition: &Addition, weight: f64, group: &Group) {
        let (decays, width) = (group.decays_of(addition.feature.shape), usize::from(addition.feature.width));
        let OwnerSums { keys, more, values, .. } = self;
        let sum = at.sum_mut(keys, more);
        if sum.kind != Kind::Values {
            let first = if sum.kind == Kind::Unit { 1.0 } else { f64::from_bits(sum.amount) };
            (sum.kind, sum.amount) = (Kind::Values, values.len() as u64);
            values.resize(values.len() + width, 0.0);
            decays.begin(&mut values[sum.amount as usize..], first);
        }
        let values = &mut values[sum.amount as usize..][..width];
        decays.add(&mut sum.last_update, values, addition.time, weight);
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
}
