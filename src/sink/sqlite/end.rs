//! The clean end of a run: everything in one file.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::error::is_in_use;

/// How long the end waits for readers that are just reading.
const READER_PATIENCE: Duration = Duration::from_secs(1);
/// How often it tries meanwhile.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// Takes everything from the `-wal` into the file and leaves WAL mode, by which the `-wal` and the `-shm` go.
///
/// Nothing is lost where readers keep that from happening, which is no error: one that has the file open keeps it
/// in WAL mode, with an empty `-wal`; one that reads an older state keeps what is newer in the `-wal`.
pub(super) fn make_whole(connection: &Connection, path: &Path) -> rusqlite::Result<()> {
    connection.busy_timeout(READER_PATIENCE)?;
    let is_busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy {
        let path = path.display();
        tracing::warn!(
            "{path} is being read just now, so a part of it stands in {path}-wal: whoever copies the file needs both"
        );
        return Ok(());
    }
    // SQLite itself does not wait here.
    let deadline = Instant::now() + READER_PATIENCE;
    loop {
        match connection.pragma_update(None, "journal_mode", "DELETE") {
            Err(error) if is_in_use(&error) && Instant::now() < deadline => std::thread::sleep(TRY_EVERY),
            Err(error) if !is_in_use(&error) => return Err(error),
            _ => return Ok(()),
        }
    }
}
