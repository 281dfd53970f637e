//! The terminal, where there is one: how wide it is, and the one line at its bottom that changes.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use terminal_size::{Width, terminal_size_of};

/// How many columns stderr has; `None` where it is no terminal.
pub fn stderr_columns() -> Option<usize> {
    columns(io::stderr())
}

/// How many columns stdout has; `None` where it is no terminal.
pub fn stdout_columns() -> Option<usize> {
    columns(io::stdout())
}

fn columns(stream: impl AsFd) -> Option<usize> {
    // A terminal that does not know its size says 0.
    terminal_size_of(stream).map(|(Width(columns), _)| usize::from(columns)).filter(|columns| *columns > 0)
}

/// Whether stderr is a terminal on which a line can be taken back.
pub fn has_status_line() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|kind| kind != "dumb")
}

/// Goes to the beginning of the line, and takes back what follows.
const TAKE_BACK: &str = "\r\x1b[K";

/// Whether the status line stands there.
static SHOWN: Mutex<bool> = Mutex::new(false);

/// Shows this, of less than a line, in place of what was shown before.
pub fn show_status(text: &str) {
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *shown = io::stderr().write_all(format!("{TAKE_BACK}{text}").as_bytes()).is_ok();
}

/// Takes the status line away.
pub fn clear_status() {
    let _ = above_the_status(|| Ok(()));
}

/// Writes to stderr where the status line was; that comes again with the next one.
pub fn above_the_status(write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if std::mem::take(&mut *shown) {
        io::stderr().write_all(TAKE_BACK.as_bytes())?;
    }
    write()
}

/// Breaks lines that are longer than `columns` at spaces, and begins the rest below the place where the line's value begins:
/// behind its first gap of two spaces, or else where the line begins, but two columns in. A word that is longer than that stays whole.
pub fn wrap(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return text.to_owned() };
    text.split_inclusive('\n').map(|line| wrap_line(line, columns)).collect()
}

fn wrap_line(line: &str, columns: usize) -> String {
    let (content, end) = line.strip_suffix('\n').map_or((line, ""), |content| (content, "\n"));
    if content.chars().count() <= columns {
        return line.to_owned();
    }
    let leading = content.len() - content.trim_start().len();
    let indent = value_column(content).unwrap_or(leading.max(2));
    let indent = if indent < columns / 2 { indent } else { 2 };
    let mut wrapped = String::new();
    let mut column = 0;
    for (index, word) in content.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 && !word.is_empty() && column > indent && column + 1 + length > columns {
            wrapped.truncate(wrapped.trim_end().len());
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent));
            column = indent;
        } else if index > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped + end
}

/// Where a line of a name and a value, with a gap between them, has its value.
fn value_column(line: &str) -> Option<usize> {
    let name = line.len() - line.trim_start().len();
    let gap = name + line[name..].find("  ")?;
    let value = gap + line[gap..].find(|character| character != ' ')?;
    Some(line[..value].chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_below_their_value() {
        let text = "\
event         name in eventName, time in eventTs (s), at most 1d ahead
  dead letters   8 (2 not_an_object, 1 invalid_utf8, 1 bad_name)
short
a sentence without any gap is broken as well
";
        let expected = "\
event         name in eventName, time in
              eventTs (s), at most 1d
              ahead
  dead letters   8 (2 not_an_object, 1
                 invalid_utf8, 1
                 bad_name)
short
a sentence without any gap is broken as
  well
";
        assert_eq!(wrap(text, Some(40)), expected);
        assert_eq!(wrap(text, None), text);
        assert_eq!(wrap(text, Some(200)), text);
    }

    #[test]
    fn nothing_but_spaces_and_line_ends_changes_and_no_number_is_cut() {
        let text = "  events         1,234,567,890 of them, and a/path/that/is/longer/than/the/whole/line twice\n";
        for columns in 1..100 {
            let wrapped = wrap(text, Some(columns));
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&wrapped), words(text), "{columns}");
            let longest = wrapped.lines().map(|line| line.trim_start()).filter(|line| line.contains(' '));
            assert!(columns < 40 || longest.into_iter().all(|line| line.len() <= columns), "{wrapped}");
        }
    }
}
