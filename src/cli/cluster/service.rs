//! What process 0 says to systemd, handed on: systemd listens to the process that it has started.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::process::Command;
use std::thread;

/// Where systemd listens.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
/// Which process should feed its watchdog.
const WATCHDOG_PROCESS_VARIABLE: &str = "WATCHDOG_PID";
/// No message of a service is longer.
const MOST_BYTES: usize = 4_096;

/// A socket for process 0; gone with this.
pub(super) struct Relay {
    path: PathBuf,
}

impl Relay {
    /// Hands on from now on; `None` where nobody listens.
    pub fn start() -> io::Result<Option<Relay>> {
        let Some(listener) = std::env::var_os(SOCKET_VARIABLE).filter(|name| !name.is_empty()) else { return Ok(None) };
        let name = format!("counter-machine-{}-{:016x}.notify", std::process::id(), rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        let socket = UnixDatagram::bind(&path)?;
        let relay = Relay { path };
        let to = address(&listener)?;
        thread::Builder::new().name("notify".to_owned()).spawn(move || {
            let mut message = [0; MOST_BYTES];
            while let Ok(length) = socket.recv(&mut message) {
                if let Err(error) = socket.send_to_addr(&message[..length], &to) {
                    tracing::debug!("systemd cannot be told: {error}");
                }
            }
        })?;
        Ok(Some(relay))
    }

    /// Has this process say it here.
    pub fn lead(&self, command: &mut Command) {
        command.env(SOCKET_VARIABLE, &self.path).env_remove(WATCHDOG_PROCESS_VARIABLE);
    }

    /// Has this process say nothing.
    pub fn silence(command: &mut Command) {
        command.env_remove(SOCKET_VARIABLE);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A path, or a name without a file, which begins with `@`.
fn address(name: &OsString) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(OsStr::new(name)),
    }
}
