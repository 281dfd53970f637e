//! The guide to the pipeline file says what happens: every example in it is run; so are the commands
//! at the heads of the pipelines that ship.
//!
//! Each ```toml block is a whole pipeline, which `check` must accept. A ```jsonl block behind it is its
//! events, and a ```text block shows commands, each behind a `$`, with what they print. All of an
//! example's commands run in a folder of its own that holds `pipeline.toml` and `events.jsonl`.
//!
//! With `UPDATE_GUIDE=1` the test writes what the commands print into the guide instead.

use std::fs;
use std::ops::Range;

use crate::program::Workplace;

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/pipelines.md");

/// A fenced block: what its fence says, and the lines between the fences, counted from 0.
struct Block<'a> {
    kind: &'a str,
    lines: Range<usize>,
}

fn blocks<'a>(lines: &[&'a str]) -> Vec<Block<'a>> {
    let fences: Vec<usize> = (0..lines.len()).filter(|place| lines[*place].starts_with("```")).collect();
    let block = |fences: &[usize]| {
        assert_eq!(lines[fences[1]], "```", "line {}: a fence within a fence", fences[1] + 1);
        Block { kind: &lines[fences[0]][3..], lines: fences[0] + 1..fences[1] }
    };
    fences.chunks(2).map(block).collect()
}

/// The words of a command: parted by spaces, but for those between double quotes.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quoted) = (vec![String::new()], false);
    for letter in command.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    words
}

/// Runs the commands among these lines; returns each with what it prints.
fn performed(lines: &[&str], place: &Workplace) -> Vec<String> {
    let mut performed = Vec::new();
    for line in lines.iter().filter(|line| line.starts_with("$ ")) {
        let words = words(line);
        let arguments: Vec<&str> = words[2..].iter().map(String::as_str).collect();
        let printed = place.run(&arguments).exits(0).stdout;
        performed.push((*line).to_owned());
        performed.extend(printed.lines().map(str::to_owned));
    }
    performed
}

#[test]
fn every_example_of_the_guide_does_what_it_says() {
    let text = fs::read_to_string(GUIDE).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let update = std::env::var_os("UPDATE_GUIDE").is_some();
    let (mut place, mut updated, mut copied) = (Workplace::new(), String::new(), 0);
    let mut examples = 0;
    for Block { kind, lines: inside } in blocks(&lines) {
        let shown = &lines[inside.clone()];
        let content = format!("{}\n", shown.join("\n"));
        match kind {
            "toml" => {
                place = Workplace::new();
                place.write("pipeline.toml", content);
                place.run(&["check", "pipeline.toml"]).exits(0);
                examples += 1;
            }
            "jsonl" => place.write("events.jsonl", content),
            "text" => {
                let performed = performed(shown, &place).join("\n");
                assert!(update || performed == shown.join("\n"), "line {}: it prints\n{performed}", inside.start + 1);
                updated.extend(lines[copied..inside.start].iter().flat_map(|line| [line, "\n"]));
                updated.push_str(&format!("{performed}\n"));
                copied = inside.end;
            }
            other => panic!("line {}: an example of the kind \"{other}\"", inside.start),
        }
    }
    assert!(examples > 5, "only {examples} examples were found");
    if update {
        updated.extend(lines[copied..].iter().flat_map(|line| [line, "\n"]));
        fs::write(GUIDE, updated).unwrap();
    }
}

#[test]
fn the_shipped_pipelines_do_what_their_heads_say() {
    let place = Workplace::new();
    place.write("pipelines/feed.toml", include_str!("../../pipelines/feed.toml"));
    place.write("pipelines/retail.toml", include_str!("../../pipelines/retail.toml"));
    place.write("pipelines/retail_sample.jsonl", include_str!("../../pipelines/retail_sample.jsonl"));
    let run = |command: &str| place.run(&command.split(' ').collect::<Vec<_>>()).exits(0).stdout;

    run("generate --pipeline pipelines/feed.toml --events 3000 --output feed.jsonl.zst");
    run("run pipelines/feed.toml --events feed.jsonl.zst");
    let music = run("get pipelines/feed.toml --key categoryIds=music");
    for name in
        ["category.view.count", "category.view.uniques_userId", "category.time_spent.sum_seconds", "category.ctr"]
    {
        assert!(music.contains(name), "{name} is missing in\n{music}");
    }

    run("run pipelines/retail.toml --events pipelines/retail_sample.jsonl");
    let item = run("get pipelines/retail.toml --key itemId=85123A --at 1291224000");
    for name in ["item.net.sum_unitPrice", "item.purchase.uniques_userId", "item.price", "item.cancel_rate"] {
        assert!(item.contains(name), "{name} is missing in\n{item}");
    }
}
