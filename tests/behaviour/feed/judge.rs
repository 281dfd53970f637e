//! Holds what was published against a recount, item by item as it is read: whole logs have millions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;

use super::recount::{Count, Recount, Row, Sum};
use crate::program::Running;

/// How far sums may be off, as a share of what they were added up from.
const ROUNDING: f64 = 1e-9;
/// What is smaller is published as 0.
const SMALLEST: f64 = 1e-130;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Item {
    key: String,
    feature_name: String,
    counts: BTreeMap<i64, Entry>,
    version: u64,
    expires_at: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    decay_interval: i64,
    last_update: i64,
    value: f64,
    squares: Option<f64>,
    error: Option<f64>,
}

/// What was found in a sink in which every item is as it must be.
#[derive(Debug, Default)]
pub struct Findings {
    pub items: usize,
    pub versions: BTreeSet<u64>,
    /// The largest share by which a sum was off.
    pub worst_rounding: f64,
    pub exact_uniques: usize,
    /// By how many standard errors each value of each sketch is off.
    pub deviations: Vec<f64>,
}

/// The dumps must be the rows of the recount, each of them.
pub fn judge(recount: &Recount<'_>, mut dumps: Vec<Running>, decays: Decays) -> Vec<Findings> {
    let mut findings: Vec<Findings> = dumps.iter().map(|_| Findings::default()).collect();
    let mut unseen = vec![true; recount.rows()];
    let mut before = (String::new(), String::new());
    loop {
        let items: Vec<Option<Item>> = dumps.iter_mut().map(next_item).collect();
        let [Some(first), others @ ..] = items.as_slice() else {
            assert!(items.iter().all(Option::is_none), "one dump has more items than another: {items:?}");
            break;
        };
        let name = (first.key.clone(), first.feature_name.clone());
        assert!(before < name, "sorted, and each once: {name:?} behind {before:?}");
        let number = recount.number(&name.0, &name.1).unwrap_or_else(|| panic!("unexpected: {first:?}"));
        let row = recount.row(number, &name.1);
        for (item, findings) in items.iter().zip(&mut findings) {
            let item = item.as_ref().unwrap_or_else(|| panic!("only one dump has {first:?}"));
            item.check(&name, &row, decays, findings);
        }
        for other in others.iter().flatten() {
            other.check_same(first, &row);
        }
        unseen[number as usize] = false;
        before = name;
    }
    let missing = unseen.iter().filter(|unseen| **unseen).count();
    assert_eq!(missing, 0, "missing, for example {:?}", recount.names(|row| unseen[row as usize]));
    dumps.into_iter().for_each(|dump| drop(dump.end().exits(0)));
    findings
}

/// What an event is worth at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decays {
    AsTheyAre,
    /// The intervals are so long that every event is worth one, and a single one that was lost or
    /// doubled would be seen.
    None,
}

fn next_item(dump: &mut Running) -> Option<Item> {
    let line = dump.next_line()?;
    Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
}

impl Item {
    fn check(&self, name: &(String, String), row: &Row, decays: Decays, findings: &mut Findings) {
        assert_eq!((&self.key, &self.feature_name), (&name.0, &name.1), "another dump has no such item");
        let says = || format!("{self:#?}\nmust be {row:#?}");
        assert_eq!(self.expires_at, row.expires_at, "{}", says());
        assert!(self.counts.keys().eq(row.counts.iter().map(|count| &count.interval)), "{}", says());
        for ((interval, entry), count) in self.counts.iter().zip(&row.counts) {
            assert_eq!((entry.decay_interval, entry.last_update), (*interval, row.last_update), "{}", says());
            assert!(entry.agrees(count, findings), "{}", says());
            assert!(decays == Decays::AsTheyAre || entry.is_undecayed(count), "{}", says());
        }
        findings.items += 1;
        findings.versions.insert(self.version);
    }

    /// How the work was shared out changes nothing. (But sketches differ from run to run, as members are
    /// hashed with a random seed; src/dataflow/tests/feed.rs compares them bit for bit.)
    fn check_same(&self, other: &Item, row: &Row) {
        for ((mine, theirs), count) in self.counts.values().zip(other.counts.values()).zip(&row.counts) {
            let is_same = count.is_estimate() || is_near(mine.value, theirs.value, count.value.size);
            assert!(is_same, "{self:#?}\n{other:#?}");
        }
    }
}

impl Entry {
    fn agrees(&self, count: &Count, findings: &mut Findings) -> bool {
        let error_agrees = match (self.error, count.error) {
            (Some(error), Some(expected)) => (error - expected).abs() <= 1e-12,
            (error, expected) => error == expected,
        };
        let squares_agree = match (self.squares, count.squares) {
            (Some(squares), Some(expected)) => is_near(squares, expected.value, expected.size),
            (squares, expected) => squares.is_none() && expected.is_none(),
        };
        let value_agrees = if count.is_estimate() {
            let standard_error = count.value.value * count.error.unwrap_or_default();
            findings.deviations.push((self.value - count.value.value) / standard_error);
            true
        } else {
            findings.exact_uniques += usize::from(count.error.is_some());
            findings.worst_rounding = findings.worst_rounding.max(rounding(self.value, count.value));
            is_near(self.value, count.value.value, count.value.size)
        };
        error_agrees && squares_agree && value_agrees
    }

    fn is_undecayed(&self, count: &Count) -> bool {
        count.is_estimate() || (self.value - count.total.value).abs() <= 1e-6 * count.total.size
    }
}

impl Count {
    fn is_estimate(&self) -> bool {
        self.error.is_some_and(|error| error > 0.0)
    }
}

fn rounding(value: f64, expected: Sum) -> f64 {
    if is_near(value, expected.value, 0.0) { 0.0 } else { (value - expected.value).abs() / expected.size }
}

fn is_near(one: f64, other: f64, size: f64) -> bool {
    (one - other).abs() <= ROUNDING * size + SMALLEST
}

impl Findings {
    /// How far the estimates are off is a matter of chance: each run hashes members with another seed. By
    /// the law of such a sketch one estimate in 3,700 is off by more than 4 standard errors, and one in
    /// 10^9 by more than 8. Estimates that share members err alike: in 48 runs over the cut their mean
    /// was off by 0.36 standard errors (as a standard deviation; 0.9 at most), and at most 0.5 % of
    /// them by more than 4.
    pub fn assert_estimates_are_sound(&self, least: usize) {
        assert!(self.deviations.len() >= least, "sketches were to be seen: {self}");
        assert!(self.share_beyond(8.0) == 0.0, "{self}");
        // Few that share members may all be off together: with a random seed, some run will see it.
        if least >= 100 {
            assert!(self.share_beyond(4.0) <= 0.05, "{self}");
            assert!(self.mean_power(1).abs() < 2.0, "a bias: {self}");
        }
    }

    fn share_beyond(&self, bound: f64) -> f64 {
        let beyond = self.deviations.iter().filter(|deviation| deviation.abs() > bound);
        beyond.count() as f64 / self.deviations.len() as f64
    }

    fn mean_power(&self, power: i32) -> f64 {
        self.deviations.iter().map(|deviation| deviation.powi(power)).sum::<f64>() / self.deviations.len() as f64
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (items, versions, rounding) = (self.items, self.versions.len(), self.worst_rounding);
        writeln!(f, "{items} items of {versions} versions; sums and exact uniques are off by {rounding:.1e} at most")?;
        let (exact, estimates) = (self.exact_uniques, self.deviations.len());
        let (mean, mean_square) = (self.mean_power(1), self.mean_power(2));
        let (low, high) =
            self.deviations.iter().fold((0.0f64, 0.0f64), |(low, high), one| (low.min(*one), high.max(*one)));
        writeln!(f, "{exact} exact values of uniques, {estimates} estimates; in standard errors, these are off by")?;
        write!(f, "{mean:.3} in the mean, {:.3} root mean square, {low:.2} to {high:.2}; ", mean_square.sqrt())?;
        let [two, three, four] = [2.0, 3.0, 4.0].map(|bound| 100.0 * self.share_beyond(bound));
        write!(f, "{two:.3} % by more than 2, {three:.3} % by more than 3, {four:.4} % by more than 4")
    }
}
