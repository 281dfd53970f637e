//! Packing.

use super::bytes::{Length, Output};
use super::{Beside, FORMAT};
use crate::counter::{DecayInterval, EventTime};
use crate::reading::published;

/// A feature that is to be packed.
#[derive(Clone, Copy, Debug)]
pub struct Feature<'a> {
    /// Its name.
    pub name: &'a str,
    /// The time of the newest event in it.
    pub last_update: EventTime,
    /// How long after that it expires, in time units, at least 1; `None`: never.
    pub ttl: Option<i64>,
    /// Ascending; one or more.
    pub intervals: &'a [DecayInterval],
    /// One for each interval.
    pub values: &'a [f64],
    /// Likewise, where it has any.
    pub squares: &'a [f64],
    /// Likewise; a feature has no squares then.
    pub errors: &'a [f64],
}

/// Appends the features of a key, which come in the order of the bytes of their names. So many time units are a second.
pub fn pack(features: &[Feature<'_>], units_per_second: i64, bytes: &mut Vec<u8>) {
    write(features, units_per_second, bytes);
}

/// How many bytes [`pack`] appends.
pub fn packed_length(features: &[Feature<'_>], units_per_second: i64) -> usize {
    let mut length = Length(0);
    write(features, units_per_second, &mut length);
    length.0
}

/// What the features of one group have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Form<'a> {
    beside: Beside,
    ttl: Option<i64>,
    intervals: &'a [DecayInterval],
}

impl<'a> Form<'a> {
    fn of(feature: &Feature<'a>) -> Form<'a> {
        let beside = match (feature.squares, feature.errors) {
            ([], []) => Beside::Nothing,
            (_, []) => Beside::Squares,
            _ => Beside::Errors,
        };
        Form { beside, ttl: feature.ttl, intervals: feature.intervals }
    }
}

fn write(features: &[Feature<'_>], units_per_second: i64, output: &mut impl Output) {
    debug_assert!(features.is_sorted_by(|one, next| one.name < next.name));
    let (forms, of_features) = forms(features);
    output.put(&[FORMAT]);
    output.put_number(units_per_second as u64);
    output.put_number(forms.len() as u64);
    forms.iter().for_each(|form| write_form(form, output));
    let newest = features.iter().map(|feature| feature.last_update).max().unwrap_or_default();
    output.put_signed(newest.0);
    output.put_number(features.len() as u64);
    let mut name_before = "";
    for (feature, form) in features.iter().zip(of_features) {
        let shared = shared_prefix(name_before.as_bytes(), feature.name.as_bytes());
        output.put_number(shared as u64);
        output.put_number((feature.name.len() - shared) as u64);
        output.put(&feature.name.as_bytes()[shared..]);
        name_before = feature.name;
        output.put_number(form as u64);
        output.put_number(newest.0.wrapping_sub(feature.last_update.0) as u64);
        write_numbers(feature.values, output);
        let more = if feature.squares.is_empty() { feature.errors } else { feature.squares };
        if !more.is_empty() {
            write_numbers(more, output);
        }
    }
}

/// The forms, in the order in which they come, and which of them each feature has.
fn forms<'a>(features: &[Feature<'a>]) -> (Vec<Form<'a>>, Vec<usize>) {
    let mut forms: Vec<Form<'a>> = Vec::new();
    let mut of_features: Vec<usize> = Vec::with_capacity(features.len());
    for feature in features {
        let form = Form::of(feature);
        // Names next to each other are mostly of one group.
        let same = of_features.last().copied().filter(|last| forms[*last] == form);
        let known = same.or_else(|| forms.iter().position(|known| *known == form));
        of_features.push(known.unwrap_or_else(|| {
            forms.push(form);
            forms.len() - 1
        }));
    }
    (forms, of_features)
}

fn write_form(form: &Form<'_>, output: &mut impl Output) {
    output.put(&[form.beside as u8]);
    output.put_number(form.ttl.unwrap_or_default() as u64);
    output.put_number(form.intervals.len() as u64);
    let mut before = 0;
    for interval in form.intervals {
        output.put_number((interval.units() - before) as u64);
        before = interval.units();
    }
}

/// The last stands for all that follow it and have the same bits.
fn write_numbers(numbers: &[f64], output: &mut impl Output) {
    let last = numbers.last().map(|last| published(*last).to_bits());
    let alike = numbers.iter().rev().take_while(|number| Some(published(**number).to_bits()) == last).count();
    let stored = &numbers[..numbers.len() - alike.saturating_sub(1)];
    output.put_number(stored.len() as u64);
    for number in stored {
        output.put(&published(*number).to_le_bytes());
    }
}

fn shared_prefix(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
