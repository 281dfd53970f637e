//! `jsonl`: every published item as one JSON line, in a file or on stdout: the stream of what was
//! published, of which a reader takes the newest state of each item.

mod reader;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::contract::answer_all;
use super::files::{
    cut_torn_line, end_of_last_line, exists, holds_only, lock, make_durable, make_entry_durable, not_empty,
};
use super::{Desk, Item, ItemBatch, Outcome, Recorded, Sink, SinkError, SinkErrorKind, SinkOptions};
use crate::pipeline::Pipeline;
use crate::telemetry::write_json;

pub(super) use reader::JsonLinesReader;

/// Lines are handed over in pieces of about this many bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// Writes items as lines.
#[derive(Debug)]
pub(super) struct JsonLinesSink {
    pipeline: Arc<Pipeline>,
    output: Output,
    lines: Vec<u8>,
}

#[derive(Debug)]
enum Output {
    File { file: File, path: PathBuf },
    Stdout,
}

impl JsonLinesSink {
    /// Items go to this file. Refuses one that is not empty, unless it is to be replaced or gone on with.
    pub(super) fn open(path: &Path, pipeline: Arc<Pipeline>, options: &SinkOptions) -> Result<Self, SinkError> {
        let file = open_file(path, options)?;
        Ok(JsonLinesSink { pipeline, output: Output::File { file, path: path.to_owned() }, lines: Vec::new() })
    }

    /// Whether [`JsonLinesSink::open`] would refuse this file. What may be a stream is not looked at.
    pub(super) fn look(path: &Path, options: &SinkOptions) -> Result<(), SinkError> {
        if !exists(path)? || !path.is_file() {
            return Ok(());
        }
        let file = OpenOptions::new().append(true).read(true).open(path).map_err(|error| cannot_open(path, error))?;
        refuse(&file, path, options)
    }

    /// Whether the file holds items: more it does not know of the runs that have filled it.
    pub(super) fn recorded(path: &Path) -> Result<Recorded, SinkError> {
        if !exists(path)? || !path.is_file() {
            return Ok(Recorded::NOTHING);
        }
        let failed = |error| cannot_open(path, error);
        let file = File::open(path).map_err(failed)?;
        refuse(&file, path, &SinkOptions { goes_on: true, ..SinkOptions::default() })?;
        Ok(Recorded { is_empty: end_of_last_line(&file).map_err(failed)? == 0, ..Recorded::NOTHING })
    }

    /// Items go to stdout.
    pub(super) fn stdout(pipeline: Arc<Pipeline>) -> Self {
        JsonLinesSink { pipeline, output: Output::Stdout, lines: Vec::new() }
    }
}

impl Sink for JsonLinesSink {
    fn write(&mut self, batches: &[ItemBatch], desk: &mut dyn Desk) -> Result<(), SinkError> {
        for item in batches.iter().flat_map(|batch| batch.items(&self.pipeline)) {
            write_json(&mut self.lines, &item)
                .map_err(|error| SinkError::caused_by("cannot write an item as JSON", error))?;
            self.lines.push(b'\n');
            if self.lines.len() >= PIECE_BYTES {
                self.output.append(&self.lines)?;
                self.lines.clear();
            }
        }
        self.output.append(&self.lines)?;
        self.lines.clear();
        self.output.flush()?;
        answer_all(batches, Outcome::Written, desk);
        Ok(())
    }
}

impl Output {
    fn append(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        match self {
            Output::File { file, .. } => file.write_all(lines),
            Output::Stdout => io::stdout().write_all(lines),
        }
        .map_err(|error| self.failed(error))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        match self {
            Output::File { file, .. } => make_durable(file),
            Output::Stdout => io::stdout().flush(),
        }
        .map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> SinkError {
        match self {
            Output::File { path, .. } => {
                let deleted = error.kind() == io::ErrorKind::NotFound;
                let error = SinkError::io(format!("cannot write items to {}", path.display()), error);
                if deleted { error.of_kind(SinkErrorKind::Gone) } else { error }
            }
            Output::Stdout => SinkError::stdout("cannot write items to stdout", error),
        }
    }
}

fn open_file(path: &Path, options: &SinkOptions) -> Result<File, SinkError> {
    let failed = |error| cannot_open(path, error);
    // Not truncated here: what is in it goes only when it is known that it may. A pipe that could also be read from
    // would not tell when its reader has gone.
    let is_stream = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    let file = OpenOptions::new().create(true).append(true).read(!is_stream).open(path).map_err(failed)?;
    if is_stream {
        return Ok(file);
    }
    refuse(&file, path, options)?;
    if options.goes_on && !options.replace {
        cut_torn_line(&file).map_err(failed)?;
    } else {
        file.set_len(0).map_err(failed)?;
    }
    make_entry_durable(path).map_err(failed)?;
    Ok(file)
}

/// Locks a file, and refuses it where it holds what may not go.
fn refuse(file: &File, path: &Path, options: &SinkOptions) -> Result<(), SinkError> {
    let failed = |error| cannot_open(path, error);
    lock(file, path)?;
    if file.metadata().map_err(failed)?.len() == 0 {
        return Ok(());
    }
    let is_item = |line: &[u8]| serde_json::from_slice::<Item>(line).is_ok();
    let is_ours = holds_only(file, br#"{"key":""#, is_item).map_err(failed)?;
    match (is_ours, options.replace || options.goes_on) {
        (true, true) => Ok(()),
        (true, false) => Err(not_empty(path)),
        (false, _) => Err(something_else(path)),
    }
}

fn cannot_open(path: &Path, error: io::Error) -> SinkError {
    SinkError::io(format!("cannot open {} for items", path.display()), error)
}

fn something_else(path: &Path) -> SinkError {
    SinkError::foreign(format!(
        "{} holds something else than published items, and is left as it is: name another file with --sink",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::ItemReader as _;
    use crate::sink::fixtures::{Row, WriteAll as _, batch, pipeline};

    fn open(path: &Path, replace: bool) -> Result<JsonLinesSink, SinkError> {
        JsonLinesSink::open(
            path,
            Arc::new(pipeline()),
            &SinkOptions { replace, run_id: "a run".to_owned(), ..SinkOptions::default() },
        )
    }

    #[test]
    fn every_item_is_a_line_and_the_reader_takes_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        let mut sink = open(&path, false).unwrap();
        let old = batch(&[Row::new("b", "view"), Row::new("b", "like").version(1), Row::new("a", "like")]);
        let new = batch(&[Row::new("b", "like").version(2).value(7.0)]);
        assert_eq!(sink.write_all(&[old.clone(), new.clone()]).unwrap(), 4);

        let text = std::fs::read_to_string(&path).unwrap();
        let pipeline = pipeline();
        let lines = [&old, &new].into_iter().flat_map(|batch| batch.items(&pipeline));
        let expected: String = lines.map(|item| serde_json::to_string(&item.to_item()).unwrap() + "\n").collect();
        assert_eq!(text, expected);

        let mut reader = JsonLinesReader::open(&path).unwrap();
        let mut seen = Vec::new();
        let visit = &mut |item: Item| {
            seen.push((item.key, item.feature_name, item.version.0));
            Ok(())
        };
        reader.each(visit).unwrap();
        let expected = [("a", "like", 1), ("b", "like", 2), ("b", "view", 1)];
        assert_eq!(seen, expected.map(|(key, feature, version)| (key.to_owned(), feature.to_owned(), version)));
        assert_eq!(reader.get("b", Some("like")).unwrap(), [new.items(&pipeline).next().unwrap().to_item()]);
        assert_eq!(reader.get("b", None).unwrap().len(), 2);
        assert_eq!(reader.get("c", None).unwrap(), []);
    }

    #[test]
    fn items_are_refused_and_kept_unless_they_are_to_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        open(&path, false).unwrap().write_all(&[batch(&[Row::new("a", "like")])]).unwrap();
        let mut items = std::fs::read_to_string(&path).unwrap();
        // What a run that was killed may have left.
        items.push_str(&items.clone()[..9]);
        std::fs::write(&path, &items).unwrap();
        let error = open(&path, false).unwrap_err().to_string();
        assert!(error.contains("items.jsonl") && error.contains("--replace") && error.contains("--sink"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), items);
        open(&path, true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    }

    fn go_on(path: &Path) -> Result<JsonLinesSink, SinkError> {
        JsonLinesSink::open(path, Arc::new(pipeline()), &SinkOptions { goes_on: true, ..SinkOptions::default() })
    }

    #[test]
    fn a_run_that_goes_on_appends_behind_the_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        assert_eq!(JsonLinesSink::recorded(&path).unwrap(), Recorded::NOTHING);
        assert!(!path.exists(), "looking makes nothing");
        for (version, torn) in [(1, "{\"key\":\"b\",\"fea"), (2, ""), (3, "{\"key\":\"")] {
            go_on(&path).unwrap().write_all(&[batch(&[Row::new("a", "like").version(version)])]).unwrap();
            let whole = std::fs::read_to_string(&path).unwrap();
            assert_eq!(whole.lines().count() as u64, version);
            assert!(whole.lines().all(|line| serde_json::from_str::<Item>(line).is_ok()), "{whole}");
            std::fs::write(&path, whole + torn).unwrap();
        }
        assert_eq!(JsonLinesReader::open(&path).unwrap().get("a", None).unwrap()[0].version.0, 3);
        let expected = Recorded { is_empty: false, ..Recorded::NOTHING };
        assert_eq!(JsonLinesSink::recorded(&path).unwrap(), expected);
        std::fs::write(&path, "something\n").unwrap();
        for error in [go_on(&path).map(|_| ()).unwrap_err(), JsonLinesSink::recorded(&path).map(|_| ()).unwrap_err()] {
            assert!(error.to_string().contains("left as it is"), "{error}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "something\n");
    }

    #[test]
    fn a_file_of_something_else_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        for content in ["something\n", "\n", "{\"eventName\":\"like\",\"userId\":\"1\",\"eventTs\":1}\n"] {
            std::fs::write(&path, content).unwrap();
            for replace in [false, true] {
                let error = open(&path, replace).unwrap_err().to_string();
                assert!(error.contains("items.jsonl") && error.contains("left as it is"), "{error}");
                assert!(!error.contains("--replace"), "{error}");
                assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
            }
        }
    }

    #[test]
    fn a_file_that_another_run_writes_to_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        let mut first = open(&path, false).unwrap();
        first.write_all(&[batch(&[Row::new("a", "like")])]).unwrap();
        assert!(open(&path, true).unwrap_err().to_string().contains("another run"));
        assert_eq!(JsonLinesReader::open(&path).unwrap().get("a", None).unwrap().len(), 1);
    }

    #[test]
    fn a_line_that_is_still_being_written_is_left_out_and_a_wrong_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        open(&path, false).unwrap().write_all(&[batch(&[Row::new("a", "like")])]).unwrap();
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str(r#"{"key":"b","fea"#);
        std::fs::write(&path, &text).unwrap();
        assert_eq!(JsonLinesReader::open(&path).unwrap().get("a", None).unwrap().len(), 1);
        text.push('\n');
        std::fs::write(&path, &text).unwrap();
        let error = JsonLinesReader::open(&path).unwrap().get("a", None).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn a_missing_file_is_not_made_by_reading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        assert!(JsonLinesReader::open(&path).is_err());
        assert!(!path.exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_whose_reader_leaves_is_a_failure() {
        use std::os::fd::AsRawFd;
        let (reader, writer) = io::pipe().unwrap();
        let mut sink = open(Path::new(&format!("/proc/self/fd/{}", writer.as_raw_fd())), false).unwrap();
        sink.write_all(&[batch(&[Row::new("a", "like")])]).unwrap();
        drop(reader);
        let error = sink.write_all(&[batch(&[Row::new("a", "like")])]).unwrap_err();
        assert_eq!(error.kind(), SinkErrorKind::Failed);
        assert!(error.to_string().contains("whoever read it has gone"), "{error}");
    }

    #[test]
    fn a_file_that_is_deleted_under_a_run_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        let mut sink = open(&path, false).unwrap();
        std::fs::remove_file(&path).unwrap();
        let error = sink.write_all(&[batch(&[Row::new("a", "like")])]).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("was deleted"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told() {
        let mut sink = open(Path::new("/dev/full"), false).unwrap();
        let error = sink.write_all(&[batch(&[Row::new("a", "like")])]).unwrap_err();
        assert!(error.to_string().contains("the disk is full"), "{error}");
        assert_eq!(error.kind(), SinkErrorKind::Failed);
    }
}
