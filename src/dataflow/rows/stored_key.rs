//! The text of a row's key as it lies in memory, and with it since when the row counts.

use super::{TextRef, TextStore};
use crate::counter::EventTime;

/// Where a row's key is, and whether a `since` stands in front of it: a row that starts again after
/// it was evicted keeps the time from which on it counts in eight bytes before the key's text, so
/// that ordinary rows need no room for it. Everything that reads, frees or moves the key of a row
/// does it here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Where the bytes lie, those of `since` included.
    pub text: TextRef,
    /// Whether the first eight bytes are a time.
    pub has_since: bool,
}

impl StoredKey {
    /// Stores a key.
    #[inline]
    pub fn store(texts: &mut TextStore, key: &[u8], since: Option<EventTime>) -> StoredKey {
        match since {
            None => StoredKey { text: texts.insert(key), has_since: false },
            Some(since) => {
                let bytes = [since.0.to_le_bytes().as_slice(), key].concat();
                StoredKey { text: texts.insert(&bytes), has_since: true }
            }
        }
    }

    /// The key's text, and since when the row counts, where that is not from the beginning.
    #[inline]
    pub fn read(self, texts: &TextStore) -> (&[u8], Option<EventTime>) {
        let bytes = texts.get(self.text);
        if !self.has_since {
            return (bytes, None);
        }
        match bytes.split_first_chunk() {
            Some((since, key)) => (key, Some(EventTime(i64::from_le_bytes(*since)))),
            None => (bytes, None),
        }
    }

    /// Frees the key.
    pub fn forget(self, texts: &mut TextStore) {
        texts.remove(self.text);
    }

    /// Where the key is after a [compaction](TextStore::compact) of the texts.
    pub fn moved(self, texts: &mut TextStore) -> StoredKey {
        StoredKey { text: texts.moved(self.text), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_with_and_without_its_since() {
        let mut texts = TextStore::default();
        for key in ["", "a", "eight by", "a longer key | of several fields"] {
            for since in [None, Some(EventTime(0)), Some(EventTime(1_707_605_599))] {
                let stored = StoredKey::store(&mut texts, key.as_bytes(), since);
                assert_eq!(stored.read(&texts), (key.as_bytes(), since));
            }
        }
    }
}
