//! Which sections a pipeline file has and which keys stand in each, for hints: what to write where something
//! stands in the wrong place. Taken from the schema, so that it says what the types say.

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::error::Fault;
use super::schema::schema;

/// A section, as it is headed in a file, and its keys.
struct Section {
    heading: String,
    keys: Vec<String>,
}

/// `: it belongs in [features]` where a key that is unknown where it stands is at home elsewhere, else nothing.
///
/// In TOML a key is part of the section above it, whatever was meant.
pub(super) fn where_it_belongs(key: &str) -> Option<String> {
    let schema = schema();
    if schema["properties"].get(key).is_some_and(|property| definition(property).is_none()) {
        return Some(": it belongs at the top of the file, above the first [section]".to_owned());
    }
    if schema["properties"].get(key).is_some() {
        return Some(": it is a section of its own and belongs in no other".to_owned());
    }
    let homes = sections(&schema).into_iter().filter(|section| section.keys.iter().any(|known| known == key));
    let headings: Vec<String> = homes.map(|section| section.heading).collect();
    (!headings.is_empty()).then(|| format!(": it belongs in {}", headings.join(" or ")))
}

/// A section is headed `[name]` or, where there may be several of it, `[[name]]`.
pub(super) fn refuse_wrong_brackets(table: &DeTable<'_>) -> Result<(), Fault> {
    let schema = schema();
    for (name, value) in table {
        let Some(property) = schema["properties"].get(name.get_ref().as_ref()) else { continue };
        let (key, several) = (name.get_ref(), property["type"] == "array");
        let message = match value.get_ref() {
            DeValue::Table(_) if several => {
                format!("there may be several of [{key}]: write [[{key}]] above each, also above a single one")
            }
            DeValue::Array(_) if !several && definition(property).is_some() => {
                format!("there is only one {key}: write [{key}] above it")
            }
            _ => continue,
        };
        return Err(Fault::new(value.span(), message));
    }
    Ok(())
}

/// Says which key or section stands in a file twice; `line` is where it does so again.
pub(super) fn stands_twice(line: &str) -> String {
    let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) else {
        let name = line.split('=').next().unwrap_or_default().trim();
        return format!("duplicate key: \"{name}\" stands here twice");
    };
    let several = schema()["properties"].get(name).is_some_and(|property| property["type"] == "array");
    if several {
        format!("duplicate key: there may be several of [{name}]: write [[{name}]] above each")
    } else {
        format!("duplicate key: [{name}] stands here twice: put what belongs to it under one")
    }
}

fn sections(schema: &Value) -> Vec<Section> {
    let mut sections = Vec::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let Some(definition) = definition(property) else { continue };
        let Some(keys) = schema["definitions"][definition]["properties"].as_object() else { continue };
        let heading = if property["type"] == "array" { format!("[[{name}]]") } else { format!("[{name}]") };
        sections.push(Section { heading, keys: keys.keys().cloned().collect() });
    }
    sections
}

/// The name of the definition that a section, or each of a list of them, is made by.
fn definition(property: &Value) -> Option<&str> {
    let of_list = &property["items"];
    let choices = ["allOf", "anyOf"].into_iter().map(|choice| &property[choice][0]);
    let references = [property, of_list].into_iter().chain(choices).filter_map(|value| value["$ref"].as_str());
    references.filter_map(|reference| reference.strip_prefix("#/definitions/")).next()
}
