//! Files that runs write, told by how they begin: an event log is none of them, dead letters are only appended to
//! dead letters, and positions take only the place of positions.

use std::path::Path;

use serde_json::{Map, Value};

use crate::event::Reason;

/// How every line of dead letters begins.
pub(crate) const DEAD_LETTER_BEGINNING: &[u8] = br#"{"reason":""#;

/// Whether this is a line of dead letters: of this version, or of one with other reasons. `None`: it is cut (by a crash, or
/// because no more of it was read), and what there is of it does not say.
pub(crate) fn is_dead_letter(line: &[u8]) -> Option<bool> {
    let Ok(line) = serde_json::from_slice::<Map<String, Value>>(line) else { return begins_as_dead_letter(line) };
    let has = |names: &[&str]| names.iter().any(|name| line.contains_key(*name));
    let is_event =
        line.get("offset").is_some_and(Value::is_number) && has(&["file", "topic"]) && has(&["text", "base64"]);
    let is_item = has(&["table"]) && has(&["featureName"]) && has(&["detail"]) && has(&["item"]);
    Some(line.get("reason").is_some_and(Value::is_string) && (is_event || is_item))
}

/// They begin with their reason and what they were read from, in this order.
fn begins_as_dead_letter(cut: &[u8]) -> Option<bool> {
    let Some(rest) = cut.strip_prefix(DEAD_LETTER_BEGINNING) else {
        let may_become_one = !cut.is_empty() && DEAD_LETTER_BEGINNING.starts_with(cut);
        return if may_become_one { None } else { Some(false) };
    };
    let origin = Reason::ALL.iter().find_map(|reason| rest.strip_prefix(reason.as_str().as_bytes()));
    let is_event =
        origin.is_some_and(|rest| [&br#"","file":"#[..], br#"","topic":"#].iter().any(|next| rest.starts_with(next)));
    let is_item = rest.starts_with(br#"refused_item","table":"#);
    (is_event || is_item).then_some(true)
}

/// So much of a file tells whether it holds positions.
pub(crate) const POSITIONS_BEGINNING_BYTES: usize = 64;

/// Whether a file with these first bytes holds the positions of a run, in whatever format: these begin with its number and
/// the pipeline's name.
pub(crate) fn is_positions(head: &[u8]) -> bool {
    let Some(rest) = head.strip_prefix(br#"{"format":"#) else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest[digits..].starts_with(br#","pipeline":""#)
}

const SQLITE_DATABASE: &[u8] = b"SQLite format 3\0";
const SQLITE_LOGS: [&[u8]; 2] = [b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"];

/// The files that SQLite keeps beside a database, by the ending of their names, and what such a file begins with. (Zeros:
/// it was just made, or is done with.)
pub(crate) const SQLITE_COMPANIONS: [(&str, &[&[u8]]); 3] = [
    ("-wal", &SQLITE_LOGS),
    ("-shm", &[&3_007_000_u32.to_ne_bytes(), &[0; 4]]),
    ("-journal", &[b"\xd9\xd5\x05\xf9", &[0; 4]]),
];

/// Whether a file with this name and these first bytes is a database, or belongs to one.
pub(crate) fn is_of_sqlite(path: &Path, head: &[u8]) -> bool {
    head.starts_with(SQLITE_DATABASE)
        || SQLITE_LOGS.iter().any(|beginning| head.starts_with(beginning))
        || stands_beside_its_database(path)
}

fn stands_beside_its_database(path: &Path) -> bool {
    let Some(name) = path.to_str() else { return false };
    let database = SQLITE_COMPANIONS.iter().find_map(|(ending, _)| name.strip_suffix(ending));
    database.is_some_and(|database| Path::new(database).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_dead_letters_says_why_where_and_what() {
        for line in [
            r#"{"reason":"bad_time","file":"a.jsonl","offset":80,"text":"x"}"#,
            r#"{"reason":"bad_key","topic":"t","partition":0,"offset":8,"base64":"/w=="}"#,
            r#"{"reason":"refused_item","table":"table T in r","key":"7","featureName":"like","detail":"no","item":{}}"#,
            r#"{"reason":"refused_item","table":"table T"#,
            r#"{"reason":"of_another_version","file":"a.jsonl","offset":80,"text":"x"}"#,
            r#"{"reason":"bad_key","topic":"t","partition":0,"offset":8"#,
        ] {
            assert_eq!(is_dead_letter(line.as_bytes()), Some(true), "{line}");
        }
        for line in ["", "\n", "{}", "yes", r#"{"reason":"spam","file":"a"}"#, r#"{"key":"1","reason":"x"#] {
            assert_eq!(is_dead_letter(line.as_bytes()), Some(false), "{line}");
        }
    }

    #[test]
    fn positions_are_told_by_their_format_and_pipeline() {
        assert!(is_positions(br#"{"format":1,"pipeline":"p","version":7,"#));
        assert!(is_positions(br#"{"format":12,"pipeline":""#));
        for other in ["", "{}", r#"{"format":1,"#, r#"{"format":,"pipeline":"p"}"#, r#"{"format":1,"name":"p"}"#] {
            assert!(!is_positions(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_line_that_is_cut_early_may_be_one() {
        for line in ["{", r#"{"reason":""#, r#"{"reason":"bad_ti"#, r#"{"reason":"spam","file":"a""#] {
            assert_eq!(is_dead_letter(line.as_bytes()), None, "{line}");
        }
    }
}
