//! Checks of what is on the disk, by other means than a run has, and what is done to it on purpose.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use object_store::path::Path;

use super::disk::{folder_and_name, value_of};
use super::ground::offsets;
use super::table::Item;
use super::world::{NAMES, World};
use crate::checkpoint::{Restorable, Search};
use crate::epoch::{Generation, Versions, Window};
use crate::peers::{Peers, WorkerIndex};
use crate::recovery::restore::{RestoreInto, restore};
use crate::sink::{Intake, ItemBatch, Order};
use crate::source::SourcePositions;
use crate::state::{DecayCounters, Moment, Publishing, RhythmId, Selection};
use crate::telemetry::Metrics;

/// What the disk in memory does takes no time.
pub(super) fn wait<T>(done: impl Future<Output = T>) -> T {
    done.now_or_never().expect("memory is ready")
}

/// The items of a batch: which, their version, and their value.
pub(super) fn items_of(batch: &ItemBatch, world: &World) -> Vec<(Item, crate::epoch::Version, u64)> {
    let name_of = |name: &str| NAMES.iter().position(|known| *known == name).expect("a known name") as u8;
    let items = batch.items(&world.pipeline).map(|item| {
        let key = item.key_text().parse().expect("a number");
        ((key, name_of(item.feature_name)), item.version, item.values[0] as u64)
    });
    items.collect()
}

/// Up to where a checkpoint has read, and what it holds.
pub(super) type Restored = (Vec<i64>, BTreeMap<Item, u64>);

/// What the newest checkpoint that is whole restores to, and its positions.
pub(super) fn restored(world: &World) -> Result<Option<Restored>, String> {
    let mut search = Search::begin(&world.store, "test").map_err(|error| format!("I4: {error}"))?;
    let found = search.next().map_err(|error| format!("I4: {error}"))?;
    found.map(|checkpoint| counters_of(&checkpoint, world)).transpose()
}

fn counters_of(checkpoint: &Restorable, world: &World) -> Result<(Vec<i64>, BTreeMap<Item, u64>), String> {
    let positions: SourcePositions =
        serde_json::from_value(checkpoint.manifest.positions.clone()).map_err(|error| format!("I4: {error}"))?;
    let versions = Versions::new(Generation(1), Window(1));
    let metrics = std::sync::Arc::new(Metrics::default());
    let mut counters =
        DecayCounters::new(world.pipeline.clone(), versions, Peers::alone(1), Publishing::Pull, metrics).small();
    let into = RestoreInto { counters: &mut counters, worker: WorkerIndex(0), workers: 1, began_at: 0, mark_all: true };
    restore(&world.store, checkpoint, vec![into]).map_err(|error| format!("I4: {error}"))?;
    let mut found = BTreeMap::new();
    counters.begin_round(RhythmId(0), Selection::Everything, Moment(0));
    let intake = Intake { order: Order::Waiting, items_at_once: usize::MAX, room_bytes: u64::MAX };
    while let Some(handover) = counters.take(&intake) {
        found.extend(items_of(&handover.items, world).into_iter().map(|(item, _, value)| (item, value)));
    }
    Ok((offsets(&positions, world.events.len()), found))
}

/// The newest checkpoint holds just what stands before its positions.
pub(super) fn newest_checkpoint(world: &World) -> Result<(), String> {
    let Some((offsets, found)) = restored(world)? else { return Ok(()) };
    let expected = world.count(&offsets);
    if found == expected {
        return Ok(());
    }
    Err(format!("I4: the checkpoint at {offsets:?} has {found:?}, and should have {expected:?}"))
}

/// Damages the newest checkpoint, where there is one before it, or the newest entry of the journal.
pub(super) fn damage(world: &mut World) {
    let how = world.dice.below(3);
    if world.dice.one_in(3) {
        let newest = world.disk.seen().journal.keys().next_back().cloned();
        if let Some(newest) = newest {
            // An entry that is gone is not missed: that is no damage which a file system does.
            world.stakes.note("a damaged entry of the journal");
            wait(world.disk.damage(&Path::from(format!("journal/{newest}")), how.min(1)));
        }
        return;
    }
    let (newest, own) = {
        let seen = world.disk.seen();
        let mut newest_first = seen.manifests.iter().rev();
        let (Some((name, text)), Some((_, before))) = (newest_first.next(), newest_first.next()) else { return };
        let manifest = value_of(text.as_bytes());
        let segments = manifest["segments"].as_array().cloned().unwrap_or_default();
        let names = segments.iter().filter_map(|segment| segment["name"].as_str().map(str::to_owned));
        (name.clone(), names.filter(|name| !before.contains(name)).collect::<Vec<_>>())
    };
    let is_manifest = own.is_empty() || world.dice.one_in(2);
    let path = match is_manifest {
        true => Path::from(format!("manifests/{newest}")),
        false => Path::from(format!("segments/{}", own[world.dice.below(own.len())])),
    };
    wait(world.disk.damage(&path, how));
    world.disk.seen().manifests.remove(&newest);
    world.stakes.note(if is_manifest { "a damaged manifest" } else { "a damaged segment" });
}

/// Deletes all of the journal.
pub(super) fn prune_journal(world: &World) {
    let entries: Vec<String> = world.disk.seen().journal.keys().cloned().collect();
    for entry in entries {
        wait(world.disk.delete(&Path::from(format!("journal/{entry}")))).expect("memory");
    }
}

/// Deletes something that the newest checkpoint needs, as if nothing did.
pub(super) fn delete_too_much(world: &World) {
    let manifest = world.disk.seen().manifests.values().next().map(|text| value_of(text.as_bytes()));
    let name = manifest.and_then(|manifest| Some(manifest["segments"][0]["name"].as_str()?.to_owned()));
    if let Some(name) = name {
        wait(world.disk.delete(&Path::from(format!("segments/{name}")))).expect("memory");
    }
}

/// Takes back that a run has started.
pub(super) fn forget_claim(world: &World, generation: Generation) {
    let path = Path::from(format!("generations/{:010}", generation.0));
    debug_assert_eq!(folder_and_name(&path).0, "generations");
    wait(world.disk.delete(&path)).expect("memory");
}
