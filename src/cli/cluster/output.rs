//! What processes say on stderr, line by line, each with who says it.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::thread::{self, JoinHandle};

/// A line that is longer is told in parts.
const MOST_BYTES: u64 = 64 << 10;

/// Hands on what a process says, until it ends.
pub(super) fn hand_on(index: u32, from: impl Read + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name(format!("stderr p{index}")).spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while (&mut from).take(MOST_BYTES).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if !line.ends_with(b"\n") {
                line.push(b'\n');
            }
            let told = with_origin(index, &line);
            line.clear();
            // Nobody listens: what is said is lost, and the processes go on.
            let _ = std::io::stderr().lock().write_all(&told);
        }
    })
}

/// A line, and who says it: an object of JSON has it as its first member.
fn with_origin(index: u32, line: &[u8]) -> Vec<u8> {
    let (origin, rest) = match line.strip_prefix(b"{") {
        Some(members) if !members.starts_with(b"}") => (format!("{{\"process\":{index},"), members),
        _ => (format!("p{index} | "), line),
    };
    [origin.as_bytes(), rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_who_says_them_and_stay_what_they_are() {
        assert_eq!(with_origin(2, b"INFO done\n"), b"p2 | INFO done\n");
        assert_eq!(with_origin(0, b"{\"level\":\"INFO\"}\n"), b"{\"process\":0,\"level\":\"INFO\"}\n");
        assert_eq!(with_origin(1, b"{}\n"), b"p1 | {}\n");
    }
}
