//! `[[ratios]]`: what readers compute from two features of one key. Nothing of it is stored.

use std::collections::HashSet;

use toml::Spanned;

use super::checks::not_empty;
use super::choices::RatioKind;
use super::error::{Fault, did_you_mean};
use super::group::{Group, Measure, MeasureId};
use super::raw::{RawPrior, RawRatio, Text};
use super::selection::FeatureSelection;
use crate::counter::DecayInterval;
use crate::event::FieldId;

/// A ratio of two features of the same key fields, one value for each decay interval of both.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    /// The ratio's name, which no feature has.
    pub name: String,
    /// The name of the feature above the line.
    pub numerator: String,
    /// The name of the feature below the line. Its rows keep squares, see
    /// [`super::Pipeline::needs_squares`].
    pub denominator: String,
    /// What the two have to do with each other.
    pub kind: RatioKind,
    /// What is added to both for the smoothed value.
    pub prior: Option<Prior>,
    /// The decay intervals that both have, in ascending order; one or more.
    pub decays: Vec<DecayInterval>,
}

/// What a ratio is taken to be before anything is known, `numerator / denominator`, and how much that
/// weighs: as much as `denominator` of what is counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// Added to the numerator; not negative.
    pub numerator: f64,
    /// Added to the denominator; greater than 0.
    pub denominator: f64,
}

/// A ratio that goes with a feature that `[features]` drops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedRatio {
    /// The ratio's name.
    pub name: String,
    /// The first of its features that is dropped.
    pub feature: String,
}

/// Checks the ratios against the features that the groups make (all of them, also those that are not
/// kept), and parts those whose features are both kept from the others.
pub(super) fn ratios(
    raw: &[RawRatio],
    groups: &[Group],
    features: &FeatureSelection,
) -> Result<(Vec<Ratio>, Vec<DroppedRatio>), Fault> {
    let (mut kept, mut dropped, mut names) = (Vec::new(), Vec::new(), HashSet::new());
    for raw in raw {
        let name = ratio_name(&raw.name, groups)?;
        if !names.insert(name) {
            return Err(Fault::new(raw.name.span(), format!("a ratio named \"{name}\" stands here twice")));
        }
        let ratio = ratio(name, raw, groups, features)?;
        let gone = [&ratio.numerator, &ratio.denominator].into_iter().find(|feature| !features.keeps(feature)).cloned();
        match gone {
            None => kept.push(ratio),
            Some(feature) => dropped.push(DroppedRatio { name: ratio.name, feature }),
        }
    }
    Ok((kept, dropped))
}

fn ratio_name<'a>(name: &'a Text, groups: &[Group]) -> Result<&'a str, Fault> {
    let text = not_empty(name, "a ratio's name")?;
    match groups.iter().find(|group| group.makes(text)) {
        Some(group) => {
            let message =
                format!("\"{text}\" is a feature of the group \"{}\": give the ratio another name", group.name);
            Err(Fault::new(name.span(), message))
        }
        None => Ok(text),
    }
}

fn ratio(name: &str, raw: &RawRatio, groups: &[Group], features: &FeatureSelection) -> Result<Ratio, Fault> {
    let (above, weight_above) = maker(&raw.numerator, name, groups, features)?;
    let (below, weight_below) = maker(&raw.denominator, name, groups, features)?;
    let of = |what: &str| format!("the ratio \"{name}\": {what}");
    if above.key != below.key {
        let message = of(&format!(
            "its features have different keys, those of the groups \"{}\" and \"{}\": both need the same fields in the same order",
            above.name, below.name
        ));
        return Err(Fault::new(raw.denominator.span(), message));
    }
    let mut decays = above.decays.intervals().to_vec();
    decays.retain(|interval| below.decays.intervals().contains(interval));
    if decays.is_empty() {
        let message =
            of(&format!("its groups \"{}\" and \"{}\" have no decay interval in common", above.name, below.name));
        return Err(Fault::new(raw.denominator.span(), message));
    }
    if let Some(kind) = &raw.kind
        && *kind.get_ref() == RatioKind::Proportion
        && (weight_above != weight_below || weight_below == Weight::Members)
    {
        let message = of(&format!(
            "{weight_above} above and {weight_below} below make no proportion, which is of two counts or two sums of the \
             same field: remove kind"
        ));
        return Err(Fault::new(kind.span(), message));
    }
    Ok(Ratio {
        name: name.to_owned(),
        numerator: raw.numerator.get_ref().clone(),
        denominator: raw.denominator.get_ref().clone(),
        kind: raw.kind.as_ref().map_or(RatioKind::default(), |kind| *kind.get_ref()),
        prior: raw.prior.as_ref().map(prior).transpose()?,
        decays,
    })
}

/// What an event adds to a feature.
#[derive(Debug, PartialEq, Eq)]
enum Weight {
    /// The product of these fields; 1 where there is none.
    Product(Vec<FieldId>),
    /// A member, once.
    Members,
}

impl Weight {
    fn of(group: &Group, measure: &Measure) -> Weight {
        match measure.members {
            Some(_) => Weight::Members,
            None => Weight::Product(group.weight.into_iter().chain(measure.weight).collect()),
        }
    }
}

impl std::fmt::Display for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Weight::Product(fields) if fields.is_empty() => "a count",
            Weight::Product(_) => "a sum",
            Weight::Members => "uniques",
        })
    }
}

/// The group that makes this feature, and what an event adds to it.
fn maker<'a>(
    feature: &Text,
    ratio: &str,
    groups: &'a [Group],
    features: &FeatureSelection,
) -> Result<(&'a Group, Weight), Fault> {
    let name = feature.get_ref();
    let maker = groups.iter().find_map(|group| group.measure_of(name).map(|measure| (group, measure)));
    if let Some((group, measure)) = maker {
        return Ok((group, Weight::of(group, measure)));
    }
    let known: Vec<String> = groups.iter().flat_map(fixed_names).filter(|name| features.keeps(name)).collect();
    let meant = did_you_mean(name, known.iter().map(String::as_str));
    let message =
        format!("the ratio \"{ratio}\": no group makes a feature \"{name}\"{meant} (`check --list` prints the names)");
    Err(Fault::new(feature.span(), message))
}

fn fixed_names(group: &Group) -> impl Iterator<Item = String> {
    (0..group.measures.len()).flat_map(|measure| group.fixed_names(MeasureId(measure as u16)))
}

fn prior(raw: &Spanned<RawPrior>) -> Result<Prior, Fault> {
    let RawPrior { numerator, denominator } = *raw.get_ref();
    let is_prior = numerator >= 0.0 && numerator.is_finite() && denominator > 0.0 && denominator.is_finite();
    if is_prior {
        return Ok(Prior { numerator, denominator });
    }
    let message = "a prior is a numerator of 0 or more and a denominator above 0, for example { numerator = 1, denominator = 20 }";
    Err(Fault::new(raw.span(), message))
}
