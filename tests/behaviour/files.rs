//! Files that a run writes to: never its inputs, never somebody else's, whole at the end, and each of them heard when
//! it fails.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::commands::reference;
use crate::program::{Ended, Running, Workplace, binary};

/// The sample log in a folder of its own, beside the pipeline, whose window is so short that what comes by a pipe is
/// published soon.
fn place() -> Workplace {
    let place = reference();
    place.write("p.toml", place.read("p.toml").replace("length = \"5s\"", "length = \"100ms\""));
    place.write("logs/a.jsonl", place.read("sample.jsonl"));
    place
}

fn run(place: &Workplace, events: &str, more: &[&str]) -> Ended {
    place.run(&[&["run", "p.toml", "--events", events], more].concat())
}

/// The names of what is in the folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn fifo(place: &Workplace, name: &str) {
    assert!(Command::new("mkfifo").arg(place.path(name)).status().unwrap().success());
}

/// Opens a named pipe for reading, once the program has it open for writing.
fn read_from(place: &Workplace, name: &str) -> fs::File {
    fs::File::open(place.path(name)).unwrap()
}

/// A run over a pipe that goes on until the pipe is closed.
fn live(place: &Workplace, more: &[&str]) -> Running {
    let mut run = place.start(&[&["run", "p.toml", "--events", "-"], more].concat());
    run.write("{\"eventName\":\"like\",\"userId\":\"7\",\"eventTs\":1}\n");
    run
}

fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..12_000 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("it did not come true");
}

#[test]
fn what_a_run_reads_is_never_written_to() {
    let place = place();
    let log = place.read("logs/a.jsonl");
    let pipeline = place.read("p.toml");
    symlink("logs/a.jsonl", place.path("soft")).unwrap();
    fs::hard_link(place.path("logs/a.jsonl"), place.path("hard")).unwrap();
    fs::hard_link(place.path("logs/a.jsonl"), place.path("items.db-wal")).unwrap();
    let before = names(&place.path(""));
    for (events, output) in [
        ("logs/a.jsonl", "jsonl:logs/a.jsonl"),
        ("logs/a.jsonl", "jsonl:logs/../soft"),
        ("soft", "jsonl:hard"),
        ("logs", "jsonl:hard"),
        ("logs", "sqlite:items.db"),
        ("logs", "sqlite:logs/a.jsonl"),
        ("logs", "jsonl:p.toml"),
    ] {
        for more in [&[][..], &["--replace"], &["-w", "2", "--replace"]] {
            let ended = run(&place, events, &[&["--sink", output], more].concat());
            let ended = ended.exits(2).says(&["must not be written to", "--sink"]);
            assert!(!ended.stderr.contains("--replace"), "{}", ended.stderr);
        }
    }
    for (events, output) in [("logs", "soft"), ("logs/a.jsonl", "hard"), ("logs", "p.toml")] {
        let more = ["--sink", "none", "--dead-letters", output];
        run(&place, events, &more).exits(2).says(&["must not be written to", "--dead-letters"]);
    }
    assert_eq!((place.read("logs/a.jsonl"), place.read("p.toml")), (log, pipeline));
    assert_eq!(names(&place.path("")), before, "nothing was made");
}

#[test]
fn a_log_that_comes_by_stdin_or_goes_to_stdout_is_known_too() {
    let place = place();
    let log = place.read("logs/a.jsonl");
    for redirected in [
        "--events - --sink jsonl:logs/a.jsonl --replace < logs/a.jsonl",
        "--events /dev/stdin --sink jsonl:logs/a.jsonl --replace < logs/a.jsonl",
        "--events logs --sink jsonl:- >> logs/a.jsonl",
        "--events logs --sink jsonl:/dev/stdout >> logs/a.jsonl",
    ] {
        let line = format!("exec {} run p.toml {redirected}", binary().display());
        let status = Command::new("bash").args(["-c", &line]).current_dir(place.path("")).output().unwrap().status;
        assert_eq!(status.code(), Some(2), "{redirected}");
        assert_eq!(place.read("logs/a.jsonl"), log, "{redirected}");
    }
}

#[test]
fn items_and_dead_letters_never_go_to_one_file() {
    let place = place();
    symlink("one", place.path("other")).unwrap();
    let before = names(&place.path(""));
    for (sink, letters) in [("jsonl:one", "one"), ("jsonl:one", "other"), ("sqlite:one", "./logs/../one-wal")] {
        let more = ["--sink", sink, "--dead-letters", letters];
        run(&place, "logs", &more).exits(2).says(&["both items and dead letters"]);
    }
    assert_eq!(names(&place.path("")), before, "nothing was made");
}

#[test]
fn somebody_elses_file_is_left_as_it_is_whatever_is_asked_for() {
    let place = place();
    place.write("mine.jsonl", "{\"eventName\":\"like\",\"userId\":\"7\",\"eventTs\":1}\n");
    place.write("notes", "dear diary");
    place.write("new.db-wal", "dear diary");
    let before = names(&place.path(""));
    for output in ["jsonl:mine.jsonl", "jsonl:notes", "sqlite:notes", "sqlite:new.db"] {
        for more in [&[][..], &["--replace"]] {
            let ended = run(&place, "logs", &[&["--sink", output], more].concat()).exits(1).says(&["left as it is"]);
            assert!(!ended.stderr.contains("--replace"), "{}", ended.stderr);
        }
    }
    place.write("bad", "nonsense\n");
    for letters in ["mine.jsonl", "notes"] {
        let more = ["--sink", "sqlite:items.db", "--dead-letters", letters];
        run(&place, "bad", &more).exits(1).says(&["left as it is", "--dead-letters"]);
    }
    fs::remove_file(place.path("bad")).unwrap();
    assert_eq!((place.read("notes").as_str(), place.read("new.db-wal").as_str()), ("dear diary", "dear diary"));
    assert!(place.read("mine.jsonl").starts_with("{\"eventName\"") && place.read("mine.jsonl").lines().count() == 1);
    assert_eq!(names(&place.path("")), before, "nothing was made");
}

#[test]
fn generate_makes_logs_and_overwrites_none() {
    let place = place();
    place.write("empty.jsonl", "");
    let log = place.read("logs/a.jsonl");
    place.run(&["generate", "--events", "10", "--output", "logs/a.jsonl"]).exits(2).says(&["not empty", "--output"]);
    assert_eq!(place.read("logs/a.jsonl"), log);
    place.run(&["generate", "--events", "10", "--output", "empty.jsonl"]).exits(0);
    assert_eq!(place.read("empty.jsonl").lines().count(), 10);
    place.run(&["generate", "--events", "10", "--output", "/dev/null"]).exits(0);
}

/// Items without their versions, which tell the second in which a run started.
fn without_versions(lines: &str) -> Vec<serde_json::Value> {
    let without_version = |line| {
        let mut item: serde_json::Value = serde_json::from_str(line).unwrap();
        item.as_object_mut().unwrap().remove("version");
        item
    };
    lines.lines().map(without_version).collect()
}

#[test]
fn devices_and_pipes_take_what_they_took() {
    let place = place();
    place.write("bad", "nonsense\n");
    run(&place, "logs", &["--sink", "jsonl:/dev/null", "--dead-letters", "/dev/null"]).exits(0);
    run(&place, "/dev/null", &["--sink", "jsonl:/dev/null", "--dead-letters", "/dev/null"]).exits(0);
    let printed = without_versions(&run(&place, "logs", &["--sink", "jsonl:-"]).exits(0).stdout);
    let to_stdout = run(&place, "logs", &["--sink", "jsonl:/dev/stdout"]).exits(0).stdout;
    assert_eq!(without_versions(&to_stdout), printed);
    run(&place, "bad", &["--sink", "none", "--dead-letters", "/dev/stdout"]).exits(1).prints(&["not_an_object"]);
    fifo(&place, "pipe");
    let writing = place.start(&["run", "p.toml", "--events", "logs", "--sink", "jsonl:pipe"]);
    assert_eq!(without_versions(&std::io::read_to_string(read_from(&place, "pipe")).unwrap()), printed);
    writing.end().exits(0);
}

#[test]
fn at_a_clean_end_the_table_is_one_whole_file() {
    for workers in ["1", "2"] {
        let place = place();
        run(&place, "logs", &["--sink", "sqlite:out/../items.db", "-w", workers]).exits(1);
        run(&place, "logs", &["--sink", "sqlite:items.db", "-w", workers]).exits(0);
        assert_eq!(names(&place.path("")), ["items.db", "logs", "p.toml", "sample.jsonl"]);
        fs::copy(place.path("items.db"), place.path("copy.db")).unwrap();
        let dump = |sink| place.run(&["dump", sink]).exits(0).stdout;
        assert_eq!(dump("sqlite:copy.db").lines().count(), 39);
        assert_eq!(dump("sqlite:copy.db"), dump("sqlite:items.db"));
        // The same after a signal, which is a clean end too.
        let live = live(&place, &["--sink", "sqlite:live.db", "-w", workers]);
        wait_until(|| place.path("live.db-wal").exists());
        live.signal("INT");
        live.end().exits(130);
        assert_eq!(names(&place.path("")), ["copy.db", "items.db", "live.db", "logs", "p.toml", "sample.jsonl"]);
    }
}

#[test]
fn a_run_whose_dead_letters_fail_leaves_a_whole_table() {
    let place = place();
    let good = place.read("sample.jsonl");
    place.write("bad", good + "nonsense\n");
    run(&place, "bad", &["--sink", "sqlite:items.db", "--dead-letters", "/dev/full"]).exits(1).says(&["/dev/full"]);
    assert_eq!(names(&place.path("")), ["bad", "items.db", "logs", "p.toml", "sample.jsonl"]);
}

#[test]
fn what_a_killed_run_leaves_is_read_and_replaced() {
    let place = place();
    let live = live(&place, &["--sink", "sqlite:items.db"]);
    let dump = || place.run(&["dump", "sqlite:items.db"]);
    wait_until(|| place.path("items.db-wal").exists() && dump().stdout.lines().count() == 1);
    live.signal("KILL");
    drop(live);
    assert!(place.path("items.db-wal").exists(), "these files belong together");
    assert_eq!(dump().exits(0).stdout.lines().count(), 1);
    fs::rename(place.path("items.db"), place.path("moved")).unwrap();
    run(&place, "logs", &["--sink", "sqlite:items.db", "--replace"]).exits(1).says(&["items.db-wal", "is gone"]);
    fs::rename(place.path("moved"), place.path("items.db")).unwrap();
    run(&place, "logs", &["--sink", "sqlite:items.db"]).exits(1).says(&["--replace"]);
    run(&place, "logs", &["--sink", "sqlite:items.db", "--replace"]).exits(0);
    assert_eq!(dump().exits(0).stdout.lines().count(), 39);
    assert!(!place.path("items.db-wal").exists());
}

/// Runs the program as somebody who may read the folder and its files, and write nothing there.
fn as_a_mere_reader(place: &Workplace, arguments: &[&str]) -> (Option<i32>, String, String) {
    let program = place.path("program");
    if !program.exists() {
        fs::copy(binary(), &program).unwrap();
    }
    let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut command = Command::new(if is_root { Path::new("setpriv") } else { &program });
    if is_root {
        // Permissions do not hold for root.
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    }
    set_mode(&place.path(""), 0o555);
    let output = command.args(arguments).current_dir(place.path("")).output().unwrap();
    set_mode(&place.path(""), 0o755);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn whoever_may_only_read_reads_a_run_that_is_live_and_one_that_has_ended_or_was_killed() {
    let place = place();
    run(&place, "logs", &["--sink", "sqlite:items.db"]).exits(0);
    let items = |database: &str| {
        let (code, items, stderr) = as_a_mere_reader(&place, &["dump", &format!("sqlite:{database}")]);
        assert_eq!(code, Some(0), "{stderr}");
        items.lines().count()
    };
    assert!(!place.path("items.db-wal").exists(), "it could not be made either");
    assert_eq!(items("items.db"), 39);
    let live = live(&place, &["--sink", "sqlite:live.db"]);
    wait_until(|| place.path("live.db").exists() && place.run(&["dump", "sqlite:live.db"]).stdout.lines().count() == 1);
    assert_eq!(items("live.db"), 1);
    live.signal("KILL");
    drop(live);
    assert_eq!(items("live.db"), 1);
}

#[test]
fn a_second_run_on_the_file_of_a_live_one_is_refused_and_spoils_nothing() {
    let place = place();
    for (file, sink) in [("items.db", "sqlite:items.db"), ("items.jsonl", "jsonl:items.jsonl")] {
        let mut first = live(&place, &["--sink", sink]);
        wait_until(|| place.path(file).exists() && place.run(&["dump", sink]).stdout.lines().count() == 1);
        for more in [&[][..], &["--replace"]] {
            let second = run(&place, "logs", &[&["--sink", sink], more].concat());
            let second = second.exits(1).says(&["another run is writing to it now"]);
            assert!(!second.stderr.contains("--replace"), "{}", second.stderr);
        }
        first.close_stdin();
        first.end().exits(0);
        assert_eq!(place.run(&["dump", sink]).exits(0).stdout.lines().count(), 1);
    }
}

#[test]
fn the_file_of_another_pipeline_names_it() {
    let place = place();
    place.write("other.toml", place.read("p.toml").replace("name = \"user_counters\"", "name = \"other\""));
    let other = ["run", "other.toml", "--events", "logs", "--sink", "sqlite:items.db"];
    place.run(&other).exits(0);
    run(&place, "logs", &["--sink", "sqlite:items.db"]).exits(1).says(&["the items of another pipeline, other"]);
    let get = |key| place.run(&["get", "p.toml", "--key", key, "--from", "sqlite:items.db"]);
    get("userId=1234").exits(0).says(&["the pipeline other, not of user_counters"]);
    get("userId=none").exits(1).says(&["the pipeline other, not of user_counters"]);
}

#[test]
fn a_table_that_is_replaced_by_a_small_one_is_small() {
    let place = place();
    let many: String =
        (0..60_000).map(|user| format!("{{\"eventName\":\"like\",\"userId\":\"{user}\",\"eventTs\":1}}\n")).collect();
    place.write("many.jsonl", many);
    run(&place, "many.jsonl", &["--sink", "sqlite:items.db"]).exits(0);
    let bytes = || fs::metadata(place.path("items.db")).unwrap().len();
    assert!(bytes() > 1_000_000);
    run(&place, "logs", &["--sink", "sqlite:items.db", "--replace"]).exits(0);
    assert!(bytes() < 100_000, "{}", bytes());
}

#[test]
fn where_dead_letters_cannot_be_kept_is_told_before_anything_is_written() {
    let place = place();
    place.write("file", "");
    let before = names(&place.path(""));
    for letters in ["/proc/dead_letters.jsonl", "file/dead_letters.jsonl", "logs"] {
        let more = ["--sink", "sqlite:items.db", "--dead-letters", letters];
        run(&place, "logs", &more).exits(1).says(&[letters, "--dead-letters PATH", "[dead_letters]"]);
    }
    assert_eq!(names(&place.path("")), before);
    // The usual case: the folder that the program is started in.
    let read_only = |more: &[&str]| {
        as_a_mere_reader(&place, &[&["run", "p.toml", "--events", "logs", "--sink", "none"], more].concat())
    };
    let (code, _, stderr) = read_only(&[]);
    assert!(code == Some(1) && stderr.contains("--dead-letters PATH"), "{stderr}");
    assert_eq!(read_only(&["--dead-letters", "/dev/null"]).0, Some(0));
    fs::remove_file(place.path("program")).unwrap();
    // A clean run makes none, not even the folder for them.
    run(&place, "logs", &["--sink", "none", "--dead-letters", "new/letters.jsonl"]).exits(0);
    assert_eq!(names(&place.path("")), before);
}

/// Users enough that their items do not fit into a pipe.
fn many(place: &Workplace, line: &str) {
    let lines: String = (0..20_000).map(|user| line.replace("USER", &user.to_string()) + "\n").collect();
    place.write("many.jsonl", lines);
}

#[test]
fn a_pipe_whose_reader_leaves_is_a_failure_for_items_and_dead_letters() {
    for workers in ["1", "2"] {
        let place = place();
        fifo(&place, "pipe");
        for (line, output) in [
            (r#"{"eventName":"like","userId":"USER","eventTs":1}"#, ["--sink", "jsonl:pipe"]),
            (r#"{"eventName":"like","userId":"USER"}"#, ["--dead-letters", "pipe"]),
        ] {
            many(&place, line);
            let sink: &[&str] = if output[0] == "--sink" { &[] } else { &["--sink", "none"] };
            let arguments = [&["run", "p.toml", "--events", "many.jsonl", "-w", workers], &output[..], sink].concat();
            let run = place.start(&arguments);
            drop(read_from(&place, "pipe"));
            run.end().exits(1).says(&["pipe: whoever read it has gone"]);
        }
    }
}
