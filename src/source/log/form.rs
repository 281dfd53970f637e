//! Plain, gzip or zstd: recognised by a log's first bytes, whatever it is called.

use std::io::{self, BufReader, Read};
use std::path::Path;

use super::members::{Gzip, Zstd};

/// How a log is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Plain,
    /// One or more gzip members.
    Gzip,
    /// One or more zstd frames.
    Zstd,
}

/// How much of a compressed log is read at once.
const STORED_BYTES: usize = 128 * 1_024;

/// How many first bytes tell a form.
pub(super) const MAGIC_BYTES: usize = 4;

/// What compressed logs begin with. (A zstd frame to be skipped may come before the others; its
/// magic number has sixteen values, of which this is the first.)
const MAGICS: [(&[u8], Form); 3] =
    [(b"\x1F\x8B", Form::Gzip), (b"\x28\xB5\x2F\xFD", Form::Zstd), (b"\x50\x2A\x4D\x18", Form::Zstd)];

impl Form {
    /// The form of a log that begins with these bytes; `None`: too few to tell.
    pub(super) fn of(first_bytes: &[u8]) -> Option<Form> {
        let mut bytes = first_bytes.to_vec();
        if let Some(first) = bytes.first_mut().filter(|first| **first & 0xF0 == 0x50) {
            *first = 0x50;
        }
        if let Some((_, form)) = MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
            return Some(*form);
        }
        let undecided = MAGICS.iter().any(|(magic, _)| magic.starts_with(&bytes));
        if undecided { None } else { Some(Form::Plain) }
    }

    /// The form that a log's name promises.
    pub(super) fn named(path: &Path) -> Option<Form> {
        let ending = path.extension()?;
        if ending.eq_ignore_ascii_case("gz") {
            Some(Form::Gzip)
        } else if ending.eq_ignore_ascii_case("zst") {
            Some(Form::Zstd)
        } else {
            None
        }
    }

    /// The log's content.
    pub(super) fn decoded(self, input: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
        let stored = |input| Box::new(BufReader::with_capacity(STORED_BYTES, input));
        Ok(match self {
            Form::Plain => input,
            Form::Gzip => Box::new(Gzip::new(stored(input))),
            Form::Zstd => Box::new(Zstd::new(stored(input))?),
        })
    }
}

/// The content of a stream whose form is only told by what comes.
pub(super) fn decoded_stream(mut input: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::with_capacity(MAGIC_BYTES);
    let mut byte = [0];
    let form = loop {
        if let Some(form) = Form::of(&head) {
            break form;
        }
        match input.read(&mut byte) {
            Ok(0) => break Form::Plain,
            Ok(_) => head.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    form.decoded(Box::new(io::Cursor::new(head).chain(input)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_the_form_as_soon_as_they_can() {
        assert_eq!(Form::of(b""), None);
        assert_eq!(Form::of(b"{"), Some(Form::Plain));
        assert_eq!(Form::of(b"["), None, "a zstd frame to be skipped may begin with 0x5B");
        assert_eq!(Form::of(b"[1"), Some(Form::Plain));
        assert_eq!(Form::of(b"\x1F"), None);
        assert_eq!(Form::of(b"\x1F\x8B"), Some(Form::Gzip));
        assert_eq!(Form::of(b"\x28\xB5\x2F\xFD"), Some(Form::Zstd));
        assert_eq!(Form::of(b"\x5B\x2A\x4D\x18"), Some(Form::Zstd));
        assert_eq!(Form::of(b"\xEF\xBB\xBF{"), Some(Form::Plain));
    }
}
