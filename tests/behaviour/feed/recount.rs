//! An independent recount of an event log: it shares no code with the program, nor its algebra.
//!
//! For every row it keeps what was added and when, the whole list, and evaluates the definitions when
//! it is asked, as of the newest time of the list: `sum of weight * exp(-(newest - time) / interval)`
//! for counts and sums, with the squares of the weights and half the interval for `squares`, and the sum
//! of `exp(-(newest - last seen) / interval)` over the different members for uniques.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use serde_json::Value;

use super::event::{Amount, amount, field, keys, passes};
use super::pipeline_file::{Group, Measure, PipelineFile};

/// Uniques of a row that never had more members are exact (docs/pipelines.md, "How many different ones").
pub const EXACT_MEMBERS: usize = 64;

/// Everything that a pipeline counts of a log.
pub struct Recount<'a> {
    file: &'a PipelineFile,
    /// Keys and members, numbered.
    texts: HashMap<String, u32>,
    features: Vec<Feature<'a>>,
    feature_numbers: HashMap<String, u32>,
    /// By the numbers of key and feature.
    rows: HashMap<(u32, u32), u32>,
    weights: Vec<Weight>,
    sightings: Vec<Sighting>,
    pub seen: Seen,
}

struct Feature<'a> {
    group: &'a Group,
    is_uniques: bool,
    shows_squares: bool,
}

/// Sorted by row, and then as they came.
#[derive(Clone, Copy)]
struct Weight {
    row: u32,
    time: i64,
    weight: f64,
}

/// Sorted by all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sighting {
    row: u32,
    member: u32,
    time: i64,
}

/// What was in the log.
#[derive(Debug, Default)]
pub struct Seen {
    pub events: BTreeMap<String, u64>,
    /// Events that are older than one before them.
    pub late: u64,
    pub retractions: u64,
    /// How often a group counted an event under several keys.
    pub exploded: u64,
    pub times: Option<(i64, i64)>,
}

/// A row as it must be published.
#[derive(Debug)]
pub struct Row {
    pub last_update: i64,
    pub expires_at: Option<i64>,
    pub counts: Vec<Count>,
}

/// A row's value with one interval.
#[derive(Debug)]
pub struct Count {
    pub interval: i64,
    pub value: Sum,
    /// Without any decay.
    pub total: Sum,
    pub squares: Option<Sum>,
    /// The relative standard error of uniques, 0 where they are exact.
    pub error: Option<f64>,
}

/// A sum, and the sum of what was added up without the signs, by which its rounding is judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    pub value: f64,
    pub size: f64,
}

impl Sum {
    fn of(terms: impl Iterator<Item = f64>) -> Sum {
        terms.fold(Sum::default(), |sum, term| Sum { value: sum.value + term, size: sum.size + term.abs() })
    }
}

impl<'a> Recount<'a> {
    pub fn new(file: &'a PipelineFile, log: &str) -> Recount<'a> {
        let mut recount = Recount {
            file,
            texts: HashMap::new(),
            features: Vec::new(),
            feature_numbers: HashMap::new(),
            rows: HashMap::new(),
            weights: Vec::new(),
            sightings: Vec::new(),
            seen: Seen::default(),
        };
        for line in log.lines() {
            recount.add(&serde_json::from_str(line).unwrap());
        }
        recount.weights.sort_by_key(|addition| addition.row);
        recount.sightings.sort_unstable();
        recount
    }

    fn add(&mut self, event: &Value) {
        let file = self.file;
        let written_name = field(event, &file.event_name).as_str().unwrap();
        let time = field(event, &file.event_time).as_i64().unwrap();
        let (name, name_weight) = file.counts_as(written_name);
        self.seen.note(written_name, time, name_weight);
        for group in file.groups.iter().filter(|group| group.wants(name) && passes(event, group)) {
            let keys = keys(event, group);
            self.seen.exploded += u64::from(keys.len() > 1);
            // Where the field with the weight is missing, nothing is added.
            let Some(weight) = group.weight.as_ref().map_or(Some(1.0), |path| field(event, path).as_f64()) else {
                continue;
            };
            for measure in &group.measures {
                let feature = group.feature(name, measure);
                let amount = amount(event, measure, name_weight, weight);
                let Some(amount) = amount.filter(|_| file.keeps(&feature)) else { continue };
                let feature = self.feature(feature, group, measure);
                for key in &keys {
                    self.add_to_row(key, feature, time, &amount);
                }
            }
        }
    }

    fn add_to_row(&mut self, key: &str, feature: u32, time: i64, amount: &Amount) {
        let key = self.text(key);
        let next = self.rows.len() as u32;
        let row = *self.rows.entry((key, feature)).or_insert(next);
        match amount {
            Amount::Weight(weight) => self.weights.push(Weight { row, time, weight: *weight }),
            Amount::Member(member) => {
                let member = self.text(member);
                self.sightings.push(Sighting { row, member, time });
            }
        }
    }

    fn text(&mut self, text: &str) -> u32 {
        let next = self.texts.len() as u32;
        self.texts.get(text).copied().unwrap_or_else(|| *self.texts.entry(text.to_owned()).or_insert(next))
    }

    fn feature(&mut self, name: String, group: &'a Group, measure: &Measure) -> u32 {
        let is_uniques = matches!(measure, Measure::Uniques(_));
        let shows_squares = !is_uniques && self.file.shows_squares(&name);
        *self.feature_numbers.entry(name).or_insert_with(|| {
            self.features.push(Feature { group, is_uniques, shows_squares });
            self.features.len() as u32 - 1
        })
    }

    /// How many rows there must be.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The number of the row with this name.
    pub fn number(&self, key: &str, feature: &str) -> Option<u32> {
        let name = (*self.texts.get(key)?, *self.feature_numbers.get(feature)?);
        self.rows.get(&name).copied()
    }

    /// Every row, by its key and feature.
    pub fn all(&self) -> BTreeMap<(String, String), Row> {
        let by_number = |numbers: &HashMap<String, u32>| -> HashMap<u32, String> {
            numbers.iter().map(|(name, number)| (*number, name.clone())).collect()
        };
        let (texts, features) = (by_number(&self.texts), by_number(&self.feature_numbers));
        let row = |((key, feature), number): (&(u32, u32), &u32)| {
            let name = (texts[key].clone(), features[feature].clone());
            let row = self.row(*number, &name.1);
            (name, row)
        };
        self.rows.iter().map(row).collect()
    }

    /// The names of some rows, for messages.
    pub fn names(&self, wanted: impl Fn(u32) -> bool) -> Vec<(&str, &str)> {
        let rows = self.rows.iter().filter(|(_, row)| wanted(**row)).take(3);
        rows.map(|((key, feature), _)| (name(&self.texts, *key), name(&self.feature_numbers, *feature))).collect()
    }

    /// The row with this number, of the feature of this name.
    pub fn row(&self, number: u32, feature: &str) -> Row {
        let feature = &self.features[self.feature_numbers[feature] as usize];
        let (last_update, counts) =
            if feature.is_uniques { self.uniques(number, feature.group) } else { self.sums(number, feature) };
        let expires_at = feature.group.ttl.map(|ttl| {
            // The first whole second at which the ttl is over.
            let per_second = self.file.units_per_second;
            let expiry = last_update + ttl;
            expiry.div_euclid(per_second) + i64::from(expiry.rem_euclid(per_second) > 0)
        });
        Row { last_update, expires_at, counts }
    }

    fn sums(&self, row: u32, feature: &Feature<'_>) -> (i64, Vec<Count>) {
        let additions = &self.weights[places(&self.weights, row, |addition| addition.row)];
        let last_update = additions.iter().map(|addition| addition.time).max().unwrap();
        let decayed = |addition: &Weight, interval: f64, power| {
            addition.weight.powi(power) * (-((last_update - addition.time) as f64) / interval).exp()
        };
        let count = |interval: &i64| {
            let interval_units = *interval as f64;
            let squares = additions.iter().map(|addition| decayed(addition, interval_units / 2.0, 2));
            Count {
                interval: *interval,
                value: Sum::of(additions.iter().map(|addition| decayed(addition, interval_units, 1))),
                total: Sum::of(additions.iter().map(|addition| addition.weight)),
                squares: feature.shows_squares.then(|| Sum::of(squares)),
                error: None,
            }
        };
        (last_update, feature.group.intervals.iter().map(count).collect())
    }

    fn uniques(&self, row: u32, group: &Group) -> (i64, Vec<Count>) {
        let sightings = &self.sightings[places(&self.sightings, row, |sighting| sighting.row)];
        let last_seen: Vec<i64> = sightings
            .chunk_by(|one, other| one.member == other.member)
            .map(|member| member.last().unwrap().time)
            .collect();
        let last_update = *last_seen.iter().max().unwrap();
        let is_exact = last_seen.len() <= EXACT_MEMBERS;
        let error = if is_exact { 0.0 } else { ((group.registers - 2) as f64).sqrt().recip() };
        let count = |interval: &i64| {
            let worth = |seen: &i64| (-((last_update - seen) as f64) / *interval as f64).exp();
            Count {
                interval: *interval,
                value: Sum::of(last_seen.iter().map(worth)),
                total: Sum::of(last_seen.iter().map(|_| 1.0)),
                squares: None,
                error: Some(error),
            }
        };
        (last_update, group.intervals.iter().map(count).collect())
    }
}

impl Seen {
    /// A recount of a log that lacks something would not see what goes wrong with it.
    pub fn assert_everything_of_a_feed(&self) {
        const NAMES: [&str; 9] =
            ["click", "comment", "like", "profile_click", "share", "time_spent", "unlike", "unshare", "view"];
        assert!(self.events.keys().eq(NAMES), "{self:?}");
        assert!(
            self.events.values().chain([&self.late, &self.retractions, &self.exploded]).all(|count| *count > 10),
            "{self:?}"
        );
    }

    fn note(&mut self, name: &str, time: i64, weight: f64) {
        *self.events.entry(name.to_owned()).or_default() += 1;
        let (oldest, newest) = self.times.unwrap_or((time, time));
        self.late += u64::from(time < newest);
        self.retractions += u64::from(weight < 0.0);
        self.times = Some((oldest.min(time), newest.max(time)));
    }
}

fn places<T>(sorted: &[T], row: u32, row_of: impl Fn(&T) -> u32) -> Range<usize> {
    sorted.partition_point(|one| row_of(one) < row)..sorted.partition_point(|one| row_of(one) <= row)
}

fn name(numbers: &HashMap<String, u32>, number: u32) -> &str {
    numbers.iter().find(|(_, candidate)| **candidate == number).unwrap().0
}
