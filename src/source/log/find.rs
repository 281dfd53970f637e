//! From the paths that a person names to logs that can be read, each of them once.
//!
//! What was found is what is read: a file is known by its identity, not by its name, and stays open
//! from here on (beyond [`MAX_OPEN_FILES`] its identity and beginning are compared when it is opened). A
//! file that is found twice (named twice, or by a link) is read once. A log beside its own `.gz` or
//! `.zst` is refused: which of them is whole, only a person knows.

use std::collections::HashMap;
use std::fs::{self, DirEntry, File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::foreign::Foreign;
use super::form::{Form, MAGIC_BYTES};
use super::members::Unsupported;
use super::open::{FoundFile, Log, LogKind, head, head_of, unreadable};
use super::twins::refuse_twins;
use crate::file_id::FileId;
use crate::source::SourceError;

/// How many files stay open from when they are found: far fewer than the 1,024 that a process may have open by
/// default on Linux, or the 256 elsewhere.
const MAX_OPEN_FILES: usize = 128;

/// How often a directory is listed anew because its files were moved meanwhile.
const MAX_LISTINGS: usize = 5;

/// How many names a notice holds.
const MAX_NAMES: usize = 5;

/// Finds the logs that these paths name, and looks whether each can be read, before any is.
///
/// `-` is standard input; a directory stands for its files, by name, without hidden ones, without
/// those of directories inside it, and without what a run has written (sinks and dead letters).
pub(super) fn find_logs(paths: &[PathBuf]) -> Result<Vec<Log>, SourceError> {
    let mut search = Search::default();
    for path in paths {
        if path.as_os_str() == "-" {
            search.add_standard_input(path)?;
            continue;
        }
        let metadata = fs::metadata(path).map_err(|error| unreadable(path, error))?;
        if metadata.is_dir() {
            search.add_directory(path)?;
        } else if metadata.is_file() {
            search.add_file(path, None)?;
        } else if search.is_new(FileId::of(&metadata), path, Streams::Refused)? {
            search.logs.push(Log { name: path.as_path().into(), kind: LogKind::Pipe });
        }
    }
    refuse_twins(&search.logs)?;
    Ok(search.logs)
}

#[derive(Default)]
struct Search {
    logs: Vec<Log>,
    /// Where each file was found first.
    seen: HashMap<FileId, PathBuf>,
}

/// What becomes of a thing that is named a second time.
#[derive(PartialEq)]
enum Streams {
    /// It is refused: a pipe can be read only once, and by one.
    Refused,
    /// It is a file, and its first place counts.
    ReadOnce,
}

/// What is not read of a directory, and what is read though it may be no log.
#[derive(Default)]
struct Notices {
    /// How many logs it holds.
    logs: usize,
    not_read: Vec<String>,
    odd: Vec<String>,
}

impl Search {
    fn add_standard_input(&mut self, path: &Path) -> Result<(), SourceError> {
        let handle = io::stdin().as_fd().try_clone_to_owned();
        let metadata = handle.and_then(|handle| File::from(handle).metadata());
        let metadata = metadata.map_err(|error| unreadable(path, error))?;
        if self.is_new(FileId::of(&metadata), path, Streams::Refused)? {
            self.logs.push(Log { name: path.into(), kind: LogKind::StandardInput });
        }
        Ok(())
    }

    /// Whether nothing has named this file before.
    fn is_new(&mut self, id: FileId, path: &Path, streams: Streams) -> Result<bool, SourceError> {
        let Some(first) = self.seen.get(&id) else {
            self.seen.insert(id, path.to_owned());
            return Ok(true);
        };
        let (name, first) = (path.display(), first.display());
        if streams == Streams::Refused {
            let what = if path.as_os_str() == first.to_string().as_str() {
                String::new()
            } else {
                format!(" (as {first} too)")
            };
            return Err(SourceError::new(format!("{name} is named twice{what}, but a pipe can be read only once")));
        }
        tracing::warn!("{name} is the same file as {first}: it is read once, in the first place");
        Ok(false)
    }

    /// Adds a file. One of a directory is left out if a run has written it.
    fn add_file(&mut self, path: &Path, notices: Option<&mut Notices>) -> Result<(), SourceError> {
        let file = File::open(path).map_err(|error| unreadable(path, error))?;
        let metadata = file.metadata().map_err(|error| unreadable(path, error))?;
        let head = head(&file, metadata.len()).map_err(|error| unreadable(path, error))?;
        if let Some(notices) = notices {
            notices.logs += 1;
            match Foreign::of(path, &head) {
                Some(what) if what.is_left_out() => {
                    notices.logs -= 1;
                    notices.not_read.push(format!("{} ({what})", path.display()));
                    return Ok(());
                }
                Some(what) => notices.odd.push(format!("{} ({what})", path.display())),
                None => {}
            }
        }
        // (A file without content can be read as often as one likes.)
        if metadata.len() > 0 && !self.is_new(FileId::of(&metadata), path, Streams::ReadOnce)? {
            return Ok(());
        }
        let kind = LogKind::File(self.found(path, file, &metadata, &head)?);
        self.logs.push(Log { name: path.into(), kind });
        Ok(())
    }

    fn found(&self, path: &Path, file: File, metadata: &Metadata, head: &[u8]) -> Result<FoundFile, SourceError> {
        let form = form_of(path, head)?;
        refuse_unsupported(path, form, head)?;
        let open = self.logs.iter().take(MAX_OPEN_FILES + 1).filter(|log| log.found().is_some()).count();
        Ok(FoundFile {
            id: FileId::of(metadata),
            length: metadata.len(),
            form,
            head: head_of(head),
            handle: (open < MAX_OPEN_FILES).then(|| Arc::new(file)),
        })
    }

    fn add_directory(&mut self, directory: &Path) -> Result<(), SourceError> {
        let failed = |error| unreadable(directory, error);
        for _ in 0..MAX_LISTINGS {
            let listing = Listing::of(directory).map_err(failed)?;
            let mut trial = Search { logs: Vec::new(), seen: self.seen.clone() };
            trial.logs.clone_from(&self.logs);
            let notices = trial.add_listed(directory, &listing);
            if !Listing::of(directory).map_err(failed)?.has_all_of(&listing) {
                continue;
            }
            let notices = notices?;
            notices.tell(directory);
            if notices.logs == 0 {
                let directory = directory.display();
                return Err(SourceError::new(format!(
                    "no event logs in {directory}: it holds no files that are logs (hidden ones and directories inside \
                     it are not read)"
                )));
            }
            *self = trial;
            return Ok(());
        }
        Err(unreadable(directory, "files in it are being renamed all the time: read logs that are not being rotated"))
    }

    fn add_listed(&mut self, directory: &Path, listing: &Listing) -> Result<Notices, SourceError> {
        let mut notices = Notices::default();
        for (name, _) in &listing.0 {
            let path = directory.join(name);
            let metadata = fs::metadata(&path).map_err(|error| unreadable(&path, error))?;
            if metadata.is_file() {
                self.add_file(&path, Some(&mut notices))?;
            } else {
                let what = if metadata.is_dir() { "a directory" } else { "no file" };
                notices.not_read.push(format!("{} ({what})", path.display()));
            }
        }
        Ok(notices)
    }
}

/// The names in a directory, without hidden ones, in the order of their bytes; and their files' inodes.
struct Listing(Vec<(std::ffi::OsString, u64)>);

impl Listing {
    fn of(directory: &Path) -> io::Result<Listing> {
        let entries = fs::read_dir(directory)?.collect::<io::Result<Vec<DirEntry>>>()?;
        let mut entries: Vec<_> = entries.iter().map(|entry| (entry.file_name(), entry.ino())).collect();
        entries.retain(|(name, _)| !name.as_encoded_bytes().starts_with(b"."));
        entries.sort_unstable_by(|(a, _), (b, _)| a.as_encoded_bytes().cmp(b.as_encoded_bytes()));
        Ok(Listing(entries))
    }

    /// Whether nothing that an earlier listing holds was renamed or removed since.
    fn has_all_of(&self, earlier: &Listing) -> bool {
        let is_there = |(name, inode): &(std::ffi::OsString, u64)| {
            let found = self.0.binary_search_by(|(other, _)| other.as_encoded_bytes().cmp(name.as_encoded_bytes()));
            found.is_ok_and(|found| self.0[found].1 == *inode)
        };
        earlier.0.iter().all(is_there)
    }
}

impl Notices {
    fn tell(&self, directory: &Path) {
        let directory = directory.display();
        if !self.not_read.is_empty() {
            tracing::warn!("not read in {directory}: {}", some_of(&self.not_read));
        }
        if !self.odd.is_empty() {
            tracing::warn!("read in {directory}, though it may be no event log: {}", some_of(&self.odd));
        }
    }
}

/// The first of these names, and how many there are besides.
pub(super) fn some_of(names: &[String]) -> String {
    let shown = names[..names.len().min(MAX_NAMES)].join(", ");
    let more = names.len().saturating_sub(MAX_NAMES);
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn form_of(path: &Path, head: &[u8]) -> Result<Form, SourceError> {
    let named = Form::named(path);
    Ok(match Form::of(&head[..head.len().min(MAGIC_BYTES)]) {
        _ if head.is_empty() => Form::Plain,
        Some(Form::Plain) if named.is_some() => {
            let name = path.display();
            return Err(SourceError::new(format!(
                "{name} is named like a compressed log but does not begin like one; if it is plain, rename it"
            )));
        }
        Some(form) => form,
        None => named.unwrap_or(Form::Plain),
    })
}

/// Refuses a compressed log whose first bytes say that it cannot be decompressed here.
fn refuse_unsupported(path: &Path, form: Form, head: &[u8]) -> Result<(), SourceError> {
    if let Some(unsupported) = Unsupported::of(head) {
        return Err(unreadable(path, unsupported));
    }
    let first_byte =
        form.decoded(Box::new(io::Cursor::new(head.to_vec()))).and_then(|mut content| content.read(&mut [0]));
    match first_byte {
        Err(error) if Unsupported::is_in(&error) => Err(unreadable(path, error)),
        // Whatever else is wrong with it shows when it is read.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_knows_when_files_were_moved_and_does_not_mind_new_ones() {
        let listing =
            |names: &[(&str, u64)]| Listing(names.iter().map(|(name, file)| ((*name).into(), *file)).collect());
        let before = listing(&[("a.log", 1), ("a.log.1", 2)]);
        assert!(listing(&[("a.log", 1), ("a.log.1", 2), ("b.log", 3)]).has_all_of(&before));
        assert!(!listing(&[("a.log", 3), ("a.log.1", 1), ("a.log.2", 2)]).has_all_of(&before));
        assert!(!listing(&[("a.log", 1)]).has_all_of(&before));
    }
}
