//! What a pipeline would cost, in words, and what of it a sample does not bear out.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::output::print_aligned;
use super::super::{CliError, ErrorCode};
use super::plan::{GroupPlan, GroupPublishing, Plan, Planner};
use crate::counter::EventTime;
use crate::event::Arrival;
use crate::findings::{Observed, findings};
use crate::pipeline::{HoldBack, Limits, Pipeline, format_duration};
use crate::plan::GroupWrites;
use crate::source::SourceError;
use crate::source::log::{check_arrival, for_each_line};
use crate::telemetry::Printable;

/// The longest line that is looked at: the longest that a pipeline can allow.
const LONGEST_LINE: usize = 1 << 30;

/// So many groups are named, the most expensive ones.
const GROUPS_NAMED: usize = 10;

/// The name, and what is said of a group's keys.
const COLUMNS_OF_KEYS: usize = 5;

/// A group that has so many different keys for each time that it is given one explodes,
const EXPLOSION: f64 = 0.8;
/// as far as so many times can tell.
const EXPLOSION_USES: u64 = 1_000;

/// Rows are evicted when another epoch would pass a limit; a sample that uses this share of it is close to that.
const LIMIT_IS_NEAR: f64 = 15.0 / 16.0;

/// What the column says; see [`GroupPlan::growth_exponent`].
const GROWTH: &str =
    "  growth: how the keys grow with the number n of events; n^0: no new ones come, n^1: they keep coming\n";

const SECONDS_PER_DAY: f64 = 86_400.0;

/// Reads the sample and tells what counting a stream like it would cost.
pub(super) fn costs(
    pipeline: Pipeline,
    sample: &[PathBuf],
    price_per_million: f64,
    now: Timestamp,
) -> Result<String, CliError> {
    let pipeline = Arc::new(pipeline);
    let arrival = Arrival::before(EventTime(pipeline.event.time_unit.from_nanoseconds(now.as_nanosecond())));
    let mut planner = Planner::new(Arc::clone(&pipeline), arrival);
    check_arrival(sample, &pipeline.event).map_err(|error| CliError::of(ErrorCode::LogUnreadable, &error))?;
    for_each_line(sample, LONGEST_LINE, &mut |line| {
        planner.observe(line.bytes);
        Ok::<(), SourceError>(())
    })
    .map_err(|error| CliError::of(ErrorCode::LogUnreadable, &error))?;
    let plan = planner.finish();
    let costs = Costs { pipeline: &pipeline, plan: &plan, price_per_million }.describe();
    Ok(costs + &describe_findings(&pipeline, &plan.observed, arrival.time()))
}

/// Warnings of what is hardly meant, then notes of what was missing otherwise; one line each. All
/// events arrived `now`, in the event's unit.
fn describe_findings(pipeline: &Pipeline, observed: &Observed, now: EventTime) -> String {
    let mut text = String::new();
    if let Some(doubt) = observed.times.doubt(pipeline.event.time_unit, now) {
        text += &format!("warning: {doubt}\n");
    }
    let found = findings(pipeline, observed);
    if found.is_empty() && observed.routes.events() > 0 {
        text += "nothing that the file names was missing\n";
    }
    for finding in found {
        let kind = if finding.is_sure { "warning" } else { "note" };
        text += &format!("{kind}: {}\n", finding.text);
    }
    text
}

/// A plan, to be told.
struct Costs<'a> {
    pipeline: &'a Pipeline,
    plan: &'a Plan,
    price_per_million: f64,
}

impl Costs<'_> {
    fn describe(&self) -> String {
        let mut text = format!("\nsample        {}\n", self.sample());
        if self.plan.events > 0 {
            text += &self.totals();
            text += &self.groups();
            text += &self.publishing();
        }
        for warning in self.warnings() {
            text += &format!("warning: {warning}\n");
        }
        text
    }

    fn sample(&self) -> String {
        let Plan { events, dead_letters, observed, windows, .. } = self.plan;
        let reasons: Vec<String> =
            dead_letters.iter().map(|(reason, count)| format!("{} {reason}", whole(*count as f64))).collect();
        let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
        let length = format_duration(self.pipeline.window.length);
        format!(
            "{} events in {} windows of {length}; {} dead letters{reasons}; {} missing keys, {} missing values",
            whole(*events as f64),
            whole(*windows as f64),
            whole(dead_letters.values().sum::<u64>() as f64),
            whole(observed.routes.missing_keys() as f64),
            whole(observed.routes.missing_values() as f64),
        )
    }

    fn totals(&self) -> String {
        let sum = |of: fn(&GroupPlan) -> u64| self.plan.groups.iter().map(of).sum::<u64>() as f64;
        let (contributions, rows) = (sum(|group| group.contributions), sum(|group| group.rows));
        let (memory, table) = (sum(|group| group.row_bytes), sum(|group| group.table_bytes));
        let written = self.plan.groups.iter().map(|group| self.as_configured(group).by_feature);
        let written = written.fold(GroupWrites::default(), GroupWrites::plus);
        let (items, units) = (written.writes, written.units);
        let (items_per_second, units_per_day) = (self.per_second(items), self.per_second(units) * SECONDS_PER_DAY);
        format!(
            "contributions {:.1} per event\n\
             rows          {}, {} in memory ({:.0} bytes per row){}\n\
             items         {:.1} written per second, {} per day, one for each row that is due in a round\n\
             DynamoDB      {} write units per day, ${:.2} per day at ${} per million; {} in the table\n",
            contributions / self.plan.events as f64,
            whole(rows),
            bytes(memory),
            memory / rows.max(1.0),
            self.share_of_limits(),
            items_per_second,
            whole(items_per_second * SECONDS_PER_DAY),
            whole(units_per_day),
            self.price(units_per_day),
            self.price_per_million,
            bytes(table),
        )
    }

    /// What the sample's rows take, as a share of each limit.
    fn shares(&self) -> impl Iterator<Item = (f64, String)> {
        let sum = |of: fn(&GroupPlan) -> u64| self.plan.groups.iter().map(of).sum::<u64>() as f64;
        let Limits { rows, memory } = self.pipeline.limits;
        let rows = rows.map(|limit| (sum(|group| group.rows) / limit.0 as f64, format!("rows = {}", limit.0)));
        let memory =
            memory.map(|limit| (sum(|group| group.row_bytes) / limit.0 as f64, format!("memory = \"{limit}\"")));
        rows.into_iter().chain(memory)
    }

    fn share_of_limits(&self) -> String {
        let share = |(share, limit): (f64, String)| format!("; {:.1} % of {limit}", 100.0 * share);
        self.shares().map(share).collect()
    }

    /// The most expensive groups: what is written costs most, then what is held.
    fn groups(&self) -> String {
        let mut groups: Vec<(&str, &GroupPlan)> =
            self.pipeline.groups.iter().map(|group| group.name.as_str()).zip(&self.plan.groups).collect();
        groups.sort_by_key(|(_, plan)| {
            std::cmp::Reverse((self.as_configured(plan).by_feature.units as u64, plan.row_bytes))
        });
        let heading = [
            "group",
            "keys at 1/4",
            "at 1/2",
            "in all",
            "growth",
            "rows",
            "memory",
            "bytes/row",
            "items/s",
            "units/day",
            "$/day",
        ];
        let mut lines = vec![heading.map(str::to_owned).to_vec()];
        lines.extend(groups.iter().take(GROUPS_NAMED).map(|(name, plan)| self.line(name, plan)));
        let mut text = Vec::new();
        // Two tables, of keys and of costs: all of it would be wider than a terminal. Writing to memory does not fail.
        let (keys, costs) = (1..COLUMNS_OF_KEYS, COLUMNS_OF_KEYS..heading.len());
        let _ = print_aligned(&with_first(&lines, keys), 1, &mut text);
        text.push(b'\n');
        let _ = print_aligned(&with_first(&lines, costs), 1, &mut text);
        let more = match groups.len().saturating_sub(GROUPS_NAMED) {
            0 => String::new(),
            more => format!("  and {more} cheaper ones\n"),
        };
        format!("\n{}{more}{GROWTH}", String::from_utf8_lossy(&text))
    }

    fn line(&self, name: &str, plan: &GroupPlan) -> Vec<String> {
        let written = self.as_configured(plan).by_feature;
        let units_per_day = self.per_second(written.units) * SECONDS_PER_DAY;
        let mut line = vec![Printable(name).to_string()];
        line.extend(plan.keys.map(|keys| whole(keys as f64)));
        line.extend([
            plan.growth_exponent().map_or("-".to_owned(), |exponent| format!("n^{exponent:.2}")),
            whole(plan.rows as f64),
            bytes(plan.row_bytes as f64),
            format!("{:.0}", plan.row_bytes as f64 / plan.rows.max(1) as f64),
            format!("{:.1}", self.per_second(written.writes)),
            whole(units_per_day),
            format!("{:.2}", self.price(units_per_day)),
        ]);
        line
    }

    /// What a group writes as the file stands.
    fn as_configured(&self, plan: &GroupPlan) -> GroupPublishing {
        if self.pipeline.holds_back() { plan.held_back } else { plan.all_changes }
    }

    /// What is written with items of either layout, and when small changes are held back.
    fn publishing(&self) -> String {
        let mut groups: Vec<(&str, &GroupPlan)> =
            self.pipeline.groups.iter().map(|group| group.name.as_str()).zip(&self.plan.groups).collect();
        groups.sort_by_key(|(_, plan)| std::cmp::Reverse((plan.all_changes.by_feature.units as u64, plan.row_bytes)));
        let heading =
            ["group", "an item is", "items/s", "units/day", "$/day", "held back: items/s", "units/day", "$/day"];
        let mut lines = vec![heading.map(str::to_owned).to_vec()];
        for (name, plan) in groups.iter().take(GROUPS_NAMED) {
            let (all, held) = (plan.all_changes, plan.held_back);
            let layouts = [("a feature", all.by_feature, held.by_feature), ("a key", all.by_key, held.by_key)];
            for (layout, all, held) in layouts {
                let mut line = vec![Printable(name).to_string(), layout.to_owned()];
                line.extend(self.cells(all).into_iter().chain(self.cells(held)));
                lines.push(line);
            }
        }
        let all = self.sum(|plan| (plan.all_changes.by_feature, plan.held_back.by_feature));
        let by_key = self.sum(|plan| (plan.all_changes.by_key, plan.held_back.by_key));
        for (layout, (all, held)) in [("a feature", all), ("a key", by_key)] {
            let mut line = vec!["in all".to_owned(), layout.to_owned()];
            line.extend(self.cells(all).into_iter().chain(self.cells(held)));
            lines.push(line);
        }
        let mut text = Vec::new();
        let _ = print_aligned(&lines, 2, &mut text);
        format!("\n{}{}", String::from_utf8_lossy(&text), self.what_is_held_back())
    }

    fn sum(&self, of: impl Fn(&GroupPlan) -> (GroupWrites, GroupWrites)) -> (GroupWrites, GroupWrites) {
        let plus = |(all, held): (GroupWrites, GroupWrites), group: &GroupPlan| {
            let (more, more_held) = of(group);
            (all.plus(more), held.plus(more_held))
        };
        self.plan.groups.iter().fold(Default::default(), plus)
    }

    fn cells(&self, written: GroupWrites) -> [String; 3] {
        let units_per_day = self.per_second(written.units) * SECONDS_PER_DAY;
        [
            format!("{:.1}", self.per_second(written.writes)),
            whole(units_per_day),
            format!("{:.2}", self.price(units_per_day)),
        ]
    }

    fn what_is_held_back(&self) -> String {
        let HoldBack { min_change, max_age } = HoldBack::ONE_PERCENT;
        if self.pipeline.holds_back() {
            return "  held back: small changes, as `min_change` says in the file\n".to_owned();
        }
        format!(
            "  held back: with `min_change = {min_change}` in [publish], for at most {}\n",
            format_duration(max_age)
        )
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(error) = &self.plan.not_rehearsed {
            warnings.push(format!("nothing can be said of what is written: {error}"));
        }
        if self.plan.events == 0 {
            warnings.push("no event counts: nothing can be said of the costs".to_owned());
        }
        if self.plan.is_estimate {
            let most = whole(Planner::MOST_ROWS as f64);
            warnings.push(format!(
                "more than {most} rows and keys: what is said of them is an estimate from a share of them"
            ));
        }
        for (_, limit) in self.shares().filter(|(share, _)| *share > LIMIT_IS_NEAR) {
            warnings.push(format!(
                "the rows of this sample alone reach {limit} of [limits]: those that are worth least would be evicted"
            ));
        }
        for (group, plan) in self.pipeline.groups.iter().zip(&self.plan.groups) {
            let keys = plan.keys[2];
            if plan.key_uses >= EXPLOSION_USES && keys as f64 > EXPLOSION * plan.key_uses as f64 {
                warnings.push(format!(
                    "group \"{}\" explodes: {} different keys in {} events; a row is made for almost every event and hardly \
                     ever used again",
                    group.name,
                    whole(keys as f64),
                    whole(plan.key_uses as f64),
                ));
            }
        }
        warnings
    }

    /// What the whole sample makes, per second of the time that it spans.
    fn per_second(&self, of_sample: f64) -> f64 {
        of_sample / (self.pipeline.window.length.as_secs_f64() * self.plan.windows.max(1) as f64)
    }

    fn price(&self, units: f64) -> f64 {
        units / 1e6 * self.price_per_million
    }
}

/// The first cell of each line and those of these columns.
fn with_first(lines: &[Vec<String>], columns: Range<usize>) -> Vec<Vec<String>> {
    let cells = |line: &Vec<String>| [&line[..1], &line[columns.clone()]].concat();
    lines.iter().map(cells).collect()
}

/// A whole number with commas.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn bytes(number: f64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut size, mut unit) = (number, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    let digits = usize::from(unit > 0);
    format!("{size:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_a_person_reads_them() {
        assert_eq!([0.0, 999.0, 1000.0, 1_234_567.4].map(whole), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 1023.0, 1536.0, 5e9].map(bytes), ["0 bytes", "1023 bytes", "1.5 KiB", "4.7 GiB"]);
    }
}
