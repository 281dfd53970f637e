//! Lines made to hurt: very deep, very long, very many. The decoder must come back from each with
//! the right verdict, without recursion and in time linear in the line.

use std::sync::Arc;

use crate::counter::EventTime;
use crate::event::{Ahead, Arrival, DeclaredField, Decoder, EventSchema, FieldId, FieldPath, Reason, TimeUnit, Utf8};

const ARRIVAL: Arrival = Arrival::before(EventTime(1_707_605_599));

fn decoder(max_bytes: usize) -> Decoder {
    let field = |name: &str, as_key, as_value| DeclaredField {
        as_key,
        as_value,
        ..DeclaredField::unused(FieldPath::top_level(name))
    };
    Decoder::new(Arc::new(EventSchema {
        name_field: FieldPath::top_level("eventName"),
        time_field: FieldPath::top_level("eventTs"),
        time_unit: TimeUnit::Seconds,
        max_ahead: Some(86_400),
        ahead: Ahead::DeadLetter,
        arrival_field: None,
        max_bytes,
        fields: vec![field("userId", true, false), field("quantity", false, true)],
    }))
}

/// The reason against a line, by both paths; `None` for an event.
fn reason(line: &str) -> Option<Reason> {
    let mut decoder = decoder(usize::MAX);
    let reason = decoder.decode(line.as_bytes(), ARRIVAL, Utf8::Unchecked).err();
    assert_eq!(decoder.decode_carefully(line.as_bytes(), ARRIVAL, Utf8::Unchecked).err(), reason);
    reason
}

fn with_extra(value: &str) -> String {
    format!(r#"{{"eventName":"like","extra":{value},"userId":"1234","eventTs":1707605599}}"#)
}

#[test]
fn a_name_may_be_so_long_and_no_longer() {
    for (name, is_one) in [("x".repeat(1024), true), ("x".repeat(1025), false), ("\u{e9}".repeat(512), true)] {
        let escaped = name.replace('x', "\\u0078");
        for name in [name, escaped] {
            let line = format!(r#"{{"eventName":"{name}","userId":"1234","eventTs":1707605599}}"#);
            assert_eq!(reason(&line), (!is_one).then_some(Reason::BadName));
        }
    }
}

#[test]
fn twenty_thousand_brackets_overflow_no_stack() {
    let (open, close) = ("[".repeat(20_000), "]".repeat(20_000));
    let (open_objects, close_objects) = (r#"{"a":"#.repeat(20_000), "}".repeat(20_000));
    assert_eq!(reason(&open), Some(Reason::NotAnObject));
    assert_eq!(reason(&format!("{open}{close}")), Some(Reason::NotAnObject));
    assert_eq!(reason(&open_objects), Some(Reason::NotAnObject));
    assert_eq!(reason(&format!("{open_objects}1{close_objects}")), Some(Reason::TooDeep));
    assert_eq!(reason(&with_extra(&open)), Some(Reason::NotAnObject));
    assert_eq!(reason(&with_extra(&format!("{open}{close}"))), Some(Reason::TooDeep));
    assert_eq!(reason(&format!(r#"{{"eventName":"like","userId":{open}"#)), Some(Reason::NotAnObject));
}

#[test]
fn a_million_brackets_on_a_small_stack() {
    let line = with_extra(&format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000)));
    let thread = std::thread::Builder::new().stack_size(128 << 10);
    assert_eq!(thread.spawn(move || reason(&line)).unwrap().join().unwrap(), Some(Reason::TooDeep));
}

#[test]
fn ten_megabytes_are_too_long_or_else_an_event() {
    let line = with_extra(&format!("\"{}\"", "x".repeat(10 << 20)));
    assert_eq!(decoder(1 << 20).decode(line.as_bytes(), ARRIVAL, Utf8::Unchecked).err(), Some(Reason::TooLong));
    assert_eq!(reason(&line), None);
}

#[test]
fn two_hundred_thousand_members_with_the_needed_ones_behind() {
    let many: String = (0..200_000).map(|number| format!(r#""key{number}":{number},"#)).collect();
    let line = format!(r#"{{{many}"eventName":"like","userId":"1234","eventTs":1707605599}}"#);
    let mut decoder = decoder(usize::MAX);
    let event = decoder.decode(line.as_bytes(), ARRIVAL, Utf8::Unchecked).unwrap().unwrap();
    assert_eq!((event.name(), event.key(FieldId(0))), (&b"like"[..], Some(&b"1234"[..])));
    assert_eq!(reason(&line), None);
}

#[test]
fn numbers_of_a_million_digits_in_every_role() {
    let digits = "7".repeat(1_000_000);
    assert_eq!(reason(&with_extra(&digits)), None);
    assert_eq!(reason(&with_extra(&format!("0.{digits}e-{digits}"))), None);
    let event = |time: &str, user: &str, quantity: &str| {
        format!(r#"{{"eventName":"like","userId":{user},"quantity":{quantity},"eventTs":{time}}}"#)
    };
    assert_eq!(reason(&event(&digits, "1", "1")), Some(Reason::TimeAhead));
    assert_eq!(reason(&event(&format!("-{digits}"), "1", "1")), Some(Reason::NegativeTime));
    assert_eq!(reason(&event(&format!("\"{digits}\""), "1", "1")), Some(Reason::TimeAhead));
    assert_eq!(reason(&event(&format!("1.{digits}"), "1", "1")), None);
    assert_eq!(reason(&event(&format!("{digits}e-999995"), "1", "1")), None);
    assert_eq!(reason(&event("1", &digits, "1")), None);
    assert_eq!(reason(&event("1", "1", &digits)), Some(Reason::BadValue));
    assert_eq!(reason(&event("1", "1", &format!("0.{digits}"))), None);
}

#[test]
fn a_million_escapes_in_a_key() {
    let line = format!(r#"{{"eventName":"like","userId":"{}","eventTs":1}}"#, r"\u00e9".repeat(1_000_000));
    let mut decoder = decoder(usize::MAX);
    let event = decoder.decode(line.as_bytes(), ARRIVAL, Utf8::Unchecked).unwrap().unwrap();
    assert_eq!(event.key(FieldId(0)), Some("é".repeat(1_000_000).as_bytes()));
}

#[test]
fn a_field_that_was_never_declared_holds_nothing() {
    let mut decoder = decoder(1 << 20);
    let line = br#"{"eventName":"like","userId":"1234","eventTs":1707605599}"#;
    let event = decoder.decode(line, ARRIVAL, Utf8::Checked).unwrap().unwrap();
    assert_eq!((event.key(FieldId(2)), event.value(FieldId(u16::MAX))), (None, None));
    // Declared, but for the other role.
    assert_eq!((event.key(FieldId(1)), event.value(FieldId(0))), (None, None));
}
