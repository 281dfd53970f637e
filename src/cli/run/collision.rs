//! A run never writes to what it reads, nor to one file as two things: looked at before anything is made or emptied.
//!
//! Files are known by device and inode, so that links and other spellings of a path hide nothing; a file that is not
//! there yet is known by its folder and name. Terminals and devices may be anything at once.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use crate::cli::CliError;
use crate::file_id::{FileId, folder_of};
use crate::sink::SinkTarget;
use crate::telemetry::Printable;

/// More links than this, one behind the other, lead nowhere.
const MOST_LINKS: usize = 40;

/// Refuses a run that would write to one of its inputs, or two of its outputs to one file.
pub fn refuse(
    pipeline: &Path,
    logs: &[&Path],
    sink: &SinkTarget,
    dead_letters: &Path,
    positions: Option<&Path>,
) -> Result<(), CliError> {
    let mut reads = vec![Used::at("the pipeline file", pipeline)];
    reads.extend(logs.iter().map(|log| match log.to_str() {
        Some("-") => Used::stream("the event log", "stdin", io::stdin().as_fd()),
        _ => Used::at("an event log", log),
    }));
    let mut items: Vec<Used> = sink.files().iter().map(|file| Used::at("--sink", file)).collect();
    if *sink == SinkTarget::Stdout {
        items.push(Used::stream("--sink", "stdout", io::stdout().as_fd()));
    }
    let dead_letters = vec![Used::at("--dead-letters", dead_letters)];
    let positions = positions.into_iter().map(|positions| Used::at("--positions", positions)).collect();
    let outputs = [("items", items), ("dead letters", dead_letters), ("positions", positions)];
    for read in &reads {
        if let Some(write) = outputs.iter().flat_map(|(_, files)| files).find(|write| write.is(read)) {
            return Err(CliError::usage(format!(
                "{} is {} of this run ({}), which must not be written to: name another file with {}",
                write.name, read.role, read.name, write.role
            )));
        }
    }
    for (index, (what, files)) in outputs.iter().enumerate() {
        for (other_what, other_files) in &outputs[index + 1..] {
            if let Some((one, other)) = same_of(files, other_files) {
                return Err(CliError::usage(format!(
                    "{} would take both {what} and {other_what} ({}): name another file with {} or {}",
                    one.name, other.name, one.role, other.role
                )));
            }
        }
    }
    Ok(())
}

/// Two of these that are one file.
fn same_of<'a>(files: &'a [Used], others: &'a [Used]) -> Option<(&'a Used, &'a Used)> {
    files.iter().find_map(|file| others.iter().find(|other| file.is(other)).map(|other| (file, other)))
}

/// A file that a run uses.
struct Used {
    /// What it is to the run; of one that is written to, the flag that names it.
    role: &'static str,
    name: String,
    /// `None` for what may be anything at once, and for what cannot be looked at: opening it will tell.
    identity: Option<Identity>,
}

/// Which file.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    There(FileId),
    ToBeMade { folder: FileId, name: OsString },
}

impl Used {
    fn at(role: &'static str, path: &Path) -> Used {
        Used { role, name: Printable(path.display()).to_string(), identity: Identity::at(path) }
    }

    fn stream(role: &'static str, name: &str, stream: impl AsFd) -> Used {
        let metadata = stream.as_fd().try_clone_to_owned().and_then(|stream| File::from(stream).metadata());
        Used { role, name: name.to_owned(), identity: metadata.ok().and_then(|metadata| Identity::of(&metadata)) }
    }

    fn is(&self, other: &Used) -> bool {
        self.identity.is_some() && self.identity == other.identity
    }
}

impl Identity {
    fn at(path: &Path) -> Option<Identity> {
        match fs::metadata(path) {
            Ok(metadata) => Identity::of(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Identity::to_be_made(path),
            Err(_) => None,
        }
    }

    fn of(metadata: &Metadata) -> Option<Identity> {
        let kind = metadata.file_type();
        (kind.is_file() || kind.is_fifo()).then(|| Identity::There(FileId::of(metadata)))
    }

    /// Where a file would be made: a link to what is not there leads to where that would be.
    fn to_be_made(path: &Path) -> Option<Identity> {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let Ok(target) = fs::read_link(&path) else {
                let folder = FileId::at(folder_of(&path)).ok()?;
                return Some(Identity::ToBeMade { folder, name: path.file_name()?.to_owned() });
            };
            path = folder_of(&path).join(target);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn identity(folder: &Path, name: &str) -> Option<Identity> {
        Identity::at(&folder.join(name))
    }

    #[test]
    fn a_file_is_one_through_links_and_spellings_whether_it_is_there_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::write(folder.join("there"), "").unwrap();
        fs::create_dir(folder.join("sub")).unwrap();
        fs::hard_link(folder.join("there"), folder.join("hard")).unwrap();
        for (target, link) in [("there", "soft"), ("missing", "sub/to_missing"), ("..", "sub/up")] {
            let target = if link == "sub/to_missing" { Path::new("..").join(target) } else { target.into() };
            symlink(target, folder.join(link)).unwrap();
        }
        for (one, other) in [
            ("there", "hard"),
            ("there", "soft"),
            ("there", "sub/../there"),
            ("missing", "sub/to_missing"),
            ("missing", "sub/up/missing"),
        ] {
            assert!(identity(folder, one).is_some());
            assert_eq!(identity(folder, one), identity(folder, other), "{one} {other}");
        }
        assert_ne!(identity(folder, "missing"), identity(folder, "other"));
        assert_ne!(identity(folder, "missing"), identity(folder, "sub/missing"));
        symlink("loop", folder.join("loop")).unwrap();
        assert_eq!(identity(folder, "loop"), None);
    }

    #[test]
    fn a_device_is_no_file_that_could_be_spoilt() {
        assert_eq!(Identity::at(Path::new("/dev/null")), None);
    }
}
