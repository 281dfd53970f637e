//! States that were written with the store's own means.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::report::StateReport;
use super::*;
use crate::checkpoint::{
    Changes, Claim, Commits, Dictionary, Journal, Manifest, RecordKind, SegmentIds, Store, append_record,
};
use crate::counter::DecayInterval;
use crate::epoch::Epoch;
use crate::pipeline::RowShape;
use crate::state::{FeatureHash, RecordedFeature, clear_marks};
use crate::sums::{HashSeed, KeyId};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds)
}

fn feature(group: &str, name: &str) -> RecordedFeature {
    let intervals = vec![DecayInterval::new(5).unwrap()];
    let (name, measure) = (format!("{group}.{name}"), "count".to_owned());
    RecordedFeature { name, group: group.to_owned(), measure, shape: RowShape::Values, intervals }
}

/// A key with these rows of a single event, some of them marked: as `record.rs` describes it.
fn payload(rows: &[(&RecordedFeature, bool)]) -> Vec<u8> {
    let mut payload = vec![0, 1, 0, b'k'];
    payload.extend_from_slice(&(rows.len() as u32).to_le_bytes());
    for (feature, is_marked) in rows {
        payload.extend_from_slice(&FeatureHash::of(feature).0.to_le_bytes());
        payload.push(1 | if *is_marked { 2 } else { 0 });
        payload.extend_from_slice(&7_i64.to_le_bytes());
        payload.extend_from_slice(&1.0_f64.to_bits().to_le_bytes());
    }
    payload
}

#[expect(clippy::ptr_arg, reason = "it is handed on as a function of this type")]
fn clear(payload: &mut Vec<u8>) {
    clear_marks(payload).unwrap();
}

/// Two checkpoints, and an entry of the journal.
fn write(folder: &Path) {
    let store = Store::open(&Location::Folder(folder.to_owned())).unwrap();
    let claim = Claim::take(&store, None, at(0)).unwrap();
    let (names, mut journal) =
        (SegmentIds::new(claim.generation()), Journal::open(&store, claim.generation()).unwrap().0);
    let mut commits = Commits::new(&store, claim, None, None);
    let [like, view, pair] = [feature("user", "like"), feature("user", "view"), feature("pair", "like")];
    let key = |number: u64| KeyId::from_words([number << 56, number]);
    let checkpoints: [Vec<(KeyId, RecordKind, Vec<u8>)>; 2] = [
        vec![
            (key(1), RecordKind::Key, payload(&[(&like, true), (&view, true)])),
            (key(2), RecordKind::Key, payload(&[(&like, false), (&pair, true)])),
            (key(3), RecordKind::Key, payload(&[(&view, true)])),
        ],
        vec![(key(1), RecordKind::Published, vec![]), (key(3), RecordKind::Tombstone, vec![])],
    ];
    let mut segments = Vec::new();
    for (number, records) in (1..).zip(checkpoints) {
        let mut changes = Changes::new(&store, &names, 1 << 20, clear);
        let mut dictionary = Dictionary::default();
        for feature in [&like, &view, &pair] {
            dictionary.add(FeatureHash::of(feature).0, serde_json::to_value(feature).unwrap()).unwrap();
        }
        changes.add_features(&dictionary).unwrap();
        for (key, kind, payload) in records {
            let mut chunk = Vec::new();
            assert!(append_record(&mut chunk, key, kind, &payload));
            changes.add(&chunk).unwrap();
        }
        segments.extend(changes.finish().unwrap());
        let mut manifest = Manifest::new("feed".to_owned(), HashSeed(7), at(30 * number));
        (manifest.epoch, manifest.segments) = (Epoch(100 * number), segments.clone());
        let partitions: serde_json::Map<_, _> =
            (0..12).map(|id: u64| (id.to_string(), serde_json::json!({"from": 0, "to": 10 * number + id}))).collect();
        manifest.positions = serde_json::json!({
            "kafka": {"topic": "events", "partitions": partitions, "runStart": 1_790_000_000},
        });
        commits.commit(manifest.clone()).unwrap();
        journal.append(Epoch(100 * number + 5), manifest.positions).unwrap();
    }
}

fn looked(folder: &Path, verify: bool) -> Result<StateReport, CliError> {
    let now = Timestamp::from_second(1_790_000_100).unwrap();
    look(&open(&Location::Folder(folder.to_owned()))?, verify, now)
}

/// The largest file of segments: the one of the first checkpoint.
fn first_segment(folder: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> = fs::read_dir(folder.join("segments")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.remove(0)
}

#[test]
fn all_that_a_state_holds_is_told() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let report = looked(folder.path(), true).unwrap();
    let text = report.text().replace(&folder.path().display().to_string(), "DIR");
    let size = |checkpoint: usize| crate::telemetry::HumanBytes(report.checkpoints[checkpoint].bytes).to_string();
    assert!(
        text.starts_with("DIR: the state of pipeline \"feed\"\nin use     by no run on this machine\ntakes      "),
        "{text}"
    );
    let lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let has = |line: &str| assert!(lines.iter().any(|told| told == line), "no `{line}` in\n{text}");
    has("checkpoint run created age epoch segments size");
    has(&format!("2 whole 1790000000 2026-09-21T14:14:20Z 40s 200 2 {}", size(0)));
    has(&format!("1 whole 1790000000 2026-09-21T14:13:50Z 70s 100 1 {}", size(1)));
    has("group keys rows waiting for the sink");
    has("pair 1 1 1");
    has("user 2 3 0");
    has("all 2 4 1");
    has("read up to, by checkpoint 2");
    has("events/0 20");
    has("and 4 more: --json prints all");
    has("may have been published up to, by entry 2 of the journal (run 1790000000, epoch 205)");
    assert!(!text.contains("events/11") && report.problems().is_empty(), "{text}");

    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["checkpoints"][0]["positions"]["kafka"]["partitions"]["11"]["to"], 31);
    assert_eq!((&json["rows"]["markedRows"], &json["rows"]["groups"]["user"]["rows"]), (&1.into(), &3.into()));
    assert_eq!(json["inUse"], serde_json::Value::Null);
}

#[test]
fn looking_makes_nothing_and_sees_who_uses_a_state() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let files = || {
        let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        files.sort();
        files
    };
    let before = files();
    assert_eq!(looked(folder.path(), false).unwrap().in_use, None);
    assert_eq!(files(), before);
    let store = Store::open_existing(&Location::Folder(folder.path().to_owned())).unwrap();
    let lock = store.lock().unwrap();
    assert_eq!(looked(folder.path(), false).unwrap().in_use, Some(Some(std::process::id())));
    drop(lock);
    assert!(store.lock().is_ok());
}

#[test]
fn damage_is_told_and_the_rows_are_those_of_what_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    // The second checkpoint's manifest is cut off: the first is what a run goes on with.
    let manifest = folder.path().join("manifests/0000000002.json");
    let text = fs::read(&manifest).unwrap();
    fs::write(&manifest, &text[..text.len() / 2]).unwrap();
    let report = looked(folder.path(), false).unwrap();
    assert_eq!(report.rows.as_ref().unwrap().checkpoint, 1);
    assert_eq!(report.rows.as_ref().unwrap().all.rows, 5);
    let problems = report.problems();
    assert!(problems.len() == 1 && problems[0].starts_with("checkpoint 2: "), "{problems:?}");

    // And a block of the first: then none is whole.
    let segment = first_segment(folder.path());
    let mut bytes = fs::read(&segment).unwrap();
    bytes[40] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let report = looked(folder.path(), false).unwrap();
    assert!(report.rows.is_none() && report.problems().len() == 2, "{:?}", report.problems());
    assert!(report.text().contains("not whole"));
}

#[test]
fn damage_behind_the_newest_checkpoint_is_found_when_all_is_read() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let store = Store::open_existing(&Location::Folder(folder.path().to_owned())).unwrap();
    // The newest checkpoint goes on without what the first holds.
    let manifests = folder.path().join("manifests");
    let newest = Manifest::read(&store, crate::checkpoint::ManifestNumber(2)).unwrap();
    fs::remove_file(manifests.join("0000000002.json")).unwrap();
    let claim = Claim::take(&store, None, at(100)).unwrap();
    let mut manifest = Manifest::new("feed".to_owned(), HashSeed(7), at(100));
    manifest.segments = newest.segments[1..].to_vec();
    Commits::new(&store, claim, None, Some(crate::checkpoint::ManifestNumber(2))).commit(manifest).unwrap();
    let segment = first_segment(folder.path());
    let mut bytes = fs::read(&segment).unwrap();
    bytes[40] ^= 1;
    fs::write(&segment, bytes).unwrap();
    assert_eq!(looked(folder.path(), false).unwrap().problems().len(), 0, "its blocks are not looked at");
    let problems = looked(folder.path(), true).unwrap().problems();
    assert!(problems.len() == 1 && problems[0].contains("block 0"), "{problems:?}");
}

#[test]
fn what_is_no_state_or_too_new_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let says = |folder: &Path, text: &str| {
        let error = looked(folder, false).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        error
    };
    assert_eq!(says(&folder.path().join("none"), "there is no such folder").code(), ErrorCode::StateMissing);
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    assert_eq!(says(folder.path(), "nothing in it was written by counter-machine").code(), ErrorCode::StateMissing);
    assert_eq!(says(&folder.path().join("notes.txt"), "notes.txt").code(), ErrorCode::StateUsage);

    write(folder.path());
    let text = r#"{"format":2,"number":3}"#;
    let seal = xxhash_rust::xxh3::xxh3_128(text.as_bytes());
    fs::write(folder.path().join("manifests/0000000003.json"), format!("{text}\nxxh3:{seal:032x}\n")).unwrap();
    assert_eq!(says(folder.path(), "has format 2").code(), ErrorCode::StateNewer);
}

#[test]
fn a_state_without_a_checkpoint_yet_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::Folder(folder.path().to_owned())).unwrap();
    Claim::take(&store, None, at(0)).unwrap();
    let text = looked(folder.path(), true).unwrap().text();
    assert!(text.contains("no checkpoint yet\n") && text.contains("journal    empty"), "{text}");
}
