//! Dead letters: events that could not be counted, kept with their reason and position.
//!
//! A JSONL file that is only appended to, and only if it holds dead letters. What [`DeadLetterFile::write`] has
//! returned for is durable. The file is made with the first dead letter: a clean run leaves none. One that is moved
//! or deleted under a run is made anew.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use serde::{Deserialize, Serialize};

use super::files::make_durable;
use super::{SinkError, SinkErrorKind};
use crate::event::Reason;
use crate::file_id::FileId;
use crate::telemetry::Metrics;

mod place;

use self::place::{open, open_recognised, try_to_make};

/// An event that could not be counted.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why it could not.
    pub reason: Reason,
    /// Where it stands.
    pub origin: Origin,
    /// The line or message; of one that was too long, its beginning.
    pub bytes: Vec<u8>,
    /// How long the whole line or message is, where `bytes` is only its beginning.
    pub length: Option<u64>,
}

/// Where an event stands.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In an event log.
    Log {
        /// The log, as it was named.
        file: String,
        /// Where the line begins in the (decompressed) log.
        offset: u64,
    },
    /// In a Kafka topic.
    Kafka {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The message's offset in it.
        offset: i64,
    },
}

/// The file that dead letters are appended to.
#[derive(Debug)]
pub struct DeadLetterFile {
    path: PathBuf,
    /// More than this many stop the run.
    max: Option<u64>,
    written: u64,
    metrics: Arc<Metrics>,
    file: Option<File>,
}

impl DeadLetterFile {
    /// Dead letters go to the end of the file in this place. More than `max` in one run are an error.
    pub fn new(path: impl Into<PathBuf>, max: Option<u64>, metrics: Arc<Metrics>) -> DeadLetterFile {
        DeadLetterFile { path: path.into(), max, written: 0, metrics, file: None }
    }

    /// Tries, before anything depends on it, whether dead letters can be kept in this place. Leaves nothing behind. Waits
    /// for whoever reads a named pipe.
    pub fn try_out(&mut self) -> Result<(), SinkError> {
        let outcome = match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(metadata) if !metadata.is_file() => open(&self.path).map(|stream| self.file = Some(stream)),
            Ok(_) => open_recognised(&self.path).map(|_| ()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => try_to_make(&self.path),
            Err(error) => Err(error),
        };
        outcome.map_err(|error| {
            let hint = "name another file with --dead-letters PATH, or path in [dead_letters]";
            let path = self.path.display();
            SinkError::io(format!("events that cannot be counted would go to {path}, which cannot be: {hint}"), error)
        })
    }

    /// Where they go.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes these dead letters durable and counts them. An error when there are now more than may
    /// be; these are written nevertheless.
    pub fn write(&mut self, dead_letters: &[DeadLetter]) -> Result<(), SinkError> {
        let Some(last) = dead_letters.last() else { return Ok(()) };
        self.append(dead_letters).map_err(|error| {
            SinkError::io(format!("cannot keep events that could not be counted in {}", self.path.display()), error)
                .of_kind(SinkErrorKind::DeadLetters)
        })?;
        for dead_letter in dead_letters {
            self.metrics.dead_letters(dead_letter.reason).add(1);
        }
        self.written += dead_letters.len() as u64;
        match self.max {
            Some(max) if self.written > max => Err(SinkError::new(format!(
                "{} events could not be counted, more than the {max} that may be (--max-dead-letters, or max in \
                 [dead_letters]): see {}; the last is {} at {}",
                self.written,
                self.path.display(),
                last.reason,
                last.origin,
            ))
            .of_kind(SinkErrorKind::TooManyDeadLetters)),
            _ => Ok(()),
        }
    }

    fn append(&mut self, dead_letters: &[DeadLetter]) -> io::Result<()> {
        let mut lines = Vec::new();
        for dead_letter in dead_letters {
            serde_json::to_writer(&mut lines, &Line::of(dead_letter))?;
            lines.push(b'\n');
        }
        let file = match self.file.take().filter(|file| FileId::is_in_place(file, &self.path)) {
            Some(file) => self.file.insert(file),
            None => self.file.insert(open(&self.path)?),
        };
        file.write_all(&lines)?;
        make_durable(file)
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Log { file, offset } => write!(f, "{file}, offset {offset}"),
            Origin::Kafka { topic, partition, offset } => {
                write!(f, "topic {topic}, partition {partition}, offset {offset}")
            }
        }
    }
}

/// A dead letter as it stands in the file.
#[derive(Serialize)]
struct Line<'a> {
    reason: &'static str,
    #[serde(flatten)]
    place: Place<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Place<'a> {
    Log { file: &'a str, offset: u64 },
    Kafka { topic: &'a str, partition: i32, offset: i64 },
}

impl<'a> Line<'a> {
    fn of(dead_letter: &'a DeadLetter) -> Line<'a> {
        let place = match &dead_letter.origin {
            Origin::Log { file, offset } => Place::Log { file, offset: *offset },
            Origin::Kafka { topic, partition, offset } => {
                Place::Kafka { topic, partition: *partition, offset: *offset }
            }
        };
        let text = text_of(dead_letter);
        let base64 = match text {
            Some(_) => None,
            None => Some(base64::engine::general_purpose::STANDARD.encode(&dead_letter.bytes)),
        };
        let (reason, detail) = (dead_letter.reason.as_str(), dead_letter.reason.detail());
        Line { reason, place, detail, text, base64, length: dead_letter.length }
    }
}

/// The bytes as text, if they are; a character that was cut in two with the rest of a line that is
/// too long is left out.
fn text_of(dead_letter: &DeadLetter) -> Option<&str> {
    match std::str::from_utf8(&dead_letter.bytes) {
        Ok(text) => Some(text),
        Err(error) if dead_letter.length.is_some() && error.error_len().is_none() => {
            std::str::from_utf8(&dead_letter.bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::TimeFault;

    fn in_log(reason: Reason, bytes: &[u8]) -> DeadLetter {
        let origin = Origin::Log { file: "events.jsonl".to_owned(), offset: 80 };
        DeadLetter { reason, origin, bytes: bytes.to_vec(), length: None }
    }

    fn written(dead_letters: &[DeadLetter]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/dead_letters.jsonl");
        DeadLetterFile::new(&path, None, Arc::default()).write(dead_letters).unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_line_holds_reason_place_and_text_or_base64() {
        let kafka = DeadLetter {
            origin: Origin::Kafka { topic: "events".to_owned(), partition: 3, offset: 7 },
            ..in_log(Reason::InvalidUtf8, b"\xff{}")
        };
        let too_long = DeadLetter { length: Some(2_000_000), ..in_log(Reason::TooLong, "ab\u{fc}".as_bytes()) };
        let cut = DeadLetter { bytes: too_long.bytes[..3].to_vec(), ..too_long.clone() };
        let expected = concat!(
            r#"{"reason":"bad_time","file":"events.jsonl","offset":80,"detail":"no such field, or null","text":"{\"a\":1}"}"#,
            "\n",
            r#"{"reason":"invalid_utf8","topic":"events","partition":3,"offset":7,"base64":"/3t9"}"#,
            "\n",
            r#"{"reason":"too_long","file":"events.jsonl","offset":80,"text":"abü","length":2000000}"#,
            "\n",
            r#"{"reason":"too_long","file":"events.jsonl","offset":80,"text":"ab","length":2000000}"#,
            "\n",
        );
        assert_eq!(
            written(&[in_log(Reason::BadTime(TimeFault::Missing), br#"{"a":1}"#), kafka, too_long, cut]),
            expected
        );
    }

    #[test]
    fn they_are_appended_and_counted_and_a_cut_line_stays_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead_letters.jsonl");
        fs::write(&path, "{\"reas").unwrap();
        let metrics = Arc::new(Metrics::default());
        for _ in 0..2 {
            let mut file = DeadLetterFile::new(&path, None, Arc::clone(&metrics));
            file.try_out().unwrap();
            file.write(&[in_log(Reason::BadKey, b"x"), in_log(Reason::BadName, b"y")]).unwrap();
            file.write(&[in_log(Reason::BadKey, b"x")]).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 7);
        assert_eq!(metrics.dead_letters(Reason::BadKey).get(), 4);
        assert_eq!(metrics.all_dead_letters(), 6);
    }

    #[test]
    fn no_dead_letters_leave_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead_letters.jsonl");
        DeadLetterFile::new(&path, Some(0), Arc::default()).write(&[]).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn trying_out_leaves_nothing_behind_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/folder/dead_letters.jsonl");
        let mut file = DeadLetterFile::new(&path, None, Arc::default());
        file.try_out().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        file.write(&[in_log(Reason::BadKey, b"x")]).unwrap();
        let before = fs::read(&path).unwrap();
        DeadLetterFile::new(&path, None, Arc::default()).try_out().unwrap();
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_place_where_they_cannot_be_kept_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "{\"eventName\":\"like\"}\n").unwrap();
        for path in [folder.path().to_owned(), file.join("dead_letters.jsonl"), file.clone()] {
            let error = DeadLetterFile::new(&path, None, Arc::default()).try_out().unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()) && error.contains("--dead-letters"), "{error}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "{\"eventName\":\"like\"}\n");
        let mut letters = DeadLetterFile::new(&file, None, Arc::default());
        letters.write(&[in_log(Reason::BadKey, b"x")]).unwrap_err();
        assert_eq!(fs::read_to_string(&file).unwrap(), "{\"eventName\":\"like\"}\n");
    }

    #[test]
    fn a_file_that_is_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead_letters.jsonl");
        let mut file = DeadLetterFile::new(&path, None, Arc::default());
        for _ in 0..2 {
            file.write(&[in_log(Reason::BadKey, b"x")]).unwrap();
            fs::rename(&path, folder.path().join("old.jsonl")).unwrap();
        }
        file.write(&[in_log(Reason::BadKey, b"x"), in_log(Reason::BadKey, b"x")]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_whose_reader_leaves_is_a_failure() {
        use std::os::fd::AsRawFd as _;
        let (reader, writer) = io::pipe().unwrap();
        let mut file =
            DeadLetterFile::new(format!("/proc/self/fd/{}", writer.as_raw_fd()), None, Arc::<Metrics>::default());
        file.try_out().unwrap();
        file.write(&[in_log(Reason::BadKey, b"x")]).unwrap();
        drop(reader);
        let error = file.write(&[in_log(Reason::BadKey, b"x")]).unwrap_err();
        assert_eq!(error.kind(), SinkErrorKind::DeadLetters);
        assert!(error.to_string().contains("whoever read it has gone"), "{error}");
    }

    #[test]
    fn more_than_may_be_are_written_and_then_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead_letters.jsonl");
        let mut file = DeadLetterFile::new(&path, Some(2), Arc::default());
        file.write(&[in_log(Reason::BadKey, b"x"), in_log(Reason::BadKey, b"y")]).unwrap();
        let error = file.write(&[in_log(Reason::BadTime(TimeFault::NoNumber), b"z")]).unwrap_err().to_string();
        assert!(
            error.contains("3 events") && error.contains("bad_time (no number) at events.jsonl, offset 80"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_and_not_counted() {
        let metrics = Arc::new(Metrics::default());
        let mut file = DeadLetterFile::new("/dev/full", None, Arc::clone(&metrics));
        let error = file.write(&[in_log(Reason::BadKey, b"x")]).unwrap_err().to_string();
        assert!(error.contains("/dev/full") && error.contains("disk is full"), "{error}");
        assert_eq!(metrics.all_dead_letters(), 0);
    }
}
