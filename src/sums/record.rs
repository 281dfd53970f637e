//! Records: what one window adds to one key, as a run of words.
//!
//! ```text
//! word   0..2       2                           3..
//!        identity   text length (32),           the key's text, in whole words; then its contributions
//!                   words of the record (32)
//! ```
//!
//! A contribution is what the events of the window add to one feature of the key:
//!
//! ```text
//! word   0                                       1              2..
//!        feature (32), kind (8), width (24)      last update    `width` words of amount
//! ```
//!
//! All words are little-endian wherever they leave a process. Whoever reads records trusts nothing in them:
//! every length and every kind is checked before it is used.

use super::event_keys::MAX_KEY_BYTES;
use super::identity::KeyId;
use crate::counter::EventTime;
use crate::memory::text_words;

const LENGTHS_WORD: usize = 2;
const HEADER_WORDS: usize = 3;

/// What the amount of a contribution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A single event of weight 1: no words.
    Unit = 0,
    /// The weight of a single event.
    Weight = 1,
    /// A value for each interval (and the squares, where the row keeps them).
    Values = 2,
    /// The single member that was seen.
    Member = 3,
    /// Where the members are that were seen.
    Members = 4,
    /// Which of the batch's uniques.
    Uniques = 5,
}

/// Something that was received is not what this version sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a batch of sums is damaged ({0}): all processes must run the same version with the same pipeline file")]
pub struct Damaged(pub(crate) &'static str);

/// One record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub key: KeyId,
    /// UTF-8.
    pub text: &'a [u8],
    contributions: &'a [u64],
}

/// One contribution, its amount not looked at yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawContribution<'a> {
    pub feature: u32,
    pub kind: Kind,
    pub last_update: EventTime,
    pub amount: &'a [u64],
}

/// Begins a record, and returns where: its contributions are appended next.
#[inline]
pub(super) fn begin_record(words: &mut Vec<u64>, key: KeyId, text: &[u64], text_length: u32) -> usize {
    let start = words.len();
    let [high, low] = key.words();
    words.extend_from_slice(&[high, low, u64::from(text_length)]);
    text.iter().for_each(|word| words.push(*word));
    start
}

/// Appends a contribution to the record that was begun last.
#[inline]
pub(super) fn push_contribution(words: &mut Vec<u64>, feature: u32, kind: Kind, time: EventTime, amount: &[u64]) {
    debug_assert!(amount.len() < 1 << 24);
    words.push(u64::from(feature) | (kind as u64) << 32 | (amount.len() as u64) << 40);
    words.push(time.0 as u64);
    amount.iter().for_each(|word| words.push(*word));
}

/// Ends the record that begins here.
#[inline]
pub(super) fn end_record(words: &mut [u64], start: usize) {
    words[start + LENGTHS_WORD] |= ((words.len() - start) as u64) << 32;
}

/// Takes the first record off the front of some words.
#[inline]
pub(super) fn split_record<'a>(words: &mut &'a [u64]) -> Result<Option<Record<'a>>, Damaged> {
    let [high, low, lengths, ..] = **words else {
        return if words.is_empty() { Ok(None) } else { Err(Damaged("half a record")) };
    };
    let (text_length, length) = ((lengths as u32) as usize, (lengths >> 32) as usize);
    if text_length > MAX_KEY_BYTES {
        return Err(Damaged("a text longer than any key"));
    }
    let (Some(record), Some(rest)) = (words.get(..length), words.get(length..)) else {
        return Err(Damaged("a record longer than its batch"));
    };
    let text_end = HEADER_WORDS + text_words(text_length);
    let (Some(text), Some(contributions)) = (record.get(HEADER_WORDS..text_end), record.get(text_end..)) else {
        return Err(Damaged("a text longer than its record"));
    };
    *words = rest;
    let text = &bytemuck::cast_slice(text)[..text_length];
    Ok(Some(Record { key: KeyId::from_words([high, low]), text, contributions }))
}

impl<'a> Record<'a> {
    /// Its contributions.
    #[inline]
    pub fn contributions(&self) -> RawContributions<'a> {
        RawContributions { words: self.contributions }
    }
}

/// See [`Record::contributions`].
#[derive(Clone)]
pub(super) struct RawContributions<'a> {
    words: &'a [u64],
}

impl<'a> Iterator for RawContributions<'a> {
    type Item = Result<RawContribution<'a>, Damaged>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let [head, time, amount @ ..] = self.words else {
            if self.words.is_empty() {
                return None;
            }
            self.words = &[];
            return Some(Err(Damaged("half a contribution")));
        };
        let width = (head >> 40) as usize;
        let (Some(kind), Some(amount), Some(rest)) =
            (Kind::from_byte((head >> 32) as u8), amount.get(..width), amount.get(width..))
        else {
            self.words = &[];
            return Some(Err(Damaged("a contribution of no known kind or length")));
        };
        self.words = rest;
        Some(Ok(RawContribution { feature: *head as u32, kind, last_update: EventTime(*time as i64), amount }))
    }
}

impl Kind {
    #[inline]
    fn from_byte(byte: u8) -> Option<Kind> {
        const ALL: [Kind; 6] = [Kind::Unit, Kind::Weight, Kind::Values, Kind::Member, Kind::Members, Kind::Uniques];
        ALL.get(usize::from(byte)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::append_text;

    #[test]
    fn texts_of_all_lengths_come_back_as_they_were() {
        for length in (0..40).chain([2_047, 2_048]) {
            let text: Vec<u8> = (0..length).map(|index| (index % 251) as u8 + 1).collect();
            let (mut words, mut text_in_words) = (Vec::new(), Vec::new());
            append_text(&mut text_in_words, &text);
            assert_eq!(text_in_words.len(), text_words(length));
            let start = begin_record(&mut words, KeyId::of_test_key(&text), &text_in_words, length as u32);
            push_contribution(&mut words, 7, Kind::Values, EventTime(5), &[1, 2, 3]);
            push_contribution(&mut words, 8, Kind::Unit, EventTime(6), &[]);
            end_record(&mut words, start);
            let mut rest = words.as_slice();
            let record = split_record(&mut rest).expect("whole").expect("a record");
            assert_eq!((record.key, record.text), (KeyId::of_test_key(&text), text.as_slice()));
            let found: Vec<_> = record.contributions().map(|found| found.expect("whole")).collect();
            assert_eq!((found[0].feature, found[0].kind, found[0].amount), (7, Kind::Values, [1, 2, 3].as_slice()));
            assert_eq!((found[1].feature, found[1].last_update, found[1].amount.len()), (8, EventTime(6), 0));
            assert!(found.len() == 2 && matches!(split_record(&mut rest), Ok(None)));
        }
    }
}
