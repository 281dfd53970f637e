//! The last line of a log that still grows: it may not be whole yet.

use std::fs::File;
use std::io;

use memchr::memrchr;
use serde::de::IgnoredAny;

use super::cut::BYTE_ORDER_MARK;
use crate::source::read_at;

/// How much is looked at to find where the last line begins, if it is a long one.
const LOOK_BYTES: u64 = 64 * 1_024;

/// Where the whole lines end that a file has from `from` on, before `length`. A last line without its newline is whole if
/// it is a whole JSON value, of at most `max_line_bytes`.
pub(super) fn end_of_whole_lines(file: &File, from: u64, length: u64, max_line_bytes: usize) -> io::Result<u64> {
    let begin = last_line(file, from, length)?;
    if begin == length || length - begin > max_line_bytes as u64 {
        return Ok(begin);
    }
    let mut line = Vec::new();
    read_at(file, begin, (length - begin) as usize, &mut line)?;
    let mark = if begin == 0 { BYTE_ORDER_MARK } else { b"" };
    Ok(if is_whole(line.strip_prefix(mark).unwrap_or(&line)) { length } else { begin })
}

/// Whether nothing is missing of a line that has no newline.
fn is_whole(line: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(line).is_ok()
}

/// Where the line begins that has no newline; `length`, where the last one has.
fn last_line(file: &File, from: u64, length: u64) -> io::Result<u64> {
    let (mut end, mut bytes) = (length, Vec::new());
    while end > from {
        let start = end.saturating_sub(LOOK_BYTES).max(from);
        read_at(file, start, (end - start) as usize, &mut bytes)?;
        if let Some(newline) = memrchr(b'\n', &bytes) {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
    }
    Ok(from)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn end(log: &str, from: u64) -> u64 {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(log.as_bytes()).unwrap();
        end_of_whole_lines(&file, from, log.len() as u64, 100_000).unwrap()
    }

    #[test]
    fn a_last_line_without_its_newline_counts_if_it_is_a_whole_value() {
        for (log, from, expected) in [
            ("", 0, 0),
            ("{}\n", 0, 3),
            ("{}\n{\"a\":1}", 0, 10),
            ("{}\n{\"a\":1} \r", 0, 12),
            ("{}\n{\"a\":1", 0, 3),
            ("{\"a\":1", 0, 0),
            ("{}\n{\"a\":", 3, 3),
            ("{}\n  ", 0, 3),
            ("{}\n{} {", 0, 3),
            ("\u{FEFF}{}", 0, 5),
        ] {
            assert_eq!(end(log, from), expected, "{log:?}");
        }
    }

    #[test]
    fn however_long_it_is() {
        let long = |bytes: usize| format!("{{}}\n\"{}\"", "x".repeat(bytes));
        assert_eq!(end(&long(99_998), 0), 100_003);
        assert_eq!(end(&long(99_999), 0), 3, "longer than a line may be: nobody knows what it will be");
        assert_eq!(end(&long(200_000), 3), 3);
    }
}
