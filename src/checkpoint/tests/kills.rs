//! A process that kills itself at each step of a checkpoint, for real: the next one finds what was committed.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use super::failpoint::{Step, VARIABLE};
use super::*;

/// Names the state's folder to the process that is killed.
const STATE: &str = "COUNTER_MACHINE_TEST_STATE";
const CHECKPOINTS: u64 = 8;

/// What a state holds at the end of an epoch: in each, five of twenty keys change.
fn model(epoch: u64) -> Model {
    let mut model = Model::new();
    (1..=epoch).flat_map(changes).for_each(|(key, kind, payload)| apply(&mut model, key, kind, &payload));
    model
}

fn changes(epoch: u64) -> Vec<(KeyId, RecordKind, Vec<u8>)> {
    let change = |number: u64| match (epoch + number) % 4 {
        0 => (key(number), RecordKind::Tombstone, vec![]),
        1 => (key(number), RecordKind::Published, vec![]),
        _ => (key(number), RecordKind::Key, vec![1, epoch as u8]),
    };
    (0..5).map(|index| change((epoch * 3 + index) % 20)).collect()
}

/// Goes on from where the state is, and says on stdout which epochs it has committed.
fn run(store: &Store) -> Result<(), CheckpointError> {
    let _lock = store.lock()?;
    let (mut commits, restored) = begin(store, 0)?;
    let names = SegmentIds::new(commits.generation());
    let restored = restored.map(|restored| restored.manifest);
    let first = restored.as_ref().map_or(0, |restored| restored.epoch.0) + 1;
    let mut entries = restored.map(|restored| restored.segments).unwrap_or_default();
    for epoch in first..=CHECKPOINTS {
        entries.extend(segments(store, &names, 1 << 20, &changes(epoch))?);
        compact_some(store, &names, &mut entries)?;
        commits.commit(manifest(epoch, entries.clone()))?;
        writeln!(std::io::stderr(), "committed {epoch}").unwrap();
        commits.delete_unused(&BTreeSet::new())?;
    }
    Ok(())
}

#[test]
#[ignore = "is the process that another test kills"]
fn process_that_is_killed() {
    let Some(state) = std::env::var_os(STATE) else { return };
    run(&folder(Path::new(&state))).unwrap();
}

/// Lets a process work on a state that is killed at this step. Returns the last epoch that it said it had committed.
fn killed_at(state: &Path, step: Step, time: u64) -> u64 {
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this)
        .args(["--exact", "--ignored", "--nocapture", "checkpoint::tests::kills::process_that_is_killed"])
        .env(STATE, state)
        .env(VARIABLE, format!("{step}:kill:{time}"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.signal() == Some(9), "{step}: {} {text}", output.status);
    let committed = text.lines().filter_map(|line| line.strip_prefix("committed ")?.parse().ok());
    committed.max().unwrap_or_default()
}

#[test]
fn a_process_may_be_killed_at_every_step_of_a_checkpoint() {
    for step in Step::ALL {
        let state = tempfile::tempdir().unwrap();
        let mut before = 0;
        for time in [1, 3] {
            let said = killed_at(state.path(), step, time).max(before);
            let store = folder(state.path());
            let restored = Search::begin(&store, "likes").unwrap().next().unwrap();
            let epoch = restored.as_ref().map_or(0, |restored| restored.manifest.epoch.0);
            assert!(epoch == said || epoch == said + 1, "{step}: {said} was committed, {epoch} is there");
            before = epoch;
            if let Some(restored) = restored {
                restored.verify(&store).unwrap();
                assert_eq!(read_all(&restored.segments).unwrap(), model(epoch), "{step}, time {time}, epoch {epoch}");
            }
        }
        let store = folder(state.path());
        run(&store).unwrap();
        let restored = Search::begin(&store, "likes").unwrap().next().unwrap().unwrap();
        assert_eq!(read_all(&restored.segments).unwrap(), model(CHECKPOINTS), "{step}");
        let left: Vec<String> =
            ["segments", "manifests"].iter().flat_map(|folder| store.list(folder).unwrap()).collect();
        let is_whole = |name: &String| SegmentId::of(name).is_some() || ManifestNumber::of(name).is_some();
        assert!(left.iter().all(is_whole), "{step}: {left:?}");
    }
}
