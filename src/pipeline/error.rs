//! What may be wrong with a pipeline file, told with its line.

use std::ops::Range;
use std::path::PathBuf;

/// Why a pipeline cannot be used: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The file could not be read.
    #[error("cannot read the pipeline file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: std::io::Error,
    },
    /// The file says something that is not right.
    #[error("{file}:{line}: {message}")]
    Invalid {
        /// The file, as it was named.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what to do.
        message: String,
    },
}

/// Something in a pipeline's text that is not right: the bytes it stands in, and what is wrong.
///
/// The checks pass these on; only [`Fault::in_file`] knows the text and makes a line of the span.
#[derive(Debug)]
pub(super) struct Fault {
    span: Range<usize>,
    message: String,
}

impl Fault {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Fault {
        Fault { span, message: message.into() }
    }

    /// The error that a person sees.
    pub(super) fn in_file(self, file: &str, text: &str) -> PipelineError {
        PipelineError::Invalid { file: file.to_owned(), line: line_of(text, self.span.start), message: self.message }
    }
}

/// The line, from 1, in which the byte at `offset` stands.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// `; did you mean "..."?` where one of the `known` names is near to what was written, else nothing.
pub fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(written, known).map(|name| format!("; did you mean \"{name}\"?")).unwrap_or_default()
}

/// The name that was probably meant: the nearest one, whatever its case, within a slip of the pen.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    let typos = (written.chars().count() / 3).max(1);
    let nearest = known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&written, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= typos)
        .min_by_key(|(distance, _)| *distance);
    nearest.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_one_and_end_with_their_newline() {
        let text = "a\nb\n\nc";
        assert_eq!([0, 1, 2, 4, 5].map(|offset| line_of(text, offset)), [1, 1, 2, 3, 4]);
        assert_eq!(line_of(text, 1000), 4);
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["name", "key", "events", "measures", "decays", "feature", "ttl"];
        assert_eq!(did_you_mean("decay", known), "; did you mean \"decays\"?");
        assert_eq!(did_you_mean("Feture", known), "; did you mean \"feature\"?");
        assert_eq!(did_you_mean("colour", known), "");
    }
}
