//! Fault: files of a state that are cut short, flipped, emptied or gone, of a newer version or of another pipeline.

use std::path::PathBuf;

use rand::RngExt;
use serde_json::Value;

use super::job::Job;
use super::seed;

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Damage {
    CutShort,
    BitFlipped,
    Emptied,
    Gone,
}

const DAMAGES: [Damage; 4] = [Damage::CutShort, Damage::BitFlipped, Damage::Emptied, Damage::Gone];

/// Which file of a state.
#[derive(Clone, Copy, Debug)]
enum Which {
    NewestManifest,
    NewestSegment,
    OldestSegment,
    NewestJournal,
    NewestGeneration,
}

impl Which {
    fn path(self, job: &Job) -> PathBuf {
        match self {
            Which::NewestManifest => newest(job, "manifests"),
            Which::NewestSegment => segments(job).pop().unwrap(),
            Which::OldestSegment => segments(job).remove(0),
            Which::NewestJournal => newest(job, "journal"),
            Which::NewestGeneration => newest(job, "generations"),
        }
    }

    /// Whether a run says that it is damaged (what is in a generation's file matters to nobody).
    fn is_told(self, damage: Damage) -> bool {
        match self {
            Which::NewestSegment | Which::OldestSegment => true,
            Which::NewestManifest | Which::NewestJournal => damage != Damage::Gone,
            Which::NewestGeneration => false,
        }
    }
}

fn newest(job: &Job, folder: &str) -> PathBuf {
    let entries = std::fs::read_dir(job.place.path("state").join(folder)).unwrap();
    // What a killed run has left half written has a longer name.
    let is_whole = |path: &PathBuf| path.extension().is_none_or(|extension| extension == "json");
    entries.map(|entry| entry.unwrap().path()).filter(is_whole).max().expect("there are some")
}

/// Those that the newest manifest names, the oldest first.
fn segments(job: &Job) -> Vec<PathBuf> {
    let manifest = std::fs::read_to_string(newest(job, "manifests")).unwrap();
    let manifest: Value = serde_json::from_str(manifest.lines().next().unwrap()).unwrap();
    let name = |segment: &Value| job.place.path("state/segments").join(segment["name"].as_str().unwrap());
    manifest["segments"].as_array().unwrap().iter().map(name).collect()
}

fn do_damage(job: &mut Job, path: &PathBuf, damage: Damage) {
    let mut content = std::fs::read(path).unwrap();
    match damage {
        Damage::Gone => return std::fs::remove_file(path).unwrap(),
        Damage::Emptied => content.clear(),
        Damage::CutShort => content.truncate(job.random.random_range(1..content.len())),
        Damage::BitFlipped => {
            let (byte, bit) = (job.random.random_range(0..content.len()), job.random.random_range(0..8));
            content[byte] ^= 1 << bit;
        }
    }
    std::fs::write(path, content).unwrap();
}

/// Lives, one of which was killed, damage, and a life that finds it: it goes on with the checkpoint before, or is refused and leaves
/// everything as it was.
fn damaged(which: Which, seed: u64) {
    let mut job = Job::sqlite(seed);
    for workers in [1, 2] {
        job.grow(2_000);
        job.finish(workers);
    }
    for damage in DAMAGES {
        job.grow(3_000);
        let killed = job.start(2, &[]);
        std::thread::sleep(std::time::Duration::from_millis(job.random.random_range(50..400)));
        drop(killed.kill());
        // Without the journal nobody knows what was published, and of the killed run something may have been.
        if matches!((which, damage), (Which::NewestJournal, Damage::Gone)) {
            job.finish(1);
        }
        let path = which.path(&job);
        let before = std::fs::read(&path).unwrap();
        do_damage(&mut job, &path, damage);
        let ended = job.live(1, &[]);
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_named = ended.stderr.contains(name.trim_end_matches(".json"));
        assert!(is_named || !which.is_told(damage), "{which:?} {damage:?}: {name} is not named: {ended:?}");
        eprintln!(
            "{which:?} {damage:?}: {:?}",
            ended.stderr.lines().find(|line| line.contains(name.trim_end_matches(".json")))
        );
        if ended.is_refused() {
            // All checkpoints that are kept have it.
            assert!(matches!(which, Which::OldestSegment | Which::NewestSegment), "{which:?} {damage:?}: {ended:?}");
            std::fs::write(&path, before).unwrap();
        }
        job.grow(1_000);
        job.finish(2);
    }
}

#[test]
fn a_manifest_that_is_damaged_is_passed_over() {
    damaged(Which::NewestManifest, seed(10));
}

#[test]
fn a_segment_that_is_damaged_is_passed_over_with_its_checkpoint() {
    damaged(Which::NewestSegment, seed(11));
}

#[test]
fn a_segment_that_all_checkpoints_have_is_named_and_nothing_is_lost() {
    damaged(Which::OldestSegment, seed(12));
}

#[test]
fn a_journal_that_is_damaged_holds_publishing_back() {
    damaged(Which::NewestJournal, seed(13));
}

#[test]
fn a_generation_that_is_damaged_or_gone_changes_nothing() {
    damaged(Which::NewestGeneration, seed(14));
}

#[test]
fn a_state_of_a_newer_version_or_of_another_pipeline_is_refused_and_left_as_it_is() {
    let mut job = Job::sqlite(seed(15));
    job.grow(2_000);
    job.finish(1);
    let path = newest(&job, "manifests");
    let manifest = std::fs::read_to_string(&path).unwrap();
    let newer = manifest.lines().next().unwrap().replacen("\"format\":1", "\"format\":2", 1);
    let seal = xxhash_rust::xxh3::xxh3_128(newer.as_bytes());
    std::fs::write(&path, format!("{newer}\nxxh3:{seal:032x}\n")).unwrap();
    job.grow(2_000);
    let refused = job.live(1, &[]).says(&[
        "format 2",
        "use the version that wrote it",
        path.file_name().unwrap().to_str().unwrap(),
    ]);
    assert!(refused.is_refused(), "{refused:?}");
    std::fs::write(&path, manifest).unwrap();
    let pipeline = job.place.read("p.toml");
    job.place.write("p.toml", pipeline.replace("name = \"recovered\"", "name = \"another\""));
    let refused = job.live(1, &[]);
    assert!(refused.is_refused(), "{refused:?}");
    refused.says(&["'recovered'", "'another'"]);
    job.place.write("p.toml", pipeline);
    job.finish(1);
}

/// As a run leaves a table that is killed before the file is in WAL mode.
fn leave_a_transaction_open(job: &Job) {
    let table = job.place.path("items.db");
    let open = rusqlite::Connection::open(&table).unwrap();
    open.execute_batch(
        "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; BEGIN; UPDATE states SET version = version + 1;",
    )
    .unwrap();
    for (from, to) in [("items.db", "copy"), ("items.db-journal", "copy-journal")] {
        std::fs::copy(job.place.path(from), job.place.path(to)).unwrap();
    }
    drop(open);
    for (from, to) in [("copy", "items.db"), ("copy-journal", "items.db-journal")] {
        std::fs::rename(job.place.path(from), job.place.path(to)).unwrap();
    }
}

#[test]
fn a_table_that_was_left_in_the_middle_of_a_transaction_is_told_and_gone_on_with() {
    let mut job = Job::sqlite(seed(35));
    job.add_log(20_000);
    job.finish(1);
    leave_a_transaction_open(&job);
    let verify = ["verify", "p.toml", "--events", "logs", "--until", "positions.json", "--from", "sqlite:items.db"];
    let ended = job.place.run(&verify);
    assert!(ended.is_refused());
    ended.says(&["in the middle of a transaction", "the next run into it takes that back"]);
    job.add_log(500);
    job.finish(2);
}
