//! Text from outside, made fit to be shown: keys, names, paths, and what a broker or AWS says.
//!
//! A terminal obeys control characters, and shows text with marks of direction in another order than it has. So whatever
//! came from outside is shown with these escaped: [`Printable`] for a value that stands in a line of ours,
//! [`printable_text`] for a whole text of ours on its way out, as a second line of defence, and [`write_json`] for JSON, whose
//! values stay the same.

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};
use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Shows a value within one line: what does not print, newlines among it, is escaped as `\n`, `\u{1b}`.
#[derive(Clone, Copy, Debug)]
pub struct Printable<T>(pub T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// Passes text on, escaped.
struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if is_printable(character) {
                self.0.write_char(character)?;
            } else {
                write!(self.0, "{}", character.escape_default())?;
            }
        }
        Ok(())
    }
}

/// A text of several lines: its newlines and tabs stay, everything else that does not print is escaped.
pub fn printable_text(text: &str) -> Cow<'_, str> {
    let stays = |character| is_printable(character) || matches!(character, '\n' | '\t');
    escaped(text, stays, |character, to| to.extend(character.escape_default()))
}

/// JSON with what does not print escaped, as JSON does it: it means the same.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    // Outside of strings JSON has no other characters than these two that do not print.
    let stays = |character| is_printable(character) || matches!(character, '\n' | '\t');
    escaped(json, stays, |character, to| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(to, "\\u{unit:04x}");
        }
    })
}

fn escaped(text: &str, stays: impl Fn(char) -> bool, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    let Some(first) = text.find(|character| !stays(character)) else { return Cow::Borrowed(text) };
    let mut whole = text[..first].to_owned();
    for character in text[first..].chars() {
        if stays(character) { whole.push(character) } else { escape(character, &mut whole) }
    }
    Cow::Owned(whole)
}

/// Whether a terminal shows it, in its place: no control character (C0, DEL, C1), no line or paragraph separator, no
/// mark of direction and no other invisible format control but the joiners, without which some scripts cannot be
/// written.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// Writes a value as JSON on one line, with what does not print escaped.
pub fn write_json(out: impl io::Write, value: &impl Serialize) -> io::Result<()> {
    Ok(value.serialize(&mut Serializer::with_formatter(out, PrintableJson))?)
}

/// The usual, compact form.
struct PrintableJson;

impl Formatter for PrintableJson {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        writer.write_all(printable_json(fragment).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A title for the terminal, DEL, the C1 form of a control sequence, an override of the direction, a separator.
    const NASTY: &str = "a\x1b]0;x\x07\u{7f}\u{9b}2J\u{202e}\u{2028}\u{2066}\u{e0041}b\r\nc";

    #[test]
    fn what_does_not_print_is_escaped() {
        let expected = r"a\u{1b}]0;x\u{7}\u{7f}\u{9b}2J\u{202e}\u{2028}\u{2066}\u{e0041}b\r\nc";
        assert_eq!(Printable(NASTY).to_string(), expected);
        assert_eq!(printable_text(NASTY), expected.replace(r"\n", "\n"));
    }

    #[test]
    fn what_prints_stays() {
        // Among it a family that is joined, a flag, and a joiner that Persian needs.
        let text = r#"ключ 鍵 é "a\|b" 👨‍👩‍👧 🇩🇪 می‌خواهم"#;
        assert_eq!(Printable(text).to_string(), text);
        assert!(matches!(printable_text("two\nlines\twith a tab"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_means_the_same_and_prints() {
        let mut json = Vec::new();
        write_json(&mut json, &NASTY).unwrap();
        let json = String::from_utf8(json).unwrap();
        assert!(json.chars().all(is_printable), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), NASTY);
        let plain = serde_json::to_string(NASTY).unwrap();
        assert_eq!(printable_json(&plain), json);
    }
}
