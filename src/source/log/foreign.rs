//! Files that are no event logs, told by their first bytes.

use std::fmt;
use std::path::Path;

use super::cut::BYTE_ORDER_MARK;
use crate::outputs::{is_dead_letter, is_of_sqlite, is_positions};

/// What stands in a directory beside its event logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// Dead letters of a run.
    DeadLetters,
    /// Items that a run has published.
    Items,
    /// The positions of a run.
    Positions,
    /// A SQLite database, or a file that belongs to one.
    Sqlite,
    /// Text or bytes that do not begin with a JSON object.
    NoObject,
}

impl Foreign {
    /// What the file with these first bytes is; `None`: perhaps an event log.
    pub(super) fn of(path: &Path, head: &[u8]) -> Option<Foreign> {
        let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head).trim_ascii_start();
        let first_line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if is_of_sqlite(path, head) {
            Some(Foreign::Sqlite)
        } else if is_dead_letter(first_line) == Some(true) {
            Some(Foreign::DeadLetters)
        } else if is_item(text) {
            Some(Foreign::Items)
        } else if is_positions(text) {
            Some(Foreign::Positions)
        } else if text.is_empty() || text.starts_with(b"{") || is_compressed(head) {
            None
        } else {
            Some(Foreign::NoObject)
        }
    }

    /// Whether it is certain to hold no events.
    pub(super) fn is_left_out(self) -> bool {
        self != Foreign::NoObject
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Foreign::DeadLetters => "dead letters of a run",
            Foreign::Items => "items that a run has published",
            Foreign::Positions => "the positions of a run",
            Foreign::Sqlite => "a SQLite database",
            Foreign::NoObject => "it does not begin with a JSON object",
        })
    }
}

fn is_compressed(head: &[u8]) -> bool {
    use super::form::{Form, MAGIC_BYTES};
    Form::of(&head[..head.len().min(MAGIC_BYTES)]) != Some(Form::Plain)
}

/// Items begin with their key (of at most 2,048 bytes), then their feature's name.
fn is_item(text: &[u8]) -> bool {
    text.starts_with(b"{\"key\":\"") && memchr::memmem::find(text, b"\",\"featureName\":\"").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_told_from_events() {
        let of = |head: &str| Foreign::of(Path::new("x.jsonl"), head.as_bytes());
        assert_eq!(of(r#"{"reason":"bad_time","file":"a.jsonl","offset":80,"text":"x"}"#), Some(Foreign::DeadLetters));
        assert_eq!(of(r#"{"reason":"bad_key","topic":"t","partition":0,"offset":8"#), Some(Foreign::DeadLetters));
        assert_eq!(of(r#"{"key":"1","featureName":"like","counts":{}}"#), Some(Foreign::Items));
        assert_eq!(of(r#"{"format":1,"pipeline":"p","version":7,"logs":[]}"#), Some(Foreign::Positions));
        assert_eq!(of("SQLite format 3\0..."), Some(Foreign::Sqlite));
        assert_eq!(of("name,user,time\n"), Some(Foreign::NoObject));
        assert_eq!(of("[\n{}\n]"), Some(Foreign::NoObject));
        for event in ["", "\n\n", "\u{FEFF}{", r#"{"reason":"spam","file":"a"}"#, r#"{"key":"a","eventTs":1}"#] {
            assert_eq!(of(event), None, "{event}");
        }
    }
}
