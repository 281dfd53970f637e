//! What the process has needed of the machine; `None` where the system does not say (other than on
//! Linux).

/// The unit of processor times in `/proc`: the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The most memory that the process has held at one time, in bytes.
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The processor time of all threads so far, in seconds: the program's own and the system's for it.
pub fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets, which may hold anything.
    let (_, behind_name) = stat.rsplit_once(')')?;
    let ticks = |place: usize| behind_name.split_whitespace().nth(place)?.parse::<f64>().ok();
    const USER: usize = 11;
    const SYSTEM: usize = 12;
    Some((ticks(USER)? + ticks(SYSTEM)?) / TICKS_PER_SECOND)
}
