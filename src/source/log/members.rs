//! The content of a compressed log, which may be several gzip members or zstd frames one behind the other.
//!
//! Zeros behind a member are padding, as tapes and block devices leave it: they are passed over, as
//! `gzip` does. Whatever else stands behind a member and is none itself is damage.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use zstd::stream::raw::{Decoder as FrameDecoder, Operation as _};
use zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode;

/// Bytes as they are stored.
pub(super) type Input = Box<dyn BufRead + Send>;

/// A log is whole, but this program cannot decompress it. The text says why, and what can.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Unsupported {
    #[error("it takes more than 128 MiB to decompress (zstd --long): pipe it in, with {}", piped("zstd", " --long=31"))]
    LargeWindow,
    #[error("it was compressed with a dictionary: pipe it in, with {}", piped("zstd", " -D DICTIONARY"))]
    Dictionary,
    #[error("it is compressed with {0}: pipe it in, with {piped}", piped = piped(.0, ""))]
    Program(&'static str),
}

/// What other compressed logs begin with, and the program that decompresses them.
const OTHERS: [(&[u8], &str); 3] = [(b"\xFD7zXZ\0", "xz"), (b"BZh", "bzip2"), (b"\x04\x22\x4D\x18", "lz4")];

impl Unsupported {
    /// Whether a log with these first bytes is compressed in another way than those that are known here.
    pub(super) fn of(head: &[u8]) -> Option<Unsupported> {
        let other = OTHERS.iter().find(|(magic, _)| head.starts_with(magic));
        other.map(|(_, program)| Unsupported::Program(program))
    }

    /// Whether this is the error's cause.
    pub(super) fn is_in(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|cause| cause.is::<Unsupported>())
    }
}

fn piped(program: &str, options: &str) -> String {
    format!("`{program} -dc{options} FILE | counter-machine run ... --events -`")
}

/// Gzip members.
pub(super) struct Gzip(GzDecoder<Input>);

impl Gzip {
    pub(super) fn new(input: Input) -> Gzip {
        Gzip(GzDecoder::new(input))
    }
}

impl Read for Gzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.0.read(buffer)?;
            if read > 0 || buffer.is_empty() || !something_follows(self.0.get_mut())? {
                return Ok(read);
            }
            let input = self.0.reset(Box::new(io::empty()));
            self.0.reset(input);
        }
    }
}

/// Zstd frames, of which each takes at most 128 MiB to decode: the library's own limit.
pub(super) struct Zstd {
    input: Input,
    decoder: FrameDecoder<'static>,
    between_frames: bool,
}

impl Zstd {
    pub(super) fn new(input: Input) -> io::Result<Zstd> {
        Ok(Zstd { input, decoder: FrameDecoder::new()?, between_frames: true })
    }
}

impl Read for Zstd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            if self.between_frames && !something_follows(&mut self.input)? {
                break;
            }
            let stored = self.input.fill_buf()?;
            let at_end = stored.is_empty();
            let step = self.decoder.run_on_buffers(stored, buffer).map_err(unsupported_or_damaged)?;
            self.input.consume(step.bytes_read);
            self.between_frames = step.remaining == 0;
            if step.bytes_written > 0 {
                return Ok(step.bytes_written);
            }
            if at_end && !self.between_frames {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "its last frame is not whole"));
            }
        }
        Ok(0)
    }
}

/// Whether anything but zeros comes; these are passed over.
fn something_follows(input: &mut Input) -> io::Result<bool> {
    loop {
        let stored = input.fill_buf()?;
        if stored.is_empty() {
            return Ok(false);
        }
        let zeros = stored.iter().take_while(|byte| **byte == 0).count();
        let only_zeros = zeros == stored.len();
        input.consume(zeros);
        if !only_zeros {
            return Ok(true);
        }
    }
}

fn unsupported_or_damaged(error: io::Error) -> io::Error {
    let Some(cause) = error.get_ref().and_then(|cause| cause.downcast_ref::<zstd::Error>()) else { return error };
    if cause.is(ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge) {
        io::Error::other(Unsupported::LargeWindow)
    } else if cause.is(ZSTD_ErrorCode::ZSTD_error_dictionary_wrong) {
        io::Error::other(Unsupported::Dictionary)
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// A decoder of these bytes, of which it gets so many at once.
    type Decode = fn(&[u8], usize) -> Box<dyn Read>;

    fn input(stored: &[u8], at_once: usize) -> Input {
        Box::new(io::BufReader::with_capacity(at_once, io::Cursor::new(stored.to_vec())))
    }

    type Encode = fn(&[u8]) -> Vec<u8>;

    const FORMS: [(Encode, Decode); 2] = [
        (
            |content| {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            },
            |stored, at_once| Box::new(Gzip::new(input(stored, at_once))),
        ),
        (
            |content| zstd::encode_all(content, 1).unwrap(),
            |stored, at_once| Box::new(Zstd::new(input(stored, at_once)).unwrap()),
        ),
    ];

    /// The content until its end or an error.
    fn content_of(mut decoder: Box<dyn Read>) -> (Vec<u8>, io::Result<()>) {
        let mut content = Vec::new();
        let mut buffer = [0; 1_000];
        loop {
            match decoder.read(&mut buffer) {
                Ok(0) => return (content, Ok(())),
                Ok(read) => content.extend_from_slice(&buffer[..read]),
                Err(error) => return (content, Err(error)),
            }
        }
    }

    /// Text that does not compress to nothing.
    fn text(bytes: usize) -> Vec<u8> {
        (0..bytes as u32).map(|index| b'a' + (index.wrapping_mul(2_654_435_761) >> 28) as u8).collect()
    }

    #[test]
    fn members_and_the_zeros_around_them_are_passed_over_wherever_the_bytes_are_cut() {
        for (encode, decode) in FORMS {
            let (one, two) = (text(100_000), text(7));
            let padding = vec![0; 4_096];
            let stored = [encode(&one), encode(b""), padding.clone(), encode(&two), padding].concat();
            for at_once in [1, 2, 7, 4_096, 1 << 20] {
                let (content, end) = content_of(decode(&stored, at_once));
                assert!(end.is_ok(), "{end:?}");
                assert!(content == [&one[..], &two].concat(), "{at_once}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_no_member_is_damage_behind_what_decodes() {
        for (encode, decode) in FORMS {
            let (log, whole) = (text(1_000), encode(&text(1_000)));
            for behind in
                [b"garbage".to_vec(), [vec![0; 512], b"x".to_vec()].concat(), whole[..whole.len() - 1].to_vec()]
            {
                for at_once in [1, 4_096] {
                    let (content, end) = content_of(decode(&[&whole[..], &behind].concat(), at_once));
                    assert!(content.starts_with(&log));
                    assert!(end.is_err_and(|error| !Unsupported::is_in(&error)));
                }
            }
        }
    }

    #[test]
    fn a_frame_that_needs_a_dictionary_or_much_memory_is_no_damage() {
        let decode = FORMS[1].1;
        let frame = |header: &[u8]| [b"\x28\xB5\x2F\xFD", header, b"\x19\0\0{}\n"].concat();
        let (content, end) = content_of(decode(&frame(b"\x00\x88"), 4_096));
        assert!(content == b"{}\n" && end.is_ok(), "a window of 128 MiB: {end:?}");
        for (header, option) in [(&b"\x00\x89"[..], "--long=31"), (b"\x01\x88\x07", "-D DICTIONARY")] {
            let (_, end) = content_of(decode(&[frame(b"\x00\x88"), frame(header)].concat(), 4_096));
            let error = end.unwrap_err();
            assert!(Unsupported::is_in(&error) && error.to_string().contains(option), "{error}");
        }
    }
}
