//! Runs of words that say what events add to rows: what is added up before the exchange, and
//! crosses it as it stands.
//!
//! ```text
//! word   0..2       2             3                                        4..4+width   then
//!        identity   last update   feature (32 bits), key length (12),      amount       the key's text,
//!                                 form (4), width (16)                                  in whole words
//! ```
//!
//! Most rows get a single event in a window, so its record holds the event and not yet a value for
//! every interval. When a second one comes, a longer record takes its place at the end.

use serde::{Deserialize, Serialize};

use super::identity::RowId;
use super::prefetch::prefetch;
use crate::counter::EventTime;

const LAST_UPDATE_WORD: usize = 2;
const SHAPE_WORD: usize = 3;
const HEADER_WORDS: usize = 4;

/// Records, one behind the other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Records {
    words: Vec<u64>,
}

/// Where a record begins.
pub type Place = u32;

/// What the amount of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Form {
    /// The weight of a single event.
    Weight = 0,
    /// A value for each interval (and the squares, where the row keeps them).
    Values = 1,
    /// The single member that was seen.
    Member = 2,
    /// Where the members stand that were seen.
    Members = 3,
    /// Where the uniques stand.
    Uniques = 4,
    /// Nothing: a longer record stands for this one.
    Replaced = 5,
}

impl Form {
    const ALL: [Form; 6] = [Form::Weight, Form::Values, Form::Member, Form::Members, Form::Uniques, Form::Replaced];
}

/// A key's text in whole words, the last one filled up with zeros.
#[derive(Clone, Copy, Debug)]
pub struct KeyWords<'a> {
    /// The words.
    pub words: &'a [u64],
    /// The length of the text, in bytes: less than 4096.
    pub length: usize,
}

/// Appends a key's text in whole words.
#[inline]
pub fn append_key_words(words: &mut Vec<u64>, text: &[u8]) {
    let (whole, rest) = text.as_chunks();
    // Keys are short: a call to copy them would take longer than the copying.
    whole.iter().for_each(|word| words.push(u64::from_ne_bytes(*word)));
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        words.push(u64::from_ne_bytes(word));
    }
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    words: &'a [u64],
}

impl Records {
    /// How many words there are: where the next record will begin.
    #[inline]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// There are no more records than this.
    pub fn most(&self) -> usize {
        const SHORTEST_WORDS: usize = HEADER_WORDS + 1;
        self.words.len() / SHORTEST_WORDS
    }

    /// The memory that they take, in bytes.
    pub fn memory(&self) -> usize {
        size_of_val(self.words.as_slice())
    }

    /// Makes room.
    pub fn reserve(&mut self, words: usize) {
        self.words.reserve(words);
    }

    /// Adds a record whose amount is one word.
    #[inline]
    pub fn push(&mut self, row: RowId, feature: u32, time: EventTime, form: Form, amount: u64, key: KeyWords<'_>) {
        let [high, low] = row.words();
        let shape = shape(feature, key.length, form, 1);
        self.words.reserve(HEADER_WORDS + 1 + key.words.len());
        self.words.extend_from_slice(&[high, low, time.0 as u64, shape, amount]);
        key.words.iter().for_each(|word| self.words.push(*word));
    }

    /// Adds a record of so many values, all zero, in the place of a shorter one of the same row, and
    /// returns where it begins.
    pub fn replace_by_values(&mut self, place: Place, width: usize) -> Place {
        let start = place as usize;
        let (key_start, length, feature) = {
            let old = self.get(place);
            (start + HEADER_WORDS + old.width(), old.key().len(), old.feature())
        };
        self.words[start + SHAPE_WORD] = shape(feature, length, Form::Replaced, 1);
        let longer = self.words.len();
        self.words.reserve(HEADER_WORDS + width + length.div_ceil(8));
        self.words.extend_from_within(start..start + SHAPE_WORD);
        self.words.push(shape(feature, length, Form::Values, width));
        self.words.resize(longer + HEADER_WORDS + width, 0);
        self.words.extend_from_within(key_start..key_start + length.div_ceil(8));
        longer as Place
    }

    /// Forgets all records.
    pub fn clear(&mut self) {
        self.words.clear();
    }

    /// Asks for the record that begins here, for a step that comes soon.
    #[inline]
    pub fn prefetch(&self, place: Place) {
        const WORDS_PER_LINE: usize = 8;
        prefetch(&self.words[place as usize]);
        prefetch(&self.words[(place as usize + WORDS_PER_LINE).min(self.words.len() - 1)]);
    }

    /// The record that begins here.
    #[inline]
    pub fn get(&self, place: Place) -> Record<'_> {
        Record { words: &self.words[place as usize..] }
    }

    /// What a step changes: the last update and the amount of the record that begins here.
    #[inline]
    pub fn get_mut(&mut self, place: Place) -> (&mut u64, &mut [u64]) {
        let words = &mut self.words[place as usize..];
        let width = (words[SHAPE_WORD] >> 48) as usize;
        let (header, rest) = words.split_at_mut(HEADER_WORDS);
        (&mut header[LAST_UPDATE_WORD], &mut rest[..width])
    }

    /// Changes the form of a record whose amount stays one word.
    pub fn set_form(&mut self, place: Place, form: Form) {
        let record = self.get(place);
        let changed = shape(record.feature(), record.key().len(), form, 1);
        self.words[place as usize + SHAPE_WORD] = changed;
    }

    /// The records that begin from here on, up to an end, except those that were replaced; each with
    /// its place.
    pub fn iter(&self, start: usize, end: usize) -> Iter<'_> {
        Iter { records: self, place: start, end }
    }
}

/// See [`Records::iter`].
#[derive(Clone)]
pub struct Iter<'a> {
    records: &'a Records,
    place: usize,
    end: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Place, Record<'a>);

    #[inline]
    fn next(&mut self) -> Option<(Place, Record<'a>)> {
        while self.place < self.end {
            let (place, record) = (self.place as Place, self.records.get(self.place as Place));
            self.place += record.len();
            if record.form() != Form::Replaced {
                return Some((place, record));
            }
        }
        None
    }
}

impl<'a> Record<'a> {
    /// The row.
    #[inline]
    pub fn row(&self) -> RowId {
        RowId::from_words([self.words[0], self.words[1]])
    }

    /// Whether it is this row's.
    #[inline]
    pub fn is_of(&self, row: RowId) -> bool {
        row.is_at_beginning_of(self.words)
    }

    /// The time of the newest event.
    #[inline]
    pub fn last_update(&self) -> EventTime {
        EventTime(self.words[LAST_UPDATE_WORD] as i64)
    }

    /// The number of the row's feature.
    #[inline]
    pub fn feature(&self) -> u32 {
        self.words[SHAPE_WORD] as u32
    }

    /// What the amount is.
    #[inline]
    pub fn form(&self) -> Form {
        let number = (self.words[SHAPE_WORD] >> 44) as usize & 0xF;
        // Records that were damaged on their way count as replaced.
        Form::ALL.get(number).copied().unwrap_or(Form::Replaced)
    }

    /// The words of the amount.
    #[inline]
    pub fn amount(&self) -> &'a [u64] {
        &self.words[HEADER_WORDS..][..self.width()]
    }

    /// The key's text, UTF-8.
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        let words = &self.words[HEADER_WORDS + self.width()..];
        &bytemuck::cast_slice(words)[..self.key_length()]
    }

    #[inline]
    fn width(&self) -> usize {
        (self.words[SHAPE_WORD] >> 48) as usize
    }

    #[inline]
    fn key_length(&self) -> usize {
        (self.words[SHAPE_WORD] >> 32) as usize & 0xFFF
    }

    /// How many words it takes.
    #[inline]
    fn len(&self) -> usize {
        HEADER_WORDS + self.width() + self.key_length().div_ceil(8)
    }
}

#[inline]
fn shape(feature: u32, key_length: usize, form: Form, width: usize) -> u64 {
    debug_assert!(key_length < 1 << 12 && width < 1 << 16);
    u64::from(feature) | (key_length as u64) << 32 | (form as u64) << 44 | (width as u64) << 48
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str) -> RowId {
        RowId::of_test_key(key.as_bytes())
    }

    fn push(records: &mut Records, key: &str, form: Form, amount: u64) -> Place {
        let mut words = Vec::new();
        append_key_words(&mut words, key.as_bytes());
        let place = records.len() as Place;
        records.push(row(key), 7, EventTime(-3), form, amount, KeyWords { words: &words, length: key.len() });
        place
    }

    #[test]
    fn records_of_keys_of_all_lengths_come_back_as_they_were() {
        let mut records = Records::default();
        let keys: Vec<String> = (0..40).chain([2_047, 2_048]).map(|length| "k".repeat(length)).collect();
        for (amount, key) in (0..).zip(&keys) {
            push(&mut records, key, Form::Member, amount);
        }
        let found: Vec<_> = records.iter(0, records.len()).map(|(_, record)| record).collect();
        assert_eq!(found.len(), keys.len());
        for ((amount, key), record) in (0..).zip(&keys).zip(found) {
            assert_eq!((record.key(), record.amount()), (key.as_bytes(), [amount].as_slice()));
            assert_eq!((record.row(), record.feature(), record.form()), (row(key), 7, Form::Member));
            assert_eq!(record.last_update(), EventTime(-3));
            assert!(record.is_of(row(key)) && !record.is_of(row("another")));
        }
    }

    #[test]
    fn a_longer_record_takes_the_place_of_a_shorter_one_behind_the_others() {
        let mut records = Records::default();
        let first = push(&mut records, "the first key", Form::Weight, 5);
        let second = push(&mut records, "the second", Form::Weight, 6);
        let longer = records.replace_by_values(first, 3);
        let (last_update, values) = records.get_mut(longer);
        *last_update = 9;
        values.copy_from_slice(&[1, 2, 3]);
        records.set_form(second, Form::Uniques);
        let found: Vec<_> = records.iter(0, records.len()).collect();
        assert_eq!(found.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [second, longer]);
        let (second, longer) = (found[0].1, found[1].1);
        assert_eq!((second.key(), second.form(), second.amount()), (b"the second".as_slice(), Form::Uniques, &[6][..]));
        assert_eq!(
            (longer.key(), longer.form(), longer.amount()),
            (b"the first key".as_slice(), Form::Values, &[1, 2, 3][..])
        );
        assert_eq!((longer.row(), longer.feature(), longer.last_update()), (row("the first key"), 7, EventTime(9)));
    }
}
