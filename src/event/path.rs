//! Where a field stands in an event.

use std::fmt;
use std::str::FromStr;

use super::MAX_LEVELS;

/// The path to a field: the names of the objects it stands in, from the event's own inwards, and
/// its own, with a dot between each. `user.id` is the field `id` of the object `user`.
///
/// A dot always leads into an object: a name that has a dot in it is written with `\.`, and a
/// backslash as `\\`. Where one of the objects is missing or is no object, so is the field. Of two
/// objects of one name the last one counts, as a whole.
///
/// ```
/// use counter_machine::event::FieldPath;
/// let nested: FieldPath = "user.id".parse()?;
/// assert_eq!(nested.names(), ["user", "id"]);
/// let literal: FieldPath = r"user\.id".parse()?;
/// assert_eq!(literal.names(), ["user.id"]);
/// assert_eq!(literal, FieldPath::top_level("user.id"));
/// # Ok::<(), counter_machine::event::InvalidPath>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(String);

/// Why a text is no path to a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// A name has no letters, or the text has none.
    #[error(
        "\"{0}\" has an empty name in it: names are joined by single dots, as in user.id; a dot that is part of a name is written \\."
    )]
    EmptyName(String),
    /// A backslash that escapes neither a dot nor a backslash.
    #[error(
        "\"{0}\" has a backslash that stands for nothing: write \\. for a dot in a name and \\\\ for a backslash (in a TOML text in double quotes each backslash is written twice)"
    )]
    StrayBackslash(String),
    /// It leads deeper than an event may be.
    #[error("\"{0}\" leads too deep: an event has at most {MAX_LEVELS} levels of objects")]
    TooDeep(String),
}

impl FieldPath {
    /// The field of the event's own object that has exactly this name.
    pub fn top_level(name: &str) -> FieldPath {
        FieldPath(name.replace('\\', r"\\").replace('.', r"\."))
    }

    /// The path as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names along the path; one or more.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![String::new()];
        let mut letters = self.0.chars();
        while let Some(letter) = letters.next() {
            let name = names.last_mut();
            match (letter, name) {
                ('.', _) => names.push(String::new()),
                ('\\', Some(name)) => name.extend(letters.next()),
                (_, Some(name)) => name.push(letter),
                (_, None) => {}
            }
        }
        names
    }
}

impl FromStr for FieldPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<FieldPath, InvalidPath> {
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            if letter == '\\' && !matches!(letters.next(), Some('.' | '\\')) {
                return Err(InvalidPath::StrayBackslash(text.to_owned()));
            }
        }
        let path = FieldPath(text.to_owned());
        let names = path.names();
        if names.iter().any(String::is_empty) {
            return Err(InvalidPath::EmptyName(text.to_owned()));
        }
        if names.len() > MAX_LEVELS {
            return Err(InvalidPath::TooDeep(text.to_owned()));
        }
        Ok(path)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_part_names_unless_they_are_escaped() {
        let names = |text: &str| text.parse::<FieldPath>().unwrap().names();
        assert_eq!(names("userId"), ["userId"]);
        assert_eq!(names("a.b.c"), ["a", "b", "c"]);
        assert_eq!(names(r"a\.b.c\\.d"), ["a.b", r"c\", "d"]);
        assert_eq!(FieldPath::top_level(r"a.b\c").names(), [r"a.b\c"]);
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for text in ["", ".", "a.", ".a", "a..b"] {
            assert_eq!(text.parse::<FieldPath>(), Err(InvalidPath::EmptyName(text.to_owned())));
        }
        for text in [r"\", r"a\b", r"a.\"] {
            assert_eq!(text.parse::<FieldPath>(), Err(InvalidPath::StrayBackslash(text.to_owned())));
        }
        let path = |names| vec!["a"; names].join(".").parse::<FieldPath>();
        assert!(path(MAX_LEVELS).is_ok());
        assert!(matches!(path(MAX_LEVELS + 1), Err(InvalidPath::TooDeep(_))));
    }
}
