//! Which of several records of one key holds.

use super::record::{Record, RecordKind, append_record};

/// Takes the marks out of a payload: what a row shows is known to be what the sink has.
pub type ClearMarks = fn(&mut Vec<u8>);

/// A record whose marks were taken out. Its memory is used again for the next one.
#[derive(Debug, Default)]
pub(in crate::checkpoint) struct Cleared {
    record: Vec<u8>,
    payload: Vec<u8>,
}

impl Cleared {
    /// The record without its marks; `None` where it is too long for one.
    pub fn of(&mut self, record: Record<'_>, clear_marks: ClearMarks) -> Option<Record<'_>> {
        self.payload.clear();
        self.payload.extend_from_slice(record.payload());
        clear_marks(&mut self.payload);
        self.record.clear();
        append_record(&mut self.record, record.key(), RecordKind::Key, &self.payload);
        Record::first_of(&self.record)
    }
}

/// What holds of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint) struct Taken {
    /// Which record, counted from the newest.
    pub index: usize,
    /// Whether a later one has said that its marks are gone.
    pub cleared: bool,
}

/// Of records of one key, the newest first, the one that holds: the newest that says what rows there are. Where none does, all
/// are [`RecordKind::Published`], and the newest holds: it is about rows of an older segment.
pub(in crate::checkpoint) fn newest(kinds: impl Iterator<Item = RecordKind>) -> Taken {
    for (index, kind) in kinds.enumerate() {
        match kind {
            RecordKind::Tombstone => return Taken { index, cleared: false },
            RecordKind::Key => return Taken { index, cleared: index > 0 },
            RecordKind::Published => {}
        }
    }
    Taken { index: 0, cleared: false }
}

#[cfg(test)]
mod tests {
    use super::RecordKind::{Key, Published, Tombstone};
    use super::*;

    #[test]
    fn the_newest_that_says_which_rows_there_are_holds() {
        let taken = |kinds: &[RecordKind]| {
            let taken = newest(kinds.iter().copied());
            (taken.index, taken.cleared)
        };
        assert_eq!(taken(&[Key, Key]), (0, false));
        assert_eq!(taken(&[Tombstone, Key]), (0, false));
        assert_eq!(taken(&[Published, Published, Key, Tombstone]), (2, true));
        assert_eq!(taken(&[Published, Tombstone, Key]), (1, false), "a key that is gone has no marks");
        assert_eq!(taken(&[Published, Published]), (0, false));
    }
}
