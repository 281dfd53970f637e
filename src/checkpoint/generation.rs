//! Numbers runs: a start takes a generation that is larger than all before it, and makes that durable before anything is
//! read.
//!
//! The number is the largest of the last one + 1, what the sink has recorded + 1, and the clock (in seconds since 1970, see
//! [`Generation::at`]). The object of that number must not exist: of two starts that take the same number at once, the
//! second fails. Where two take different ones at once, the smaller one finds the larger one, right then or
//! before its next checkpoint, and ends.

use std::time::SystemTime;

use bytes::Bytes;

use super::error::{CheckpointError, CheckpointErrorKind};
use super::names::{GENERATIONS, ObjectName, generation_object, generation_of};
use super::store::Store;
use crate::epoch::Generation;

/// So many generations that have ended are remembered.
const REMEMBERED: usize = 8;

/// A generation that is this run's.
#[derive(Debug)]
pub struct Claim {
    generation: Generation,
    clock_is_right: bool,
    /// Of the runs before it, the last ones.
    earlier: Vec<Generation>,
}

impl Claim {
    /// Takes the next generation of a state. `recorded` is the last one that the sink knows of.
    ///
    /// Fails with [`CheckpointErrorKind::InUse`] where another run starts at the same time, and with
    /// [`CheckpointErrorKind::Usage`] where a bucket's service cannot create without replacing.
    pub fn take(store: &Store, recorded: Option<Generation>, now: SystemTime) -> Result<Claim, CheckpointError> {
        let earlier = list(store)?;
        let (at, clock_is_right) = Generation::at(now);
        let last = earlier.iter().copied().chain(recorded).max();
        let generation = last.map_or(Some(at), |last| at.above(last)).ok_or_else(|| {
            let message = format!("{}: no generations are left: start over with another state", store.location());
            CheckpointError::new(CheckpointErrorKind::Failed, message)
        })?;
        let object = generation_object(generation);
        // What tells two starts apart that take the same number.
        let content = |run: u128| Bytes::from(format!("{run:032x}\n"));
        let ours = content(rand::random());
        store.create(&object, &ours).map_err(|error| match error.kind() {
            CheckpointErrorKind::Exists => {
                let message = format!("{}: another run with this state has just started", store.location());
                CheckpointError::caused_by(CheckpointErrorKind::InUse, message, error)
            }
            _ => error,
        })?;
        if store.is_remote() {
            check_creates(store, &object, &content(rand::random()))?;
        }
        let claim = Claim { generation, clock_is_right, earlier };
        claim.check_newest(store)?;
        // They are in nobody's way: whoever starts next tries again.
        for generation in claim.earlier.iter().rev().skip(REMEMBERED) {
            let _ = store.delete(&generation_object(*generation));
        }
        Ok(claim)
    }

    /// Whether a run of this generation has claimed what is seen from here: where several hosts have a folder each of one name, it has not.
    pub fn is_seen(store: &Store, generation: Generation) -> Result<bool, CheckpointError> {
        Ok(list(store)?.contains(&generation))
    }

    /// The number.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether a run of this generation had the state before, as far as that is remembered.
    pub fn knows(&self, generation: Generation) -> bool {
        self.earlier.contains(&generation)
    }

    /// Whether the clock could be right.
    pub fn clock_is_right(&self) -> bool {
        self.clock_is_right
    }

    /// Fails with [`CheckpointErrorKind::InUse`] where a run has started after this one.
    pub fn check_newest(&self, store: &Store) -> Result<(), CheckpointError> {
        check_newest(store, self.generation)
    }
}

/// Fails with [`CheckpointErrorKind::InUse`] where a run has started after the one of this generation.
pub(super) fn check_newest(store: &Store, generation: Generation) -> Result<(), CheckpointError> {
    match list(store)?.last() {
        Some(&newest) if newest > generation => {
            let message = format!(
                "{}: another run ({}) has started after this one ({}) and has this state now: this run must end",
                store.location(),
                newest.0,
                generation.0
            );
            Err(CheckpointError::new(CheckpointErrorKind::InUse, message))
        }
        _ => Ok(()),
    }
}

/// All generations, rising.
fn list(store: &Store) -> Result<Vec<Generation>, CheckpointError> {
    let mut generations: Vec<Generation> =
        store.list(GENERATIONS)?.iter().filter_map(|name| generation_of(name)).collect();
    generations.sort_unstable();
    Ok(generations)
}

/// There are services that take the S3 protocol's `If-None-Match` and replace all the same: nothing would be safe there.
fn check_creates(store: &Store, object: &ObjectName, other: &Bytes) -> Result<(), CheckpointError> {
    match store.create(object, other) {
        Err(error) if error.kind() == CheckpointErrorKind::Exists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            let message = format!(
                "cannot keep a state in {}: its service ignores If-None-Match and replaces objects that must not be \
                 replaced; use a newer version of it, or another one",
                store.location()
            );
            Err(CheckpointError::new(CheckpointErrorKind::Usage, message))
        }
    }
}
