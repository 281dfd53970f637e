//! A look at the first events of each name: which fields they have, named by the pipeline or not,
//! and which values the fields of conditions.
//!
//! The decoder passes over what the pipeline does not name; so these few lines are read a second
//! time. How many, how long, and how much is kept of them is bounded.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::event::{Event, FieldId, FieldPath};

/// So much is looked at in all: the events of made-up names are no reason to read everything twice.
const MOST_LOOKS: u32 = 1_000;
const MOST_BYTES: usize = 1 << 20;

/// So much is kept.
const MOST_NAMES: usize = 64;
const MOST_FIELDS: usize = 128;
const MOST_VALUES: usize = 16;
const LONGEST_TEXT: usize = 128;
const MOST_LEVELS: usize = 8;

/// The paths of fields that hold something: neither null nor empty.
pub type Fields = BTreeSet<String>;

/// What was seen in the events that were looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    looks_left: u32,
    bytes_left: usize,
    by_name: BTreeMap<String, Fields>,
    values: BTreeMap<FieldId, BTreeSet<String>>,
    refused: u32,
    refused_fields: Fields,
}

impl Default for Sample {
    fn default() -> Self {
        Sample {
            looks_left: MOST_LOOKS,
            bytes_left: MOST_BYTES,
            by_name: BTreeMap::new(),
            values: BTreeMap::new(),
            refused: 0,
            refused_fields: Fields::new(),
        }
    }
}

impl Sample {
    /// Looks at an event that counts, and at the fields of conditions in it.
    pub(super) fn look(&mut self, line: &[u8], event: &Event<'_>, condition_fields: &[FieldId]) {
        let Some(object) = self.read(line) else { return };
        let name = String::from_utf8_lossy(event.name());
        if name.len() <= LONGEST_TEXT && (self.by_name.len() < MOST_NAMES || self.by_name.contains_key(&*name)) {
            note_fields(&object, self.by_name.entry(name.into_owned()).or_default());
        }
        for field in condition_fields {
            let value = event.key(*field).and_then(|value| std::str::from_utf8(value).ok());
            if let Some(value) = value.filter(|value| value.len() <= LONGEST_TEXT) {
                insert(self.values.entry(*field).or_default(), value.to_owned(), MOST_VALUES);
            }
        }
    }

    /// Looks at a line whose name or time could not be read.
    pub(super) fn look_at_refused(&mut self, line: &[u8]) {
        if let Some(object) = self.read(line) {
            self.refused += 1;
            note_fields(&object, &mut self.refused_fields);
        }
    }

    /// How many refused lines were looked at.
    pub(super) fn refused(&self) -> u32 {
        self.refused
    }

    /// The fields that these had.
    pub(super) fn refused_fields(&self) -> &Fields {
        &self.refused_fields
    }

    /// The fields of the events of each name.
    pub(super) fn by_name(&self) -> impl Iterator<Item = (&str, &Fields)> {
        self.by_name.iter().map(|(name, fields)| (name.as_str(), fields))
    }

    /// The values that a field of a condition had.
    pub(super) fn values(&self, field: FieldId) -> impl Iterator<Item = &str> {
        self.values.get(&field).into_iter().flatten().map(String::as_str)
    }

    /// Takes over what another look has seen. The other one goes on with what is left to it.
    pub(super) fn absorb(&mut self, other: &mut Sample) {
        for (name, fields) in std::mem::take(&mut other.by_name) {
            if self.by_name.len() < MOST_NAMES || self.by_name.contains_key(&name) {
                extend(self.by_name.entry(name).or_default(), fields, MOST_FIELDS);
            }
        }
        for (field, values) in std::mem::take(&mut other.values) {
            extend(self.values.entry(field).or_default(), values, MOST_VALUES);
        }
        self.refused += std::mem::take(&mut other.refused);
        extend(&mut self.refused_fields, std::mem::take(&mut other.refused_fields), MOST_FIELDS);
    }

    fn read(&mut self, line: &[u8]) -> Option<Value> {
        self.looks_left = self.looks_left.checked_sub(1)?;
        self.bytes_left = self.bytes_left.checked_sub(line.len())?;
        serde_json::from_slice(line).ok()
    }
}

fn extend(known: &mut BTreeSet<String>, new: BTreeSet<String>, most: usize) {
    for text in new {
        insert(known, text, most);
    }
}

fn insert(known: &mut BTreeSet<String>, text: String, most: usize) {
    if known.len() < most {
        known.insert(text);
    }
}

fn note_fields(object: &Value, fields: &mut Fields) {
    note_fields_of(object, "", MOST_LEVELS, fields);
}

fn note_fields_of(object: &Value, before: &str, levels: usize, fields: &mut Fields) {
    let Value::Object(members) = object else { return };
    for (name, value) in members {
        let path = format!("{before}{}", FieldPath::top_level(name));
        match value {
            _ if path.len() > LONGEST_TEXT => {}
            Value::Null => {}
            Value::String(text) if text.is_empty() => {}
            Value::Array(items) if items.is_empty() => {}
            Value::Object(_) if levels > 1 => note_fields_of(value, &format!("{path}."), levels - 1, fields),
            _ => insert(fields, path, MOST_FIELDS),
        }
    }
}
