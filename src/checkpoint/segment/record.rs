//! What a checkpoint says of one key.

use crate::sums::KeyId;

/// The key's identity, the kind, the payload's length.
const HEAD_BYTES: usize = 21;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// The key is gone. No payload.
    Tombstone,
    /// The key with all of its rows: the payload.
    Key,
    /// No row of the key is marked any more; the rows are those of the record before. No payload.
    Published,
}

/// A record, where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    key: KeyId,
    kind: RecordKind,
    bytes: &'a [u8],
}

impl RecordKind {
    fn from_byte(byte: u8) -> Option<RecordKind> {
        [RecordKind::Tombstone, RecordKind::Key, RecordKind::Published].into_iter().find(|kind| kind.byte() == byte)
    }

    fn byte(self) -> u8 {
        match self {
            RecordKind::Tombstone => 0,
            RecordKind::Key => 1,
            RecordKind::Published => 2,
        }
    }
}

impl<'a> Record<'a> {
    /// The record with which these bytes begin; `None` if they begin with none.
    #[inline]
    pub fn first_of(bytes: &'a [u8]) -> Option<Record<'a>> {
        let (high, rest) = bytes.split_first_chunk::<8>()?;
        let (low, rest) = rest.split_first_chunk::<8>()?;
        let (&kind, rest) = rest.split_first()?;
        let (length, _) = rest.split_first_chunk::<4>()?;
        let end = HEAD_BYTES.checked_add(u32::from_le_bytes(*length) as usize)?;
        let kind = RecordKind::from_byte(kind)?;
        if kind != RecordKind::Key && end != HEAD_BYTES {
            return None;
        }
        let key = KeyId::from_words([u64::from_le_bytes(*high), u64::from_le_bytes(*low)]);
        Some(Record { key, kind, bytes: bytes.get(..end)? })
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// What it says.
    #[inline]
    pub fn kind(&self) -> RecordKind {
        self.kind
    }

    /// The key's rows, for [`RecordKind::Key`]; else empty.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEAD_BYTES..]
    }

    /// All of it.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Appends a record. `payload` counts for [`RecordKind::Key`] only. Returns whether it did: a payload of 4 GiB or more has no record.
pub fn append_record(bytes: &mut Vec<u8>, key: KeyId, kind: RecordKind, payload: &[u8]) -> bool {
    let payload = if kind == RecordKind::Key { payload } else { &[] };
    let Ok(length) = u32::try_from(payload.len()) else { return false };
    let [high, low] = key.words();
    bytes.extend_from_slice(&high.to_le_bytes());
    bytes.extend_from_slice(&low.to_le_bytes());
    bytes.push(kind.byte());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(payload);
    true
}

/// The records of these bytes, up to the first that is none.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let record = Record::first_of(rest)?;
        rest = &rest[record.bytes.len()..];
        Some(record)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_goes_there_and_back() {
        let key = KeyId::from_words([1 << 63, 7]);
        let mut bytes = Vec::new();
        assert!(append_record(&mut bytes, key, RecordKind::Key, b"rows"));
        assert!(append_record(&mut bytes, key, RecordKind::Tombstone, b""));
        let read: Vec<Record<'_>> = records(&bytes).collect();
        assert_eq!((read[0].key(), read[0].kind(), read[0].payload()), (key, RecordKind::Key, &b"rows"[..]));
        assert_eq!((read[1].kind(), read[1].bytes().len(), read.len()), (RecordKind::Tombstone, HEAD_BYTES, 2));
    }

    #[test]
    fn what_is_no_record_is_none() {
        let mut bytes = Vec::new();
        append_record(&mut bytes, KeyId::default(), RecordKind::Key, b"rows");
        for length in 0..bytes.len() {
            assert_eq!(Record::first_of(&bytes[..length]), None, "{length}");
        }
        for kind in [0, 2, 3, 255] {
            bytes[16] = kind;
            assert_eq!(Record::first_of(&bytes), None, "kind {kind} with a payload");
        }
    }
}
