//! `[features]`: which of the features that the groups make are kept, after feature selection.
//!
//! Patterns choose by name: first `keep` (without it, everything), then `drop`. What no kept feature
//! needs is taken out of the groups before they get their meaning ([`prune`]): measures, events, and
//! with them fields and whole groups. What is left of a group may still hold single pairs of event
//! and measure that are dropped, and of a group that takes every event nobody knows the names
//! beforehand: so whoever makes a feature asks [`FeatureSelection::keeps`].

use std::ops::Range;

use toml::Spanned;

use super::checks::not_empty;
use super::error::Fault;
use super::group::{EventSelector, Group, Measure, MeasureId};
use super::pattern::{OpenName, Pattern};
use super::raw::{RawEvents, RawFeatures, RawGroup, Text};

/// Which features are kept; by default all.
#[derive(Clone, Debug, Default)]
pub struct FeatureSelection {
    /// `None`: every feature, but for what is dropped.
    keep: Option<Vec<Pattern>>,
    drop: Vec<Pattern>,
    unmatched: Vec<Pattern>,
    emptied_groups: Vec<String>,
}

impl FeatureSelection {
    /// Checks the section against all features that the groups make.
    pub(super) fn new(raw: Option<&Spanned<RawFeatures>>, groups: &[Group]) -> Result<FeatureSelection, Fault> {
        let Some(raw) = raw else { return Ok(FeatureSelection::default()) };
        let (span, raw) = (raw.span(), raw.get_ref());
        let keep = raw.keep.as_ref().map(keep_patterns).transpose()?;
        let mut selection = FeatureSelection { keep, drop: patterns(&raw.drop)?, ..FeatureSelection::default() };
        let names: Vec<FeatureNames> = groups.iter().flat_map(FeatureNames::of_group).collect();
        selection.unmatched = selection.patterns_without(&names);
        let is_empty = |group: &&Group| !FeatureNames::of_group(group).iter().any(|names| selection.keeps_some(names));
        selection.emptied_groups = groups.iter().filter(is_empty).map(|group| group.name.clone()).collect();
        if selection.emptied_groups.len() == groups.len() { Err(nothing_left(span)) } else { Ok(selection) }
    }

    /// Whether a feature of this name is kept.
    pub fn keeps(&self, feature_name: &str) -> bool {
        let kept = self.keep.as_ref().is_none_or(|keep| keep.iter().any(|pattern| pattern.matches(feature_name)));
        kept && !self.drop.iter().any(|pattern| pattern.matches(feature_name))
    }

    /// The groups of which nothing is left. They are no longer among the pipeline's.
    pub fn emptied_groups(&self) -> &[String] {
        &self.emptied_groups
    }

    /// What is allowed but hardly meant.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        self.unmatched.iter().map(|pattern| {
            format!("[features]: the pattern \"{}\" matches no feature: `check --list` prints the names", pattern.0)
        })
    }

    fn keeps_some(&self, names: &FeatureNames) -> bool {
        match names {
            FeatureNames::Fixed(names) => names.iter().any(|name| self.keeps(name)),
            FeatureNames::Open(name) => {
                let kept = self.keep.as_ref().is_none_or(|keep| keep.iter().any(|pattern| pattern.may_match(name)));
                kept && !self.drop.iter().any(|pattern| pattern.covers(name))
            }
        }
    }

    fn patterns_without(&self, names: &[FeatureNames]) -> Vec<Pattern> {
        let matches_none = |pattern: &&Pattern| !names.iter().any(|names| names.some_matches(pattern));
        self.keep.iter().flatten().chain(&self.drop).filter(matches_none).cloned().collect()
    }
}

fn keep_patterns(raw: &Spanned<Vec<Text>>) -> Result<Vec<Pattern>, Fault> {
    match raw.get_ref().as_slice() {
        [] => Err(Fault::new(raw.span(), "keep needs one or more patterns; without keep every feature is kept")),
        texts => patterns(texts),
    }
}

fn patterns(raw: &[Text]) -> Result<Vec<Pattern>, Fault> {
    raw.iter().map(|text| not_empty(text, "a pattern").map(|text| Pattern(text.to_owned()))).collect()
}

fn nothing_left(span: Range<usize>) -> Fault {
    Fault::new(span, "nothing is left to count: no feature passes keep and drop")
}

/// The names of the features of one measure of one group.
enum FeatureNames {
    /// In the order of the group's events; a single one where they are pooled.
    Fixed(Vec<String>),
    /// One for every event there will be.
    Open(OpenName),
}

impl FeatureNames {
    /// One for each measure, in their order.
    fn of_group(group: &Group) -> Vec<FeatureNames> {
        let of_measure = |(id, measure): (u16, &Measure)| match &group.events {
            EventSelector::All => match group.feature.around_event(&group.name, &measure.name) {
                Some((prefix, suffix)) => FeatureNames::Open(OpenName { prefix, suffix }),
                None => FeatureNames::Fixed(group.fixed_names(MeasureId(id))),
            },
            EventSelector::Listed(_) => FeatureNames::Fixed(group.fixed_names(MeasureId(id))),
        };
        (0..).zip(&group.measures).map(of_measure).collect()
    }

    fn some_matches(&self, pattern: &Pattern) -> bool {
        match self {
            FeatureNames::Fixed(names) => names.iter().any(|name| pattern.matches(name)),
            FeatureNames::Open(name) => pattern.may_match(name),
        }
    }
}

/// Takes out what no kept feature needs: measures, events, whole groups. `groups` is what `raw` means.
pub(super) fn prune(raw: &mut Vec<Spanned<RawGroup>>, groups: &[Group], selection: &FeatureSelection) {
    let mut expanded = groups.iter();
    raw.retain_mut(|raw| {
        let Some(group) = expanded.next() else { return true };
        let names = FeatureNames::of_group(group);
        let kept: Vec<bool> = names.iter().map(|names| selection.keeps_some(names)).collect();
        let raw = raw.get_mut();
        if let Some(measures) = &mut raw.measures {
            retain_at(measures.get_mut(), |index| kept[index]);
        }
        if let (RawEvents::Listed(events), true) = (raw.events.get_mut(), group.feature.names_event()) {
            retain_at(events, |index| {
                names.iter().any(|names| match names {
                    FeatureNames::Fixed(names) => selection.keeps(&names[index]),
                    FeatureNames::Open(_) => true,
                })
            });
        }
        kept.contains(&true)
    });
}

/// Keeps the elements in these indices.
fn retain_at<T>(list: &mut Vec<T>, mut keep: impl FnMut(usize) -> bool) {
    let mut indices = 0..;
    list.retain(|_| indices.next().is_none_or(&mut keep));
}
