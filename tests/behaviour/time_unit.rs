//! Times that lie before 2000, or years ahead, are counted, and a wrong `time_unit` is asked about: once while
//! the log is read, and in the summary.

use crate::program::{Ended, Workplace};

/// 2024-02-10, in seconds.
const USUAL: u64 = 1_707_605_599;

/// A log of so many events from this time on, in a unit of which so many make a second, and a pipeline that reads it in
/// this unit.
fn place(first: u64, per_second: u64, events: u64, unit: &str) -> Workplace {
    let place = Workplace::new();
    let pipeline = format!(
        "name = \"p\"\nevent = {{ name = \"n\", time = \"t\", time_unit = \"{unit}\", max_ahead = \"none\" }}\n\
         counters = [{{ name = \"u\", key = [\"u\"], events = \"*\", decays = [\"1h\"] }}]"
    );
    place.write("p.toml", pipeline);
    let line = |event: u64| format!("{{\"n\":\"like\",\"u\":{},\"t\":{}}}\n", event % 7, (first + event) * per_second);
    place.write("events.jsonl", (0..events).map(line).collect::<String>());
    place
}

fn run(place: &Workplace, workers: &str) -> Ended {
    place.run(&["run", "p.toml", "--events", "events.jsonl", "--sink", "none", "-w", workers]).exits(0)
}

/// The question alone.
fn in_short(question: &str) -> &str {
    question.split_inclusive('?').next().unwrap()
}

/// One warning, one line of the summary, one line of `check`; and everything counts.
#[track_caller]
fn is_asked(place: &Workplace, events: u64, question: &str) {
    for workers in ["1", "2"] {
        let ended = run(place, workers);
        let asked: Vec<&str> = ended.stderr.lines().filter(|line| line.contains(in_short(question))).collect();
        assert!(asked.len() == 2, "{question}\n{}", ended.stderr);
        assert!(asked[0].contains("WARN") && asked[0].contains(question), "{}", ended.stderr);
        assert_eq!(asked[1].trim_start(), format!("time_unit      {}", in_short(question)));
        assert_eq!(ended.summary("events"), events);
    }
    let warning = format!("warning: {question}");
    place.run(&["check", "p.toml", "--events", "events.jsonl"]).exits(0).prints(&[&warning]);
}

#[test]
fn numbers_that_are_too_small_for_the_unit_are_asked_about() {
    for (per_second, written, right) in [
        (1, "ms", "s"),
        (1, "us", "s"),
        (1, "ns", "s"),
        (1_000, "us", "ms"),
        (1_000, "ns", "ms"),
        (1_000_000, "ns", "us"),
    ] {
        let question = format!(
            "times lie in 1970 .. 1970: is time_unit right? It is \"{written}\". As \"{right}\" the same numbers lie in \
             2024 .. 2024"
        );
        is_asked(&place(USUAL, per_second, 200, written), 200, &question);
    }
}

#[test]
fn numbers_that_are_too_large_for_the_unit_are_asked_about() {
    for (per_second, written, year, right) in
        [(1_000, "s", 56_081, "ms"), (1_000_000, "ms", 56_081, "us"), (1_000_000_000, "us", 56_081, "ns")]
    {
        let question = format!(
            "times lie in {year} .. {year}: is time_unit right? It is \"{written}\". As \"{right}\" the same numbers lie in \
             2024 .. 2024"
        );
        is_asked(&place(USUAL, per_second, 200, written), 200, &question);
    }
}

#[test]
fn times_that_are_refused_for_being_too_late_are_asked_about_too() {
    let place = place(USUAL, 1_000, 200, "s");
    place.write("p.toml", place.read("p.toml").replace("max_ahead = \"none\"", "max_ahead = \"1d\""));
    let ended = place.run(&["run", "p.toml", "--events", "events.jsonl", "--sink", "none"]).exits(1);
    let question = "times lie in 56081 .. 56081: is time_unit right? It is \"s\". As \"ms\"";
    let asked = (ended.stderr.matches(question).count(), ended.stderr.matches(in_short(question)).count());
    assert_eq!(asked, (1, 2), "{}", ended.stderr);
}

#[test]
fn old_logs_and_small_times_count_and_are_asked_about_once() {
    is_asked(&place(800_000_000, 1, 200, "s"), 200, "times lie in 1995 .. 1995: is time_unit right? It is \"s\".");
    is_asked(&place(1, 1, 100, "s"), 100, "times lie in 1970 .. 1970: is time_unit right? It is \"s\".");
    is_asked(&place(1, 1, 3, "s"), 3, "times lie in 1970 .. 1970: is time_unit right? It is \"s\".");
}

#[test]
fn text_is_asked_about_as_text() {
    let place = place(1, 1, 1, "rfc3339");
    let line = "{\"n\":\"like\",\"u\":1,\"t\":\"1970-01-20T18:20:05Z\"}\n";
    place.write("events.jsonl", line.repeat(40));
    is_asked(&place, 40, "times lie in 1970 .. 1970: is that so?");
}

#[test]
fn a_few_wrong_clocks_in_a_right_log_are_no_reason_to_ask() {
    let place = place(USUAL, 1, 200, "s");
    let events = place.read("events.jsonl");
    let wrong = "{\"n\":\"like\",\"u\":1,\"t\":1707605}\n";
    place.write("events.jsonl", format!("{}{events}", wrong.repeat(5)));
    let ended = run(&place, "1");
    assert!(!ended.stderr.contains("time_unit"), "{}", ended.stderr);
    let checked = place.run(&["check", "p.toml", "--events", "events.jsonl"]).exits(0).stdout;
    assert!(!checked.contains("time_unit"), "{checked}");
}

#[test]
fn the_question_comes_while_the_log_is_still_read() {
    let place = place(USUAL, 1, 100, "ms");
    place.write("p.toml", place.read("p.toml").replace("counters", "window = { length = \"100ms\" }\ncounters"));
    let mut running = place.start(&["run", "p.toml", "--events", "-", "--sink", "jsonl:-"]);
    running.write(&place.read("events.jsonl"));
    // What is published was counted: so the question was asked before the input ended.
    running.line();
    running.signal("KILL");
    let ended = running.end();
    assert_eq!(ended.stderr.matches("is time_unit right?").count(), 1, "{}", ended.stderr);
}
