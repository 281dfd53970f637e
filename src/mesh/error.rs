//! Why a cluster cannot be described, or does not form.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::secret::SECRET_VARIABLE;

/// Why a cluster cannot be described, or does not form. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A number of processes that cannot be.
    #[error("a run has from 1 to {most} processes, not {processes}: change -n")]
    Processes {
        /// What was asked for.
        processes: u32,
        /// The largest number there may be.
        most: u32,
    },
    /// The index of this process is not one of the run's.
    #[error(
        "there is no process {process} among {processes}: they are numbered from 0 to {}; change -p, or -n",
        processes - 1
    )]
    Index {
        /// The index that was given.
        process: u32,
        /// How many processes there are.
        processes: u32,
    },
    /// The file of addresses cannot be read.
    #[error("the file of hosts {} cannot be read: {source}; give -h a file with a line host:port for each process", path.display())]
    HostsUnreadable {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// The file has fewer addresses than there are processes.
    #[error(
        "the file of hosts {} has {found} addresses for {processes} processes: give it a line host:port for each, or \
         change -n",
        path.display()
    )]
    TooFewHosts {
        /// The file.
        path: PathBuf,
        /// How many addresses it has.
        found: usize,
        /// How many processes there are.
        processes: u32,
    },
    /// A line of the file is no address.
    #[error("the file of hosts {}, line {line}: `{text}` {problem}; write host:port, as in 10.0.0.7:2101 or [::1]:2101", path.display())]
    Host {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What stands there.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two lines of the file are the same.
    #[error(
        "the file of hosts {}, line {line}: {address} stands in line {earlier} already; each process needs an address \
         of its own",
        path.display()
    )]
    HostTwice {
        /// The file.
        path: PathBuf,
        /// The second line, from 1.
        line: usize,
        /// The first line, from 1.
        earlier: usize,
        /// The address.
        address: String,
    },
    /// The processes are on a network, and nothing keeps strangers out.
    #[error(
        "{address} is not an address of this machine's own loopback, and there is no secret: the connections between \
         the processes are not encrypted, and a stranger could enter; set {SECRET_VARIABLE} to the same long random \
         text for all processes and keep their ports within a private network, or use localhost or 127.0.0.1"
    )]
    NoSecret {
        /// The first address that is not of loopback.
        address: String,
    },
    /// A defect of the caller: only process 0 leads.
    #[error("process {process} has the role of {role}: process 0 leads, and no other")]
    Role {
        /// This process's index.
        process: u32,
        /// The role that it was given.
        role: &'static str,
    },
    /// This process's own address cannot be listened on.
    #[error("{process} cannot listen there: {source}; is it running already, or its port taken?")]
    Listen {
        /// This process, with its address.
        process: String,
        /// Why not.
        source: io::Error,
    },
    /// Another process differs in something that all must agree on.
    #[error("{peer} refused this process because {what}: start all processes with the same")]
    Differs {
        /// The other process.
        peer: String,
        /// What differs.
        what: &'static str,
    },
    /// Not all processes were there in time.
    #[error("the cluster did not form within {} s: still missing {missing}", within.as_secs_f64())]
    Missing {
        /// How long was waited.
        within: Duration,
        /// The processes that are missing, each with the last that is known of it.
        missing: String,
        /// The last that is known of one of them is that it has another secret, or none.
        unproven: bool,
    },
    /// A process went away at the very end. The others fail as well, and all start again.
    #[error("{peer} went away just as the cluster began: start all processes again")]
    Lost {
        /// The process.
        peer: String,
    },
    /// The run was asked to stop before the cluster had formed.
    #[error("stopped before the cluster had formed")]
    Interrupted,
    /// The system did not do what it always does.
    #[error("{what}: {source}")]
    System {
        /// What was to be done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}
