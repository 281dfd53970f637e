//! Which processes there are, and which one this is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use super::ClusterError;

/// More processes than this are a slip: each is connected to each.
const MOST_PROCESSES: u32 = 1024;

/// The port of process 0 where no file says another; the others follow.
const FIRST_PORT: u32 = 2101;

/// The addresses of all processes, and which one this is.
#[derive(Clone, Debug)]
pub struct Members {
    process: u32,
    /// `host:port`, by index.
    addresses: Vec<String>,
}

impl Members {
    /// Of so many processes the one with this index. `hosts` is a file with a line `host:port` for each, in order;
    /// blank lines and lines that begin with `#` do not count, nor do lines after the last that is needed. Without it
    /// they are localhost:2101, localhost:2102, and so on.
    pub fn read(processes: u32, process: u32, hosts: Option<&Path>) -> Result<Members, ClusterError> {
        if !(1..=MOST_PROCESSES).contains(&processes) {
            return Err(ClusterError::Processes { processes, most: MOST_PROCESSES });
        }
        if process >= processes {
            return Err(ClusterError::Index { process, processes });
        }
        let addresses = match hosts {
            None => (0..processes).map(|index| format!("localhost:{}", FIRST_PORT + index)).collect(),
            Some(path) => {
                let unreadable = |source| ClusterError::HostsUnreadable { path: path.to_owned(), source };
                addresses(&std::fs::read_to_string(path).map_err(unreadable)?, processes, path)?
            }
        };
        Ok(Members { process, addresses })
    }

    /// How many processes there are.
    pub fn processes(&self) -> u32 {
        self.addresses.len() as u32
    }

    /// The index of this one.
    pub fn process(&self) -> u32 {
        self.process
    }

    /// The `host:port` of the process with this index, which must be one of the run's.
    pub fn address(&self, index: u32) -> &str {
        &self.addresses[index as usize]
    }

    /// What a message calls it: `process 2 (host:port)`.
    pub fn name(&self, index: u32) -> String {
        format!("process {index} ({})", self.address(index))
    }

    /// The first address that may not be loopback: it is neither `localhost` nor a number of loopback. A name is not
    /// resolved, as it may be another's tomorrow.
    pub(super) fn beyond_loopback(&self) -> Option<&str> {
        self.addresses.iter().map(String::as_str).find(|address| !is_loopback(address))
    }
}

/// The first so many addresses of a file with this text.
fn addresses(text: &str, processes: u32, path: &Path) -> Result<Vec<String>, ClusterError> {
    let path = || path.to_owned();
    let mut found = Vec::new();
    let mut lines_by_address = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        if found.len() == processes as usize {
            break;
        }
        let (number, line) = (index + 1, line.trim());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(problem) = problem_of(line) {
            return Err(ClusterError::Host { path: path(), line: number, text: line.to_owned(), problem });
        }
        let address = line.to_ascii_lowercase();
        if let Some(earlier) = lines_by_address.insert(address.clone(), number) {
            return Err(ClusterError::HostTwice { path: path(), line: number, earlier, address });
        }
        found.push(address);
    }
    match found.len() {
        enough if enough == processes as usize => Ok(found),
        few => Err(ClusterError::TooFewHosts { path: path(), found: few, processes }),
    }
}

/// The host and the port of an address; the host of a numeric one of IPv6 without its brackets.
fn split(address: &str) -> Option<(&str, &str)> {
    let (host, port) = address.rsplit_once(':')?;
    let unbracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Some((unbracketed.unwrap_or(host), port))
}

/// The port of an address that has been read.
pub(super) fn port(address: &str) -> u16 {
    split(address).and_then(|(_, port)| port.parse().ok()).unwrap_or_default()
}

/// Why this is no address, if it is none.
fn problem_of(line: &str) -> Option<&'static str> {
    let Some((host, port)) = split(line) else { return Some("has no port") };
    let is_bracketed = line.starts_with('[');
    match port.parse::<u16>() {
        _ if line.contains(char::is_whitespace) => Some("is more than one word"),
        _ if host.is_empty() => Some("has no host"),
        _ if host.contains(':') && !is_bracketed => Some("has an address of IPv6 without brackets"),
        _ if is_bracketed && host.parse::<std::net::Ipv6Addr>().is_err() => Some("has no address of IPv6 in brackets"),
        Err(_) | Ok(0) => Some("has no port from 1 to 65535"),
        Ok(_) => None,
    }
}

/// The address says itself that it is loopback.
pub(super) fn is_loopback(address: &str) -> bool {
    let host = split(address).map_or("", |(host, _)| host);
    host == "localhost" || host.parse().is_ok_and(|host: IpAddr| host.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(processes: u32, process: u32, text: &str) -> Result<Members, String> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        let read = Members::read(processes, process, Some(file.path()));
        read.map_err(|error| error.to_string().replace(&file.path().display().to_string(), "hosts"))
    }

    #[test]
    fn without_a_file_they_are_on_this_machine() {
        let members = Members::read(3, 1, None).expect("three");
        assert_eq!((members.processes(), members.process()), (3, 1));
        assert_eq!((members.address(0), members.address(2)), ("localhost:2101", "localhost:2103"));
        assert_eq!(members.name(2), "process 2 (localhost:2103)");
        assert_eq!(members.beyond_loopback(), None);
    }

    #[test]
    fn a_file_has_a_line_for_each() {
        let members = read(3, 2, "# ours\n\n A:1 \nb:2\r\n[::1]:3\nnever read\n").expect("three");
        assert_eq!((members.address(0), members.address(1), members.address(2)), ("a:1", "b:2", "[::1]:3"));
        assert_eq!(members.beyond_loopback(), Some("a:1"));
        assert_eq!((port("a:1"), port("[::1]:3")), (1, 3));
    }

    #[test]
    fn an_error_says_what_is_wrong_and_where() {
        let error = |processes, process, text| read(processes, process, text).expect_err("it is wrong");
        let starts = |error: String, start: &str| assert!(error.starts_with(start), "{error}");
        starts(error(0, 0, ""), "a run has from 1 to 1024 processes, not 0");
        starts(error(u32::MAX, 0, ""), "a run has from 1 to 1024 processes");
        starts(error(2, 2, ""), "there is no process 2 among 2: they are numbered from 0 to 1;");
        starts(error(3, 0, "a:1\n#b:2\nc:3\n"), "the file of hosts hosts has 2 addresses for 3 processes");
        starts(error(2, 0, "a:1\n\nB:2 c:3\n"), "the file of hosts hosts, line 3: `B:2 c:3` is more than one word");
        starts(error(2, 0, "a:1\nA:1\n"), "the file of hosts hosts, line 2: a:1 stands in line 1 already");
        for (line, problem) in [
            ("host", "has no port"),
            ("host:", "has no port from 1"),
            ("host:0", "has no port from 1"),
            ("host:65536", "has no port from 1"),
            (":2101", "has no host"),
            ("::1:2101", "has an address of IPv6 without"),
            ("[localhost]:2101", "has no address of IPv6 in"),
        ] {
            starts(error(1, 0, line), &format!("the file of hosts hosts, line 1: `{line}` {problem}"));
        }
        let error = Members::read(1, 0, Some(Path::new("/no/such/file"))).expect_err("there is none");
        starts(error.to_string(), "the file of hosts /no/such/file cannot be read: ");
    }

    #[test]
    fn what_may_not_be_loopback_is_told_from_what_is() {
        for loopback in ["localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
            assert!(is_loopback(loopback), "{loopback}");
        }
        for other in ["10.0.0.1:1", "0.0.0.0:1", "localhost.example.org:1", "127.0.0.1.example.org:1", "[::2]:1"] {
            assert!(!is_loopback(other), "{other}");
        }
    }
}
