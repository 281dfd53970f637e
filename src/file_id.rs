//! Which file it is, whatever it is called: through relative paths, links and hard links.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The folder that holds what this path names.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A file's device and inode. It holds while the file exists: a number may be used again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Which file this path leads to.
    pub fn at(path: &Path) -> io::Result<FileId> {
        fs::metadata(path).map(|metadata| FileId::of(&metadata))
    }

    /// Which file has this metadata.
    pub fn of(metadata: &Metadata) -> FileId {
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Whether this path still leads to this open file, which may have been moved or deleted.
    pub fn is_in_place(file: &File, path: &Path) -> bool {
        match (file.metadata(), FileId::at(path)) {
            (Ok(metadata), Ok(there)) => FileId::of(&metadata) == there,
            _ => false,
        }
    }
}
