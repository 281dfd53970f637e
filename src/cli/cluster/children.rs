//! The processes: started together, stopped together, and none left behind.

use std::fmt;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ExitStatus, Stdio};
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::command::{Command, HostFile};
use super::output::hand_on;
use crate::cli::{CliError, ErrorCode};

/// Exit codes: see `cli/exit.rs`, and `main.rs`.
const LOST: i32 = 75;
const BUG: i32 = 70;

/// All processes of one life. Those that still run when this goes are killed.
pub(super) struct Children {
    all: Vec<OneChild>,
    _hosts: HostFile,
}

struct OneChild {
    index: u32,
    child: Child,
    ended: Option<ExitStatus>,
    output: Option<JoinHandle<()>>,
}

/// How a process has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    index: u32,
    status: ExitStatus,
}

impl Children {
    /// Starts all.
    pub fn start(command: &Command) -> Result<Children, CliError> {
        let (commands, hosts) = command.of_each()?;
        let mut children = Children { all: Vec::new(), _hosts: hosts };
        for (index, mut command) in (0..).zip(commands) {
            // Not in this process's group: what a terminal says to all, they hear from here, once.
            command.process_group(0).stderr(Stdio::piped());
            if index > 0 {
                command.stdin(Stdio::null());
            }
            let cannot =
                |error| CliError::new(ErrorCode::SystemRefuses, format!("cannot start process {index}: {error}"));
            let mut child = command.spawn().map_err(cannot)?;
            let output = child.stderr.take().map(|stderr| hand_on(index, stderr)).transpose();
            children.all.push(OneChild { index, child, ended: None, output: None });
            if let (Some(last), Ok(output)) = (children.all.last_mut(), output) {
                last.output = output;
            }
        }
        Ok(children)
    }

    /// Looks who has ended; whether all have.
    pub fn look(&mut self) -> bool {
        for one in self.all.iter_mut().filter(|one| one.ended.is_none()) {
            one.ended = one.child.try_wait().ok().flatten();
        }
        self.all.iter().all(|one| one.ended.is_some())
    }

    /// Whether one has ended in a way that the others do not outlive.
    pub fn one_is_lost(&self) -> bool {
        self.all.iter().filter_map(|one| one.ended).any(|status| !status.success())
    }

    /// How all have ended, with everything said that they had to say.
    pub fn ended(&mut self) -> Vec<Ended> {
        for output in self.all.iter_mut().filter_map(|one| one.output.take()) {
            let _ = output.join();
        }
        self.all.iter().filter_map(|one| Some(Ended { index: one.index, status: one.ended? })).collect()
    }

    /// Asks all to stop.
    pub fn stop(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Ends those that do not end: also one that was stopped and keeps its locks.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(&self, signal: Signal) {
        for one in self.all.iter().filter(|one| one.ended.is_none()) {
            // It is not waited for yet, so its number is still its own.
            let _ = kill(Pid::from_raw(one.child.id() as i32), signal);
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.look();
        self.kill();
        for one in self.all.iter_mut().filter(|one| one.ended.is_none()) {
            let _ = one.child.wait();
        }
    }
}

impl Ended {
    /// The one that says most about why all have ended: what starting again does not mend comes first, and what a lost peer says last.
    pub fn worst(all: &[Ended]) -> Ended {
        let severity = |ended: &Ended| match (ended.status.code(), ended.status.signal()) {
            (Some(0), _) => 0,
            (Some(LOST), _) => 1,
            (_, Some(_)) => 2,
            (Some(BUG), _) => 3,
            (Some(_), _) => 4,
            (None, None) => 5,
        };
        let nothing = Ended { index: 0, status: ExitStatus::from_raw(0) };
        all.iter().rev().copied().max_by_key(severity).unwrap_or(nothing)
    }

    /// Whether starting again may help: somebody was lost or killed, or has come upon a bug.
    pub fn may_pass(self) -> bool {
        self.status.signal().is_some() || matches!(self.status.code(), Some(LOST | BUG))
    }

    /// As what the cluster ends with: the process has said why.
    pub fn into_result(self) -> Result<(), CliError> {
        let text = self.to_string();
        match (self.status.code(), self.status.signal()) {
            (Some(0), _) => Ok(()),
            (Some(code @ (2 | LOST | 130)), _) => Err(CliError::process_ended(code as u8, text)),
            (_, Some(_)) => Err(CliError::process_ended(LOST as u8, text)),
            _ => Err(CliError::process_ended(1, text)),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status.code(), self.status.signal()) {
            (Some(0), _) => write!(f, "process {} has ended", self.index),
            (Some(code), _) => write!(f, "process {} has ended with exit code {code}", self.index),
            (None, signal) => write!(f, "process {} was ended by signal {}", self.index, signal.unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starting_again_does_not_mend_is_told_first() {
        let ended = |codes: &[i32]| {
            let all: Vec<_> =
                (0..).zip(codes).map(|(index, raw)| Ended { index, status: ExitStatus::from_raw(*raw) }).collect();
            let worst = Ended::worst(&all);
            (worst.index, worst.may_pass(), worst.to_string())
        };
        const EXIT: i32 = 256;
        assert_eq!(ended(&[75 * EXIT, 9]), (1, true, "process 1 was ended by signal 9".to_owned()));
        assert_eq!(ended(&[75 * EXIT, 2 * EXIT, 9]).0, 1);
        assert!(!ended(&[75 * EXIT, 2 * EXIT, 9]).1);
        assert_eq!(ended(&[0, 75 * EXIT, 75 * EXIT]).0, 1, "the first of those who say the same");
        assert!(ended(&[0, 70 * EXIT]).1 && !ended(&[0, EXIT]).1);
        assert_eq!(ended(&[0, 0]).2, "process 0 has ended");
    }
}
