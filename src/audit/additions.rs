//! What an event adds to which rows, read off the pipeline file anew: no code of a run's routing is used.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::row::{Addition, FeatureId, Features, Identities, KeyId, RowId, Sample};
use crate::event::{Event, FieldId, MAX_MEMBERS, Reason};
use crate::pipeline::{Condition, FeatureKey, Group, GroupId, MeasureId, Pipeline};

/// DynamoDB's limits, whatever the sink, in bytes.
const LONGEST_KEY: usize = 2_048;
const LONGEST_FEATURE_NAME: usize = 1_024;

/// Event names may be made up: beyond this many the reader begins to learn them anew.
const MOST_NAMES: usize = 1 << 16;

/// Reads events. One for each thread.
pub(super) struct EventReader {
    pipeline: Arc<Pipeline>,
    identities: Identities,
    sample: Sample,
    features: Arc<Features>,
    names: HashMap<Box<[u8]>, NameRules, RandomState>,
    /// The texts of the keys that came, for whoever must name one.
    key_texts: HashMap<KeyId, Box<[u8]>, RandomState>,
    additions: Vec<(RowId, Addition)>,
    /// The keys of one group.
    keys: Vec<Vec<u8>>,
}

/// What is done with the events of one name.
enum NameRules {
    /// Some feature's name would be too long.
    Refused,
    Counted(Vec<GroupRules>),
}

struct GroupRules {
    conditions: Vec<Condition>,
    /// With whether each is exploded.
    key: Vec<(FieldId, bool)>,
    rows: Vec<RowRule>,
}

struct RowRule {
    feature: FeatureId,
    /// That of the event's name.
    weight: f64,
    /// The fields that multiply it.
    factors: Vec<FieldId>,
    /// The field whose different values are counted, of uniques.
    member: Option<FieldId>,
}

impl EventReader {
    pub fn new(
        pipeline: Arc<Pipeline>,
        identities: Identities,
        sample: Sample,
        features: Arc<Features>,
    ) -> EventReader {
        EventReader {
            pipeline,
            identities,
            sample,
            features,
            names: HashMap::default(),
            key_texts: HashMap::default(),
            additions: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// What the event adds; an error where it must not count at all.
    pub fn additions(&mut self, event: &Event<'_>) -> Result<&[(RowId, Addition)], Reason> {
        self.additions.clear();
        if !self.names.contains_key(event.name()) {
            self.learn(event.name());
        }
        let EventReader { identities, sample, names, key_texts, additions, keys, .. } = self;
        let Some(NameRules::Counted(groups)) = names.get(event.name()) else {
            return Err(Reason::FeatureNameTooLong);
        };
        for group in groups.iter().filter(|group| group.counts(event)) {
            let count = group.keys(event, keys)?;
            for text in keys[..count].iter().filter(|text| sample.takes(text)) {
                let key = identities.key(text);
                let before = additions.len();
                for row in &group.rows {
                    let amount = row.amount(event, *identities);
                    let addition = amount.map(|amount| Addition { time: event.time().0, amount });
                    additions.extend(addition.map(|addition| (RowId { key, feature: row.feature }, addition)));
                }
                if additions.len() > before {
                    key_texts.entry(key).or_insert_with(|| text.as_slice().into());
                }
            }
        }
        Ok(additions)
    }

    /// The text of a key, if an event had it.
    pub fn into_key_texts(self) -> HashMap<KeyId, Box<[u8]>, RandomState> {
        self.key_texts
    }

    fn learn(&mut self, name: &[u8]) {
        if self.names.len() >= MOST_NAMES {
            self.names.clear();
        }
        let text = String::from_utf8_lossy(name);
        let (event, weight) = self.pipeline.event_map.of(&text);
        let selects = |(_, group): &(GroupId, &Group)| group.events.selects(event);
        let groups = (0..).map(GroupId).zip(&self.pipeline.groups).filter(selects);
        let rules: Option<Vec<GroupRules>> =
            groups.map(|(id, group)| self.group_rules(id, group, event, weight)).collect();
        let rules = rules.map_or(NameRules::Refused, |mut rules| {
            rules.retain(|group| !group.rows.is_empty());
            NameRules::Counted(rules)
        });
        self.names.insert(name.into(), rules);
    }

    /// `None` where a name is too long.
    fn group_rules(&self, id: GroupId, group: &Group, event: &str, weight: f64) -> Option<GroupRules> {
        let mut rows = Vec::new();
        for (measure_id, measure) in (0..).map(MeasureId).zip(&group.measures) {
            let name = group.feature_name(event, measure_id);
            if !self.pipeline.keeps(&name) {
                continue;
            }
            if name.len() > LONGEST_FEATURE_NAME {
                return None;
            }
            let factors: Vec<FieldId> = group.weight.into_iter().chain(measure.weight).collect();
            let takes_members_back = measure.members.is_some() && weight < 0.0 && factors.is_empty();
            if takes_members_back {
                continue;
            }
            let feature = self.identities.feature(&name);
            self.features.learn(feature, &FeatureKey { group: id, measure: measure_id, name }, &self.pipeline);
            rows.push(RowRule { feature, weight, factors, member: measure.members });
        }
        let key = group.key.iter().map(|field| (*field, group.explode.contains(field))).collect();
        Some(GroupRules { conditions: group.conditions.clone(), key, rows })
    }
}

impl GroupRules {
    fn counts(&self, event: &Event<'_>) -> bool {
        self.conditions.iter().all(|condition| condition.holds(event.key(condition.field)))
    }

    /// Writes the texts of the event's keys, and says how many there are. An error counts against the whole event.
    fn keys(&self, event: &Event<'_>, texts: &mut Vec<Vec<u8>>) -> Result<usize, Reason> {
        let values = |(field, exploded): &(FieldId, bool)| {
            if *exploded { event.member_count(*field) } else { usize::from(event.key(*field).is_some()) }
        };
        let count = self.key.iter().map(values).fold(1_usize, usize::saturating_mul);
        if count > MAX_MEMBERS {
            return Err(Reason::BadKey);
        }
        for number in 0..count {
            if texts.len() == number {
                texts.push(Vec::new());
            }
            let text = &mut texts[number];
            text.clear();
            // One digit for each field, of as many values as the field has.
            let mut rest = number;
            for (place, field) in self.key.iter().enumerate() {
                let of_field = values(field);
                let (id, exploded) = *field;
                let value = if exploded { event.member(id, rest % of_field) } else { event.key(id) };
                rest /= of_field;
                if place > 0 {
                    text.push(b'|');
                }
                append(value.unwrap_or_default(), self.key.len() > 1, text);
            }
            if text.len() > LONGEST_KEY {
                return Err(Reason::KeyTooLong);
            }
        }
        Ok(count)
    }
}

/// Of several fields each is escaped, so that the key's text tells where one ends.
fn append(value: &[u8], is_one_of_several: bool, text: &mut Vec<u8>) {
    for byte in value {
        if is_one_of_several && matches!(byte, b'|' | b'\\') {
            text.push(b'\\');
        }
        text.push(*byte);
    }
}

impl RowRule {
    /// `None` where a field is missing, or where a member would be taken back.
    fn amount(&self, event: &Event<'_>, identities: Identities) -> Option<u64> {
        let mut weight = self.weight;
        for field in &self.factors {
            // What is larger than any number is the largest; 0 has no sign.
            weight = (weight * event.value(*field)?).clamp(-f64::MAX, f64::MAX) + 0.0;
        }
        match self.member {
            None => Some(weight.to_bits()),
            Some(field) => {
                let member = event.key(field)?;
                (weight >= 0.0).then(|| identities.member(member))
            }
        }
    }
}
