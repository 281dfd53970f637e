//! What one call of the sink has to write: its batches, and which of their items are still to be answered for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::schedule::{Attempts, Schedule, Write};
use super::size::item_bytes;
use super::unsettled::ItemId;
use crate::pipeline::Pipeline;
use crate::sink::{Desk, ItemBatch, ItemRef, Outcome, Part};

/// The largest item, and the longest keys, that the service takes, in bytes.
const LARGEST_ITEM: usize = 400 << 10;
const LONGEST_KEY: usize = 2_048;
const LONGEST_FEATURE_NAME: usize = 1_024;

/// A call.
pub(super) struct Call<'b, 'd> {
    pub(super) schedule: Schedule,
    pub(super) desk: &'d mut dyn Desk,
    /// By index, the batches whose items are not all answered for.
    open: BTreeMap<usize, Open<'b>>,
    batches: usize,
}

struct Open<'b> {
    items: Cow<'b, ItemBatch>,
    unanswered: usize,
}

impl<'b, 'd> Call<'b, 'd> {
    pub(super) fn new(desk: &'d mut dyn Desk) -> Self {
        Call { schedule: Schedule::default(), desk, open: BTreeMap::new(), batches: 0 }
    }

    /// Takes notice of a batch; returns its index.
    pub(super) fn open(&mut self, items: Cow<'b, ItemBatch>) -> usize {
        let index = self.batches;
        self.batches += 1;
        if !items.is_empty() {
            let unanswered = items.len();
            self.open.insert(index, Open { items, unanswered });
        }
        index
    }

    /// An item that is not answered for.
    pub(super) fn item<'a>(&'a self, batch: usize, index: u32, pipeline: &'a Pipeline) -> Option<ItemRef<'a>> {
        Some(self.open.get(&batch)?.items.item(index, pipeline))
    }

    /// Answers for some items of a batch.
    pub(super) fn answer(&mut self, batch: usize, items: Range<u32>, outcome: Outcome) {
        if let Some(open) = self.open.get_mut(&batch) {
            open.unanswered = open.unanswered.saturating_sub(items.len());
            if open.unanswered == 0 {
                self.open.remove(&batch);
            }
        }
        self.desk.answer(Part { batch, items, outcome });
    }
}

/// The write of an item.
pub(super) fn write_of(batch: usize, index: u32, item: &ItemRef<'_>) -> Write {
    Write {
        batch,
        items: index..index + 1,
        id: ItemId::of(item.key, item.feature_name.as_bytes()),
        bytes: bytes_at_most(item),
        part: 0,
        attempts: Attempts::default(),
    }
}

/// Why an item must not be sent, if it must not: one that is not allowed has a whole request refused.
pub(super) fn fault(item: &ItemRef<'_>) -> Option<String> {
    let too_long = |what: &str, length: usize, most: usize| {
        (!(1..=most).contains(&length)).then(|| format!("its {what} has {length} bytes: DynamoDB takes 1 to {most}"))
    };
    too_long("key", item.key.len(), LONGEST_KEY)
        .or_else(|| too_long("feature name", item.feature_name.len(), LONGEST_FEATURE_NAME))
        .or_else(|| {
            if bytes_at_most(item) <= LARGEST_ITEM {
                return None;
            }
            let bytes = item_bytes(&item.to_item());
            (bytes > LARGEST_ITEM).then(|| format!("it has some {bytes} bytes: DynamoDB takes {LARGEST_ITEM}"))
        })
        .or_else(|| {
            let numbers = [item.values, item.squares, item.errors];
            let is_wrong = numbers.into_iter().flatten().any(|number| number.is_nan());
            is_wrong.then(|| "one of its values is not a number".to_owned())
        })
}

/// No item of so many intervals is larger: names, three numbers and a map for each, and what else an item has.
fn bytes_at_most(item: &ItemRef<'_>) -> usize {
    const BESIDE: usize = 128;
    const AN_INTERVAL: usize = 128;
    item.key.len() + item.feature_name.len() + BESIDE + AN_INTERVAL * item.group.decays.intervals().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{Row, batch, pipeline};

    #[test]
    fn what_the_service_would_refuse_is_found_before() {
        let pipeline = pipeline();
        let fault_of = |row: Row| fault(&batch(&[row]).item(0, &pipeline));
        assert_eq!(fault_of(Row::new("1234", "like")), None);
        for (row, why) in [
            (Row::new("", "like"), "its key has 0 bytes"),
            (Row::new(&"x".repeat(2_049), "like"), "its key has 2049 bytes"),
            (Row::new("1", &"x".repeat(1_025)), "its feature name has 1025 bytes"),
            (Row::new("1", "like").value(f64::NAN), "not a number"),
        ] {
            let fault = fault_of(row).expect(why);
            assert!(fault.contains(why), "{fault}");
        }
    }

    #[test]
    fn a_write_is_never_taken_for_smaller_than_its_item() {
        let (pipeline, batch) = (pipeline(), batch(&[Row::new("1234", "like").value(-1.234_567_890_123_456_7e-100).since(7)]));
        let item = batch.item(0, &pipeline);
        assert!(item_bytes(&item.to_item()) <= write_of(0, 0, &item).bytes);
    }
}
