//! The notes of one reader.

use std::collections::{BTreeMap, VecDeque};

use crate::epoch::Epoch;
use crate::source::OffsetRange;

/// What one reader has handed over at the ends of its epochs.
#[derive(Debug)]
pub(super) struct Reader {
    /// What it had handed over when it made the first of its notes, but for what changed with that.
    settled: BTreeMap<usize, OffsetRange>,
    notes: VecDeque<Note>,
    /// What it had handed over when it made the last of its notes.
    noted: BTreeMap<usize, OffsetRange>,
    /// The epoch in which it stands, or that it is about to announce.
    last: Epoch,
    has_begun_a_second: bool,
    has_ended: bool,
    /// What it reads of which more may have been published than it has handed over.
    behind: Vec<usize>,
    passed: Option<Epoch>,
}

#[derive(Debug)]
struct Note {
    /// The epoch that was about to be announced; `None` at the end.
    next: Option<Epoch>,
    /// What has changed since the note before.
    changed: Vec<(usize, OffsetRange)>,
}

impl Note {
    /// Whether what it says is of the cut at the end of this epoch, or of a later one.
    fn is_behind(&self, epoch: Epoch) -> bool {
        self.next.is_none_or(|next| next > epoch)
    }
}

impl Reader {
    /// One that goes on there. `published` says up to where something may have been published.
    pub(super) fn new(from: Vec<(usize, OffsetRange)>, published: impl Fn(usize) -> i64) -> Reader {
        let settled: BTreeMap<_, _> = from.into_iter().collect();
        let is_behind = |(number, range): (&usize, &OffsetRange)| (range.to < published(*number)).then_some(*number);
        let behind: Vec<_> = settled.iter().filter_map(is_behind).collect();
        Reader {
            noted: settled.clone(),
            settled,
            notes: VecDeque::new(),
            last: Epoch(0),
            has_begun_a_second: false,
            has_ended: false,
            passed: behind.is_empty().then_some(Epoch(0)),
            behind,
        }
    }

    /// How much of what may have been published it has not handed over yet.
    pub(super) fn is_behind_by(&self, published: impl Fn(usize) -> i64) -> u64 {
        let missing = |number: &usize| {
            let handed_over = self.noted.get(number).map_or(0, |range| range.to);
            u64::try_from(published(*number) - handed_over).unwrap_or_default()
        };
        self.behind.iter().map(missing).sum()
    }

    /// Where it goes on, before its first note.
    pub(super) fn at_first(&self) -> BTreeMap<usize, OffsetRange> {
        self.settled.clone()
    }

    pub(super) fn begin(&mut self, epoch: Epoch) {
        self.last = self.last.max(epoch);
    }

    /// Notes what it has handed over, of which only so much can have changed.
    pub(super) fn note(
        &mut self,
        next: Option<Epoch>,
        mut changed: Vec<(usize, OffsetRange)>,
        published: impl Fn(usize) -> i64,
    ) {
        changed.retain(|(number, range)| self.noted.insert(*number, *range) != Some(*range));
        self.notes.push_back(Note { next, changed });
        if self.passed.is_none() {
            let noted = &self.noted;
            self.behind.retain(|number| noted.get(number).is_none_or(|range| range.to < published(*number)));
            // The cut of every epoch from the one that ends here on has this note or a later one.
            self.passed = self.behind.is_empty().then_some(self.last);
        }
        match next {
            Some(next) => (self.last, self.has_begun_a_second) = (next, true),
            None => self.has_ended = true,
        }
    }

    /// The largest epoch whose cut it has noted, while it has not ended.
    pub(super) fn newest(&self) -> Option<Epoch> {
        self.has_begun_a_second.then(|| Epoch(self.last.0.saturating_sub(1)))
    }

    pub(super) fn last(&self) -> Epoch {
        self.last
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// From which epoch's end on it has handed over all that may have been published.
    pub(super) fn passed(&self) -> Option<Epoch> {
        self.passed
    }

    /// What it had handed over at the end of this epoch; `None` while it is in it.
    pub(super) fn at_the_end_of(&self, epoch: Epoch) -> Option<BTreeMap<usize, OffsetRange>> {
        let of_the_cut = self.notes.partition_point(|note| !note.is_behind(epoch));
        self.notes.get(of_the_cut)?;
        let mut handed_over = self.settled.clone();
        handed_over.extend(self.notes.iter().take(of_the_cut + 1).flat_map(|note| note.changed.iter().copied()));
        Some(handed_over)
    }

    pub(super) fn forget_before(&mut self, epoch: Epoch) {
        while let Some(note) = self.notes.pop_front_if(|note| !note.is_behind(epoch)) {
            self.settled.extend(note.changed);
        }
    }
}
