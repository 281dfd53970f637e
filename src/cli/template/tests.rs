use std::path::Path;

use clap::{CommandFactory as _, Parser as _};
use serde_json::Value;

use super::*;
use crate::cli::{Cli, ErrorCode};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

const KINDS: [&str; 4] = ["dashboard", "alerts", "systemd", "kubernetes"];

fn printed(kind: &str, pipeline: &Path, more: &[&str]) -> Result<String, CliError> {
    #[derive(clap::Parser)]
    struct Arguments {
        #[command(flatten)]
        args: TemplateArgs,
    }
    let pipeline = pipeline.to_str().unwrap();
    let arguments = Arguments::try_parse_from([&["c", kind, pipeline], more].concat()).unwrap();
    let mut text = Vec::new();
    run(&arguments.args, &mut text).map(|()| String::from_utf8(text).unwrap())
}

fn reference(kind: &str, more: &[&str]) -> String {
    printed(kind, &root().join("pipelines/user_counters.toml"), more).unwrap()
}

fn yaml(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// That this program takes such a command line; `--http` where it knows it.
fn is_understood(words: &[String]) {
    let run = Cli::command().find_subcommand("run").unwrap().clone();
    let mut words = words.to_vec();
    if !run.get_arguments().any(|argument| argument.get_long() == Some("http")) {
        let http = words.iter().position(|word| word == "--http").unwrap();
        words.drain(http..http + 2);
    }
    let words = ["counter-machine".to_owned()].into_iter().chain(words);
    Cli::try_parse_from(words).unwrap();
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// The metrics of this program that stand in a text; those of a histogram by its own name.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_part = |character: char| character.is_ascii_lowercase() || character == '_' || character.is_ascii_digit();
    let names = text.match_indices("counter_machine_").map(|(at, _)| {
        let name = &text[at..];
        let name = &name[..name.find(|character| !is_part(character)).unwrap_or(name.len())];
        let ends = ["_bucket", "_sum", "_count"];
        ends.into_iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    });
    names.collect()
}

#[test]
fn nothing_is_left_to_be_filled_in() {
    for (kind, more) in KINDS.iter().flat_map(|kind| [(kind, &[][..]), (kind, &["-n", "3", "--state", "s3://b/p"])]) {
        let text = reference(kind, more);
        for line in text.lines() {
            let left = line.split('@').nth(1).filter(|name| line.contains(&format!("@{name}@")));
            assert_eq!(left, None, "{kind}: {line}");
        }
        assert!(text.contains("user_counters"), "{kind}");
    }
}

#[test]
fn the_dashboard_is_json_of_panels_that_ask_the_chosen_source() {
    let dashboard: Value = serde_json::from_str(&reference("dashboard", &[])).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let (rows, charts): (Vec<_>, Vec<_>) = panels.iter().partition(|panel| panel["type"] == "row");
    assert!(rows.len() >= 9 && charts.len() >= 25, "{} rows, {} charts", rows.len(), charts.len());
    for chart in charts {
        assert_eq!(chart["datasource"]["uid"], "${datasource}", "{chart}");
        for target in chart["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            assert!(expression.contains("job=\"$job\"") && expression.contains("counter_machine_"), "{expression}");
            let count = |character| expression.matches(character).count();
            assert!(count('(') == count(')') && count('{') == count('}'), "{expression}");
        }
        let place = &chart["gridPos"];
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{chart}");
    }
    assert_eq!(dashboard["templating"]["list"][1]["current"]["value"], "user_counters");
}

/// The alert rules of the reference pipeline.
fn alerts() -> Vec<Value> {
    let text = reference("alerts", &[]);
    let [file] = yaml(&text).try_into().unwrap();
    let file: Value = file;
    file["groups"][0]["rules"].as_array().unwrap().clone()
}

#[test]
fn every_alert_says_what_it_is_and_is_told_of_in_the_operations_page() {
    let page = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let alerts = alerts();
    assert!(alerts.len() >= 10);
    for alert in &alerts {
        let name = alert["alert"].as_str().unwrap();
        assert!(["page", "ticket"].contains(&alert["labels"]["severity"].as_str().unwrap()), "{name}");
        for text in ["summary", "description"] {
            assert!(alert["annotations"][text].as_str().unwrap().len() > 20, "{name}");
        }
        let expression = alert["expr"].as_str().unwrap();
        assert!(expression.contains("{job=\"user_counters\""), "{name}: {expression}");
        assert!(page.contains(&format!("### {name}\n")), "docs/operations.md does not tell of {name}");
    }
    let told = page.lines().filter(|line| line.starts_with("### CounterMachine")).count();
    assert_eq!(told, alerts.len(), "docs/operations.md tells of an alert that there is not");
}

#[test]
fn every_metric_in_dashboard_and_alerts_exists() {
    let named = metrics_in(&(reference("dashboard", &[]) + &reference("alerts", &[])));
    assert!(named.len() >= 35, "{named:?}");
    // The page of metrics tells of all there are, and a test of it holds it to what is served.
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let rows: Vec<Vec<&str>> =
        page.lines().filter_map(|line| Some(line.strip_prefix('|')?.split('|').collect())).collect();
    let column = |index: usize| rows.iter().filter_map(|row| row.get(index).copied()).collect::<Vec<_>>().join("\n");
    let known = metrics_in(&column(0));
    assert!(!known.is_empty());
    for name in named {
        // OpenMetrics adds `_total` to the name of a counter.
        let bare = name.strip_suffix("_total").unwrap_or(&name);
        assert!(known.contains(&name) || known.contains(bare), "docs/metrics.md has no {name}");
    }
    // Prometheus adds where a metric comes from, and the buckets of a histogram.
    let labels = column(2) + "`instance` `job` `le`";
    let both = reference("dashboard", &[]) + &reference("alerts", &[]);
    let by = both.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    for label in by.flat_map(|labels| labels.split(',')).map(str::trim) {
        assert!(labels.contains(&format!("`{label}`")), "docs/metrics.md has no label {label}");
    }
}

#[test]
fn what_is_late_depends_on_how_often_the_pipeline_publishes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.toml");
    let text = std::fs::read_to_string(root().join("pipelines/user_counters.toml")).unwrap();
    let slow = text.replacen("[kafka]", "[publish]\nevery = \"10m\"\n[checkpoint]\nevery = \"5m\"\n[kafka]", 1);
    std::fs::write(&file, slow).unwrap();
    let alerts = printed("alerts", &file, &[]).unwrap();
    assert!(alerts.contains("oldest_waiting_seconds{job=\"user_counters\"}) > 1800\n"), "{alerts}");
    assert!(alerts.contains("checkpoint_age_seconds{job=\"user_counters\"}) > 3000\n"), "{alerts}");
    assert!(reference("alerts", &[]).contains("oldest_waiting_seconds{job=\"user_counters\"}) > 300\n"));
    // What is held back waits for ten minutes and a little more, which is in the bucket from there to half an hour.
    let held_back = text.replacen("[kafka]", "[publish]\nmin_change = 0.01\n[kafka]", 1);
    std::fs::write(&file, held_back).unwrap();
    let alerts = printed("alerts", &file, &[]).unwrap();
    assert!(alerts.contains("oldest_waiting_seconds{job=\"user_counters\"}) > 1200\n"), "{alerts}");
    assert!(alerts.contains("[15m])))\n          > 1800\n"), "{alerts}");
}

#[test]
fn the_command_line_of_a_unit_is_one_of_this_program() {
    for (more, command) in [(&["-w", "2"][..], "run"), (&["-n", "3"], "cluster")] {
        let unit = reference("systemd", more).replace("\\\n", "");
        let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        assert_eq!((words[0].as_str(), words[1].as_str()), ("/usr/local/bin/counter-machine", command), "{line}");
        assert!(words.contains(&"/var/lib/counter-machine/user-counters/state".to_owned()), "{line}");
        is_understood(&words[1..]);
    }
}

#[test]
fn the_manifests_describe_pods_that_find_each_other_and_run_this_program() {
    let text = reference("kubernetes", &["-n", "3", "-w", "2", "--state", "s3://bucket/user_counters"]);
    let parts = yaml(&text);
    let kinds: Vec<_> = parts.iter().map(|part| part["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ConfigMap", "Service", "NetworkPolicy", "StatefulSet"]);
    let [config, service, _, set] = parts.try_into().unwrap();
    let (config, service, set): (Value, Value, Value) = (config, service, set);
    let hosts: Vec<&str> = config["data"]["hosts"].as_str().unwrap().lines().collect();
    assert_eq!(hosts, [0, 1, 2].map(|index| format!("user-counters-{index}.user-counters:2101")));
    let pipeline = std::fs::read_to_string(root().join("pipelines/user_counters.toml")).unwrap();
    assert_eq!(config["data"]["pipeline.toml"].as_str().unwrap().trim_end(), pipeline.trim_end());
    assert_eq!(service["spec"]["publishNotReadyAddresses"], true);
    assert_eq!(service["spec"]["clusterIP"], "None");
    assert_eq!((&set["spec"]["replicas"], &set["spec"]["podManagementPolicy"]), (&3.into(), &"Parallel".into()));
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = &pod["containers"][0];
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/live");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/ready");
    let arguments = texts(&container["args"]);
    assert!(arguments.join(" ").contains("-n 3 -p $(PROCESS) -h /etc/counter-machine/hosts -w 2"), "{arguments:?}");
    let names = ["config", "tmp", "data"].map(|name| format!("name: {name}"));
    assert!(names.iter().all(|name| text.matches(name.as_str()).count() >= 2), "each volume is there and mounted");
    for process in ["0", "2"] {
        is_understood(&arguments.iter().map(|word| word.replace("$(PROCESS)", process)).collect::<Vec<_>>());
    }
    let [_, _, _, one] = yaml(&reference("kubernetes", &[])).try_into().unwrap();
    let one: Value = one;
    let arguments = texts(&one["spec"]["template"]["spec"]["containers"][0]["args"]);
    assert!(!arguments.contains(&"-n".to_owned()) && arguments.contains(&"--state".to_owned()), "{arguments:?}");
    is_understood(&arguments);
}

#[test]
fn a_service_that_could_not_go_on_by_itself_is_refused() {
    let refused = printed("kubernetes", &root().join("pipelines/user_counters.toml"), &["-n", "2"]).unwrap_err();
    assert!(refused.code() == ErrorCode::Usage && refused.to_string().contains("give --state s3://"), "{refused}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.toml");
    let small = "name = \"p\"\nsink = \"none\"\nevent = { name = \"n\", time = \"t\" }\n[[counters]]\nname = \"u\"\nkey = \
                 [\"u\"]\nevents = [\"e\"]\ndecays = [\"1h\"]\n";
    std::fs::write(&file, small).unwrap();
    for kind in ["systemd", "kubernetes"] {
        let refused = printed(kind, &file, &[]).unwrap_err();
        assert!(refused.to_string().contains("has no [kafka]"), "{refused}");
    }
    printed("alerts", &file, &[]).unwrap();
}
