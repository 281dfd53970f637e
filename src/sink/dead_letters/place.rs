//! The place where dead letters are kept: only a file of dead letters is appended to.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde_json::{Map, Value};

use crate::sink::files::{holds_only, make_entry_durable};

/// How every line of dead letters begins.
const BEGINNING: &[u8] = br#"{"reason":""#;

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
    if is_stream || holds_only(&file, BEGINNING, is_dead_letter)? {
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

/// Whether this is a line of dead letters: of this version, or of one with other reasons, or one that a crash has cut.
fn is_dead_letter(line: &[u8]) -> bool {
    let Ok(line) = serde_json::from_slice::<Map<String, Value>>(line) else {
        return !line.is_empty() && (line.starts_with(BEGINNING) || BEGINNING.starts_with(line));
    };
    let has = |names: &[&str]| names.iter().any(|name| line.contains_key(*name));
    line.get("reason").is_some_and(Value::is_string)
        && line.get("offset").is_some_and(Value::is_number)
        && has(&["file", "topic"])
        && has(&["text", "base64"])
}
