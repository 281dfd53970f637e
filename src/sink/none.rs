//! `none`: items are counted and forgotten. For measuring, and for state alone.

use super::contract::answer_all;
use super::{Desk, ItemBatch, Outcome, Sink, SinkError};

/// Takes items and keeps none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NoSink;

impl Sink for NoSink {
    fn write(&mut self, batches: &[ItemBatch], desk: &mut dyn Desk) -> Result<(), SinkError> {
        answer_all(batches, Outcome::Written, desk);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Part;
    use crate::sink::fixtures::{Row, batch};

    #[test]
    fn every_item_is_counted() {
        let like = Row::new("a", "like");
        let batches = [batch(&[like.clone(), like.clone()]), batch(&[like])];
        let mut answers = Vec::new();
        NoSink.write(&batches, &mut |part: Part| answers.push((part.batch, part.items, part.outcome))).unwrap();
        assert_eq!(answers, [(0, 0..2, Outcome::Written), (1, 0..1, Outcome::Written)]);
    }
}
