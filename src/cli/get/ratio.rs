//! Ratios as `get` shows them.

use std::io::{self, Write};

use super::show::{Reading, TOO_EARLY, show_value};
use crate::cli::output::print_aligned;
use crate::cli::time::show_time;
use crate::pipeline::{Ratio, RatioKind, format_duration, from_units};
use crate::reading::{RatioReading, RatioValue};
use crate::telemetry::{Printable, write_json};

/// The interval.
const TEXT_COLUMNS: usize = 1;

impl Reading {
    /// Prints a ratio as a table, one line per decay interval.
    pub(super) fn show_ratio_table(&self, read: &RatioReading<'_>, out: &mut impl Write) -> io::Result<()> {
        let Ratio { name, numerator, denominator, prior, kind, .. } = read.ratio;
        writeln!(out, "{}", Printable(format!("{name} = {numerator} / {denominator}  (key {})", read.key)))?;
        let mut heading = vec!["interval", "numerator", "denominator", "ratio"];
        heading.extend(prior.map(|_| "smoothed"));
        heading.push("sample");
        heading.extend((*kind == RatioKind::Proportion).then_some("≥ (95 %)"));
        let mut lines = vec![heading.into_iter().map(str::to_owned).collect()];
        lines.extend(read.ratios.iter().map(|value| self.ratio_line(value, read.ratio)));
        print_aligned(&lines, TEXT_COLUMNS, out)?;
        writeln!(out, "  read at {}", show_time(read.time.0, self.unit))?;
        if read.ratios.iter().any(|value| value.numerator.is_none()) {
            writeln!(out, "{TOO_EARLY}")?;
        }
        read.since.map_or(Ok(()), |since| self.show_since(since, out))
    }

    fn ratio_line(&self, value: &RatioValue, ratio: &Ratio) -> Vec<String> {
        let shown = |value: Option<f64>| value.map_or("-".to_owned(), show_value);
        let mut line = vec![
            format_duration(from_units(value.decay_interval.units(), self.unit)),
            shown(value.numerator),
            shown(value.denominator),
            shown(value.value),
        ];
        line.extend(ratio.prior.map(|_| shown(value.smoothed)));
        line.push(value.sample_size.map_or("-".to_owned(), |size| format!("{size:.1}")));
        line.extend((ratio.kind == RatioKind::Proportion).then(|| shown(value.lower_bound)));
        line
    }
}

/// Prints a ratio as one JSON line.
pub(super) fn show_ratio_json(read: &RatioReading<'_>, out: &mut impl Write) -> io::Result<()> {
    write_json(&mut *out, read)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::TimeUnit;
    use crate::reading::fixtures::{item, ratio};

    const IN_SECONDS: Reading = Reading { unit: TimeUnit::Seconds, at: None, as_of: 0 };

    fn table(read: &RatioReading<'_>) -> String {
        let mut table = Vec::new();
        IN_SECONDS.show_ratio_table(read, &mut table).unwrap();
        String::from_utf8(table).unwrap()
    }

    fn json(read: &RatioReading<'_>) -> String {
        let mut json = Vec::new();
        show_ratio_json(read, &mut json).unwrap();
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn a_ratio_of_ten_thousands_fits_into_80_columns() {
        let (likes, views) = (12_345.25, 123_456.25);
        let items = [item("like", 100, likes, None), item("view", 100, views, Some(views / 2.0))];
        let ratio = ratio();
        let table = table(&RatioReading::of(&ratio, "p", &items, None).unwrap());
        assert!(table.contains("123456.250000") && table.contains("246912.5"), "{table}");
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    }

    #[test]
    fn only_a_proportion_has_a_column_of_what_it_is_at_least() {
        let items = [item("like", 100, 52.0, None), item("view", 100, 40.0, Some(32.0))];
        let quotient = Ratio { kind: RatioKind::Quotient, ..ratio() };
        let reading = RatioReading::of(&quotient, "p", &items, None).unwrap();
        let (table, json) = (table(&reading), json(&reading));
        assert!(table.contains("sample\n") && !table.contains("95 %"), "{table}");
        assert!(json.contains(r#""sampleSize":50.0,"lowerBound":null"#), "{json}");
    }

    #[test]
    fn a_ratio_is_shown_as_a_table_and_as_json() {
        let items = [item("like", 100, 8.0, None), item("view", 100, 40.0, None)];
        let ratio = ratio();
        let reading = RatioReading::of(&ratio, "p", &items, None).unwrap();
        let expected = "\
ctr = like / view  (key p)
  interval  numerator  denominator     ratio  smoothed  sample  ≥ (95 %)
  10s        8.000000    40.000000  0.200000  0.150000       -         -
  read at 1970-01-01T00:01:40Z
";
        assert_eq!(table(&reading), expected);
        let expected = concat!(
            r#"{"key":"p","ratioName":"ctr","ratios":[{"decayInterval":10,"time":100,"numerator":8.0,"#,
            r#""denominator":40.0,"value":0.2,"smoothed":0.15,"lowerBound":null}]}"#,
            "\n"
        );
        assert_eq!(json(&reading), expected);
    }
}
