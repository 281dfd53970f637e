//! What a person would try with the commands that read and prepare, and what they say to it.

use serde_json::Value;

use crate::program::Workplace;

const COMMANDS: [&str; 13] = [
    "run", "cluster", "get", "dump", "check", "state", "status", "verify", "table", "generate", "produce", "template",
    "explain",
];

/// The pipeline and the sample log that ship, in a folder where they are tried out.
pub fn reference() -> Workplace {
    let place = Workplace::new();
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    place.write("p.toml", std::fs::read(shipped.join("user_counters.toml")).unwrap());
    place.write("sample.jsonl", std::fs::read(shipped.join("sample.jsonl")).unwrap());
    place
}

/// Also with the sample counted.
fn counted() -> Workplace {
    let place = reference();
    place.run(&["run", "p.toml", "--events", "sample.jsonl"]).exits(0);
    place
}

#[test]
fn without_arguments_the_commands_are_shown() {
    let shown = Workplace::new().run(&[]).exits(2);
    for command in COMMANDS {
        assert!(shown.stderr.contains(&format!("\n  {command} ")), "{command}: {}", shown.stderr);
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let place = Workplace::new();
    place.run(&["--help"]).exits(0).prints(&["Example:\n  counter-machine run "]);
    for command in COMMANDS {
        let help = place.run(&[command, "--help"]).exits(0);
        assert!(help.stdout.contains("Example"), "{}", help.stdout);
        assert!(help.stdout.contains(&format!("counter-machine {command} ")), "{}", help.stdout);
    }
}

#[test]
fn what_is_unknown_is_wrong_usage() {
    let place = reference();
    place.run(&["--frobnicate"]).exits(2).says(&["'--frobnicate'"]);
    place.run(&["rum", "p.toml"]).exits(2).says(&["'rum'", "'run'"]);
    for command in COMMANDS {
        place.run(&[command, "--frobnicate"]).exits(2).says(&["'--frobnicate'"]);
    }
}

#[test]
fn a_pipeline_that_is_missing_or_broken_is_told_with_its_line() {
    let place = reference();
    place.write("broken.toml", "name = \"p\"\n\n[event]\nname = \"n\"\ntime = \"t\"\n\n[windows]\nlength = \"5s\"\n");
    let commands: [&[&str]; 5] = [
        &["run", "--events", "sample.jsonl", "--sink", "none"],
        &["get", "--key", "userId=1"],
        &["check"],
        &["table"],
        &["produce", "sample.jsonl"],
    ];
    for command in commands {
        let with = |pipeline| [&command[..1], &[pipeline], &command[1..]].concat();
        place.run(&with("none.toml")).exits(2).says(&["none.toml", "No such file"]);
        place.run(&with("broken.toml")).exits(2).says(&["broken.toml:7:", "\"windows\"", "did you mean \"window\"?"]);
    }
}

#[test]
fn check_prints_what_the_reference_pipeline_expands_to() {
    let shown = reference().run(&["check", "p.toml"]).exits(0);
    shown.prints(&[
        "pipeline \"user_counters\" is valid",
        "Kafka topic events at localhost:9092",
        "key userId",
        "decays    5s, 10s, 15s",
        "ttl       7d",
        "sqlite:user_counters.db",
    ]);
}

#[test]
fn get_shows_the_counters_of_a_key() {
    let shown = counted().run(&["get", "p.toml", "--key", "userId=1234", "--feature", "like"]).exits(0);
    let lines: Vec<&str> = shown.stdout.lines().collect();
    assert_eq!(lines[0], "like  (key 1234)");
    assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["interval", "last", "update", "value"]);
    let intervals: Vec<_> = lines[2..5].iter().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(intervals, ["5s", "10s", "15s"]);
    assert!(lines[2].contains("  2024-02-10T22:53:19Z  "), "{}", shown.stdout);
    assert!(lines[5].contains("expired since 2024-02-17T22:53:19Z"), "{}", shown.stdout);
}

#[test]
fn get_decays_to_the_time_that_is_asked_for() {
    let place = counted();
    let get = |more: &[&str]| {
        let get = ["get", "p.toml", "--key", "userId=1234", "--feature", "like", "--json"];
        let item: Value = serde_json::from_str(&place.run(&[&get, more].concat()).exits(0).stdout).unwrap();
        item
    };
    let five = |item: &Value, name: &str| item["counts"]["5"][name].as_f64();
    let stored = get(&[]);
    assert_eq!((stored["key"].as_str(), stored["featureName"].as_str()), (Some("1234"), Some("like")));
    assert_eq!(five(&stored, "valueAt"), None);
    let value = five(&stored, "value").unwrap();
    assert!(value > 1.0);
    for time in ["1707605604", "2024-02-10T22:53:24Z"] {
        let item = get(&["--at", time]);
        assert_eq!((five(&item, "value"), &item["expired"]), (Some(value), &Value::Bool(false)));
        let expected = value * (-1.0_f64).exp();
        assert!((five(&item, "valueAt").unwrap() - expected).abs() < 1e-12, "{item}");
    }
    let now = get(&["--at", "now"]);
    assert_eq!((five(&now, "valueAt"), &now["expired"]), (Some(0.0), &Value::Bool(true)));
    let table = place.run(&["get", "p.toml", "--key", "userId=1234", "--at", "1707605604"]).exits(0);
    table.prints(&["at 2024-02-10T22:53:24Z"]);
    place
        .run(&["get", "p.toml", "--key", "userId=1234", "--at", "yesterday"])
        .exits(2)
        .says(&["`yesterday` is no time"]);
}

#[test]
fn get_says_what_is_not_there() {
    let place = counted();
    place.run(&["get", "p.toml", "--key", "userId=nobody"]).exits(1).says(&["no item with key `nobody`"]);
    let unknown = ["get", "p.toml", "--key", "userId=1234", "--feature", "buy"];
    place.run(&unknown).exits(1).says(&["feature `buy`"]);
    place.run(&["get", "p.toml", "--key", "creatorId=1"]).exits(2).says(&["creatorId", "--key userId=VALUE"]);
    place.run(&["get", "p.toml", "--key", "1234"]).exits(2).says(&["FIELD=VALUE"]);
    place.run(&["get", "p.toml", "--key", "userId=1", "--from", "sqlite:none.db"]).exits(1).says(&["none.db"]);
}

#[test]
fn dump_prints_every_item_once_sorted_by_its_bytes() {
    let place = reference();
    let users = ["b", "a", "B", "10", "9", "a!", "ä"];
    let events = users.map(|user| format!("{{\"eventName\":\"like\",\"userId\":\"{user}\",\"eventTs\":1}}\n"));
    place.write("1.jsonl", events.concat());
    place.write("2.jsonl", events.concat());
    for sink in ["sqlite:items.db", "jsonl:items.jsonl"] {
        place.run(&["run", "p.toml", "--events", "1.jsonl", "2.jsonl", "--sink", sink]).exits(0);
        let dump = place.run(&["dump", sink]).exits(0).stdout;
        let items: Vec<Value> = dump.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let keys: Vec<_> = items.iter().map(|item| item["key"].as_str().unwrap()).collect();
        assert_eq!(keys, ["10", "9", "B", "a", "a!", "b", "ä"], "{sink}");
        assert!(items.iter().all(|item| item["counts"]["5"]["value"] == 2.0), "{dump}");
        assert_eq!(place.run(&["dump", sink, "--alive-at", "604800"]).exits(0).stdout, dump, "to their last second");
        assert_eq!(place.run(&["dump", sink, "--alive-at", "604801"]).exits(0).stdout, "");
    }
    place.run(&["dump", "sqlite:none.db"]).exits(1).says(&["none.db"]);
    place.run(&["dump", "none"]).exits(2);
    place.run(&["dump", "dynamodb"]).exits(2).says(&["--pipeline"]);
}

#[test]
fn generate_writes_the_same_log_for_the_same_seed() {
    let place = Workplace::new();
    let generate = |more: &[&str]| place.run(&[&["generate", "--events", "2000"], more].concat()).exits(0).stdout;
    let log = generate(&[]);
    assert_eq!(log.lines().count(), 2_000);
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event["eventName"].is_string() && event["userId"].is_string() && event["eventTs"].is_i64(), "{line}");
    }
    assert!(log == generate(&[]) && log != generate(&["--seed", "2"]));
}

#[test]
fn table_names_what_it_cannot_reach() {
    let place = reference();
    let pipeline = place.read("p.toml").replace("DYNAMODB_ENDPOINT:-", "DYNAMODB_ENDPOINT:-http://127.0.0.1:1");
    place.write("nowhere.toml", pipeline);
    place.run(&["table", "nowhere.toml"]).exits(75).says(&["http://127.0.0.1:1"]);
}
