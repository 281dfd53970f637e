//! Logs beside their own compressed copies.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::form::Form;
use super::open::{BEGINNING_BYTES, FromBeginning, Log, unreadable};
use crate::file_id::folder_of;
use crate::source::SourceError;

/// Refuses a log beside its own compressed copy: both begin alike.
pub(super) fn refuse_twins(logs: &[Log]) -> Result<(), SourceError> {
    let mut by_stem: HashMap<PathBuf, Vec<&Log>> = HashMap::new();
    for log in logs.iter().filter(|log| log.found().is_some()) {
        let alike = by_stem.entry(stem(&log.name)).or_default();
        for other in &*alike {
            let (one, two) = (content_head(other)?, content_head(log)?);
            let compared = one.len().min(two.len());
            if compared > 0 && one[..compared] == two[..compared] {
                return Err(SourceError::new(format!(
                    "{} and {} begin alike: they seem to be one log, which would be counted twice; leave one of them out",
                    other.name.display(),
                    log.name.display()
                )));
            }
        }
        alike.push(log);
    }
    Ok(())
}

/// What a log is called beside its compressed copies, however its folder was named.
fn stem(log: &Path) -> PathBuf {
    let name = if Form::named(log).is_some() { log.file_stem() } else { log.file_name() };
    let folder = folder_of(log);
    fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()).join(name.unwrap_or_default())
}

/// The first bytes of a log's content, as far as they can be decompressed.
fn content_head(log: &Log) -> Result<Vec<u8>, SourceError> {
    let Some(found) = log.found() else { return Ok(Vec::new()) };
    let stored = FromBeginning { file: log.open_file(found)?, offset: 0 };
    let decoded = found.form.decoded(Box::new(stored.take(found.length)));
    let mut content = decoded.map_err(|error| unreadable(&log.name, error))?;
    let (mut head, mut buffer) = (Vec::new(), [0; BEGINNING_BYTES]);
    while head.len() < BEGINNING_BYTES {
        match content.read(&mut buffer[head.len()..]) {
            Ok(0) => break,
            Ok(read) => head.extend_from_slice(&buffer[head.len()..][..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Whoever reads it will say so; what came before it is compared.
            Err(_) => break,
        }
    }
    Ok(head)
}
