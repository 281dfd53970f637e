//! Who has a state, and how it is getting on: an object beside it, written again and again while a run goes on.
//!
//! In a folder a lock sees to it that one run has the state, and this is only for whoever looks. In a bucket there is no lock: there a run that finds
//! such a lease waits until it has not been renewed for as long as its holder may go without, by the waiting run's own clock. A
//! holder that cannot renew it does not write any more by then.

use std::fs;
use std::path::Path;
use std::process;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{CheckpointError, CheckpointErrorKind};
use super::names::ObjectName;
use super::store::{Location, Store};
use crate::epoch::Generation;

/// The format that is written, and read.
const FORMAT: u32 = 1;
/// How often one looks whether a lease is renewed.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The lease of a state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeaseRecord {
    format: u32,
    /// The run that has it.
    pub generation: Generation,
    /// The machine, as it calls itself, and the number of the process there.
    pub host: String,
    /// See `host`.
    pub process: u32,
    /// Where that number means the same process: since its start the machine's, and of its processes those that see each other.
    space: String,
    /// By the wall clock, as RFC 3339: for people.
    pub renewed: String,
    /// So often was it renewed.
    pub renewals: u64,
    /// Without a renewal, it ends after so many milliseconds.
    pub valid_for_ms: u64,
    /// The run has ended, and given it back.
    pub is_over: bool,
    /// How the run is getting on, for whoever looks.
    pub status: Value,
}

impl LeaseRecord {
    /// Of this process, for the run of this generation.
    pub fn new(generation: Generation, valid_for: Duration) -> LeaseRecord {
        LeaseRecord {
            format: FORMAT,
            generation,
            host: host(),
            process: process::id(),
            space: process_space(),
            renewed: String::new(),
            renewals: 0,
            valid_for_ms: valid_for.as_millis() as u64,
            is_over: false,
            status: Value::Null,
        }
    }

    /// What is there; `None`: nothing, or nothing that can be read as one.
    pub fn read(store: &Store) -> Result<Option<LeaseRecord>, CheckpointError> {
        match store.get(&ObjectName::lease()) {
            Ok(content) => Ok(serde_json::from_slice(&content).ok()),
            Err(error) if error.kind() == CheckpointErrorKind::Missing => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Renews it. Nothing is said where another run has taken it meanwhile: that shows in the state itself.
    pub fn renew(&mut self, store: &Store, status: Value, now: SystemTime) -> Result<(), CheckpointError> {
        self.renewals += 1;
        self.status = status;
        self.renewed = jiff::Timestamp::try_from(now).map(|now| now.to_string()).unwrap_or_default();
        let text = serde_json::to_vec(self).map_err(|error| {
            CheckpointError::caused_by(CheckpointErrorKind::Failed, "a lease cannot be described", error)
        })?;
        store.put(&ObjectName::lease(), Bytes::from(text))
    }

    /// Gives it back.
    pub fn give_back(mut self, store: &Store, now: SystemTime) -> Result<(), CheckpointError> {
        self.is_over = true;
        let status = std::mem::take(&mut self.status);
        self.renew(store, status, now)
    }

    /// For how long it is valid without a renewal.
    pub fn valid_for(&self) -> Duration {
        Duration::from_millis(self.valid_for_ms)
    }

    /// Whether its holder is known to be gone: it would be seen from here.
    fn holder_is_gone(&self) -> bool {
        !self.space.is_empty()
            && self.space == process_space()
            && !Path::new("/proc").join(self.process.to_string()).exists()
    }

    /// Waits until nobody has a lease of this state. A folder's lock says so at once.
    ///
    /// Fails with [`CheckpointErrorKind::InUse`] where one is renewed.
    pub(crate) fn wait_for_none(store: &Store) -> Result<(), CheckpointError> {
        if matches!(store.location(), Location::Folder(_)) {
            return Ok(());
        }
        let Some(found) = LeaseRecord::read(store)?.filter(|found| !found.is_over && !found.holder_is_gone()) else {
            return Ok(());
        };
        let until = Instant::now() + found.valid_for();
        tracing::info!(
            "{}: run {} on {} (process {}) has had this state, and has not said that it has ended: it is waited for, for {:.0} s",
            store.location(),
            found.generation.0,
            found.host,
            found.process,
            found.valid_for().as_secs_f64()
        );
        while Instant::now() < until {
            thread::sleep(LOOK_EVERY);
            match LeaseRecord::read(store)? {
                Some(now) if now.is_over => return Ok(()),
                Some(now) if now != found => {
                    let message = format!(
                        "{}: run {} on {} (process {}) is using this state now: wait for its end or stop it, or name another \
                         state",
                        store.location(),
                        now.generation.0,
                        now.host,
                        now.process
                    );
                    return Err(CheckpointError::new(CheckpointErrorKind::InUse, message));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn host() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// Empty, where the system does not say.
fn process_space() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let namespace = fs::read_link("/proc/self/ns/pid");
    match (boot, namespace) {
        (Ok(boot), Ok(namespace)) => format!("{} {}", boot.trim(), namespace.display()),
        _ => String::new(),
    }
}
