//! What crosses the exchange: the sums of one epoch by key, as plain data.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::addition::Amount;
use super::identity::KeyId;
use super::record::{Damaged, Kind, RawContribution, RawContributions, Record, split_record};
use crate::clock::TimeSamples;
use crate::counter::{DecayInterval, EventTime, MemberHash, Sighting, Uniques};
use crate::epoch::Window;
use crate::peers::WorkerIndex;
use crate::pipeline::{FeatureKey, Pipeline, RowShape};

/// The version of everything that is described in this file and in `record`.
const FORMAT: u16 = 1;

/// What one worker's events of one epoch add to the keys of another worker.
///
/// The records hold all but the members and uniques that they point to, so a batch is a handful of allocations
/// however many keys it holds, and it is serialisable as it stands. It means the same in every process: features
/// go by their names, values by their intervals.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContributionBatch {
    format: u16,
    /// The worker that holds the keys.
    pub(crate) owner: WorkerIndex,
    /// Times of events that the sender saw in the epoch: from all of them follows the stream's time.
    pub(crate) times: TimeSamples,
    features: Vec<SentFeature>,
    /// The windows of the epoch, ascending, and where the records of each end.
    windows: Vec<(Window, u64)>,
    pub(super) words: Vec<u64>,
    pub(super) sightings: Vec<Sighting>,
    pub(super) uniques: Vec<Uniques>,
}

/// A feature that contributions refer to, by its index in the batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SentFeature {
    name: String,
    /// What its values belong to, in this order.
    intervals: Vec<DecayInterval>,
    shape: RowShape,
}

/// What a window adds to one key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeySums<'a> {
    batch: &'a ContributionBatch,
    record: Record<'a>,
}

/// What the events of one window add to one feature of a key: a row of its own, to be merged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contribution<'a> {
    /// The feature's index in the batch.
    pub feature: u32,
    /// The time of the newest event in it.
    pub last_update: EventTime,
    pub sum: Sum<'a>,
}

/// What some events add.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sum<'a> {
    /// A single event, at the last update.
    One(Amount),
    /// Their weights, decayed to the last update: the values of a row.
    Values(&'a [f64]),
    /// The members that they name, in any order and perhaps more than once.
    Members(&'a [Sighting]),
    /// The members of a hot row.
    Uniques(&'a Uniques),
}

impl Default for ContributionBatch {
    fn default() -> ContributionBatch {
        ContributionBatch {
            format: FORMAT,
            owner: WorkerIndex::default(),
            times: TimeSamples::default(),
            features: Vec::new(),
            windows: Vec::new(),
            words: Vec::new(),
            sightings: Vec::new(),
            uniques: Vec::new(),
        }
    }
}

impl ContributionBatch {
    /// Ends a window: all records since the last one are its own.
    pub(super) fn end_window(&mut self, window: Window) {
        let end = self.words.len() as u64;
        if end > self.windows.last().map_or(0, |(_, end)| *end) {
            self.windows.push((window, end));
        }
    }

    /// Says what the contributions mean by the next index.
    pub(super) fn name_feature(&mut self, feature: &FeatureKey, pipeline: &Pipeline) {
        self.features.push(SentFeature {
            name: feature.name.clone(),
            intervals: pipeline.group(feature.group).decays.intervals().to_vec(),
            shape: pipeline.shape(feature),
        });
    }

    /// The features that contributions refer to, by their indices, as this pipeline has them.
    pub(crate) fn features<'a>(
        &'a self,
        pipeline: &'a Pipeline,
    ) -> impl Iterator<Item = Result<FeatureKey, Damaged>> + 'a {
        self.features.iter().map(|sent| {
            let feature = pipeline.feature(&sent.name).ok_or(Damaged("a feature that no group makes"))?;
            let intervals = pipeline.group(feature.group).decays.intervals();
            if intervals != sent.intervals || pipeline.shape(&feature) != sent.shape {
                return Err(Damaged("a feature with other decays or another measure"));
            }
            Ok(feature)
        })
    }

    /// Whether it is of a version that can be read, and every sum in it belongs to a window.
    pub(crate) fn check(&self) -> Result<(), Damaged> {
        if self.format != FORMAT {
            return Err(Damaged("another format"));
        }
        let ends = self.windows.iter().map(|(_, end)| *end);
        let last_end = self.windows.last().map_or(0, |(_, end)| *end);
        if !ends.is_sorted() || last_end != self.words.len() as u64 {
            return Err(Damaged("sums of no window"));
        }
        Ok(())
    }

    /// The windows, ascending, and where in the batch the sums of each are.
    pub(crate) fn windows(&self) -> impl Iterator<Item = (Window, Range<u64>)> + '_ {
        let starts = std::iter::once(0).chain(self.windows.iter().map(|(_, end)| *end));
        self.windows.iter().zip(starts).map(|((window, end), start)| (*window, start..*end))
    }

    /// The memory that it takes, in bytes: the same at both ends of an exchange.
    pub(crate) fn memory(&self) -> u64 {
        let uniques: usize = self.uniques.iter().map(|uniques| size_of_val(uniques) + uniques.heap_bytes()).sum();
        let names: usize =
            self.features.iter().map(|feature| feature.name.len() + size_of_val(feature.intervals.as_slice())).sum();
        (size_of_val(self.words.as_slice())
            + size_of_val(self.sightings.as_slice())
            + uniques
            + size_of_val(self.features.as_slice())
            + names
            + size_of_val(self.windows.as_slice())) as u64
    }

    /// What a part of the batch adds to each key.
    pub(crate) fn keys(&self, part: Range<u64>) -> Result<Keys<'_>, Damaged> {
        let words = usize::try_from(part.start).ok().zip(usize::try_from(part.end).ok());
        let words = words.and_then(|(start, end)| self.words.get(start..end)).ok_or(Damaged("no such part"))?;
        Ok(Keys { batch: self, words })
    }

    fn sum<'a>(&'a self, raw: &RawContribution<'a>) -> Option<Sum<'a>> {
        let word = || raw.amount.first().copied().filter(|_| raw.amount.len() == 1);
        Some(match raw.kind {
            Kind::Unit => Sum::One(Amount::Weight(1.0)),
            Kind::Weight => Sum::One(Amount::Weight(f64::from_bits(word()?))),
            Kind::Values => Sum::Values(bytemuck::cast_slice(raw.amount)),
            Kind::Member => Sum::One(Amount::Member(MemberHash(word()?))),
            Kind::Members => Sum::Members(self.sightings.get(Span::from_word(word()?).range())?),
            Kind::Uniques => Sum::Uniques(self.uniques.get(usize::try_from(word()?).ok()?)?),
        })
    }
}

impl<'a> KeySums<'a> {
    pub fn id(&self) -> KeyId {
        self.record.key
    }

    /// The key's text, UTF-8.
    pub fn text(&self) -> &'a [u8] {
        self.record.text
    }

    /// What each of the key's features gets.
    pub fn contributions(&self) -> Contributions<'a> {
        Contributions { batch: self.batch, raw: self.record.contributions() }
    }
}

/// See [`ContributionBatch::keys`].
#[derive(Clone)]
pub(crate) struct Keys<'a> {
    batch: &'a ContributionBatch,
    words: &'a [u64],
}

impl<'a> Iterator for Keys<'a> {
    type Item = Result<KeySums<'a>, Damaged>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let record = split_record(&mut self.words).inspect_err(|_| self.words = &[]).transpose()?;
        Some(record.map(|record| KeySums { batch: self.batch, record }))
    }
}

/// See [`KeySums::contributions`].
#[derive(Clone)]
pub(crate) struct Contributions<'a> {
    batch: &'a ContributionBatch,
    raw: RawContributions<'a>,
}

impl<'a> Iterator for Contributions<'a> {
    type Item = Result<Contribution<'a>, Damaged>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let raw = match self.raw.next()? {
            Ok(raw) => raw,
            Err(damaged) => return Some(Err(damaged)),
        };
        let Some(sum) = self.batch.sum(&raw) else { return Some(Err(Damaged("an amount that is not there"))) };
        Some(Ok(Contribution { feature: raw.feature, last_update: raw.last_update, sum }))
    }
}

/// Which of a batch's members are those of a contribution: a word of it.
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
