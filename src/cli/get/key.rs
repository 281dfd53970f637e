//! The key that a person asks for, as the sink knows it.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::cli::CliError;
use crate::event::FieldId;
use crate::pipeline::{Group, Pipeline};
use crate::reading::append_key;
use crate::telemetry::Printable;

/// `FIELD=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyField {
    pub(super) field: String,
    pub(super) value: String,
}

impl FromStr for KeyField {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((field, value)) if !field.is_empty() && !value.is_empty() => {
                Ok(KeyField { field: field.to_owned(), value: value.to_owned() })
            }
            Some((_, "")) => Err("an empty key field is not counted: give FIELD=VALUE".to_owned()),
            _ => Err("give FIELD=VALUE".to_owned()),
        }
    }
}

/// The key texts that these fields make in the groups that are keyed by exactly them.
pub(super) fn keys<'a>(
    pipeline: &'a Pipeline,
    fields: &[KeyField],
) -> Result<BTreeMap<String, Vec<&'a Group>>, CliError> {
    let mut keys: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for group in &pipeline.groups {
        if let Some(key) = key_in(group, pipeline, fields) {
            keys.entry(key).or_default().push(group);
        }
    }
    if keys.is_empty() {
        let given: Vec<_> = fields.iter().map(|field| field.field.as_str()).collect();
        return Err(CliError::usage(format!(
            "no counters are keyed by {}; the keys of this pipeline are:\n{}",
            Printable(given.join(" and ")),
            known_keys(pipeline)
        )));
    }
    Ok(keys)
}

/// The key text in this group; `None` if its key is of other fields.
fn key_in(group: &Group, pipeline: &Pipeline, fields: &[KeyField]) -> Option<String> {
    if group.key.len() != fields.len() {
        return None;
    }
    let value = |id: &FieldId| {
        let field = fields.iter().find(|field| field.field == pipeline.event.field_name(*id))?;
        Some(field.value.as_bytes())
    };
    let values: Vec<_> = group.key.iter().map(value).collect::<Option<_>>()?;
    let mut text = Vec::new();
    append_key(values, &mut text);
    Some(String::from_utf8_lossy(&text).into_owned())
}

fn known_keys(pipeline: &Pipeline) -> String {
    let line = |group: &Group| {
        let fields: Vec<_> =
            group.key.iter().map(|id| format!("--key {}=VALUE", pipeline.event.field_name(*id))).collect();
        format!("  {}  (group {})", Printable(fields.join(" ")), Printable(&group.name))
    };
    pipeline.groups.iter().map(line).collect::<Vec<_>>().join("\n")
}
