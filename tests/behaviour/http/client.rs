//! Somebody who asks a run over HTTP: by hand, so that nothing of it is left to a library.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::Running;

/// What is waited for has come by then, on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// The metrics of one answer: by name, with labels as they stand there.
pub struct Metrics(BTreeMap<String, f64>);

/// Where a run serves, once it has said so.
pub fn address_of(running: &Running) -> SocketAddr {
    addresses_of(running, 1)[0]
}

/// The same of so many processes, in the order in which they say so.
pub fn addresses_of(running: &Running, processes: usize) -> Vec<SocketAddr> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = running.said();
        let told = said.split("http: listening on http://").skip(1);
        let addresses: Vec<SocketAddr> = told
            .map(|rest| {
                rest.split(|letter: char| letter.is_whitespace() || letter == '"').next().unwrap().parse().unwrap()
            })
            .collect();
        if addresses.len() >= processes {
            return addresses;
        }
        assert!(Instant::now() < deadline, "it does not say where it listens: {said}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends these bytes and takes all that comes; `None`: the connection was closed without an answer.
pub fn send(address: SocketAddr, request: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // It may be closed before all is sent.
    let _ = stream.write_all(request);
    read_answer(&mut stream)
}

/// Takes an answer up to the end of the connection.
pub fn read_answer(stream: &mut TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// One request of this method.
pub fn ask(address: SocketAddr, method: &str, path: &str) -> Option<Answer> {
    send(address, format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())
}

/// What is served there. (Where others take all connections, it is asked again.)
pub fn get(address: SocketAddr, path: &str) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask(address, "GET", path) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{path} is not answered");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The status of a run, as JSON.
pub fn status(address: SocketAddr) -> Value {
    let answer = get(address, "/status");
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

/// Waits until a path answers with this status, and with this in its text.
#[track_caller]
pub fn comes_to(address: SocketAddr, path: &str, status: u16, text: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = get(address, path);
        if answer.status == status && answer.body.contains(text) {
            return;
        }
        assert!(Instant::now() < deadline, "{path} does not come to {status} {text}: {answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the metrics are so.
#[track_caller]
pub fn metrics_come_to(address: SocketAddr, what: &str, are_so: impl Fn(&Metrics) -> bool) -> Metrics {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = Metrics::of(address);
        if are_so(&metrics) {
            return metrics;
        }
        assert!(Instant::now() < deadline, "{what}: {:#?}", metrics.0);
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Metrics {
    /// As they are now.
    pub fn of(address: SocketAddr) -> Metrics {
        let answer = get(address, "/metrics");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.head.contains("application/openmetrics-text; version=1.0.0"), "{answer:?}");
        assert!(answer.body.ends_with("# EOF\n"), "{answer:?}");
        let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.strip_prefix("counter_machine_").unwrap().to_owned(), value.parse().unwrap())
        };
        Metrics(lines.map(sample).collect())
    }

    /// This one, without what all names begin with.
    #[track_caller]
    pub fn value(&self, name: &str) -> f64 {
        self.find(name).unwrap_or_else(|| panic!("{name} is not in {:#?}", self.0.keys()))
    }

    /// The same, where it is there.
    pub fn find(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// The sum over all labels.
    pub fn sum(&self, name: &str) -> f64 {
        self.0.iter().filter(|(known, _)| known.split('{').next() == Some(name)).map(|(_, value)| value).sum()
    }
}
