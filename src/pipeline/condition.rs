//! `where` and `where_not`: which events a group counts, by the values of their fields.

use std::collections::BTreeMap;

use toml::Spanned;

use super::checks::not_empty;
use super::error::Fault;
use super::fields::{Fields, Use};
use super::raw::{RawScalar, RawWanted, Text};
use crate::event::FieldId;

/// One entry of `where` or `where_not`. A group counts an event if all its conditions hold.
///
/// Values are compared with the text that the field would add to a key: text as it stands, an
/// integer in decimal, `true` or `false`, so that 7 and `"7"` are the same. A field that is missing,
/// null or empty is none of any values: no `where` holds of it, and every `where_not` does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Condition {
    /// The field that is looked at.
    pub field: FieldId,
    /// Its values, none of them empty.
    pub values: Vec<String>,
    /// Whether the field must be one of the values (`where`), or none of them (`where_not`).
    pub must_be: bool,
}

impl Condition {
    /// Whether it holds of an event whose field has this text.
    #[inline]
    pub fn holds(&self, text: Option<&[u8]>) -> bool {
        text.is_some_and(|text| self.values.iter().any(|value| value.as_bytes() == text)) == self.must_be
    }
}

/// The conditions of one group, in the order of the fields' names, `where` before `where_not`.
pub(super) fn expand_conditions(
    must_be: &BTreeMap<Text, Spanned<RawWanted>>,
    must_not_be: &BTreeMap<Text, Spanned<RawWanted>>,
    fields: &mut Fields,
) -> Result<Vec<Condition>, Fault> {
    let mut conditions = Vec::new();
    for (section, must_be) in [(must_be, true), (must_not_be, false)] {
        for (field, wanted) in section {
            let name = not_empty(field, "a field's name")?;
            let values = values(name, wanted)?;
            conditions.push(Condition { field: fields.declare(name, field, Use::Key)?, values, must_be });
        }
    }
    Ok(conditions)
}

fn values(field: &str, wanted: &Spanned<RawWanted>) -> Result<Vec<String>, Fault> {
    let refuse = |message: String| Err(Fault::new(wanted.span(), message));
    let scalars = match wanted.get_ref() {
        RawWanted::One(scalar) => std::slice::from_ref(scalar),
        RawWanted::Any(scalars) if scalars.is_empty() => {
            return refuse(format!(
                "\"{field}\" needs one or more values, as in {{ {field} = [\"feed\", \"search\"] }}"
            ));
        }
        RawWanted::Any(scalars) => scalars,
        RawWanted::Section(_) => {
            return refuse(format!(
                "\"{field}\" needs a value or a list of values; a field inside an object is written in quotes, as in \
                 {{ \"{field}.name\" = ... }}"
            ));
        }
    };
    let mut values = Vec::with_capacity(scalars.len());
    for scalar in scalars {
        let text = match scalar {
            RawScalar::Text(text) => text.clone(),
            RawScalar::Integer(number) => number.to_string(),
            RawScalar::Flag(flag) => flag.to_string(),
        };
        if text.is_empty() {
            return refuse(format!("\"{field}\" never is \"\": an empty field counts as a missing one"));
        }
        if values.contains(&text) {
            return refuse(format!("the value \"{text}\" of \"{field}\" stands here twice"));
        }
        values.push(text);
    }
    Ok(values)
}
