//! Calls those with lower indices, again and again until they take the call.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::Forming;
use super::socket::prepare;
use super::table::Place;
use crate::epoch::Generation;
use crate::mesh::Members;
use crate::mesh::handshake::{CHALLENGE_BYTES, Caller, Purpose, Refusal, Strange, VERDICT_BYTES};

/// A call that has not come to anything by then is given up, and made again.
const CALL_WITHIN: Duration = Duration::from_secs(5);

/// Between two calls: at first, and at most.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The calls of this process, by what they are for.
#[derive(Debug)]
pub(super) struct Dials {
    dials: BTreeMap<Place, Rc<Dial>>,
}

#[derive(Debug)]
struct Dial {
    is_calling: Cell<bool>,
    next: Cell<Instant>,
    pause: Cell<Duration>,
}

/// Why a call came to nothing.
enum Failed {
    /// The other side has said why.
    Refused(Refusal),
    /// This is known.
    Because(String),
    /// This is known, and the secret is why.
    Unproven(String),
    /// It is not wanted any longer.
    Outdated,
}

impl Dials {
    pub fn new(members: &Members) -> Dials {
        let purposes =
            |peer: u32| Purpose::ALL.into_iter().filter(move |purpose| peer == 0 || *purpose == Purpose::Data);
        let places = (0..members.process()).flat_map(|peer| purposes(peer).map(move |purpose| (peer, purpose)));
        Dials { dials: places.map(|place| (place, Rc::new(Dial::new()))).collect() }
    }

    /// Calls for each connection that is missing, where it is time to.
    pub fn call_missing(&mut self, forming: &Rc<Forming>) {
        let table = forming.table.borrow();
        for place in table.missing() {
            let Some(dial) = self.dials.get(&place) else { continue };
            let generation = match place.1 {
                Purpose::Control => None,
                // Nothing else can be made before it is learnt.
                _ if table.generation().is_none() => continue,
                _ => table.generation(),
            };
            if !dial.is_calling.get() && dial.next.get() <= Instant::now() {
                dial.is_calling.set(true);
                spawn_local(Rc::clone(dial).call(Rc::clone(forming), place, generation));
            }
        }
    }
}

impl Dial {
    fn new() -> Dial {
        Dial { is_calling: Cell::new(false), next: Cell::new(Instant::now()), pause: Cell::new(SHORTEST_PAUSE) }
    }

    async fn call(self: Rc<Dial>, forming: Rc<Forming>, place: Place, generation: Option<Generation>) {
        let (peer, purpose) = place;
        let called = match timeout(CALL_WITHIN, call(&forming, place, generation)).await {
            Ok(called) => called,
            Err(_) => Err(Failed::Because(format!("it did not answer within {} s", CALL_WITHIN.as_secs()))),
        };
        let result =
            called.and_then(|(stream, generation)| match forming.connected(peer, purpose, stream, generation) {
                true => Ok(()),
                false => Err(Failed::Outdated),
            });
        self.pause.set(match &result {
            Ok(()) => SHORTEST_PAUSE,
            Err(_) => LONGEST_PAUSE.min(self.pause.get() * 2),
        });
        self.is_calling.set(false);
        self.next.set(Instant::now() + self.pause.get());
        match result {
            Err(Failed::Refused(refusal)) => forming.refused(peer, refusal),
            Err(Failed::Because(what)) => forming.troubles.borrow_mut().note(peer, what),
            Err(Failed::Unproven(what)) => forming.troubles.borrow_mut().note_unproven(peer, what),
            Err(Failed::Outdated) | Ok(()) => (),
        }
        forming.changed.notify_one();
    }
}

/// Makes one connection.
async fn call(
    forming: &Forming,
    (peer, purpose): Place,
    generation: Option<Generation>,
) -> Result<(std::net::TcpStream, Generation), Failed> {
    let mut stream = connect(forming.members.address(peer), forming.is_private).await?;
    let (caller, hello) = Caller::new(&forming.party, peer, purpose, generation, rand::random());
    stream.write_all(&hello).await.map_err(broken)?;
    let mut challenge = [0; CHALLENGE_BYTES];
    stream.read_exact(&mut challenge).await.map_err(broken)?;
    let (waiting, proof) = caller.prove(challenge)?;
    stream.write_all(&proof).await.map_err(broken)?;
    let mut verdict = [0; VERDICT_BYTES];
    stream.read_exact(&mut verdict).await.map_err(unproven)?;
    let generation = waiting.verdict(verdict)?.map_err(Failed::Refused)?;
    prepare(&stream).map_err(broken)?;
    Ok((stream.into_std().map_err(broken)?, generation))
}

/// Connects to the first of its addresses where somebody listens.
async fn connect(address: &str, only_loopback: bool) -> Result<TcpStream, Failed> {
    let unresolved = |error| Failed::Because(format!("its name does not resolve ({error})"));
    let resolved = lookup_host(address).await.map_err(unresolved)?;
    let addresses: Vec<SocketAddr> = resolved.filter(|address| !only_loopback || address.ip().is_loopback()).collect();
    let mut last = "its name does not resolve to loopback".to_owned();
    for address in &addresses {
        match timeout(CALL_WITHIN / addresses.len() as u32, TcpStream::connect(address)).await {
            // A port of the kind that the system gives to callers may be given to this very call.
            Ok(Ok(stream)) if stream.local_addr().is_ok_and(|own| own == *address) => (),
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = format!("it cannot be connected to ({error})"),
            Err(_) => last = "it cannot be connected to (nothing answers)".to_owned(),
        }
    }
    Err(Failed::Because(last))
}

fn broken(error: io::Error) -> Failed {
    Failed::Because(format!("its connection broke ({error})"))
}

/// A process that is not convinced closes without a word.
fn unproven(error: io::Error) -> Failed {
    Failed::Unproven(format!("it closed the connection ({error}): have both the same COUNTER_MACHINE_SECRET?"))
}

impl From<Strange> for Failed {
    fn from(strange: Strange) -> Failed {
        match strange {
            Strange::Garbage => Failed::Because(
                "what listens there is not counter-machine, or not one that this one understands".to_owned(),
            ),
            Strange::Unproven => Failed::Unproven("what listens there does not know the secret".to_owned()),
        }
    }
}
