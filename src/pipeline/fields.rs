//! The fields of an event that counters use, each declared once whatever it is used for.

use toml::Spanned;

use super::checks::not_empty;
use super::error::Fault;
use super::raw::{RawEvent, Text};
use crate::event::{DeclaredField, FieldId, FieldPath, InvalidPath};

/// More than anybody names; so the numbers of fields, and of measures, fit their types.
const MOST_FIELDS: usize = 10_000;

/// What a counter group does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Key,
    /// A key field that may be an array.
    Members,
    Value,
}

/// Collects the fields in the order in which the groups name them.
#[derive(Debug)]
pub(super) struct Fields {
    name_field: FieldPath,
    time_field: FieldPath,
    arrival_field: Option<FieldPath>,
    declared: Vec<DeclaredField>,
}

impl Fields {
    pub(super) fn new(event: &RawEvent) -> Result<Fields, Fault> {
        let name_field = path(not_empty(&event.name, "the field with the event's name")?, &event.name)?;
        let time_field = path(not_empty(&event.time, "the field with the event's time")?, &event.time)?;
        if name_field == time_field {
            let message = format!("\"{time_field}\" cannot be both the event's name and its time");
            return Err(Fault::new(event.time.span(), message));
        }
        let arrival_field =
            event.arrival.as_ref().map(|written| arrival(written, &name_field, &time_field)).transpose()?;
        Ok(Fields { name_field, time_field, arrival_field, declared: Vec::new() })
    }

    pub(super) fn name_field(&self) -> &FieldPath {
        &self.name_field
    }

    pub(super) fn time_field(&self) -> &FieldPath {
        &self.time_field
    }

    pub(super) fn arrival_field(&self) -> Option<&FieldPath> {
        self.arrival_field.as_ref()
    }

    /// The field at this path, which is used so where `written` stands.
    pub(super) fn declare(&mut self, name: &str, written: &Text, used_as: Use) -> Result<FieldId, Fault> {
        let name = path(name, written)?;
        self.refuse_name_and_time(&name, written)?;
        let known = self.declared.iter().position(|field| field.name == name);
        let index = known.unwrap_or_else(|| {
            self.declared.push(DeclaredField::unused(name));
            self.declared.len() - 1
        });
        match used_as {
            Use::Key => self.declared[index].as_key = true,
            Use::Members => self.declared[index].as_members = true,
            Use::Value => self.declared[index].as_value = true,
        }
        if index >= MOST_FIELDS {
            let message = format!("too many fields: the counters of one pipeline may use {MOST_FIELDS}");
            return Err(Fault::new(written.span(), message));
        }
        Ok(FieldId(index as u16))
    }

    /// These two have a meaning of their own.
    fn refuse_name_and_time(&self, name: &FieldPath, written: &Text) -> Result<(), Fault> {
        let message = if *name == self.name_field {
            format!("\"{name}\" is the event's name: it stands in the feature's name, as {{event}}; name another field")
        } else if *name == self.time_field {
            format!("\"{name}\" is the event's time: name another field")
        } else {
            return Ok(());
        };
        Err(Fault::new(written.span(), message))
    }

    pub(super) fn into_declared(self) -> Vec<DeclaredField> {
        self.declared
    }
}

/// What DynamoDB allows a sort key, less a part's number.
const MOST_KEY_FIELDS_BYTES: usize = 1024 - "#4294967295".len();

/// Whether the names of a group's key fields fit a sort key, as items of all features of a key have it.
pub(super) fn key_fields_fit(key: &Spanned<Vec<Text>>) -> Result<(), Fault> {
    // A letter is escaped at most.
    let bytes: usize = key.get_ref().iter().map(|name| 2 * name.get_ref().len() + 1).sum();
    if bytes <= MOST_KEY_FIELDS_BYTES {
        return Ok(());
    }
    let message = "with layout = \"key\" the names of a key's fields stand in its item: these are too long for that";
    Err(Fault::new(key.span(), message))
}

/// The time of arrival is another one than the event's own.
fn arrival(written: &Text, name_field: &FieldPath, time_field: &FieldPath) -> Result<FieldPath, Fault> {
    let field = path(not_empty(written, "the field with the time of arrival")?, written)?;
    if field == *name_field || field == *time_field {
        let role = if field == *name_field { "name" } else { "time" };
        let message = format!(
            "\"{field}\" is the event's {role}: arrival names another field, one that whoever received the event has added"
        );
        return Err(Fault::new(written.span(), message));
    }
    Ok(field)
}

fn path(text: &str, written: &Text) -> Result<FieldPath, Fault> {
    text.parse().map_err(|error: InvalidPath| Fault::new(written.span(), error.to_string()))
}
