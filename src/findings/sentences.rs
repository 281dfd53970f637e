//! The wording of findings. Whatever comes from events stands in quotes, escaped.

use crate::telemetry::HumanCount;

/// Of more than so many names, groups or values only some stand in a sentence.
const MOST_IN_A_ROW: usize = 5;

/// Something that got nothing, or not all that it might have.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Whether it is hardly meant so; else it may well be right. (See the head of this module.)
    pub is_sure: bool,
    /// What, where in the pipeline file, and what was probably meant.
    pub text: String,
}

/// What is told of one group, or of none.
pub(super) struct Told {
    pub(super) is_sure: bool,
    pub(super) group: Option<String>,
    pub(super) what: String,
}

/// One line for all groups of which the same is told; what is sure first.
pub(super) fn lines(told: Vec<Told>) -> Vec<Finding> {
    let mut merged: Vec<(bool, String, Vec<String>)> = Vec::new();
    for Told { is_sure, group, what } in told {
        let known = merged.iter_mut().find(|(_, known, _)| *known == what);
        match known {
            Some((sure, _, groups)) => {
                *sure |= is_sure;
                groups.extend(group);
            }
            None => merged.push((is_sure, what, group.into_iter().collect())),
        }
    }
    merged.sort_by_key(|(is_sure, ..)| !is_sure);
    let line = |(is_sure, what, groups): (bool, String, Vec<String>)| {
        let names: Vec<&str> = groups.iter().map(String::as_str).collect();
        let text = match names.as_slice() {
            [] => what,
            [group] => format!("group {group:?}: {what}"),
            groups => format!("groups {}: {what}", quoted(groups, "and")),
        };
        Finding { is_sure, text }
    };
    merged.into_iter().map(line).collect()
}

/// `"a", "b" or "c"`; of many, the first few and how many more there are.
pub(super) fn quoted(names: &[&str], conjunction: &str) -> String {
    in_a_row(&names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>(), conjunction)
}

/// `"a" (7) and "b" (2)`.
pub(super) fn quoted_and_counted(names: &[(&str, u64)]) -> String {
    let named: Vec<String> = names.iter().map(|(name, count)| format!("{name:?} ({})", whole(*count))).collect();
    in_a_row(&named, "and")
}

fn in_a_row(names: &[String], conjunction: &str) -> String {
    let (named, more) = names.split_at(names.len().min(MOST_IN_A_ROW));
    match (named, more.len()) {
        ([], _) => String::new(),
        ([one], 0) => one.clone(),
        ([first @ .., last], 0) => format!("{} {conjunction} {last}", first.join(", ")),
        (_, more) => format!("{} {conjunction} {more} more", named.join(", ")),
    }
}

/// A whole number with commas.
pub(super) fn whole(number: u64) -> String {
    HumanCount(number).to_string()
}
