//! The last few events that could not be counted, for people.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// So much of each text is kept.
const MOST_BYTES: usize = 240;

/// The last few, the oldest first.
#[derive(Debug, Default)]
pub struct RecentLetters(Mutex<VecDeque<RecentLetter>>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentLetter {
    /// When it was kept.
    pub at: SystemTime,
    /// Why it could not be counted.
    pub reason: String,
    /// Where it stands.
    pub place: String,
    /// How it begins.
    pub text: String,
}

impl RecentLetters {
    /// So many are kept.
    pub const KEPT: usize = 10;

    /// One more, of these bytes, in place of the oldest.
    pub fn note(&self, reason: String, place: String, bytes: &[u8]) {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_BYTES)]).into_owned();
        let mut letters = self.lock();
        if letters.len() == Self::KEPT {
            letters.pop_front();
        }
        letters.push_back(RecentLetter { at: SystemTime::now(), reason, place, text });
    }

    /// All that are kept.
    pub fn all(&self) -> Vec<RecentLetter> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<RecentLetter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_few_are_kept_and_long_ones_are_cut() {
        let letters = RecentLetters::default();
        for number in 0..=RecentLetters::KEPT {
            letters.note("bad_name".to_owned(), format!("a.jsonl, offset {number}"), &[b'x'; 10_000]);
        }
        let all = letters.all();
        assert_eq!((all.len(), all[0].place.as_str()), (RecentLetters::KEPT, "a.jsonl, offset 1"));
        assert!(all.iter().all(|letter| letter.text.len() == MOST_BYTES));
    }
}
