//! What each process is started with.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process;

use super::service::Relay;
use crate::cli::{CliError, ErrorCode};
use crate::mesh::SECRET_VARIABLE;
use crate::telemetry::SUPERVISOR_VARIABLE;

/// This command line, as `run` has it.
pub(super) struct Command {
    program: PathBuf,
    /// Up to the name of the command, and behind it.
    before: Vec<OsString>,
    rest: Vec<OsString>,
    processes: u32,
    secret: OsString,
    relay: Option<Relay>,
}

impl Command {
    /// That of this process, for so many.
    pub fn of_this_process(processes: u32) -> Result<Command, CliError> {
        let program = std::env::current_exe().map_err(|error| {
            CliError::new(ErrorCode::SystemRefuses, format!("cannot tell which program this is: {error}"))
        })?;
        let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        let name = arguments.iter().position(|argument| argument == "cluster").unwrap_or_default();
        let rest = arguments.split_off((name + 1).min(arguments.len()));
        arguments.truncate(name);
        arguments.push("run".into());
        // Whoever is on this machine may connect: a secret costs nothing.
        let secret = std::env::var_os(SECRET_VARIABLE)
            .filter(|secret| !secret.is_empty())
            .unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()).into());
        let relay = Relay::start()
            .map_err(|error| CliError::new(ErrorCode::SystemRefuses, format!("cannot hand on to systemd: {error}")))?;
        Ok(Command { program, before: arguments, rest, processes, secret, relay })
    }

    /// Of each process, with ports that are free now.
    pub fn of_each(&self) -> Result<(Vec<process::Command>, HostFile), CliError> {
        let hosts = HostFile::with_free_ports(self.processes).map_err(|error| {
            CliError::new(ErrorCode::SystemRefuses, format!("cannot find free ports of this machine: {error}"))
        })?;
        let of_one = |index: u32| {
            let mut command = process::Command::new(&self.program);
            command.args(&self.before).arg("-p").arg(index.to_string());
            if self.processes > 1 {
                command.arg("-h").arg(&hosts.path);
            }
            command.args(&self.rest);
            command.env(SECRET_VARIABLE, &self.secret).env(SUPERVISOR_VARIABLE, process::id().to_string());
            match &self.relay {
                Some(relay) if index == 0 => relay.lead(&mut command),
                _ => Relay::silence(&mut command),
            }
            command
        };
        Ok(((0..self.processes).map(of_one).collect(), hosts))
    }
}

/// A file of addresses, which goes with this.
pub(super) struct HostFile {
    path: PathBuf,
}

impl HostFile {
    fn with_free_ports(processes: u32) -> std::io::Result<HostFile> {
        // Held together, so that no two are alike.
        let listeners = (0..processes).map(|_| TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))));
        let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
        let name = format!("counter-machine-{}-{:016x}", process::id(), rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        let mut file = std::fs::File::options().write(true).create_new(true).open(&path)?;
        let hosts = HostFile { path };
        for listener in &listeners {
            writeln!(file, "{}", listener.local_addr()?)?;
        }
        Ok(hosts)
    }
}

impl Drop for HostFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_has_a_port_of_its_own_and_the_file_goes_with_its_owner() {
        let hosts = HostFile::with_free_ports(3).unwrap();
        let text = std::fs::read_to_string(&hosts.path).unwrap();
        let mut addresses: Vec<SocketAddr> = text.lines().map(|line| line.parse().unwrap()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 3);
        let path = hosts.path.clone();
        drop(hosts);
        assert!(!path.exists());
    }
}
