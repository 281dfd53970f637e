//! A Chromium without a window, told what to do over its DevTools protocol.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use super::client::PATIENCE;

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// One page of it.
pub struct Browser {
    process: Child,
    socket: WebSocket<TcpStream>,
    calls: u64,
    /// What went wrong on the page, as the browser says it.
    pub errors: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    /// One that shows nothing yet; `None`: there is none on this machine.
    pub fn start() -> Option<Browser> {
        let is_there = |name: &&&str| {
            Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
        };
        let name = NAMES.iter().find(is_there)?;
        let profile = TempDir::new().unwrap();
        let quiet = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--remote-debugging-port=0",
            "--remote-allow-origins=*",
        ];
        let mut process = Command::new(name)
            .args(quiet)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address =
            said.find_map(|line| line.split_once("DevTools listening on ws://").map(|(_, rest)| rest.to_owned()));
        std::thread::spawn(move || said.for_each(drop));
        let address = address.expect("it listens").split('/').next().unwrap().parse().unwrap();
        let started = Instant::now();
        let url = loop {
            let pages = pages(address);
            let page = pages.as_array().unwrap().iter().find(|page| page["type"] == "page");
            if let Some(page) = page {
                break page["webSocketDebuggerUrl"].as_str().unwrap().to_owned();
            }
            assert!(started.elapsed() < PATIENCE, "it has no page: {pages}");
        };
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(url, stream).unwrap();
        let mut browser = Browser { process, socket, calls: 0, errors: Vec::new(), _profile: profile };
        let _ = ["Page.enable", "Runtime.enable", "Log.enable", "Performance.enable"]
            .map(|domain| browser.call(domain, json!({})));
        Some(browser)
    }

    /// Calls a method of the protocol.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let call = json!({ "id": self.calls, "method": method, "params": parameters });
        self.socket.send(Message::text(call.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().expect("it answers") else { continue };
            let said: Value = serde_json::from_str(&text).unwrap();
            if said["id"] == self.calls {
                assert!(said.get("error").is_none(), "{method}: {said}");
                return said["result"].clone();
            }
            let is_error = match said["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Log.entryAdded") => said["params"]["entry"]["level"] == "error",
                _ => false,
            };
            if is_error {
                self.errors.push(said);
            }
        }
    }

    /// The value of an expression on the page.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let evaluated = self.call("Runtime.evaluate", parameters);
        assert!(evaluated.get("exceptionDetails").is_none(), "{expression}: {evaluated}");
        evaluated["result"]["value"].clone()
    }

    /// Waits until an expression has a value that is so.
    #[track_caller]
    pub fn comes_to(&mut self, expression: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value = self.evaluate(expression);
            if is_so(&value) {
                return value;
            }
            assert!(Instant::now() < deadline, "{expression} is {value}: {:?}", self.errors);
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// Types this where the keyboard is, and then Enter.
    pub fn type_and_enter(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
        for kind in ["keyDown", "keyUp"] {
            let enter =
                json!({ "type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r" });
            self.call("Input.dispatchKeyEvent", enter);
        }
    }
}

/// The pages of the browser that listens there. (It does not close the connection.)
fn pages(address: SocketAddr) -> Value {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /json/list HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let more = stream.read(&mut buffer).unwrap();
        assert!(more > 0, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&buffer[..more]);
        let body = String::from_utf8_lossy(&said).split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        if let Some(pages) = body.and_then(|body| serde_json::from_str(&body).ok()) {
            return pages;
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
