//! The file of positions: whole or not there, and never in the place of something else.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Positions;
use crate::file_id::folder_of;
use crate::outputs::{POSITIONS_BEGINNING_BYTES, is_positions};
use crate::source::{SourceError, read_at};

/// Where a run leaves its positions.
#[derive(Debug)]
pub struct PositionsFile {
    /// As it was named.
    name: PathBuf,
    /// Where it is, behind all links.
    path: PathBuf,
    /// The file beside it that takes its place.
    trial: PathBuf,
}

impl Positions {
    /// Reads the positions that a run has left in this file.
    pub fn read(path: &Path) -> Result<Positions, SourceError> {
        let failed = || format!("cannot read positions from {} (`run --positions` writes them)", path.display());
        let text = fs::read(path).map_err(|error| SourceError::caused_by(failed(), error))?;
        Positions::from_text(&text).map_err(|error| SourceError::caused_by(failed(), error))
    }
}

impl PositionsFile {
    /// Tries whether positions can be written to this file: an error where it holds something else, is no file, or cannot be
    /// made. Leaves what is there.
    pub fn try_out(name: &Path) -> Result<PositionsFile, SourceError> {
        let failed = |error| {
            let name = name.display();
            let message = format!("the positions of the run would go to {name}, which cannot be: name another file");
            SourceError::caused_by(message, error)
        };
        let path = match fs::metadata(name) {
            Ok(_) => require_positions(name).and_then(|()| fs::canonicalize(name)).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => name.to_owned(),
            Err(error) => return Err(failed(error)),
        };
        let Some(file_name) = path.file_name() else { return Err(failed(io::ErrorKind::IsADirectory.into())) };
        // Hidden, so that it is not taken for an event log.
        let trial = path.with_file_name(format!(".{}.trial-{}", file_name.display(), std::process::id()));
        File::create(&trial).and_then(|_| fs::remove_file(&trial)).map_err(failed)?;
        Ok(PositionsFile { name: name.to_owned(), path, trial })
    }

    /// As it was named.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// Removes those of an earlier run, which say nothing of what is counted from now on.
    pub fn clear(&self) -> Result<(), SourceError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let name = self.name.display();
                Err(SourceError::caused_by(format!("cannot remove the positions of an earlier run from {name}"), error))
            }
            _ => Ok(()),
        }
    }

    /// Writes them, durably. A crash leaves all of the file or none.
    pub fn write(&self, positions: &Positions) -> Result<(), SourceError> {
        self.try_to_write(positions).map_err(|error| {
            // What there is of it is of no use.
            let _ = fs::remove_file(&self.trial);
            let name = self.name.display();
            SourceError::caused_by(format!("cannot write the positions of the run to {name}"), error)
        })
    }

    fn try_to_write(&self, positions: &Positions) -> io::Result<()> {
        let text = positions.to_text().map_err(io::Error::other)?;
        let mut file = File::create(&self.trial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&self.trial, &self.path)?;
        File::open(folder_of(&self.path))?.sync_all()
    }
}

/// An error unless this is a file that is empty or holds positions.
fn require_positions(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut head = Vec::new();
    let length = metadata.len().min(POSITIONS_BEGINNING_BYTES as u64) as usize;
    read_at(&File::open(path)?, 0, length, &mut head)?;
    if head.is_empty() || is_positions(&head) {
        return Ok(());
    }
    Err(io::Error::other("it holds something else than positions, and is left as it is"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::counter::EventTime;
    use crate::epoch::Version;
    use crate::source::{KafkaPositions, SourcePositions};

    fn positions(topic: &str) -> Positions {
        let kafka = KafkaPositions {
            topic: topic.to_owned(),
            cluster: None,
            topic_id: None,
            partitions: BTreeMap::new(),
            run_start: EventTime(1),
        };
        let source = SourcePositions::Kafka(kafka);
        Positions { pipeline: "\"".repeat(300), version: Version(1), shift: None, source }
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn they_take_the_place_of_earlier_ones_also_behind_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("there.json"), folder.path().join("link.json"));
        std::os::unix::fs::symlink("there.json", &link).unwrap();
        PositionsFile::try_out(&path).unwrap().clear().unwrap();
        assert_eq!(names(folder.path()), ["link.json"], "trying leaves nothing");
        fs::write(&path, "").unwrap();
        for (name, topic) in [(&link, "one"), (&path, "two")] {
            let file = PositionsFile::try_out(name).unwrap();
            file.write(&positions(topic)).unwrap();
            assert_eq!(Positions::read(&path).unwrap(), positions(topic));
            assert_eq!(Positions::read(&link).unwrap(), positions(topic));
        }
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(folder.path()).len(), 2);
        PositionsFile::try_out(&path).unwrap().clear().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn something_else_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        for content in ["dear diary", "{}\n", "{\"format\":1}\n", "\n"] {
            fs::write(&path, content).unwrap();
            let error = PositionsFile::try_out(&path).unwrap_err();
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(error.to_string().contains("notes") && cause.contains("left as it is"), "{error}: {cause}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        for path in [folder.path(), Path::new("/dev/null"), Path::new("/"), &folder.path().join("no/such")] {
            assert!(PositionsFile::try_out(path).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn a_file_that_is_none_of_positions_is_named_with_what_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.json");
        for content in [None, Some("nonsense")] {
            content.inspect(|content| fs::write(&path, content).unwrap());
            let error = Positions::read(&path).unwrap_err().to_string();
            assert!(error.contains("p.json") && error.contains("run --positions"), "{error}");
        }
    }
}
