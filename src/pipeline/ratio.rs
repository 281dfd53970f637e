//! `[[ratios]]`: what readers compute from two features of one key. Nothing of it is stored.

use std::collections::HashSet;

use toml::Spanned;

use super::error::{Fault, did_you_mean};
use super::expand::not_empty;
use super::raw::{RawPrior, RawRatio, Text};
use super::{FeatureSelection, Group, MeasureId};
use crate::counter::DecayInterval;

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

impl Prior {
    /// The ratio drawn towards the prior: `(n + prior.n) / (d + prior.d)`, the mean of a Beta
    /// distribution with the prior's pseudo-counts where `n` of `d` are a proportion.
    pub fn smooth(&self, numerator: f64, denominator: f64) -> f64 {
        (numerator + self.numerator) / (denominator + self.denominator)
    }
}

/// Checks the ratios against the features that the groups make (all of them, also those that are not
/// kept).
pub(super) fn ratios(raw: &[RawRatio], groups: &[Group], features: &FeatureSelection) -> Result<Vec<Ratio>, Fault> {
    let mut names = HashSet::new();
    raw.iter()
        .map(|raw| {
            let name = ratio_name(&raw.name, groups)?;
            if !names.insert(name) {
                return Err(Fault::new(raw.name.span(), format!("a ratio named \"{name}\" stands here twice")));
            }
            ratio(name, raw, groups, features)
        })
        .collect()
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
    let above = maker(&raw.numerator, name, groups, features)?;
    let below = maker(&raw.denominator, name, groups, features)?;
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
    Ok(Ratio {
        name: name.to_owned(),
        numerator: raw.numerator.get_ref().clone(),
        denominator: raw.denominator.get_ref().clone(),
        prior: raw.prior.as_ref().map(prior).transpose()?,
        decays,
    })
}

/// The group that makes this feature.
fn maker<'a>(
    feature: &Text,
    ratio: &str,
    groups: &'a [Group],
    features: &FeatureSelection,
) -> Result<&'a Group, Fault> {
    let name = feature.get_ref();
    let refuse = |message: String| Err(Fault::new(feature.span(), format!("the ratio \"{ratio}\": {message}")));
    match groups.iter().find(|group| group.makes(name)) {
        None => {
            let known: Vec<String> = groups.iter().flat_map(fixed_names).filter(|name| features.keeps(name)).collect();
            let meant = did_you_mean(name, known.iter().map(String::as_str));
            refuse(format!("no group makes a feature \"{name}\"{meant} (`check --list` prints the names)"))
        }
        Some(_) if !features.keeps(name) => {
            refuse(format!("[features] drops its feature \"{name}\": keep that, or remove the ratio"))
        }
        Some(group) => Ok(group),
    }
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
