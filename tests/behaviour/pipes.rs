//! Pipes into and out of the program, and signals while it reads.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::commands::reference;
use crate::program::{Running, Workplace, binary};
use crate::recount;

fn likes(user: &str, times: std::ops::Range<i64>) -> String {
    times.map(|time| format!("{{\"eventName\":\"like\",\"userId\":\"{user}\",\"eventTs\":{time}}}\n")).collect()
}

/// A pipeline like the reference one, with a window so short that pauses show soon.
fn place() -> Workplace {
    let place = reference();
    let pipeline = place.read("p.toml").replace("length = \"5s\"", "length = \"1s\"");
    place.write("p.toml", pipeline);
    place
}

/// Follows stdin and prints what it publishes.
fn follow(place: &Workplace) -> Running {
    place.start(&["run", "p.toml", "--events", "-", "--sink", "jsonl:-"])
}

/// Runs a line of shell in which `$CM` is the program.
fn shell(place: &Workplace, line: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new("bash");
    command.args(["-c", line]).current_dir(place.path("")).env("CM", binary());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn lines_of_a_pipe_that_stays_open_show_as_they_come() {
    let place = place();
    let mut run = follow(&place);
    for (seconds, expected) in [(0..5, 4), (5..6, 5), (6..9, 8)] {
        run.write(&likes("7", seconds));
        let (name, item) = loop {
            let (name, item) = recount::item(&run.line());
            if item.last_update == expected {
                break (name, item);
            }
        };
        assert_eq!(name, ("7".to_owned(), "like".to_owned()));
        assert!(item.values[&5] > 1.0 && item.values[&5] < 6.0, "{item:?}");
    }
    run.close_stdin();
    let ended = run.end().exits(0);
    assert_eq!((ended.summary("events"), ended.stdout.as_str()), (9, ""));
}

#[test]
fn the_first_signal_publishes_what_was_read_and_exits_130() {
    for signal in ["INT", "TERM"] {
        let place = place();
        let mut run = place.start(&["run", "p.toml", "--events", "-", "--sink", "jsonl:items.jsonl"]);
        run.write(&likes("7", 0..3));
        while !place.path("items.jsonl").exists() || place.read("items.jsonl").is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        // These are in the pipe when the signal comes, or on their way through the program.
        run.write(&likes("8", 3..100));
        std::thread::sleep(std::time::Duration::from_millis(500));
        run.signal(signal);
        let ended = run.end().exits(130).says(&["interrupted"]);
        assert_eq!(ended.summary("events"), 100, "{signal}");
        let items = place.run(&["dump", "jsonl:items.jsonl"]).exits(0).stdout;
        let items = recount::items(&items);
        let updates: Vec<_> = items.iter().map(|((key, _), item)| (key.as_str(), item.last_update)).collect();
        assert_eq!(updates, [("7", 2), ("8", 99)], "{signal}");
    }
}

#[test]
fn a_signal_ends_a_run_that_waits_for_a_pipe() {
    let place = place();
    let path = place.path("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let run = place.start(&["run", "p.toml", "--events", "pipe", "--sink", "sqlite:items.db"]);
    let mut pipe = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    pipe.write_all(likes("7", 0..50).as_bytes()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    run.signal("INT");
    let ended = run.end().exits(130);
    assert_eq!(ended.summary("events"), 50);
    drop(pipe);
    let items = recount::items(&place.run(&["dump", "sqlite:items.db"]).exits(0).stdout);
    assert_eq!(items[&("7".to_owned(), "like".to_owned())].last_update, 49);
}

#[test]
fn a_second_signal_ends_at_once() {
    // The items go to a pipe that nobody reads and that is full, so the first signal cannot end it.
    let place = place();
    place.write("many.jsonl", (0..20_000).map(|user| likes(&user.to_string(), 1..2)).collect::<String>());
    assert!(Command::new("mkfifo").arg(place.path("full")).status().unwrap().success());
    let reader = std::thread::spawn({
        let path = place.path("full");
        move || std::fs::File::open(path).unwrap()
    });
    let run = place.start(&["run", "p.toml", "--events", "many.jsonl", "--sink", "jsonl:full"]);
    let unread = reader.join().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_000));
    run.signal("TERM");
    std::thread::sleep(std::time::Duration::from_millis(500));
    run.signal("TERM");
    run.end().exits(130);
    drop(unread);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let place = place();
    place.write("many.jsonl", (0..20_000).map(|user| likes(&user.to_string(), 1..2)).collect::<String>());
    let run = "$CM run p.toml --events many.jsonl --sink";
    shell(&place, &format!("{run} sqlite:items.db"));
    for line in [
        format!("{run} jsonl:- 2>/dev/null | head -n 1; exit ${{PIPESTATUS[0]}}"),
        "$CM generate --events 1000000 | head -n 1; exit ${PIPESTATUS[0]}".to_owned(),
        "$CM dump sqlite:items.db | head -n 1; exit ${PIPESTATUS[0]}".to_owned(),
        "$CM get p.toml --key userId=7 --from sqlite:items.db --json | head -n 1; exit ${PIPESTATUS[0]}".to_owned(),
    ] {
        let (code, stdout, stderr) = shell(&place, &line);
        assert_eq!((code, stdout.lines().count(), stderr.as_str()), (Some(0), 1, ""), "{line}");
    }
}

#[test]
fn a_closed_stderr_changes_nothing() {
    let place = place();
    let run = "$CM run p.toml --events sample.jsonl --sink none";
    for (line, expected) in [
        (format!("{run} 2>&1 >/dev/null | true; exit ${{PIPESTATUS[0]}}"), 0),
        (format!("{run} --log-format json 2>&1 >/dev/null | true; exit ${{PIPESTATUS[0]}}"), 0),
        ("$CM dump sqlite:none.db 2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}".to_owned(), 1),
    ] {
        // Some start before the reader has gone: several times, so that not all do.
        for _ in 0..3 {
            assert_eq!(shell(&place, &line).0, Some(expected), "{line}");
        }
    }
}
