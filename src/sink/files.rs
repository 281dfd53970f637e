//! What every sink into a file needs: written bytes that stay written.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use super::SinkError;

/// Opens a file of items to read it.
pub(super) fn open_to_read(path: &Path) -> Result<File, SinkError> {
    File::open(path).map_err(|error| {
        let hint =
            if error.kind() == io::ErrorKind::NotFound { " (it is made by a run that publishes to it)" } else { "" };
        SinkError::io(format!("cannot read items from {}{hint}", path.display()), error)
    })
}

/// Locks a sink's file for as long as `file` is open: two runs never fill one file.
pub(super) fn lock(file: &File, path: &Path) -> Result<(), SinkError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(SinkError::new(format!(
            "{}: another run is writing to it now: wait for its end or stop it, or name another file with --sink",
            path.display()
        ))),
        // A file system without locks: then nobody holds one.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// Makes what was written to `file` survive a crash of the machine. A pipe or a terminal has
/// nothing to survive.
pub(super) fn make_durable(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.sync_data() } else { Ok(()) }
}

/// Makes a file that was just created in this place survive a crash of the machine.
pub(super) fn make_entry_durable(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Where folders cannot be opened (not on Unix), there is no way to do it and none is needed.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
