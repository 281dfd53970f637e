//! One run per state, where the file system can see to it.
//!
//! In a bucket there is no lock: there a run ends that finds its next manifest's number taken, or a newer generation.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::{Location, Store};
use crate::checkpoint::error::{CheckpointError, CheckpointErrorKind};
use crate::checkpoint::names::FOLDERS;
use crate::file_id::FileId;

/// The file that is locked.
pub(super) const LOCK_FILE: &str = "lock";

/// Whoever only looks who has a lock has it for a moment: so often it is tried again, and so long is waited in between.
const ATTEMPTS: u32 = 5;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(10);

/// Who uses a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// The number of its process, where that is known.
    pub process: Option<u32>,
}

/// Holds a state's folder for as long as it lives.
#[derive(Debug)]
pub struct StateLock(#[expect(dead_code, reason = "it is locked for as long as it is open")] Option<File>);

impl Store {
    /// Takes a state for this run, and removes what a run that was killed has left half written.
    ///
    /// Fails with [`CheckpointErrorKind::InUse`] while another run has it.
    pub fn lock(&self) -> Result<StateLock, CheckpointError> {
        let Location::Folder(state) = self.location() else { return Ok(StateLock(None)) };
        let path = state.join(LOCK_FILE);
        let failed = |error: io::Error| {
            let message = format!("cannot take the state in {} for this run", state.display());
            CheckpointError::caused_by(CheckpointErrorKind::Failed, message, error)
        };
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        if !try_lock(&file) {
            let holder = process(&mut file).map_or(String::new(), |process| format!(" (process {process})"));
            return Err(in_use(state, &format!("another run{holder} is using this state now")));
        }
        if !FileId::is_in_place(&file, &path) {
            return Err(in_use(state, "another run is setting this state aside now"));
        }
        // Who it is only makes the message better.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        remove_half_written(state).map_err(failed)?;
        for folder in FOLDERS {
            remove_half_written(&state.join(folder)).map_err(failed)?;
        }
        Ok(StateLock(Some(file)))
    }

    /// Who uses the state now, as far as that can be seen: in a bucket it cannot. Keeps nobody from anything.
    pub fn holder(&self) -> Option<LockHolder> {
        let Location::Folder(state) = self.location() else { return None };
        let mut file = File::open(state.join(LOCK_FILE)).ok()?;
        // Had for a moment only, and together with others who look.
        let is_held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        is_held.then(|| LockHolder { process: process(&mut file) })
    }
}

fn in_use(state: &Path, what: &str) -> CheckpointError {
    let message = format!("{}: {what}: wait for its end or stop it, or name another state", state.display());
    CheckpointError::new(CheckpointErrorKind::InUse, message)
}

/// Whether the lock is had. In a file system without locks nobody else has one.
fn try_lock(file: &File) -> bool {
    for _ in 1..ATTEMPTS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_ATTEMPTS),
            _ => return true,
        }
    }
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// The process that a lock's file names.
fn process(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// An object that is not whole has the name that it will get, and `#` with a number.
fn remove_half_written(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.split_once('#')).map(|(_, number)| number);
        if number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
