//! `tests/data/packed_items.json`: bytes and what they are, for readers in other languages.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::tests::{Owned, packed, unpacked};
use crate::counter::DecayInterval;
use crate::reading::mapped::MappedFeature;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/packed_items.json");

fn feature(name: &str, last_update: i64, ttl: Option<i64>, intervals: &[i64], values: &[f64]) -> Owned {
    Owned {
        name: name.to_owned(),
        last_update,
        ttl,
        intervals: intervals.iter().map(|units| DecayInterval::new(*units).unwrap()).collect(),
        values: values.to_vec(),
        squares: Vec::new(),
        errors: Vec::new(),
    }
}

fn cases() -> Vec<(&'static str, i64, Vec<Owned>)> {
    let (time, week) = (1_707_605_599, Some(604_800));
    let like = feature("like", time, week, &[5, 10, 15], &[1.5, 2.25, 0.1 + 0.2]);
    let view = feature("view", time - 7, week, &[5, 10, 15], &[1.0; 3]);
    let squares = Owned { squares: vec![1.0, 4.0, 4.0], ..like.clone() };
    let uniques = Owned { name: "uniques".to_owned(), errors: vec![0.0, 0.0625, 0.0625], ..like.clone() };
    let never = Owned { ttl: None, ..feature("never", time + 86_400, None, &[3_600], &[-2.0]) };
    let milliseconds = |features: &[&Owned]| -> Vec<Owned> {
        features
            .iter()
            .map(|feature| Owned {
                last_update: feature.last_update * 1_000 + 1,
                ttl: feature.ttl.map(|ttl| ttl * 1_000),
                ..(*feature).clone()
            })
            .collect()
    };
    let names = ["", "a", "aa", "ab", "ü", "ü.ü"].map(|name| feature(name, time, None, &[5], &[1.0]));
    let numbers = [0.0, 1e-130, -1e-130, 1.0 / 3.0, -123_456.789, 9.99e125];
    let intervals = [1, 2, 3, 5, 8, DecayInterval::MAX_UNITS];
    vec![
        ("no feature: a part of a key whose others have all", 1, vec![]),
        ("one feature, one value for each interval", 1, vec![like.clone()]),
        ("a single event: one value for all intervals; features of one form", 1, vec![like.clone(), view.clone()]),
        ("squares and errors, the last for all that follow", 1, vec![squares.clone(), uniques.clone()]),
        ("one of them never expires, and is the newest", 1, vec![like.clone(), never.clone(), view.clone()]),
        (
            "in milliseconds: the second in which a ttl ends is rounded up",
            1_000,
            milliseconds(&[&squares, &uniques, &view]),
        ),
        ("names that are empty, that share much, and that are no ASCII", 1, names.to_vec()),
        ("numbers of every size", 1, vec![feature("numbers", time, week, &intervals, &numbers)]),
        (
            "times of every size",
            1,
            vec![feature("a", 0, Some(1), &[5], &[1.0]), feature("b", i64::MAX, Some(1), &[5], &[1.0])],
        ),
    ]
}

/// What every reader should refuse.
fn damaged() -> Vec<(&'static str, Vec<u8>)> {
    let whole = packed(&cases()[2].2, 1);
    let mut format = whole.clone();
    format[0] = 2;
    vec![
        ("nothing", Vec::new()),
        ("another format", format),
        ("cut", whole[..whole.len() - 1].to_vec()),
        ("something behind the last feature", [&whole[..], &[0]].concat()),
        ("a name that is no UTF-8", vec![1, 1, 1, 0, 0, 1, 5, 0, 1, 0, 1, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]),
        (
            "a form that is not there",
            vec![1, 1, 1, 0, 0, 1, 5, 0, 1, 0, 1, 0x61, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        ),
        ("an infinite value", vec![1, 1, 1, 0, 0, 1, 5, 0, 1, 0, 1, 0x61, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f]),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text() -> String {
    let right = cases().into_iter().map(|(case, units_per_second, features)| {
        let bytes = packed(&features, units_per_second);
        let features: BTreeMap<String, MappedFeature> = unpacked(&bytes).unwrap().into_iter().collect();
        json!({"case": case, "bytes": hex(&bytes), "features": features})
    });
    let wrong = damaged().into_iter().map(|(case, bytes)| {
        let error = unpacked(&bytes).unwrap_err();
        json!({"case": case, "bytes": hex(&bytes), "damaged": error.to_string()})
    });
    let lines: Vec<String> = right.chain(wrong).map(|case: Value| case.to_string()).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

#[test]
fn the_vectors_that_ship_are_those_of_this_version() {
    let text = text();
    if std::env::var_os("COUNTER_MACHINE_WRITE_VECTORS").is_some() {
        std::fs::write(Path::new(FILE), &text).unwrap();
    }
    let shipped = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        shipped == text,
        "a format that changes has a new number; else COUNTER_MACHINE_WRITE_VECTORS=1 writes the file"
    );
}
