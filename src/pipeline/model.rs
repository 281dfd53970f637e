//! What a pipeline file means: the checked and expanded form that everything else works with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checkpoint::CheckpointConfig;
use super::choices::{ClockKind, StartOffset};
use super::event_map::EventMap;
use super::group::{FeatureKey, Group, GroupId, MeasureId, RowShape};
use super::http::HttpConfig;
use super::limits::Limits;
use super::publish::PublishConfig;
use super::ratio::{DroppedRatio, Ratio};
use super::selection::FeatureSelection;
use super::sink_target::SinkTarget;
use crate::counter::EventTime;
use crate::event::EventSchema;

/// A pipeline file that was read, checked and expanded.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// The pipeline's name, for messages and for the sink to know whose items it holds.
    pub name: String,
    /// The sink as the file names it; `--sink` replaces it.
    pub sink: Option<SinkTarget>,
    /// What events look like, and which of their fields are used.
    pub event: EventSchema,
    /// Which events count as others, or with another weight.
    pub event_map: EventMap,
    /// What is counted together.
    pub window: WindowConfig,
    /// How often a table gets what has changed.
    pub publish: PublishConfig,
    /// Where events are read from when no event log is named.
    pub kafka: Option<KafkaConfig>,
    /// Where the `dynamodb` sink writes.
    pub dynamodb: DynamoDbConfig,
    /// How often the state is kept, and where.
    pub checkpoint: CheckpointConfig,
    /// What becomes of events that cannot be counted.
    pub dead_letters: DeadLetterConfig,
    /// How much may be held in memory.
    pub limits: Limits,
    /// Where a run serves its metrics, its health and its page.
    pub http: HttpConfig,
    /// How the times of what is published are moved: by a run's `--shift-to`, never by the file.
    pub shift: Option<TimeShift>,
    /// What is counted. [`GroupId`] is the index in this list.
    pub groups: Vec<Group>,
    /// Which of the features that the groups could make are kept.
    pub features: FeatureSelection,
    /// What readers compute from two features of one key.
    pub ratios: Vec<Ratio>,
    /// The ratios that go with the features that are not kept.
    pub dropped_ratios: Vec<DroppedRatio>,
}

impl Pipeline {
    /// What is allowed but hardly meant.
    pub fn warnings(&self) -> Vec<String> {
        let ttls = self.groups.iter().filter_map(|group| group.short_ttl_warning(self.event.time_unit));
        let features = self.features.warnings().chain(self.dropped_ratios_warning());
        self.event_map.warnings().chain(features).chain(ttls).collect()
    }

    /// One for all of them: a selection drops many.
    fn dropped_ratios_warning(&self) -> Option<String> {
        let name = |ratio: &DroppedRatio| format!("\"{}\" (with {})", ratio.name, ratio.feature);
        let names: Vec<String> = self.dropped_ratios.iter().map(name).collect();
        (!names.is_empty()).then(|| format!("[features] drops features of ratios, which go too: {}", names.join(", ")))
    }

    /// Publishes all groups so often, whatever the file says; `None`: with every window.
    pub fn publish_every(&mut self, every: Option<Duration>) {
        self.groups.iter_mut().for_each(|group| group.publish.every = None);
        self.publish.set_rhythm(every, self.window.length);
    }

    /// Whether some group holds back small changes.
    pub fn holds_back(&self) -> bool {
        self.groups.iter().any(|group| self.publish.held_back_of(group).min_change > 0.0)
    }

    /// Whether it is kept what the items of a group show: for small changes to be held back, or to know which are smallest.
    pub fn remembers(&self, group: &Group) -> bool {
        self.dynamodb.budget_wcu.is_some() || self.publish.held_back_of(group).min_change > 0.0
    }

    /// Whether a feature of this name, which some group could make, is counted.
    pub fn keeps(&self, feature_name: &str) -> bool {
        self.features.keeps(feature_name)
    }

    /// The names of the features that `measure` of `group` counts into, where they do not hang on
    /// what events there will be; see [`Group::fixed_names`].
    pub fn fixed_names(&self, group: &Group, measure: MeasureId) -> Vec<String> {
        let mut names = group.fixed_names(measure);
        names.retain(|name| self.keeps(name));
        names
    }

    /// Whether the rows of this feature also keep the decayed sum of squared weights: where it is the
    /// denominator of a ratio, whose reader has the effective sample size from it.
    pub fn needs_squares(&self, feature_name: &str) -> bool {
        self.ratios.iter().any(|ratio| ratio.denominator == feature_name)
    }

    /// The group with this number.
    pub fn group(&self, id: GroupId) -> &Group {
        &self.groups[usize::from(id.0)]
    }

    /// The first of the groups with the same key fields in the same order: they share their keys.
    pub fn first_keyed_like(&self, id: GroupId) -> GroupId {
        let key = &self.group(id).key;
        let first = self.groups.iter().position(|group| group.key == *key);
        first.map_or(id, |index| GroupId(index as u16))
    }

    /// What the rows of a feature hold.
    pub fn shape(&self, feature: &FeatureKey) -> RowShape {
        if self.group(feature.group).measure(feature.measure).members.is_some() {
            RowShape::Uniques
        } else if self.needs_squares(&feature.name) {
            RowShape::ValuesAndSquares
        } else {
            RowShape::Values
        }
    }

    /// The feature of this name, if these groups can make it and it is kept. No two groups make the same.
    pub fn feature(&self, name: &str) -> Option<FeatureKey> {
        if !self.keeps(name) {
            return None;
        }
        (0u16..).map(GroupId).zip(&self.groups).find_map(|(group, of)| {
            let measure = of.measure_id_of(name)?;
            Some(FeatureKey { group, measure, name: name.to_owned() })
        })
    }

    /// The window's length in the event's time unit; at least 1.
    pub fn window_units(&self) -> i64 {
        self.event.time_unit.from_nanoseconds(self.window.length.as_nanos() as i128).max(1)
    }
}

/// `[window]`.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowConfig {
    /// The window's length; at least [`WindowConfig::MIN_LENGTH`].
    pub length: Duration,
    /// The clock that drives windows, where the file names one.
    pub clock: Option<ClockKind>,
    /// Events per epoch, at least, with the event clock.
    pub replay_batch: u64,
}

impl WindowConfig {
    /// The shortest window: numbers of shorter ones would not fit a version.
    pub const MIN_LENGTH: Duration = Duration::from_millis(100);
}

/// `[kafka]`.
#[derive(Clone, Debug, PartialEq)]
pub struct KafkaConfig {
    /// `bootstrap.servers`.
    pub brokers: String,
    /// The topic that is read.
    pub topic: String,
    /// Where a run without a checkpoint begins.
    pub start: StartOffset,
    /// The consumer group that a run with a state commits its offsets to, for dashboards.
    pub group: Option<String>,
    /// Passed through to librdkafka as they stand.
    pub options: BTreeMap<String, String>,
}

impl KafkaConfig {
    /// The consumer group that offsets are committed to: the one that is named here or in the options, or the pipeline's name.
    pub fn group_or<'a>(&'a self, pipeline: &'a str) -> &'a str {
        self.group.as_ref().or_else(|| self.options.get("group.id")).map_or(pipeline, String::as_str)
    }
}

/// `[dynamodb]`.
#[derive(Clone, Debug, PartialEq)]
pub struct DynamoDbConfig {
    /// The table's name.
    pub table: String,
    /// Another endpoint than AWS's own.
    pub endpoint: Option<String>,
    /// The AWS region.
    pub region: String,
    /// Every write is conditional on the item's version.
    pub fence: bool,
    /// A request that is not answered within this time is given up.
    pub request_timeout: Duration,
    /// A request that was given up may still be carried out within this time, and no longer.
    pub settle: Duration,
    /// So many write units a second the run may take; `None`: as many as it needs.
    pub budget_wcu: Option<u64>,
}

impl DynamoDbConfig {
    /// Of a request that is not answered; DynamoDB answers within a fraction of a second, or not at all.
    pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
    /// DynamoDB carries a request out within milliseconds of receiving it. (What would refuse one that comes late for certain,
    /// the time in its signature, does so only after five minutes.)
    pub(super) const SETTLE: Duration = Duration::from_secs(10);

    /// What a file says that names the table alone.
    #[cfg(test)]
    pub(crate) fn of_table(table: &str) -> DynamoDbConfig {
        DynamoDbConfig {
            table: table.to_owned(),
            endpoint: None,
            region: "us-east-1".to_owned(),
            fence: false,
            request_timeout: Self::REQUEST_TIMEOUT,
            settle: Self::SETTLE,
            budget_wcu: None,
        }
    }
}

/// `[dead_letters]`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DeadLetterConfig {
    /// The JSONL file; without one, `dead_letters.jsonl` in the working directory.
    pub path: Option<PathBuf>,
    /// More than this many stop the run with an error.
    pub max: Option<u64>,
}

/// Moves all times alike, so that what was at `from` is at `to`.
///
/// Only what leaves for a sink is moved. Counting goes by the log's own times, so windows, values, and what is
/// refused or forgotten are those of a run that moves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeShift {
    /// The time of the log's last event.
    pub from: EventTime,
    /// The time at which it is published.
    pub to: EventTime,
}

impl TimeShift {
    /// Where a time of the log is moved to.
    pub fn moved(self, time: EventTime) -> EventTime {
        EventTime(time.0.saturating_add(self.by()))
    }

    /// Which time of the log is moved there.
    pub fn moved_back(self, time: EventTime) -> EventTime {
        EventTime(time.0.saturating_sub(self.by()))
    }

    /// By how much times are moved, in their unit.
    pub fn by(self) -> i64 {
        self.to.0.saturating_sub(self.from.0)
    }
}
