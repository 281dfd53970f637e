//! Runs that change keys, checkpoint, compact, fail at any step, and start again: what is restored is what was committed.

use std::collections::BTreeSet;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use proptest::prelude::*;

use super::failpoint::Step;
use super::*;

/// One checkpoint of a run: what changes before it, and the step that fails.
#[derive(Clone, Debug)]
struct Turn {
    changes: Vec<(u64, RecordKind, u8)>,
    fails: Option<Step>,
    restart: bool,
}

fn any_turn() -> impl Strategy<Value = Turn> {
    let kind = prop_oneof![
        Just(RecordKind::Tombstone),
        Just(RecordKind::Key),
        Just(RecordKind::Key),
        Just(RecordKind::Published)
    ];
    let changes = proptest::collection::vec((0u64..40, kind, any::<u8>()), 0..20);
    let fails = prop_oneof![3 => Just(None), 1 => proptest::sample::select(&Step::ALL[..]).prop_map(Some)];
    (changes, fails, proptest::bool::weighted(0.2)).prop_map(|(changes, fails, restart)| Turn {
        changes,
        fails,
        restart,
    })
}

/// A run, and what it believes.
struct Run {
    commits: Commits,
    names: SegmentIds,
    segments: Vec<SegmentEntry>,
    /// What is touched since the last checkpoint that went well.
    pending: Vec<(KeyId, RecordKind, Vec<u8>)>,
    state: Model,
}

impl Run {
    fn begin(store: &Store, seconds: u64) -> Run {
        let (commits, restored) = begin(store, seconds).unwrap();
        let names = SegmentIds::new(commits.generation());
        let state = restored.as_ref().map(|restored| read_all(&restored.segments).unwrap()).unwrap_or_default();
        let segments = restored.map(|restored| restored.manifest.segments).unwrap_or_default();
        Run { commits, names, segments, pending: Vec::new(), state }
    }

    /// A checkpoint, as the program makes one. What was touched stays touched if it fails.
    fn checkpoint(&mut self, store: &Store, epoch: u64) -> Result<(), CheckpointError> {
        let mut entries = self.segments.clone();
        entries.extend(segments(store, &self.names, 300, &self.pending)?);
        compact_some(store, &self.names, &mut entries)?;
        // Once the manifest may be there, segments of it are the state's, whatever comes then.
        let committed = self.commits.commit(manifest(epoch, entries.clone())).map(drop);
        if self.commits.kept().last().is_some_and(|last| last.epoch.0 == epoch) {
            self.segments = entries;
            self.pending.clear();
        }
        committed?;
        self.commits.delete_unused(&BTreeSet::new()).map(drop)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_run_finds_what_the_last_checkpoint_held(turns in proptest::collection::vec(any_turn(), 1..25)) {
        let objects = Arc::new(InMemory::new());
        let healthy = over(Arc::clone(&objects) as Arc<dyn ObjectStore>, "");
        let mut run = Run::begin(&healthy, 0);
        let mut committed = Model::new();
        for (turn, epoch) in turns.iter().zip(1..) {
            for (number, kind, value) in &turn.changes {
                let payload = if *kind == RecordKind::Key { vec![1, *value] } else { Vec::new() };
                apply(&mut run.state, key(*number), *kind, &payload);
                run.pending.push((key(*number), *kind, payload));
            }
            let failures = turn.fails.map(|step| format!("{step}:error")).unwrap_or_default();
            let store = over(Arc::clone(&objects) as Arc<dyn ObjectStore>, &failures);
            run.commits.store = store.clone();
            let done = run.checkpoint(&store, epoch);
            prop_assert!(done.is_ok() || turn.fails.is_some(), "{:?}", done);
            let durable = healthy_epoch(&healthy) == Some(epoch);
            prop_assert!(durable || done.is_err(), "what was said to be committed is there");
            if durable {
                committed = run.state.clone();
            }

            let restored = Search::begin(&healthy, "likes").unwrap().next().unwrap();
            if let Some(restored) = &restored {
                restored.verify(&healthy).unwrap();
                prop_assert_eq!(&read_all(&restored.segments).unwrap(), &committed);
            }
            prop_assert!(restored.is_some() || committed.is_empty());
            if turn.restart {
                run = Run::begin(&healthy, epoch);
                prop_assert_eq!(&run.state, &committed);
            }
        }

        // What failures left behind goes with the next checkpoints that go well.
        run.commits.store = healthy.clone();
        for epoch in 1000..1002 {
            run.checkpoint(&healthy, epoch).unwrap();
        }
        let named = run.commits.kept().iter().flat_map(|kept| kept.segments.iter().map(|entry| entry.name.to_string()));
        let named: BTreeSet<String> = named.collect();
        prop_assert_eq!(healthy.list("segments").unwrap(), named.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(healthy.list("manifests").unwrap().len(), 2);
    }
}

/// The epoch of the newest checkpoint.
fn healthy_epoch(store: &Store) -> Option<u64> {
    Search::begin(store, "likes").unwrap().next().unwrap().map(|restored| restored.manifest.epoch.0)
}
