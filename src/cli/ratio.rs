//! Ratios as `get` computes and shows them: from the items of one key, when they are read.

use std::io::{self, Write};

use serde::Serialize;

use super::show::{Reading, print_aligned, show_value};
use super::time::show_time;
use crate::counter::{DecayInterval, EventTime, wilson_lower_bound};
use crate::pipeline::{Ratio, RatioKind, format_duration, from_units};
use crate::sink::{Count, Item};
use crate::telemetry::{Printable, write_json};

/// The interval.
const TEXT_COLUMNS: usize = 1;

/// A ratio of one key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RatioReading<'a> {
    key: &'a str,
    ratio_name: &'a str,
    #[serde(skip)]
    ratio: &'a Ratio,
    /// The time at which both features are read, in all intervals.
    #[serde(skip)]
    time: EventTime,
    /// In the order of the intervals, shortest first.
    ratios: Vec<RatioValue>,
    /// Since when both of its items count, where one of them was evicted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<EventTime>,
}

/// A ratio with one decay interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct RatioValue {
    decay_interval: DecayInterval,
    /// The time at which both features are read.
    time: EventTime,
    /// The numerator at that time; 0 where there is no such item.
    numerator: f64,
    denominator: f64,
    /// `None` where the denominator is not above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// With the ratio's prior added to both sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    smoothed: Option<f64>,
    /// The denominator's effective sample size, where its squares are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_size: Option<f64>,
    /// Of a proportion, the lower end of Wilson's interval (95 %) for the value in a sample of that size; `None`
    /// where the ratio is no proportion.
    lower_bound: Option<f64>,
}

impl<'a> RatioReading<'a> {
    /// Reads a ratio from the items of one key; `None` where neither of its features has one.
    ///
    /// Both are read at the same time: at `at`, or at the later of their last updates where that is
    /// later or no time is asked for.
    pub(super) fn of(ratio: &'a Ratio, key: &'a str, items: &[Item], at: Option<EventTime>) -> Option<Self> {
        let item = |name: &str| items.iter().find(|item| item.feature_name == name);
        let (above, below) = (item(&ratio.numerator), item(&ratio.denominator));
        let last_updates =
            above.into_iter().chain(below).flat_map(|item| item.counts.values()).map(|count| count.last_update);
        let time = last_updates.chain(at).max()?;
        let value = |interval: &DecayInterval| {
            let count = |item: Option<&Item>| item.and_then(|item| item.counts.get(interval).copied());
            read(ratio, *interval, count(above), count(below), time)
        };
        let ratios: Vec<_> = ratio.decays.iter().filter_map(value).collect();
        let since = above.into_iter().chain(below).filter_map(|item| item.since).max();
        (!ratios.is_empty()).then_some(RatioReading { key, ratio_name: &ratio.name, ratio, time, ratios, since })
    }

    /// Prints the ratio as a table, one line per decay interval.
    pub(super) fn show_table(&self, reading: &Reading, out: &mut impl Write) -> io::Result<()> {
        let Ratio { name, numerator, denominator, prior, .. } = self.ratio;
        let title = format!("{name} = {numerator} / {denominator}  (key {})", self.key);
        writeln!(out, "{}", Printable(title))?;
        let mut heading = vec!["interval", "numerator", "denominator", "ratio"];
        heading.extend(prior.map(|_| "smoothed"));
        heading.push("sample");
        heading.extend((self.ratio.kind == RatioKind::Proportion).then_some("≥ (95 %)"));
        let mut lines = vec![heading.into_iter().map(str::to_owned).collect()];
        lines.extend(self.ratios.iter().map(|value| value.line(reading, self.ratio)));
        print_aligned(&lines, TEXT_COLUMNS, out)?;
        writeln!(out, "  read at {}", show_time(self.time.0, reading.unit))?;
        self.since.map_or(Ok(()), |since| reading.show_since(since, out))
    }

    /// Prints the ratio as one JSON line.
    pub(super) fn show_json(&self, out: &mut impl Write) -> io::Result<()> {
        write_json(&mut *out, self)?;
        out.write_all(b"\n")
    }
}

impl RatioValue {
    fn line(&self, reading: &Reading, ratio: &Ratio) -> Vec<String> {
        let unit = reading.unit;
        let shown = |value: Option<f64>| value.map_or("-".to_owned(), show_value);
        let mut line = vec![
            format_duration(from_units(self.decay_interval.units(), unit)),
            show_value(self.numerator),
            show_value(self.denominator),
            shown(self.value),
        ];
        line.extend(ratio.prior.map(|_| shown(self.smoothed)));
        line.push(self.sample_size.map_or("-".to_owned(), |size| format!("{size:.1}")));
        line.extend((ratio.kind == RatioKind::Proportion).then(|| shown(self.lower_bound)));
        line
    }
}

fn read(
    ratio: &Ratio,
    interval: DecayInterval,
    above: Option<Count>,
    below: Option<Count>,
    time: EventTime,
) -> Option<RatioValue> {
    above.or(below)?;
    let value_at = |count: Option<Count>| count.map_or(0.0, |count| count.value_at(time));
    let (numerator, denominator) = (value_at(above), value_at(below));
    let value = Some(numerator / denominator).filter(|value| denominator > 0.0 && value.is_finite());
    let smoothed = ratio.prior.map(|prior| prior.smooth(numerator, denominator));
    let sample_size = below.filter(|_| denominator > 0.0).and_then(|below| below.effective_sample_size());
    // Above 1 it may come where the decay has taken more from the views than from their later clicks, and below 0 by
    // retractions; what is declared a proportion is then taken for the nearer end.
    let bound = value.zip(sample_size).filter(|_| ratio.kind == RatioKind::Proportion);
    Some(RatioValue {
        decay_interval: interval,
        time,
        numerator,
        denominator,
        value,
        // A denominator may be negative, after more retractions than events.
        smoothed: smoothed.filter(|smoothed| smoothed.is_finite() && denominator >= 0.0),
        sample_size,
        lower_bound: bound.map(|(value, size)| wilson_lower_bound(value, size)),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::epoch::Version;
    use crate::event::TimeUnit;
    use crate::pipeline::Prior;

    fn interval(units: i64) -> DecayInterval {
        DecayInterval::new(units).unwrap()
    }

    fn ratio() -> Ratio {
        Ratio {
            name: "ctr".to_owned(),
            numerator: "like".to_owned(),
            denominator: "view".to_owned(),
            kind: RatioKind::Proportion,
            prior: Some(Prior { numerator: 1.0, denominator: 20.0 }),
            decays: vec![interval(10)],
        }
    }

    fn item(name: &str, last_update: i64, value: f64, squares: Option<f64>) -> Item {
        let count =
            Count { decay_interval: interval(10), last_update: EventTime(last_update), value, squares, error: None };
        Item {
            key: "p".to_owned(),
            feature_name: name.to_owned(),
            counts: BTreeMap::from([(interval(10), count), (interval(99), count)]),
            version: Version(1),
            expires_at: None,
            since: None,
        }
    }

    fn value(items: &[Item], at: Option<i64>) -> RatioValue {
        let ratio = ratio();
        let reading = RatioReading::of(&ratio, "p", items, at.map(EventTime)).expect("an item");
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
        assert_eq!((read.time, read.denominator), (EventTime(100), 40.0));
        assert_close(read.value, likes / 40.0);
        assert_close(read.smoothed, (likes + 1.0) / 60.0);
        assert_close(read.sample_size, 50.0);
        assert_close(read.lower_bound, wilson_lower_bound(likes / 40.0, 50.0));
    }

    #[test]
    fn a_later_time_decays_both_and_leaves_ratio_and_sample_size_as_they_are() {
        let items = [item("like", 100, 8.0, None), item("view", 100, 40.0, Some(32.0))];
        let read = value(&items, Some(130));
        assert_close(Some(read.numerator), 8.0 * (-3.0f64).exp());
        assert_close(read.value, 0.2);
        assert_close(read.sample_size, 50.0);
        assert_close(read.smoothed, (8.0 * (-3.0f64).exp() + 1.0) / (40.0 * (-3.0f64).exp() + 20.0));
        assert_eq!(value(&items, Some(50)), value(&items, None), "nobody knows what it was then");
    }

    #[test]
    fn what_is_missing_above_is_nothing_and_below_leaves_no_ratio() {
        let read = value(&[item("view", 100, 40.0, None)], None);
        assert_eq!((read.numerator, read.value, read.sample_size, read.lower_bound), (0.0, Some(0.0), None, None));
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
    fn a_ratio_of_ten_thousands_fits_into_80_columns() {
        let (likes, views) = (12_345.25, 123_456.25);
        let items = [item("like", 100, likes, None), item("view", 100, views, Some(views / 2.0))];
        let ratio = ratio();
        let reading = RatioReading::of(&ratio, "p", &items, None).unwrap();
        let mut table = Vec::new();
        reading.show_table(&Reading { unit: TimeUnit::Seconds, at: None, as_of: 0 }, &mut table).unwrap();
        let table = String::from_utf8(table).unwrap();
        assert!(table.contains("123456.250000") && table.contains("246912.5"), "{table}");
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    }

    #[test]
    fn only_a_proportion_is_at_least_something() {
        let items = [item("like", 100, 52.0, None), item("view", 100, 40.0, Some(32.0))];
        let quotient = Ratio { kind: RatioKind::Quotient, ..ratio() };
        let reading = RatioReading::of(&quotient, "p", &items, None).unwrap();
        assert_close(reading.ratios[0].value, 1.3);
        assert_eq!((reading.ratios[0].sample_size, reading.ratios[0].lower_bound), (Some(50.0), None));
        let (mut table, mut json) = (Vec::new(), Vec::new());
        reading.show_table(&Reading { unit: TimeUnit::Seconds, at: None, as_of: 0 }, &mut table).unwrap();
        reading.show_json(&mut json).unwrap();
        let (table, json) = (String::from_utf8(table).unwrap(), String::from_utf8(json).unwrap());
        assert!(table.contains("sample\n") && !table.contains("95 %"), "{table}");
        assert!(json.contains(r#""sampleSize":50.0,"lowerBound":null"#), "{json}");
        assert_close(value(&items, None).lower_bound, wilson_lower_bound(1.0, 50.0));
    }

    #[test]
    fn a_ratio_is_shown_as_a_table_and_as_json() {
        let items = [item("like", 100, 8.0, None), item("view", 100, 40.0, None)];
        let ratio = ratio();
        let reading = RatioReading::of(&ratio, "p", &items, None).unwrap();
        let (mut table, mut json) = (Vec::new(), Vec::new());
        reading.show_table(&Reading { unit: TimeUnit::Seconds, at: None, as_of: 0 }, &mut table).unwrap();
        reading.show_json(&mut json).unwrap();
        let expected = "\
ctr = like / view  (key p)
  interval  numerator  denominator     ratio  smoothed  sample  ≥ (95 %)
  10s        8.000000    40.000000  0.200000  0.150000       -         -
  read at 1970-01-01T00:01:40Z
";
        assert_eq!(String::from_utf8(table).unwrap(), expected);
        let expected = concat!(
            r#"{"key":"p","ratioName":"ctr","ratios":[{"decayInterval":10,"time":100,"numerator":8.0,"#,
            r#""denominator":40.0,"value":0.2,"smoothed":0.15,"lowerBound":null}]}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(json).unwrap(), expected);
    }
}
