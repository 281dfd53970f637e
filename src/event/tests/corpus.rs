//! Holds the decoder, by both paths, against the golden corpus `tests/golden/events.jsonl`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine;
use serde::Deserialize;

use super::Outcome;
use crate::counter::EventTime;
use crate::event::{Ahead, Arrival, DeclaredField, Decoder, EventSchema, FieldPath, Reason, TimeUnit, Utf8};

const CORPUS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/events.jsonl"));

/// One line of the corpus; `tests/golden/README.md` says what its members mean.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    case: String,
    line: Option<String>,
    base64: Option<String>,
    #[serde(default)]
    schema: CaseSchema,
    #[serde(default = "reference_time")]
    arrival: i64,
    #[serde(default)]
    arrival_is_known: bool,
    event: Option<ExpectedEvent>,
    reason: Option<Reason>,
    #[serde(default)]
    blank: bool,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CaseSchema {
    name: String,
    time: String,
    time_unit: TimeUnit,
    max_ahead: Option<i64>,
    ahead: Ahead,
    arrival: Option<String>,
    max_bytes: usize,
    keys: Vec<String>,
    lists: Vec<String>,
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedEvent {
    name: String,
    time: i64,
    #[serde(default)]
    keys: BTreeMap<String, String>,
    #[serde(default)]
    members: BTreeMap<String, BTreeSet<String>>,
    #[serde(default)]
    values: BTreeMap<String, f64>,
}

fn reference_time() -> i64 {
    1_707_605_599
}

impl Default for CaseSchema {
    fn default() -> CaseSchema {
        CaseSchema {
            name: "eventName".into(),
            time: "eventTs".into(),
            time_unit: TimeUnit::Seconds,
            max_ahead: Some(86_400),
            ahead: Ahead::DeadLetter,
            arrival: None,
            max_bytes: 1 << 20,
            keys: vec!["userId".into(), "creatorId".into()],
            lists: Vec::new(),
            values: vec!["quantity".into()],
        }
    }
}

impl CaseSchema {
    /// Value fields come first, so that a bad key is found after a bad value.
    fn resolve(&self) -> EventSchema {
        let mut names: Vec<&String> = Vec::new();
        for name in self.values.iter().chain(&self.keys).chain(&self.lists) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let path = |text: &str| text.parse::<FieldPath>().unwrap();
        let fields = names.into_iter().map(|name| DeclaredField {
            name: path(name),
            as_key: self.keys.contains(name),
            as_members: self.lists.contains(name),
            as_value: self.values.contains(name),
        });
        EventSchema {
            name_field: path(&self.name),
            time_field: path(&self.time),
            time_unit: self.time_unit,
            max_ahead: self.max_ahead,
            ahead: self.ahead,
            arrival_field: self.arrival.as_deref().map(path),
            max_bytes: self.max_bytes,
            fields: fields.collect(),
        }
    }
}

impl Case {
    fn bytes(&self) -> Vec<u8> {
        match (&self.line, &self.base64) {
            (Some(line), None) => line.clone().into_bytes(),
            (None, Some(text)) => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
            _ => panic!("{}: exactly one of `line` and `base64`", self.case),
        }
    }

    fn arrival(&self) -> Arrival {
        let time = EventTime(self.arrival);
        if self.arrival_is_known { Arrival::at(time) } else { Arrival::before(time) }
    }

    fn expected(&self) -> Outcome {
        match (&self.event, self.reason, self.blank) {
            (Some(event), None, false) => Outcome::Event {
                name: event.name.clone(),
                time: event.time,
                keys: event.keys.clone(),
                members: event.members.clone(),
                values: event.values.clone(),
            },
            (None, Some(reason), false) => Outcome::DeadLetter(reason),
            (None, None, true) => Outcome::Blank,
            _ => panic!("{}: exactly one of `event`, `reason` and `blank`", self.case),
        }
    }
}

fn corpus() -> impl Iterator<Item = Case> {
    CORPUS.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")))
}

#[test]
fn every_case_of_the_corpus_has_its_outcome_by_both_paths() {
    let reference = br#"{"eventName":"like","userId":"1234","creatorId":"7777","eventTs":1707605599}"#;
    for case in corpus() {
        let (name, bytes, expected) = (&case.case, case.bytes(), case.expected());
        let schema = Arc::new(case.schema.resolve());
        let arrival = case.arrival();
        let decoder = || Decoder::new(Arc::clone(&schema));
        assert_eq!(Outcome::of(decoder().decode(&bytes, arrival, Utf8::Unchecked), &schema), expected, "{name}");
        assert_eq!(
            Outcome::of(decoder().decode_carefully(&bytes, arrival, Utf8::Unchecked), &schema),
            expected,
            "{name}, by the careful path alone"
        );
        let mut experienced = decoder();
        let _ = experienced.decode(reference, arrival, Utf8::Unchecked);
        let utf8 = if std::str::from_utf8(&bytes).is_ok() { Utf8::Checked } else { Utf8::Unchecked };
        for time in ["first", "second"] {
            let outcome = Outcome::of(experienced.decode(&bytes, arrival, utf8), &schema);
            assert_eq!(outcome, expected, "{name}, seen for the {time} time after other events");
        }
    }
}

#[test]
fn the_corpus_names_every_case_once_and_shows_every_reason_of_the_decoder() {
    let mut names = BTreeMap::new();
    let mut reasons = BTreeMap::new();
    for case in corpus() {
        *names.entry(case.case).or_insert(0) += 1;
        if let Some(reason) = case.reason {
            *reasons.entry(reason.index()).or_insert(0) += 1;
        }
    }
    assert!(names.len() >= 120);
    assert!(names.values().all(|&count| count == 1), "{names:?}");
    // The last two are about keys and feature names, which the decoder does not make.
    let shown: Vec<usize> = reasons.into_keys().collect();
    assert_eq!(shown, Vec::from_iter(0..10));
}
