//! Going on behind an earlier run: where the file of dead letters had come, and which events have their letter already.
//!
//! A checkpoint holds a [`LetterMark`]. What a run reads again from there may have had its letter before the run was killed: it is
//! found behind the mark, by its position, and not written again. An earlier mark is always right, and a later one is not: a letter that stands
//! before it is not seen. So a mark is taken *before* the events are read that the checkpoint does not hold any more, and a
//! checkpoint counts when the letters of all that it holds are durable. And as long as letters are to come again that the run has found,
//! its checkpoints keep the mark that it began with: what is not read again yet may lie behind their positions.

use std::collections::hash_set::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{self, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

use super::batch::Position;
use super::file::open_recognised;
use super::line::position_in;
use crate::sink::files::{cut_torn_line, end_of_last_line, make_durable};

/// By so much of its beginning a file is known again.
const HEAD_BYTES: u64 = 4 << 10;
/// So much of a line is looked at: what says where its event stands comes first.
const LOOKED_AT_BYTES: u64 = 64 << 10;

/// Up to where a file of dead letters had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterMark {
    /// Where the file is.
    pub path: PathBuf,
    /// So many bytes of it are durable, and end with a whole line.
    pub length: u64,
    /// The `xxh3_128` of its first 4 KiB, or of as much as `length` says.
    pub head: u128,
}

/// Says up to where the file of dead letters has come, from any thread.
#[derive(Clone, Debug)]
pub struct LetterMarker {
    path: PathBuf,
    held: HeldMark,
}

/// Where marks stay as long as letters that the run has found are to come again.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldMark(Arc<Mutex<Option<LetterMark>>>);

impl HeldMark {
    /// Holds this mark, or the beginning of the file where there is none, if letters behind it are to come again.
    pub fn hold(&self, path: &Path, mark: Option<&LetterMark>, letters_come: bool) {
        let beginning = || LetterMark { path: path.to_owned(), length: 0, head: xxh3_128(&[]) };
        *self.lock() = letters_come.then(|| mark.cloned().unwrap_or_else(beginning));
    }

    /// All have come.
    pub fn release(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<LetterMark>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a run found in the file of dead letters that it goes on with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// So many events have their letter already.
    pub letters: usize,
    /// So many bytes of a torn last line were cut off.
    pub cut_off: u64,
    /// It is not the file that the mark is of, so that nothing is known: letters of the time behind the mark may come twice.
    pub is_another: bool,
}

/// The events that have their letter already, each by a hash of where it stands: some 20 bytes a letter, up to 40 when their
/// number has just doubled.
pub(super) type Letters = HashSet<u128, RandomState>;

impl LetterMarker {
    pub(super) fn new(path: &Path, held: HeldMark) -> LetterMarker {
        LetterMarker { path: path.to_owned(), held }
    }

    /// Where the last whole line of the file ends now, or where the run began as long as letters behind that are to come again; all before it is
    /// durable. `None`: there is no file, or it is a stream. Others may append meanwhile.
    pub fn mark(&self) -> io::Result<Option<LetterMark>> {
        if let Some(mark) = self.held.lock().clone() {
            return Ok(Some(mark));
        }
        let Some(file) = open_to_read(&self.path)? else { return Ok(None) };
        let length = end_of_last_line(&file)?;
        match make_durable(&file) {
            // Deleted just now: the next letter makes another one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            durable => durable?,
        }
        let (path, head) = (path::absolute(&self.path)?, head(&file, length)?);
        Ok(Some(LetterMark { path, length, head }))
    }
}

/// The file, unless there is none; a stream is none.
fn open_to_read(path: &Path) -> io::Result<Option<File>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

fn head(file: &File, length: u64) -> io::Result<u128> {
    let mut bytes = vec![0; usize::try_from(length.min(HEAD_BYTES)).unwrap_or_default()];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(xxh3_128(&bytes))
}

/// Whether this is the file of that mark, or one that begins like it and has all of it.
fn is_marked(file: &File, mark: &LetterMark) -> io::Result<bool> {
    let mut last = [b'\n'];
    if file.metadata()?.len() < mark.length {
        return Ok(false);
    }
    if mark.length > 0 {
        file.read_exact_at(&mut last, mark.length - 1)?;
    }
    Ok(last == *b"\n" && head(file, mark.length)? == mark.head)
}

/// Cuts off a torn last line, and finds the letters behind the mark, or without one, all of the file. What is found is durable.
pub(super) fn go_on(path: &Path, mark: Option<&LetterMark>) -> io::Result<(Letters, Known)> {
    let mut letters = Letters::default();
    let mut known = Known { is_another: mark.is_some_and(|mark| mark.length > 0), ..Known::default() };
    if open_to_read(path)?.is_none() {
        return Ok((letters, known));
    }
    let mut file = open_recognised(path)?;
    known.cut_off = cut_torn_line(&file)?;
    known.is_another = mark.map(|mark| is_marked(&file, mark)).transpose()?.is_some_and(|is_marked| !is_marked);
    if !known.is_another {
        file.seek(SeekFrom::Start(mark.map_or(0, |mark| mark.length)))?;
        read(BufReader::with_capacity(256 << 10, file), &mut letters)?;
    }
    known.letters = letters.len();
    Ok((letters, known))
}

/// Reads lines up to the end; of long ones only the beginning is kept.
fn read(mut file: BufReader<File>, letters: &mut Letters) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut file).take(LOOKED_AT_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let is_whole = line.ends_with(b"\n");
        let letter = position_in(&line, is_whole).map(|(source, position)| id(&source, position));
        let ends_well = if is_whole { true } else { skip_line(&mut file)? };
        letters.extend(letter.filter(|_| ends_well));
    }
}

/// Reads up to the end of a line; says whether it ends like one that is whole.
fn skip_line(file: &mut BufReader<File>) -> io::Result<bool> {
    let mut last = None;
    loop {
        let bytes = file.fill_buf()?;
        let end = memchr::memchr(b'\n', bytes);
        let of_line = &bytes[..end.unwrap_or(bytes.len())];
        last = of_line.last().copied().or(last);
        if bytes.is_empty() {
            return Ok(false);
        }
        let used = end.map_or(bytes.len(), |end| end + 1);
        file.consume(used);
        if end.is_some() {
            return Ok(last == Some(b'}'));
        }
    }
}

/// Which event a letter is of.
pub(super) fn id(source: &str, position: Position) -> u128 {
    let (kind, partition, offset) = match position {
        Position::Line(offset) => (0, 0, offset),
        Position::Message(partition, offset) => (1_u8, partition, offset.cast_unsigned()),
    };
    let mut hash = Xxh3Default::new();
    hash.update(&[kind]);
    hash.update(&partition.to_le_bytes());
    hash.update(&offset.to_le_bytes());
    hash.update(source.as_bytes());
    hash.digest128()
}
