//! An independent recount of an event log, which shares no code with the project: `serde_json` reads
//! the events, differential dataflow counts them (with integers, so exactly), and the values follow
//! from the definition: the sum over all events of `weight * exp(-(newest - time) / interval)`.
//!
//! It knows only what its logs need of what counts: every line is an event, and one whose key has a
//! null or missing field adds nothing to the groups of that key.

use std::collections::{BTreeMap, VecDeque};
use std::ops::AddAssign;

use differential_dataflow::input::Input;
use serde_json::Value;
use timely::dataflow::operators::Capture;
use timely::dataflow::operators::capture::Event as Captured;

/// What names a row: the text of its key, and its feature.
pub type RowName = (String, String);

/// What is counted for which key.
#[derive(Clone, Debug)]
pub struct Group {
    pub name: &'static str,
    pub key: &'static [&'static str],
    pub measures: &'static [Measure],
    /// As in a pipeline file.
    pub feature: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub enum Measure {
    Count,
    Sum(&'static str),
}

/// A number and the size of what it was added up from, by which its rounding is judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decayed {
    pub value: f64,
    pub size: f64,
}

/// A row as it must be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub last_update: i64,
    /// By interval, in the event's time unit.
    pub values: BTreeMap<i64, Decayed>,
}

/// A published item, as far as it can be recounted.
#[derive(Clone, Debug)]
pub struct Item {
    pub last_update: i64,
    pub values: BTreeMap<i64, f64>,
    pub version: u64,
    pub expires_at: Option<i64>,
}

/// What one event adds to one row.
#[derive(Clone, Debug)]
pub struct Addition {
    pub row: RowName,
    pub time: i64,
    pub weight: f64,
    measure: Measure,
}

impl PartialEq for Decayed {
    fn eq(&self, other: &Decayed) -> bool {
        (self.value - other.value).abs() <= 1e-9 * self.size.max(other.size)
    }
}

impl AddAssign for Decayed {
    fn add_assign(&mut self, other: Decayed) {
        self.value += other.value;
        self.size += other.size;
    }
}

/// The events of a log, one to a line.
pub fn parse(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn time_of(event: &Value) -> i64 {
    event["eventTs"].as_i64().unwrap()
}

/// Everything that one event adds.
pub fn additions(event: &Value, groups: &[Group]) -> Vec<Addition> {
    let mut additions = Vec::new();
    for group in groups {
        let Some(key) = key_of(event, group.key) else { continue };
        for measure in group.measures {
            let (measure_name, weight) = match measure {
                Measure::Count => ("count".to_owned(), Some(1.0)),
                Measure::Sum(field) => (format!("sum_{field}"), event[field].as_f64()),
            };
            let Some(weight) = weight else { continue };
            let feature = group.feature.replace("{event}", event["eventName"].as_str().unwrap());
            let feature = feature.replace("{measure}", &measure_name).replace("{group}", group.name);
            additions.push(Addition { row: (key.clone(), feature), time: time_of(event), weight, measure: *measure });
        }
    }
    additions
}

fn key_of(event: &Value, fields: &[&str]) -> Option<String> {
    let values: Option<Vec<&str>> =
        fields.iter().map(|field| event[field].as_str().filter(|text| !text.is_empty())).collect();
    match values?.as_slice() {
        [one] => Some((*one).to_owned()),
        several => {
            let escaped = several.iter().map(|text| text.replace('\\', r"\\").replace('|', r"\|"));
            Some(escaped.collect::<Vec<_>>().join("|"))
        }
    }
}

/// Every row of the log, as it is when all events have been counted.
pub fn recount(events: &[Value], groups: &[Group], intervals: &[i64]) -> BTreeMap<RowName, Row> {
    let all: Vec<Addition> = events.iter().flat_map(|event| additions(event, groups)).collect();
    let (counted, summed): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| matches!(one.measure, Measure::Count));
    let mut weights: BTreeMap<RowName, Vec<(i64, f64)>> = BTreeMap::new();
    for (row, time, count) in count_exactly(counted) {
        weights.entry(row).or_default().push((time, count as f64));
    }
    for one in summed {
        weights.entry(one.row).or_default().push((one.time, one.weight));
    }
    weights.into_iter().map(|(row, weights)| (row, row_of(&weights, intervals))).collect()
}

/// How many events there are of each row and time.
fn count_exactly(additions: Vec<Addition>) -> Vec<(RowName, i64, isize)> {
    let captured = timely::execute_directly(move |worker| {
        worker.dataflow::<u64, _, _>(|scope| {
            let rows_and_times = additions.into_iter().map(|one| (one.row, one.time));
            let (_, collection) = scope.new_collection_from(rows_and_times.collect::<Vec<_>>());
            collection.count().inner.capture()
        })
    });
    let mut counts = Vec::new();
    for event in captured {
        let Captured::Messages(_, updates) = event else { continue };
        for (((row, time), count), _, diff) in updates {
            assert_eq!(diff, 1, "every count stands once");
            counts.push((row, time, count));
        }
    }
    counts
}

/// The definition: what these weights at these times are worth at the newest of the times.
pub fn row_of(weights: &[(i64, f64)], intervals: &[i64]) -> Row {
    let last_update = weights.iter().map(|(time, _)| *time).max().unwrap();
    let mut values = BTreeMap::new();
    for interval in intervals {
        let mut sum = Decayed::default();
        for (time, weight) in weights {
            let value = weight * (-((last_update - time) as f64) / *interval as f64).exp();
            sum += Decayed { value, size: value.abs() };
        }
        values.insert(*interval, sum);
    }
    Row { last_update, values }
}

/// The window of each event, counted from 1 in the order in which the clock comes to them. The clock
/// is the running median of the last nine times, and stays where it is while that lies behind it for less than 64 events.
pub fn windows(times: impl Iterator<Item = i64>, length: i64) -> Vec<u64> {
    let (mut recent, mut now) = (VecDeque::new(), None);
    let mut medians_behind = Vec::new();
    let (mut place, mut window) = (None, 1);
    let mut windows = Vec::new();
    for time in times {
        recent.push_back(time);
        if recent.len() > 9 {
            recent.pop_front();
        }
        if recent.len() == 9 {
            let mut sorted = Vec::from(recent.clone());
            sorted.sort_unstable();
            if now.is_some_and(|now| sorted[4] < now) {
                medians_behind.push(sorted[4]);
            } else {
                now = Some(sorted[4]);
                medians_behind.clear();
            }
            if medians_behind.len() == 64 {
                now = medians_behind.drain(..).max();
            }
        }
        let new_place = now.map(|now: i64| now.div_euclid(length));
        if place.is_some() && place != new_place {
            window += 1;
        }
        place = new_place;
        windows.push(window);
    }
    windows
}

/// The newest time of the log, outliers aside: where the clock stands at its end.
pub fn end_of(times: impl Iterator<Item = i64>) -> i64 {
    let times: Vec<i64> = times.collect();
    let median = |nine: &[i64]| {
        let mut sorted = nine.to_vec();
        sorted.sort_unstable();
        sorted[4]
    };
    times.windows(9).map(median).max().unwrap()
}

/// Reads one item as `dump` and `jsonl` write it, and checks that its parts say the same.
pub fn item(line: &str) -> (RowName, Item) {
    let item: Value = serde_json::from_str(line).unwrap();
    let text = |name: &str| item[name].as_str().unwrap().to_owned();
    let mut values = BTreeMap::new();
    let mut last_updates = Vec::new();
    for (name, count) in item["counts"].as_object().unwrap() {
        assert_eq!(name, &count["decayInterval"].to_string(), "{line}");
        values.insert(count["decayInterval"].as_i64().unwrap(), count["value"].as_f64().unwrap());
        last_updates.push(count["lastUpdate"].as_i64().unwrap());
    }
    let last_update = last_updates[0];
    assert!(last_updates.iter().all(|time| *time == last_update), "{line}");
    let (version, expires_at) = (item["version"].as_u64().unwrap(), item["expiresAt"].as_i64());
    ((text("key"), text("featureName")), Item { last_update, values, version, expires_at })
}

/// The items that are printed, each once, sorted by the bytes of key and feature.
pub fn items(dump: &str) -> BTreeMap<RowName, Item> {
    let items: Vec<_> = dump.lines().map(item).collect();
    assert!(items.is_sorted_by(|(before, _), (after, _)| before < after), "sorted, and each once");
    items.into_iter().collect()
}

/// The items must be these rows, and expire so long after their last update.
pub fn assert_items(items: &BTreeMap<RowName, Item>, rows: &BTreeMap<RowName, Row>, ttl: Option<Ttl>, what: &str) {
    let missing: Vec<_> = rows.keys().filter(|row| !items.contains_key(*row)).collect();
    let unexpected: Vec<_> = items.keys().filter(|row| !rows.contains_key(*row)).collect();
    let show = |rows: &[&RowName]| format!("{}, of them {:?}", rows.len(), rows.iter().take(5).collect::<Vec<_>>());
    assert!(missing.is_empty(), "{what}: {} rows: missing {}", rows.len(), show(&missing));
    assert!(unexpected.is_empty(), "{what}: {} rows: unexpected {}", rows.len(), show(&unexpected));
    let wrong: Vec<_> = rows.iter().filter(|(name, row)| !items[*name].is(row, ttl)).collect();
    let examples: Vec<_> = wrong.iter().take(3).map(|(name, row)| (name, row, &items[*name])).collect();
    assert!(wrong.is_empty(), "{what}: {} of {} items differ, of them {examples:#?}", wrong.len(), rows.len());
}

/// A time to live, in a unit of which so many make a second.
#[derive(Clone, Copy, Debug)]
pub struct Ttl {
    pub units: i64,
    pub per_second: i64,
}

impl Ttl {
    /// The first whole second at which nothing is left of it.
    pub fn expires_at(self, last_update: i64) -> i64 {
        let expiry = last_update + self.units;
        expiry.div_euclid(self.per_second) + i64::from(expiry.rem_euclid(self.per_second) > 0)
    }
}

impl Item {
    /// Whether this is the row, published.
    pub fn is(&self, row: &Row, ttl: Option<Ttl>) -> bool {
        let values: BTreeMap<_, _> =
            self.values.iter().map(|(interval, value)| (*interval, Decayed { value: *value, size: 0.0 })).collect();
        let expires_at = ttl.map(|ttl| ttl.expires_at(self.last_update));
        (self.last_update, &values, self.expires_at) == (row.last_update, &row.values, expires_at)
    }
}
