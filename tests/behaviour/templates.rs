//! What `template` prints works: its command lines run, and the tools that read it take it, where they are installed.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::commands::reference;
use crate::program::{Workplace, binary};

/// A file of the repository.
fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// What is printed of the reference pipeline.
fn printed(place: &Workplace, kind: &str, more: &[&str]) -> String {
    place.run(&[&["template", kind, "p.toml"], more].concat()).exits(0).stdout
}

/// The words of a unit's ExecStart, without the program.
fn exec_start(unit: &str) -> Vec<String> {
    let unit = unit.replace("\\\n", "");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("an ExecStart");
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

/// The same files in the folder of the test, events of a log, and no server where this program knows none.
fn tried_here(place: &Workplace, words: &[String]) -> Vec<String> {
    let knows_http = place.run(&["run", "--help"]).exits(0).stdout.contains("--http");
    let mut here = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "/etc/counter-machine/user-counters.toml" => here.push("p.toml".to_owned()),
            "--http" => {
                words.next();
                if knows_http {
                    here.extend(["--http", "127.0.0.1:0"].map(str::to_owned));
                }
            }
            "--state" => {
                words.next();
                here.extend(["--state", "state"].map(str::to_owned));
            }
            word => here.push(word.to_owned()),
        }
    }
    here.extend(["--events", "sample.jsonl", "--sink", "sqlite:items.db"].map(str::to_owned));
    here
}

#[test]
fn the_command_line_of_the_unit_counts_a_log() {
    let place = reference();
    let words = tried_here(&place, &exec_start(&printed(&place, "systemd", &["-w", "2"])));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(words[0], "run");
    let run = place.run(&words).exits(0);
    assert_eq!(run.summary("events"), 303);
}

#[test]
fn the_command_line_of_a_unit_of_several_processes_counts_a_log() {
    let place = reference();
    let words = tried_here(&place, &exec_start(&printed(&place, "systemd", &["-n", "2"])));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(words[0], "cluster");
    place.run(&words).exits(0);
    place.run(&["get", "p.toml", "--from", "sqlite:items.db", "--key", "userId=1234"]).exits(0).prints(&["like"]);
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    if !is_installed("systemd-analyze") {
        eprintln!("left out: systemd-analyze is not installed");
        return;
    }
    let place = reference();
    let unit = printed(&place, "systemd", &[]).replace("/usr/local/bin/counter-machine", binary().to_str().unwrap());
    place.write("user-counters.service", unit);
    let path = place.path("user-counters.service");
    let verify = Command::new("systemd-analyze").arg("verify").arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&verify.stderr);
    // It may know other units of this machine, and what is wrong with those.
    let wrong: Vec<&str> = said.lines().filter(|line| line.contains("user-counters.service")).collect();
    assert_eq!(wrong, [""; 0], "{said}");
}

#[test]
fn prometheus_takes_the_alert_rules() {
    if !is_installed("promtool") {
        eprintln!("left out: promtool is not installed");
        return;
    }
    let place = reference();
    place.write("alerts.yaml", printed(&place, "alerts", &[]));
    let check = Command::new("promtool").args(["check", "rules"]).arg(place.path("alerts.yaml")).output().unwrap();
    assert!(
        check.status.success(),
        "{}{}",
        String::from_utf8_lossy(&check.stdout),
        String::from_utf8_lossy(&check.stderr)
    );
}

/// What Prometheus scrapes of a process that is well: every minute for two hours, in the notation of promtool.
const WELL: [(&str, &str); 16] = [
    ("up", "1x120"),
    ("counter_machine_ready", "1x120"),
    ("counter_machine_live", "1x120"),
    ("counter_machine_start_time_seconds", "1000x120"),
    ("counter_machine_progress_age_seconds", "1x120"),
    ("counter_machine_oldest_waiting_seconds", "299x120"),
    ("counter_machine_freshness_seconds_bucket{le=\"300.0\"}", "0+995x120"),
    ("counter_machine_freshness_seconds_bucket{le=\"600.0\"}", "0+1000x120"),
    ("counter_machine_freshness_seconds_bucket{le=\"+Inf\"}", "0+1000x120"),
    ("counter_machine_source_lag_seconds{partition=\"0\"}", "600x120"),
    ("counter_machine_source_lag_messages{partition=\"0\"}", "60000-100x120"),
    ("counter_machine_events_total", "0+6000x120"),
    ("counter_machine_items_total{outcome=\"refused\"}", "3x120"),
    ("counter_machine_checkpoint_age_seconds", "599x120"),
    ("counter_machine_checkpoint_failures_total", "7x120"),
    ("counter_machine_limit_used_ratio{limit=\"rows\"}", "0.94x120"),
];

/// An alert, what is scraped instead of what is above, and minutes: until when it is silent, and from when on it fires.
type Trouble = (&'static str, &'static [(&'static str, &'static str)], u32, Option<u32>);

/// It is well for ten minutes, as a rule.
const TROUBLES: [Trouble; 24] = [
    ("", &[], 120, None),
    ("Down", &[("up", "1x9 0x110")], 11, Some(12)),
    ("Down", &[("up", "1x9 stale")], 11, Some(12)),
    ("Down", &[("up", "1x9 0 1x109")], 120, None),
    ("NotReady", &[("counter_machine_ready", "1x9 0x110")], 24, Some(25)),
    ("NotReady", &[("counter_machine_ready", "1x9 0x13 1x96")], 120, None),
    ("NoProgress", &[("counter_machine_progress_age_seconds", "1x9 61+60x110")], 11, Some(12)),
    ("NoProgress", &[("counter_machine_live", "1x9 0x110")], 11, Some(12)),
    ("TableStale", &[("counter_machine_oldest_waiting_seconds", "1x9 301+60x110")], 14, Some(15)),
    ("FreshnessSlow", &[("counter_machine_freshness_seconds_bucket{le=\"300.0\"}", "0+985x120")], 30, Some(31)),
    (
        // Nothing is published at night.
        "FreshnessSlow",
        &[
            ("counter_machine_freshness_seconds_bucket{le=\"300.0\"}", "0x120"),
            ("counter_machine_freshness_seconds_bucket{le=\"600.0\"}", "0x120"),
            ("counter_machine_freshness_seconds_bucket{le=\"+Inf\"}", "0x120"),
        ],
        120,
        None,
    ),
    ("LagRising", &[("counter_machine_source_lag_messages{partition=\"0\"}", "60000+100x120")], 10, Some(11)),
    (
        "LagRising",
        &[
            ("counter_machine_source_lag_messages{partition=\"0\"}", "60000+100x120"),
            ("counter_machine_source_lag_seconds{partition=\"0\"}", "119x120"),
        ],
        120,
        None,
    ),
    ("DeadLettersRising", &[("counter_machine_dead_letters_total{reason=\"no_json\"}", "0+66x120")], 10, Some(11)),
    ("DeadLettersRising", &[("counter_machine_dead_letters_total{reason=\"no_json\"}", "0+54x120")], 120, None),
    (
        "DeadLettersRising",
        &[
            ("counter_machine_dead_letters_total{reason=\"no_json\"}", "0+66x120"),
            ("counter_machine_events_total", "0x120"),
        ],
        10,
        Some(11),
    ),
    ("ItemsRefused", &[("counter_machine_items_total{outcome=\"refused\"}", "3x9 4x110")], 9, Some(10)),
    ("CheckpointTooOld", &[("counter_machine_checkpoint_age_seconds", "30x9 601+60x110")], 14, Some(15)),
    ("CheckpointsFail", &[("counter_machine_checkpoint_failures_total", "7x9 8 9 10x108")], 11, Some(12)),
    ("CheckpointsFail", &[("counter_machine_checkpoint_failures_total", "7x9 8 9x109")], 120, None),
    ("NearLimit", &[("counter_machine_limit_used_ratio{limit=\"rows\"}", "0.94x9 0.96x110")], 39, Some(40)),
    ("RestartLoop", &[("counter_machine_start_time_seconds", "1000x9 1 2 3 4x107")], 12, Some(13)),
    ("RestartLoop", &[("counter_machine_start_time_seconds", "1000x9 1 2 3x108")], 120, None),
    ("RestartLoop", &[("counter_machine_start_time_seconds", "1000x9 1x39 2x39 3x30")], 120, None),
];

/// As a test of promtool's: at the two minutes this alert fires, or none does.
fn as_unit_test((alert, scraped, silent, fires): Trouble) -> Value {
    let given = |series: &str| scraped.iter().any(|(name, _)| *name == series);
    let series = WELL.iter().filter(|(name, _)| !given(name)).chain(scraped).map(|(name, values)| {
        let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
        json!({"series": format!("{name}{{job=\"user_counters\",instance=\"a:9400\",{labels}"), "values": values})
    });
    let firing = json!([{"labels": format!("{{alertname=\"CounterMachine{alert}\"}}"), "value": 1}]);
    let at = |minute: u32, firing: &Value| {
        json!({
            "expr": "count by (alertname) (ALERTS{alertstate=\"firing\"})",
            "eval_time": format!("{minute}m"),
            "exp_samples": firing,
        })
    };
    let looks: Vec<Value> =
        [at(silent, &json!([]))].into_iter().chain(fires.map(|minute| at(minute, &firing))).collect();
    json!({
        "name": format!("{alert} {scraped:?}"),
        "interval": "1m",
        "input_series": series.collect::<Vec<_>>(),
        "promql_expr_test": looks,
    })
}

#[test]
fn each_alert_fires_when_it_should_and_not_before() {
    if !is_installed("promtool") {
        eprintln!("left out: promtool is not installed");
        return;
    }
    let place = reference();
    place.write("alerts.yaml", printed(&place, "alerts", &[]));
    // What is JSON is YAML.
    let tests = json!({
        "rule_files": ["alerts.yaml"],
        "evaluation_interval": "1m",
        "tests": TROUBLES.map(as_unit_test),
    });
    place.write("tests.yaml", tests.to_string());
    let run = Command::new("promtool").args(["test", "rules"]).arg(place.path("tests.yaml")).output().unwrap();
    assert!(run.status.success(), "{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    let alerts = printed(&place, "alerts", &[]);
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: CounterMachine")) {
        assert!(TROUBLES.iter().any(|(name, _, _, fires)| *name == alert && fires.is_some()), "{alert} is not tried");
    }
}

#[test]
fn a_unit_starts_again_by_the_exit_codes_that_the_operations_page_has() {
    let unit = printed(&reference(), "systemd", &[]);
    let page = shipped("docs/operations.md");
    for (setting, says) in [("RestartForceExitStatus=70 75", "yes"), ("RestartPreventExitStatus=1 2", "once mended")] {
        assert!(unit.contains(&format!("\n{setting}\n")), "{unit}");
        for code in setting.split_once('=').unwrap().1.split(' ') {
            let line = page.lines().find(|line| line.starts_with(&format!("| {code} | "))).unwrap();
            assert!(line.trim_end_matches(" |").rsplit(" | ").next().unwrap().starts_with(says), "{line}");
        }
    }
}

#[test]
fn what_the_image_is_built_of_is_there_and_not_ignored() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let allowed = shipped(".dockerignore");
    let dockerfile = shipped("Dockerfile");
    let mut copied = 0;
    for line in dockerfile.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from=")) {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        for source in &words[..words.len() - 1] {
            assert!(root.join(source).exists(), "{line}");
            assert!(allowed.lines().any(|line| line.strip_prefix('!') == Some(source)), "{source} is in .dockerignore");
            copied += 1;
        }
    }
    assert!(copied >= 8, "{dockerfile}");
    for path in shipped("Cargo.toml").lines().filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"')) {
        let top = path.split('/').next().unwrap();
        assert!(
            dockerfile.contains(&format!("COPY {top} {top}\n")),
            "Cargo.toml names {path}, which the image's build lacks"
        );
    }
    let toolchain = shipped("rust-toolchain.toml");
    let version = toolchain.lines().find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"')).unwrap();
    assert!(dockerfile.contains(&format!("FROM rust:{version}-")), "another compiler than rust-toolchain.toml's");
    assert!(dockerfile.contains(&format!("RUSTUP_TOOLCHAIN={version} ")));
    for kept in ["USER 65532", "ENTRYPOINT [", "--features tls"] {
        assert!(dockerfile.contains(kept), "{kept}");
    }
    assert!(!dockerfile.lines().any(|line| line.starts_with("HEALTHCHECK")), "it would need a shell");
}

#[test]
fn the_release_script_tells_how_it_is_used_and_refuses_what_it_does_not_know() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/release");
    let checked = Command::new("bash").arg("-n").arg(&script).status().unwrap();
    assert!(checked.success());
    let help = Command::new(&script).arg("--help").output().unwrap();
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).starts_with("Usage: scripts/release"));
    let wrong = Command::new(&script).arg("--frobnicate").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    let missing = Command::new(&script).args(["--binary", "/no/such/program"]).output().unwrap();
    assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no program /no/such/program"));
}

#[test]
fn the_archive_of_a_release_has_the_program_its_pages_and_the_licences_of_all_in_it() {
    let place = Workplace::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/release");
    let made =
        Command::new(&script).arg("--binary").arg(binary()).arg("--output").arg(place.path("out")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let archive = String::from_utf8(made.stdout).unwrap();
    let list = Command::new("tar").arg("tzf").arg(archive.trim()).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    for name in ["counter-machine", "README.md", "LICENSE-MIT", "pipelines/user_counters.toml", "docs/errors/CM0101.md"]
    {
        assert!(
            list.lines().any(|line| line.split_once('/').is_some_and(|(_, inside)| inside == name)),
            "{name}: {list}"
        );
    }
    let has = |what: &str| list.lines().any(|line| line.contains(what));
    // Of packages, those without a text of their own included, and of what they bring along.
    for name in ["PACKAGES.txt", "serde-", "timely-", "uPlot-", "rdkafka-sys-"] {
        assert!(has(&format!("/licences/{name}")), "{name}: {list}");
    }
    for name in ["/librdkafka/LICENSE.lz4", "/openssl/LICENSE.txt", "/zlib/LICENSE", "/zstd/LICENSE", "/aws-lc/LICENSE"]
    {
        assert!(has(name), "{name}: {list}");
    }
}
