//! `check` as a plan, and what of the matrix a run keeps: through the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::program::binary;

const PIPELINE: &str = r#"
name = "feed"

[event]
name = "n"
time = "t"

[[counters]]
name = "post"
key = ["post"]
events = ["view", "like", "share"]
measures = ["count", "sum(seconds)"]
decays = ["1h", "1d"]

[[counters]]
name = "session"
key = ["session"]
events = "*"
decays = ["5m"]

[features]
drop = ["post.share.*", "post.like.sum_seconds"]

[[ratios]]
name = "post.ctr"
numerator = "post.like.count"
denominator = "post.view.count"
prior = { numerator = 1, denominator = 20 }
"#;

/// A pipeline and a log of its own, in a directory of its own.
struct Setup {
    directory: tempfile::TempDir,
}

impl Setup {
    fn new() -> Setup {
        let setup = Setup { directory: tempfile::tempdir().unwrap() };
        std::fs::write(setup.path("feed.toml"), PIPELINE).unwrap();
        let line = |event: u64| {
            let name = ["view", "view", "view", "like", "share"][event as usize % 5];
            let (post, time) = (event * event % 50, 1_707_605_599 + event / 20);
            format!("{{\"n\":\"{name}\",\"post\":\"p{post}\",\"session\":{event},\"seconds\":2.5,\"t\":{time}}}\n")
        };
        let log: String = (0..4_000).map(line).chain(["no event\n".to_owned()]).collect();
        std::fs::write(setup.path("events.jsonl"), log).unwrap();
        setup
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn program(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.current_dir(self.directory.path()).args(arguments).output().unwrap()
    }

    #[track_caller]
    fn printed(&self, arguments: &[&str]) -> String {
        let output = self.program(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The numbers in a text, commas within them left out.
fn numbers(text: &str) -> Vec<f64> {
    let words = text.split([' ', ':', ';', '$']).map(|word| word.trim_end_matches(',').replace(',', ""));
    words.filter_map(|word| word.parse().ok()).collect()
}

#[track_caller]
fn line<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no line `{start}` in:\n{text}"))
}

#[test]
fn a_plan_says_what_a_run_does() {
    let setup = Setup::new();
    let plan = setup.printed(&["check", "feed.toml", "--events", "events.jsonl", "--price-per-million-writes", "2"]);
    setup.printed(&["run", "feed.toml", "--events", "events.jsonl", "--every-window", "--sink", "jsonl:items.jsonl"]);
    let items = std::fs::read_to_string(setup.path("items.jsonl")).unwrap();
    let rows = setup.printed(&["dump", "jsonl:items.jsonl"]);

    let sample = line(&plan, "sample");
    assert_eq!(numbers(sample)[0], 4_000.0, "{sample}");
    assert!(sample.contains("1 dead letters: 1 not_an_object"), "{sample}");
    let windows = numbers(sample)[1];
    assert!((40.0..=41.0).contains(&windows), "200 s in windows of 5 s: {sample}");
    assert_eq!(numbers(line(&plan, "rows"))[0] as usize, rows.lines().count());
    let per_second = numbers(line(&plan, "items"))[0];
    let published = items.lines().filter(|line| line.contains("featureName")).count() as f64;
    let planned = per_second * windows * 5.0;
    assert!((planned / published - 1.0).abs() < 0.05, "{planned} planned, {published} published");
    let dynamodb = numbers(line(&plan, "DynamoDB"));
    assert!((dynamodb[0] / 1e6 * 2.0 - dynamodb[1]).abs() < 0.01, "the price: {dynamodb:?}");
    assert!(line(&plan, "  post").contains(" n^0.0"), "posts are few:\n{plan}");
    let explosion = "warning: group \"session\" explodes: 4,000 different keys in 4,000 events";
    assert!(plan.contains(explosion) && !plan.contains("\"post\" explodes"), "{plan}");
}

#[test]
fn what_is_dropped_is_neither_listed_nor_counted() {
    let setup = Setup::new();
    let list = setup.printed(&["check", "feed.toml", "--list"]);
    let expected = "\
post.view.count\tpost\tpost\t1h,1d
post.like.count\tpost\tpost\t1h,1d
post.view.sum_seconds\tpost\tpost\t1h,1d
session.{event}.count\tsession\tsession\t5m
";
    assert_eq!(list, expected);
    setup.printed(&["run", "feed.toml", "--events", "events.jsonl", "--sink", "sqlite:items.db"]);
    let items = setup.printed(&["dump", "sqlite:items.db"]);
    assert!(items.contains("\"post.view.sum_seconds\"") && items.contains("\"session.share.count\""));
    assert!(!items.contains("\"post.like.sum_seconds\"") && !items.contains("\"post.share."));
}

#[test]
fn a_ratio_is_computed_where_it_is_read() {
    let setup = Setup::new();
    setup.printed(&["run", "feed.toml", "--events", "events.jsonl", "--sink", "sqlite:items.db"]);
    let get = ["get", "feed.toml", "--from", "sqlite:items.db", "--key", "post=p9"];
    let all = setup.printed(&get);
    assert!(all.contains("post.ctr = post.like.count / post.view.count  (key p9)"), "{all}");
    let json = setup.printed(&[&get[..], &["--feature", "post.ctr", "--json"]].concat());
    let ratio: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&ratio["key"], &ratio["ratioName"]), (&"p9".into(), &"post.ctr".into()));
    for entry in ratio["ratios"].as_array().unwrap() {
        let number = |name: &str| entry[name].as_f64().unwrap();
        assert!((number("value") - number("numerator") / number("denominator")).abs() < 1e-12, "{entry}");
        let smoothed = (number("numerator") + 1.0) / (number("denominator") + 20.0);
        assert!((number("smoothed") - smoothed).abs() < 1e-12, "{entry}");
    }
    assert_eq!(ratio["ratios"].as_array().unwrap().len(), 2);
    let missing = setup.program(&[&get[..5], &["post=none"]].concat());
    assert_eq!(missing.status.code(), Some(1), "there is neither item nor ratio");
}

#[test]
fn the_schema_is_printed_without_a_pipeline() {
    let setup = Setup::new();
    let schema = setup.printed(&["check", "--schema"]);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/schema.json");
    assert_eq!(schema, std::fs::read_to_string(shipped).unwrap());
}
