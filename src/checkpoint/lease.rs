//! Who has a state, and how it is getting on: an object beside it, written again and again while a run goes on.
//!
//! In a folder a lock sees to it that one run has the state, and this is only for whoever looks. In a bucket there is no lock: there a run that finds
//! such a lease waits until it has not been renewed for as long as its holder may go without, by the waiting run's own clock. A
//! holder that cannot renew it does not write any more by then.
//!
//! Each renewal is written in the place of the one before, and of no other: who was stopped, and wakes up when another run has the state, finds that
//! out by it, and takes nothing away from that run.

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
use super::store::{Location, Seen, Store};
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
    /// So many processes the run has.
    #[serde(default)]
    processes: u32,
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
    /// What is there; `None`: nothing, or nothing that can be read as one.
    pub fn read(store: &Store) -> Result<Option<LeaseRecord>, CheckpointError> {
        LeaseRecord::read_seen(store).map(|(lease, _)| lease)
    }

    fn read_seen(store: &Store) -> Result<(Option<LeaseRecord>, Seen), CheckpointError> {
        let (content, seen) = store.get_seen(&ObjectName::lease())?;
        Ok((content.and_then(|content| serde_json::from_slice(&content).ok()), seen))
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

    /// Whether it is of the same run, in the same process.
    fn is_of(&self, other: &LeaseRecord) -> bool {
        (self.generation, self.process, &self.host) == (other.generation, other.process, &other.host)
    }

    /// Who has it.
    fn holder(&self) -> String {
        format!("run {} on {} (process {})", self.generation.0, self.host, self.process)
    }
}

/// A lease that nobody has any more, if there is one: for a run that takes it.
#[derive(Debug)]
pub struct FreeLease {
    seen: Seen,
    found: Option<LeaseRecord>,
}

impl FreeLease {
    /// Waits until nobody has a lease of this state. A folder's lock says so at once.
    ///
    /// Fails with [`CheckpointErrorKind::InUse`] where one is renewed.
    pub(crate) fn wait_for(store: &Store) -> Result<FreeLease, CheckpointError> {
        let (first, seen) = LeaseRecord::read_seen(store)?;
        let free = FreeLease { seen, found: first };
        let is_free = |lease: &LeaseRecord| lease.is_over || lease.holder_is_gone();
        let Some(found) = free.found.clone().filter(|found| !is_free(found)) else { return Ok(free) };
        if matches!(store.location(), Location::Folder(_)) {
            return Ok(free);
        }
        let until = Instant::now() + found.valid_for();
        tracing::info!(
            "{}: {} has had this state, and has not said that it has ended: it is waited for, for {:.0} s",
            store.location(),
            found.holder(),
            found.valid_for().as_secs_f64()
        );
        while Instant::now() < until {
            thread::sleep(LOOK_EVERY);
            let (now, seen) = LeaseRecord::read_seen(store)?;
            match now {
                Some(now) if now.is_over => return Ok(FreeLease { seen, found: Some(now) }),
                Some(now) if now != found => {
                    let message = format!(
                        "{}: {} is using this state now: wait for its end or stop it, or name another state",
                        store.location(),
                        now.holder()
                    );
                    return Err(CheckpointError::new(CheckpointErrorKind::InUse, message));
                }
                _ => {}
            }
        }
        Ok(free)
    }

    /// For how long other processes of the run that had it may go on to write, though that one is gone: each as long as it has leave.
    pub fn others_write_for(&self) -> Duration {
        let several = self.found.as_ref().filter(|found| found.processes > 1);
        several.map_or(Duration::ZERO, LeaseRecord::valid_for)
    }

    /// This process's, for the run of this generation, in so many processes. It has it with the first renewal.
    pub fn take(self, generation: Generation, processes: u32, valid_for: Duration) -> HeldLease {
        let record = LeaseRecord {
            format: FORMAT,
            generation,
            host: host(),
            process: process::id(),
            processes,
            space: process_space(),
            renewed: String::new(),
            renewals: 0,
            valid_for_ms: valid_for.as_millis() as u64,
            is_over: false,
            status: Value::Null,
        };
        HeldLease { record, seen: self.seen }
    }
}

/// The lease that this run has.
#[derive(Debug)]
pub struct HeldLease {
    record: LeaseRecord,
    /// As it was written last.
    seen: Seen,
}

impl HeldLease {
    /// Renews it. Fails with [`CheckpointErrorKind::InUse`] where another run has taken it meanwhile.
    pub fn renew(&mut self, store: &Store, status: Value, now: SystemTime) -> Result<(), CheckpointError> {
        self.record.renewals += 1;
        self.record.status = status;
        self.record.renewed = jiff::Timestamp::try_from(now).map(|now| now.to_string()).unwrap_or_default();
        let text = serde_json::to_vec(&self.record).map_err(|error| {
            CheckpointError::caused_by(CheckpointErrorKind::Failed, "a lease cannot be described", error)
        })?;
        let content = Bytes::from(text);
        match store.replace(&ObjectName::lease(), content.clone(), &self.seen) {
            Err(error) if error.kind() == CheckpointErrorKind::Exists => {
                self.see_again(store, error)?;
                self.seen = store.replace(&ObjectName::lease(), content, &self.seen)?;
            }
            replaced => self.seen = replaced?,
        }
        Ok(())
    }

    /// Another one is in its place: that is one of its own, where a renewal that seemed to fail was carried out.
    fn see_again(&mut self, store: &Store, exists: CheckpointError) -> Result<(), CheckpointError> {
        let (there, seen) = LeaseRecord::read_seen(store)?;
        match there {
            Some(there) if !there.is_of(&self.record) => {
                let message = format!(
                    "{}: another run ({}) on {} (process {}) has this state now: this run must end",
                    store.location(),
                    there.generation.0,
                    there.host,
                    there.process
                );
                Err(CheckpointError::caused_by(CheckpointErrorKind::InUse, message, exists))
            }
            _ => {
                self.seen = seen;
                Ok(())
            }
        }
    }

    /// Gives it back.
    pub fn give_back(mut self, store: &Store, now: SystemTime) -> Result<(), CheckpointError> {
        self.record.is_over = true;
        let status = std::mem::take(&mut self.record.status);
        self.renew(store, status, now)
    }

    /// For how long it is valid without a renewal.
    pub fn valid_for(&self) -> Duration {
        self.record.valid_for()
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
