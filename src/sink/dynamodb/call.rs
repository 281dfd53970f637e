//! What one call of the sink has to write: its batches, and which of their items are still to be answered for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::attributes::Attributes;
use super::put::{Put, PutPart, puts};
use super::schedule::{Attempts, Schedule, Write};
use super::unsettled::ItemId;
use crate::epoch::Version;
use crate::pipeline::{Layout, MAX_FEATURE_NAME_BYTES, Pipeline};
use crate::sink::{Desk, ItemBatch, ItemRef, Outcome, Part};

/// The largest item, and the longest key, that the service takes, in bytes.
const LARGEST_ITEM: usize = 400 << 10;
const LONGEST_KEY: usize = 2_048;

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
    puts: Vec<Put>,
    unanswered: usize,
}

impl<'b, 'd> Call<'b, 'd> {
    pub(super) fn new(desk: &'d mut dyn Desk) -> Self {
        Call { schedule: Schedule::default(), desk, open: BTreeMap::new(), batches: 0 }
    }

    /// Takes notice of a batch; returns its index, and how many puts there are to write of it.
    pub(super) fn open(&mut self, items: Cow<'b, ItemBatch>, pipeline: &Pipeline) -> (usize, usize) {
        let (index, puts) = (self.batches, puts(&items, pipeline));
        let count = puts.len();
        self.batches += 1;
        if !items.is_empty() {
            let unanswered = items.len();
            self.open.insert(index, Open { items, puts, unanswered });
        }
        (index, count)
    }

    /// The write of a put of a batch.
    pub(super) fn write(&self, batch: usize, put: usize, pipeline: &Pipeline) -> Option<Write> {
        let open = self.open.get(&batch)?;
        let (put, index) = (open.puts.get(put)?, put);
        let item = open.items.item(put.items.start, pipeline);
        let id = match pipeline.publish.layout {
            Layout::Feature => ItemId::of(item.key, item.feature_name.as_bytes()),
            // Its parts are written one after the other, and count as one.
            Layout::Key(_) => {
                let fields: Vec<u8> = item.group.key.iter().flat_map(|field| field.0.to_le_bytes()).collect();
                ItemId::of(item.key, &fields)
            }
        };
        let bytes = put.parts.iter().map(|part| part.bytes).max().unwrap_or_default();
        let part = put.parts.len().saturating_sub(1) as u32;
        Some(Write { batch, put: index, items: put.items.clone(), id, bytes, part, attempts: Attempts::default() })
    }

    /// What is sent for a write: the attributes of the part that is next, and its version.
    pub(super) fn attributes(&self, write: &Write, pipeline: &Pipeline) -> Option<(Attributes, Version)> {
        let open = self.open.get(&write.batch)?;
        let put = open.puts.get(write.put)?;
        let part: PutPart = *put.parts.iter().rev().nth(write.part as usize)?;
        Some((put.attributes(part, &open.items, pipeline)?, put.version))
    }

    /// The version of a write.
    pub(super) fn version(&self, write: &Write) -> Option<Version> {
        Some(self.open.get(&write.batch)?.puts.get(write.put)?.version)
    }

    /// When each of a batch's puts expires.
    pub(super) fn expiries(&self, batch: usize) -> impl Iterator<Item = Option<i64>> + '_ {
        self.open.get(&batch).into_iter().flat_map(|open| open.puts.iter().map(|put| put.expires_at))
    }

    /// The items of a write.
    pub(super) fn items<'a>(&'a self, write: &Write, pipeline: &'a Pipeline) -> impl Iterator<Item = ItemRef<'a>> + 'a {
        let items = write.items.clone();
        self.open.get(&write.batch).into_iter().flat_map(move |open| open.items.items_in(items.clone(), pipeline))
    }

    /// Answers for a write.
    pub(super) fn answer(&mut self, write: Write, outcome: Outcome) {
        let Write { batch, items, .. } = write;
        if let Some(open) = self.open.get_mut(&batch) {
            open.unanswered = open.unanswered.saturating_sub(items.len());
            if open.unanswered == 0 {
                self.open.remove(&batch);
            }
        }
        self.desk.answer(Part { batch, items, outcome });
    }

    /// Why a write must not be sent, if it must not: one that is not allowed has a whole request refused.
    pub(super) fn fault(&self, write: &Write, pipeline: &Pipeline) -> Option<String> {
        let first = self.items(write, pipeline).next()?;
        let too_long = |what: &str, length: usize, most: usize| {
            (!(1..=most).contains(&length))
                .then(|| format!("its {what} has {length} bytes: DynamoDB takes 1 to {most}"))
        };
        let of_sort_key = || match pipeline.publish.layout {
            Layout::Feature => too_long("feature name", first.feature_name.len(), MAX_FEATURE_NAME_BYTES),
            // The names of key fields were measured with the pipeline.
            Layout::Key(_) => None,
        };
        let of_numbers = || {
            let is_wrong = |item: ItemRef<'_>| {
                [item.values, item.squares, item.errors].into_iter().flatten().any(|number| number.is_nan())
            };
            self.items(write, pipeline).any(is_wrong).then(|| "one of its values is not a number".to_owned())
        };
        let of_size = || {
            let bytes = write.bytes;
            (bytes > LARGEST_ITEM).then(|| format!("it has {bytes} bytes: DynamoDB takes {LARGEST_ITEM}"))
        };
        too_long("key", first.key.len(), LONGEST_KEY).or_else(of_sort_key).or_else(of_size).or_else(of_numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{Row, batch, pipeline};

    fn fault_of(row: Row) -> Option<String> {
        let pipeline = pipeline();
        let mut desk = |_: Part| {};
        let mut call = Call::new(&mut desk);
        let (index, puts) = call.open(Cow::Owned(batch(&[row])), &pipeline);
        assert_eq!((index, puts), (0, 1));
        call.fault(&call.write(0, 0, &pipeline).unwrap(), &pipeline)
    }

    #[test]
    fn what_the_service_would_refuse_is_found_before() {
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
}
