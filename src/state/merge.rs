//! Adding the sums of a window to keys.

use super::block::row_words;
use super::blocks::{BlockAddress, Blocks, MOST_BLOCKS};
use super::counters::{ApplyError, DecayCounters};
use super::features::Feature;
use super::marks::RhythmId;
use super::uniques_store::UniquesStore;
use crate::counter::{EventTime, MemberHash, Uniques, UniquesScheme};
use crate::pipeline::{Pipeline, RowShape};
use crate::sums::{Amount, Contribution, Damaged, KeySums, Keys, Sum};

/// How many keys are merged together.
const TOGETHER: usize = 32;

impl DecayCounters {
    /// Merges some dozen keys at a time: the memory that they need is asked for before the first is merged.
    pub(super) fn merge_all(&mut self, mut keys: Keys<'_>, features: &[u32]) -> Result<(), ApplyError> {
        let mut together = Vec::with_capacity(TOGETHER);
        loop {
            together.clear();
            for key in keys.by_ref().take(TOGETHER) {
                let key = key?;
                self.keys.prefetch_index(key.id());
                together.push(key);
            }
            together.iter().for_each(|key| self.keys.prefetch_block(key.id()));
            for key in &together {
                self.merge(key, features)?;
            }
            if together.len() < TOGETHER {
                return Ok(());
            }
        }
    }

    #[inline]
    fn merge(&mut self, key: &KeySums<'_>, features: &[u32]) -> Result<(), ApplyError> {
        let mut block = match self.keys.find(key.id()) {
            Some(block) => block,
            None => self.begin(key, features)?,
        };
        self.touch(block);
        let mut shortest: Option<RhythmId> = None;
        for contribution in key.contributions() {
            let contribution = contribution?;
            let feature = features.get(contribution.feature as usize).copied();
            let feature = feature.ok_or(Damaged("a feature that was not named"))?;
            let rhythm = self.features.get(feature).rhythm;
            shortest = Some(shortest.map_or(rhythm, |shortest| shortest.min(rhythm)));
            block = self.merge_row(block, feature, &contribution)?;
        }
        if let Some(rhythm) = shortest {
            self.keys.queue(block, rhythm, self.now);
        }
        Ok(())
    }

    /// Adds a key, with room for the rows that it gets.
    fn begin(&mut self, key: &KeySums<'_>, features: &[u32]) -> Result<BlockAddress, ApplyError> {
        let (mut words, mut number) = (0, None);
        let mut first: Option<EventTime> = None;
        for contribution in key.contributions() {
            let Contribution { sum, last_update, feature } = contribution?;
            number = features.get(feature as usize).copied();
            let shown = number.map_or(0, |number| self.features.get(number).shown_words);
            words += match sum {
                Sum::One(_) => row_words(1),
                Sum::Values(values) => row_words(values.len() + shown),
                Sum::Members(_) | Sum::Uniques(_) => row_words(1 + shown),
            };
            first = Some(first.map_or(last_update, |first| first.min(last_update)));
        }
        let first = first.ok_or(Damaged("a key without a contribution"))?;
        let since = self.limiter.as_ref().and_then(|limiter| limiter.since(key.id(), first));
        let block = self.keys.insert(key.id(), key.text(), since, words).ok_or_else(|| self.no_room(key.text()))?;
        if let Some(number) = number {
            self.features.add_key(number);
        }
        Ok(block)
    }

    /// Merges what one feature of a key gets; says where the key's block is then.
    #[inline]
    fn merge_row(
        &mut self,
        key: BlockAddress,
        number: u32,
        contribution: &Contribution<'_>,
    ) -> Result<BlockAddress, ApplyError> {
        let feature = self.features.get(number);
        check(feature, contribution, &self.pipeline)?;
        let row = match self.keys.block(key).find(number) {
            Ok(row) => row,
            Err(row) => return self.add_row(key, row, number, contribution),
        };
        let (time, width) = (contribution.last_update, feature.width);
        if feature.shape == RowShape::Uniques {
            return self.merge_uniques(key, row, number, contribution);
        }
        let (mut key, mut grown) = (key, 0);
        if self.keys.block(key).row(row).is_single() {
            let more = feature.all_words(false) - 1;
            grown = more;
            key = self.keys.make_room(key, more).ok_or_else(|| self.no_room_for(key))?;
            let mut block = self.keys.block_mut(key);
            let weight = f64::from_bits(block.read().row(row).word());
            block.grow_row(row, more);
            let (_, values) = self.keys.change_row(key, row, width);
            feature.decays.begin(bytemuck::cast_slice_mut(values), weight);
            if feature.shown_words > 0 {
                // If it was written, or is being written, then as it was until now.
                let values = &self.keys.block(key).row(row).words(width);
                let shown: Vec<f32> = bytemuck::cast_slice(values).iter().map(|value: &f64| *value as f32).collect();
                let last_update = self.keys.block(key).row(row).last_update();
                self.keys.remember_row(key, row, feature, last_update, &shown);
            }
        }
        let (last_update, values) = self.keys.change_row(key, row, width);
        let mut own = EventTime(*last_update as i64);
        let values = bytemuck::cast_slice_mut(values);
        match contribution.sum {
            Sum::One(Amount::Weight(weight)) => feature.decays.add(&mut own, values, time, weight),
            Sum::Values(amount) => feature.decays.merge(&mut own, values, time, amount),
            // Of uniques, as was checked.
            _ => {}
        }
        *last_update = own.0 as u64;
        if grown > 0 {
            self.features.grow(number, 8 * grown.cast_signed());
        }
        Ok(key)
    }

    /// Adds a row to a key.
    fn add_row(
        &mut self,
        key: BlockAddress,
        row: usize,
        number: u32,
        contribution: &Contribution<'_>,
    ) -> Result<BlockAddress, ApplyError> {
        let feature = self.features.get(number);
        let time = contribution.last_update;
        let (single, word);
        // What it has outside of its key's block.
        let mut beside = 0;
        let shown_words = feature.shown_words;
        let mut words: &[u64] = match contribution.sum {
            // A large block moves for no single event: its rows have their values from the beginning.
            Sum::One(Amount::Weight(weight)) if Blocks::is_large(key) => {
                single = false;
                self.values.resize(feature.width, 0.0);
                feature.decays.begin(&mut self.values, weight);
                bytemuck::cast_slice(&self.values)
            }
            Sum::One(amount) => {
                single = true;
                word = match amount {
                    Amount::Weight(weight) => weight.to_bits(),
                    Amount::Member(MemberHash(member)) => member,
                };
                std::slice::from_ref(&word)
            }
            Sum::Values(values) => {
                single = false;
                bytemuck::cast_slice(values)
            }
            Sum::Members(_) | Sum::Uniques(_) => {
                single = false;
                let set = &self.pipeline.group(feature.key.group).other_shapes.uniques;
                let mut uniques = Uniques::new();
                add_members(&mut uniques, set, &contribution.sum, time);
                beside = UniquesStore::bytes_of(&uniques);
                word = self.uniques.insert(uniques);
                std::slice::from_ref(&word)
            }
        };
        let with_shown: Vec<u64>;
        if shown_words > 0 && !single {
            with_shown = words.iter().copied().chain(std::iter::repeat_n(0, shown_words)).collect();
            words = &with_shown;
        }
        let key = match self.keys.make_room(key, row_words(words.len())) {
            Some(key) => key,
            None => return Err(self.no_room_for(key)),
        };
        self.keys.insert_row(key, row, number, single, time, words);
        let words = words.len();
        self.expiry.note(feature.kept_for, time);
        self.features.add_row(number, words);
        self.features.grow(number, beside.cast_signed());
        Ok(key)
    }

    /// Why a key's block cannot be larger.
    fn no_room_for(&self, key: BlockAddress) -> ApplyError {
        self.no_room(self.keys.block(key).text())
    }

    pub(super) fn no_room(&self, text: &[u8]) -> ApplyError {
        if self.keys.keys() >= MOST_BLOCKS {
            return ApplyError::TooManyKeys;
        }
        ApplyError::KeyTooLarge(String::from_utf8_lossy(text).into_owned())
    }

    fn merge_uniques(
        &mut self,
        mut key: BlockAddress,
        row: usize,
        number: u32,
        contribution: &Contribution<'_>,
    ) -> Result<BlockAddress, ApplyError> {
        let feature = self.features.get(number);
        let set = &self.pipeline.group(feature.key.group).other_shapes.uniques;
        let before = self.keys.block(key).row(row);
        let (is_single, may_be_shown) = (before.is_single(), before.may_be_shown());
        let (last_update, words) = self.keys.change_row(key, row, 1);
        let (before, time) = (EventTime(*last_update as i64), contribution.last_update);
        *last_update = before.max(time).0 as u64;
        if !is_single {
            let grown = self.uniques.change(words[0], |uniques| add_members(uniques, set, &contribution.sum, time));
            self.features.grow(number, grown);
            return Ok(key);
        }
        let member = MemberHash(words[0]);
        // What its item shows is of the time before, and has to be remembered.
        let is_remembered = feature.shown_words > 0 && may_be_shown && time > before;
        if !is_remembered && matches!(contribution.sum, Sum::One(Amount::Member(again)) if again == member) {
            return Ok(key);
        }
        let mut uniques = Uniques::new();
        uniques.add(set, member, before);
        add_members(&mut uniques, set, &contribution.sum, time);
        let grown = UniquesStore::bytes_of(&uniques) + 8 * feature.shown_words;
        let word = self.uniques.insert(uniques);
        key = self.keys.make_room(key, feature.shown_words).ok_or_else(|| self.no_room_for(key))?;
        self.keys.block_mut(key).grow_row(row, feature.shown_words);
        *self.keys.block_mut(key).row_word_mut(row) = word;
        if feature.shown_words > 0 {
            let shown = vec![1.0; feature.decays.width()];
            self.keys.remember_row(key, row, feature, before, &shown);
        }
        self.features.grow(number, grown.cast_signed());
        Ok(key)
    }
}

/// Whether what was received can be added to rows of this feature.
#[inline]
fn check(feature: &Feature, contribution: &Contribution<'_>, pipeline: &Pipeline) -> Result<(), Damaged> {
    if contribution.last_update < EventTime(0) {
        return Err(Damaged("a time before 1970"));
    }
    let of_uniques = feature.shape == RowShape::Uniques;
    let fits = match &contribution.sum {
        Sum::One(Amount::Weight(weight)) => !of_uniques && weight.is_finite(),
        Sum::Values(values) => {
            !of_uniques && values.len() == feature.width && values.iter().all(|value| value.is_finite())
        }
        Sum::One(Amount::Member(_)) => of_uniques,
        Sum::Members(seen) => of_uniques && seen.iter().all(|seen| seen.time >= EventTime(0)),
        Sum::Uniques(uniques) => {
            of_uniques && uniques.fits(&pipeline.group(feature.key.group).other_shapes.window_uniques)
        }
    };
    if fits { Ok(()) } else { Err(Damaged("an amount that its feature does not have")) }
}

/// Adds the members of a contribution; `time` is its last update.
fn add_members(uniques: &mut Uniques, set: &UniquesScheme, sum: &Sum<'_>, time: EventTime) {
    match sum {
        Sum::One(Amount::Member(member)) => uniques.add(set, *member, time),
        Sum::Members(seen) => uniques.add_all(set, seen),
        Sum::Uniques(part) => uniques.merge(set, part),
        Sum::One(Amount::Weight(_)) | Sum::Values(_) => {}
    }
}
