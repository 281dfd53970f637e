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
        if !beginning.is_ok_and(|beginning| beginnings.contains(&&beginning[..])) {
            return Err(SinkError::new(format!(
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

fn beginning(path: &Path) -> io::Result<[u8; 4]> {
    let mut bytes = [0; 4];
    File::open(path)?.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(ending);
    path.into()
}
