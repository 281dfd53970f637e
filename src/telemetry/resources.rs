//! What the process has needed of the machine; `None` where the system does not say (other than on
//! Linux).

use std::time::{Duration, Instant};

use nix::libc::clockid_t;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::gettid;

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
    memory_in(&status, "VmHWM:")
}

fn memory_in(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The memory that the program holds now, in bytes.
pub fn resident_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    memory_in(&status, "VmRSS:")
}

/// A thread of this process, whose processor time others may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadId(i32);

impl ThreadId {
    /// That of the thread that asks.
    pub(crate) fn this() -> ThreadId {
        ThreadId(gettid().as_raw())
    }

    /// The processor time that it has had; nothing, where it has ended.
    pub(crate) fn cpu_time(self) -> Option<Duration> {
        // As pthread_getcpuclockid(3) makes it: the id's complement, three bits for the kind of clock, 6 for "of one thread, as scheduled".
        const OF_THREAD: clockid_t = 6;
        let clock = ClockId::from_raw((!self.0 << 3) | OF_THREAD);
        clock_gettime(clock).ok().map(Duration::from)
    }
}

/// The processor time that this thread has had; nothing, where the system does not say.
pub(crate) fn thread_cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
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
