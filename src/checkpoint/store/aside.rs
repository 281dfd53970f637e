//! Sets a state aside, so that a run may start over where it was.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::open::make_folder;
use super::{Location, Store};
use crate::checkpoint::error::{CheckpointError, CheckpointErrorKind};
use crate::checkpoint::names::{FOLDERS, GENERATIONS, MANIFESTS, ObjectName};
use crate::file_id::folder_of;

/// Moves the folder of a state, with all that is in it, to `DIR.aside-YYYYMMDDTHHMMSSZ` beside it, and makes an empty one in its place.
/// Returns where it is now; `None` where there was no state.
///
/// Fails with [`CheckpointErrorKind::InUse`] while a run uses the state, and with [`CheckpointErrorKind::Usage`] for a bucket, whose
/// objects cannot be moved at once, and for a folder that holds something else.
pub fn set_aside(location: &Location, now: SystemTime) -> Result<Option<PathBuf>, CheckpointError> {
    let Location::Folder(folder) = location else {
        let message = format!("cannot set the state in {location} aside, as it is in a bucket: name another prefix");
        return Err(CheckpointError::new(CheckpointErrorKind::Usage, message));
    };
    let failed =
        |doing: String, error: io::Error| CheckpointError::caused_by(CheckpointErrorKind::Failed, doing, error);
    // Of a link, what it leads to.
    let folder = match folder.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(|error| failed(format!("cannot set {} aside", folder.display()), error))?,
    };
    if !holds_a_state(&folder)? {
        return Ok(None);
    }
    let _lock = Store::open_existing(&Location::Folder(folder.clone()))?.lock()?;
    let aside = free_name(&folder, now);
    let doing = || format!("cannot set {} aside as {}", folder.display(), aside.display());
    fs::rename(&folder, &aside).map_err(|error| failed(doing(), error))?;
    let durable =
        File::open(folder_of(&folder)).and_then(|parent| parent.sync_all()).and_then(|()| make_folder(&folder));
    durable.map_err(|error| failed(doing(), error))?;
    Ok(Some(aside))
}

/// Whether a folder holds a state; one with nothing in it holds none. Fails for what holds other things only, which nobody wants
/// to see moved.
fn holds_a_state(folder: &Path) -> Result<bool, CheckpointError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| {
        let message = format!("cannot look into {}", folder.display());
        CheckpointError::caused_by(CheckpointErrorKind::Failed, message, error)
    })?;
    let is_there = |name: &str| entries.iter().any(|entry| entry.file_name() == name);
    if is_there(MANIFESTS) || is_there(GENERATIONS) {
        return Ok(true);
    }
    let is_known = |name: &OsString| {
        name == super::lock::LOCK_FILE
            || *name == *ObjectName::lease().as_str()
            || FOLDERS.iter().any(|folder| name == folder)
    };
    match entries.iter().find(|entry| !is_known(&entry.file_name())) {
        None => Ok(false),
        Some(other) => {
            let message = format!(
                "{} holds no state but other things ({} for one), and is not set aside: name a folder of its own for the state",
                folder.display(),
                other.file_name().display(),
            );
            Err(CheckpointError::new(CheckpointErrorKind::Usage, message))
        }
    }
}

/// A name that nothing has. (A rename may replace an empty folder; nobody else makes names like these.)
fn free_name(folder: &Path, now: SystemTime) -> PathBuf {
    let seconds = jiff::Timestamp::try_from(now).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string();
    let name = |count: u64| {
        let mut name = folder.as_os_str().to_owned();
        name.push(format!(".aside-{seconds}"));
        if count > 1 {
            name.push(format!("-{count}"));
        }
        PathBuf::from(name)
    };
    (1..).map(name).find(|name| fs::symlink_metadata(name).is_err()).unwrap_or_else(|| name(1))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::checkpoint::Claim;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds)
    }

    /// A state in this folder, which a run has begun.
    fn state(folder: &Path) -> (Location, Store) {
        let location = Location::Folder(folder.to_owned());
        let store = Store::open(&location).unwrap();
        drop(store.lock().unwrap());
        Claim::take(&store, None, at(0)).unwrap();
        (location, store)
    }

    #[test]
    fn a_state_goes_as_a_whole_and_replaces_nothing() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("state");
        let names = ["state.aside-20260921T141320Z", "state.aside-20260921T141320Z-2"];
        for name in names {
            let (location, _) = state(&folder);
            fs::write(folder.join("dead_letters.jsonl"), name).unwrap();
            let aside = set_aside(&location, at(0)).unwrap().unwrap();
            assert_eq!(aside, place.path().canonicalize().unwrap().join(name));
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "an empty folder is in its place");
            assert_eq!(set_aside(&location, at(0)).unwrap(), None, "there is nothing any more");
        }
        for name in names {
            assert_eq!(fs::read_to_string(place.path().join(name).join("dead_letters.jsonl")).unwrap(), name);
            assert!(place.path().join(name).join("generations").is_dir());
        }
        assert_eq!(set_aside(&Location::Folder(place.path().join("none")), at(0)).unwrap(), None);
        assert!(!place.path().join("none").exists());
    }

    #[test]
    fn of_a_link_what_it_leads_to_is_set_aside() {
        let place = tempfile::tempdir().unwrap();
        let (there, link) = (place.path().join("there"), place.path().join("link"));
        fs::create_dir(&there).unwrap();
        std::os::unix::fs::symlink(&there, &link).unwrap();
        let (location, _) = state(&link);
        let aside = set_aside(&location, at(0)).unwrap().unwrap();
        assert_eq!(aside.file_name().unwrap(), "there.aside-20260921T141320Z");
        assert!(link.is_symlink() && link.is_dir());
        state(&link);
    }

    #[test]
    fn what_a_run_uses_stays() {
        let place = tempfile::tempdir().unwrap();
        let (location, store) = state(&place.path().join("state"));
        let lock = store.lock().unwrap();
        let error = set_aside(&location, at(0)).unwrap_err();
        assert_eq!(error.kind(), CheckpointErrorKind::InUse);
        drop(lock);
        assert!(set_aside(&location, at(0)).unwrap().is_some());
    }

    #[test]
    fn what_is_no_state_or_in_a_bucket_is_not_touched() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("thesis.txt"), "years of work").unwrap();
        let error = set_aside(&Location::Folder(place.path().to_owned()), at(0)).unwrap_err();
        assert!(error.kind() == CheckpointErrorKind::Usage && error.to_string().contains("thesis.txt"), "{error}");
        let error = set_aside(&"s3://bucket/p".parse().unwrap(), at(0)).unwrap_err();
        assert!(error.kind() == CheckpointErrorKind::Usage && error.to_string().contains("another prefix"), "{error}");
    }
}
