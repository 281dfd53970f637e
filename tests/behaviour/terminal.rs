//! What comes from outside never commands a terminal: keys, names, paths and texts of others are escaped wherever they are
//! shown.

use serde_json::json;

use crate::program::{Ended, Workplace};

/// A title for the terminal, an erased screen in both forms of control sequences, DEL, an order of letters turned around, a
/// separator of lines, and a line that looks like one of the program's.
const NASTY: &str = "a\x1b]0;owned\x07\x1b[2J\u{9b}2J\u{7f}\u{202e}\u{2066}\u{200f}\u{2028}\r\nFORGED";

/// What a group's and a feature's name may hold of it.
const DISORDERLY: &str = "b\u{202e}\u{2066}\u{200f}\u{2028}";

/// A name of a file.
fn nasty_name(ending: &str) -> String {
    format!("{NASTY}{ending}")
}

/// A pipeline in which every name is nasty that may be.
fn pipeline() -> String {
    // What JSON escapes, TOML does too.
    let name = |text: &str| serde_json::to_string(text).unwrap().replace('\u{7f}', "\\u007f");
    format!(
        r#"
name = {nasty}
event = {{ name = "n", time = "t" }}
counters = [
  {{ name = "user", key = ["user"], events = "*", decays = ["5s"], feature = "user.{{event}}" }},
  {{ name = {disorderly}, key = [{nasty}], events = [{nasty}], decays = ["5s"], feature = {feature} }},
]
ratios = [{{ name = {ratio}, numerator = {feature}, denominator = {feature} }}]
"#,
        nasty = name(NASTY),
        disorderly = name(DISORDERLY),
        feature = name(&format!("feature {DISORDERLY}")),
        ratio = name(&format!("ratio {DISORDERLY}")),
    )
}

#[track_caller]
fn is_harmless(ended: &Ended) {
    for (text, stream) in [(&ended.stdout, "stdout"), (&ended.stderr, "stderr")] {
        let allowed = |character: char| match character {
            '\n' | '\t' => true,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
            other => !other.is_control(),
        };
        assert!(text.chars().all(allowed), "{stream}: {}", text.escape_debug());
        assert!(text.lines().all(|line| !line.starts_with("FORGED")), "{stream}:\n{text}");
    }
}

#[test]
fn nothing_from_outside_reaches_a_terminal_raw() {
    let place = Workplace::new();
    let pipeline_name = nasty_name(".toml");
    for name in [&pipeline_name, "p.toml"] {
        place.write(name, pipeline());
    }
    let event = json!({ "n": NASTY, "user": NASTY, NASTY: NASTY, "t": 1_707_605_600 });
    place.write("events.jsonl", format!("{event}\n"));
    place.write("other.jsonl", format!("{}\n", json!({ "n": NASTY, "user": format!("another {NASTY}"), "t": 1 })));
    let mut damaged = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut damaged, format!("{event}\n").repeat(100).as_bytes()).unwrap();
    let damaged = damaged.finish().unwrap();
    place.write(&format!("damaged/{}", nasty_name(".gz")), &damaged[..damaged.len() - 9]);
    place.write(&format!("bad/{}", nasty_name(".jsonl")), "no event\n");

    let missing = format!("sqlite:{}", nasty_name(".db"));
    let user = format!("user={NASTY}");
    let feature = format!("user.{NASTY}");
    let other_user = format!("user=another {NASTY}");
    let strange_field = format!("{NASTY}={NASTY}");
    let unknown_field = format!("{NASTY}x=1");
    let sink = "sqlite:items.db";
    let read = ["run", "p.toml", "--events"];
    let get = ["get", "p.toml", "--from", sink, "--key"];
    let verify = ["verify", "p.toml", "--from", sink, "--events"];
    let commands: [(&[&str], &[&str], i32); 34] = [
        (&read, &["events.jsonl", "--sink", sink], 0),
        (&read, &["events.jsonl", "--sink", sink], 1),
        (&read, &["events.jsonl", "--sink", sink, "--replace", "--log-format", "json"], 0),
        (&read, &["events.jsonl", "--sink", "jsonl:-"], 0),
        (&read, &["events.jsonl", "--sink", "jsonl:items.jsonl"], 0),
        (&read, &["events.jsonl", "--sink", &missing.replace("sqlite:", "jsonl:no/such/folder/")], 1),
        (&read, &["damaged", "--sink", "none"], 1),
        (&read, &["damaged", "--sink", "none", "--log-format", "json"], 1),
        (&read, &["bad", "--sink", "none", "--max-dead-letters", "0"], 1),
        (&read, &["bad", "--sink", "none", "--dead-letters", &nasty_name(".letters")], 1),
        (&read, &[&pipeline_name], 2),
        (&get, &[&user], 0),
        (&get, &[&user, "--json"], 0),
        (&get, &[&user, "--at", "now"], 0),
        (&get, &[&user, "--feature", &feature], 0),
        (&get, &[&other_user], 1),
        (&get, &[&other_user, "--log-format", "json"], 1),
        (&get, &[&user, "--feature", "of another name\x1b[2J\u{202e}"], 1),
        (&get, &[&strange_field], 0),
        (&get, &[&unknown_field], 2),
        (&["get", "p.toml", "--key", &user, "--from", &missing], &[], 1),
        (&["dump", sink], &[], 0),
        (&["dump", "jsonl:items.jsonl"], &[], 0),
        (&["dump", &missing], &[], 1),
        (&verify, &["events.jsonl"], 0),
        (&verify, &["other.jsonl"], 1),
        (&verify, &["other.jsonl", "--json"], 1),
        (&verify, &["damaged"], 1),
        (&verify, &[&nasty_name(".missing")], 2),
        (&["verify", &pipeline_name, "--from", &missing, "--events", "events.jsonl"], &[], 1),
        (&["check", &pipeline_name], &["--events", "events.jsonl"], 0),
        (&["check", "p.toml", "--list"], &[], 0),
        (&["produce", &pipeline_name, "events.jsonl"], &[], 2),
        (&["generate", "--pipeline", &pipeline_name], &[], 2),
    ];
    for (command, more, code) in commands {
        let ended = place.run(&[command, more].concat());
        is_harmless(&ended);
        ended.exits(code);
    }
    for arguments in
        [&[NASTY][..], &["run", NASTY], &["run", "p.toml", "--sink", NASTY], &["get", NASTY, "--key", "u=1"]]
    {
        let ended = place.run(arguments);
        is_harmless(&ended);
        ended.exits(2);
    }
}
