//! Which of how many workers of how many processes this is.
//!
//! Whatever is shared out among workers asks here: nobody takes the workers of one process for all.

use serde::{Deserialize, Serialize};

/// The position of a worker among those of all processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerIndex(pub u32);

/// The processes of a run, as one of them sees them. All have as many workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peers {
    processes: u32,
    process: u32,
    workers_per_process: u32,
}

impl Peers {
    /// The only process, with so many workers.
    pub fn alone(workers: u32) -> Peers {
        Peers::of_process(0, 1, workers)
    }

    /// The process with this index, of so many with so many workers each.
    pub fn of_process(process: u32, processes: u32, workers_per_process: u32) -> Peers {
        debug_assert!(process < processes && workers_per_process > 0);
        Peers { processes, process, workers_per_process }
    }

    /// How many processes there are.
    pub fn processes(self) -> u32 {
        self.processes
    }

    /// Which of them this is.
    pub fn process(self) -> u32 {
        self.process
    }

    /// Whether there are others.
    pub fn is_cluster(self) -> bool {
        self.processes > 1
    }

    /// The workers of all processes.
    pub fn workers(self) -> u32 {
        self.processes * self.workers_per_process
    }

    /// The workers of this process.
    pub fn workers_here(self) -> u32 {
        self.workers_per_process
    }

    /// The workers of this process, by their positions among all, in the order in which timely numbers them.
    pub fn worker_indices_here(self) -> impl Iterator<Item = WorkerIndex> {
        let first = self.process * self.workers_per_process;
        (first..first + self.workers_per_process).map(WorkerIndex)
    }

    /// A worker's share of what the whole run may have; rounded up.
    pub fn share_of_run(self, amount: u64) -> u64 {
        amount.div_ceil(u64::from(self.workers()))
    }

    /// A worker's share of what its process may have; rounded down.
    pub fn share_of_process(self, amount: u64) -> u64 {
        amount / u64::from(self.workers_per_process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_runs_is_shared_by_all_workers_and_what_is_the_processs_by_its_own() {
        let peers = Peers::of_process(2, 3, 4);
        assert_eq!((peers.workers(), peers.workers_here()), (12, 4));
        assert_eq!(peers.worker_indices_here().collect::<Vec<_>>(), [8, 9, 10, 11].map(WorkerIndex));
        assert_eq!((peers.share_of_run(25), peers.share_of_process(25)), (3, 6));
        assert_eq!(Peers::alone(2).worker_indices_here().collect::<Vec<_>>(), [0, 1].map(WorkerIndex));
    }
}
