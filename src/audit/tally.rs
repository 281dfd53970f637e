//! What a comparison found: numbers by group, and the first examples of each kind.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::items::ItemView;
use super::verdict::{Difference, Rules, difference};
use super::worth::{Amount, Worth};
use crate::counter::DecayInterval;
use crate::pipeline::RowShape;

/// What an item, or a row without one, was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The item is what the whole row is worth.
    Equal,
    /// It is what the row is worth from some event on: ttl or `[limits]` made the run forget what was before.
    Restarted,
    /// The row has no item any more, as its ttl has passed.
    Expired,
    /// It is of a feature that the pipeline file does not make, or does not keep.
    NotOfPipeline,
    /// It was published after what was recounted.
    Newer,
    /// The row has no item.
    Missing,
    /// No event has made the item.
    Extra,
    /// The item says something else.
    Off,
}

impl Finding {
    /// Every finding, in the order in which they are told.
    pub const ALL: [Finding; 8] = [
        Finding::Equal,
        Finding::Restarted,
        Finding::Expired,
        Finding::NotOfPipeline,
        Finding::Newer,
        Finding::Missing,
        Finding::Extra,
        Finding::Off,
    ];

    /// Whether the table is wrong where this was found.
    pub fn is_wrong(self) -> bool {
        matches!(self, Finding::Missing | Finding::Extra | Finding::Off)
    }
}

/// What was found of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupTally {
    found: [u64; Finding::ALL.len()],
    /// The largest relative difference among items that are right, estimates aside.
    pub worst: f64,
}

impl GroupTally {
    /// How many were found to be this.
    pub fn count(&self, finding: Finding) -> u64 {
        self.found[finding as usize]
    }

    /// How many rows the events have made.
    pub fn rows(&self) -> u64 {
        let without_row = [Finding::Extra, Finding::NotOfPipeline].map(|finding| self.count(finding));
        self.found.iter().sum::<u64>() - without_row.iter().sum::<u64>()
    }

    /// Whether nothing is wrong.
    pub fn agrees(&self) -> bool {
        Finding::ALL.into_iter().all(|finding| !finding.is_wrong() || self.count(finding) == 0)
    }

    /// What was found of this and of another.
    pub fn add(&mut self, other: &GroupTally) {
        self.found.iter_mut().zip(other.found).for_each(|(count, more)| *count += more);
        self.worst = self.worst.max(other.worst);
    }
}

/// One row or item that is wrong, or was told apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// What it was found to be.
    pub finding: Finding,
    /// The text of its key.
    pub key: String,
    /// The name of its feature.
    pub feature_name: String,
    /// What is wrong first of all, of an item that says something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// The relative difference there, where it is one of numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<f64>,
    /// What the events say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recount: Option<RecountedRow>,
    /// What the item says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<RecountedRow>,
}

/// The numbers of one side.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecountedRow {
    /// How many events have made it; an item does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<i64>,
    /// In the unit of the events' times; `None` where the counts of an item do not agree.
    pub last_update: Option<i64>,
    /// By interval, in the same unit.
    #[serde(serialize_with = "by_interval")]
    pub values: Vec<(DecayInterval, f64)>,
    /// Likewise, where there are any.
    #[serde(serialize_with = "by_interval", skip_serializing_if = "Vec::is_empty")]
    pub squares: Vec<(DecayInterval, f64)>,
    /// Seconds since 1970; as it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Since when an item counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
}

fn by_interval<S: Serializer>(numbers: &[(DecayInterval, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(numbers.iter().map(|(interval, number)| (interval.units().to_string(), number)))
}

impl RecountedRow {
    pub(super) fn of_row(worth: &Worth, rules: &Rules<'_>) -> RecountedRow {
        let numbers = |amounts: &[Amount]| {
            rules.intervals.iter().zip(amounts).map(|(interval, amount)| (*interval, amount.value)).collect()
        };
        RecountedRow {
            events: Some(worth.events),
            last_update: Some(worth.last_update),
            values: numbers(&worth.values),
            squares: numbers(&worth.squares),
            expires_at: rules.expires_at(worth.last_update),
            since: None,
        }
    }

    pub(super) fn of_item(item: &ItemView<'_>) -> RecountedRow {
        let last_updates = || item.counts.iter().map(|count| count.last_update.0);
        let first = last_updates().next();
        RecountedRow {
            events: None,
            last_update: first.filter(|first| last_updates().all(|other| other == *first)),
            values: item.counts.iter().map(|count| (count.decay_interval, count.value)).collect(),
            squares: item.counts.iter().filter_map(|count| Some((count.decay_interval, count.squares?))).collect(),
            expires_at: item.expires_at,
            since: item.since,
        }
    }
}

impl Example {
    /// An item that says something else than its row.
    pub(super) fn off(item: &ItemView<'_>, worth: &Worth, found: Difference, rules: &Rules<'_>) -> Example {
        let place = |interval: DecayInterval| rules.intervals.iter().position(|other| *other == interval);
        let off = match found {
            Difference::Value(interval) => {
                place(interval).map(|place| difference(item.counts[place].value, worth.values[place]))
            }
            Difference::Squares(interval) if rules.shape == RowShape::ValuesAndSquares => place(interval)
                .and_then(|place| Some(difference(item.counts[place].squares?, *worth.squares.get(place)?))),
            _ => None,
        };
        Example {
            what: Some(found.to_string()),
            difference: off,
            recount: Some(RecountedRow::of_row(worth, rules)),
            ..Example::of_item(Finding::Off, item)
        }
    }

    /// An item of which there is nothing to compare.
    pub(super) fn of_item(finding: Finding, item: &ItemView<'_>) -> Example {
        Example {
            finding,
            key: String::from_utf8_lossy(item.key).into_owned(),
            feature_name: item.feature_name.to_owned(),
            what: None,
            difference: None,
            recount: None,
            item: Some(RecountedRow::of_item(item)),
        }
    }
}

/// What was found, by the index of the group in the pipeline; the last is of items that belong to none.
#[derive(Clone, Debug)]
pub struct Tally {
    /// By group.
    pub groups: Vec<GroupTally>,
    /// The first of each finding that is worth one.
    pub examples: BTreeMap<Finding, Vec<Example>>,
    most_examples: usize,
}

impl Tally {
    /// Of so many groups, with at most so many examples of each kind.
    pub(super) fn new(groups: usize, most_examples: usize) -> Tally {
        Tally { groups: vec![GroupTally::default(); groups + 1], examples: BTreeMap::new(), most_examples }
    }

    /// `None`: of no group of the pipeline.
    pub(super) fn add(&mut self, group: Option<usize>, finding: Finding) {
        let index = group.unwrap_or(self.groups.len() - 1);
        self.groups[index].found[finding as usize] += 1;
    }

    pub(super) fn differs_by(&mut self, group: usize, worst: f64) {
        self.groups[group].worst = self.groups[group].worst.max(worst);
    }

    /// Keeps it, if there is room for more of its kind.
    pub(super) fn example(&mut self, finding: Finding, example: impl FnOnce() -> Example) {
        let examples = self.examples.entry(finding).or_default();
        if examples.len() < self.most_examples {
            examples.push(example());
        }
    }

    pub(super) fn merge(&mut self, other: Tally) {
        self.groups.iter_mut().zip(&other.groups).for_each(|(group, other)| group.add(other));
        for (finding, more) in other.examples {
            let examples = self.examples.entry(finding).or_default();
            examples.extend(more);
            examples.truncate(self.most_examples);
        }
    }

    /// Of all groups together.
    pub fn total(&self) -> GroupTally {
        self.groups.iter().fold(GroupTally::default(), |mut total, group| {
            total.add(group);
            total
        })
    }
}
