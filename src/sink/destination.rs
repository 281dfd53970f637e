//! Where a run writes to: its sink, with what is noted of what it takes, and the dead letters of what it never will.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::contract::{Desk, Outcome, Part, RefusedItem, Sink};
use super::{DeadLetterFile, ItemBatch, SinkError};
use crate::pipeline::GroupId;
use crate::telemetry::Metrics;

/// Some row that was published: an example of what can be read from the sink.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its group.
    pub group: GroupId,
    /// Its key's text.
    pub key: String,
}

/// A sink, with what is noted of what it takes.
pub(crate) struct Destination {
    sink: Box<dyn Sink>,
    notes: Notes,
}

struct Notes {
    metrics: Arc<Metrics>,
    /// For what the sink never takes. (Whoever else appends to the same file writes whole lines, too.)
    dead_letters: DeadLetterFile,
    sample: Arc<OnceLock<Sample>>,
}

impl Destination {
    pub fn new(sink: Box<dyn Sink>, dead_letters: DeadLetterFile, metrics: Arc<Metrics>) -> Destination {
        Destination { sink, notes: Notes { metrics, dead_letters, sample: Arc::default() } }
    }

    /// One of the rows that were written, once there is one.
    pub fn sample(&self) -> &Arc<OnceLock<Sample>> {
        &self.notes.sample
    }

    /// See [`Sink::name`].
    pub fn name(&self) -> String {
        self.sink.name()
    }

    /// See [`Sink::write`]. Counts what was written, and keeps what never will be.
    pub fn write(&mut self, batches: &[ItemBatch], desk: &mut dyn Desk) -> Result<(), SinkError> {
        let Destination { sink, notes } = self;
        let mut noting =
            Noting { notes, desk, examples: BTreeMap::new(), batches: 0, has_taken: false, has_left: false };
        batches.iter().for_each(|batch| noting.look_at(batch));
        noting.notes.metrics.sink_silence.goes_on();
        let written = sink.write(batches, &mut noting);
        if noting.has_taken || !noting.has_left {
            noting.notes.metrics.sink_silence.ends();
        }
        written
    }

    /// See [`Sink::close`].
    pub fn close(self) -> Result<(), SinkError> {
        self.sink.close()
    }
}

/// A desk that takes notes of what passes it.
struct Noting<'a> {
    notes: &'a mut Notes,
    desk: &'a mut dyn Desk,
    /// By batch, an example of its rows, as long as there is no sample.
    examples: BTreeMap<usize, Sample>,
    batches: usize,
    /// Something is there by now, and something is not written.
    has_taken: bool,
    has_left: bool,
}

impl Noting<'_> {
    fn look_at(&mut self, batch: &ItemBatch) {
        if self.notes.sample.get().is_none()
            && let Some((group, key)) = batch.first_key()
        {
            let sample = Sample { group, key: String::from_utf8_lossy(key).into_owned() };
            self.examples.insert(self.batches, sample);
        }
        self.batches += 1;
    }
}

impl Desk for Noting<'_> {
    fn answer(&mut self, part: Part) {
        let Notes { metrics, sample, .. } = self.notes;
        let items = part.items.len() as u64;
        match part.outcome {
            Outcome::Written => metrics.items_written.add(items),
            Outcome::Superseded => metrics.items_superseded.add(items),
            Outcome::Refused => metrics.items_refused.add(items),
            Outcome::NotWritten => {}
        }
        if part.outcome == Outcome::NotWritten {
            self.has_left = true;
        } else {
            self.has_taken = true;
            metrics.sink_silence.begins();
        }
        if part.outcome.is_there()
            && let Some(example) = self.examples.remove(&part.batch)
        {
            let _ = sample.set(example);
            self.examples.clear();
        }
        self.desk.answer(part);
    }

    fn more(&mut self) -> Option<ItemBatch> {
        let batch = self.desk.more()?;
        self.look_at(&batch);
        Some(batch)
    }

    fn gives_up(&mut self) -> bool {
        self.desk.gives_up()
    }

    fn refuse(&mut self, item: &RefusedItem) -> Result<(), SinkError> {
        self.notes.dead_letters.keep_refused(item)
    }
}
