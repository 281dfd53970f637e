//! Which objects there are, and how large they are.

use std::fs;
use std::io;
use std::path::Path;

use object_store::ObjectStore as _;

use super::{Location, Store, failure};
use crate::checkpoint::error::{CheckpointError, CheckpointErrorKind};
use crate::checkpoint::names::FOLDERS;

/// How much a state takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// How many objects it has.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Store {
    /// The names of the objects right in a folder, without the folder's, sorted; none if there is no such folder.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, CheckpointError> {
        Ok(self.list_with_sizes(folder)?.into_iter().map(|(name, _)| name).collect())
    }

    /// How much all objects take, also those that no checkpoint needs any more.
    pub fn contents(&self) -> Result<Contents, CheckpointError> {
        let mut contents = Contents::default();
        for folder in FOLDERS {
            for (_, bytes) in self.list_with_sizes(folder)? {
                contents.objects += 1;
                contents.bytes += bytes;
            }
        }
        Ok(contents)
    }

    fn list_with_sizes(&self, folder: &str) -> Result<Vec<(String, u64)>, CheckpointError> {
        let failed = || format!("cannot list {}/{folder}", self.location());
        if let Location::Folder(state) = self.location() {
            // Not by way of the crate, which gives up on all where one file has a name that is not UTF-8.
            let files = list_files(&state.join(folder));
            return files.map_err(|error| CheckpointError::caused_by(CheckpointErrorKind::Failed, failed(), error));
        }
        let prefix = self.0.prefix.clone().join(folder);
        let found = self.wait(self.0.objects.list_with_delimiter(Some(&prefix)));
        let found = found.map_err(|error| failure::told(failed(), error))?;
        let name_and_size =
            |object: &object_store::ObjectMeta| Some((object.location.filename()?.to_owned(), object.size));
        let mut objects: Vec<(String, u64)> = found.objects.iter().filter_map(name_and_size).collect();
        objects.sort_unstable();
        Ok(objects)
    }
}

/// The files in a folder and their sizes, by name; none if there is no such folder. No object has a name that is not UTF-8.
fn list_files(folder: &Path) -> io::Result<Vec<(String, u64)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        // One that is deleted meanwhile is none.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file()
            && let Ok(name) = entry.file_name().into_string()
        {
            files.push((name, metadata.len()));
        }
    }
    files.sort_unstable();
    Ok(files)
}
