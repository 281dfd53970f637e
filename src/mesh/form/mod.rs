//! Makes all connections of a run, or says within a deadline who is missing and why.
//!
//! The process with the higher index calls the one with the lower. Every process has three connections with process 0
//! (control, bulk, data) and one for data with each other. The one for control is first: over it process 0 tells the
//! generation, and all others are made with that. When it is lost, process 0 is another one: all is made anew.
//!
//! Until the end each connection is watched, and made again when it closes: a process that is restarted meanwhile dooms
//! nobody. Then all go on together: each tells process 0 when it has all its connections (and when it has them no
//! longer), and when all have them process 0 says so.
//!
//! - `table` is what there is and what is missing, and the way to that end;
//! - `accept` answers those who call, and `dial` calls;
//! - `troubles` and `strangers` remember why not, for people.
//!
//! One thread does it all, and nobody can make it wait: of what connects at most [`accept::MOST_UNFINISHED`] are heard
//! at a time, each for a short time, and of each a fixed number of bytes is read.

mod accept;
mod dial;
mod listen;
mod socket;
mod strangers;
mod table;
#[cfg(test)]
mod tests;
mod troubles;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

use self::accept::Unfinished;
use self::dial::Dials;
use self::strangers::Strangers;
use self::table::Table;
use self::troubles::Troubles;
use super::handshake::{Party, Refusal, VERSION};
use super::{ClusterError, ClusterId, Members, Secret};
use crate::epoch::Generation;

/// How often connections are looked at, and whether to stop. A change of them is looked at at once.
const TICK: Duration = Duration::from_millis(20);

/// After this, and then so often, it is said for whom is waited.
const TELL_AFTER: Duration = Duration::from_secs(2);
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What a process is in forming a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Process 0, with the generation that it has minted for the run.
    Leader(Generation),
    /// Any other: it learns the generation.
    Member,
}

/// What forming a cluster needs to know.
#[derive(Clone, Debug)]
pub struct MeshOptions {
    /// Who the processes are.
    pub members: Members,
    /// What all must agree on.
    pub cluster: ClusterId,
    /// What keeps strangers out. Without it, all processes must be on this machine's loopback.
    pub secret: Option<Secret>,
    /// What this process is.
    pub role: Role,
    /// How long all may take to be there.
    pub within: Duration,
}

/// A cluster that has formed: every process has all its connections.
#[derive(Debug)]
pub struct Mesh {
    generation: Generation,
    connections: Connections,
}

/// The connections of a process. All block, send without delay, and end soon when the other machine is gone: within 11
/// seconds of silence, or 10 seconds in which nothing that was sent is taken.
///
/// So whoever owns one must always read it: one that is not read for 10 seconds and is sent more than fits is lost.
#[derive(Debug)]
pub struct Connections {
    /// For timely: by index of the other process, `None` at this one's own.
    pub data: Vec<Option<TcpStream>>,
    /// Those with process 0: at process 0 one for each other process, in order; at any other exactly one.
    pub links: Vec<Link>,
}

/// What process 0 and another have besides timely's connection. Nothing has been sent over either by their owner.
#[derive(Debug)]
pub struct Link {
    /// The index of the other process.
    pub peer: u32,
    /// For small messages that must not wait behind others.
    pub control: TcpStream,
    /// For large ones.
    pub bulk: TcpStream,
}

impl Connections {
    /// Whoever does not take what is sent to it for so long is gone. On the bulk connections one waits as long as it takes: there, the other side may
    /// have no room.
    pub fn allow_silence(&self, within: Duration) -> io::Result<()> {
        let controls = self.links.iter().map(|link| &link.control);
        self.data.iter().flatten().chain(controls).try_for_each(|stream| socket::give_up_after(stream, within))?;
        self.links.iter().try_for_each(|link| socket::give_up_after(&link.bulk, Duration::ZERO))
    }
}

impl Mesh {
    /// The generation of the run: the same in all processes.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// What the run is made of from here on.
    pub fn into_connections(self) -> Connections {
        self.connections
    }
}

/// Connects this process with all others. Blocks until all processes have all their connections, the time is up, or
/// `stop` is set, which is seen within 100 ms.
pub fn form(options: MeshOptions, stop: &AtomicBool) -> Result<Mesh, ClusterError> {
    let MeshOptions { members, cluster, secret, role, within } = options;
    let process = members.process();
    match role {
        Role::Leader(_) if process != 0 => return Err(ClusterError::Role { process, role: "a leader" }),
        Role::Member if process == 0 => return Err(ClusterError::Role { process, role: "a member" }),
        _ => (),
    }
    let is_private = secret.is_none();
    if let Some(address) = members.beyond_loopback().filter(|_| is_private && members.processes() > 1) {
        return Err(ClusterError::NoSecret { address: address.to_owned() });
    }
    let secret = secret.unwrap_or_else(Secret::none);
    let party = Party { secret, version: VERSION, cluster, processes: members.processes(), process };
    let table = Table::new(&members, role);
    let forming = Rc::new(Forming {
        party,
        is_private,
        table: RefCell::new(table),
        troubles: RefCell::new(Troubles::new(&members)),
        members,
        unfinished: Unfinished::default(),
        strangers: RefCell::default(),
        changed: Notify::new(),
        failed: Cell::default(),
    });
    let system = |source| ClusterError::System { what: "the cluster cannot begin to form", source };
    let runtime = Builder::new_current_thread().enable_io().enable_time().build().map_err(system)?;
    // All tasks end with the set, and with them the listener and every connection that has not come to anything.
    let formed = LocalSet::new().block_on(&runtime, forming.run(within, stop));
    // A name may be resolved yet, on a thread of its own: nobody waits for that.
    runtime.shutdown_background();
    forming.strangers.borrow().tell_all();
    formed?;
    let (generation, connections) = forming.table.take().into_connections()?;
    Ok(Mesh { generation, connections })
}

/// What the tasks share. They run on one thread; none holds a borrow while it waits.
struct Forming {
    party: Party,
    members: Members,
    /// There is no secret: nothing but loopback is listened on or called.
    is_private: bool,
    table: RefCell<Table>,
    troubles: RefCell<Troubles>,
    unfinished: Unfinished,
    strangers: RefCell<Strangers>,
    /// There is a connection more, or it is time to call again.
    changed: Notify,
    /// Why it can come to nothing.
    failed: Cell<Option<ClusterError>>,
}

impl Forming {
    async fn run(self: &Rc<Forming>, within: Duration, stop: &AtomicBool) -> Result<(), ClusterError> {
        let started = Instant::now();
        let mut tell_at = TELL_AFTER;
        let mut dials = Dials::new(&self.members);
        // Nobody calls the last one.
        if self.party.process + 1 < self.party.processes {
            spawn_local(accept::listen(Rc::clone(self)));
        }
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(ClusterError::Interrupted);
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            let is_formed = self.table.borrow_mut().turn(&mut self.troubles.borrow_mut());
            if is_formed.map_err(|peer| ClusterError::Lost { peer: self.members.name(peer) })? {
                return Ok(());
            }
            dials.call_missing(self);
            let waited = started.elapsed();
            if waited >= within {
                let unproven = self.troubles.borrow().any_is_unproven();
                return Err(ClusterError::Missing { within, missing: self.missing(), unproven });
            }
            if waited >= tell_at {
                tell_at = waited + TELL_EVERY;
                tracing::info!("waiting for {}", self.missing());
            }
            // Either way it is time to look.
            let _ = timeout(TICK, self.changed.notified()).await;
        }
    }

    /// For whom is waited, each with what is known of it.
    fn missing(&self) -> String {
        let (table, troubles) = (self.table.borrow(), self.troubles.borrow());
        let unconnected = table.unconnected();
        let says = |(peer, what): (u32, &str)| format!("{}: {what}", self.members.name(peer));
        let all: Vec<_> = match unconnected.is_empty() {
            false => unconnected.into_iter().map(|peer| says((peer, troubles.last(peer)))).collect(),
            true => table.incomplete().into_iter().map(|peer| says((peer, "it waits for others"))).collect(),
        };
        all.join("; ")
    }

    /// Another process has refused this one. Some refusals are final.
    fn refused(&self, peer: u32, refusal: Refusal) {
        self.troubles.borrow_mut().refused(peer, refusal);
        if refusal.is_final() {
            let peer = self.members.name(peer);
            self.failed.set(Some(ClusterError::Differs { peer, what: refusal.because() }));
        }
    }
}
