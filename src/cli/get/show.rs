//! Items as `get` shows them: to a person as a small table, to a program as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::cli::output::print_aligned;
use crate::cli::time::show_time;
use crate::counter::{DecayInterval, EventTime};
use crate::event::TimeUnit;
use crate::pipeline::{format_duration, from_units};
use crate::reading::{Count, Item, ReadAt};
use crate::telemetry::{Printable, write_json};

/// How items are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// The unit of the event's times.
    pub(super) unit: TimeUnit,
    /// The time to which values are decayed; `None`: each as it was at its last update.
    pub(super) at: Option<ReadAt>,
    /// What expired before this has expired: `at`, or now; seconds since 1970.
    pub(super) as_of: i64,
}

/// What stands under values that are not known.
pub(super) const TOO_EARLY: &str =
    "  -: before the last update; only the newest state is kept, so what it was then is not known";

impl Reading {
    /// Prints an item as a table, one line per decay interval.
    pub(super) fn show_table(&self, item: &Item, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}  (key {})", Printable(&item.feature_name), Printable(&item.key))?;
        let mut lines = vec![self.heading()];
        lines.extend(item.counts.values().map(|count| self.line(count)));
        print_aligned(&lines, TEXT_COLUMNS, out)?;
        if item.counts.values().any(|count| self.at.is_some_and(|at| at.value(count).is_none())) {
            writeln!(out, "{TOO_EARLY}")?;
        }
        if let Some(expired_since) = item.expired_since(self.as_of) {
            let time = show_time(expired_since, TimeUnit::Seconds);
            writeln!(out, "  expired since {time}: its ttl has passed, and it may be forgotten")?;
        }
        if let Some(since) = item.since {
            self.show_since(since, out)?;
        }
        Ok(())
    }

    fn heading(&self) -> Vec<String> {
        let mut heading = ["interval", "last update", "value"].map(str::to_owned).to_vec();
        heading.extend(self.at.map(|at| format!("at {}", show_time(at.time.0, self.unit))));
        heading
    }

    fn line(&self, count: &Count) -> Vec<String> {
        let last_update = count.last_update.0;
        let mut line = vec![
            format_duration(from_units(count.decay_interval.units(), self.unit)),
            show_time(last_update, self.unit),
            show_value(count.value),
        ];
        line.extend(self.at.map(|at| at.value(count).map_or("-".to_owned(), show_value)));
        line
    }

    /// Says that something counts only from a time on.
    pub(super) fn show_since(&self, since: EventTime, out: &mut impl Write) -> io::Result<()> {
        let time = show_time(since.0, self.unit);
        writeln!(
            out,
            "  counts only since {time}: what came before was evicted when memory ran short, or the feature is new"
        )
    }

    /// Prints an item as one line: the item itself, and what it reads as.
    pub(super) fn show_json(&self, item: &Item, out: &mut impl Write) -> io::Result<()> {
        let reading = ItemReading {
            key: &item.key,
            feature_name: &item.feature_name,
            counts: item.counts.iter().map(|(interval, count)| (*interval, self.read(count))).collect(),
            version: item.version.0,
            expires_at: item.expires_at,
            since: item.since,
            at: self.at.map(|at| at.time),
            expired: item.expired_since(self.as_of).is_some(),
        };
        write_json(&mut *out, &reading)?;
        out.write_all(b"\n")
    }

    fn read(&self, count: &Count) -> CountReading {
        CountReading { count: *count, value_at: self.at.map(|at| at.value(count)) }
    }
}

/// An item's JSON form, with what it reads as.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemReading<'a> {
    key: &'a str,
    feature_name: &'a str,
    counts: BTreeMap<DecayInterval, CountReading>,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<EventTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<EventTime>,
    expired: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CountReading {
    #[serde(flatten)]
    count: Count,
    /// `Some(None)`: asked for, and not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_at: Option<Option<f64>>,
}

/// Six digits after the point, or an exponent where those would say nothing.
pub(super) fn show_value(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-4..1e15).contains(&size) { format!("{value:.6}") } else { format!("{value:.6e}") }
}

/// Interval and last update.
const TEXT_COLUMNS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{Row, batch, pipeline};

    fn item() -> Item {
        let (pipeline, batch) = (pipeline(), batch(&[Row::new("1234", "like").value(1.6)]));
        batch.items(&pipeline).next().unwrap().to_item()
    }

    fn shown(reading: Reading, json: bool) -> String {
        let mut out = Vec::new();
        if json { reading.show_json(&item(), &mut out) } else { reading.show_table(&item(), &mut out) }.unwrap();
        String::from_utf8(out).unwrap()
    }

    const AT_LAST_UPDATE: Reading = Reading { unit: TimeUnit::Seconds, at: None, as_of: 1_707_700_000 };
    const LATER: Reading =
        Reading { at: Some(ReadAt { time: EventTime(1_707_605_604), is_now: false }), ..AT_LAST_UPDATE };

    #[test]
    fn a_table_has_a_line_per_interval() {
        let expected = "\
like  (key 1234)
  interval  last update              value
  5s        2024-02-10T22:53:19Z  1.600000
  10s       2024-02-10T22:53:19Z  3.200000
  15s       2024-02-10T22:53:19Z  4.800000
";
        assert_eq!(shown(AT_LAST_UPDATE, false), expected);
    }

    #[test]
    fn with_a_time_the_values_are_decayed_to_it() {
        let expected = "\
like  (key 1234)
  interval  last update              value  at 2024-02-10T22:53:24Z
  5s        2024-02-10T22:53:19Z  1.600000                 0.588607
  10s       2024-02-10T22:53:19Z  3.200000                 1.940898
  15s       2024-02-10T22:53:19Z  4.800000                 3.439350
";
        assert_eq!(shown(LATER, false), expected);
    }

    #[test]
    fn a_time_before_the_last_update_tells_nothing_but_now_reads_as_of_then() {
        let at = |is_now| Reading { at: Some(ReadAt { time: EventTime(1_707_605_598), is_now }), ..AT_LAST_UPDATE };
        let early = shown(at(false), false);
        assert!(
            early.contains("4.800000                        -\n") && early.ends_with(&format!("{TOO_EARLY}\n")),
            "{early}"
        );
        assert!(shown(at(false), true).contains(r#""value":1.6,"valueAt":null}"#));
        assert!(shown(at(true), false).contains("1.600000                 1.600000\n"));
        assert!(shown(at(true), true).contains(r#""value":1.6,"valueAt":1.6}"#));
        let same = Reading { at: Some(ReadAt { time: EventTime(1_707_605_599), is_now: false }), ..AT_LAST_UPDATE };
        assert!(shown(same, true).contains(r#""valueAt":1.6}"#));
    }

    #[test]
    fn an_expired_item_is_shown_and_says_so_from_its_last_second_on() {
        let alive = Reading { as_of: 1_708_210_398, ..AT_LAST_UPDATE };
        let expired = Reading { as_of: 1_708_210_399, ..AT_LAST_UPDATE };
        assert!(!shown(alive, false).contains("expired"));
        assert!(shown(expired, false).contains("expired since 2024-02-17T22:53:19Z"));
        assert!(shown(expired, false).contains("4.800000"));
        assert!(
            shown(alive, true).contains(r#""expired":false"#) && shown(expired, true).contains(r#""expired":true"#)
        );
    }

    #[test]
    fn json_is_the_item_and_what_it_reads_as() {
        let text = shown(LATER, true);
        let five = r#""5":{"decayInterval":5,"lastUpdate":1707605599,"value":1.6,"valueAt":0.58860710587"#;
        assert!(text.starts_with(&format!(r#"{{"key":"1234","featureName":"like","counts":{{{five}"#)), "{text}");
        let end = concat!(r#""version":1,"expiresAt":1708210399,"at":1707605604,"expired":false}"#, "\n");
        assert!(text.ends_with(end), "{text}");
        assert_eq!(serde_json::from_str::<Item>(&text).unwrap(), item());
    }

    #[test]
    fn an_item_that_started_again_says_since_when_it_counts() {
        let item = Item { since: Some(EventTime(1_707_605_590)), ..item() };
        let (mut table, mut json) = (Vec::new(), Vec::new());
        AT_LAST_UPDATE.show_table(&item, &mut table).unwrap();
        AT_LAST_UPDATE.show_json(&item, &mut json).unwrap();
        let table = String::from_utf8(table).unwrap();
        let end = "\n  counts only since 2024-02-10T22:53:10Z: what came before was evicted when memory ran short, or the feature is new\n";
        assert!(table.ends_with(end), "{table}");
        let json = String::from_utf8(json).unwrap();
        assert!(json.contains(r#""expiresAt":1708210399,"since":1707605590,"#), "{json}");
    }

    #[test]
    fn values_of_millions_with_times_in_milliseconds_fit_into_80_columns() {
        let (last_update, time) = (EventTime(1_707_605_599_123), EventTime(1_707_605_601_000));
        let mut item = item();
        for count in item.counts.values_mut() {
            (count.last_update, count.value) = (last_update, -1_234_567.654_321);
        }
        let mut out = Vec::new();
        let at = Some(ReadAt { time, is_now: false });
        Reading { unit: TimeUnit::Milliseconds, at, as_of: 0 }.show_table(&item, &mut out).unwrap();
        let table = String::from_utf8(out).unwrap();
        assert!(table.contains("2024-02-10T22:53:19.123Z  -1234567.654321"), "{table}");
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    }

    #[test]
    fn values_of_every_size_say_something() {
        let shown = [0.0, 2.5, -1.0, 1e-9, 3e20].map(show_value);
        assert_eq!(shown, ["0.000000", "2.500000", "-1.000000", "1.000000e-9", "3.000000e20"]);
    }
}
