//! What a table has to write of several batches: each item once, in its newest state.

use super::{ItemBatch, ItemRef};
use crate::pipeline::Pipeline;

/// The newest item of each key and feature, in the order of the bytes of (key, feature name).
///
/// The order makes neighbours in a table's tree neighbours in time, and it is the same whatever
/// the batches were.
pub(super) fn newest<'a>(batches: &'a [ItemBatch], pipeline: &'a Pipeline) -> Vec<ItemRef<'a>> {
    let mut items: Vec<_> = batches.iter().flat_map(|batch| batch.items(pipeline)).collect();
    // Newest first within a key and feature; of one version, the one that was pushed last.
    items.reverse();
    items.sort_by(|a, b| identity(a).cmp(&identity(b)).then(b.version.cmp(&a.version)));
    items.dedup_by(|later, kept| identity(later) == identity(kept));
    items
}

/// Where an item came from: its batch, and its index there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub batch: usize,
    pub index: u32,
}

/// The newest item of each key and feature, with its origin, in the order of their identities; and the origins of all
/// others, which need not be written.
pub(super) fn newest_by_origin<'a>(
    batches: &'a [ItemBatch],
    pipeline: &'a Pipeline,
) -> (Vec<(Origin, ItemRef<'a>)>, Vec<Origin>) {
    let of_batch = |(batch, items): (usize, &'a ItemBatch)| {
        (0u32..).zip(items.items(pipeline)).map(move |(index, item)| (Origin { batch, index }, item))
    };
    let mut items: Vec<_> = batches.iter().enumerate().flat_map(of_batch).collect();
    items.reverse();
    items.sort_by(|(_, a), (_, b)| identity(a).cmp(&identity(b)).then(b.version.cmp(&a.version)));
    let mut older = Vec::new();
    items.dedup_by(|(origin, later), (_, kept)| {
        let is_older = identity(later) == identity(kept);
        older.extend(is_older.then_some(*origin));
        is_older
    });
    (items, older)
}

fn identity<'a>(item: &ItemRef<'a>) -> (&'a [u8], &'a str) {
    (item.key, item.feature_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{Row, batch, pipeline};

    #[test]
    fn the_newest_version_stays_whatever_the_order_of_the_batches() {
        let pipeline = pipeline();
        let batches = [
            batch(&[Row::new("b", "like").version(3).value(30.0), Row::new("a", "like").version(1).value(10.0)]),
            batch(&[Row::new("b", "like").version(2).value(20.0), Row::new("b", "view").version(1).value(1.0)]),
        ];
        let newest = newest(&batches, &pipeline);
        let found: Vec<_> = newest.iter().map(|item| (item.key, item.feature_name, item.values[0])).collect();
        let expected: [(&[u8], &str, f64); 3] = [(b"a", "like", 10.0), (b"b", "like", 30.0), (b"b", "view", 1.0)];
        assert_eq!(found, expected);
    }

    #[test]
    fn of_one_version_the_last_stays() {
        let pipeline = pipeline();
        let batches = [batch(&[Row::new("a", "like").value(1.0)]), batch(&[Row::new("a", "like").value(2.0)])];
        assert_eq!(newest(&batches, &pipeline)[0].values[0], 2.0);
    }
}
