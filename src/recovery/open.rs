//! A state that a run makes its own: before anything is read, and before anything is written anywhere.

use std::time::{Instant, SystemTime};

use super::restore::{RestoreInto, restore};
use crate::checkpoint::{
    CheckpointError, CheckpointErrorKind, Claim, Commits, DeadLetterFile, FreeLease, Journal, KeptEntries, Location,
    Manifest, ManifestNumber, Restorable, Search, StateLock, Store,
};
use crate::epoch::{Epoch, Generation};
use crate::peers::Peers;
use crate::source::SourcePositions;
use crate::state::DecayCounters;
use crate::sums::HashSeed;

/// How a state is opened.
pub(crate) struct StateOptions<'a> {
    /// Where it is.
    pub location: &'a Location,
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// What is published into.
    pub sink: &'a str,
    /// The last generation that the sink knows of.
    pub recorded: Option<Generation>,
    /// By the wall clock.
    pub now: SystemTime,
    /// Says why a run cannot go on from a checkpoint, before anything is touched.
    pub accept: &'a dyn Fn(&Manifest) -> Result<(), CheckpointError>,
}

/// A state that is this run's, and the last checkpoint in it.
pub(crate) struct Opened {
    pub store: Store,
    /// Held as long as the run goes on.
    lock: StateLock,
    claim: Claim,
    /// Until it is taken.
    free_lease: Option<FreeLease>,
    search: Search,
    checkpoint: Option<Restorable>,
    journal: Journal,
    /// Up to where something may have been published by runs before, by each entry of the journal.
    pub published: Vec<SourcePositions>,
    /// Some entry cannot be read: nothing may be published before all is read that there is at the start.
    pub journal_is_damaged: bool,
    /// The last epoch of any run before, as far as that is known.
    last_epoch: Option<Epoch>,
}

/// What a run goes on with once its rows are back.
pub(crate) struct Kept {
    pub store: Store,
    pub lock: StateLock,
    pub commits: Commits,
    pub journal: Journal,
    /// The epoch of the last checkpoint; none in a new state.
    pub epoch: Option<Epoch>,
}

/// How a worker's state without rows is made.
pub(crate) type NewCounters<'a> = &'a dyn Fn() -> DecayCounters;

impl Opened {
    /// Takes the state for this run: locked, its generation claimed, the last checkpoint found.
    ///
    /// Fails where another run has it, where it is of another pipeline or sink, or of a newer version, and where none of the checkpoints that
    /// are there is whole.
    pub fn open(options: &StateOptions<'_>) -> Result<Opened, CheckpointError> {
        Opened::take(Store::open(options.location)?, options)
    }

    /// The same of a store that is open.
    pub(super) fn take(store: Store, options: &StateOptions<'_>) -> Result<Opened, CheckpointError> {
        let lock = store.lock()?;
        // What would be refused must not end the run that has it.
        let looked_at = Search::begin(&store, options.pipeline)?.next()?;
        if let Some(found) = &looked_at {
            refuse_other_sink(&found.manifest, options)?;
            (options.accept)(&found.manifest)?;
        }
        let free_lease = FreeLease::wait_for(&store)?;
        let recorded = options.recorded.max(looked_at.map(|found| found.manifest.generation));
        let claim = Claim::take(&store, recorded, options.now)?;
        let mut search = Search::begin(&store, options.pipeline)?;
        let checkpoint = search.next()?;
        for passed in search.passed_over() {
            tracing::warn!("checkpoint {} is not whole, the one before it is taken: {}", passed.number, passed.why);
        }
        let (journal, KeptEntries { entries, damaged }) = Journal::open(&store, claim.generation())?;
        for (number, why) in &damaged {
            tracing::warn!(
                "entry {number} of the journal cannot be read: nothing is published before everything is counted that there is \
                 now: {why}"
            );
        }
        let last_of = |checkpoint: &Restorable| checkpoint.manifest.epoch;
        let last_epoch = entries.iter().map(|entry| entry.epoch).chain(checkpoint.as_ref().map(last_of)).max();
        let positions = |value: &serde_json::Value| positions_of(value, options.location);
        let published = entries.iter().map(|entry| positions(&entry.positions)).collect::<Result<_, _>>()?;
        let journal_is_damaged = !damaged.is_empty();
        let free_lease = Some(free_lease);
        Ok(Opened {
            store,
            lock,
            claim,
            free_lease,
            search,
            checkpoint,
            journal,
            published,
            journal_is_damaged,
            last_epoch,
        })
    }

    /// The run's generation.
    pub fn generation(&self) -> Generation {
        self.claim.generation()
    }

    /// The lease that nobody has; `None`: it was taken out already.
    pub fn take_lease(&mut self) -> Option<FreeLease> {
        self.free_lease.take()
    }

    /// What the last checkpoint is; `None`: there is none yet.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.checkpoint.as_ref().map(|checkpoint| &checkpoint.manifest)
    }

    /// What keys were hashed with.
    pub fn seed(&self) -> Option<HashSeed> {
        self.manifest().map(|manifest| manifest.seed)
    }

    /// The first epoch that a run may have which goes on from here.
    pub fn next_epoch(&self) -> Epoch {
        Epoch(self.last_epoch.map_or(0, |last| last.0 + 1))
    }

    /// Up to where the last checkpoint has counted.
    pub fn counted(&self) -> Result<Option<SourcePositions>, CheckpointError> {
        self.manifest().map(|manifest| positions_of(&manifest.positions, self.store.location())).transpose()
    }

    /// The file of dead letters as it was then.
    pub fn dead_letters(&self) -> Option<&DeadLetterFile> {
        self.manifest()?.dead_letters.as_ref()
    }

    /// Whether a sink that was last filled by a run of this generation holds what this state has published, as far as one can know.
    pub fn is_of(&self, recorded: Generation) -> bool {
        self.manifest().is_none_or(|manifest| recorded >= manifest.generation && self.claim.knows(recorded))
    }

    /// Brings the rows back into the states of so many workers. Where the last checkpoint shows damage only now, the one before is taken.
    pub fn restore(
        &mut self,
        peers: Peers,
        new: NewCounters<'_>,
        began_at: i64,
        mark_all: bool,
    ) -> Result<Vec<DecayCounters>, CheckpointError> {
        loop {
            let Some(checkpoint) = &self.checkpoint else { return Ok(new_counters(peers, new)) };
            let number = checkpoint.manifest.number;
            match restore_share(&self.store, checkpoint, peers, new, began_at, mark_all) {
                Err(why) if why.is_damage() => self.pass_over(number, why)?,
                restored => return restored,
            }
        }
    }

    /// Whether a newer checkpoint was not whole.
    #[cfg(test)]
    pub(super) fn has_passed_over(&self) -> bool {
        !self.search.passed_over().is_empty()
    }

    /// What the run goes on with.
    pub fn into_kept(self) -> Kept {
        let epoch = self.manifest().map(|manifest| manifest.epoch);
        let manifest = self.checkpoint.map(|checkpoint| checkpoint.manifest);
        let commits = Commits::new(&self.store, self.claim, manifest, self.search.largest());
        Kept { store: self.store, lock: self.lock, commits, journal: self.journal, epoch }
    }

    fn pass_over(&mut self, number: ManifestNumber, why: CheckpointError) -> Result<(), CheckpointError> {
        tracing::warn!("checkpoint {number} is damaged, the one before it is taken: {why}");
        self.search.pass_over(number, why);
        self.checkpoint = self.search.next()?;
        Ok(())
    }
}

/// Brings the rows of this process back that the checkpoint with this number has; none: there is none yet. Only process 0 opens a state, and decides which
/// checkpoint it is. Returns the epoch at whose end they were like this, too.
pub(crate) fn restore_as_told(
    store: &Store,
    number: Option<ManifestNumber>,
    peers: Peers,
    new: NewCounters<'_>,
    began_at: i64,
    mark_all: bool,
) -> Result<(Vec<DecayCounters>, Option<Epoch>), CheckpointError> {
    let Some(number) = number else { return Ok((new_counters(peers, new), None)) };
    let checkpoint = Restorable::open(store, number)?;
    let counters = restore_share(store, &checkpoint, peers, new, began_at, mark_all)?;
    Ok((counters, Some(checkpoint.manifest.epoch)))
}

fn new_counters(peers: Peers, new: NewCounters<'_>) -> Vec<DecayCounters> {
    let counters = peers.worker_indices_here().map(|worker| {
        let mut counters = new();
        counters.keep_for_checkpoints(worker);
        counters
    });
    counters.collect()
}

fn restore_share(
    store: &Store,
    checkpoint: &Restorable,
    peers: Peers,
    new: NewCounters<'_>,
    began_at: i64,
    mark_all: bool,
) -> Result<Vec<DecayCounters>, CheckpointError> {
    let began = Instant::now();
    let mut counters = new_counters(peers, new);
    let into = counters.iter_mut().zip(peers.worker_indices_here()).map(|(counters, worker)| RestoreInto {
        counters,
        worker,
        workers: peers.workers(),
        began_at,
        mark_all,
    });
    restore(store, checkpoint, into.collect())?;
    let rows: usize = counters.iter().map(DecayCounters::rows).sum();
    tell(&checkpoint.manifest, rows, began);
    Ok(counters)
}

fn tell(manifest: &Manifest, rows: usize, began: Instant) {
    tracing::info!(
        "restored {rows} rows of checkpoint {} (made {}, epoch {}) in {:.2} s",
        manifest.number,
        manifest.created,
        manifest.epoch.0,
        began.elapsed().as_secs_f64()
    );
}

fn refuse_other_sink(manifest: &Manifest, options: &StateOptions<'_>) -> Result<(), CheckpointError> {
    if manifest.sink.is_empty() || manifest.sink == options.sink {
        return Ok(());
    }
    let message = format!(
        "the state in {} knows what was published into {}, and this run publishes into {}: name that sink, or another state \
         (--state), or count without one (--no-state)",
        options.location, manifest.sink, options.sink
    );
    Err(CheckpointError::new(CheckpointErrorKind::Usage, message))
}

fn positions_of(value: &serde_json::Value, location: &Location) -> Result<SourcePositions, CheckpointError> {
    serde_json::from_value(value.clone()).map_err(|error| {
        let message = format!("{location} says up to where was read in a way that is not understood: {error}");
        CheckpointError::caused_by(CheckpointErrorKind::Newer, message, error)
    })
}
