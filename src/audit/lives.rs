//! Rows that began anew: what a run forgot, because a ttl had passed or memory was short, counts only from some event on.
//!
//! A run forgets at the end of an epoch, so what such a row counts is all that came behind some place of the row's events, in
//! the order in which they were read. Which place is not known, but where it can be is: anywhere for an item that says `since`;
//! for a ttl, only where the stream had come further than the row's last update then and its ttl. An item that equals the
//! recount from none of these places is wrong.

use super::items::ItemView;
use super::row::Counted;
use super::verdict::Rules;
use super::worth::{Amount, Sums, Worth};
use crate::pipeline::RowShape;

/// Events of a row that add the same, and how far the stream had come when they were read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub counted: Counted,
    pub stream_end: i64,
}

/// Whether the item counts these events from a place on from which it may; if so, the largest relative difference.
pub(super) fn counts_from_some_place(item: &ItemView<'_>, events: &[Placed], rules: &Rules<'_>) -> Option<f64> {
    let last_update = item.counts.first()?.last_update.0;
    let places = places(item, events, rules);
    let mut sums = Sums::at(last_update, rules.shape, rules.intervals);
    let mut latest = i64::MIN;
    for (event, may_begin) in events.iter().zip(places).rev() {
        latest = latest.max(event.counted.addition.time);
        // The item shows none that is later.
        if latest > last_update {
            return None;
        }
        sums.add(event.counted);
        if may_begin
            && latest == last_update
            && let Ok(worst) = rules.compare(item, &sums.worth())
        {
            return Some(worst);
        }
    }
    None
}

/// Of each event, whether the row may have begun with it.
fn places(item: &ItemView<'_>, events: &[Placed], rules: &Rules<'_>) -> Vec<bool> {
    let mut latest: Option<i64> = None;
    let place = |event: &Placed| {
        let time = event.counted.addition.time;
        let has_passed = |latest: i64| rules.ttl.is_some_and(|ttl| event.stream_end >= latest.saturating_add(ttl));
        let may_begin = latest.is_none_or(has_passed);
        latest = Some(latest.filter(|_| !may_begin).map_or(time, |latest| latest.max(time)));
        may_begin || item.since.is_some()
    };
    events.iter().map(place).collect()
}

/// Whether an item that says `since` lies between the recount from there on and the whole one: all that is known where nobody knows in
/// which order events were read. Those from before `since` may have come late.
pub(super) fn lies_between(item: &ItemView<'_>, additions: &[Counted], rules: &Rules<'_>) -> bool {
    let Some(since) = item.since else { return false };
    let is_later = |counted: &&Counted| counted.addition.time >= since;
    let later: Vec<Counted> = additions.iter().filter(is_later).copied().collect();
    let whole = Worth::of(additions, rules.shape, rules.intervals);
    if later.is_empty() || item.counts.iter().any(|count| count.last_update.0 != whole.last_update) {
        return false;
    }
    let least = Worth::of(&later, rules.shape, rules.intervals);
    item.counts.iter().enumerate().all(|(place, count)| {
        let (from, to) = range(least.values[place], whole.values[place]);
        let slack = match (rules.shape, count.error) {
            (RowShape::Uniques, Some(error)) => rules.slack_of(error) * to.abs(),
            _ => 1e-9 * whole.values[place].size,
        };
        (from - slack..=to + slack).contains(&count.value)
    })
}

/// The least and the most that any of the earlier additions beside the later ones can come to.
fn range(later: Amount, whole: Amount) -> (f64, f64) {
    let (value, size) = (whole.value - later.value, whole.size - later.size);
    (later.value + (value - size) / 2.0, later.value + (value + size) / 2.0)
}
