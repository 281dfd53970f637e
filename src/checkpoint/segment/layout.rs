//! The fixed parts of a segment, as bytes: header, index, footer.

use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::checkpoint::names::SegmentId;
use crate::sums::Shard;

/// The format that is written, and read.
pub(super) const FORMAT: u32 = 1;
pub(super) const HEADER_BYTES: usize = 16;
pub(super) const FOOTER_BYTES: usize = 64;
const INDEX_ENTRY_BYTES: usize = 20;
const MAGIC: &[u8; 8] = b"CMsegmnt";
const END_MAGIC: &[u8; 8] = b"CMsegEND";

/// What a manifest says of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentEntry {
    /// Which segment it is.
    pub name: SegmentId,
    /// Its size.
    pub bytes: u64,
    /// How many records it has.
    pub records: u64,
    /// The checksum of its footer, which covers all of it.
    pub hash: Checksum,
}

/// XXH3 in 128 bits; as text in hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum(u128);

/// What the index says of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockEntry {
    pub shard: Shard,
    pub bytes: u32,
    pub records: u32,
    pub hash: u64,
}

/// What the footer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub index_bytes: u64,
    pub dictionary_bytes: u64,
    pub records: u64,
    pub index_hash: u64,
    pub dictionary_hash: u64,
    pub blocks: u32,
}

/// What a header is not.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// Something else, or damaged.
    NoSegment,
    /// A segment of this format.
    Newer(u32),
}

impl Checksum {
    /// The checksum of these bytes.
    pub fn of(bytes: &[u8]) -> Checksum {
        Checksum(xxh3_128(bytes))
    }
}

/// The header of a segment that is written now.
pub(super) fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    let check = header_check(&header);
    header[12..].copy_from_slice(&check);
    header
}

/// Whether a segment that can be read begins so.
pub(super) fn check_header(bytes: &[u8]) -> Result<(), BadHeader> {
    if bytes == header() {
        return Ok(());
    }
    let header: &[u8; HEADER_BYTES] = bytes.try_into().map_err(|_| BadHeader::NoSegment)?;
    match header.first_chunk::<8>() {
        Some(MAGIC) if header[12..] == header_check(header) => Err(BadHeader::Newer(u32_at(header, 8))),
        _ => Err(BadHeader::NoSegment),
    }
}

fn header_check(header: &[u8; HEADER_BYTES]) -> [u8; 4] {
    (xxh3_64(&header[..12]) as u32).to_le_bytes()
}

impl BlockEntry {
    /// Appends it to an index.
    pub fn append(&self, index: &mut Vec<u8>) {
        index.extend_from_slice(&self.shard.0.to_le_bytes());
        index.extend_from_slice(&[0; 2]);
        index.extend_from_slice(&self.bytes.to_le_bytes());
        index.extend_from_slice(&self.records.to_le_bytes());
        index.extend_from_slice(&self.hash.to_le_bytes());
    }

    /// The entries of an index.
    pub fn all(index: &[u8]) -> Vec<BlockEntry> {
        index
            .chunks_exact(INDEX_ENTRY_BYTES)
            .map(|entry| BlockEntry {
                shard: Shard(u16::from_le_bytes([entry[0], entry[1]])),
                bytes: u32_at(entry, 4),
                records: u32_at(entry, 8),
                hash: u64_at(entry, 12),
            })
            .collect()
    }
}

impl Footer {
    /// Its bytes.
    pub fn bytes(&self) -> [u8; FOOTER_BYTES] {
        let mut footer = [0; FOOTER_BYTES];
        let numbers = [self.index_bytes, self.dictionary_bytes, self.records, self.index_hash, self.dictionary_hash];
        for (place, number) in footer.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        footer[40..44].copy_from_slice(&FORMAT.to_le_bytes());
        footer[44..48].copy_from_slice(&self.blocks.to_le_bytes());
        let hash = footer_hash(&footer);
        footer[48..56].copy_from_slice(&hash.to_le_bytes());
        footer[56..].copy_from_slice(END_MAGIC);
        footer
    }

    /// The footer that these bytes are; `None` if they are none, or damaged.
    pub fn read(bytes: &[u8]) -> Option<Footer> {
        let footer: &[u8; FOOTER_BYTES] = bytes.try_into().ok()?;
        let whole = &footer[56..] == END_MAGIC && u64_at(footer, 48) == footer_hash(footer);
        whole.then(|| Footer {
            index_bytes: u64_at(footer, 0),
            dictionary_bytes: u64_at(footer, 8),
            records: u64_at(footer, 16),
            index_hash: u64_at(footer, 24),
            dictionary_hash: u64_at(footer, 32),
            blocks: u32_at(footer, 44),
        })
    }

    /// Bytes of what stands behind the blocks; `None` if that cannot be.
    pub fn tail_bytes(&self) -> Option<u64> {
        let fits = self.index_bytes == u64::from(self.blocks) * INDEX_ENTRY_BYTES as u64;
        let tail = self.index_bytes.checked_add(self.dictionary_bytes)?.checked_add(FOOTER_BYTES as u64)?;
        fits.then_some(tail)
    }
}

fn footer_hash(footer: &[u8; FOOTER_BYTES]) -> u64 {
    xxh3_64(&[&header()[..], &footer[..48]].concat())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The `xxh3_128` itself, for whoever computes it without knowing of checkpoints.
impl From<u128> for Checksum {
    fn from(hash: u128) -> Checksum {
        Checksum(hash)
    }
}

impl From<Checksum> for u128 {
    fn from(checksum: Checksum) -> u128 {
        checksum.0
    }
}

impl TryFrom<String> for Checksum {
    type Error = String;

    fn try_from(text: String) -> Result<Checksum, String> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = if digits { u128::from_str_radix(&text, 16).ok() } else { None };
        number.map(Checksum).ok_or_else(|| format!("'{text}' is not a checksum of 32 hexadecimal digits"))
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> String {
        checksum.to_string()
    }
}
