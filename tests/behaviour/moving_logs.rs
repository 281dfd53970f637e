//! Logs that are rotated while they are read, that are named twice, and directories that hold other
//! things too.

use std::io::Write as _;

use crate::commands::reference;
use crate::program::{Ended, Running, Workplace};

/// A place with many small logs, of one event each, whose user is the log's number.
fn place(logs: usize) -> Workplace {
    let place = reference();
    let pipeline = place.read("p.toml").replace("length = \"5s\"", "length = \"1s\"");
    place.write("p.toml", pipeline);
    for number in 0..logs {
        place.write(&format!("logs/{number:03}.jsonl"), like(&number.to_string()));
    }
    place
}

fn like(user: &str) -> String {
    format!("{{\"eventName\":\"like\",\"userId\":\"{user}\",\"eventTs\":1707605600}}\n")
}

/// Starts a run that has found its logs and waits for its standard input, which comes before them.
fn waiting(place: &Workplace, more: &[&str]) -> Running {
    let arguments = ["run", "p.toml", "--sink", "jsonl:-", "--events", "-", "logs"];
    let mut run = place.start(&[&arguments, more].concat());
    run.write(&like("first"));
    assert!(run.line().contains("first"));
    run
}

fn end(mut run: Running) -> Ended {
    run.close_stdin();
    run.end()
}

fn gzip(content: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(content.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn logs_that_are_rotated_are_read_as_they_were_found() {
    for more in [&[][..], &["-w", "2"], &["--every-window"]] {
        let place = place(2);
        place.write("logs/2.jsonl.gz", gzip(&like("2")));
        let run = waiting(&place, more);
        // As logrotate does: each is renamed to the next name, and a new one takes the first's.
        std::fs::rename(place.path("logs/001.jsonl"), place.path("logs/002.jsonl")).unwrap();
        std::fs::rename(place.path("logs/000.jsonl"), place.path("logs/001.jsonl")).unwrap();
        place.write("logs/000.jsonl", like("new").repeat(3));
        std::fs::remove_file(place.path("logs/2.jsonl.gz")).unwrap();
        let ended = end(run).exits(0);
        assert_eq!(ended.summary("events"), 4);
        for user in ["0", "1", "2"] {
            assert!(ended.stdout.contains(&format!("\"key\":\"{user}\"")), "{user}: {}", ended.stdout);
        }
    }
}

#[test]
fn logs_that_are_written_anew_or_cut_short_stop_the_run_by_name() {
    for more in [&[][..], &["-w", "2"], &["--every-window"]] {
        for (content, hint) in [(like("anew").repeat(9), "written anew"), (String::new(), "became shorter")] {
            let place = place(2);
            let run = waiting(&place, more);
            // The same file: as logrotate's copytruncate does.
            place.write("logs/001.jsonl", content);
            end(run).exits(1).says(&["logs/001.jsonl", hint]);
        }
    }
}

#[test]
fn more_logs_than_can_stay_open_are_known_again_or_the_run_stops() {
    let place = place(200);
    end(waiting(&place, &[])).exits(0);
    type Change = fn(&Workplace);
    let changes: [(Change, &str); 3] = [
        (|place| std::fs::remove_file(place.path("logs/199.jsonl")).unwrap(), "No such file"),
        (
            |place| {
                place.write("other", like("199"));
                std::fs::rename(place.path("other"), place.path("logs/199.jsonl")).unwrap();
            },
            "another file has its name",
        ),
        (|place| place.write("logs/199.jsonl", like("anew")), "written anew"),
    ];
    for (change, hint) in changes {
        place.write("logs/199.jsonl", like("199"));
        let run = waiting(&place, &[]);
        change(&place);
        end(run).exits(1).says(&["logs/199.jsonl", hint]);
    }
}

#[test]
fn a_log_that_is_named_twice_is_counted_once_and_said() {
    let place = place(2);
    place.write("empty.jsonl", "");
    std::os::unix::fs::symlink(place.path("logs/001.jsonl"), place.path("logs/current")).unwrap();
    std::fs::hard_link(place.path("logs/000.jsonl"), place.path("hard.jsonl")).unwrap();
    for logs in [
        &["logs"][..],
        &["logs", "logs"],
        &["hard.jsonl", "logs/000.jsonl", "logs"],
        &["logs", "empty.jsonl", "empty.jsonl"],
    ] {
        let run = ["run", "p.toml", "--sink", "none", "--events"];
        let ended = place.run(&[&run, logs].concat()).exits(0).says(&["is the same file as", "read once"]);
        assert_eq!(ended.summary("events"), 2, "{logs:?}");
    }
}

#[test]
fn a_log_beside_its_own_compressed_copy_is_refused_and_another_is_not() {
    let place = place(1);
    place.write("logs/000.jsonl.gz", gzip(&like("0")));
    let run = ["run", "p.toml", "--sink", "none", "--events", "logs"];
    place.run(&run).exits(2).says(&["logs/000.jsonl and logs/000.jsonl.gz", "one log"]);
    let named = ["run", "p.toml", "--sink", "none", "--events", "logs/000.jsonl", "./logs/../logs/000.jsonl.gz"];
    place.run(&named).exits(2).says(&["one log"]);
    // One that has grown since it was compressed.
    place.write("logs/000.jsonl", like("0").repeat(2));
    place.run(&run).exits(2).says(&["one log"]);
    // After a rotation the name belongs to a new log.
    place.write("logs/000.jsonl", like("1"));
    assert_eq!(place.run(&run).exits(0).summary("events"), 2);
    // Of three, any two may be one log.
    place.write("logs/000.jsonl.zst", zstd::encode_all(like("1").as_bytes(), 1).unwrap());
    place.run(&run).exits(2).says(&["logs/000.jsonl and logs/000.jsonl.zst", "one log"]);
    std::fs::remove_file(place.path("logs/000.jsonl.zst")).unwrap();
    place.write("logs/000.jsonl", "");
    assert_eq!(place.run(&run).exits(0).summary("events"), 1);
}

#[test]
fn a_directory_says_what_of_it_is_not_read() {
    let place = place(1);
    place.write("logs/inner/a.jsonl", like("inner"));
    place.write("logs/notes.txt", "no event\n");
    let ended = place.run(&["run", "p.toml", "--sink", "none", "--events", "logs"]).exits(0);
    let ended = ended.says(&["not read in logs: logs/inner (a directory)", "may be no event log: logs/notes.txt"]);
    assert_eq!((ended.summary("events"), ended.summary("dead letters")), (1, 1));
}

#[test]
fn what_a_run_has_written_is_not_read_again() {
    let place = place(0);
    place.write("a.jsonl", [like("1"), "nonsense\n".to_owned()].concat());
    std::fs::remove_file(place.path("sample.jsonl")).unwrap();
    std::fs::rename(place.path("p.toml"), place.path(".p.toml")).unwrap();
    for (number, sink) in ["sqlite:items.db", "sqlite:items.db", "jsonl:items.jsonl"].into_iter().enumerate() {
        let replace: &[&str] = if number == 1 { &["--replace"] } else { &[] };
        let ended = place.run(&[&["run", ".p.toml", "--sink", sink, "--events", "."], replace].concat()).exits(0);
        assert_eq!((ended.summary("events"), ended.summary("dead letters")), (1, 1), "{}", ended.stderr);
    }
    let run = ["run", ".p.toml", "--sink", "none", "--events", "."];
    place.run(&run).exits(0).says(&["dead letters of a run", "a SQLite database", "items that a run has published"]);
}
