//! Ratios, computed where they are read: from the items of one key.

use serde::Serialize;

use super::{Count, Item, ReadAt};
use crate::counter::{DecayInterval, EventTime, wilson_lower_bound};
use crate::pipeline::{Prior, Ratio, RatioKind};

/// A ratio of one key. Its JSON is what `get --json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RatioReading<'a> {
    /// The key's text.
    pub key: &'a str,
    /// The ratio's name.
    pub ratio_name: &'a str,
    /// What was read.
    #[serde(skip)]
    pub ratio: &'a Ratio,
    /// The time at which both features are read, in all intervals.
    #[serde(skip)]
    pub time: EventTime,
    /// In the order of the intervals, shortest first; one or more.
    pub ratios: Vec<RatioValue>,
    /// Since when both of its items count, where one of them was evicted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<EventTime>,
}

/// A ratio with one decay interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RatioValue {
    /// The time in which both sides fall to 1/e, in the event's time unit.
    pub decay_interval: DecayInterval,
    /// The time at which both features are read.
    pub time: EventTime,
    /// The numerator at that time; 0 where there is no such item; `None` where that time is before the
    /// last update of either, so that nothing is known.
    pub numerator: Option<f64>,
    /// The denominator, likewise.
    pub denominator: Option<f64>,
    /// `None` where nothing is known or the denominator is not above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// With the ratio's prior added to both sides; `None` where it has none, and where the denominator is below 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smoothed: Option<f64>,
    /// The denominator's effective sample size, where its squares are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_size: Option<f64>,
    /// Of a proportion, the lower end of Wilson's interval (95 %) for the value in a sample of that size; `None`
    /// where the ratio is no proportion.
    pub lower_bound: Option<f64>,
}

impl<'a> RatioReading<'a> {
    /// Reads a ratio from the items of one key; `None` where neither of its features has one.
    ///
    /// Both are read at the same time: at `at`, or at the later of their last updates where no time is
    /// asked for.
    pub fn of(ratio: &'a Ratio, key: &'a str, items: &[Item], at: Option<ReadAt>) -> Option<Self> {
        let item = |name: &str| items.iter().find(|item| item.feature_name == name);
        let (above, below) = (item(&ratio.numerator), item(&ratio.denominator));
        let last_updates =
            above.into_iter().chain(below).flat_map(|item| item.counts.values()).map(|count| count.last_update);
        let newest = last_updates.max()?;
        let known = at.map_or(Some(newest), |at| at.of(newest));
        let time = known.or(at.map(|at| at.time))?;
        let value = |interval: &DecayInterval| {
            let count = |item: Option<&Item>| item.and_then(|item| item.counts.get(interval).copied());
            let (above, below) = (count(above), count(below));
            above.or(below)?;
            Some(known.map_or(RatioValue::unknown(*interval, time), |time| read(ratio, *interval, above, below, time)))
        };
        let ratios: Vec<_> = ratio.decays.iter().filter_map(value).collect();
        let since = above.into_iter().chain(below).filter_map(|item| item.since).max();
        (!ratios.is_empty()).then_some(RatioReading { key, ratio_name: &ratio.name, ratio, time, ratios, since })
    }
}

impl RatioValue {
    /// What it was then cannot be told.
    fn unknown(decay_interval: DecayInterval, time: EventTime) -> RatioValue {
        let (numerator, denominator, value) = (None, None, None);
        let (smoothed, sample_size, lower_bound) = (None, None, None);
        RatioValue { decay_interval, time, numerator, denominator, value, smoothed, sample_size, lower_bound }
    }
}

fn read(
    ratio: &Ratio,
    interval: DecayInterval,
    above: Option<Count>,
    below: Option<Count>,
    time: EventTime,
) -> RatioValue {
    let value_at = |count: Option<Count>| count.map_or(0.0, |count| count.value_at(time));
    let (numerator, denominator) = (value_at(above), value_at(below));
    let value = Some(numerator / denominator).filter(|value| denominator > 0.0 && value.is_finite());
    let smoothed = ratio.prior.map(|prior| smoothed(prior, numerator, denominator));
    let sample_size = below.filter(|_| denominator > 0.0).and_then(|below| below.effective_sample_size());
    // Above 1 it may come where the decay has taken more from the views than from their later clicks, and below 0 by
    // retractions; what is declared a proportion is then taken for the nearer end.
    let bound = value.zip(sample_size).filter(|_| ratio.kind == RatioKind::Proportion);
    RatioValue {
        decay_interval: interval,
        time,
        numerator: Some(numerator),
        denominator: Some(denominator),
        value,
        // A denominator may be negative, after more retractions than events.
        smoothed: smoothed.filter(|smoothed| smoothed.is_finite() && denominator >= 0.0),
        sample_size,
        lower_bound: bound.map(|(value, size)| wilson_lower_bound(value, size)),
    }
}

/// The ratio drawn towards the prior: `(n + prior.n) / (d + prior.d)`, the mean of a Beta distribution
/// with the prior's pseudo-counts where `n` of `d` are a proportion.
fn smoothed(prior: Prior, numerator: f64, denominator: f64) -> f64 {
    (numerator + prior.numerator) / (denominator + prior.denominator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::fixtures::{interval, item, ratio};

    fn value(items: &[Item], at: Option<i64>) -> RatioValue {
        let ratio = ratio();
        let reading = RatioReading::of(&ratio, "p", items, at.map(|at| ReadAt { time: EventTime(at), is_now: false }))
            .expect("an item");
        assert_eq!(reading.ratios.len(), 1, "only the intervals that both have");
        reading.ratios[0]
    }

    #[track_caller]
    fn assert_close(value: Option<f64>, expected: f64) {
        assert!(value.is_some_and(|value| (value - expected).abs() < 1e-9), "{value:?} is not {expected}");
    }

    #[test]
    fn a_ratio_counts_since_both_of_its_items_do() {
        let mut items = [item("like", 100, 1.0, None), item("view", 100, 4.0, Some(4.0))];
        let since = |items: &[Item]| RatioReading::of(&ratio(), "p", items, None).unwrap().since;
        assert_eq!(since(&items), None);
        items[1].since = Some(EventTime(50));
        assert_eq!(since(&items), Some(EventTime(50)));
        items[0].since = Some(EventTime(70));
        assert_eq!(since(&items), Some(EventTime(70)));
    }

    #[test]
    fn both_sides_are_read_at_the_later_of_their_last_updates() {
        let likes = 8.0 * (-0.5f64).exp();
        let read = value(&[item("like", 95, 8.0, None), item("view", 100, 40.0, Some(32.0))], None);
        assert_eq!((read.time, read.denominator), (EventTime(100), Some(40.0)));
        assert_close(read.value, likes / 40.0);
        assert_close(read.smoothed, (likes + 1.0) / 60.0);
        assert_close(read.sample_size, 50.0);
        assert_close(read.lower_bound, wilson_lower_bound(likes / 40.0, 50.0));
    }

    #[test]
    fn a_later_time_decays_both_and_leaves_ratio_and_sample_size_as_they_are() {
        let items = [item("like", 100, 8.0, None), item("view", 100, 40.0, Some(32.0))];
        let read = value(&items, Some(130));
        assert_close(read.numerator, 8.0 * (-3.0f64).exp());
        assert_close(read.value, 0.2);
        assert_close(read.sample_size, 50.0);
        assert_close(read.smoothed, (8.0 * (-3.0f64).exp() + 1.0) / (40.0 * (-3.0f64).exp() + 20.0));
        assert_eq!(value(&items, Some(99)), RatioValue::unknown(interval(10), EventTime(99)), "nobody knows");
        let now = Some(ReadAt { time: EventTime(99), is_now: true });
        assert_eq!(RatioReading::of(&ratio(), "p", &items, now).unwrap().ratios[0], value(&items, None));
    }

    #[test]
    fn what_is_missing_above_is_nothing_and_below_leaves_no_ratio() {
        let read = value(&[item("view", 100, 40.0, None)], None);
        assert_eq!(
            (read.numerator, read.value, read.sample_size, read.lower_bound),
            (Some(0.0), Some(0.0), None, None)
        );
        let read = value(&[item("like", 100, 4.0, None)], None);
        assert_eq!((read.value, read.smoothed), (None, Some(5.0 / 20.0)));
        for denominator in [0.0, -3.0] {
            let read = value(&[item("like", 100, 4.0, None), item("view", 100, denominator, Some(1.0))], None);
            assert_eq!((read.value, read.sample_size, read.lower_bound), (None, None, None), "{denominator}");
            assert_eq!(read.smoothed.is_some(), denominator == 0.0);
        }
        assert!(RatioReading::of(&ratio(), "p", &[item("click", 1, 1.0, None)], None).is_none());
    }

    #[test]
    fn only_a_proportion_is_at_least_something() {
        let items = [item("like", 100, 52.0, None), item("view", 100, 40.0, Some(32.0))];
        let quotient = Ratio { kind: RatioKind::Quotient, ..ratio() };
        let reading = RatioReading::of(&quotient, "p", &items, None).unwrap();
        assert_close(reading.ratios[0].value, 1.3);
        assert_eq!((reading.ratios[0].sample_size, reading.ratios[0].lower_bound), (Some(50.0), None));
        assert_close(value(&items, None).lower_bound, wilson_lower_bound(1.0, 50.0));
    }
}
