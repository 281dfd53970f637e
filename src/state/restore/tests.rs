//! Taking up a state under another pipeline file.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::checkpoint::{Record, RecordKind};
use crate::clock::TimeSamples;
use crate::epoch::{Generation, Versions, Window};
use crate::event::{Arrival, Decoder, Utf8};
use crate::peers::{Peers, WorkerIndex};
use crate::pipeline::Pipeline;
use crate::state::Publishing;
use crate::state::record::clear_marks;
use crate::state::snapshot::{Piece, Written};
use crate::sums::{HashSeed, Router, WindowSums};
use crate::telemetry::Metrics;

/// A pipeline with these groups; times are in seconds.
fn pipeline(groups: &str) -> Arc<Pipeline> {
    let text = format!("name = \"p\"\nevent = {{ name = \"n\", time = \"t\" }}\ncounters = [{groups}]");
    Arc::new(Pipeline::parse(&text, "p.toml", &|_| None).expect("a valid pipeline"))
}

/// What checkpoints hold: records by key, and the features that they name.
#[derive(Default)]
struct State {
    records: BTreeMap<KeyId, Vec<u8>>,
    features: Vec<RecordedFeature>,
}

fn start(pipeline: &Arc<Pipeline>, state: &State) -> DecayCounters {
    let (versions, metrics) = (Versions::new(Generation(1), Window(1)), Arc::new(Metrics::default()));
    let mut counters = DecayCounters::new(Arc::clone(pipeline), versions, Peers::alone(1), Publishing::Pull, metrics);
    counters.keep_for_checkpoints(WorkerIndex(0));
    let mut features = RestoredFeatures::default();
    counters.restored_features(&state.features, &mut features);
    for (id, payload) in &state.records {
        counters.restore_key(*id, payload, &mut features, 0).expect("a record of ours");
    }
    counters.restored_all();
    counters
}

/// Counts these events, given as `name user time`.
fn count(pipeline: &Arc<Pipeline>, counters: &mut DecayCounters, events: &[&str]) {
    let mut decoder = Decoder::new(Arc::new(pipeline.event.clone()));
    let mut router = Router::new(Arc::clone(pipeline), HashSeed(3));
    let mut sums = WindowSums::new(1);
    for event in events {
        let parts: Vec<&str> = event.split(' ').collect();
        let line = format!("{{\"n\":\"{}\",\"u\":\"{}\",\"t\":{}}}", parts[0], parts[1], parts[2]);
        let arrival = Arrival::before(EventTime(1_000_000_000));
        let event = decoder.decode(line.as_bytes(), arrival, Utf8::Checked).expect("an event").expect("an event");
        router.route(&event, &mut sums).expect("it counts");
    }
    sums.close_window(Window(1), pipeline);
    let batches: Vec<_> = sums.take_epoch(&TimeSamples::of(Vec::new()), router.features(), pipeline).collect();
    counters.apply_epoch(&batches, Moment(1), |_| {}).expect("an epoch that can be applied");
}

/// Makes a checkpoint. Returns how many records it has.
fn checkpoint(counters: &mut DecayCounters, state: &mut State) -> usize {
    counters.cut(0);
    let mut written = 0;
    loop {
        match counters.write_snapshot() {
            Written::NotYet | Written::Nothing | Written::Evicted(_) => {}
            Written::End(_) => {
                counters.snapshot_is_durable();
                return written;
            }
            Written::Records(Piece { records, features }) => {
                state.features.extend(features);
                let mut rest = &records[..];
                while let Some(record) = Record::first_of(rest) {
                    rest = &rest[record.bytes().len()..];
                    written += 1;
                    match record.kind() {
                        RecordKind::Key => drop(state.records.insert(record.key(), record.payload().to_vec())),
                        RecordKind::Tombstone => drop(state.records.remove(&record.key())),
                        RecordKind::Published => {
                            state.records.entry(record.key()).and_modify(|payload| clear_marks(payload).expect("ours"));
                        }
                    }
                }
                assert!(rest.is_empty());
            }
        }
    }
}

/// The values of each row, by key and feature, and whether it is marked.
fn held(counters: &mut DecayCounters) -> BTreeMap<(String, String), (Vec<f64>, bool)> {
    let DecayCounters { keys, features, .. } = counters;
    let mut held = BTreeMap::new();
    keys.for_each_key(|table, key| {
        let block = table.block(key);
        for row in block.each_row() {
            let feature = features.get(row.feature());
            let values = row.words(feature.words(row.is_single())).iter().map(|word| f64::from_bits(*word)).collect();
            let key = String::from_utf8_lossy(block.text()).into_owned();
            held.insert((key, feature.key.name.clone()), (values, row.is_marked()));
        }
    });
    held
}

fn values(counters: &mut DecayCounters, key: &str, feature: &str) -> Option<Vec<f64>> {
    held(counters).remove(&(key.to_owned(), feature.to_owned())).map(|(values, _)| values)
}

/// Nothing is marked any more, as after everything was published.
fn publish_all(state: &mut State) {
    state.records.values_mut().for_each(|payload| clear_marks(payload).expect("ours"));
}

const LIKES: &str = r#"{ name = "user", key = ["u"], events = ["like"], decays = ["1h", "1d"] }"#;

/// The state of a run with these groups that has counted these events.
fn state_of(groups: &str, events: &[&str]) -> State {
    let (pipeline, mut state) = (pipeline(groups), State::default());
    let mut counters = start(&pipeline, &state);
    count(&pipeline, &mut counters, events);
    checkpoint(&mut counters, &mut state);
    publish_all(&mut state);
    state
}

#[test]
fn with_the_same_file_nothing_is_marked_or_written_again() {
    let mut state = state_of(LIKES, &["like a 100", "like a 100", "like b 100"]);
    let mut counters = start(&pipeline(LIKES), &state);
    assert_eq!(values(&mut counters, "a", "user.like.count"), Some(vec![2.0, 2.0]));
    assert!(held(&mut counters).values().all(|(_, is_marked)| !is_marked));
    assert_eq!(checkpoint(&mut counters, &mut state), 0);
}

#[test]
fn an_added_decay_begins_empty_and_old_rows_are_never_read_by_new_intervals() {
    let mut state = state_of(LIKES, &["like a 100", "like a 100", "like b 100", "like b 100"]);
    let more = pipeline(&LIKES.replace("\"1h\", \"1d\"", "\"1m\", \"1h\", \"1d\""));
    let mut counters = start(&more, &state);
    let held = held(&mut counters);
    assert!(
        held.values().all(|row| *row == (vec![0.0, 2.0, 2.0], true)),
        "they are marked for their new shape: {held:?}"
    );
    assert_eq!(checkpoint(&mut counters, &mut state), 2, "they are written in their new shape");
    // As many intervals as before, but others: with the first feature's word on them the rows would be misread.
    let other = pipeline(&LIKES.replace("\"1h\", \"1d\"", "\"1d\", \"7d\""));
    let mut counters = start(&other, &state);
    assert_eq!(values(&mut counters, "a", "user.like.count"), Some(vec![2.0, 0.0]));
}

#[test]
fn rows_of_both_shapes_may_lie_side_by_side() {
    // Only `a` is written after the change.
    let mut state = state_of(LIKES, &["like a 100", "like a 100", "like b 100", "like b 100"]);
    let old_b = state.records.clone();
    let more = pipeline(&LIKES.replace("\"1h\", \"1d\"", "\"1h\", \"7d\""));
    let mut counters = start(&more, &state);
    count(&more, &mut counters, &["like a 100"]);
    checkpoint(&mut counters, &mut state);
    let a = *state.records.iter().find(|(_, payload)| RecordedKey::read(payload).unwrap().text == b"a").unwrap().0;
    let b = *state.records.keys().find(|key| **key != a).unwrap();
    state.records.insert(b, old_b[&b].clone());
    let mut counters = start(&more, &state);
    assert_eq!(values(&mut counters, "a", "user.like.count"), Some(vec![3.0, 1.0]));
    assert_eq!(values(&mut counters, "b", "user.like.count"), Some(vec![2.0, 0.0]));
}

#[test]
fn what_was_left_out_once_does_not_come_back() {
    const SEEN: &str = r#"{ name = "seen", key = ["u"], events = ["view"], decays = ["1h"] }"#;
    let both = format!("{LIKES}, {SEEN}");
    let mut state = state_of(&both, &["like a 100", "view a 100", "view only 100"]);
    assert_eq!(state.records.len(), 2);
    let mut counters = start(&pipeline(LIKES), &state);
    assert_eq!(held(&mut counters).len(), 1);
    assert_eq!(checkpoint(&mut counters, &mut state), 2, "a key without one of its rows, and one that has gone");
    let mut counters = start(&pipeline(&both), &state);
    assert_eq!(held(&mut counters).keys().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(values(&mut counters, "a", "seen.view.count"), None, "what happened meanwhile would be missing in it");
}

#[test]
fn a_feature_of_another_group_or_measure_is_another_one() {
    let state =
        state_of(r#"{ name = "one", key = ["u"], events = "*", decays = ["1h"], feature = "x" }"#, &["like a 100"]);
    for other in [
        r#"{ name = "two", key = ["u"], events = "*", decays = ["1h"], feature = "x" }"#,
        r#"{ name = "one", key = ["u"], events = "*", decays = ["1h"], measures = ["sum(t2)"], feature = "x" }"#,
    ] {
        assert!(held(&mut start(&pipeline(other), &state)).is_empty(), "{other}");
    }
}
