//! What a pipeline file asks for, read with nothing but a TOML parser, as far as it decides about items.
//!
//! It knows the whole of `[event]`, `[event.map]`, `[[counters]]` and `[features]`, but for texts as
//! times, and stumbles over any key of a group that it does not know.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

/// A pipeline file, understood.
pub struct PipelineFile {
    pub event_name: Path,
    pub event_time: Path,
    pub units_per_second: i64,
    /// What a mapped event counts as, and its weight.
    map: BTreeMap<String, (String, f64)>,
    pub groups: Vec<Group>,
    keep: Option<Vec<String>>,
    drop: Vec<String>,
    /// The features that ratios divide by.
    denominators: BTreeSet<String>,
}

/// One `[[counters]]` entry.
pub struct Group {
    name: String,
    pub key: Vec<Path>,
    /// Those of the key that may be arrays.
    pub explode: Vec<Path>,
    events: Option<Vec<String>>,
    pub conditions: Vec<Condition>,
    pub weight: Option<Path>,
    pub measures: Vec<Measure>,
    /// In the event's unit, ascending.
    pub intervals: Vec<i64>,
    pub registers: i64,
    feature: String,
    /// In the event's unit.
    pub ttl: Option<i64>,
}

/// The names that lead to a field.
pub type Path = Vec<String>;

/// A field, and the texts of which it must (or must not) be one.
pub struct Condition {
    pub field: Path,
    pub texts: Vec<String>,
    pub must_be: bool,
}

/// What is counted.
pub enum Measure {
    Count,
    Sum(Path),
    Uniques(Path),
}

impl PipelineFile {
    pub fn read(file: &str) -> PipelineFile {
        let file: Table = file.parse().unwrap();
        let event = file["event"].as_table().unwrap();
        let units_per_second = match event.get("time_unit").map_or("s", |unit| unit.as_str().unwrap()) {
            "s" => 1,
            "ms" => 1_000,
            "us" => 1_000_000,
            other => panic!("a time unit that this recount does not know: {other}"),
        };
        let features = file.get("features").and_then(Value::as_table);
        PipelineFile {
            event_name: path(event["name"].as_str().unwrap()),
            event_time: path(event["time"].as_str().unwrap()),
            units_per_second,
            map: event.get("map").and_then(Value::as_table).map(mapped).unwrap_or_default(),
            groups: tables(&file, "counters").map(|group| Group::read(group, units_per_second)).collect(),
            keep: features.and_then(|features| features.get("keep")).map(texts),
            drop: features.and_then(|features| features.get("drop")).map(texts).unwrap_or_default(),
            denominators: tables(&file, "ratios").map(|ratio| text(&ratio["denominator"])).collect(),
        }
    }

    /// What an event of this name counts as, and its weight.
    pub fn counts_as<'a>(&'a self, name: &'a str) -> (&'a str, f64) {
        self.map.get(name).map_or((name, 1.0), |(event, weight)| (event, *weight))
    }

    /// Whether `[features]` keeps the feature of this name.
    pub fn keeps(&self, feature: &str) -> bool {
        let matches = |pattern: &String| matches(pattern.as_bytes(), feature.as_bytes());
        self.keep.as_ref().is_none_or(|keep| keep.iter().any(matches)) && !self.drop.iter().any(matches)
    }

    /// Whether items of this feature show the squares.
    pub fn shows_squares(&self, feature: &str) -> bool {
        self.denominators.contains(feature)
    }
}

impl Group {
    fn read(group: &Table, units_per_second: i64) -> Group {
        const KNOWN: [&str; 12] = [
            "name",
            "key",
            "explode",
            "events",
            "where",
            "where_not",
            "weight",
            "measures",
            "decays",
            "uniques_registers",
            "feature",
            "ttl",
        ];
        assert!(group.keys().all(|key| KNOWN.contains(&key.as_str())), "{group:?}");
        let mut intervals: Vec<i64> =
            texts(&group["decays"]).iter().map(|decay| duration(decay, units_per_second)).collect();
        intervals.sort_unstable();
        let ttl = match group.get("ttl").map(text).as_deref() {
            Some("none") => None,
            Some(ttl) => Some(duration(ttl, units_per_second)),
            None => Some((40 * intervals.last().unwrap()).max(7 * 86_400 * units_per_second)),
        };
        let feature = group.get("feature").map_or("{group}.{event}.{measure}".to_owned(), text);
        Group {
            name: text(&group["name"]),
            key: texts(&group["key"]).iter().map(|field| path(field)).collect(),
            explode: group.get("explode").map(texts).unwrap_or_default().iter().map(|field| path(field)).collect(),
            events: (group["events"].as_str() != Some("*")).then(|| texts(&group["events"])),
            conditions: conditions(group, "where").chain(conditions(group, "where_not")).collect(),
            weight: group.get("weight").map(|field| path(field.as_str().unwrap())),
            measures: group.get("measures").map_or(vec!["count".to_owned()], texts).iter().map(measure).collect(),
            intervals,
            registers: group.get("uniques_registers").map_or(256, |registers| registers.as_integer().unwrap()),
            feature,
            ttl,
        }
    }

    /// Whether it counts events of this name.
    pub fn wants(&self, event: &str) -> bool {
        self.events.as_ref().is_none_or(|events| events.iter().any(|name| name == event))
    }

    /// What the feature is called that a measure of an event counts into.
    pub fn feature(&self, event: &str, measure: &Measure) -> String {
        let measure = match measure {
            Measure::Count => "count".to_owned(),
            Measure::Sum(field) => format!("sum_{}", field.join(".")),
            Measure::Uniques(field) => format!("uniques_{}", field.join(".")),
        };
        self.feature.replace("{group}", &self.name).replace("{measure}", &measure).replace("{event}", event)
    }
}

fn measure(written: &String) -> Measure {
    let field_of = |call: &str| written.strip_prefix(call)?.strip_suffix(')').map(path);
    match (field_of("sum("), field_of("uniques(")) {
        (Some(field), _) => Measure::Sum(field),
        (_, Some(field)) => Measure::Uniques(field),
        _ if written == "count" => Measure::Count,
        _ => panic!("a measure that this recount does not know: {written}"),
    }
}

fn conditions(group: &Table, section: &str) -> impl Iterator<Item = Condition> {
    let fields = group.get(section).and_then(Value::as_table).into_iter().flatten();
    let condition = |(field, wanted): (&String, &Value)| {
        let one = std::slice::from_ref(wanted);
        let texts = wanted.as_array().map_or(one, Vec::as_slice).iter().map(text).collect();
        Condition { field: path(field), texts, must_be: section == "where" }
    };
    fields.map(condition).collect::<Vec<_>>().into_iter()
}

fn mapped(map: &Table) -> BTreeMap<String, (String, f64)> {
    let number = |weight: &Value| weight.as_float().unwrap_or_else(|| weight.as_integer().unwrap() as f64);
    let mapping = |(name, mapping): (&String, &Value)| {
        let event = mapping.get("event").map_or(name.clone(), text);
        (name.clone(), (event, mapping.get("weight").map_or(1.0, number)))
    };
    map.iter().map(mapping).collect()
}

fn tables<'a>(file: &'a Table, name: &str) -> impl Iterator<Item = &'a Table> {
    let tables = file.get(name).and_then(Value::as_array).into_iter().flatten();
    tables.map(|table| table.as_table().unwrap())
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(text).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A dot leads into an object, unless there is a backslash before it.
fn path(field: &str) -> Path {
    field.replace(r"\.", "\0").split('.').map(|name| name.replace('\0', ".")).collect()
}

/// `1h30m` in units of which so many make a second.
pub fn duration(text: &str, units_per_second: i64) -> i64 {
    let mut nanoseconds = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit()).unwrap());
        let (unit, behind) =
            behind.split_at(behind.find(|letter: char| letter.is_ascii_digit()).unwrap_or(behind.len()));
        let length: i128 = match unit {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            other => panic!("{other} in {text}"),
        };
        nanoseconds += number.parse::<i128>().unwrap() * length;
        rest = behind;
    }
    (nanoseconds * i128::from(units_per_second) / 1_000_000_000).try_into().unwrap()
}

/// Whether a pattern matches: `*` any text, `?` one character (of ASCII).
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=name.len()).any(|taken| matches(rest, &name[taken..])),
        (Some((b'?', pattern)), Some((_, name))) => matches(pattern, name),
        (Some((wanted, pattern)), Some((letter, name))) => wanted == letter && matches(pattern, name),
        _ => false,
    }
}
