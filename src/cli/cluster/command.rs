//! What each process is started with.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process;

use super::service::Relay;
use crate::cli::{CliError, ErrorCode};
use crate::mesh::SECRET_VARIABLE;
use crate::pipeline::HttpAddress;
use crate::telemetry::SUPERVISOR_VARIABLE;

/// This command line, as `run` has it.
pub(super) struct Command {
    program: PathBuf,
    /// Up to the name of the command, and behind it.
    before: Vec<OsString>,
    rest: Vec<OsString>,
    processes: u32,
    /// Where each is to serve.
    http: Vec<HttpAddress>,
    secret: OsString,
    relay: Option<Relay>,
}

impl Command {
    /// That of this process, for so many; process 0 serves there, if anywhere, and the others behind it.
    pub fn of_this_process(processes: u32, http: Option<HttpAddress>) -> Result<Command, CliError> {
        let program = std::env::current_exe().map_err(|error| {
            CliError::new(ErrorCode::SystemRefuses, format!("cannot tell which program this is: {error}"))
        })?;
        let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        let name = arguments.iter().position(|argument| argument == "cluster").unwrap_or_default();
        let mut rest = arguments.split_off((name + 1).min(arguments.len()));
        arguments.truncate(name);
        let http = http.map_or(Ok(Vec::new()), |first| addresses(&first, processes))?;
        without_http(&mut rest);
        arguments.push("run".into());
        // Whoever is on this machine may connect: a secret costs nothing.
        let secret = std::env::var_os(SECRET_VARIABLE)
            .filter(|secret| !secret.is_empty())
            .unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()).into());
        let relay = Relay::start()
            .map_err(|error| CliError::new(ErrorCode::SystemRefuses, format!("cannot hand on to systemd: {error}")))?;
        Ok(Command { program, before: arguments, rest, processes, http, secret, relay })
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
            if let Some(address) = self.http.get(index as usize) {
                command.arg("--http").arg(address.to_string());
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

/// So many ports behind each other, from this one on.
fn addresses(first: &HttpAddress, processes: u32) -> Result<Vec<HttpAddress>, CliError> {
    let of_each: Option<_> = (0..processes).map(|process| first.of_process(process)).collect();
    of_each.ok_or_else(|| {
        let message = format!("--http {first}: each process has the port behind the one before it, and there are not so many: name a lower one");
        CliError::usage(message)
    })
}

/// Takes `--http ADDR` out: each process has its own.
fn without_http(arguments: &mut Vec<OsString>) {
    let is_with_value = |argument: &OsString| argument.as_encoded_bytes().starts_with(b"--http=");
    arguments.retain(|argument| !is_with_value(argument));
    while let Some(index) = arguments.iter().position(|argument| argument == "--http") {
        arguments.drain(index..(index + 2).min(arguments.len()));
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
    fn each_process_is_told_where_it_serves_and_nothing_else_of_the_line_changes() {
        let line = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        for given in [
            "p.toml --http 9400 -w 2",
            "p.toml --http=:9400 -w 2",
            "p.toml -w 2 --http 9400",
            "--http 9400 p.toml -w 2",
        ] {
            let mut arguments = line(given);
            without_http(&mut arguments);
            assert_eq!(arguments, line("p.toml -w 2"), "{given}");
        }
        let ports = |first: &str| {
            addresses(&first.parse().unwrap(), 3).map(|all| all.iter().map(|at| at.port).collect::<Vec<_>>())
        };
        assert_eq!(ports("0.0.0.0:9400").unwrap(), [9_400, 9_401, 9_402]);
        assert_eq!(ports("0").unwrap(), [0, 0, 0]);
        assert_eq!(ports("65534").map_err(|error| error.code()), Err(ErrorCode::Usage));
    }

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
