//! The fields of an event that counters use, each declared once whatever it is used for.

use super::error::Fault;
use super::expand::not_empty;
use super::raw::{RawEvent, Text};
use crate::event::{DeclaredField, FieldId};

/// More than anybody names; so the numbers of fields, and of measures, fit their types.
const MOST_FIELDS: usize = 10_000;

/// What a counter group does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Key,
    Value,
}

/// Collects the fields in the order in which the groups name them.
#[derive(Debug)]
pub(super) struct Fields {
    name_field: String,
    time_field: String,
    declared: Vec<DeclaredField>,
}

impl Fields {
    pub(super) fn new(event: &RawEvent) -> Result<Fields, Fault> {
        let name_field = not_empty(&event.name, "the field with the event's name")?;
        let time_field = not_empty(&event.time, "the field with the event's time")?;
        if name_field == time_field {
            let message = format!("\"{time_field}\" cannot be both the event's name and its time");
            return Err(Fault::new(event.time.span(), message));
        }
        Ok(Fields { name_field: name_field.to_owned(), time_field: time_field.to_owned(), declared: Vec::new() })
    }

    /// The field of this name, which `place` uses so.
    pub(super) fn declare(&mut self, name: &str, place: &Text, used_as: Use) -> Result<FieldId, Fault> {
        self.refuse_name_and_time(name, place)?;
        let known = self.declared.iter().position(|field| field.name == name);
        let index = known.unwrap_or_else(|| {
            self.declared.push(DeclaredField { name: name.to_owned(), as_key: false, as_value: false });
            self.declared.len() - 1
        });
        match used_as {
            Use::Key => self.declared[index].as_key = true,
            Use::Value => self.declared[index].as_value = true,
        }
        if index >= MOST_FIELDS {
            let message = format!("too many fields: the counters of one pipeline may use {MOST_FIELDS}");
            return Err(Fault::new(place.span(), message));
        }
        Ok(FieldId(index as u16))
    }

    /// These two have a meaning of their own.
    fn refuse_name_and_time(&self, name: &str, place: &Text) -> Result<(), Fault> {
        let message = if name == self.name_field {
            format!("\"{name}\" is the event's name: it stands in the feature's name, as {{event}}; name another field")
        } else if name == self.time_field {
            format!("\"{name}\" is the event's time: name another field")
        } else {
            return Ok(());
        };
        Err(Fault::new(place.span(), message))
    }

    pub(super) fn into_declared(self) -> Vec<DeclaredField> {
        self.declared
    }
}
