//! `[publish]`: how often a table gets what has changed, what of it is held back, and in what items it comes.

use std::fmt;
use std::time::Duration;

use toml::Spanned;

use super::checks::duration;
use super::choices::{Encoding, RawLayout};
use super::error::Fault;
use super::fields::key_fields_fit;
use super::group::Group;
use super::model::WindowConfig;
use super::raw::{RawGroup, RawGroupPublish, RawPublish, RawShare, Text};

/// How often a table gets what has changed of some groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rhythm {
    /// The time from one publication to the next.
    pub every: Duration,
    /// It is the window's length, because the file does not say otherwise.
    pub is_default: bool,
}

/// What is held back of what has changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HoldBack {
    /// What has changed by no more than this, relative to what its item shows, for each of its decays; 0: nothing is held
    /// back.
    pub min_change: f64,
    /// And has not waited for longer than this.
    pub max_age: Duration,
}

impl HoldBack {
    /// Every change is wanted.
    pub const NOTHING: HoldBack = HoldBack { min_change: 0.0, max_age: DEFAULT_MAX_AGE };
    /// What is thought of where the file says nothing: little is lost by it, and much is gained.
    pub const ONE_PERCENT: HoldBack = HoldBack { min_change: 0.01, max_age: DEFAULT_MAX_AGE };
}

/// What a group says of its publishing itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OwnPublish {
    /// How often.
    pub every: Option<Duration>,
    /// See [`HoldBack`].
    pub min_change: Option<f64>,
    /// See [`HoldBack`].
    pub max_age: Option<Duration>,
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
    /// Whether an item holds all features of a key, so that some go along that have not changed.
    pub fn holds_whole_keys(self) -> bool {
        self != Layout::Feature
    }

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
#[derive(Clone, Debug, PartialEq)]
pub struct PublishConfig {
    /// What an item of a table holds.
    pub layout: Layout,
    /// The rhythms that the groups have: each once, the shortest first.
    pub rhythms: Vec<Rhythm>,
    /// That of groups that have none of their own.
    of_others: Rhythm,
    /// What groups hold back that do not say otherwise.
    held_back: HoldBack,
    /// Nothing is published before everything is counted that there was when the run began.
    pub hold_until_caught_up: bool,
    /// What is held back of all groups, whatever the file says.
    of_all: Option<HoldBack>,
}

/// More than anybody needs, and few enough to look at each of them often.
const MOST_RHYTHMS: usize = 16;
/// Where event logs are read to their end nobody waits for the table, and a round that is followed by another costs more than it
/// is worth.
const REPLAY_EVERY: Duration = Duration::from_secs(30);
/// More often than windows end nothing can change.
const SHORTEST: Duration = WindowConfig::MIN_LENGTH;
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(600);
/// Below this a change could not be told from the rounding of what is remembered.
const LEAST_CHANGE: f64 = 0.0001;

impl PublishConfig {
    /// What the section means, and which rhythms there are.
    pub(super) fn expand(
        raw: &RawPublish,
        window: &WindowConfig,
        groups: &[Group],
        raw_groups: &[Spanned<RawGroup>],
    ) -> Result<PublishConfig, Fault> {
        let default = Rhythm { every: window.length, is_default: true };
        let own = own(raw.every.as_ref(), raw.min_change.as_ref(), raw.max_age.as_ref())?;
        let of_others = own.every.map_or(default, |every| Rhythm { every, is_default: false });
        let held_back = HoldBack {
            min_change: own.min_change.unwrap_or_default(),
            max_age: own.max_age.unwrap_or(DEFAULT_MAX_AGE),
        };
        let mut rhythms: Vec<Rhythm> = groups.iter().map(|group| rhythm(group, of_others)).collect();
        rhythms.sort_unstable();
        rhythms.dedup();
        if rhythms.len() > MOST_RHYTHMS {
            let span = raw_groups.last().map_or(0..0, Spanned::span);
            let message = format!("groups have {} different `publish.every`: at most {MOST_RHYTHMS}", rhythms.len());
            return Err(Fault::new(span, message));
        }
        let hold_until_caught_up = raw.hold_until_caught_up.as_ref().is_some_and(|hold| *hold.get_ref());
        let layout = layout(raw, raw_groups)?;
        Ok(PublishConfig { layout, rhythms, of_others, held_back, hold_until_caught_up, of_all: None })
    }

    /// That of nothing but windows of this length.
    #[cfg(test)]
    pub(crate) fn by_windows(length: Duration) -> PublishConfig {
        let of_others = Rhythm { every: length, is_default: true };
        PublishConfig {
            layout: Layout::Feature,
            rhythms: vec![of_others],
            of_others,
            held_back: HoldBack::NOTHING,
            hold_until_caught_up: false,
            of_all: None,
        }
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

    /// Makes this the only rhythm; without one, that of windows of this length.
    pub(super) fn set_rhythm(&mut self, every: Option<Duration>, window: Duration) {
        self.of_others = Rhythm { every: every.unwrap_or(window), is_default: every.is_none() };
        self.rhythms = vec![self.of_others];
    }

    /// Whether the file names any.
    pub fn is_named(&self) -> bool {
        self.rhythms.iter().any(|rhythm| !rhythm.is_default)
    }

    /// What is held back of a group's changes.
    pub fn held_back_of(&self, group: &Group) -> HoldBack {
        let own = &group.publish;
        self.of_all.unwrap_or(HoldBack {
            min_change: own.min_change.unwrap_or(self.held_back.min_change),
            max_age: own.max_age.unwrap_or(self.held_back.max_age),
        })
    }

    /// Holds back alike of all groups, whatever the file says.
    pub fn hold_back_of_all(&mut self, held_back: HoldBack) {
        self.of_all = Some(held_back);
    }

    /// The index of a group's rhythm.
    pub fn rhythm_of(&self, group: &Group) -> u8 {
        let rhythm = rhythm(group, self.of_others);
        self.rhythms.iter().position(|other| *other == rhythm).unwrap_or_default() as u8
    }
}

fn rhythm(group: &Group, of_others: Rhythm) -> Rhythm {
    group.publish.every.map_or(of_others, |every| Rhythm { every, is_default: false })
}

/// What the section of a group says.
pub(super) fn of_group(raw: &RawGroupPublish) -> Result<OwnPublish, Fault> {
    own(raw.every.as_ref(), raw.min_change.as_ref(), raw.max_age.as_ref())
}

fn own(
    written_every: Option<&Text>,
    change: Option<&Spanned<RawShare>>,
    max_age: Option<&Text>,
) -> Result<OwnPublish, Fault> {
    let max_age = max_age.map(duration).transpose()?;
    Ok(OwnPublish { every: every(written_every)?, min_change: min_change(change)?, max_age })
}

fn min_change(written: Option<&Spanned<RawShare>>) -> Result<Option<f64>, Fault> {
    let Some(written) = written else { return Ok(None) };
    let change = match written.get_ref() {
        RawShare::Integer(number) => *number as f64,
        RawShare::Decimal(number) => *number,
    };
    if change == 0.0 || (LEAST_CHANGE..=1.0).contains(&change) {
        return Ok(Some(change));
    }
    let message = format!(
        "min_change is 0, which holds nothing back, or from {LEAST_CHANGE} to 1, as 0.01 for changes of up to 1 %, not {change}"
    );
    Err(Fault::new(written.span(), message))
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

fn every(raw: Option<&Text>) -> Result<Option<Duration>, Fault> {
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
            ..PublishConfig::by_windows(Duration::from_secs(5))
        };
        config.stretch_for_a_replay();
        assert_eq!((config.rhythms, config.of_others), (vec![rhythm(10, false), rhythm(30, true)], rhythm(30, true)));
        let mut slow = PublishConfig::by_windows(Duration::from_secs(60));
        slow.stretch_for_a_replay();
        assert_eq!(slow.of_others, rhythm(60, true));
    }
}
