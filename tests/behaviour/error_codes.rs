//! Every error ends with a code, and `explain` has a page for it.

use serde_json::Value;

use crate::commands::reference;
use crate::program::{Ended, Workplace};

/// The last line of what it said ends with this code, in brackets.
#[track_caller]
fn ends_with(ended: Ended, exit_code: i32, code: &str) {
    let ended = ended.exits(exit_code);
    let last = ended.stderr.trim_end().lines().last().unwrap_or_default();
    assert!(last.ends_with(&format!(" [{code}]")), "not {code}:\n{}", ended.stderr);
}

#[test]
fn what_goes_wrong_before_anything_is_read_has_a_code() {
    let place = reference();
    place.write("broken.toml", "name = \"p\"\n[windows]\n");
    place.write("hosts", "10.0.0.7:2101\n10.0.0.8:2101\n");
    let run = |pipeline: &str, more: &[&str]| place.run(&[&["run", pipeline], more].concat());
    ends_with(place.run(&["--frobnicate"]), 2, "CM0101");
    ends_with(place.run(&[]), 2, "CM0101");
    ends_with(place.run(&["get", "p.toml", "--key", "1234"]), 2, "CM0101");
    ends_with(run("none.toml", &["--events", "sample.jsonl"]), 2, "CM0102");
    ends_with(run("broken.toml", &["--events", "sample.jsonl"]), 2, "CM0103");
    ends_with(run("p.toml", &["--events", "none.jsonl"]), 2, "CM0201");
    ends_with(run("p.toml", &["--events", "sample.jsonl", "-n", "2", "-p", "7"]), 2, "CM0601");
    ends_with(run("p.toml", &["--events", "sample.jsonl", "-n", "2", "-p", "0", "-h", "hosts"]), 2, "CM0602");
    ends_with(place.run(&["state", "nowhere"]), 2, "CM0509");
}

#[test]
fn what_goes_wrong_with_items_and_dead_letters_has_a_code() {
    let place = reference();
    place.write("notes.txt", "mine\n");
    place.write("folder/some", "");
    place.write("bad.jsonl", "no json\n{\"eventName\":\"like\",\"userId\":\"u\",\"eventTs\":1}\n");
    place.write("csv.jsonl", "a,b\n1,2\n3,4\n".repeat(100));
    let run = |more: &[&str]| place.run(&[&["run", "p.toml", "--events"], more].concat());
    ends_with(run(&["sample.jsonl", "--sink", "jsonl:notes.txt"]), 1, "CM0405");
    ends_with(run(&["sample.jsonl", "--sink", "sqlite:notes.txt"]), 1, "CM0405");
    ends_with(run(&["sample.jsonl", "--sink", "none", "--dead-letters", "folder"]), 1, "CM0411");
    ends_with(run(&["bad.jsonl", "--sink", "none", "--max-dead-letters", "0"]), 1, "CM0412");
    let refused = run(&["csv.jsonl", "--sink", "none"]).exits(1);
    assert!(
        ["[CM0207]", "[CM0208]"].iter().any(|code| refused.stderr.trim_end().ends_with(code)),
        "{}",
        refused.stderr
    );
    run(&["sample.jsonl", "--sink", "sqlite:items.db"]).exits(0);
    ends_with(place.run(&["get", "p.toml", "--from", "sqlite:items.db", "--key", "userId=nobody"]), 1, "CM0801");
    ends_with(run(&["sample.jsonl", "--sink", "jsonl:/dev/full"]), 1, "CM0409");
}

#[test]
fn what_goes_wrong_with_a_state_has_a_code() {
    let place = reference();
    let run = |pipeline: &str, more: &[&str]| {
        place.run(&[&["run", pipeline, "--sink", "sqlite:items.db", "--state", "kept"], more].concat())
    };
    run("p.toml", &["--events", "sample.jsonl"]).exits(0);
    place.write("other.toml", place.read("p.toml").replace("name = \"user_counters\"", "name = \"other\""));
    ends_with(run("other.toml", &["--events", "sample.jsonl"]), 2, "CM0507");
    let log = place.read("sample.jsonl");
    place.write("sample.jsonl", &log[..log.len() / 2]);
    ends_with(run("p.toml", &["--events", "sample.jsonl"]), 1, "CM0203");
    ends_with(place.run(&["status", "p.toml", "--state", "kept"]), 1, "CM0510");
    std::fs::remove_dir_all(place.path("kept/segments")).unwrap();
    ends_with(run("p.toml", &["--events", "sample.jsonl"]), 1, "CM0505");
}

#[test]
fn services_that_do_not_answer_have_a_code_that_says_start_again() {
    let place = reference();
    let pipeline = place.read("p.toml");
    place.write("nowhere.toml", pipeline.replace("DYNAMODB_ENDPOINT:-", "DYNAMODB_ENDPOINT:-http://127.0.0.1:1"));
    ends_with(place.run(&["table", "nowhere.toml"]), 75, "CM0403");
    place.write("options.toml", format!("{pipeline}\n[kafka.options]\n\"no.such.option\" = \"1\"\n"));
    ends_with(place.run(&["run", "options.toml", "--sink", "none"]), 2, "CM0306");
}

#[test]
fn the_line_of_json_has_the_code_as_a_field() {
    let place = reference();
    let ended = place.run(&["run", "p.toml", "--events", "none.jsonl", "--log-format", "json"]).exits(2);
    let last: Value = serde_json::from_str(ended.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((last["fields"]["code"].as_str(), last["fields"]["exit_code"].as_i64()), (Some("CM0201"), Some(2)));
    assert!(last["fields"]["message"].as_str().unwrap().ends_with(" [CM0201]"), "{last}");
}

#[test]
fn explain_prints_the_page_of_a_code_and_lists_all() {
    let place = Workplace::new();
    for written in ["CM0407", "cm0407", "[CM0407]"] {
        let page = place.run(&["explain", written]).exits(0);
        page.prints(&["# CM0407: ", "## Meaning", "## Look at", "## Do", "counter-machine table PIPELINE"]);
    }
    let all = place.run(&["explain"]).exits(0).stdout;
    assert!(all.lines().count() > 40 && all.lines().all(|line| line.starts_with("CM0")), "{all}");
    assert!(all.contains("\nCM0407  There is no such table\n"), "{all}");
    let unknown = place.run(&["explain", "CM0499"]);
    unknown.says(&["`CM0499` is no code of an error", "the nearest is CM0501"]);
    ends_with(place.run(&["explain", "CM0499"]), 2, "CM0101");
    ends_with(place.run(&["explain", "what"]), 2, "CM0101");
}
