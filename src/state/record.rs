//! A key as it stands in a checkpoint: bytes that mean the same to every process and every later run.
//!
//! ```text
//! record  = id (16) kind (1) length (4) payload
//! payload = flags (1) text length (2) [since (8)] [marked since (8)] text, rows (4), row*
//! row     = feature (8) flags (1) last update (8) [ word (8) | width (2) word* | length (4) uniques ]
//! ```
//!
//! All numbers are little-endian; an identity is its high word, then its low word. A row names its feature by a hash of
//! all that is [recorded](RecordedFeature) of it, so records do not depend on who has numbered features how, and a feature that has got other intervals,
//! or another maker, is another one: old rows are never read as if they were new ones.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::block::Block;
use super::features::FeatureTable;
use super::uniques_store::UniquesStore;
use crate::checkpoint::{RecordKind, append_record};
use crate::counter::{DecayInterval, EventTime};
use crate::pipeline::RowShape;
use crate::sums::KeyId;

const HAS_SINCE: u8 = 1;
const HAS_MARKED_SINCE: u8 = 2;

const ROW_IS_SINGLE: u8 = 1;
const ROW_IS_MARKED: u8 = 2;
const ROW_IS_UNIQUES: u8 = 4;

/// The identity of a feature in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FeatureHash(pub u64);

impl FeatureHash {
    /// That of this feature.
    pub fn of(feature: &RecordedFeature) -> FeatureHash {
        let RecordedFeature { name, group, measure, shape, intervals } = feature;
        let mut bytes = Vec::with_capacity(64 + name.len() + group.len() + measure.len() + 8 * intervals.len());
        for text in [name, group, measure] {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.push(match shape {
            RowShape::Values => 0,
            RowShape::ValuesAndSquares => 1,
            RowShape::Uniques => 2,
        });
        intervals.iter().for_each(|interval| bytes.extend_from_slice(&interval.units().to_le_bytes()));
        FeatureHash(xxh3_64(&bytes))
    }
}

/// A feature as the rows of records name it, with what their words mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedFeature {
    pub name: String,
    /// The name of the group that makes it.
    pub group: String,
    /// The name of its measure.
    pub measure: String,
    pub shape: RowShape,
    /// In the order of a row's values; behind them, where the shape has squares, theirs.
    pub intervals: Vec<DecayInterval>,
}

impl RecordedFeature {
    /// What it is in records.
    pub fn hash(&self) -> FeatureHash {
        FeatureHash::of(self)
    }
}

/// Bytes that are no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record is damaged: {0}")]
pub(crate) struct InvalidRecord(pub &'static str);

/// What it takes to write keys.
pub(super) struct RecordWriter<'a> {
    pub features: &'a mut FeatureTable,
    pub uniques: &'a UniquesStore,
    /// Features whose rows have been written since this number was another are to be named.
    pub snapshot: u32,
}

/// A record without a payload.
pub(super) fn write_head(id: KeyId, kind: RecordKind, out: &mut Vec<u8>) {
    // Only a payload can be too long.
    let _ = append_record(out, id, kind, &[]);
}

impl RecordWriter<'_> {
    /// A key with all its rows. What is in flight counts as marked, and what is marked has waited since `marked_since`
    /// (milliseconds since 1970). Names the features that are new to the snapshot.
    pub fn write_key(
        &mut self,
        block: Block<'_>,
        is_in_flight: bool,
        marked_since: Option<i64>,
        named: &mut Vec<RecordedFeature>,
        out: &mut Vec<u8>,
    ) {
        write_head(block.id(), RecordKind::Key, out);
        let start = out.len();
        let (text, since) = (block.text(), block.since());
        let flags =
            if since.is_some() { HAS_SINCE } else { 0 } | if marked_since.is_some() { HAS_MARKED_SINCE } else { 0 };
        out.push(flags);
        out.extend_from_slice(&(text.len() as u16).to_le_bytes());
        for time in since.map(|since| since.0).into_iter().chain(marked_since) {
            out.extend_from_slice(&time.to_le_bytes());
        }
        out.extend_from_slice(text);
        out.extend_from_slice(&(block.rows() as u32).to_le_bytes());
        for row in block.each_row() {
            let feature = self.features.get(row.feature());
            let is_uniques = !row.is_single() && feature.shape == RowShape::Uniques;
            let is_marked = row.is_marked() || is_in_flight && row.is_read();
            let flags = if row.is_single() { ROW_IS_SINGLE } else { 0 }
                | if is_marked { ROW_IS_MARKED } else { 0 }
                | if is_uniques { ROW_IS_UNIQUES } else { 0 };
            out.extend_from_slice(&feature.hash.0.to_le_bytes());
            out.push(flags);
            out.extend_from_slice(&row.last_update().0.to_le_bytes());
            if row.is_single() {
                out.extend_from_slice(&row.word().to_le_bytes());
            } else if is_uniques {
                let length_at = out.len();
                out.extend_from_slice(&[0; 4]);
                self.uniques.get(row.word()).write_to(out);
                let length = (out.len() - length_at - 4) as u32;
                out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
            } else {
                out.extend_from_slice(&(feature.width as u16).to_le_bytes());
                row.words(feature.width).iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
            }
            named.extend(self.features.name_in(row.feature(), self.snapshot));
        }
        let length = (out.len() - start) as u32;
        out[start - 4..start].copy_from_slice(&length.to_le_bytes());
    }
}

/// A key as it stands in a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordedKey<'a> {
    pub text: &'a [u8],
    pub since: Option<EventTime>,
    /// Since when its marked rows have waited, in milliseconds since 1970.
    pub marked_since: Option<i64>,
    rows: u32,
    bytes: &'a [u8],
}

/// A row as it stands in a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordedRow<'a> {
    pub feature: FeatureHash,
    pub is_marked: bool,
    pub last_update: EventTime,
    pub content: RecordedContent<'a>,
}

/// What a row holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RecordedContent<'a> {
    /// A single event: the bits of its weight, or its member.
    Single(u64),
    /// The bits of values, eight bytes each.
    Values(&'a [u8]),
    Uniques(&'a [u8]),
}

/// Takes bytes from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], InvalidRecord> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(InvalidRecord("it is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidRecord> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(InvalidRecord("it is cut short"))?;
        self.0 = rest;
        Ok(*taken)
    }
}

impl<'a> RecordedKey<'a> {
    /// Takes the payload of a [`RecordKind::Key`] apart.
    pub fn read(payload: &'a [u8]) -> Result<RecordedKey<'a>, InvalidRecord> {
        let mut reader = Reader(payload);
        let [flags] = reader.array()?;
        let text_length = u16::from_le_bytes(reader.array()?);
        let mut time = |flag: u8| -> Result<Option<i64>, InvalidRecord> {
            if flags & flag == 0 { Ok(None) } else { Ok(Some(i64::from_le_bytes(reader.array()?))) }
        };
        let (since, marked_since) = (time(HAS_SINCE)?.map(EventTime), time(HAS_MARKED_SINCE)?);
        let text = reader.bytes(usize::from(text_length))?;
        let rows = u32::from_le_bytes(reader.array()?);
        Ok(RecordedKey { text, since, marked_since, rows, bytes: reader.0 })
    }

    /// Its rows.
    pub fn rows(&self) -> impl Iterator<Item = Result<RecordedRow<'a>, InvalidRecord>> {
        let mut reader = Reader(self.bytes);
        (0..self.rows).map(move |_| read_row(&mut reader))
    }
}

fn read_row<'a>(reader: &mut Reader<'a>) -> Result<RecordedRow<'a>, InvalidRecord> {
    let feature = FeatureHash(u64::from_le_bytes(reader.array()?));
    let [flags] = reader.array()?;
    let last_update = EventTime(i64::from_le_bytes(reader.array()?));
    let content = if flags & ROW_IS_SINGLE != 0 {
        RecordedContent::Single(u64::from_le_bytes(reader.array()?))
    } else if flags & ROW_IS_UNIQUES != 0 {
        let length = u32::from_le_bytes(reader.array()?);
        RecordedContent::Uniques(reader.bytes(length as usize)?)
    } else {
        let width = u16::from_le_bytes(reader.array()?);
        RecordedContent::Values(reader.bytes(8 * usize::from(width))?)
    };
    Ok(RecordedRow { feature, is_marked: flags & ROW_IS_MARKED != 0, last_update, content })
}

/// Makes the payload of a key that of one of which nothing is marked.
pub(crate) fn clear_marks(payload: &mut [u8]) -> Result<(), InvalidRecord> {
    let key = RecordedKey::read(payload)?;
    let (rows, first) = (key.rows, payload.len() - key.bytes.len());
    let mut at = first;
    for _ in 0..rows {
        let mut reader = Reader(&payload[at..]);
        let before = reader.0.len();
        read_row(&mut reader)?;
        let length = before - reader.0.len();
        // Behind the feature.
        payload[at + 8] &= !ROW_IS_MARKED;
        at += length;
    }
    Ok(())
}
