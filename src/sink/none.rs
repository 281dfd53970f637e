//! `none`: items are counted and forgotten. For measuring, and for state alone.

use super::{ItemBatch, Sink, SinkError};

/// Takes items and keeps none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NoSink;

impl Sink for NoSink {
    fn write(&mut self, batches: &[ItemBatch]) -> Result<u64, SinkError> {
        Ok(batches.iter().map(|batch| batch.len() as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{Row, batch};

    #[test]
    fn every_item_is_counted() {
        let like = Row::new("a", "like");
        let batches = [batch(&[like.clone(), like.clone()]), batch(&[like])];
        assert_eq!(NoSink.write(&batches).unwrap(), 3);
    }
}
