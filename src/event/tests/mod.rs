//! Tests of the decoder as a whole: the golden corpus, random lines, and lines made to hurt.

mod corpus;
mod extremes;
mod fuzz;
mod lines;
mod naive;

use std::collections::{BTreeMap, BTreeSet};

use super::{Event, EventSchema, FieldId, Reason};

/// What becomes of some bytes, in a form that can be compared and printed.
#[derive(Debug, PartialEq)]
enum Outcome {
    Blank,
    DeadLetter(Reason),
    Event {
        name: String,
        time: i64,
        keys: BTreeMap<String, String>,
        members: BTreeMap<String, BTreeSet<String>>,
        values: BTreeMap<String, f64>,
    },
}

impl Outcome {
    fn of(decoded: Result<Option<Event>, Reason>, schema: &EventSchema) -> Outcome {
        let event = match decoded {
            Err(reason) => return Outcome::DeadLetter(reason),
            Ok(None) => return Outcome::Blank,
            Ok(Some(event)) => event,
        };
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().to_owned();
        let fields =
            || schema.fields.iter().enumerate().map(|(id, field)| (FieldId(id as u16), field.name.to_string()));
        let members = |id| -> BTreeSet<String> {
            let members: Vec<_> = (0..event.member_count(id)).filter_map(|index| event.member(id, index)).collect();
            let different: BTreeSet<_> = members.iter().map(|member| text(member)).collect();
            assert_eq!(different.len(), event.member_count(id), "every member is there once");
            different
        };
        Outcome::Event {
            name: text(event.name()),
            time: event.time().0,
            keys: fields().filter_map(|(id, name)| Some((name, text(event.key(id)?)))).collect(),
            members: fields()
                .map(|(id, name)| (name, members(id)))
                .filter(|(_, members)| !members.is_empty())
                .collect(),
            values: fields().filter_map(|(id, name)| Some((name, event.value(id)?))).collect(),
        }
    }
}
