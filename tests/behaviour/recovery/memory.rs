//! Fault C6: no memory is left: the system kills the run, or refuses it more.

use std::fs;
use std::path::{Path, PathBuf};

use rand::RngExt;

use super::job::Job;
use super::lines::Lines;
use super::seed;
use crate::program::Ended;

/// A job whose rows take more and more memory.
fn growing(own_seed: u64) -> Job {
    let mut job = Job::sqlite(own_seed);
    job.lines = Lines::new(own_seed, 1_000_000);
    job.add_log(1_000);
    job.finish(1);
    job
}

/// In MiB, as the summary says.
fn peak_memory(ended: &Ended) -> f64 {
    let line = ended.stderr.lines().find_map(|line| line.trim().strip_prefix("peak memory"));
    let mib = line.and_then(|line| line.trim().strip_suffix(" MiB")?.parse().ok());
    mib.unwrap_or_else(|| panic!("no peak memory in\n{}", ended.stderr))
}

#[test]
fn a_run_that_is_refused_memory_does_not_hang_and_is_gone_on_with() {
    let mut job = growing(seed(80));
    let mut ended_badly = 0;
    for life in 0..8 {
        job.grow(20_000);
        // From what it cannot even begin with to what is nearly enough.
        let memory_mib = job.random.random_range(2..50);
        let run = job.arguments(1 + life % 2);
        let ended = job.place.run_within(memory_mib, &run.iter().map(String::as_str).collect::<Vec<_>>());
        ended_badly += u32::from(ended.was_killed() || ended.is_refused());
        job.look();
    }
    assert!(ended_badly >= 4, "{ended_badly} of 8 lives had too little memory");
    job.finish(1);
}

#[test]
fn a_run_that_the_system_kills_for_its_memory_is_gone_on_with() {
    let mut job = growing(seed(81));
    job.add_log(100_000);
    let peak = peak_memory(&job.finish(1));
    let mut killed = 0;
    for (life, part) in [0.5, 0.7, 0.85].into_iter().enumerate() {
        job.add_log(60_000);
        let Some(group) = MemoryLimit::new((peak * part * f64::from(1 << 20)) as u64) else {
            eprintln!("left out: nobody may make control groups here");
            return;
        };
        let running = job.start_in(&group.folder, 1 + life % 2);
        killed += u32::from(running.end().was_killed());
        job.look();
    }
    assert!(killed >= 2, "{killed} of 3 lives were killed");
    job.finish(2);
}

/// A control group whose processes have so much memory together. Gone with this.
struct MemoryLimit {
    folder: PathBuf,
}

impl MemoryLimit {
    /// `None`: this machine lets nobody make one.
    fn new(bytes: u64) -> Option<MemoryLimit> {
        let name = format!("counter-machine-test-{}", std::process::id());
        let makes = |root: &str, limit: &str, swap: &str| {
            let folder = Path::new(root).join(&name);
            fs::create_dir(&folder).ok()?;
            let group = MemoryLimit { folder };
            fs::write(group.folder.join(limit), bytes.to_string()).ok()?;
            // Without swap; where there is none there is no such file.
            let _ = fs::write(
                group.folder.join(swap),
                if swap.ends_with("max") { "0".to_owned() } else { bytes.to_string() },
            );
            Some(group)
        };
        makes("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
            .or_else(|| makes("/sys/fs/cgroup", "memory.max", "memory.swap.max"))
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}
