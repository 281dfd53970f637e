//! A job over event logs that grow, with a state and a table.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use super::lines::Lines;
use super::table::{Items, Table};
use super::watch::Watch;
use crate::program::{Ended, Running, Workplace};
use crate::s3_fake::FakeS3;

/// The first group hardly decays, so that its values are counts; the second one does.
const PIPELINE: &str = r#"name = "recovered"
[event]
name = "eventName"
time = "eventTs"
[window]
length = "1s"
[publish]
every = "100ms"
[checkpoint]
every = "1s"
[[counters]]
name = "user"
key = ["userId"]
events = "*"
measures = ["count"]
decays = ["1000000000000s"]
feature = "user.{event}"
ttl = "none"
[[counters]]
name = "post"
key = ["postId"]
events = "*"
measures = ["count", "uniques(userId)"]
decays = ["1m", "1h"]
feature = "post.{measure}"
ttl = "none"
"#;

/// So many lines that nobody reads them in a moment.
pub const MANY: u64 = 400_000;

/// A life that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A job, and all that it must have counted.
pub struct Job {
    pub place: Workplace,
    pub table: Arc<Table>,
    pub watch: Watch,
    pub lines: Lines,
    pub random: StdRng,
    /// Where the state is; none: in a folder.
    pub bucket: Option<FakeS3>,
    logs: u64,
}

impl Job {
    pub fn sqlite(seed: u64) -> Job {
        let place = Workplace::new();
        let table = Table::Sqlite(place.path("items.db"));
        Job::new(place, table, seed)
    }

    /// With a `fence` no run waits until nothing of the one before can be carried out any more.
    pub fn dynamodb(seed: u64, fence: bool) -> Job {
        Job::new(Workplace::new(), Table::dynamodb(fence), seed)
    }

    fn new(place: Workplace, table: Table, seed: u64) -> Job {
        place.write("p.toml", format!("{PIPELINE}{}", table.section()));
        std::fs::create_dir(place.path("logs")).unwrap();
        let table = Arc::new(table);
        let watch = Watch::start(&table);
        let random = StdRng::seed_from_u64(seed);
        Job { place, table, watch, lines: Lines::new(seed, 200), random, bucket: None, logs: 0 }
    }

    /// The same with its state in a bucket.
    pub fn in_bucket(self) -> Job {
        Job { bucket: Some(FakeS3::start()), ..self }
    }

    /// Where its state is.
    pub fn state(&self) -> &'static str {
        if self.bucket.is_some() { "s3://bucket/state" } else { "state" }
    }

    /// Adds a log.
    pub fn add_log(&mut self, lines: u64) {
        let text = self.lines.next(lines);
        self.place.write(&format!("logs/{:04}.jsonl", self.logs), text);
        self.logs += 1;
    }

    /// Adds lines to the last log.
    pub fn lengthen_log(&mut self, lines: u64) {
        use std::io::Write as _;
        let text = self.lines.next(lines);
        let last = self.place.path(format!("logs/{:04}.jsonl", self.logs.saturating_sub(1)));
        let mut file = std::fs::File::options().append(true).create(true).open(last).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        self.logs = self.logs.max(1);
    }

    /// Adds this many lines and some, somewhere.
    pub fn grow(&mut self, about: u64) {
        let lines = self.random.random_range(about / 2..=about * 3 / 2);
        if self.random.random_ratio(1, 3) {
            self.lengthen_log(lines);
        } else {
            self.add_log(lines);
        }
    }

    /// Begins a life.
    pub fn start(&self, workers: usize, environment: &[(&str, &str)]) -> Running {
        self.start_with(workers, &[], environment)
    }

    /// The same with more arguments.
    pub fn start_with(&self, workers: usize, more: &[&str], environment: &[(&str, &str)]) -> Running {
        let run = self.arguments(workers);
        let run: Vec<&str> = run.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let endpoint = self.bucket.as_ref().map(FakeS3::endpoint);
        let bucket =
            endpoint.iter().flat_map(|url| [("AWS_ENDPOINT_URL_S3", url.as_str()), ("AWS_ALLOW_HTTP", "true")]);
        let environment: Vec<_> = [("RUST_LOG", "counter_machine=debug")]
            .into_iter()
            .chain(bucket)
            .chain(environment.iter().copied())
            .collect();
        let mut running = self.place.start_with(&run, &environment);
        running.close_stdin();
        running
    }

    /// Begins a life as a member of this control group.
    pub fn start_in(&self, group: &Path, workers: usize) -> Running {
        let join = format!("echo $$ > {}/cgroup.procs; exec \"$0\" \"$@\"", group.display());
        let run = self.arguments(workers);
        let mut running = self.place.start_by(&join, &run.iter().map(String::as_str).collect::<Vec<_>>());
        running.close_stdin();
        running
    }

    /// Those of a life.
    pub fn arguments(&self, workers: usize) -> Vec<String> {
        let run = ["run", "p.toml", "--events", "logs", "--state", self.state(), "--positions", "positions.json"];
        let out = ["--sink", self.table.name(), "--dead-letters", "letters.jsonl", "-w", &workers.to_string()];
        run.iter().chain(&out).map(|argument| (*argument).to_owned()).collect()
    }

    /// Begins a life, and waits until it counts. [`MANY`] new lines it has mostly before it then.
    pub fn start_and_count(&self, workers: usize) -> Running {
        self.until_it_counts(|| self.start(workers, &[]))
    }

    /// Begins a life of any kind, and waits until it counts.
    pub fn until_it_counts<T>(&self, begin: impl FnOnce() -> T) -> T {
        let length_of_letters = || std::fs::metadata(self.place.path("letters.jsonl")).map_or(0, |file| file.len());
        let before = length_of_letters();
        let begun = begin();
        let began = Instant::now();
        while length_of_letters() == before {
            assert!(began.elapsed() < PATIENCE, "it writes no dead letters");
            std::thread::sleep(Duration::from_millis(1));
        }
        begun
    }

    /// A life to its end, however it ends.
    pub fn live(&self, workers: usize, environment: &[(&str, &str)]) -> Ended {
        let ended = self.start(workers, environment).end_within(PATIENCE);
        self.look();
        ended
    }

    /// A life to its good end, after which everything must be as if nothing had happened.
    #[track_caller]
    pub fn finish(&self, workers: usize) -> Ended {
        let ended = self.live(workers, &[]).exits(0);
        self.assert_counted();
        ended
    }

    /// Fails where any item has gone back.
    #[track_caller]
    pub fn look(&self) {
        self.table.assert_fair();
        if let Table::Sqlite(path) = &*self.table
            && !path.exists()
        {
            return;
        }
        self.watch.look(self.table.items());
    }

    /// The table holds what all lines count, `verify` agrees, and each bad line has one letter.
    #[track_caller]
    pub fn assert_counted(&self) {
        self.assert_items();
        self.assert_letters();
    }

    /// The table holds what all lines count, and `verify` agrees.
    #[track_caller]
    pub fn assert_items(&self) {
        assert_same(&self.table.items(), &self.lines);
        self.assert_verified();
    }

    /// `verify` agrees with what was read.
    #[track_caller]
    pub fn assert_verified(&self) {
        let verify = ["verify", "p.toml", "--events", "logs", "--until", "positions.json", "--from", self.table.name()];
        self.place.run(&verify).exits(0);
    }

    #[track_caller]
    fn assert_letters(&self) {
        let letters = self.letters();
        let twice: Vec<_> = letters.iter().filter(|(_, times)| **times != 1).take(5).collect();
        assert!(twice.is_empty(), "dead letters, more than once: {twice:?}");
        self.assert_no_letter_is_missing();
        assert_eq!(letters.len(), self.lines.bad.len(), "letters of what is no line");
    }

    /// Each bad line has a letter, or more.
    #[track_caller]
    pub fn assert_no_letter_is_missing(&self) {
        let letters = self.letters();
        let missing: Vec<_> = self.lines.bad.iter().filter(|line| !letters.contains_key(*line)).take(5).collect();
        assert!(missing.is_empty(), "missing dead letters: {missing:?}");
    }

    /// How often each line is among the dead letters.
    fn letters(&self) -> BTreeMap<String, u64> {
        let mut letters: BTreeMap<String, u64> = BTreeMap::new();
        for line in self.place.read("letters.jsonl").lines() {
            let letter: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            *letters.entry(letter["text"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        letters
    }
}

/// The items of so many events of each name, and no others.
#[track_caller]
pub fn assert_same(items: &Items, lines: &Lines) {
    let shown = |name| items.get(name).and_then(|shown| shown.count);
    let wrong: Vec<_> = lines.counts.iter().filter(|(name, count)| shown(name) != Some(**count)).collect();
    let first: Vec<_> = wrong.iter().take(5).map(|(name, count)| (name, count, items.get(*name))).collect();
    assert!(wrong.is_empty(), "{} of {} items are wrong, as {first:?}", wrong.len(), lines.counts.len());
    let extra: Vec<_> =
        items.iter().filter(|(name, shown)| shown.count.is_some() && !lines.counts.contains_key(*name)).collect();
    assert!(extra.is_empty(), "no event has made {extra:?}");
}

/// How long a life is when nobody ends it.
pub fn time_of(life: impl FnOnce()) -> Duration {
    let began = Instant::now();
    life();
    began.elapsed()
}
