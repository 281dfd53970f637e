//! Logs beside their own compressed copies.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::form::Form;
use super::open::{Log, content_head};
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
