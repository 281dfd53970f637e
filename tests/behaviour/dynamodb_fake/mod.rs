//! A fake of the DynamoDB API that fails on demand, for tests and benchmarks: the wire protocol that aws-sdk-dynamodb
//! speaks, over HTTP/1.1 on loopback, on threads of this process.
//!
//! What is like the service: BatchWriteItem, PutItem, UpdateItem (SET, REMOVE), DeleteItem, GetItem, BatchGetItem, Query,
//! Scan, and the operations on tables, TTL and point-in-time recovery; its validation, error codes and (nearly) messages;
//! sizes of items and write units; numbers come back normalised. `dynamodb_api.rs` holds that against DynamoDB Local.
//! What is not: secondary indexes, transactions, streams, signatures (anything that looks like one is taken), deletion by
//! TTL, `attribute_type`, ADD and DELETE; a Scan goes by the bytes of the keys.
//!
//! What goes wrong is scripted: a plan gives each request that writes a [`Fault`]; [`Script`] holds what lasts (latency,
//! rates, a black hole) and is changed while the fake runs; [`FakeDynamoDb::stop`] refuses connections.
//!
//! What it watches: every effect on an item is recorded ([`State::record`]), with the item's version before and after, so
//! that [`State::went_back`] holds every write that took an item back; two requests that write one item at once are a
//! violation (a request that is carried out late by script is none: whoever sent it was let go before).
//!
//! It stands alone: a benchmark can include this folder.
#![allow(dead_code, reason = "what one test does not use, another does")]

mod answer;
mod condition;
mod connection;
mod control;
mod expression;
mod faults;
mod number;
mod placeholders;
mod read;
mod record;
mod server;
mod state;
mod table;
mod update;
mod value;
mod write;
mod write_request;

use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

use connection::{Breaker, Door};
#[allow(unused_imports, reason = "what one test does not use, another does")]
pub use faults::{Fault, Holding, Rate, Request, Script, Trouble, UNITS_OF_A_PARTITION};
pub use number::normalised;
#[allow(unused_imports, reason = "what one test does not use, another does")]
pub use record::{Effect, Record};
use server::{Plan, Shared, router};
pub use state::{State, TABLE};
#[allow(unused_imports, reason = "what one test does not use, another does")]
pub use table::{Billing, Changing, Existence, Identity, Table};

/// A running fake, with a table [`TABLE`] (HASH `key`, RANGE `featureName`).
pub struct FakeDynamoDb {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Takes connections; its end breaks them all.
    front: Option<Thread>,
    /// Carries out what outlives its connection.
    _background: Thread,
}

impl FakeDynamoDb {
    /// `plan` says what happens to the n-th request that writes.
    pub fn start(plan: impl Fn(u64) -> Fault + Send + Sync + 'static) -> FakeDynamoDb {
        FakeDynamoDb::with_plan(Plan::Numbers(Box::new(plan)))
    }

    /// The same with a plan that sees the request. It must not ask for the fake's state.
    pub fn scripted(plan: impl Fn(&Request) -> Fault + Send + Sync + 'static) -> FakeDynamoDb {
        FakeDynamoDb::with_plan(Plan::Requests(Box::new(plan)))
    }

    fn with_plan(plan: Plan) -> FakeDynamoDb {
        let (background, handle) = Thread::start(|_| {});
        let state = State::new().into();
        let shared = Arc::new(Shared { state, plan, background: handle });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut fake = FakeDynamoDb { address, shared, front: None, _background: background };
        fake.listen(listener);
        fake
    }

    /// One that does nothing but take what it is given, as fast as it can: to be measured against.
    /// (14 us of CPU for an item of the reference pipeline, 25 to a request, in the unoptimised test profile.)
    pub fn fast() -> FakeDynamoDb {
        let fake = FakeDynamoDb::start(|_| Fault::None);
        let mut state = fake.state();
        state.script.latency = Duration::ZERO;
        state.script.ignores_overlap = true;
        state.record.most_effects = 0;
        drop(state);
        fake
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it holds; nothing is answered meanwhile.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// Waits until this is so, at most for 30 seconds.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let started = std::time::Instant::now();
        while !is_so(&self.state()) {
            assert!(started.elapsed() < Duration::from_secs(30), "{what}: waited in vain");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Breaks every connection and refuses new ones. What is in the tables stays; what is late is still carried out.
    pub fn stop(&mut self) {
        self.front = None;
    }

    /// Takes connections again.
    pub fn start_again(&mut self) {
        self.listen(std::net::TcpListener::bind(self.address).expect("the port is free again"));
    }

    fn listen(&mut self, listener: std::net::TcpListener) {
        let router = router(Arc::clone(&self.shared)).into_make_service_with_connect_info::<Breaker>();
        listener.set_nonblocking(true).expect("a listener that can be waited for");
        let serve = move |runtime: &Runtime| {
            let _entered = runtime.enter();
            let door = Door(tokio::net::TcpListener::from_std(listener).expect("a listener"));
            runtime.spawn(async move { axum::serve(door, router).await });
        };
        self.front = Some(Thread::start(serve).0);
    }
}

/// A thread with a runtime of its own; all that runs there ends with it.
struct Thread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    fn start(begin: impl FnOnce(&Runtime) + Send) -> (Thread, Handle) {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        begin(&runtime);
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("dynamodb-fake".to_owned());
        let thread = thread.spawn(move || drop(runtime.block_on(stopped))).expect("a thread");
        (Thread { stop: Some(stop), thread: Some(thread) }, handle)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has said itself why it panicked.
            let _ = thread.join();
        }
    }
}
