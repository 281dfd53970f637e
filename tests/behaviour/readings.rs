//! `get` reads what a sink holds as `tests/golden/reading` says; the README there explains the files.

use serde_json::{Value, json};

use crate::json::agrees;
use crate::program::Workplace;

/// The cases of a file that can be asked for: what is read now is not, since now is when the test runs.
fn cases(name: &str) -> Vec<Value> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reading").join(name);
    let lines = std::fs::read_to_string(path).unwrap();
    let cases: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let asked: Vec<_> = cases.into_iter().filter(|case| case["atIsNow"] != true).collect();
    assert!(asked.len() > 10);
    asked
}

/// A pipeline with these features of a key, and what follows.
fn pipeline(time_unit: &Value, decays: &[i64], features: &[&str], more: &str) -> String {
    let unit = if time_unit == "rfc3339" { "ms" } else { time_unit.as_str().unwrap() };
    let decays: Vec<String> = decays.iter().map(|units| format!("{units}{unit}")).collect();
    let mut text = format!("name = \"p\"\nevent = {{ name = \"n\", time = \"t\", time_unit = {time_unit} }}\n");
    for feature in features {
        text += &format!(
            "[[counters]]\nname = \"{feature}\"\nkey = [\"post\"]\nevents = [\"{feature}\"]\nfeature = \"{{event}}\"\n\
             decays = {decays:?}\n"
        );
    }
    text + more
}

/// What `get --json` prints of these items; `null` where it finds nothing.
fn get(pipeline: &str, items: &[Value], at: &Value, feature: &str) -> Value {
    let place = Workplace::new();
    place.write("p.toml", pipeline);
    place.write("items.jsonl", items.iter().map(|item| format!("{item}\n")).collect::<String>());
    let at = at.to_string();
    let mut arguments = vec!["get", "p.toml", "--from", "jsonl:items.jsonl", "--key", "post=p", "--json"];
    arguments.extend(["--feature", feature]);
    if at != "null" {
        arguments.extend(["--at", &at]);
    }
    let ended = place.run(&arguments);
    if ended.stdout.is_empty() {
        ended.exits(1).says(&["holds no item"]);
        return Value::Null;
    }
    serde_json::from_str(&ended.exits(0).stdout).unwrap()
}

#[track_caller]
fn assert_agrees(value: &Value, expected: &Value, case: &Value) {
    assert!(agrees(value, expected, 1e-12), "{}: {value:#} is not {expected:#}", case["case"]);
}

#[test]
fn values_are_decayed_to_the_time_that_is_asked_for() {
    let pipeline = pipeline(&json!("s"), &[10], &["like"], "");
    for case in cases("values.jsonl") {
        let interval = case["count"]["decayInterval"].to_string();
        let item = json!({ "key": "p", "featureName": "like", "counts": { &interval: case["count"] }, "version": 1 });
        let read = get(&pipeline, &[item], &case["at"], "like");
        assert_agrees(&read["counts"][&interval]["valueAt"], &case["valueAt"], &case);
    }
}

#[test]
fn what_has_expired_is_said_to_have_expired() {
    for case in cases("expiry.jsonl") {
        let mut item = json!({ "key": "p", "featureName": "like", "counts": {}, "version": 1 });
        if let Some(expires_at) = case.get("expiresAt") {
            item["expiresAt"] = expires_at.clone();
        }
        let read = get(&pipeline(&case["timeUnit"], &[10_000], &["like"], ""), &[item], &case["at"], "like");
        assert_eq!(read["expired"], !case["expiredSince"].is_null(), "{}", case["case"]);
    }
}

#[test]
fn ratios_are_computed_where_they_are_read() {
    for case in cases("ratios.jsonl") {
        let ratio = &case["ratio"];
        let decays: Vec<i64> =
            ratio["decays"].as_array().unwrap().iter().map(|units| units.as_i64().unwrap()).collect();
        let features = ["numerator", "denominator"].map(|side| ratio[side].as_str().unwrap());
        let mut ratios = String::from("[[ratios]]\n");
        for name in ["name", "numerator", "denominator", "kind"] {
            ratios += &format!("{name} = {}\n", ratio[name]);
        }
        if let Some(prior) = ratio.get("prior") {
            let (numerator, denominator) = (&prior["numerator"], &prior["denominator"]);
            ratios += &format!("prior = {{ numerator = {numerator}, denominator = {denominator} }}\n");
        }
        let pipeline = pipeline(&case["timeUnit"], &decays, &features, &ratios);
        let read = get(&pipeline, case["items"].as_array().unwrap(), &case["at"], ratio["name"].as_str().unwrap());
        assert_agrees(&read, &case["reading"], &case);
    }
}
