//! The processes of one run, and how they end when one of them is lost.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Index;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::program::{Ended, Running, Workplace};

/// A process that has lost another one must have ended by then.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// And a moment more, to hear what it has said.
const TO_HEAR_IT: Duration = Duration::from_millis(500);

/// Where the processes of a run listen, by index.
#[derive(Clone)]
pub struct Addresses(pub Vec<SocketAddr>);

impl Addresses {
    /// So many that nobody else uses, nor will: they are of a host of loopback of this test's own, where the system gives no port to whoever calls.
    pub fn new(processes: usize) -> Addresses {
        static HOSTS: AtomicU8 = AtomicU8::new(0);
        let [.., high, low] = std::process::id().to_be_bytes();
        let host = Ipv4Addr::new(127, high.max(1), low, HOSTS.fetch_add(1, Ordering::Relaxed).clamp(1, 254));
        // All are held until all are found, or two would be the same.
        let held: Vec<_> = (0..processes).map(|_| TcpListener::bind((host, 0)).unwrap()).collect();
        Addresses(held.iter().map(|listener| listener.local_addr().unwrap()).collect())
    }

    /// As the file of hosts has them.
    pub fn hosts(&self) -> String {
        self.0.iter().map(|address| format!("{address}\n")).collect()
    }
}

/// Those of one run, by index.
pub struct Processes {
    running: Vec<Running>,
}

impl Processes {
    /// Starts so many: `begin` begins the one with this index, with these arguments besides its own.
    pub fn start(place: &Workplace, count: usize, begin: impl Fn(usize, &[&str]) -> Running) -> Processes {
        let addresses = Addresses::new(count);
        Processes::start_at(place, &vec![addresses; count], begin)
    }

    /// The same, each with its own knowledge of where the others are.
    pub fn start_at(place: &Workplace, known: &[Addresses], begin: impl Fn(usize, &[&str]) -> Running) -> Processes {
        let running = known
            .iter()
            .enumerate()
            .map(|(index, addresses)| begin(index, &arguments(place, index, addresses).each_ref().map(String::as_str)));
        Processes { running: running.collect() }
    }

    /// All end well.
    #[track_caller]
    pub fn end_well(self) -> Vec<Ended> {
        self.all_exit(0)
    }

    /// All end with this exit code.
    #[track_caller]
    pub fn all_exit(self, code: i32) -> Vec<Ended> {
        self.running.into_iter().map(|running| running.end().exits(code)).collect()
    }

    /// Waits until all have their connections.
    pub fn have_formed(&self) {
        self.running.iter().for_each(|running| running.says("all processes are there"));
    }

    /// Takes one out.
    pub fn take(&mut self, index: usize) -> Running {
        self.running.remove(index)
    }

    /// All end in time, by themselves.
    pub fn end_in_time(self) -> Vec<Ended> {
        let deadline = Instant::now() + ENDS_WITHIN;
        let left = || deadline.saturating_duration_since(Instant::now()).max(TO_HEAR_IT);
        self.running.into_iter().map(|running| running.end_within(left())).collect()
    }

    /// All end in time and name this process as the one that is lost.
    #[track_caller]
    pub fn lose(self, lost: usize) {
        self.lose_within(lost, ENDS_WITHIN);
    }

    /// The same where more time is allowed.
    #[track_caller]
    pub fn lose_within(self, lost: usize, within: Duration) {
        for ended in self.end_without_within(lost, within) {
            assert!(names(&ended, lost), "it does not end for process {lost}: {ended:?}");
        }
    }

    /// The ends of those that are left when this one is gone. Those that have not found all others yet wait for it, and are asked to stop.
    pub fn end_without(self, gone: usize) -> Vec<Ended> {
        self.end_without_within(gone, ENDS_WITHIN)
    }

    fn end_without_within(self, gone: usize, within: Duration) -> Vec<Ended> {
        let deadline = Instant::now() + within;
        let waits = ["waiting for ", &format!("process {gone} (")];
        let mut asked = vec![false; self.running.len()];
        let mut running = self.running;
        while running.iter_mut().any(|process| !process.has_ended()) && Instant::now() < deadline {
            for (process, asked) in running.iter_mut().zip(&mut asked) {
                let has_formed = process.has_said("all processes are there");
                if !*asked && !process.has_ended() && !has_formed && process.has_said_at_once(&waits) {
                    process.signal("TERM");
                    *asked = true;
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        running.into_iter().map(|process| process.end_within(TO_HEAR_IT)).collect()
    }
}

impl Index<usize> for Processes {
    type Output = Running;

    fn index(&self, index: usize) -> &Running {
        &self.running[index]
    }
}

/// Whether it has ended because this process is lost, and says so last.
pub fn names(ended: &Ended, lost: usize) -> bool {
    let last = ended.stderr.lines().last().unwrap_or_default();
    ended.code() == Some(75) && last.starts_with("error: ") && last.contains(&format!("process {lost} ("))
}

/// Those of `run` that say which process this is.
pub fn arguments(place: &Workplace, index: usize, known: &Addresses) -> [String; 6] {
    let hosts = format!("hosts-{index}");
    place.write(&hosts, known.hosts());
    ["-n", &known.0.len().to_string(), "-p", &index.to_string(), "-h", &hosts].map(str::to_owned)
}
