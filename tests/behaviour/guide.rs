//! The guide to the pipeline file says what happens: every example in it is run.
//!
//! Each ```toml block is a whole pipeline, which `check` must accept. A ```jsonl block behind it is its
//! events, and a ```text block shows commands, each behind a `$`, with what they print. All of an
//! example's commands run in a directory that holds `pipeline.toml` and `events.jsonl`.
//!
//! With `UPDATE_GUIDE=1` the test writes what the commands print into the guide instead.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A fenced block: what its fence says, the lines between the fences, and the number of the first of them.
struct Block {
    kind: String,
    lines: Vec<String>,
    first_line: usize,
}

fn guide() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pipelines.md")
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(text.lines()) {
        match line.strip_prefix("```") {
            Some("") if inside => inside = false,
            Some(kind) => {
                assert!(!inside && !kind.is_empty(), "line {number}: a fence within a fence, or one of no kind");
                blocks.push(Block { kind: kind.to_owned(), lines: Vec::new(), first_line: number + 1 });
                inside = true;
            }
            None if inside => blocks.last_mut().expect("inside of a block").lines.push(line.to_owned()),
            None => {}
        }
    }
    assert!(!inside, "the last fence is open");
    blocks
}

fn run(arguments: &[String], directory: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_counter-machine"));
    command.args(arguments).current_dir(directory);
    for name in ["KAFKA_BROKERS", "DYNAMODB_ENDPOINT", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.output().expect("the program runs")
}

/// The words of a command: parted by spaces, but for those between double quotes.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quoted) = (vec![String::new()], false);
    for letter in command.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().expect("one at least").push(letter),
        }
    }
    words
}

/// What the block should read: its commands, each with what it prints.
fn performed(block: &Block, directory: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for command in block.lines.iter().filter(|line| line.starts_with("$ ")) {
        let words = words(command);
        assert_eq!(words[1], "counter-machine", "line {}: {command}", block.first_line);
        let output = run(&words[2..], directory);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "line {}: {command}\n{errors}", block.first_line);
        lines.push(command.clone());
        lines.extend(String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned));
    }
    lines
}

#[test]
fn every_example_of_the_guide_does_what_it_says() {
    let text = fs::read_to_string(guide()).expect("the guide");
    let update = std::env::var_os("UPDATE_GUIDE").is_some();
    let mut directory = tempfile::tempdir().expect("a directory");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // From the last to the first, the places of those before do not move; but examples run in order.
    let mut changes: Vec<(Block, Vec<String>)> = Vec::new();
    for block in blocks(&text) {
        let content = format!("{}\n", block.lines.join("\n"));
        match block.kind.as_str() {
            "toml" => {
                directory = tempfile::tempdir().expect("a directory");
                fs::write(directory.path().join("pipeline.toml"), content).expect("written");
                let check = run(&["check".to_owned(), "pipeline.toml".to_owned()], directory.path());
                let errors = String::from_utf8_lossy(&check.stderr);
                assert!(check.status.success(), "the pipeline at line {}: {errors}", block.first_line);
            }
            "jsonl" => fs::write(directory.path().join("events.jsonl"), content).expect("written"),
            "text" => {
                let performed = performed(&block, directory.path());
                if !update {
                    assert_eq!(block.lines.join("\n"), performed.join("\n"), "the output at line {}", block.first_line);
                }
                changes.push((block, performed));
            }
            other => panic!("line {}: no example of the guide is {other}", block.first_line),
        }
    }
    if update {
        for (block, performed) in changes.into_iter().rev() {
            let start = block.first_line - 1;
            lines.splice(start..start + block.lines.len(), performed);
        }
        fs::write(guide(), format!("{}\n", lines.join("\n"))).expect("the guide can be written");
    }
}
