//! Every damage is found, and told by the name of what is damaged.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::*;
use crate::epoch::{Epoch, Generation};

fn put(objects: &InMemory, name: &str, content: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(objects.put(&ObjectPath::from(name), content.to_vec().into())).unwrap();
}

fn get(objects: &InMemory, name: &str) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { objects.get(&ObjectPath::from(name)).await.unwrap().bytes().await.unwrap().to_vec() })
}

/// A state with one checkpoint in three blocks, and the names of its objects.
fn small_state() -> (Arc<InMemory>, Store, Vec<String>) {
    let objects = Arc::new(InMemory::new());
    let store = over(Arc::clone(&objects) as Arc<dyn ObjectStore>, "");
    let (mut commits, _) = begin(&store, 0).unwrap();
    let records: Vec<_> = (0..9).map(|number| (key(number * 5), RecordKind::Key, vec![number as u8; 20])).collect();
    let names = SegmentIds::new(Generation(1_790_000_000));
    let entries = segments(&store, &names, 1 << 20, &records).unwrap();
    commits.commit(manifest(1, entries)).unwrap();
    let mut names = Vec::new();
    for folder in ["segments", "manifests"] {
        names.extend(store.list(folder).unwrap().iter().map(|name| format!("{folder}/{name}")));
    }
    (objects, store, names)
}

/// Looks for the state's only checkpoint and reads all of it.
fn read_state(store: &Store) -> Result<Model, CheckpointError> {
    let restorable = Search::begin(store, "likes")?.next()?.unwrap();
    restorable.verify(store)?;
    read_all(&restorable.segments)
}

#[test]
fn every_changed_bit_of_a_segment_and_of_a_manifest_is_found() {
    let (objects, store, names) = small_state();
    let whole = read_state(&store).unwrap();
    assert_eq!((whole.len(), names.len()), (9, 2));
    for name in &names {
        let content = get(&objects, name);
        for byte in 0..content.len() {
            for bit in 0..8 {
                let mut changed = content.clone();
                changed[byte] ^= 1 << bit;
                put(&objects, name, &changed);
                let error = read_state(&store).expect_err(&format!("{name}: bit {bit} of byte {byte} was changed"));
                assert!(error.is_damage() && error.to_string().contains(name.as_str()), "{name} {byte}: {error}");
            }
        }
        put(&objects, name, &content);
    }
    assert_eq!(read_state(&store).unwrap(), whole);
}

#[test]
fn an_object_that_is_cut_off_grown_or_gone_is_found() {
    let (objects, store, names) = small_state();
    for name in &names {
        let content = get(&objects, name);
        for length in 0..content.len() {
            put(&objects, name, &content[..length]);
            let error = read_state(&store).unwrap_err();
            assert!(error.is_damage() && error.to_string().contains(name.as_str()), "{name} {length}: {error}");
        }
        put(&objects, name, &[&content[..], b"\0"].concat());
        assert!(read_state(&store).unwrap_err().is_damage());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(objects.delete(&ObjectPath::from(name.as_str()))).unwrap();
        if name.starts_with("segments") {
            let error = read_state(&store).unwrap_err().to_string();
            assert!(error.contains(name.as_str()) && error.contains("not there"), "{error}");
        }
        put(&objects, name, &content);
    }
}

#[test]
fn a_segment_of_another_checkpoint_in_its_place_is_found() {
    let (objects, store, names) = small_state();
    let other = SegmentIds::new(Generation(7));
    let entries = segments(&store, &other, 1 << 20, &[(key(1), RecordKind::Key, vec![1])]).unwrap();
    put(&objects, &names[0], &get(&objects, &entries[0].name.segment().to_string()));
    let error = read_state(&store).unwrap_err().to_string();
    assert!(error.contains(&names[0]) && error.contains("its manifest names"), "{error}");
}

#[test]
fn a_damaged_journal_entry_is_told_and_the_others_are_read() {
    let objects = Arc::new(InMemory::new());
    let store = over(Arc::clone(&objects) as Arc<dyn ObjectStore>, "");
    let (mut journal, kept) = Journal::open(&store, Generation(1)).unwrap();
    assert!(kept.entries.is_empty() && kept.damaged.is_empty());
    for epoch in 1..=4 {
        journal.append(Epoch(epoch), serde_json::json!({"a": epoch})).unwrap();
    }
    journal.prune_below(JournalNumber(2)).unwrap();
    let content = get(&objects, "journal/0000000003.json");
    for byte in 0..content.len() {
        let mut changed = content.clone();
        changed[byte] ^= 1;
        put(&objects, "journal/0000000003.json", &changed);
        let (_, kept) = Journal::open(&store, Generation(2)).unwrap();
        let epochs: Vec<u64> = kept.entries.iter().map(|entry| entry.epoch.0).collect();
        assert_eq!((epochs, kept.damaged.len()), (vec![2, 4], 1), "{byte}");
        assert!(kept.damaged[0].1.to_string().contains("journal/0000000003.json"));
    }
}
