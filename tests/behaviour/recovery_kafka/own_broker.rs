//! A real broker that a test may stop, kill and start again.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A broker of the test's own, which keeps its messages when it is killed.
pub struct OwnBroker {
    port: u16,
    /// It, since it was started again.
    child: Option<Child>,
}

impl OwnBroker {
    pub fn start(port: u16) -> OwnBroker {
        let broker = OwnBroker { port, child: None };
        broker.service("start");
        broker
    }

    fn service(&self, command: &str) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/services");
        let done = Command::new(script).args([command, "kafka"]).env("KAFKA_PORT", self.port.to_string()).output();
        let done = done.expect("a shell");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn file(&self, name: &str) -> PathBuf {
        format!("{}/.services/kafka-{}/{name}", env!("CARGO_MANIFEST_DIR"), self.port).into()
    }

    pub fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.file("pid")).expect("a pid");
        let kill = format!("kill -{signal} {}", pid.trim());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success(), "{kill}");
    }

    /// Kills it; gives back how it was started.
    pub fn kill(&mut self) -> Vec<String> {
        let pid = std::fs::read_to_string(self.file("pid")).expect("a pid");
        let line = std::fs::read_to_string(format!("/proc/{}/cmdline", pid.trim())).expect("a command line");
        self.signal("KILL");
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
        line.split('\0').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// Starts it again with what it has on disk.
    pub fn start_again(&mut self, line: &[String]) {
        let started =
            || std::fs::read_to_string(self.file("log")).unwrap_or_default().matches("Kafka Server started").count();
        let before = started();
        let log = OpenOptions::new().append(true).open(self.file("log")).expect("its log");
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).stdin(Stdio::null()).stdout(log.try_clone().expect("its log")).stderr(log);
        let child = command.spawn().expect("a broker");
        std::fs::write(self.file("pid"), child.id().to_string()).expect("its pid");
        let deadline = Instant::now() + Duration::from_secs(90);
        while started() == before {
            assert!(Instant::now() < deadline, "the broker does not come back");
            std::thread::sleep(Duration::from_millis(100));
        }
        self.child = Some(child);
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.service("stop");
    }
}
