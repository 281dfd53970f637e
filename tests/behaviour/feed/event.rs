//! What a group finds in an event.

use serde_json::Value;

use super::pipeline_file::{Group, Measure, Path};

/// What an event adds to a row.
pub enum Amount {
    Weight(f64),
    Member(String),
}

/// `None` where there is nothing to add: a field is missing, or a member would be taken back.
pub fn amount(event: &Value, measure: &Measure, name_weight: f64, weight: f64) -> Option<Amount> {
    match measure {
        Measure::Count => Some(Amount::Weight(name_weight * weight)),
        Measure::Sum(path) => Some(Amount::Weight(name_weight * weight * field(event, path).as_f64()?)),
        Measure::Uniques(path) => text(field(event, path)).filter(|_| name_weight * weight >= 0.0).map(Amount::Member),
    }
}

/// What stands at the end of a path; null where there is nothing.
pub fn field<'a>(event: &'a Value, path: &Path) -> &'a Value {
    path.iter().fold(event, |inside, name| &inside[name.as_str()])
}

/// What a value is as a key or a member; `None` for one that is missing, null or empty.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Bool(_) => Some(value.to_string()),
        Value::Number(number) if !number.is_f64() => Some(value.to_string()),
        _ => panic!("no key or member: {value}"),
    }
}

/// Whether the group's conditions hold.
pub fn passes(event: &Value, group: &Group) -> bool {
    group.conditions.iter().all(|condition| {
        let text = text(field(event, &condition.field));
        text.is_some_and(|text| condition.texts.contains(&text)) == condition.must_be
    })
}

/// Every combination of what the fields of the key hold.
pub fn keys(event: &Value, group: &Group) -> Vec<String> {
    let escape = |text: String| match group.key.len() {
        1 => text,
        _ => text.replace('\\', r"\\").replace('|', r"\|"),
    };
    let mut keys: Option<Vec<String>> = None;
    for path in &group.key {
        let value = field(event, path);
        let values = match value.as_array() {
            Some(members) if group.explode.contains(path) => members,
            _ => std::slice::from_ref(value),
        };
        let mut texts: Vec<String> = values.iter().filter_map(text).map(escape).collect();
        texts.sort_unstable();
        texts.dedup();
        keys = Some(match keys {
            None => texts,
            Some(keys) => keys.iter().flat_map(|key| texts.iter().map(move |text| format!("{key}|{text}"))).collect(),
        });
    }
    keys.unwrap()
}
