//! What crosses the exchange: the sums of one epoch, as plain data.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::identity::RowId;
use super::records::{Form, Iter, Record, Records};
use crate::clock::TimeSamples;
use crate::counter::{EventTime, MemberHash, Sighting, Uniques, UniquesSet};
use crate::epoch::Window;
use crate::pipeline::FeatureKey;

/// What one worker's events of one epoch add to the rows of another worker.
///
/// [`Records`] hold all but the members and uniques that they point to, so a batch is a handful of
/// allocations however many contributions it holds, and it is serialisable as it stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ContributionBatch {
    /// The index of the worker that holds the rows.
    pub target: u64,
    /// Times of events that the sender saw in the epoch: from all of them follows the stream's time.
    pub times: TimeSamples,
    /// The features that contributions refer to, with the sender's numbers of them.
    pub features: Vec<(u32, FeatureKey)>,
    /// The windows of the epoch, ascending, and where the records of each end.
    pub(super) windows: Vec<(Window, usize)>,
    pub(super) records: Records,
    pub(super) sightings: Vec<Sighting>,
    pub(super) uniques: Vec<Uniques>,
}

/// What the events of one window add to one row: a row of its own, to be merged.
#[derive(Clone, Copy, Debug)]
pub struct Contribution<'a> {
    /// The row.
    pub row: RowId,
    /// The sender's number of the row's feature.
    pub feature: u32,
    /// The key's text, UTF-8.
    pub key: &'a [u8],
    /// The time of the newest event in it.
    pub last_update: EventTime,
    /// What the events add.
    pub amount: Amount<'a>,
}

/// What some events add to a row.
#[derive(Clone, Copy, Debug)]
pub enum Amount<'a> {
    /// The weight of a single event.
    Weight(f64),
    /// Their weights, decayed to the last update: the values of a row.
    Values(&'a [f64]),
    /// The members that they name.
    Members(Members<'a>),
}

/// The members that some events name.
#[derive(Clone, Copy, Debug)]
pub enum Members<'a> {
    /// A single one, last seen at the last update.
    One(MemberHash),
    /// Several, in any order and perhaps more than once.
    Several(&'a [Sighting]),
    /// Those of a hot row.
    Many(&'a Uniques),
}

impl Members<'_> {
    /// Adds them to uniques; `time` is the last update.
    #[inline]
    pub fn add_to(self, uniques: &mut Uniques, set: &UniquesSet, time: EventTime) {
        match self {
            Members::One(member) => uniques.add(set, member, time),
            Members::Several(seen) => uniques.add_all(set, seen),
            Members::Many(part) => uniques.merge(set, part),
        }
    }
}

impl ContributionBatch {
    /// The windows, ascending, and where in the batch the contributions of each are.
    pub fn windows(&self) -> impl Iterator<Item = (Window, Range<usize>)> + '_ {
        let starts = std::iter::once(0).chain(self.windows.iter().map(|(_, end)| *end));
        self.windows.iter().zip(starts).map(|((window, end), start)| (*window, start..*end))
    }

    /// No more rows than this get something from it.
    pub fn most_rows(&self) -> usize {
        self.records.most()
    }

    /// The memory that it takes, in bytes: the same at both ends of an exchange.
    pub fn memory(&self) -> u64 {
        let uniques: usize = self.uniques.iter().map(|uniques| size_of_val(uniques) + uniques.heap_bytes()).sum();
        let names: usize = self.features.iter().map(|(_, feature)| feature.name.len()).sum();
        (self.records.memory()
            + size_of_val(self.sightings.as_slice())
            + uniques
            + size_of_val(self.features.as_slice())
            + names
            + size_of_val(self.windows.as_slice())) as u64
    }

    /// The contributions in a part of the batch.
    pub fn contributions(&self, part: Range<usize>) -> Contributions<'_> {
        Contributions { batch: self, records: self.records.iter(part.start, part.end) }
    }

    fn contribution<'a>(&'a self, record: Record<'a>) -> Contribution<'a> {
        let words = record.amount();
        Contribution {
            row: record.row(),
            feature: record.feature(),
            key: record.key(),
            last_update: record.last_update(),
            amount: match record.form() {
                Form::Weight | Form::Replaced => Amount::Weight(f64::from_bits(words[0])),
                Form::Values => Amount::Values(bytemuck::cast_slice(words)),
                Form::Member => Amount::Members(Members::One(MemberHash(words[0]))),
                Form::Members => Amount::Members(Members::Several(&self.sightings[Span::from_word(words[0]).range()])),
                Form::Uniques => Amount::Members(Members::Many(&self.uniques[words[0] as usize])),
            },
        }
    }
}

/// See [`ContributionBatch::contributions`].
#[derive(Clone)]
pub struct Contributions<'a> {
    batch: &'a ContributionBatch,
    records: Iter<'a>,
}

impl<'a> Iterator for Contributions<'a> {
    type Item = Contribution<'a>;

    #[inline]
    fn next(&mut self) -> Option<Contribution<'a>> {
        let (_, record) = self.records.next()?;
        Some(self.batch.contribution(record))
    }
}

/// Where the members of a record stand among all: a word of the record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub start: u32,
    pub count: u32,
}

impl Span {
    #[inline]
    pub fn from_word(word: u64) -> Span {
        Span { start: (word >> 32) as u32, count: word as u32 }
    }

    #[inline]
    pub fn word(self) -> u64 {
        u64::from(self.start) << 32 | u64::from(self.count)
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.count as usize
    }
}
