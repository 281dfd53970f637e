//! The program as a person starts it: in a folder of its own, with arguments, pipes and signals.
//!
//! Nothing waits for ever: after [`PATIENCE`] a test fails with what the program said until then.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Long enough for the slowest machine: a test that waits for so long has found a hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// Lines that nobody has taken yet: with more of them a program waits, as in a pipe.
const MOST_LINES: usize = 10_000;

/// The program: the one that was built with these tests, or the one that COUNTER_MACHINE_BINARY names (an older one,
/// to see a test fail on it).
pub fn binary() -> PathBuf {
    std::env::var_os("COUNTER_MACHINE_BINARY")
        .map_or_else(|| env!("CARGO_BIN_EXE_counter-machine").into(), PathBuf::from)
}

/// A folder in which programs are started, gone at the end of the test.
pub struct Workplace {
    folder: tempfile::TempDir,
}

impl Workplace {
    pub fn new() -> Workplace {
        Workplace { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs the program with nothing on stdin, and waits for its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let mut running = self.start(arguments);
        running.close_stdin();
        running.end()
    }

    /// The same with so much memory, in MiB, for its data: when it wants more it is refused, and ends badly.
    pub fn run_within(&self, memory_mib: u64, arguments: &[&str]) -> Ended {
        let mut running = self.start_by(&format!("ulimit -d {}; exec \"$0\" \"$@\"", memory_mib << 10), arguments);
        running.close_stdin();
        running.end()
    }

    /// Starts the program by a script of the shell, which ends in `exec "$0" "$@"`.
    pub fn start_by(&self, script: &str, arguments: &[&str]) -> Running {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(binary());
        self.start_command(shell, arguments, &[])
    }

    /// Starts the program; its stdin stays open.
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.start_with(arguments, &[])
    }

    /// The same with these variables in its environment; an empty one is taken out.
    pub fn start_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        self.start_command(Command::new(binary()), arguments, environment)
    }

    fn start_command(&self, mut command: Command, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        // What the machine that runs the tests is set to must not matter.
        for name in ["KAFKA_BROKERS", "KAFKA_TOPIC", "DYNAMODB_ENDPOINT", "RUST_LOG"] {
            command.env_remove(name);
        }
        // DynamoDB Local takes any credentials, but wants some.
        command.env("AWS_ACCESS_KEY_ID", "local").env("AWS_SECRET_ACCESS_KEY", "local").env("AWS_REGION", "us-east-1");
        for (name, value) in environment {
            if value.is_empty() {
                command.env_remove(name)
            } else {
                command.env(name, value)
            };
        }
        command.args(arguments).current_dir(self.folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::new(command.spawn().unwrap(), format!("counter-machine {}", arguments.join(" ")))
    }
}

/// A program that has been started. Killed if the test ends before it does.
pub struct Running {
    child: Child,
    command: String,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// What it has said on stderr until now, and the thread that listens.
    said: Arc<Mutex<String>>,
    stderr: Option<JoinHandle<()>>,
}

impl Running {
    fn new(mut child: Child, command: String) -> Running {
        let (sender, lines) = sync_channel(MOST_LINES);
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let said: Arc<Mutex<String>> = Arc::default();
        let listener = Arc::clone(&said);
        let stderr = std::thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                let mut said = listener.lock().unwrap();
                said.push_str(&String::from_utf8_lossy(&line));
                said.push('\n');
            }
        });
        let stdin = child.stdin.take();
        Running { child, command, stdin, lines, said, stderr: Some(stderr) }
    }

    pub fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// The next line on stdout.
    pub fn line(&mut self) -> String {
        self.next_line().unwrap_or_else(|| {
            let ended = self.wait(PATIENCE);
            panic!("no line came: {ended:?}")
        })
    }

    /// The next line on stdout; `None` behind the last.
    pub fn next_line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => panic!("{}: no line came", self.command),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Waits until it has said this on stderr.
    pub fn says(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.has_said(text) {
            assert!(Instant::now() < deadline, "{} does not say `{text}`", self.command);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// All that it has said on stderr by now.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Whether it has said this on stderr by now.
    pub fn has_said(&self, text: &str) -> bool {
        self.said.lock().unwrap().contains(text)
    }

    /// Whether one line of what it has said on stderr by now has all of this.
    pub fn has_said_at_once(&self, texts: &[&str]) -> bool {
        self.said.lock().unwrap().lines().any(|line| texts.iter().all(|text| line.contains(text)))
    }

    /// Waits until a signal asks the program to stop, instead of ending the process as it does before.
    pub fn catches_signals(&self) {
        const SIGINT: u64 = 1 << 1;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            if u64::from_str_radix(caught.trim(), 16).unwrap() & SIGINT != 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{} does not catch signals", self.command);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal, named as the shell's `kill` does.
    pub fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, as a machine does that runs out of memory: nothing is tidied up.
    pub fn kill(mut self) -> Ended {
        let _ = self.child.kill();
        self.wait(PATIENCE)
    }

    /// Kills it, and waits until it is gone, with its locks: another one may be started then.
    pub fn dies(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The memory that it holds now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// How many files, sockets and pipes it has open now.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the end. What stdout holds besides the lines that were taken is in the answer.
    pub fn end(self) -> Ended {
        self.end_within(PATIENCE)
    }

    /// The same for what may take longer.
    pub fn end_within(mut self, patience: Duration) -> Ended {
        self.wait(patience)
    }

    fn wait(&mut self, patience: Duration) -> Ended {
        let deadline = Instant::now() + patience;
        let mut stdout = String::new();
        let status = loop {
            // It cannot end before somebody has taken what it prints.
            stdout.extend(self.lines.try_iter().flat_map(|line| [line, "\n".to_owned()]));
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let stderr = self.stderr();
                panic!("{} does not end; it said:\n{stderr}", self.command);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        stdout.extend(self.lines.iter().flat_map(|line| [line, "\n".to_owned()]));
        Ended { command: self.command.clone(), code: status.code(), stdout, stderr: self.stderr() }
    }

    fn stderr(&mut self) -> String {
        if let Some(thread) = self.stderr.take() {
            thread.join().unwrap();
        }
        self.said.lock().unwrap().clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.child.try_wait();
        self.dies();
        if std::thread::panicking() {
            // Whatever has failed, this may be why.
            eprintln!(
                "{} ({ended:?}) said:\n{}",
                self.command,
                self.said.lock().unwrap_or_else(PoisonError::into_inner)
            );
        }
    }
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    command: String,
    code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// It must have ended with this exit code.
    pub fn exits(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "{}\n{}\n{}", self.command, self.stdout, self.stderr);
        self
    }

    /// What it exited with; `None`: a signal has ended it.
    pub fn code(&self) -> Option<i32> {
        self.code
    }

    /// Whether a signal has ended it that it could not catch.
    pub fn was_killed(&self) -> bool {
        self.code.is_none()
    }

    /// Whether it has said no: it ended by itself, and not well.
    pub fn is_refused(&self) -> bool {
        self.code.is_some_and(|code| code != 0)
    }

    /// It must have said each of these on stderr.
    pub fn says(self, texts: &[&str]) -> Ended {
        for text in texts {
            assert!(self.stderr.contains(text), "{}: `{text}` is not in:\n{}", self.command, self.stderr);
        }
        self
    }

    /// It must have printed each of these on stdout.
    pub fn prints(self, texts: &[&str]) -> Ended {
        for text in texts {
            assert!(self.stdout.contains(text), "{}: `{text}` is not in:\n{}", self.command, self.stdout);
        }
        self
    }

    /// The number behind this name in the summary; 0 when the summary leaves it out.
    pub fn summary(&self, name: &str) -> u64 {
        let line = self.stderr.lines().find_map(|line| line.trim().strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()).unwrap_or("0");
        number.replace(',', "").parse().unwrap_or_else(|_| panic!("no number for {name} in:\n{}", self.stderr))
    }
}
