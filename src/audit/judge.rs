//! Rows and items side by side: what each is found to be.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::items::ItemView;
use super::lives::{Placed, counts_from_some_place, lies_between};
use super::recount::{Found, Shared, WorkerFindings};
use super::row::{Counted, Feature, FeatureId, RowId};
use super::tally::{Example, Finding, RecountedRow, Tally};
use super::verdict::Rules;
use super::worth::Worth;

/// Judges rows and items.
pub(super) struct Judge<'a> {
    shared: &'a Shared,
    found: &'a Found,
    features: HashMap<FeatureId, Arc<Feature>, RandomState>,
    /// How far the stream came.
    stream_end: i64,
}

impl<'a> Judge<'a> {
    /// Of all that was read. Only when everything was.
    pub fn new(shared: &'a Shared, found: &'a Found) -> Judge<'a> {
        let stream_end = shared.stream_end.load(Ordering::Relaxed);
        Judge { shared, found, features: shared.features.all(), stream_end }
    }

    /// Judges a row, by all of its additions.
    pub fn row(&self, row: RowId, additions: &[Counted], findings: &mut WorkerFindings) {
        // Whoever made the row has learnt its feature.
        let Some(feature) = self.features.get(&row.feature) else { return };
        let (rules, group) = (self.rules(feature), usize::from(feature.key.group.0));
        self.shared.metrics.rows.add(1);
        let worth = Worth::of(additions, rules.shape, rules.intervals);
        let Some(index) = self.found.items.find(row) else {
            let finding = self.without_item(row, &worth, &rules);
            findings.tally.add(Some(group), finding);
            if finding == Finding::Missing && findings.missing.len() < self.shared.judged_by.examples {
                findings.missing.push((row, missing(feature, &worth, &rules)));
            }
            return;
        };
        self.found.has_row[index].store(true, Ordering::Relaxed);
        let item = self.found.items.get(index);
        if item.is_newer {
            findings.tally.add(Some(group), Finding::Newer);
            return;
        }
        let difference = match rules.compare(&item, &worth) {
            Ok(worst) => {
                findings.tally.add(Some(group), Finding::Equal);
                findings.tally.differs_by(group, worst);
                return;
            }
            Err(difference) => difference,
        };
        let may_have_restarted = item.since.is_some() || self.may_have_been_forgotten(additions, &rules);
        if may_have_restarted && self.shared.can_read_again {
            findings.suspects.push(index);
        } else if may_have_restarted && counts_a_part(&item, additions, &rules) {
            findings.tally.add(Some(group), Finding::Restarted);
        } else {
            findings.tally.add(Some(group), Finding::Off);
            findings.tally.example(Finding::Off, || Example::off(&item, &worth, difference, &rules));
        }
    }

    /// Judges an item that is not what its whole row is worth, by the row's events in their order.
    pub fn closer(&self, index: usize, events: &[Placed], tally: &mut Tally) {
        let item = self.found.items.get(index);
        let Some(feature) = self.features.get(&item.row.feature) else { return };
        let (rules, group) = (self.rules(feature), usize::from(feature.key.group.0));
        if let Some(worst) = counts_from_some_place(&item, events, &rules) {
            tally.add(Some(group), Finding::Restarted);
            tally.differs_by(group, worst);
            return;
        }
        tally.add(Some(group), Finding::Off);
        let additions: Vec<Counted> = events.iter().map(|placed| placed.counted).collect();
        let worth = Worth::of(&additions, rules.shape, rules.intervals);
        if let Err(difference) = rules.compare(&item, &worth) {
            tally.example(Finding::Off, || Example::off(&item, &worth, difference, &rules));
        }
    }

    /// Judges the items that no row has asked for.
    pub fn items_without_rows(&self, tally: &mut Tally) {
        let without = |index: &usize| !self.found.has_row[*index].load(Ordering::Relaxed);
        for index in (0..self.found.items.len()).filter(without) {
            let item = self.found.items.get(index);
            let feature = self.shared.pipeline.feature(item.feature_name);
            let finding = match &feature {
                _ if item.is_newer => Finding::Newer,
                None => Finding::NotOfPipeline,
                Some(_) => Finding::Extra,
            };
            tally.add(feature.map(|feature| usize::from(feature.group.0)), finding);
            if finding != Finding::Newer {
                tally.example(finding, || Example::of_item(finding, &item));
            }
        }
    }

    fn rules(&self, feature: &Feature) -> Rules<'a> {
        let judged_by = &self.shared.judged_by;
        Rules::of(feature, &self.shared.pipeline, judged_by.shift, judged_by.tolerance)
    }

    /// What it means that a row has no item.
    fn without_item(&self, row: RowId, worth: &Worth, rules: &Rules<'_>) -> Finding {
        let deleted = self.shared.judged_by.deleted;
        let has_expired = deleted
            .expired_by
            .zip(rules.expires_at(worth.last_update))
            .is_some_and(|(now, expires_at)| expires_at <= now);
        let was_forgotten = deleted.forgotten_of_keys
            && (rules.forgotten_after.is_some_and(|time| worth.last_update.saturating_add(time) <= self.stream_end)
                || self.found.items.since(row.key).is_some_and(|since| worth.last_update <= since));
        let came_before = self.found.items.added(row.feature).is_some_and(|since| worth.last_update <= since);
        if has_expired || was_forgotten || came_before { Finding::Expired } else { Finding::Missing }
    }

    /// Whether the run can have forgotten the row before its last event came, without a word.
    fn may_have_been_forgotten(&self, additions: &[Counted], rules: &Rules<'_>) -> bool {
        let first = additions.iter().map(|counted| counted.addition.time).min();
        rules.forgotten_after.zip(first).is_some_and(|(time, first)| first.saturating_add(time) <= self.stream_end)
    }
}

/// Whether the item counts what a run may have kept of these additions, as far as their times alone can tell.
fn counts_a_part(item: &ItemView<'_>, additions: &[Counted], rules: &Rules<'_>) -> bool {
    let mut placed: Vec<Placed> =
        additions.iter().map(|counted| Placed { counted: *counted, stream_end: counted.addition.time }).collect();
    placed.sort_unstable_by_key(|placed| placed.stream_end);
    counts_from_some_place(item, &placed, rules).is_some() || lies_between(item, additions, rules)
}

/// A row without an item; the text of its key is still to be found.
fn missing(feature: &Feature, worth: &Worth, rules: &Rules<'_>) -> Example {
    Example {
        finding: Finding::Missing,
        key: String::new(),
        feature_name: feature.key.name.clone(),
        what: None,
        difference: None,
        recount: Some(RecountedRow::of_row(worth, rules)),
        item: None,
    }
}
