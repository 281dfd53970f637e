//! The file that dead letters are kept in: only one of dead letters is appended to.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use crate::outputs::{DEAD_LETTER_BEGINNING, is_dead_letter};
use crate::sink::files::{holds_only, make_entry_durable};

/// Opens the file at its end; a line that a crash has cut short there stays one line.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = open_recognised(path)?;
    if !file.metadata()?.is_file() {
        return Ok(file);
    }
    if file.seek(SeekFrom::End(0))? > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    make_entry_durable(path)?;
    Ok(file)
}

/// Opens the file if dead letters may be appended to it. Changes nothing in it: another run may just be writing there.
pub(super) fn open_recognised(path: &Path) -> io::Result<File> {
    // A pipe that could also be read from would not tell when its reader has gone.
    let is_stream = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    let file = File::options().append(true).create(true).read(!is_stream).open(path)?;
    // A line that says too little was cut by a crash.
    let is_ours = |line: &[u8]| is_dead_letter(line) != Some(false);
    if is_stream || holds_only(&file, DEAD_LETTER_BEGINNING, is_ours)? {
        return Ok(file);
    }
    Err(io::Error::other("it holds something else than dead letters, and is left as it is"))
}

/// Makes a file beside this one, and the folders that it needs, and takes them away again. Not the file itself: another
/// run may just be making that.
pub(super) fn try_to_make(path: &Path) -> io::Result<()> {
    let folders = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    let missing: Vec<&Path> = folders.take_while(|folder| !folder.exists()).collect();
    if let Some(folder) = missing.first() {
        fs::create_dir_all(folder)?;
    }
    let name = path.file_name().unwrap_or_default().display();
    let trial = path.with_file_name(format!("{name}.trial-{}", std::process::id()));
    let outcome = File::create(&trial).and_then(|_| fs::remove_file(&trial));
    for folder in missing {
        // Another run may use it by now.
        let _ = fs::remove_dir(folder);
    }
    outcome
}
