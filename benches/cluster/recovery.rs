//! How long it takes from SIGKILL of a process until the table gets something new again.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::PROGRAM;

const PIPELINE: &str = r#"
name = "recovery"
[event]
name = "n"
time = "t"
[[counters]]
name = "user"
key = ["u"]
events = "*"
decays = ["1h", "1d"]
ttl = "none"
[window]
length = "1s"
[publish]
every = "200ms"
[checkpoint]
every = "5s"
[kafka]
brokers = "${KAFKA_BROKERS}"
topic = "${KAFKA_TOPIC}"
start = "earliest"
"#;

/// So many keys get events while processes are killed. (All of them would ask of SQLite what it cannot do.)
const BUSY_KEYS: u64 = 20_000;
const LONG: Duration = Duration::from_secs(600);

/// Kills one process after the other, under `rate` events a second.
pub fn measure(folder: &Path, brokers: &str, rows: u64, rate: u64, kills: u32) {
    let place = |name: &str| folder.join(name);
    fs::write(place("recovery.toml"), PIPELINE).expect("a file");
    let topic = format!("recovery-bench-{}", std::process::id());
    let program = |command: &str| {
        let mut program = Command::new(PROGRAM);
        program.arg(command).arg(place("recovery.toml")).env("KAFKA_TOPIC", &topic).env("KAFKA_BROKERS", brokers);
        program
    };
    let made = place("made.jsonl");
    let mut log = BufWriter::with_capacity(1 << 20, File::create(&made).expect("a log"));
    (0..rows).for_each(|key| write_event(&mut log, key));
    log.flush().expect("room");
    let quiet = |command: &mut Command| assert!(command.stderr(Stdio::null()).status().expect("it starts").success());
    quiet(program("produce").arg(&made).args(["--create-partitions", "4"]));
    fs::remove_file(&made).expect("the log");
    let (state, table) = (place("recovery-state"), place("recovery.db"));
    let _ = (fs::remove_dir_all(&state), fs::remove_file(&table));
    let sink = format!("sqlite:{}", table.display());
    let letters = place("letters.jsonl");
    // All rows, published and in a checkpoint.
    let arguments =
        ["--sink", &sink, "--state", &state.display().to_string(), "--dead-letters", &letters.display().to_string()];
    quiet(program("run").args(arguments).args(["--until-end", "-w", "2"]));

    println!(
        "{rows} rows, two processes of one worker, {rate} events a second of {BUSY_KEYS} keys, a checkpoint every 5 s"
    );
    let is_over = AtomicBool::new(false);
    let sent = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let mut producer =
            program("produce").arg("-").stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut events = BufWriter::with_capacity(1 << 20, producer.stdin.take().expect("a pipe"));
        let (ends, counts) = (&is_over, &sent);
        scope.spawn(move || {
            let started = Instant::now();
            while !ends.load(Ordering::Acquire) {
                let due = (started.elapsed().as_secs_f64() * rate as f64) as u64;
                let from = counts.load(Ordering::Acquire);
                (from..due).for_each(|number| write_event(&mut events, number % BUSY_KEYS));
                events.flush().expect("the producer");
                counts.store(due, Ordering::Release);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        for kill in 0..kills {
            let victim = kill % 2;
            let mut cluster = program("cluster");
            cluster.args(arguments).args(["-n", "2", "-w", "1"]);
            let log = File::create(place("recovery.log")).expect("a file");
            let mut cluster = cluster.stderr(log).spawn().expect("it starts");
            wait_for_news(&table);
            std::thread::sleep(Duration::from_secs(12));
            let killed = Instant::now();
            assert!(Command::new("kill").args(["-9", &process(&cluster, victim)]).status().expect("kill").success());
            // What was on its way to the file may still come.
            std::thread::sleep(Duration::from_millis(300));
            wait_for_news(&table);
            println!(
                "  process {victim} killed: the table gets something new after {:.2} s",
                killed.elapsed().as_secs_f64()
            );
            assert!(Command::new("kill").args(["-TERM", &cluster.id().to_string()]).status().expect("kill").success());
            assert!(cluster.wait().expect("it ends").success());
        }
        is_over.store(true, Ordering::Release);
        producer.wait().expect("it ends");
    });
    let _ = (fs::remove_dir_all(&state), fs::remove_file(&table));
}

fn write_event(to: &mut impl Write, key: u64) {
    writeln!(to, "{{\"n\":\"v\",\"u\":\"k{key}\",\"t\":1700000000}}").expect("room");
}

/// Waits until a busy key has another version than it has.
fn wait_for_news(table: &Path) {
    let version = || -> Option<i64> {
        let connection = Connection::open_with_flags(table, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        connection.query_row("SELECT version FROM states WHERE key = 'k7'", [], |row| row.get(0)).ok()
    };
    let (before, started) = (version(), Instant::now());
    while version().is_none_or(|now| Some(now) == before) {
        assert!(started.elapsed() < LONG, "nothing new in the table");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The process of the cluster with this index.
fn process(cluster: &Child, index: u32) -> String {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", cluster.id())).expect("children");
    let is_it = |process: &&str| {
        let arguments = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let arguments: Vec<_> = arguments.split(|byte| *byte == 0).collect();
        arguments.windows(2).any(|pair| pair[0] == b"-p" && pair[1] == index.to_string().as_bytes())
    };
    children.split_whitespace().find(is_it).expect("it runs").to_owned()
}
