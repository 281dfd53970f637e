//! A topic, a pipeline, a state and a sink, and lives of runs between them.

use std::path::PathBuf;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::Value;

use super::Sender;
use super::sender::Counts;
use super::watch::LONG;
use crate::program::{Ended, Running, Workplace};

const SINK: &str = "sqlite:items.db";

/// Steps of a checkpoint at which a life may end, beside moments of no choice.
const STEPS: [&str; 6] =
    ["segment_written", "before_sync", "before_manifest", "after_manifest", "before_deleting", "after_sync"];

pub fn brokers() -> String {
    std::env::var("KAFKA_BROKERS").expect("KAFKA_BROKERS names a broker; scripts/test sets it")
}

/// Where runs of one pipeline live.
pub struct Job {
    pub place: Workplace,
    sink: &'static str,
    clock: &'static str,
}

impl Job {
    /// Reads this topic; these are more lines of its file.
    pub fn new(brokers: &str, topic: &str, more: &str) -> Job {
        Job::with_kafka(brokers, topic, "", more)
    }

    /// The same with more entries in `[kafka]`.
    pub fn with_kafka(brokers: &str, topic: &str, kafka: &str, more: &str) -> Job {
        let place = Workplace::new();
        // Over 100 years every event is worth one; the other decay is for `verify`.
        let pipeline = format!(
            "name = \"p\"\nevent = {{ name = \"n\", time = \"t\" }}\nwindow = {{ length = \"100ms\" }}\n\
             kafka = {{ brokers = \"{brokers}\", topic = \"{topic}\"{kafka} }}\ncheckpoint = {{ every = \"1s\" }}\n{more}\n\
             counters = [{{ name = \"u\", key = [\"u\"], events = \"*\", decays = [\"36500d\", \"300s\"], feature = \"{{event}}\" }}]\n"
        );
        place.write("p.toml", pipeline);
        Job { place, sink: SINK, clock: "wall" }
    }

    /// The same with this clock.
    pub fn by(self, clock: &'static str) -> Job {
        Job { clock, ..self }
    }

    /// The same with no checkpoint but the first, and the last of a life that ends well.
    pub fn without_checkpoints(self) -> Job {
        let pipeline = self.place.read("p.toml");
        let seldom = pipeline.replace("checkpoint = { every = \"1s\" }", "checkpoint = { every = \"1h\" }");
        assert_ne!(pipeline, seldom);
        self.place.write("p.toml", seldom);
        self
    }

    /// The same, publishing into a table of DynamoDB.
    pub fn into_dynamodb(self) -> Job {
        Job { sink: "dynamodb", ..self }
    }

    /// Makes its topic, of a real broker, with so many partitions.
    pub fn makes_topic(&self, partitions: u32) {
        self.place.write("none.jsonl", "");
        let partitions = partitions.to_string();
        self.place.run(&["produce", "p.toml", "none.jsonl", "--create-partitions", &partitions]).exits(0);
    }

    pub fn table(&self) -> PathBuf {
        self.place.path("items.db")
    }

    /// Begins a life.
    pub fn start(&self, workers: &str, more: &[&str]) -> Running {
        self.start_with(workers, more, &[])
    }

    /// The same in this environment.
    pub fn start_with(&self, workers: &str, more: &[&str], environment: &[(&str, &str)]) -> Running {
        let run = ["run", "p.toml", "--state", "state", "--sink", self.sink, "--clock", self.clock, "-w", workers];
        self.place.start_with(&[run.as_slice(), more].concat(), environment)
    }

    /// The same with its state on a disk of so many MiB, in a namespace of its own; `None`: this machine lets nobody mount.
    pub fn start_on_small_disk(&self, mib: u32, workers: &str, more: &[&str]) -> Option<Running> {
        let script = |then: &str| {
            let mount = format!("mkdir -p state; mount -t tmpfs -o size={mib}m none state; {then}");
            format!("exec unshare -Ur --mount sh -ec '{mount}' \"$0\" \"$@\"")
        };
        if self.place.start_by(&script("true"), &[]).end().code() != Some(0) {
            return None;
        }
        let run = ["run", "p.toml", "--state", "state", "--sink", self.sink, "--clock", self.clock, "-w", workers];
        Some(self.place.start_by(&script("exec \"$0\" \"$@\""), &[run.as_slice(), more].concat()))
    }

    /// A life that reads what there is, and ends.
    pub fn catch_up(&self, workers: &str, more: &[&str]) -> Ended {
        let mut run = self.start(workers, &[&["--until-end"], more].concat());
        run.close_stdin();
        run.end()
    }

    /// A life that is killed: at some moment, or at a step of a checkpoint. Whether it had begun to read.
    pub fn is_killed(&self, random: &mut StdRng, act: impl FnOnce()) -> bool {
        let workers = ["1", "2"][random.random_range(0..2)];
        let step = STEPS[random.random_range(0..STEPS.len())];
        let step = format!("{step}:kill:{}", random.random_range(1..6));
        let environment = [("COUNTER_MACHINE_FAIL", step.as_str())];
        let at_a_step = random.random_range(0..3) == 0;
        let mut run = self.start_with(workers, &[], if at_a_step { &environment } else { &[] });
        act();
        std::thread::sleep(Duration::from_millis(random.random_range(100..2_500)));
        if !run.has_ended() {
            run.signal("KILL");
        }
        let ended = run.end();
        assert!(!ended.stderr.contains("error:"), "it was killed and did not fail:\n{}", ended.stderr);
        ended.stderr.contains("restored")
    }

    /// The last life of a series: it ends well, and the table holds what was sent, by the recount and by `verify`.
    pub fn ends_well(&self, counts: &Counts) {
        self.catch_up("2", &["--positions", "positions.json"]).exits(0);
        self.is_right(counts);
    }

    /// A life that has left its positions has counted what was sent, by the recount and by `verify`.
    pub fn is_right(&self, counts: &Counts) {
        self.holds(counts);
        let from = ["verify", "p.toml", "--until", "positions.json", "--from", self.sink, "--json"];
        let equal = format!("\"equal\":{},", counts.len());
        self.place.run(&from).exits(0).prints(&["\"agrees\":true", &equal]);
    }

    /// The table holds so many events of each key and feature.
    pub fn holds(&self, counts: &Counts) {
        let dump = self.place.run(&["dump", self.sink, "--pipeline", "p.toml"]).exits(0).stdout;
        let wrong: Vec<_> = differences(&dump, counts);
        assert!(wrong.is_empty(), "{} of {} items differ: {wrong:#?}", wrong.len(), counts.len());
    }
}

fn differences(dump: &str, counts: &Counts) -> Vec<String> {
    let item = |line: &str| {
        let item: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| item[name].as_str().unwrap().to_owned();
        ((text("key"), text("featureName")), item["counts"][LONG]["value"].as_f64().unwrap().round() as u64)
    };
    let found: Counts = dump.lines().map(item).collect();
    let all = found.keys().chain(counts.keys().filter(|name| !found.contains_key(*name)));
    let differing = all.filter(|name| found.get(*name) != counts.get(*name));
    differing.map(|name| format!("{name:?}: {:?} instead of {:?}", found.get(name), counts.get(name))).collect()
}

/// Runs `act` while events are sent all the time, a few at once.
pub fn while_sending(sender: &mut Sender, act: impl FnOnce()) {
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            // 500 events a second, for two hours at most.
            for _ in 0..180_000 {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                sender.send(20);
                std::thread::sleep(Duration::from_millis(40));
            }
        });
        let _stop = Stop(&stop);
        act();
        drop(_stop);
        sending.join().expect("sent");
    });
}

/// Stops the sender also where the test fails.
struct Stop<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
