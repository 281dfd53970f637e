//! What a person types or writes slightly wrong, and how the answer helps.

use crate::commands::reference;
use crate::program::Workplace;

const RATES: &str = r#"
name = "rates"
sink = "sqlite:items.db"
event = { name = "n", time = "t" }
[[counters]]
name = "post"
key = ["p"]
events = ["view", "click"]
measures = ["count", "sum(price)"]
decays = ["1d"]
[[ratios]]
name = "revenue"
numerator = "post.click.sum_price"
denominator = "post.view.count"
[[ratios]]
name = "ctr"
numerator = "post.click.count"
denominator = "post.view.count"
"#;

const EVENTS: &str = concat!(
    r#"{"n":"view","p":"8","t":1}"#,
    "\n",
    r#"{"n":"view","p":"8","t":1}"#,
    "\n",
    r#"{"n":"click","p":"8","t":1,"price":2.6}"#,
    "\n"
);

fn rates(pipeline: &str) -> Workplace {
    let place = Workplace::new();
    place.write("p.toml", pipeline);
    place.write("events.jsonl", EVENTS);
    place
}

#[test]
fn only_what_is_called_a_proportion_has_a_lower_bound() {
    for workers in ["1", "2"] {
        let place = rates(&format!("{RATES}kind = \"proportion\"\n"));
        place.run(&["run", "p.toml", "--events", "events.jsonl", "-w", workers]).exits(0);
        let shown = |name: &str, more: &[&str]| {
            let get = ["get", "p.toml", "--key", "p=8", "--feature", name];
            place.run(&[&get, more].concat()).exits(0).stdout
        };
        assert!(shown("revenue", &["--json"]).contains(r#""value":1.3,"sampleSize":2.0,"lowerBound":null"#));
        assert!(!shown("revenue", &[]).contains("≥ (95 %)"));
        assert!(shown("ctr", &["--json"]).contains(r#""lowerBound":0.09"#));
        assert!(shown("ctr", &[]).contains("≥ (95 %)"));
    }
}

#[test]
fn a_ratio_of_a_dropped_feature_goes_and_the_rest_runs() {
    let place = rates(&format!("{RATES}[features]\ndrop = [\"*.sum_*\"]\n"));
    let named = "[features] drops features of ratios, which go too: \"revenue\" (with post.click.sum_price)";
    place.run(&["check", "p.toml"]).exits(0).prints(&[named, "1 ratio\n"]);
    place.run(&["run", "p.toml", "--events", "events.jsonl"]).exits(0).says(&["which go too"]);
    let get = |name: &str| place.run(&["get", "p.toml", "--key", "p=8", "--feature", name]);
    get("ctr").exits(0);
    get("revenue").exits(1).says(&["[features] drops \"post.click.sum_price\", and the ratio with it"]);
    get("post.view.sum_price").exits(1).says(&["[features] keeps none of that name"]);
}

#[test]
fn get_says_which_feature_was_meant() {
    let place = rates(RATES);
    place.run(&["run", "p.toml", "--events", "events.jsonl"]).exits(0);
    let get = |name: &str| place.run(&["get", "p.toml", "--key", "p=8", "--feature", name]).exits(1);
    get("post.clik.count").says(&["did you mean \"post.click.count\"?"]);
    get("crt").says(&["did you mean \"ctr\"?"]);
    let place = reference();
    place.run(&["run", "p.toml", "--events", "sample.jsonl"]).exits(0);
    let liek = ["get", "p.toml", "--key", "userId=1234", "--feature", "liek"];
    place.run(&liek).exits(1).says(&["did you mean \"like\"?"]);
}

#[test]
fn the_pipeline_may_stand_behind_the_logs() {
    let place = reference();
    let run = place.run(&["run", "--events", "sample.jsonl", "p.toml", "--sink", "none"]).exits(0);
    assert_eq!(run.summary("events"), 303);
    place.run(&["check", "--events", "sample.jsonl", "p.toml"]).exits(0).prints(&["303 events"]);
    let wrong = place.run(&["run", "--events", "sample.jsonl"]).exits(2);
    wrong.says(&["run <PIPELINE> --events <PATH>..."]);
}

#[test]
fn help_is_where_it_is_looked_for() {
    let place = Workplace::new();
    let run = place.run(&["run", "--help"]).exits(0).stdout;
    for arguments in [&["help", "run"][..], &["run", "-h"]] {
        assert_eq!(place.run(arguments).exits(0).stdout, run, "{arguments:?}");
    }
    assert!(run.contains("-h <HOSTFILE>") && run.contains("alone, `-h` prints help"), "{run}");
    place.run(&["help"]).exits(0).prints(&["\n  run "]);
    for arguments in [&["-h"][..], &["get", "-h"], &["check", "-h"]] {
        place.run(arguments).exits(0).prints(&["Usage: counter-machine"]);
    }
    let refused = reference().run(&["run", "p.toml", "-h", "hosts.txt"]).exits(2);
    refused.says(&["add -n PROCESSES"]);
}

#[test]
fn more_workers_than_a_machine_can_run_are_refused_and_too_many_are_said() {
    let place = reference();
    let run =
        |workers: &str| place.run(&["run", "p.toml", "--events", "sample.jsonl", "--sink", "none", "-w", workers]);
    run("0").exits(2).says(&["-w 0: a run has from 1 to "]);
    run("100000").exits(2).says(&["-w 100000: a run has from 1 to "]);
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(!run("1").exits(0).stderr.contains("more workers than that"));
    if cores <= 8 {
        run(&(4 * cores + 1).to_string()).exits(0).says(&["more workers than that make a run slower"]);
    }
}

#[test]
fn reading_never_names_a_flag_of_writing() {
    let place = Workplace::new();
    place.write("x.db", "no database at all");
    let dump = place.run(&["dump", "sqlite:x.db"]).exits(1).says(&["x.db is no SQLite database"]);
    assert!(!dump.stderr.contains("--sink"), "{}", dump.stderr);
}
