//! The journal: positions of what may have been published.
//!
//! Before anything of an epoch goes to a sink, an entry with the positions of that epoch's end is durable. A run that starts publishes
//! nothing until it has read past the largest position of any entry that is kept.
//!
//! An entry lies under the next number, and must not exist: one of a later run in its place means that this run has lost the
//! state. That alone would not do where an old run goes on while the next begins, as it can in a bucket: each deletes entries, so
//! numbers become free. So a run looks *behind* each of its entries whether a later one has started, and only then counts on the entry: a run
//! that starts after that finds it. An entry that was written too late for that stands for nothing, and is passed over.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{CheckpointError, CheckpointErrorKind};
use super::generation::check_newest;
use super::names::{JOURNAL, JournalNumber};
use super::sealed::{seal, unseal};
use super::store::Store;
use crate::epoch::{Epoch, Generation};

/// The format that is written, and read.
const FORMAT: u32 = 1;

/// An entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalEntry {
    format: u32,
    /// Which it is.
    pub number: JournalNumber,
    /// The run that wrote it.
    pub generation: Generation,
    /// The epoch whose end it is about.
    pub epoch: Epoch,
    /// Up to where every source was read then.
    pub positions: Value,
}

impl JournalEntry {
    /// The newest entry, to look at; `None`: there is none. What is deleted meanwhile, as a newer one is there, is passed over.
    pub fn newest(store: &Store) -> Result<Option<JournalEntry>, CheckpointError> {
        loop {
            let numbers = store.list(JOURNAL)?;
            let Some(newest) = numbers.iter().filter_map(|name| JournalNumber::of(name)).max() else { return Ok(None) };
            match read(store, newest) {
                Err(error) if error.kind() == CheckpointErrorKind::Missing => {}
                read => return read.map(Some),
            }
        }
    }
}

/// What is kept of the journal.
#[derive(Debug, Default)]
pub struct KeptEntries {
    /// The entries that are whole, by number.
    pub entries: Vec<JournalEntry>,
    /// Those that are not, and why. What they said is not known: nothing may be published before all is read that was
    /// there at the start.
    pub damaged: Vec<(JournalNumber, CheckpointError)>,
}

/// Writes the journal.
#[derive(Debug)]
pub struct Journal {
    store: Store,
    generation: Generation,
    next: JournalNumber,
    /// All that are there.
    kept: BTreeSet<JournalNumber>,
}

impl Journal {
    /// Opens the journal, and reads all that is kept.
    ///
    /// Fails where it cannot be read just now, and where an entry is of a newer format.
    pub fn open(store: &Store, generation: Generation) -> Result<(Journal, KeptEntries), CheckpointError> {
        let numbers: BTreeSet<JournalNumber> =
            store.list(JOURNAL)?.iter().filter_map(|name| JournalNumber::of(name)).collect();
        let mut kept = KeptEntries::default();
        for &number in &numbers {
            match read(store, number) {
                Ok(entry) => kept.entries.push(entry),
                Err(why) if why.is_damage() => kept.damaged.push((number, why)),
                Err(error) => return Err(error),
            }
        }
        let next = numbers.last().copied().unwrap_or_default().next();
        Ok((Journal { store: store.clone(), generation, next, kept: numbers }, kept))
    }

    /// Makes an entry durable, of which every run knows that starts from here on. Returns its number.
    ///
    /// Fails with [`CheckpointErrorKind::InUse`] where a later run has the state. After any other failure it can be tried
    /// again, with newer positions just as well.
    pub fn append(&mut self, epoch: Epoch, positions: Value) -> Result<JournalNumber, CheckpointError> {
        let mut entry =
            JournalEntry { format: FORMAT, number: self.next, generation: self.generation, epoch, positions };
        loop {
            entry.number = self.next;
            match self.store.create(&entry.number.object(), &seal(&entry)?) {
                Ok(()) => break,
                Err(error) if error.kind() == CheckpointErrorKind::Exists => self.check_not_later(error)?,
                Err(error) => return Err(error),
            }
            self.kept.insert(self.next);
            self.next = self.next.next();
        }
        self.next = self.next.next();
        self.kept.insert(entry.number);
        check_newest(&self.store, self.generation)?;
        Ok(entry.number)
    }

    /// Deletes all entries below this one. To be called when a later entry, or both checkpoints that are kept, say as much.
    pub fn prune_below(&mut self, number: JournalNumber) -> Result<(), CheckpointError> {
        while let Some(&oldest) = self.kept.first().filter(|oldest| **oldest < number) {
            self.store.delete(&oldest.object())?;
            self.kept.remove(&oldest);
        }
        Ok(())
    }

    /// Whether the entry that is in the way may be passed over: it is of an attempt that was thought to have failed, or of an earlier run that
    /// did not know yet that it was overtaken.
    fn check_not_later(&self, exists: CheckpointError) -> Result<(), CheckpointError> {
        let there = read(&self.store, self.next)?;
        if there.generation <= self.generation {
            return Ok(());
        }
        Err(CheckpointError::taken(self.store.place(&self.next.object()), there.generation, exists))
    }
}

fn read(store: &Store, number: JournalNumber) -> Result<JournalEntry, CheckpointError> {
    let object = number.object();
    let place = store.place(&object);
    let entry: JournalEntry = unseal(&place, &store.get(&object)?, FORMAT)?;
    if entry.number == number {
        return Ok(entry);
    }
    Err(CheckpointError::damaged(place, format!("it says that its number is {}", entry.number)))
}
