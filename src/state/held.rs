//! How much a worker holds of each group: kept up to date row by row, never counted anew.

use super::block::row_words;
use crate::pipeline::GroupId;
use crate::telemetry::GroupHoldings;

/// What is held of each group. The bytes of a row are those in its key's block, and beside it those of its uniques.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<GroupHoldings>);

impl Held {
    /// A row came, with so many words behind its last update.
    #[inline]
    pub fn add_row(&mut self, group: GroupId, words: usize) {
        let held = self.of(group);
        held.rows += 1;
        held.bytes += row_bytes(words);
    }

    /// A row went that had so many words.
    pub fn remove_row(&mut self, group: GroupId, words: usize) {
        let held = self.of(group);
        held.rows -= 1;
        held.bytes -= row_bytes(words);
    }

    /// What a group has takes so many bytes more, or less.
    #[inline]
    pub fn grow(&mut self, group: GroupId, bytes: isize) {
        let held = self.of(group);
        held.bytes = held.bytes.saturating_add_signed(bytes as i64);
    }

    /// A key came; the group is the first of those that are keyed so.
    pub fn add_key(&mut self, group: GroupId) {
        self.of(group).keys += 1;
    }

    /// A key went.
    pub fn remove_key(&mut self, group: GroupId) {
        self.of(group).keys -= 1;
    }

    /// By the places of groups in the pipeline file, as far as there was anything of them.
    pub fn groups(&self) -> &[GroupHoldings] {
        &self.0
    }

    fn of(&mut self, group: GroupId) -> &mut GroupHoldings {
        let index = usize::from(group.0);
        if index >= self.0.len() {
            self.0.resize(index + 1, GroupHoldings::default());
        }
        &mut self.0[index]
    }
}

fn row_bytes(words: usize) -> u64 {
    (8 * row_words(words)) as u64
}
