//! `[publish]`: how often a table gets what has changed, and in what items.

use std::fmt;
use std::time::Duration;

use toml::Spanned;

use super::checks::duration;
use super::choices::{Encoding, RawLayout};
use super::error::Fault;
use super::fields::key_fields_fit;
use super::group::Group;
use super::model::WindowConfig;
use super::raw::{RawGroup, RawPublish, Text};

/// How often a table gets what has changed of some groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rhythm {
    /// The time from one publication to the next.
    pub every: Duration,
    /// It is the window's length, because the file does not say otherwise.
    pub is_default: bool,
}

/// What an item of a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One feature of a key.
    Feature,
    /// All features of a key, as this encoding has them.
    Key(Encoding),
}

impl Layout {
    /// As `layout` says it in a pipeline file.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Feature => "feature",
            Layout::Key(_) => "key",
        }
    }

    /// As `encoding` says it in a pipeline file.
    pub fn encoding_name(self) -> Option<&'static str> {
        match self {
            Layout::Feature => None,
            Layout::Key(Encoding::Packed) => Some("packed"),
            Layout::Key(Encoding::Map) => Some("map"),
        }
    }
}

impl fmt::Display for Layout {
    /// As it stands in a pipeline file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layout = \"{}\"", self.name())?;
        self.encoding_name().iter().try_for_each(|name| write!(f, ", encoding = \"{name}\""))
    }
}

/// `[publish]`, and the same of the groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishConfig {
    /// What an item of a table holds.
    pub layout: Layout,
    /// The rhythms that the groups have: each once, the shortest first.
    pub rhythms: Vec<Rhythm>,
    /// That of groups that have none of their own.
    of_others: Rhythm,
}

/// More than anybody needs, and few enough to look at each of them often.
const MOST_RHYTHMS: usize = 16;
/// Where event logs are read to their end nobody waits for the table, and a round that is followed by another costs more than it
/// is worth.
const REPLAY_EVERY: Duration = Duration::from_secs(30);
/// More often than windows end nothing can change.
const SHORTEST: Duration = WindowConfig::MIN_LENGTH;

impl PublishConfig {
    /// What the section means, and which rhythms there are.
    pub(super) fn expand(
        raw: &RawPublish,
        window: &WindowConfig,
        groups: &[Group],
        raw_groups: &[Spanned<RawGroup>],
    ) -> Result<PublishConfig, Fault> {
        let default = Rhythm { every: window.length, is_default: true };
        let of_others = every(raw.every.as_ref())?.map_or(default, |every| Rhythm { every, is_default: false });
        let mut rhythms: Vec<Rhythm> = groups.iter().map(|group| rhythm(group, of_others)).collect();
        rhythms.sort_unstable();
        rhythms.dedup();
        if rhythms.len() > MOST_RHYTHMS {
            let span = raw_groups.last().map_or(0..0, Spanned::span);
            let message = format!("groups have {} different `publish.every`: at most {MOST_RHYTHMS}", rhythms.len());
            return Err(Fault::new(span, message));
        }
        Ok(PublishConfig { layout: layout(raw, raw_groups)?, rhythms, of_others })
    }

    /// That of nothing but windows of this length.
    #[cfg(test)]
    pub(crate) fn by_windows(length: Duration) -> PublishConfig {
        let of_others = Rhythm { every: length, is_default: true };
        PublishConfig { layout: Layout::Feature, rhythms: vec![of_others], of_others }
    }

    /// The rhythms of a replay that nobody watches: where the file names none, a round now and then is enough.
    pub fn stretch_for_a_replay(&mut self) {
        let stretch = |rhythm: &mut Rhythm| {
            if rhythm.is_default {
                rhythm.every = rhythm.every.max(REPLAY_EVERY);
            }
        };
        stretch(&mut self.of_others);
        self.rhythms.iter_mut().for_each(stretch);
        self.rhythms.sort_unstable();
    }

    /// Whether the file names any.
    pub fn is_named(&self) -> bool {
        self.rhythms.iter().any(|rhythm| !rhythm.is_default)
    }

    /// The index of a group's rhythm.
    pub fn rhythm_of(&self, group: &Group) -> u8 {
        let rhythm = rhythm(group, self.of_others);
        self.rhythms.iter().position(|other| *other == rhythm).unwrap_or_default() as u8
    }
}

fn rhythm(group: &Group, of_others: Rhythm) -> Rhythm {
    group.publish_every.map_or(of_others, |every| Rhythm { every, is_default: false })
}

fn layout(raw: &RawPublish, groups: &[Spanned<RawGroup>]) -> Result<Layout, Fault> {
    match (raw.layout.unwrap_or_default(), &raw.encoding) {
        (RawLayout::Feature, None) => Ok(Layout::Feature),
        (RawLayout::Feature, Some(encoding)) => {
            let message = "encoding says how all features of a key stand in one item: it needs layout = \"key\"";
            Err(Fault::new(encoding.span(), message))
        }
        (RawLayout::Key, encoding) => {
            groups.iter().try_for_each(|group| key_fields_fit(&group.get_ref().key))?;
            Ok(Layout::Key(encoding.as_ref().map(|encoding| *encoding.get_ref()).unwrap_or_default()))
        }
    }
}

/// What a section says about it.
pub(super) fn every(raw: Option<&Text>) -> Result<Option<Duration>, Fault> {
    let Some(text) = raw else { return Ok(None) };
    let every = duration(text)?;
    if every < SHORTEST {
        let message = format!("publish.every is at least 100ms, not {}", text.get_ref());
        return Err(Fault::new(text.span(), message));
    }
    Ok(Some(every))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_stretches_what_is_not_named_and_keeps_the_order() {
        let rhythm = |seconds, is_default| Rhythm { every: Duration::from_secs(seconds), is_default };
        let mut config = PublishConfig {
            rhythms: vec![rhythm(5, true), rhythm(10, false)],
            of_others: rhythm(5, true),
            layout: Layout::Feature,
        };
        config.stretch_for_a_replay();
        assert_eq!((config.rhythms, config.of_others), (vec![rhythm(10, false), rhythm(30, true)], rhythm(30, true)));
        let mut slow = PublishConfig::by_windows(Duration::from_secs(60));
        slow.stretch_for_a_replay();
        assert_eq!(slow.of_others, rhythm(60, true));
    }
}
