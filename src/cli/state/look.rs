//! Looks at a state. A run that uses it meanwhile may delete what is looked at: that is no damage, and is looked at anew.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::report::{AddedReport, CheckpointReport, JournalReport, SegmentReport, StateReport};
use super::rows::count_rows;
use crate::checkpoint::{
    CheckpointError, CheckpointErrorKind, JournalEntry, Location, Manifest, ManifestNumber, Restorable, Store,
};
use crate::cli::time::show_time;
use crate::cli::{CliError, ErrorCode};
use crate::counter::EventTime;
use crate::event::TimeUnit;
use crate::pipeline::{GroupBeginnings, recorded_time_unit};
use crate::recovery::beginnings_of;

/// How often a look begins again because a run has written new checkpoints meanwhile.
const ATTEMPTS: usize = 3;

/// Opens a state to look at it. Fails where there is none.
pub(in crate::cli) fn open(location: &Location) -> Result<Store, CliError> {
    let none =
        |why: &str| Err(CliError::new(ErrorCode::StateMissing, format!("there is no state in {location}: {why}")));
    if let Location::Folder(folder) = location
        && !folder.exists()
    {
        return none("there is no such folder; `run --state` makes it");
    }
    let store = Store::open_existing(location)?;
    if store.contents()?.objects == 0 {
        return none("nothing in it was written by counter-machine; name the folder or prefix that `run --state` has");
    }
    Ok(store)
}

/// What the state holds at this time.
pub(super) fn look(store: &Store, verify: bool, now: Timestamp) -> Result<StateReport, CliError> {
    let mut attempt = 1;
    loop {
        match look_once(store, verify, now) {
            Err(error) if error.is_damage() && attempt < ATTEMPTS => attempt += 1,
            looked => return Ok(looked?),
        }
    }
}

fn look_once(store: &Store, verify: bool, now: Timestamp) -> Result<StateReport, CheckpointError> {
    let (mut checkpoints, mut rows, mut pipeline, mut newly) = (Vec::new(), None, None, None);
    for number in Manifest::numbers(store)?.into_iter().rev() {
        let looked = Restorable::open(store, number).and_then(|restorable| {
            if verify {
                restorable.verify(store)?;
            }
            let counted = if rows.is_none() { Some(count_rows(&restorable)?) } else { None };
            Ok((restorable, counted))
        });
        match looked {
            Ok((restorable, counted)) => {
                rows = rows.or(counted);
                if newly.is_none() {
                    newly = Some(added(&restorable.manifest)?);
                }
                pipeline.get_or_insert_with(|| restorable.manifest.pipeline.clone());
                checkpoints.push(checkpoint(&restorable.manifest, now));
            }
            Err(_) if is_gone(store, number)? => {}
            Err(error) if error.is_damage() => checkpoints.push(damaged(store, number, &error, now)),
            Err(error) => return Err(error),
        }
    }
    if checkpoints.is_empty() && !Manifest::numbers(store)?.is_empty() {
        let message = format!("{}: each checkpoint was replaced while it was looked at: look again", store.location());
        return Err(CheckpointError::new(CheckpointErrorKind::Missing, message));
    }
    let journal = JournalEntry::newest(store);
    let (journal, journal_problem) = match journal {
        Err(error) if error.is_damage() => (None, Some(error.to_string())),
        journal => (journal?, None),
    };
    let contents = store.contents()?;
    Ok(StateReport {
        state: store.location().to_string(),
        pipeline,
        in_use: store.holder().map(|holder| holder.process),
        is_remote: matches!(store.location(), Location::Bucket { .. }),
        objects: contents.objects,
        bytes: contents.bytes,
        checkpoints,
        rows,
        added: newly.unwrap_or_default(),
        journal: journal.map(JournalReport::of),
        journal_problem,
    })
}

/// Whether a run has deleted a checkpoint meanwhile.
fn is_gone(store: &Store, number: ManifestNumber) -> Result<bool, CheckpointError> {
    Ok(!Manifest::numbers(store)?.contains(&number))
}

fn checkpoint(manifest: &Manifest, now: Timestamp) -> CheckpointReport {
    let segments = manifest.segments.iter().map(|segment| SegmentReport {
        name: segment.name.to_string(),
        bytes: segment.bytes,
        records: segment.records,
    });
    let filters: u64 = manifest.evicted.iter().map(|filter| filter.bytes).sum();
    let created = manifest.created.parse::<Timestamp>().ok();
    CheckpointReport {
        number: manifest.number.0,
        problem: None,
        generation: Some(manifest.generation.0),
        created: Some(manifest.created.clone()),
        age_seconds: created.map(|created| now.duration_since(created).as_secs().max(0).cast_unsigned()),
        epoch: Some(manifest.epoch.0),
        bytes: manifest.segments.iter().map(|segment| segment.bytes).sum::<u64>() + filters,
        segments: segments.collect(),
        positions: Some(manifest.positions.clone()),
    }
}

/// What was added to the pipeline file when there was a state already.
fn added(manifest: &Manifest) -> Result<Vec<AddedReport>, CheckpointError> {
    let unit = recorded_time_unit(&manifest.groups).unwrap_or(TimeUnit::Seconds);
    let beginnings = beginnings_of(manifest)?;
    let of_group = |(group, began): (&str, &GroupBeginnings)| {
        let own = began.group.map(|since| ("group", group.to_owned(), since));
        let named = |what: &'static str, names: &BTreeMap<String, EventTime>| {
            names.iter().map(|(name, since)| (what, name.clone(), *since)).collect::<Vec<_>>()
        };
        let all = own.into_iter().chain(named("feature", &began.features)).chain(named("decay", &began.decays));
        let report = |(what, name, since): (&'static str, String, EventTime)| AddedReport {
            group: group.to_owned(),
            what,
            name,
            since: show_time(since.0, unit),
        };
        all.map(report).collect::<Vec<_>>()
    };
    Ok(beginnings.groups().flat_map(of_group).collect())
}

/// As much as can be known of a checkpoint that is not whole.
fn damaged(store: &Store, number: ManifestNumber, why: &CheckpointError, now: Timestamp) -> CheckpointReport {
    let known = Manifest::read(store, number).map(|manifest| checkpoint(&manifest, now));
    let known = known.unwrap_or_else(|_| CheckpointReport { number: number.0, ..CheckpointReport::default() });
    CheckpointReport { problem: Some(why.to_string()), ..known }
}
