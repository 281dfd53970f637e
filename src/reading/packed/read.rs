//! Unpacking what anybody may have written.

use std::collections::BTreeMap;

use super::bytes::Input;
use super::{Beside, FORMAT};
use crate::counter::{DecayInterval, EventTime};
use crate::reading::{Count, expires_at};

/// Bytes that are no packed features: what is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {what}")]
pub struct Damaged {
    /// What is wrong.
    pub what: &'static str,
    /// Before this byte, counted from 0.
    pub offset: usize,
}

/// The longest name that a feature has: more is not put together.
const MOST_NAME_BYTES: usize = 1 << 16;

/// A feature as it was packed.
#[derive(Clone, Copy, Debug)]
pub struct Unpacked<'a> {
    /// Its name.
    pub name: &'a str,
    /// The time of the newest event in it.
    pub last_update: EventTime,
    /// Seconds since 1970; `None`: never.
    pub expires_at: Option<i64>,
    form: &'a Form,
    values: Numbers<'a>,
    more: Numbers<'a>,
}

impl Unpacked<'_> {
    /// Its values, with what stands beside them, by their intervals.
    pub fn counts(&self) -> BTreeMap<DecayInterval, Count> {
        let count = |(index, interval): (usize, &DecayInterval)| {
            let more = self.more.nth(index);
            let count = Count {
                decay_interval: *interval,
                last_update: self.last_update,
                value: self.values.nth(index).unwrap_or_default(),
                squares: more.filter(|_| self.form.beside == Beside::Squares),
                error: more.filter(|_| self.form.beside == Beside::Errors),
            };
            (*interval, count)
        };
        self.form.intervals.iter().enumerate().map(count).collect()
    }
}

/// Passes on each feature, in the order of the names. What is damaged is found when it is come to.
pub fn unpack(bytes: &[u8], mut visit: impl FnMut(Unpacked<'_>)) -> Result<(), Damaged> {
    let mut input = Reader(Input::new(bytes));
    if input.take(1)? != [FORMAT] {
        return Err(input.damaged("a format that this program does not know"));
    }
    let units_per_second = i64::try_from(input.number()?).ok().filter(|units| *units > 0);
    let units_per_second = units_per_second.ok_or_else(|| input.damaged("no time unit"))?;
    let forms = input.forms()?;
    let newest = input.0.signed().ok_or_else(|| input.cut())?;
    let features = input.count()?;
    let mut name = Vec::new();
    for index in 0..features {
        input.name(&mut name, index == 0)?;
        let name = str::from_utf8(&name).map_err(|_| input.damaged("a name that is no UTF-8"))?;
        let form = input.count()?;
        let form = forms.get(form).ok_or_else(|| input.damaged("a form that is not there"))?;
        let last_update = i128::from(newest) - i128::from(input.number()?);
        let last_update = i64::try_from(last_update).map_err(|_| input.damaged("no last update"))?;
        let last_update = EventTime(last_update);
        let values = input.numbers(form)?;
        let more = if form.beside == Beside::Nothing { Numbers(&[]) } else { input.numbers(form)? };
        let expires_at = form.ttl.and_then(|ttl| expires_at(last_update, ttl, units_per_second));
        visit(Unpacked { name, last_update, expires_at, form, values, more });
    }
    if input.0.is_empty() { Ok(()) } else { Err(input.damaged("more than the features")) }
}

/// See the form of who writes.
#[derive(Debug)]
struct Form {
    beside: Beside,
    ttl: Option<i64>,
    intervals: Vec<DecayInterval>,
}

/// Numbers as they stand there; behind the last it stands for all others.
#[derive(Clone, Copy, Debug)]
struct Numbers<'a>(&'a [[u8; 8]]);

impl Numbers<'_> {
    fn nth(self, index: usize) -> Option<f64> {
        self.0.get(index).or(self.0.last()).map(|bytes| f64::from_le_bytes(*bytes))
    }
}

struct Reader<'a>(Input<'a>);

impl<'a> Reader<'a> {
    fn damaged(&self, what: &'static str) -> Damaged {
        Damaged { what, offset: self.0.offset() }
    }

    fn cut(&self) -> Damaged {
        self.damaged("a number that does not end")
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        self.0.take(count).ok_or_else(|| self.damaged("it ends here"))
    }

    fn number(&mut self) -> Result<u64, Damaged> {
        self.0.number().ok_or_else(|| self.cut())
    }

    fn count(&mut self) -> Result<usize, Damaged> {
        self.0.count().ok_or_else(|| self.cut())
    }

    /// Each takes some bytes, so that there are no more than these.
    fn forms(&mut self) -> Result<Vec<Form>, Damaged> {
        let mut forms = Vec::new();
        for _ in 0..self.count()? {
            forms.push(self.form()?);
        }
        Ok(forms)
    }

    fn form(&mut self) -> Result<Form, Damaged> {
        let beside = match self.take(1)? {
            [0] => Beside::Nothing,
            [1] => Beside::Squares,
            [2] => Beside::Errors,
            _ => return Err(self.damaged("a form of another kind")),
        };
        let ttl = i64::try_from(self.number()?).map_err(|_| self.damaged("no ttl"))?;
        let (mut intervals, mut before) = (Vec::new(), 0_i64);
        for _ in 0..self.count()? {
            let interval = i64::try_from(self.number()?).ok().and_then(|more| before.checked_add(more));
            let interval = interval.filter(|units| *units > before).and_then(|units| DecayInterval::new(units).ok());
            let interval = interval.ok_or_else(|| self.damaged("no decay interval"))?;
            before = interval.units();
            intervals.push(interval);
        }
        if intervals.is_empty() {
            return Err(self.damaged("a form without intervals"));
        }
        Ok(Form { beside, ttl: Some(ttl).filter(|ttl| *ttl > 0), intervals })
    }

    /// Makes of the name before the next one.
    fn name(&mut self, name: &mut Vec<u8>, is_first: bool) -> Result<(), Damaged> {
        let shared = self.count()?;
        let length = self.count()?;
        let rest = self.take(length)?;
        let is_right = match name.get(shared..) {
            // The first may be empty; each of the others follows the one before.
            Some(old) => is_first || rest > old,
            None => false,
        };
        if !is_right || shared + rest.len() > MOST_NAME_BYTES {
            return Err(self.damaged("a name that cannot follow the one before"));
        }
        name.truncate(shared);
        name.extend_from_slice(rest);
        Ok(())
    }

    fn numbers(&mut self, form: &Form) -> Result<Numbers<'a>, Damaged> {
        let stored = self.count()?;
        if !(1..=form.intervals.len()).contains(&stored) {
            return Err(self.damaged("more or fewer values than intervals"));
        }
        // No more than there are intervals, each of which took a byte.
        let (numbers, _) = self.take(8 * stored)?.as_chunks();
        if numbers.iter().any(|bytes| !f64::from_le_bytes(*bytes).is_finite()) {
            return Err(self.damaged("a value that is no number"));
        }
        Ok(Numbers(numbers))
    }
}
