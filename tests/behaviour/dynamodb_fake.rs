//! A stand-in of DynamoDB that fails on demand: as much of its API as the sink uses, over HTTP/1.1
//! on loopback. It keeps what was written, and notices when two requests in flight write one item.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

/// What happens to a request that writes.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    None,
    /// The last so many items come back unprocessed.
    Unprocessed(usize),
    /// Refused with this status and error code; nothing is written.
    Refused(u16, &'static str),
    /// Written, but the connection breaks before the answer.
    AnswerLost,
    /// The connection breaks before anything is written.
    RequestLost,
    /// The request arrives twice: written, and written again.
    Duplicated,
}

/// A refusal.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    /// Which operation is refused; `*`: each.
    pub operation: &'static str,
    pub code: &'static str,
    pub message: &'static str,
}

/// The key of an item.
pub type Identity = (String, String);

#[derive(Default)]
pub struct State {
    pub table: BTreeMap<Identity, Value>,
    /// Requests that were not carried out in full, or whose answer was lost.
    pub failed_requests: u64,
    /// How every request is answered, as long as it stands here.
    pub trouble: Option<Trouble>,
    /// How many were answered so.
    pub troubled: u64,
    /// The attribute by which the table deletes items.
    pub ttl: Option<&'static str>,
    /// What must never happen.
    pub violations: Vec<String>,
    in_flight: BTreeSet<Identity>,
    requests: u64,
    connections: Vec<TcpStream>,
    stopping: bool,
}

type Plan = Box<dyn Fn(u64) -> Fault + Send + Sync>;

struct Shared {
    state: Mutex<State>,
    plan: Plan,
}

pub struct FakeDynamoDb {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl FakeDynamoDb {
    /// `plan` says what happens to the n-th request that writes.
    pub fn start(plan: impl Fn(u64) -> Fault + Send + Sync + 'static) -> FakeDynamoDb {
        let shared = Arc::new(Shared { state: Mutex::default(), plan: Box::new(plan) });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut fake = FakeDynamoDb { address, shared, acceptor: None };
        fake.listen(listener);
        fake
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// Breaks every connection and refuses new ones. What is in the table stays.
    pub fn stop(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.state().stopping = true;
        // Has the acceptor look.
        let _ = TcpStream::connect(self.address);
        acceptor.join().expect("the acceptor");
        for connection in self.state().connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Takes connections again.
    pub fn start_again(&mut self) {
        self.state().stopping = false;
        self.listen(TcpListener::bind(self.address).expect("the port is free again"));
    }

    fn listen(&mut self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        self.acceptor = Some(std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let mut state = shared.lock();
                if state.stopping {
                    return;
                }
                state.connections.push(connection.try_clone().expect("a second handle"));
                drop(state);
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(&shared, connection));
            }
        }));
    }
}

impl Drop for FakeDynamoDb {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that fails may hold it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An HTTP answer: status and body. `None`: the connection breaks.
type Answer = Option<(u16, Value)>;

fn serve(shared: &Shared, connection: TcpStream) {
    let mut writer = connection.try_clone().expect("a second handle");
    let mut reader = BufReader::new(connection);
    while let Some((target, body)) = read_request(&mut reader) {
        let operation = target.rsplit('.').next().unwrap_or_default();
        let trouble = troubled(shared, operation);
        let answer = match operation {
            _ if trouble.is_some() => trouble.and_then(|trouble| refusal(400, trouble.code, trouble.message)),
            "DescribeTable" => Some((200, description())),
            "DescribeTimeToLive" => Some((200, ttl(shared.lock().ttl))),
            "Scan" => Some((200, scan(shared, &body))),
            "BatchWriteItem" => batch_write(shared, &body),
            _ => refusal(400, "UnknownOperationException", "as planned"),
        };
        let Some((status, body)) = answer else { break };
        let body = body.to_string();
        let head = format!("HTTP/1.1 {status} Answer\r\ncontent-type: application/x-amz-json-1.0\r\n");
        if write!(writer, "{head}content-length: {}\r\n\r\n{body}", body.len()).is_err() {
            break;
        }
    }
    let _ = writer.shutdown(Shutdown::Both);
}

/// The operation and the body of the next request; `None` at the end of the connection.
fn read_request(reader: &mut impl BufRead) -> Option<(String, Value)> {
    let (mut length, mut target) = (0, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "x-amz-target" => target = value.trim().to_owned(),
                _ => {}
            }
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((target, serde_json::from_slice(&body).ok()?))
}

fn description() -> Value {
    json!({"Table": {
        "TableName": "Fake",
        "TableStatus": "ACTIVE",
        "KeySchema": [
            {"AttributeName": "key", "KeyType": "HASH"},
            {"AttributeName": "featureName", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "key", "AttributeType": "S"},
            {"AttributeName": "featureName", "AttributeType": "S"},
        ],
    }})
}

fn ttl(attribute: Option<&str>) -> Value {
    let description = match attribute {
        Some(name) => json!({"TimeToLiveStatus": "ENABLED", "AttributeName": name}),
        None => json!({"TimeToLiveStatus": "DISABLED"}),
    };
    json!({"TimeToLiveDescription": description})
}

fn scan(shared: &Shared, body: &Value) -> Value {
    let limit = body["Limit"].as_u64().map_or(usize::MAX, |limit| limit as usize);
    let items: Vec<Value> = shared.lock().table.values().take(limit).cloned().collect();
    json!({"Count": items.len(), "ScannedCount": items.len(), "Items": items})
}

fn troubled(shared: &Shared, operation: &str) -> Option<Trouble> {
    let mut state = shared.lock();
    let trouble = state.trouble.filter(|trouble| ["*", operation].contains(&trouble.operation))?;
    state.troubled += 1;
    Some(trouble)
}

fn refusal(status: u16, code: &str, message: &str) -> Answer {
    Some((status, json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": message})))
}

fn batch_write(shared: &Shared, body: &Value) -> Answer {
    let (table, requests) = body["RequestItems"].as_object()?.iter().next()?;
    let requests = requests.as_array()?;
    let items: Vec<_> = requests.iter().map(|request| &request["PutRequest"]["Item"]).collect();
    let identities: Vec<_> = items.iter().map(|item| identity(item)).collect();

    let fault = begin(shared, &identities);
    // Long enough for requests to overlap.
    std::thread::sleep(Duration::from_millis(2));
    let taken = match fault {
        _ if !is_valid(&identities) => 0,
        Fault::Refused(..) | Fault::RequestLost => 0,
        Fault::Unprocessed(count) => items.len().saturating_sub(count),
        Fault::None | Fault::AnswerLost | Fault::Duplicated => items.len(),
    };
    let mut state = shared.lock();
    for (identity, item) in identities.iter().zip(&items).take(taken) {
        state.table.insert(identity.clone(), (*item).clone());
    }
    for identity in &identities {
        state.in_flight.remove(identity);
    }
    if !is_valid(&identities) {
        return refusal(400, "ValidationException", "as planned");
    }
    if !matches!(fault, Fault::None | Fault::Duplicated) {
        state.failed_requests += 1;
    }
    match fault {
        Fault::Refused(status, code) => refusal(status, code, "as planned"),
        Fault::RequestLost | Fault::AnswerLost => None,
        Fault::Unprocessed(_) => Some((200, json!({"UnprocessedItems": {table: requests[taken..]}}))),
        Fault::None | Fault::Duplicated => Some((200, json!({"UnprocessedItems": {}}))),
    }
}

/// Takes note of a request; returns what is to happen to it.
fn begin(shared: &Shared, identities: &[Identity]) -> Fault {
    let mut state = shared.lock();
    if identities.len() > 25 {
        state.violations.push(format!("{} items in one request", identities.len()));
    }
    for identity in identities {
        if !state.in_flight.insert(identity.clone()) {
            state.violations.push(format!("{identity:?} is in two requests at once"));
        }
    }
    state.requests += 1;
    (shared.plan)(state.requests - 1)
}

/// DynamoDB refuses a whole request for one item that is not valid.
fn is_valid(identities: &[Identity]) -> bool {
    identities.iter().all(|(key, _)| !key.is_empty() && key.len() <= 2048)
}

fn identity(item: &Value) -> Identity {
    let text = |name: &str| item[name]["S"].as_str().expect("a text attribute").to_owned();
    (text("key"), text("featureName"))
}
