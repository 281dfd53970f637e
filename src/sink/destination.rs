//! Where a run writes to: its sink, with what is noted of what it takes.

use std::sync::{Arc, OnceLock};

use super::contract::{Outcome, Part, Sink};
use super::{ItemBatch, SinkError};
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
    metrics: Arc<Metrics>,
    sample: Arc<OnceLock<Sample>>,
}

impl Destination {
    pub fn new(sink: Box<dyn Sink>, metrics: Arc<Metrics>) -> Destination {
        Destination { sink, metrics, sample: Arc::default() }
    }

    /// One of the rows that were written, once there is one.
    pub fn sample(&self) -> &Arc<OnceLock<Sample>> {
        &self.sample
    }

    /// See [`Sink::write`]. Counts what was written.
    pub fn write(&mut self, batches: &[ItemBatch], answer: &mut dyn FnMut(Part)) -> Result<(), SinkError> {
        let Destination { sink, metrics, sample } = self;
        sink.write(batches, &mut |part: Part| {
            if part.outcome == Outcome::Written {
                metrics.items_written.add(part.items.len() as u64);
                if sample.get().is_none()
                    && let Some((group, key)) = batches[part.batch].first_key()
                {
                    let _ = sample.set(Sample { group, key: String::from_utf8_lossy(key).into_owned() });
                }
            }
            answer(part);
        })
    }

    /// See [`Sink::close`].
    pub fn close(self) -> Result<(), SinkError> {
        self.sink.close()
    }
}
