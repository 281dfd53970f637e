//! The README is true: its commands on the sample log print what it shows, and every command and
//! flag that it and the operations guide mention exists.

use std::collections::BTreeMap;

use crate::program::{Workplace, binary};

const README: &str = include_str!("../../README.md");
const OPERATIONS: &str = include_str!("../../docs/operations.md");
const PIPELINE: &str = include_str!("../../pipelines/user_counters.toml");
const SAMPLE: &str = include_str!("../../pipelines/sample.jsonl");

/// How the README calls the program.
const NAMES: [&str; 3] = ["cargo run --release -- ", "target/release/counter-machine ", "counter-machine "];

/// The README's own files, where its commands expect them.
fn checkout() -> Workplace {
    let place = Workplace::new();
    place.write("pipelines/user_counters.toml", PIPELINE);
    place.write("pipelines/sample.jsonl", SAMPLE);
    place
}

/// The arguments of a command line that runs this program.
fn arguments(command: &str) -> Option<Vec<&str>> {
    let arguments = NAMES.iter().find_map(|name| command.strip_prefix(name))?;
    Some(arguments.split_whitespace().collect())
}

/// The text between the fences of every block of this kind.
fn blocks<'a>(text: &'a str, kind: &str) -> Vec<&'a str> {
    let opening = format!("\n```{kind}\n");
    text.split(opening.as_str()).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// What stands in `code`, not in blocks.
fn inline_code(text: &str) -> impl Iterator<Item = &str> {
    let outside_of_blocks = text.split("\n```").step_by(2);
    outside_of_blocks.flat_map(|part| part.split('`').skip(1).step_by(2))
}

/// Every command line that runs this program: in blocks, in `code`, behind pipes.
fn commands(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("    ").or_else(|| line.strip_prefix("$ ")));
    let candidates = lines.chain(inline_code(text));
    candidates.flat_map(|line| line.split(" | ")).filter_map(|command| arguments(command.trim())).collect()
}

/// An output without what differs from run to run.
fn steady(output: &str) -> Vec<String> {
    const MEASURED: [&str; 4] = ["peak memory", "CPU time", "elapsed", "events/s"];
    let is_measured = |line: &str| MEASURED.iter().any(|name| line.trim_start().starts_with(name));
    let lines = output.lines().filter(|line| !line.is_empty() && !is_measured(line));
    let program = binary().display().to_string();
    lines.map(|line| line.replace(&program, "target/release/counter-machine").trim_end().to_owned()).collect()
}

/// The commands of a block with what it shows of each: what follows a `$` up to the next.
fn shown_commands(block: &str) -> Vec<(&str, &str)> {
    let commands = block.strip_prefix("$ ").unwrap_or_default().split("\n$ ");
    commands.map(|command| command.split_once('\n').unwrap_or((command, ""))).collect()
}

/// The seconds of a time like `2024-02-10T22:53:19Z`.
fn seconds(word: &str) -> Option<i64> {
    Some(word.trim_end_matches(',').parse::<jiff::Timestamp>().ok()?.as_second())
}

/// What a command shows that goes by the present: without the present's times, and without what a counter has faded to
/// by then, which must be what the formula says.
fn without_present(lines: &[String]) -> Vec<String> {
    let now = lines.iter().find_map(|line| seconds(line.split_once("value  at ")?.1));
    let is_past = |word: &str| seconds(word).is_none() || word.starts_with("2024-02-10");
    let line = |line: &String| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if let (Some(now), [interval, last_update, value, faded]) = (now, words.as_slice())
            && let Some(last_update) = seconds(last_update)
        {
            let [value, faded] = [value, faded].map(|number| number.parse::<f64>().unwrap());
            let interval: f64 = interval.strip_suffix('s').unwrap().parse().unwrap();
            let expected = value * (-((now - last_update) as f64) / interval).exp();
            assert!((faded - expected).abs() < 2e-6, "{line}: {expected} is left at {now}");
            words.pop();
        }
        words.retain(|word| is_past(word));
        words.join(" ")
    };
    lines.iter().map(line).collect()
}

fn helps() -> BTreeMap<&'static str, String> {
    let place = Workplace::new();
    let commands = [
        "run", "cluster", "get", "dump", "check", "state", "status", "verify", "table", "generate", "produce",
        "template", "explain",
    ];
    commands.into_iter().map(|command| (command, place.run(&[command, "--help"]).exits(0).stdout)).collect()
}

fn offers(help: &str, flag: &str) -> bool {
    help.lines().any(|line| line.trim_start().starts_with('-') && line.split([' ', ',']).any(|word| word == flag))
}

/// A terminal's narrowest usual width. A line that is longer is broken in the middle, and cannot be copied.
const COLUMNS: usize = 80;

#[test]
fn the_examples_of_every_help_fit_into_80_columns() {
    let mut tried = 0;
    let all = [("", Workplace::new().run(&["--help"]).exits(0).stdout)].into_iter().chain(helps());
    for (command, help) in all {
        let Some((_, examples)) = help.split_once("\nExample") else { continue };
        let commands = examples.lines().filter(|line| line.starts_with("  "));
        for line in commands {
            assert!(line.chars().count() <= COLUMNS, "{command} --help: {line}");
            tried += usize::from(line.contains("counter-machine "));
        }
    }
    assert!(tried > 10, "only {tried} examples were found");
}

#[test]
fn the_commands_on_the_sample_print_what_the_readme_shows() {
    let place = checkout();
    let mut tried = 0;
    for (command, shown) in blocks(README, "console").into_iter().flat_map(shown_commands) {
        let Some(arguments) = arguments(command) else { continue };
        let ended = place.run(&arguments).exits(0);
        let (shown, printed) = (steady(shown), steady(&(ended.stderr + &ended.stdout)));
        if arguments.contains(&"now") {
            assert_eq!(without_present(&printed), without_present(&shown), "{command}");
        } else if !shown.is_empty() {
            assert_eq!(printed, shown, "{command}");
        }
        tried += 1;
    }
    assert_eq!(tried, 4);
}

#[test]
fn the_item_that_the_readme_shows_is_the_samples() {
    let place = checkout();
    place.run(&["run", "pipelines/user_counters.toml", "--events", "pipelines/sample.jsonl"]).exits(0);
    let items = place.run(&["dump", "sqlite:user_counters.db"]).exits(0).stdout;
    let shown = blocks(README, "json").into_iter().find(|block| block.contains("\"featureName\"")).unwrap();
    let line: String = shown.lines().map(str::trim_start).collect();
    // A version tells when the run started.
    let (before, version) = line.split_once("\"version\":").unwrap();
    let (_, after) = version.split_once(',').unwrap();
    let is_shown = |item: &str| item.starts_with(before) && item.ends_with(after);
    assert!(items.lines().any(is_shown), "{line} is not in\n{items}");
}

#[test]
fn both_rhythms_publish_as_often_as_the_readme_says() {
    let place = checkout();
    let rows = README.lines().filter(|line| line.starts_with("| `counter-machine run "));
    let mut tried = 0;
    for (command, items) in rows.filter_map(|row| row.rsplit_once("` | ")) {
        let Some(items) = items.strip_suffix(" |").and_then(|items| items.parse::<usize>().ok()) else { continue };
        let command = command.strip_prefix("| `").unwrap();
        let printed = place.run(&arguments(command).unwrap()).exits(0).stdout;
        assert_eq!(printed.lines().count(), items, "{command}");
        tried += 1;
    }
    assert_eq!(tried, 2);
}

#[test]
fn the_pipeline_file_is_shown_as_it_is() {
    let code = |line: &str| line.split('#').next().unwrap_or_default().trim_end().to_owned();
    let entries = |text: &str| text.lines().map(code).filter(|line| !line.is_empty()).collect::<Vec<_>>();
    let shown = blocks(README, "toml").into_iter().find(|block| block.contains("[[counters]]")).unwrap();
    assert_eq!(entries(shown), entries(PIPELINE));
}

#[test]
fn every_command_and_flag_that_is_mentioned_exists() {
    let helps = helps();
    for text in [README, OPERATIONS] {
        for command in commands(text) {
            let help = helps.get(command[0]).unwrap_or_else(|| panic!("there is no command {command:?}"));
            for flag in command.iter().filter(|word| word.starts_with('-') && word.len() > 1) {
                assert!(offers(help, flag), "{command:?}: {flag}");
            }
        }
        for code in inline_code(text).filter(|code| code.starts_with('-')) {
            // Flags of other programs.
            if ["-", "--features tls"].contains(&code) {
                continue;
            }
            let flag = code.split_whitespace().next().unwrap();
            assert!(flag == "--help" || helps.values().any(|help| offers(help, flag)), "{code}");
        }
    }
}
