//! Sums -> state: names that last, and received data that makes no sense.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::clock::TimeSamples;
use crate::counter::EventTime;
use crate::epoch::{Generation, Versions, Window};
use crate::event::{Arrival, Decoder, Utf8};
use crate::peers::Peers;
use crate::pipeline::{GroupId, Pipeline};
use crate::sums::{
    Addition, Additions as _, Amount, ContributionBatch, FeatureRef, HashSeed, KeyId, Router, WindowSums,
};
use crate::telemetry::{GroupHoldings, Metrics};

const EVENT: &str = "name = \"test\"\n[event]\nname = \"n\"\ntime = \"t\"\n";
const USERS: &str = "[[counters]]\nname = \"user\"\nkey = [\"u\"]\nevents = [\"like\", \"view\"]\n\
    measures = [\"count\", \"sum(a)\"]\ndecays = [\"1h\", \"1m\"]\n";
const PAIRS: &str = "[[counters]]\nname = \"pair\"\nkey = [\"u\", \"c\"]\nevents = [\"like\"]\ndecays = [\"1d\"]\n";
const AUDIENCES: &str = "[[counters]]\nname = \"audience\"\nkey = [\"c\"]\nevents = [\"view\"]\n\
    measures = [\"uniques(u)\"]\ndecays = [\"1h\"]\n";
const MORE_OF_USERS: &str = "[[counters]]\nname = \"more\"\nkey = [\"u\"]\nevents = \"*\"\ndecays = [\"5s\"]\n";
const RATIO: &str = "[[ratios]]\nname = \"r\"\nnumerator = \"user.like.count\"\ndenominator = \"user.view.count\"\n";

fn pipeline(parts: &[&str]) -> Arc<Pipeline> {
    let text = format!("{EVENT}{}{RATIO}", parts.concat());
    Arc::new(Pipeline::parse(&text, "test.toml", &|_| None).expect("a valid pipeline"))
}

/// What some events make of a pipeline: the sums of one epoch of one worker.
fn batches(pipeline: &Arc<Pipeline>, events: u64) -> Vec<ContributionBatch> {
    let mut decoder = Decoder::new(Arc::new(pipeline.event.clone()));
    let mut router = Router::new(Arc::clone(pipeline), HashSeed(3));
    let mut sums = WindowSums::new(1);
    for event in 0..events {
        let name = ["like", "view", "share"][event as usize % 3];
        let (user, creator) = (event * event % 11, event % 7);
        let line = format!("{{\"n\":\"{name}\",\"u\":{user},\"c\":\"c|{creator}\",\"a\":{event},\"t\":{}}}", event / 2);
        let arrival = Arrival::before(EventTime(1_000_000));
        let event = decoder.decode(line.as_bytes(), arrival, Utf8::Checked).expect("an event").expect("an event");
        router.route(&event, &mut sums).expect("it counts");
    }
    sums.close_window(Window(1), pipeline);
    sums.take_epoch(&TimeSamples::default(), router.features(), pipeline).collect()
}

fn counters(pipeline: &Arc<Pipeline>) -> DecayCounters {
    let versions = Versions::new(Generation(1), Window(1));
    DecayCounters::new(
        Arc::clone(pipeline),
        versions,
        Peers::alone(1),
        Publishing::Changelog,
        Arc::new(Metrics::default()),
    )
}

/// What is kept of each group is what a look at all rows finds.
pub(super) fn assert_held(counters: &mut DecayCounters) {
    let mut found = Vec::new();
    let DecayCounters { keys, features, uniques, pipeline, .. } = counters;
    let mut of = |group: GroupId, add: &dyn Fn(&mut GroupHoldings)| {
        let index = usize::from(group.0);
        if index >= found.len() {
            found.resize(index + 1, GroupHoldings::default());
        }
        add(&mut found[index]);
    };
    keys.for_each_key(|table, key| {
        for (index, row) in table.block(key).each_row().enumerate() {
            let feature = features.get(row.feature());
            let of_uniques = feature.shape == crate::pipeline::RowShape::Uniques && !row.is_single();
            let beside = if of_uniques { UniquesStore::bytes_of(uniques.get(row.word())) } else { 0 };
            let bytes = 8 * row_words(feature.all_words(row.is_single())) + beside;
            of(feature.key.group, &|held| {
                held.rows += 1;
                held.bytes += bytes as u64;
            });
            if index == 0 {
                of(pipeline.first_keyed_like(feature.key.group), &|held| held.keys += 1);
            }
        }
    });
    let kept = features.held();
    found.resize(found.len().max(kept.len()), GroupHoldings::default());
    assert_eq!(kept, found);
}

/// By identity and feature name, what each interval has.
type Held = BTreeMap<([u64; 2], String), Vec<(i64, u64)>>;

/// All that is held.
fn held(pipeline: &Arc<Pipeline>) -> Held {
    let mut counters = counters(pipeline);
    counters.apply_epoch(&batches(pipeline, 200), Moment(0), |_| {}).expect("right");
    let DecayCounters { keys, features, uniques, .. } = &mut counters;
    let mut held = BTreeMap::new();
    keys.for_each_key(|table, key| {
        let block = table.block(key);
        for row in block.each_row() {
            let feature = features.get(row.feature());
            let words = row.words(feature.words(row.is_single()));
            let of_uniques = |word: u64| uniques.get(word).heap_bytes() as u64;
            let intervals = feature.decays.intervals().iter().map(|interval| interval.units());
            let values: Vec<(i64, u64)> = match (feature.shape, row.is_single()) {
                (crate::pipeline::RowShape::Uniques, false) => vec![(0, of_uniques(words[0]))],
                (_, true) => vec![(row.last_update().0, words[0])],
                _ => intervals.zip(words.iter().copied()).collect(),
            };
            held.insert((block.id().words(), feature.key.name.clone()), values);
        }
    });
    held
}

#[test]
fn what_stands_where_in_the_pipeline_file_changes_no_identity_and_no_value() {
    let first = held(&pipeline(&[USERS, PAIRS, AUDIENCES]));
    let users_moved = USERS
        .replace("\"count\", \"sum(a)\"", "\"sum(a)\", \"count\"")
        .replace("\"like\", \"view\"", "\"view\", \"like\"")
        .replace("\"1h\", \"1m\"", "\"1m\", \"1h\"");
    assert_ne!(users_moved, USERS);
    assert_eq!(held(&pipeline(&[AUDIENCES, PAIRS, &users_moved])), first);
    // A group on top of the file, keyed like others: the old rows are what they were, beside the new ones.
    let mut with_more = held(&pipeline(&[MORE_OF_USERS, PAIRS, &users_moved, AUDIENCES]));
    let keys = |held: &Held| held.keys().map(|(key, _)| *key).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(keys(&with_more), keys(&first), "they share their keys");
    with_more.retain(|(_, feature), _| !feature.starts_with("more."));
    assert_eq!(with_more, first);
    assert!(first.len() > 60);
}

#[test]
fn groups_that_are_keyed_alike_share_their_keys_and_others_do_not() {
    let pipeline = pipeline(&[USERS, PAIRS, AUDIENCES, MORE_OF_USERS]);
    let mut counters = counters(&pipeline);
    let batches = batches(&pipeline, 1);
    let keys: Vec<_> = batches[0].keys(0..batches[0].windows().last().expect("one").1.end).expect("all").collect();
    assert_eq!(keys.len(), 2, "one record for a key, whatever counts it");
    counters.apply_epoch(&batches, Moment(0), |_| {}).expect("right");
    assert_eq!((counters.keys.keys(), counters.keys.rows()), (2, 4));
    let user = HashSeed(3).key(HashSeed(3).key_fields(["u"]), b"0");
    let block = counters.keys.block(counters.keys.find(user).expect("there"));
    assert_eq!((block.text(), block.rows()), (b"0".as_slice(), 3));
    let pair: KeyId = HashSeed(3).key(HashSeed(3).key_fields(["u", "c"]), br"0|c\|0");
    assert!(counters.keys.find(pair).is_some());
    assert_held(&mut counters);
    assert_eq!(
        counters.held().iter().map(|held| (held.rows, held.keys)).collect::<Vec<_>>(),
        [(2, 1), (1, 1), (0, 0), (1, 0)]
    );
}

proptest! {
    /// Whatever arrives, nothing is believed: it is applied or refused, and nobody panics.
    #[test]
    fn damaged_batches_are_refused(damages in prop::collection::vec((any::<usize>(), any::<u64>(), 0..6u8), 1..4)) {
        let pipeline = pipeline(&[USERS, PAIRS, AUDIENCES]);
        let batches = batches(&pipeline, 60);
        let mut json = serde_json::to_value(&batches[0]).expect("plain data");
        for (at, value, kind) in damages {
            if kind >= 4 {
                // Members and windows, which are numbers somewhere in the depth.
                let part = if kind == 4 { "sightings" } else { "windows" };
                damage_number(&mut json[part], at, value);
                continue;
            }
            let Some(words) = json["words"].as_array_mut() else { panic!("words") };
            let at = at % words.len();
            match kind {
                0 => words[at] = value.into(),
                1 => words[at] = (words[at].as_u64().expect("a word") ^ 1 << (value % 64)).into(),
                2 => words.truncate(at.max(1)),
                _ => words.insert(at, value.into()),
            }
        }
        let damaged: ContributionBatch = serde_json::from_value(json).expect("plain data");
        let mut counters = counters(&pipeline);
        let _ = counters.apply_epoch(&[damaged], Moment(0), |batch| {
            batch.items(&pipeline).for_each(|item| {
                item.to_item();
            });
        });
    }
}

/// Replaces one of the numbers in some JSON.
fn damage_number(json: &mut serde_json::Value, at: usize, value: u64) {
    match json {
        serde_json::Value::Array(list) if !list.is_empty() => {
            let index = at % list.len();
            damage_number(&mut list[index], at / 7, value);
        }
        serde_json::Value::Object(fields) if !fields.is_empty() => {
            let index = at % fields.len();
            if let Some(field) = fields.values_mut().nth(index) {
                damage_number(field, at / 7, value);
            }
        }
        serde_json::Value::Number(number) if number.is_u64() => *json = (value >> 2).into(),
        _ => {}
    }
}

/// A received text is no longer than a key may be, and received uniques are those of the feature's intervals.
#[test]
fn what_fits_no_key_or_feature_is_refused() {
    let few = pipeline(&[&AUDIENCES.replace("\"1h\"", "\"1h\", \"2h\""), USERS]);
    let long = "x".repeat(2_049);
    let mut sums = WindowSums::new(1);
    let id = KeyId::of_test_key(long.as_bytes());
    let feature = crate::pipeline::FeatureKey {
        group: GroupId(1),
        measure: crate::pipeline::MeasureId(0),
        name: "user.like.count".to_owned(),
    };
    let reference = FeatureRef { group: feature.group, number: 0, shape: few.shape(&feature), width: 2 };
    let mut push = |text: &str| {
        sums.begin_key(id, text.as_bytes(), &few);
        sums.add(Addition { feature: reference, time: EventTime(5), amount: Amount::Weight(2.0) });
        sums.close_window(Window(1), &few);
        let batches: Vec<_> = sums.take_epoch(&TimeSamples::default(), std::slice::from_ref(&feature), &few).collect();
        counters(&few).apply_epoch(&batches, Moment(0), |_| {})
    };
    assert_eq!(push(&long[1..]), Ok(()));
    assert!(push(&long).expect_err("refused").to_string().contains("a text longer than any key"));
}

/// However often an epoch's sums are put aside, every event counts once, and however many features a key has.
#[test]
fn sums_that_are_put_aside_and_keys_of_many_features_lose_nothing() {
    let text = format!("{EVENT}{MORE_OF_USERS}").replace("5s", "1000000000s");
    let pipeline = Arc::new(Pipeline::parse(&text, "test.toml", &|_| None).expect("a valid pipeline"));
    let mut decoder = Decoder::new(Arc::new(pipeline.event.clone()));
    for parts in [1, 3] {
        let mut router = Router::new(Arc::clone(&pipeline), HashSeed(3));
        let mut sums = WindowSums::new(1);
        for part in 0..parts {
            for event in 0..600 {
                // One user with 200 features, and many with one.
                let (user, name) = if event % 2 == 0 { (7, event % 400) } else { (event, 1) };
                let line = format!("{{\"n\":\"n{name}\",\"u\":{user},\"t\":5}}");
                let arrival = Arrival::before(EventTime(1_000_000));
                let event = decoder.decode(line.as_bytes(), arrival, Utf8::Checked).expect("an event").expect("one");
                router.route(&event, &mut sums).expect("it counts");
            }
            if part + 1 < parts {
                sums.put_all_aside(Window(1), router.features(), &pipeline);
            }
        }
        sums.close_window(Window(1), &pipeline);
        let batches: Vec<_> = sums.take_epoch(&TimeSamples::default(), router.features(), &pipeline).collect();
        assert_eq!(batches.len(), parts);
        let mut values = BTreeMap::new();
        let mut counters = counters(&pipeline);
        let emit = |batch: crate::sink::ItemBatch| {
            for item in batch.items(&pipeline).map(|item| item.to_item()) {
                let value = item.counts.values().next().expect("one").value;
                assert_eq!(values.insert((item.key, item.feature_name), value), None, "published once");
            }
        };
        counters.apply_epoch(&batches, Moment(0), emit).expect("right");
        assert_eq!((values.len(), values.values().sum::<f64>()), (500, 600.0 * parts as f64));
        assert_eq!(counters.keys.rows(), 500);
    }
}

#[test]
fn a_batch_of_another_pipeline_or_format_is_refused() {
    let one = pipeline(&[USERS, PAIRS, AUDIENCES]);
    let apply = |to: &[&str], change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = serde_json::to_value(&batches(&one, 60)[0]).expect("plain data");
        change(&mut json);
        let batch: ContributionBatch = serde_json::from_value(json).expect("plain data");
        counters(&pipeline(to)).apply_epoch(&[batch], Moment(0), |_| {})
    };
    assert_eq!(apply(&[USERS, PAIRS, AUDIENCES], &|_| {}), Ok(()));
    let refused = |result: Result<(), ApplyError>| result.expect_err("refused").to_string();
    assert!(refused(apply(&[USERS, PAIRS, AUDIENCES], &|json| json["format"] = 2.into())).contains("format"));
    assert!(refused(apply(&[USERS, PAIRS], &|_| {})).contains("a feature that no group makes"));
    let other_decays = PAIRS.replace("1d", "2d");
    assert!(refused(apply(&[USERS, &other_decays, AUDIENCES], &|_| {})).contains("other decays"));
}
