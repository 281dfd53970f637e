//! Random lines against the decoder. No input may panic; both paths must say the same of every line,
//! whatever was decoded before it; and both must say what a naive reading of the JSON says.
//!
//! `PROPTEST_CASES` sets the number of cases.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::Outcome;
use super::lines::line;
use super::naive::{Members, agree};
use crate::counter::EventTime;
use crate::event::scanner::Scanner;
use crate::event::token::{Slots, Tokens};
use crate::event::{Ahead, Arrival, DeclaredField, Decoder, EventSchema, FieldPath, TimeUnit, Utf8, careful};

fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { config.cases } else { 10_000 };
    ProptestConfig { cases, ..config }
}

fn schemas() -> Vec<(EventSchema, Arrival)> {
    let field = |name: &str, as_key, as_value| DeclaredField {
        as_key,
        as_value,
        ..DeclaredField::unused(FieldPath::top_level(name))
    };
    let seconds = EventSchema {
        name_field: FieldPath::top_level("eventName"),
        time_field: FieldPath::top_level("eventTs"),
        time_unit: TimeUnit::Seconds,
        max_ahead: Some(86_400),
        ahead: Ahead::DeadLetter,
        arrival_field: None,
        max_bytes: 4_096,
        fields: vec![field("quantity", false, true), field("userId", true, false), field("creatorId", true, false)],
    };
    let many_roles = EventSchema {
        time_unit: TimeUnit::Microseconds,
        max_ahead: None,
        fields: vec![
            field("eventName", true, false),
            field("position", true, true),
            field("eventTs", false, true),
            field("é", true, false),
        ],
        ..seconds.clone()
    };
    let list = |name: &str, as_key, as_value| DeclaredField {
        as_key,
        as_members: true,
        as_value,
        name: name.parse().expect("a path"),
    };
    let nested = EventSchema {
        max_ahead: None,
        name_field: "meta.eventName".parse().expect("a path"),
        fields: vec![
            list("user", false, false),
            list("user.userId", true, false),
            list("user.user.quantity", false, true),
            list("quantity", false, false),
            list("user.quantity", false, false),
            list("é.é", true, false),
        ],
        ..seconds.clone()
    };
    let lists = EventSchema {
        fields: vec![list("userId", false, false), list("extra", false, false), list("user.userId", false, false)],
        ..seconds.clone()
    };
    let text_times = EventSchema { time_unit: TimeUnit::Rfc3339, max_ahead: Some(0), ..seconds.clone() };
    let arrivals = EventSchema {
        max_ahead: Some(60),
        ahead: Ahead::Arrival,
        arrival_field: Some(FieldPath::top_level("receivedAt")),
        ..seconds.clone()
    };
    let text_arrivals = EventSchema { time_unit: TimeUnit::Rfc3339, ..arrivals.clone() };
    let letters = EventSchema { ahead: Ahead::DeadLetter, ..arrivals.clone() };
    let known = |time| Arrival::at(EventTime(time));
    let bound = |time| Arrival::before(EventTime(time));
    vec![
        (arrivals.clone(), known(1_707_605_599)),
        (arrivals, bound(1_707_605_599)),
        (text_arrivals, bound(1_707_605_599_000)),
        (letters, bound(1_707_605_599)),
        (seconds, bound(1_707_605_599)),
        (many_roles, bound(1_707_605_599_000_000)),
        (text_times, bound(1_707_605_599_000)),
        (nested, bound(1_707_605_599)),
        (lists, bound(1_707_605_599)),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn both_paths_say_the_same_of_every_line(lines in vec(line(), 1..6)) {
        for (schema, arrival) in schemas() {
            let schema = Arc::new(schema);
            let (mut decoder, mut careful) = (Decoder::new(Arc::clone(&schema)), Decoder::new(Arc::clone(&schema)));
            for line in &lines {
                let utf8 = if std::str::from_utf8(&line.0).is_ok() { Utf8::Checked } else { Utf8::Unchecked };
                let outcome = Outcome::of(decoder.decode(&line.0, arrival, utf8), &schema);
                let expected = Outcome::of(careful.decode_carefully(&line.0, arrival, Utf8::Unchecked), &schema);
                prop_assert_eq!(outcome, expected, "{}", line.0.escape_ascii());
            }
        }
    }

    #[test]
    fn what_the_scanner_accepts_the_careful_path_accepts_with_the_same_tokens(lines in vec(line(), 1..6)) {
        for (schema, _) in schemas() {
            let slots = Slots::of(&schema);
            let mut scanner = Scanner::default();
            let (mut tokens, mut expected) = (Tokens::for_slots(&slots), Tokens::for_slots(&slots));
            for line in lines.iter().filter(|line| std::str::from_utf8(&line.0).is_ok()) {
                if scanner.locate(&line.0, &slots, &mut tokens).is_some() {
                    prop_assert_eq!(careful::locate(&line.0, &slots, &mut expected), Ok(()));
                    prop_assert_eq!(&tokens, &expected);
                }
            }
        }
    }

    #[test]
    fn the_outcome_is_that_of_a_naive_reading(line in line()) {
        for (schema, arrival) in schemas() {
            let schema = Arc::new(schema);
            let mut decoder = Decoder::new(Arc::clone(&schema));
            let outcome = Outcome::of(decoder.decode(&line.0, arrival, Utf8::Unchecked), &schema);
            if let Ok(members) = serde_json::from_slice::<Members>(&line.0) {
                if let Ok(naive) = members.outcome(&schema, arrival) {
                    prop_assert!(agree(&outcome, &naive), "{outcome:?}, naively {naive:?}: {}", line.0.escape_ascii());
                }
            } else if let Outcome::Event { .. } = outcome {
                // serde_json refuses to read some values that nobody needs, but finds their end.
                prop_assert!(serde_json::from_slice::<IgnoredAny>(&line.0).is_ok(), "{}", line.0.escape_ascii());
            }
        }
    }
}
