//! Rows that began anew: what a run forgot, because a ttl had passed or memory was short, counts only from some event on.
//!
//! A run forgets at the end of an epoch, so what such a row counts is all that came behind some place of the row's events, in
//! the order in which they were read. Which place is not known, but where it can be is: anywhere for an item that says `since`;
//! for a ttl, only where the stream had come further than the row's last update then and its ttl. With `[limits]` a row that has come to
//! nothing counts as one whose ttl has passed: when it is evicted, nobody remembers it for a `since`. An item that equals the recount from none
//! of these places is wrong.

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
        let has_passed =
            |latest: i64| rules.forgotten_after.is_some_and(|time| event.stream_end >= latest.saturating_add(time));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::row::{Addition, Feature, Identities, RowId};
    use crate::counter::{DecayInterval, EventTime};
    use crate::pipeline::{FeatureKey, GroupId, MeasureId, Pipeline};
    use crate::reading::Count;

    /// One row with an interval of 10 and a ttl of 50.
    fn pipeline() -> Pipeline {
        let text = "name = \"p\"\n[event]\nname = \"n\"\ntime = \"t\"\n[[counters]]\nname = \"g\"\nkey = [\"k\"]\nevents = [\"e\"]\n\
                    decays = [\"10s\"]\nttl = \"50s\"\n";
        Pipeline::parse(text, "p.toml", &|_: &str| None).unwrap()
    }

    fn feature(pipeline: &Pipeline) -> Feature {
        let key = FeatureKey { group: GroupId(0), measure: MeasureId(0), name: "g.e.count".to_owned() };
        Feature { shape: pipeline.shape(&key), key }
    }

    /// Events of weight 1 in the order in which they came, each with how far the stream had come.
    fn events(placed: &[(i64, i64)]) -> Vec<Placed> {
        let addition = |time: i64| Addition { time, amount: 1.0_f64.to_bits() };
        let event = |(time, stream_end): &(i64, i64)| Placed {
            counted: Counted { addition: addition(*time), events: 1 },
            stream_end: *stream_end,
        };
        placed.iter().map(event).collect()
    }

    /// Whether an item that counts the last `counts` of these events is taken for right.
    fn is_right(placed: &[(i64, i64)], counts: usize, since: Option<i64>) -> bool {
        let pipeline = pipeline();
        let rules = Rules::of(&feature(&pipeline), &pipeline, None, 1e-9);
        let events = events(placed);
        let counted: Vec<Counted> = events[events.len() - counts..].iter().map(|placed| placed.counted).collect();
        let worth = Worth::of(&counted, rules.shape, rules.intervals);
        let count = Count {
            decay_interval: DecayInterval::new(10).unwrap(),
            last_update: EventTime(worth.last_update),
            value: worth.values[0].value,
            squares: None,
            error: None,
        };
        let identities = Identities::random();
        let item = ItemView {
            row: RowId { key: identities.key(b"k"), feature: identities.feature("g.e.count") },
            key: b"k",
            feature_name: "g.e.count",
            counts: &[count],
            is_mislabelled: false,
            expires_at: rules.expires_at(worth.last_update),
            since,
            is_newer: false,
        };
        counts_from_some_place(&item, &events, &rules).is_some()
    }

    #[test]
    fn a_row_may_begin_anew_only_where_its_ttl_had_passed() {
        // The second came 40 behind the first, the third 60 behind the second.
        let placed = [(100, 100), (140, 140), (200, 200)];
        assert_eq!([3, 2, 1].map(|counts| is_right(&placed, counts, None)), [true, false, true]);
    }

    #[test]
    fn with_since_it_may_begin_anywhere() {
        let placed = [(100, 100), (140, 140), (200, 200)];
        assert_eq!([3, 2, 1].map(|counts| is_right(&placed, counts, Some(130))), [true; 3]);
    }

    #[test]
    fn a_late_event_may_be_all_that_a_row_counts() {
        // The stream is at 300 when an event of 90 comes.
        let placed = [(100, 100), (90, 300)];
        assert!(is_right(&placed, 1, None), "its last update has gone back");
        assert!(!is_right(&[(100, 100), (90, 149)], 1, None), "the row was there");
    }

    #[test]
    fn a_row_that_began_anew_may_do_so_again() {
        // Behind the late event of 60 the row's last update is 60, so its ttl has passed at 115 already.
        let placed = [(100, 100), (60, 151), (110, 152)];
        assert_eq!([3, 2, 1].map(|counts| is_right(&placed, counts, None)), [true, true, true]);
    }

    #[test]
    fn between_what_is_certain_and_what_may_have_come_late_all_is_possible() {
        let whole = Amount { value: 10.0, size: 30.0 };
        let later = Amount { value: 4.0, size: 4.0 };
        // Beside 4.0 there are weights of 16 and of -10.
        assert_eq!(range(later, whole), (-6.0, 20.0));
    }
}
