//! What a run says of what got nothing: warnings at its end, and what was missing by group.

use std::cmp::Reverse;
use std::path::Path;

use crate::findings::{GroupTally, Observations, Observed, findings};
use crate::pipeline::Pipeline;
use crate::telemetry::HumanCount;

/// More warnings than this hide each other; `check` tells them all.
const MOST_WARNINGS: usize = 8;

/// So many groups stand in a line of the summary, those that lack most.
const GROUPS_NAMED: usize = 3;

/// Warns of what surely got nothing, and of times that are odd, if there was no warning of them yet.
pub(super) fn warn(pipeline: &Pipeline, path: &Path, observations: &Observations, observed: &Observed) {
    observations.judge_times();
    let mut sure = findings(pipeline, observed);
    sure.retain(|finding| finding.is_sure);
    for finding in sure.iter().take(MOST_WARNINGS) {
        tracing::warn!("{}", finding.text);
    }
    if sure.len() > MOST_WARNINGS {
        let (more, path) = (sure.len() - MOST_WARNINGS, path.display());
        tracing::warn!("and {more} more of this kind: `check {path} --events` with a part of the log tells them all");
    }
}

/// What a doubt asks; the warning has told the rest.
pub(super) fn question(doubt: &str) -> String {
    doubt.split_inclusive('?').next().unwrap_or(doubt).to_owned()
}

/// How much was missing and where: `1,200 (user 1,000, post 200)`; nothing where nothing was.
pub(super) fn missing_text(pipeline: &Pipeline, observed: &Observed, of: fn(&GroupTally) -> u64) -> Option<String> {
    let mut groups = missing(pipeline, observed, of);
    groups.sort_by_key(|(_, missing)| Reverse(*missing));
    let all: u64 = groups.iter().map(|(_, missing)| missing).sum();
    let mut parts: Vec<String> =
        groups.iter().take(GROUPS_NAMED).map(|(name, missing)| format!("{name} {}", HumanCount(*missing))).collect();
    if groups.len() > GROUPS_NAMED {
        parts.push(format!("{} more groups", groups.len() - GROUPS_NAMED));
    }
    (all > 0).then(|| format!("{} ({})", HumanCount(all), parts.join(", ")))
}

/// The same of every group, as a log wants it: `user=1000,post=200`.
pub(super) fn missing_fields(pipeline: &Pipeline, observed: &Observed, of: fn(&GroupTally) -> u64) -> String {
    let part = |(name, missing): (&str, u64)| format!("{name}={missing}");
    missing(pipeline, observed, of).into_iter().map(part).collect::<Vec<_>>().join(",")
}

fn missing<'a>(pipeline: &'a Pipeline, observed: &Observed, of: fn(&GroupTally) -> u64) -> Vec<(&'a str, u64)> {
    let groups = pipeline.groups.iter().zip(observed.routes.groups());
    groups.map(|(group, tally)| (group.name.as_str(), of(tally))).filter(|(_, missing)| *missing > 0).collect()
}
