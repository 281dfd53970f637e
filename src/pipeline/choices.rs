//! Settings that are one word of a few, read as they stand.

use schemars::JsonSchema;
use serde::Deserialize;

/// What drives windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ClockKind {
    /// The wall clock: live.
    Wall,
    /// The times in the stream: a replay.
    Event,
}

/// Where a run without a checkpoint begins to read a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StartOffset {
    /// At the oldest message that is kept.
    Earliest,
    /// At the messages that are still to come.
    Latest,
}

/// What the two sides of a ratio have to do with each other. Only who wrote the pipeline knows: clicks and
/// views are different events, and so are pushes and stars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RatioKind {
    /// One number divided by another: a price per unit, seconds per view.
    #[default]
    Quotient,
    /// What is counted above is a part of what is counted below, each at most once: the clicked of the viewed.
    Proportion,
}

/// What an item of a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Layout")]
pub enum RawLayout {
    /// One feature of a key.
    #[default]
    Feature,
    /// All features of a key.
    Key,
}

/// How the features of a key stand in their item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As bytes, which `docs/items.md` describes: the smallest.
    #[default]
    Packed,
    /// As a map by their names, to be read as it stands.
    Map,
}
