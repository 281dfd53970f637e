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

/// The time behind `value  at`, in the heading of a table.
fn without_time_of_reading(line: &str) -> &str {
    line.split_once("  at 20").map_or(line, |(before, _)| before)
}

fn helps() -> BTreeMap<&'static str, String> {
    let place = Workplace::new();
    let commands = ["run", "get", "dump", "check", "table", "generate", "produce"];
    commands.into_iter().map(|command| (command, place.run(&[command, "--help"]).exits(0).stdout)).collect()
}

fn offers(help: &str, flag: &str) -> bool {
    help.lines().any(|line| line.trim_start().starts_with('-') && line.split([' ', ',']).any(|word| word == flag))
}

#[test]
fn the_commands_on_the_sample_print_what_the_readme_shows() {
    let place = checkout();
    let mut tried = 0;
    for block in blocks(README, "console") {
        let (command, shown) = block.split_once('\n').unwrap();
        let Some(arguments) = arguments(command.strip_prefix("$ ").unwrap()) else { continue };
        let ended = place.run(&arguments).exits(0);
        let (shown, printed) = (steady(shown), steady(&(ended.stderr + &ended.stdout)));
        if arguments.contains(&"now") {
            let untimed =
                |lines: &[String]| lines.iter().map(|line| without_time_of_reading(line).to_owned()).collect();
            let (shown, printed): (Vec<String>, Vec<String>) = (untimed(&shown), untimed(&printed));
            assert_eq!(printed, shown, "{command}");
        } else {
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
