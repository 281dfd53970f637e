//! From the sums of a window to what crosses the exchange: key by key, as the records of a batch.

use super::batch::{ContributionBatch, Span};
use super::owner_sums::{FeatureSum, OwnerSums, UsedFeature};
use super::record::{Kind, begin_record, end_record, push_contribution};
use crate::counter::Sighting;
use crate::epoch::Window;
use crate::memory::text_words;
use crate::pipeline::{FeatureKey, Pipeline};

/// What a sum takes at most in a record, its values, and its key's text aside: with its key, if it is the first.
const MOST_WORDS_BESIDE: usize = 6;

/// So much of each kind stays for the next window; what one needed beyond goes with it.
const KEPT_BYTES: usize = 8 << 20;

/// Empties a vector, and gives back most of a large one.
fn empty<T>(vec: &mut Vec<T>) {
    vec.clear();
    vec.shrink_to(KEPT_BYTES / size_of::<T>());
}

impl OwnerSums {
    /// Ends the open window.
    pub fn close_window(&mut self, window: Window, pipeline: &Pipeline) {
        self.sort_members(pipeline);
        self.write_out();
        self.batch.end_window(window);
        self.forget_window();
    }

    /// Writes the keys of the open window and their sums into the batch.
    fn write_out(&mut self) {
        // Enough for all of them, at once: nothing grows beyond what it needs.
        let sums = self.keys.len() + self.more.len();
        self.batch.words.reserve(self.texts.len() + self.values.len() + MOST_WORDS_BESIDE * sums);
        let words = &mut self.batch.words;
        for key in &self.keys {
            let text = &self.texts[key.text_start as usize..][..text_words(key.text_length as usize)];
            let start = begin_record(words, key.id, text, key.text_length);
            let mut next = Some(&key.first);
            while let Some(FeatureSum { feature, kind, last_update, amount, next: after }) = next.copied() {
                let UsedFeature { width, index: feature } = self.features[feature as usize];
                match kind {
                    Kind::Unit => push_contribution(words, feature, kind, last_update, &[]),
                    Kind::Values => {
                        let values = &self.values[amount as usize..][..usize::from(width)];
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
        empty(&mut self.keys);
        empty(&mut self.texts);
        empty(&mut self.more);
        empty(&mut self.values);
        empty(&mut self.sightings);
        self.with_members.clear();
        self.hot.clear();
        self.many.clear();
    }

    /// Puts the batch aside and begins another one. The open window must be closed.
    pub fn put_aside(&mut self, features: &[FeatureKey], pipeline: &Pipeline) {
        let mut batch = std::mem::take(&mut self.batch);
        let used = self.features.iter().zip(features).filter(|(used, _)| used.width > 0);
        let mut used: Vec<(u32, &FeatureKey)> = used.map(|(used, feature)| (used.index, feature)).collect();
        used.sort_unstable_by_key(|(index, _)| *index);
        used.into_iter().for_each(|(_, feature)| batch.name_feature(feature, pipeline));
        self.features.clear();
        self.used_features = 0;
        self.full.push(batch);
    }

    /// Hands over the batches of the epoch: one at least, be it empty.
    pub fn take_epoch(&mut self, features: &[FeatureKey], pipeline: &Pipeline) -> Vec<ContributionBatch> {
        self.put_aside(features, pipeline);
        std::mem::take(&mut self.full)
    }
}
