//! The files beside a database that SQLite takes for its own, by their names alone.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::outputs::SQLITE_COMPANIONS;
use crate::sink::SinkError;

/// Where SQLite has them: beside the database itself, not beside a link to it.
pub(in crate::sink) fn companions(database: &Path) -> impl Iterator<Item = PathBuf> {
    let database = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    SQLITE_COMPANIONS.into_iter().map(move |(ending, _)| beside(&database, ending))
}

/// Refuses a place where SQLite would empty or delete what is not its own, or what a killed run has left of a database
/// that is gone.
pub(super) fn refuse_strangers(database: &Path) -> Result<(), SinkError> {
    let is_missing = fs::metadata(database).is_ok_and(|metadata| metadata.len() == 0) || !database.exists();
    for ((_, beginnings), path) in SQLITE_COMPANIONS.into_iter().zip(companions(database)) {
        let beginning = match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => Err(io::ErrorKind::InvalidInput.into()),
            Ok(metadata) if metadata.len() > 0 => beginning(&path),
            _ => continue,
        };
        let (path, database) = (path.display(), database.display());
        if !beginning.is_ok_and(|found| is_of_sqlite(&found, beginnings)) {
            return Err(SinkError::foreign(format!(
                "{path} is something else than SQLite keeps there for {database}, and is left as it is: name another \
                 file with --sink"
            )));
        }
        if is_missing {
            return Err(SinkError::new(format!(
                "{path} was left by a run that was killed, but {database}, to which it belongs, is gone: put that back, \
                 or move {path} away"
            )));
        }
    }
    Ok(())
}

/// Its first bytes, as many as say what it is.
fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4);
    File::open(path)?.take(4).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first who opens a database cuts its `-shm` to three bytes, before it is written anew: there it stays where that one is killed
/// then, and so it is seen by others for a moment.
fn is_of_sqlite(found: &[u8], beginnings: &[&[u8]]) -> bool {
    found.len() >= 3 && beginnings.iter().any(|beginning| beginning.starts_with(found))
}

fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_when_a_database_is_opened_is_no_stranger() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("items.db");
        fs::write(&database, "a database").unwrap();
        let ours = 3_007_000_u32.to_ne_bytes();
        let refuses = |content: &[u8]| {
            fs::write(beside(&database, "-shm"), content).unwrap();
            refuse_strangers(&database).is_err()
        };
        for content in [&ours[..], &ours[..3], &[0; 3], &[0; 4], &[0; 32_768], &[]] {
            assert!(!refuses(content), "{content:?}");
        }
        for content in [&b"abc"[..], b"abcd", &ours[..2], &[0, 0, 0, 1]] {
            assert!(refuses(content), "{content:?}");
        }
    }
}
