//! What a pipeline file means, and how each mistake is told.

mod beginnings;
mod changes;
mod events;
mod features;
mod meaning;
mod mistakes;

use std::path::Path;
use std::time::Duration;

use super::*;

/// The least that a pipeline can be. The numbers of its lines stand in the expected errors.
const MINIMAL: &str = r#"name = "p"
[event]
name = "eventName"
time = "eventTs"
[[counters]]
name = "user"
key = ["userId"]
events = "*"
decays = ["5s"]
"#;

fn environment(name: &str) -> Option<String> {
    (name == "TOPIC").then(|| "from \"outside\"".to_owned())
}

fn parse(text: &str) -> Result<Pipeline, String> {
    Pipeline::parse(text, "p.toml", &environment).map_err(|error| error.to_string())
}

/// The minimal pipeline with each first text replaced by the second.
fn changed(changes: &[(&str, &str)]) -> String {
    let mut text = MINIMAL.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} does not stand in the minimal pipeline");
        text = text.replacen(from, to, 1);
    }
    text
}

fn parse_changed(from: &str, to: &str) -> Pipeline {
    parse(&changed(&[(from, to)])).expect("a valid pipeline")
}

/// The minimal pipeline with more lines behind it.
fn parse_with(more: &str) -> Result<Pipeline, String> {
    parse(&format!("{MINIMAL}{more}"))
}

#[track_caller]
fn assert_refused(from: &str, to: &str, expected: &str) {
    assert_eq!(parse(&changed(&[(from, to)])).err().as_deref(), Some(expected));
}

#[track_caller]
fn assert_refused_with(more: &str, expected: &str) {
    assert_eq!(parse_with(more).err().as_deref(), Some(expected));
}
