//! Answers those who call.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{sleep, timeout};

use super::Forming;
use super::listen;
use super::socket::prepare;
use super::strangers::Wrong;
use crate::epoch::Generation;
use crate::mesh::ClusterError;
use crate::mesh::handshake::{Answerer, CHALLENGE_BYTES, HELLO_BYTES, PROOF_BYTES, Purpose, Strange};

/// So many callers may not yet have said who they are. One more takes the place of the oldest: a caller of the cluster
/// needs it for an instant.
pub(super) const MOST_UNFINISHED: usize = 256;

/// So long a caller may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// A port that is taken may be that of this process's predecessor, on its way out.
const PORT_FREE_WITHIN: Duration = Duration::from_secs(5);

/// After an error that the next connection would have as well, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// The conversations that go on, by their order.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    next: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, (SocketAddr, AbortHandle)>>,
}

/// Listens, and answers whoever calls, until the task ends with all others.
pub(super) async fn listen(forming: Rc<Forming>) {
    let (started, process) = (Instant::now(), forming.party.process);
    let listeners = loop {
        match listen::listen(forming.members.address(process), forming.is_private).await {
            Ok(listeners) => break listeners,
            Err(error) if error.kind() == ErrorKind::AddrInUse && started.elapsed() < PORT_FREE_WITHIN => {
                sleep(PAUSE).await;
            }
            Err(source) => {
                let process = forming.members.name(process);
                forming.failed.set(Some(ClusterError::Listen { process, source }));
                forming.changed.notify_one();
                return;
            }
        }
    };
    for listener in listeners {
        spawn_local(accept(Rc::clone(&forming), listener));
    }
}

async fn accept(forming: Rc<Forming>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => forming.unfinished.begin(&forming, stream, from),
            Err(error) => {
                tracing::debug!("a connection was not accepted: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

impl Unfinished {
    fn begin(&self, forming: &Rc<Forming>, stream: TcpStream, from: SocketAddr) {
        let is_full = self.tasks.borrow().len() >= MOST_UNFINISHED;
        let oldest = is_full.then(|| self.tasks.borrow_mut().pop_first()).flatten();
        if let Some((_, (from, task))) = oldest {
            task.abort();
            forming.strangers.borrow_mut().note(from, Wrong::Displaced);
        }
        let order = self.next.get();
        self.next.set(order + 1);
        let task = spawn_local(converse(Rc::clone(forming), stream, from, order));
        self.tasks.borrow_mut().insert(order, (from, task.abort_handle()));
    }

    fn end(&self, order: u64) {
        self.tasks.borrow_mut().remove(&order);
    }
}

async fn converse(forming: Rc<Forming>, stream: TcpStream, from: SocketAddr, order: u64) {
    let answered = timeout(HANDSHAKE_WITHIN, answer(&forming, stream)).await;
    forming.unfinished.end(order);
    if let Err(wrong) = answered.unwrap_or(Err(Wrong::Slow)) {
        forming.strangers.borrow_mut().note(from, wrong);
    }
}

/// Hears who calls, and takes the connection or tells why not.
async fn answer(forming: &Forming, mut stream: TcpStream) -> Result<(), Wrong> {
    let mut hello = [0; HELLO_BYTES];
    stream.read_exact(&mut hello).await?;
    let (answerer, challenge): (_, [u8; CHALLENGE_BYTES]) = Answerer::new(&forming.party, hello, rand::random())?;
    stream.write_all(&challenge).await?;
    let mut proof = [0; PROOF_BYTES];
    stream.read_exact(&mut proof).await?;
    let claimed = answerer.claimed();
    let proven = answerer.hear(proof).inspect_err(|_| {
        let what = "somebody says that it is this process, and does not know the secret";
        forming.troubles.borrow_mut().note_claimed(claimed, what);
    })?;
    prepare(&stream)?;
    let stream = stream.into_std()?;
    // From here to the end nothing waits: what is decided still holds when it is done.
    let hello = proven.hello();
    let place = (hello.from, hello.purpose);
    let decided = {
        let mut table = forming.table.borrow_mut();
        let is_taken = table.is_taken(place);
        proven.judge(table.generation(), is_taken)
    };
    // There is room for it: little has been sent.
    (&stream).write_all(&proven.tell(decided))?;
    match decided {
        Ok(generation) => _ = forming.connected(hello.from, hello.purpose, stream, generation),
        // One that is not of the run has no name.
        Err(refusal) if hello.from < forming.party.processes => {
            forming.troubles.borrow_mut().turned_away(hello.from, refusal)
        }
        Err(refusal) => tracing::warn!("a process {} was refused because {}", hello.from, refusal.because()),
    }
    Ok(())
}

impl Forming {
    /// There is a connection more; unless it is not wanted any longer.
    pub(super) fn connected(
        &self,
        peer: u32,
        purpose: Purpose,
        stream: std::net::TcpStream,
        generation: Generation,
    ) -> bool {
        let is_put = self.table.borrow_mut().put((peer, purpose), stream, generation);
        if is_put {
            self.troubles.borrow_mut().forget(peer);
        }
        self.changed.notify_one();
        is_put
    }
}

impl From<io::Error> for Wrong {
    fn from(_: io::Error) -> Wrong {
        Wrong::Closed
    }
}

impl From<Strange> for Wrong {
    fn from(strange: Strange) -> Wrong {
        match strange {
            Strange::Garbage => Wrong::Garbage,
            Strange::Unproven => Wrong::Unproven,
        }
    }
}
