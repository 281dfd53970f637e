//! Whose state it is, what is kept, and what is passed over.

use std::collections::BTreeSet;
use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::*;
use crate::epoch::{Epoch, Generation};

fn one_segment(store: &Store, names: &SegmentIds, number: u64) -> Vec<SegmentEntry> {
    segments(store, names, 1 << 20, &[(key(number), RecordKind::Key, vec![1])]).unwrap()
}

#[test]
fn checkpoints_follow_each_other_over_runs_and_two_are_kept() {
    let store = memory();
    let names = SegmentIds::new(Generation(1_790_000_000));
    let (mut commits, restored) = begin(&store, 0).unwrap();
    assert!(restored.is_none());
    for epoch in 1..=4 {
        let entries = one_segment(&store, &names, epoch);
        commits.commit(manifest(epoch, entries)).unwrap();
        commits.delete_unused(&BTreeSet::new()).unwrap();
    }
    assert_eq!(store.list("manifests").unwrap(), ["0000000003.json", "0000000004.json"]);
    assert_eq!(store.list("segments").unwrap(), ["1790000000-0000000003", "1790000000-0000000004"]);

    let (mut commits, restored) = begin(&store, 1).unwrap();
    assert_eq!(restored.unwrap().manifest.epoch, Epoch(4));
    assert_eq!(commits.commit(manifest(5, Vec::new())).unwrap(), ManifestNumber(5));
    assert_eq!(commits.kept().last().unwrap().generation, Generation(1_790_000_001));
    commits.delete_unused(&BTreeSet::new()).unwrap();
    assert_eq!(store.list("manifests").unwrap(), ["0000000004.json", "0000000005.json"]);
}

#[test]
fn what_is_in_use_of_a_later_run_or_unknown_is_not_deleted() {
    let objects = Arc::new(InMemory::new());
    let store = over(Arc::clone(&objects) as Arc<dyn ObjectStore>, "");
    let (mut commits, _) = begin(&store, 0).unwrap();
    let ours = SegmentIds::new(Generation(1_790_000_000));
    let unused = one_segment(&store, &ours, 1);
    let in_use = one_segment(&store, &ours, 2);
    let later = one_segment(&store, &SegmentIds::new(Generation(1_790_000_001)), 3);
    let filter = write_filter(&store, ours.next(), b"filter").unwrap();
    let old_filter = write_filter(&store, ours.next(), b"filter").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for unknown in ["segments/notes.txt", "manifests/notes.txt", "segments/deeper/1790000000-0000000001", "notes.txt"] {
        runtime.block_on(objects.put(&unknown.into(), "mine".into())).unwrap();
    }
    let mut draft = manifest(1, Vec::new());
    draft.evicted = vec![filter.clone()];
    commits.commit(draft).unwrap();
    assert_eq!(commits.delete_unused(&BTreeSet::from([in_use[0].name])).unwrap(), 2);
    let kept = store.list("segments").unwrap();
    assert_eq!(kept, [in_use[0].name.to_string(), later[0].name.to_string(), "notes.txt".to_owned()]);
    assert!(Segment::open(&store, &unused[0]).unwrap_err().is_damage());
    assert_eq!(read_filter(&store, &filter).unwrap(), &b"filter"[..]);
    assert_eq!(read_filter(&store, &old_filter).unwrap_err().kind(), CheckpointErrorKind::Missing);
    assert_eq!(store.list("manifests").unwrap(), ["0000000001.json", "notes.txt"]);
}

#[test]
fn of_two_runs_that_start_at_once_the_second_ends() {
    let store = memory();
    let first = Claim::take(&store, None, at(0)).unwrap();
    assert_eq!(first.generation(), Generation(1_790_000_000));
    // It has listed before the first was there.
    let other = memory();
    let second = Claim::take(&other, None, at(0)).unwrap();
    assert_eq!(second.generation(), first.generation());
    let object = names::generation_object(first.generation());
    let error = store.create(&object, &other.get(&object).unwrap()).unwrap_err();
    assert_eq!(error.kind(), CheckpointErrorKind::Exists);
}

#[test]
fn a_generation_is_above_the_last_the_sinks_and_the_clock() {
    let store = memory();
    let take = |recorded: Option<u32>, seconds| {
        Claim::take(&store, recorded.map(Generation), at(seconds)).map(|claim| claim.generation().0 - 1_790_000_000)
    };
    assert_eq!(take(None, 5).unwrap(), 5, "the clock");
    assert_eq!(take(None, 3).unwrap(), 6, "a clock that was set back");
    assert_eq!(take(Some(1_790_000_009), 3).unwrap(), 10, "what the sink has");
    assert_eq!(take(Some(u32::MAX), 3).unwrap_err().kind(), CheckpointErrorKind::Failed);
    for seconds in 20..40 {
        take(None, seconds).unwrap();
    }
    assert!(store.list("generations").unwrap().len() < 12, "not all are kept for ever");
}

#[test]
fn a_run_ends_when_another_has_started_after_it_or_has_taken_its_number() {
    let store = memory();
    let (mut old, _) = begin(&store, 0).unwrap();
    old.commit(manifest(1, Vec::new())).unwrap();
    let (mut new, _) = begin(&store, 1).unwrap();
    let error = old.commit(manifest(2, Vec::new())).unwrap_err();
    assert_eq!(error.kind(), CheckpointErrorKind::InUse);
    assert!(error.to_string().contains("1790000001"), "{error}");
    new.commit(manifest(2, Vec::new())).unwrap();

    // A number that was taken between the look at the generations and the write.
    store.delete(&names::generation_object(Generation(1_790_000_001))).unwrap();
    let error = old.commit(manifest(3, Vec::new())).unwrap_err();
    assert_eq!(error.kind(), CheckpointErrorKind::InUse);
    assert!(error.to_string().contains("0000000002.json was written by another run"), "{error}");
}

/// Two runs that both believe that the state is theirs: whatever they write and delete, the old one counts on nothing that
/// the new one did not find when it began.
#[test]
fn a_run_that_was_overtaken_counts_on_no_entry_of_the_journal() {
    let append = |journal: &mut Journal| journal.append(Epoch(1), serde_json::Value::Null);
    let append_and_prune = |journal: &mut Journal| {
        let number = append(journal)?;
        journal.prune_below(number)
    };
    for (by_the_old, by_the_new) in [(1, 0), (3, 0), (0, 1), (0, 3), (2, 2)] {
        let store = memory();
        let old = Claim::take(&store, None, at(0)).unwrap();
        let (mut old, _) = Journal::open(&store, old.generation()).unwrap();
        append_and_prune(&mut old).unwrap();
        let new = Claim::take(&store, None, at(1)).unwrap();
        let (mut new, found) = Journal::open(&store, new.generation()).unwrap();
        assert_eq!(found.entries.len(), 1);
        for _ in 0..by_the_old {
            assert_eq!(append_and_prune(&mut old).unwrap_err().kind(), CheckpointErrorKind::InUse);
        }
        for _ in 0..by_the_new {
            append_and_prune(&mut new).unwrap();
        }
        assert_eq!(append(&mut old).unwrap_err().kind(), CheckpointErrorKind::InUse);
        append_and_prune(&mut new).expect("what the old one has written is not in its way");
    }
}

#[test]
fn an_entry_of_a_later_run_ends_this_one() {
    let store = memory();
    let (mut ours, _) = Journal::open(&store, Generation(1)).unwrap();
    let (mut theirs, _) = Journal::open(&store, Generation(2)).unwrap();
    theirs.append(Epoch(1), serde_json::Value::Null).unwrap();
    let error = ours.append(Epoch(1), serde_json::Value::Null).unwrap_err();
    assert_eq!(error.kind(), CheckpointErrorKind::InUse);
    assert!(error.to_string().contains("journal/0000000001.json was written by another run"), "{error}");
}

#[test]
fn an_attempt_that_came_through_late_is_not_taken_for_another_run() {
    let store = memory();
    let (mut commits, _) = begin(&store, 0).unwrap();
    let mut late = manifest(1, Vec::new());
    (late.number, late.generation) = (ManifestNumber(1), Generation(1_790_000_000));
    store.create(&ManifestNumber(1).object(), &late.to_text().unwrap()).unwrap();
    assert_eq!(commits.commit(manifest(2, Vec::new())).unwrap(), ManifestNumber(2));
    assert_eq!(commits.delete_unused(&BTreeSet::new()).unwrap(), 1, "nobody counts on it");
}

#[test]
fn a_checkpoint_that_is_not_whole_is_passed_over_with_the_reason() {
    let store = memory();
    let names = SegmentIds::new(Generation(1_790_000_000));
    let (mut commits, _) = begin(&store, 0).unwrap();
    let first = one_segment(&store, &names, 1);
    let second = one_segment(&store, &names, 2);
    commits.commit(manifest(1, first.clone())).unwrap();
    commits.commit(manifest(2, [first.clone(), second.clone()].concat())).unwrap();
    store.delete(&second[0].name.segment()).unwrap();

    let mut search = Search::begin(&store, "likes").unwrap();
    let found = search.next().unwrap().unwrap();
    assert_eq!((found.manifest.epoch, search.largest()), (Epoch(1), Some(ManifestNumber(2))));
    let [passed] = search.passed_over() else { panic!("one was passed over") };
    assert_eq!(passed.number, ManifestNumber(2));
    assert!(passed.why.to_string().contains(&second[0].name.to_string()), "{}", passed.why);

    // The one before it turns out to be damaged, too.
    search.pass_over(found.manifest.number, CheckpointError::damaged("segments/x", "bits"));
    let error = search.next().unwrap_err();
    assert!(error.to_string().contains("none of the checkpoints in s3://memory/state is whole"), "{error}");

    // The next one has a number of its own.
    let (mut commits, restored) = begin(&store, 1).unwrap();
    assert_eq!(commits.commit(manifest(3, restored.unwrap().manifest.segments)).unwrap(), ManifestNumber(3));
    commits.delete_unused(&BTreeSet::new()).unwrap();
    assert_eq!(store.list("manifests").unwrap(), ["0000000001.json", "0000000003.json"], "two that are whole");
}

#[test]
fn another_pipelines_state_is_refused() {
    let store = memory();
    let (mut commits, _) = begin(&store, 0).unwrap();
    commits.commit(manifest(1, Vec::new())).unwrap();
    let error = Search::begin(&store, "views").unwrap().next().unwrap_err();
    assert_eq!(error.kind(), CheckpointErrorKind::Foreign);
    assert!(error.to_string().contains("'likes'") && error.to_string().contains("'views'"), "{error}");
}
