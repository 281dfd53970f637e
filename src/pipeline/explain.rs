//! What the TOML reader finds wrong, in our words.

use super::error::{Fault, did_you_mean};
use super::sections::{stands_twice, where_it_belongs};

/// What to write for a required key, for the error that it is missing.
const EXAMPLES: [(&str, &str); 10] = [
    ("name", "name = \"...\""),
    ("event", "[event] with name = \"eventName\" and time = \"eventTs\""),
    ("time", "time = \"eventTs\""),
    ("brokers", "brokers = \"localhost:9092\""),
    ("topic", "topic = \"events\""),
    ("key", "key = [\"userId\"]"),
    ("events", "events = \"*\" or events = [\"like\"]"),
    ("decays", "decays = [\"10m\", \"1d\"]"),
    ("numerator", "numerator = \"post.like.count\" (in a prior: numerator = 1)"),
    ("denominator", "denominator = \"post.view.count\" (in a prior: denominator = 20)"),
];

/// How the TOML reader's words are put into ours.
const WORDS: [(&str, &str); 4] = [
    ("wanted string or table", "expected a string"),
    ("expected a sequence", "expected a list"),
    ("type: map", "type: section"),
    ("\n", "; "),
];

/// The TOML reader's error in our words: what it says of unknown and missing keys can be helped.
pub(super) fn explain(error: &toml::de::Error, text: &str) -> Fault {
    let span = error.span().unwrap_or_default();
    let message = error.message().trim_end();
    // serde puts what was found, then what is known, into backticks.
    let mut quoted = message.split('`').skip(1).step_by(2);
    let found = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.collect();
    let list = known.join(", ");
    let message = if message.starts_with("unknown field") {
        // Either may be right: `features` is a section, and near to `feature`.
        let (elsewhere, meant) = (where_it_belongs(found).unwrap_or_default(), did_you_mean(found, known));
        format!("unknown key \"{found}\"{elsewhere}{meant} (here may stand: {list})")
    } else if message.starts_with("unknown variant") {
        format!("unknown value \"{found}\"{} (it may be: {list})", did_you_mean(found, known))
    } else if message.starts_with("missing field") {
        let example = EXAMPLES.iter().find(|(key, _)| *key == found);
        let hint = example.map(|(_, text)| format!(": write {text}")).unwrap_or_default();
        format!("\"{found}\" is missing{hint}")
    } else if message == "duplicate key" {
        let start = text[..span.start].rfind('\n').map_or(0, |end_of_line| end_of_line + 1);
        stands_twice(text[start..].lines().next().unwrap_or_default().trim())
    } else {
        WORDS.iter().fold(message.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
    };
    Fault::new(span, message)
}
