//! What every sink into a file needs: written bytes that stay written.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use super::{SinkError, SinkErrorKind};
use crate::file_id::folder_of;

/// Opens a file of items to read it.
pub(super) fn open_to_read(path: &Path) -> Result<File, SinkError> {
    File::open(path).map_err(|error| {
        let hint =
            if error.kind() == io::ErrorKind::NotFound { " (it is made by a run that publishes to it)" } else { "" };
        SinkError::io(format!("cannot read items from {}{hint}", path.display()), error)
    })
}

/// Whether there is something that this path names; an error where nothing could be made there.
pub(super) fn exists(path: &Path) -> Result<bool, SinkError> {
    let there =
        path.try_exists().and_then(|there| if there { Ok(true) } else { folder_of(path).metadata().map(|_| false) });
    there.map_err(|error| SinkError::io(format!("cannot open {} for items", path.display()), error))
}

/// Locks a sink's file for as long as `file` is open: two runs never fill one file.
pub(super) fn lock(file: &File, path: &Path) -> Result<(), SinkError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(SinkError::new(format!(
            "{}: another run is writing to it now: wait for its end or stop it, or name another file with --sink",
            path.display()
        ))
        .of_kind(SinkErrorKind::InUse)),
        // A file system without locks: then nobody holds one.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// A file that another run has filled.
pub(super) fn not_empty(path: &Path) -> SinkError {
    SinkError::foreign(format!(
        "{} holds the items of another run, which this run does not continue: start over with --replace, or name another \
         file with --sink",
        path.display()
    ))
}

/// Makes what was written to `file` survive a crash of the machine. A pipe or a terminal has
/// nothing to survive. An error when the file was deleted meanwhile: what is written there is lost.
pub(super) fn make_durable(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(());
    }
    if metadata.nlink() == 0 {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it was deleted while this run was writing to it"));
    }
    file.sync_data()
}

/// How much of a file is looked at, at its beginning and at its end, to see what it is.
const LOOKED_AT_BYTES: u64 = 1 << 20;

/// A file is read so many bytes at once, where its end is looked for.
const PIECE_BYTES: usize = 64 << 10;

/// Whether a file holds lines of this kind alone, or nothing: what its first and its last whole line say. A line that
/// was cut by a crash, or is too long to look at, begins like one.
pub(super) fn holds_only(file: &File, beginning: &[u8], is_ours: impl Fn(&[u8]) -> bool) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let looked_at = usize::try_from(length.min(LOOKED_AT_BYTES)).unwrap_or_default();
    let mut bytes = vec![0; looked_at];
    file.read_exact_at(&mut bytes, 0)?;
    let Some(end_of_first) = memchr::memchr(b'\n', &bytes) else {
        return Ok(bytes.starts_with(beginning) || beginning.starts_with(&bytes));
    };
    if !is_ours(&bytes[..end_of_first]) {
        return Ok(false);
    }
    file.read_exact_at(&mut bytes, length - looked_at as u64)?;
    let Some(end_of_last) = memchr::memrchr(b'\n', &bytes) else { return Ok(true) };
    let cut = &bytes[end_of_last + 1..];
    let last_begins = match memchr::memrchr(b'\n', &bytes[..end_of_last]) {
        Some(end_of_other) => end_of_other + 1,
        None if looked_at as u64 == length => 0,
        None => return Ok(true),
    };
    let is_beginning = cut.starts_with(beginning) || beginning.starts_with(cut);
    Ok(is_beginning && is_ours(&bytes[last_begins..end_of_last]))
}

/// Where a file's last whole line ends; what stands behind that was cut by a crash, or is being written.
pub(super) fn end_of_last_line(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut bytes = vec![0; PIECE_BYTES.min(usize::try_from(end).unwrap_or(PIECE_BYTES))];
    while end > 0 {
        let piece = bytes.len().min(usize::try_from(end).unwrap_or(bytes.len()));
        let begin = end - piece as u64;
        file.read_exact_at(&mut bytes[..piece], begin)?;
        if let Some(newline) = memchr::memrchr(b'\n', &bytes[..piece]) {
            return Ok(begin + newline as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

/// Cuts off a last line that a crash has left without its end, and makes all that stands before it durable: the run that wrote
/// it may not have come to that. Says how many bytes were cut off.
pub(super) fn cut_torn_line(file: &File) -> io::Result<u64> {
    let end = end_of_last_line(file)?;
    let torn = file.metadata()?.len().saturating_sub(end);
    if torn > 0 {
        file.set_len(end)?;
    }
    make_durable(file)?;
    Ok(torn)
}

/// Makes a file that was just created in this place survive a crash of the machine.
pub(super) fn make_entry_durable(path: &Path) -> io::Result<()> {
    // Where folders cannot be opened (not on Unix), there is no way to do it and none is needed.
    if cfg!(unix) { File::open(folder_of(path))?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn holds_only_numbers(content: &[u8]) -> bool {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let is_number = |line: &[u8]| line.starts_with(b"no. ") && line[4..].iter().all(u8::is_ascii_digit);
        holds_only(&file, b"no. ", is_number).unwrap()
    }

    #[test]
    fn a_torn_last_line_is_cut_off_however_long_it_is() {
        let long = vec![b'x'; 3 * PIECE_BYTES];
        for whole in [0, 1, 9, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1] {
            for torn in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES] {
                let place = tempfile::NamedTempFile::new().unwrap();
                let mut file = place.as_file();
                file.write_all(&long[..whole]).unwrap();
                let end = if whole == 0 { 0 } else { file.write_all(b"\n").map(|()| whole as u64 + 1).unwrap() };
                file.write_all(&long[..torn]).unwrap();
                assert_eq!(end_of_last_line(file).unwrap(), end, "{whole} {torn}");
                assert_eq!(cut_torn_line(file).unwrap(), torn as u64);
                assert_eq!(file.metadata().unwrap().len(), end);
            }
        }
    }

    #[test]
    fn first_and_last_line_say_what_a_file_holds() {
        let long = [&b"no. 1\nno. "[..], &[b'1'; 3 << 20], b"\n"].concat();
        for content in [&b""[..], b"no. 1\n", b"no. 1\nno. 2\n", b"no. 1\nno", b"no. 1\nno. 23", b"n", b"no. 2", &long]
        {
            assert!(holds_only_numbers(content), "{}", content.len());
        }
        let other_tail = [long.as_slice(), b"yes\n"].concat();
        for content in
            [&b"\n"[..], b"yes", b"yes\nno. 1\n", b"no. 1\nyes\n", b"no. 1\nno. 2\nyes", b"no. 1\n\n", &other_tail]
        {
            assert!(!holds_only_numbers(content), "{}", content.len());
        }
    }
}
