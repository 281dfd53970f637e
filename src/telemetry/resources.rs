//! What the process has needed of the machine; `None` where the system does not say (other than on
//! Linux).

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

/// The unit of processor times in `/proc`: the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a run has taken since it began.
///
/// The system counts processor time from the beginning of the *process*, which may have been another program before: `cargo
/// run` builds, and then becomes what it has built.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: Instant,
    cpu_seconds_before: Option<f64>,
}

impl Stopwatch {
    /// Begins now.
    pub fn start() -> Stopwatch {
        Stopwatch { started: Instant::now(), cpu_seconds_before: process_cpu_seconds() }
    }

    /// The time that has passed.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The processor time of all threads, in seconds: the program's own and the system's for it.
    pub fn cpu_seconds(&self) -> Option<f64> {
        Some((process_cpu_seconds()? - self.cpu_seconds_before?).max(0.0))
    }
}

/// The most memory that the program has held at one time, in bytes. (A process that becomes another program begins
/// anew with this one.)
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The processor time of the thread that it is read on first, which must be the only one.
#[derive(Debug, Default)]
pub(crate) struct ThreadCpuClock(Option<File>);

impl ThreadCpuClock {
    /// How much this thread has had; nothing, where the system does not say.
    pub fn now(&mut self) -> Duration {
        self.read().map_or(Duration::ZERO, Duration::from_nanos)
    }

    fn read(&mut self) -> Option<u64> {
        let file = match &mut self.0 {
            Some(file) => file,
            none => none.insert(File::open("/proc/thread-self/schedstat").ok()?),
        };
        let mut text = [0; 64];
        let read = file.read_at(&mut text, 0).ok()?;
        str::from_utf8(&text[..read]).ok()?.split_ascii_whitespace().next()?.parse().ok()
    }
}

fn process_cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets, which may hold anything.
    let (_, behind_name) = stat.rsplit_once(')')?;
    let ticks = |place: usize| behind_name.split_whitespace().nth(place)?.parse::<f64>().ok();
    const USER: usize = 11;
    const SYSTEM: usize = 12;
    Some((ticks(USER)? + ticks(SYSTEM)?) / TICKS_PER_SECOND)
}
