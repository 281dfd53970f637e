//! The end of a run says truly how it ended: headline, exit code, last error and the JSON lines agree.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::commands::reference;
use crate::program::{Ended, Workplace, binary};

/// So many likes, each of a user of its own.
fn likes(users: std::ops::Range<usize>) -> String {
    users.map(|user| format!("{{\"eventName\":\"like\",\"userId\":\"u{user}\",\"eventTs\":1707605599}}\n")).collect()
}

/// What a run said at its end.
struct End {
    headline: String,
    completed: bool,
    published: String,
}

impl End {
    /// The end of the same run, told as text and as JSON, which must agree with each other and with this exit code.
    #[track_caller]
    fn of(text: Ended, json: Ended, code: i32) -> End {
        let (text, json) = (text.exits(code), json.exits(code));
        let lines: Vec<Value> = json.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let summary = lines.iter().rev().find(|line| line["fields"]["events"].is_u64()).expect(&json.stderr);
        let fields = &summary["fields"];
        let headline = fields["message"].as_str().unwrap().to_owned();
        assert!(text.stderr.contains(&format!("user_counters: {headline}\n")), "{headline}:\n{}", text.stderr);
        assert_eq!(fields["exit_code"], code, "{summary}");
        let completed = fields["completed"].as_bool().unwrap();
        assert_eq!(completed, text.stderr.contains("done") && code == 0, "{}", text.stderr);

        let last = text.stderr.lines().last().unwrap();
        let last_of_json = lines.last().unwrap();
        assert_eq!(last.starts_with("error: "), code != 0, "{}", text.stderr);
        assert_eq!(last_of_json["level"] == "ERROR", code != 0, "{last_of_json}");
        if code != 0 {
            assert_eq!(last_of_json["fields"]["exit_code"], code, "{last_of_json}");
            assert_eq!(last.strip_prefix("error: "), last_of_json["fields"]["message"].as_str());
            assert!(!text.stderr.contains("Read a counter"), "{}", text.stderr);
        }
        End { headline, completed, published: fields["published"].as_str().unwrap().to_owned() }
    }

    #[track_caller]
    fn is(self, headline: &str, published: &str) {
        assert_eq!((self.headline.as_str(), self.published.as_str()), (headline, published));
        assert_eq!(self.completed, headline == "done");
    }
}

const JSON: [&str; 2] = ["--log-format", "json"];

#[test]
fn every_end_of_a_log_is_told_alike_in_both_formats() {
    let place = reference();
    place.write("words.jsonl", "one\ntwo\n");
    place.write("mixed.jsonl", ["one\ntwo\n".to_owned(), likes(0..3)].concat());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(likes(0..1_000).as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    place.write("cut.jsonl.gz", &gzip[..gzip.len() - 9]);
    let cases: [(&[&str], i32, &str, &str); 7] = [
        (&["sample.jsonl", "--sink", "sqlite:items.db", "--replace"], 0, "done", "all"),
        (&["words.jsonl", "--sink", "none"], 1, "failed: no event counted", "all"),
        (
            &["mixed.jsonl", "--sink", "none", "--max-dead-letters", "1"],
            1,
            "failed: more dead letters than allowed",
            "part",
        ),
        (
            &["mixed.jsonl", "--sink", "none", "--dead-letters", "/dev/full"],
            1,
            "failed: dead letters could not be kept",
            "part",
        ),
        (&["sample.jsonl", "--sink", "jsonl:/dev/full"], 1, "failed: not everything could be published", "part"),
        (&["cut.jsonl.gz", "--sink", "none"], 1, "failed: an event log is damaged", "all"),
        (&["cut.jsonl.gz", "mixed.jsonl", "--sink", "none", "-w", "2"], 1, "failed: an event log is damaged", "all"),
    ];
    for (arguments, code, headline, published) in cases {
        let run = |more: &[&str]| place.run(&[&["run", "p.toml", "--events"], arguments, more].concat());
        End::of(run(&[]), run(&JSON), code).is(headline, published);
    }
}

#[test]
fn an_interrupted_run_says_so_and_what_it_read_is_published() {
    let place = reference();
    place.write("p.toml", place.read("p.toml").replace("length = \"5s\"", "length = \"100ms\""));
    let run = |more: &[&str]| {
        let _ = std::fs::remove_file(place.path("items.jsonl"));
        let arguments = [&["run", "p.toml", "--events", "-", "--sink", "jsonl:items.jsonl"], more].concat();
        let mut run = place.start(&arguments);
        run.write(&likes(0..3));
        while std::fs::read(place.path("items.jsonl")).is_ok_and(|items| items.is_empty())
            || !place.path("items.jsonl").exists()
        {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        run.signal("INT");
        run.end()
    };
    End::of(run(&[]), run(&JSON), 130).is("stopped early: interrupted by a signal", "all");
}

/// Runs a line of shell in which `$CM` is the program; its stderr comes back.
fn shell(place: &Workplace, line: &str) -> (Option<i32>, String) {
    let mut command = Command::new("bash");
    command.args(["-c", line]).current_dir(place.path("")).env("CM", binary());
    let output = command.stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn when_whoever_read_stdout_leaves_the_run_says_that_not_everything_was_published() {
    let place = reference();
    place.write("many.jsonl", likes(0..20_000));
    let run = "$CM run p.toml --events many.jsonl --sink jsonl:- ";
    let (code, text) = shell(&place, &format!("{run} | head -n 1; exit ${{PIPESTATUS[0]}}"));
    assert_eq!(code, Some(0), "{text}");
    for said in ["user_counters: stopped early: whoever read stdout has left", "acknowledged by jsonl:-; not all"] {
        assert!(text.contains(said), "{text}");
    }
    let (code, json) = shell(&place, &format!("{run} --log-format json | head -n 1; exit ${{PIPESTATUS[0]}}"));
    let summary: Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    let fields = &summary["fields"];
    assert_eq!(
        (code, &fields["exit_code"], &fields["outcome"]),
        (Some(0), &Value::from(0), &Value::from("reader_left"))
    );
    assert_eq!((&fields["completed"], &fields["published"]), (&Value::from(false), &Value::from("part")));
}

/// A named pipe whose reader leaves after the first line.
fn pipe_with_a_hasty_reader(place: &Workplace) -> std::thread::JoinHandle<()> {
    let path = place.path("pipe");
    if !path.exists() {
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    }
    std::thread::spawn(move || {
        let mut line = String::new();
        BufReader::new(std::fs::File::open(path).unwrap()).read_line(&mut line).unwrap();
    })
}

#[test]
fn a_reader_that_leaves_any_other_pipe_is_a_failure() {
    let place = reference();
    // More than a pipe holds, in several blocks: the reader leaves while it is written.
    place.write("many.jsonl", likes(0..20_000));
    place.write("bad.jsonl", [likes(0..3), format!("{}\n", "x".repeat(200)).repeat(20_000)].concat());
    let cases: [(&[&str], &str); 2] = [
        (&["many.jsonl", "--sink", "jsonl:pipe"], "failed: not everything could be published"),
        (&["bad.jsonl", "--sink", "none", "--dead-letters", "pipe"], "failed: dead letters could not be kept"),
    ];
    for (arguments, headline) in cases {
        let run = |more: &[&str]| {
            let reader = pipe_with_a_hasty_reader(&place);
            let ended = place.run(&[&["run", "p.toml", "--events"], arguments, more].concat());
            reader.join().unwrap();
            ended.says(&["pipe", "whoever read it has gone"])
        };
        End::of(run(&[]), run(&JSON), 1).is(headline, "part");
    }
}

#[test]
fn items_that_another_run_has_replaced_are_not_claimed() {
    let place = reference();
    place.write("p.toml", place.read("p.toml").replace("length = \"5s\"", "length = \"100ms\""));
    let changes = ["UPDATE meta SET value = 'another run' WHERE name = 'run'; DELETE FROM states", "DROP TABLE states"];
    for change in changes {
        let run = |more: &[&str]| {
            let sink = ["run", "p.toml", "--events", "-", "--sink", "sqlite:items.db", "--replace"];
            let mut run = place.start(&[&sink, more].concat());
            run.write(&likes(0..3));
            while place.run(&["dump", "sqlite:items.db"]).stdout.lines().filter(|line| line.contains("\"u2\"")).count()
                == 0
            {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            let database = rusqlite::Connection::open(place.path("items.db")).unwrap();
            database.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
            database.execute_batch(change).unwrap();
            run.write(&likes(3..6));
            run.close_stdin();
            let ended = run.end();
            drop(database);
            for name in ["items.db", "items.db-wal", "items.db-shm"] {
                let _ = std::fs::remove_file(place.path(name));
            }
            ended
        };
        let text = run(&[]).says(&["items written  0 left of 3 in sqlite:items.db"]);
        End::of(text, run(&JSON), 1).is("failed: what was published is gone", "gone");
    }
}

#[test]
fn errors_before_a_run_and_of_other_commands_are_json_lines_too() {
    let place = reference();
    let commands: [(&[&str], i32); 8] = [
        (&["run", "p.toml", "--events", "none.jsonl", "--sink", "none"], 2),
        (&["run", "p.toml", "--events", "sample.jsonl", "--sink", "jsonl:no/such/items"], 1),
        (&["get", "p.toml", "--key", "userId=1", "--from", "sqlite:none.db"], 1),
        (&["dump", "sqlite:none.db"], 1),
        (&["check", "none.toml"], 2),
        (&["produce", "none.toml", "sample.jsonl"], 2),
        (&["rum"], 2),
        (&["run", "--frobnicate"], 2),
    ];
    for (command, code) in commands {
        let ended = place.run(&[command, &JSON].concat()).exits(code);
        let lines: Vec<Value> = ended.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let last = lines.last().unwrap();
        assert_eq!(
            (&last["level"], &last["fields"]["exit_code"]),
            (&"ERROR".into(), &code.into()),
            "{command:?}: {last}"
        );
        assert!(last["fields"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{last}");
    }
}

#[test]
fn how_a_run_ended_is_told_whatever_is_logged() {
    let place = reference();
    let line = "RUST_LOG=off $CM run p.toml --events sample.jsonl --sink jsonl:/dev/full --log-format json";
    let (code, stderr) = shell(&place, line);
    let lines: Vec<Value> = stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, lines.len()), (Some(1), 2), "{stderr}");
    assert_eq!((&lines[0]["fields"]["outcome"], &lines[1]["level"]), (&"failed".into(), &"ERROR".into()));
}

#[test]
fn processor_time_counts_from_the_start_of_the_run() {
    let place = reference();
    // As `cargo run` does: a process works for a while, and then becomes the program.
    let work = "while (( $(cut -d ' ' -f 14 /proc/$$/stat) < 60 )); do for ((i = 0; i < 20000; i++)); do :; done; done";
    let (code, stderr) = shell(&place, &format!("{work}; exec $CM run p.toml --events sample.jsonl --sink none"));
    let line = stderr.lines().find_map(|line| line.trim().strip_prefix("CPU time")).expect(&stderr);
    let seconds: f64 = line.trim().trim_end_matches(" s").parse().unwrap();
    assert!(code == Some(0) && seconds < 0.6, "{stderr}");
}
