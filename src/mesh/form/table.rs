//! Which connections there are, which are missing, and when all may go on.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use super::socket::is_closed;
use super::troubles::Troubles;
use super::{Connections, Link, Role};
use crate::epoch::Generation;
use crate::mesh::handshake::Purpose;
use crate::mesh::{ClusterError, Members};

/// What is said over a connection for control until all go on: a byte each.
const COMPLETE: u8 = b'C';
const INCOMPLETE: u8 = b'I';
const GO: u8 = b'G';

/// So many are read of a process at a time.
const MOST_SIGNALS: usize = 16;

/// What is known of a process whose connection was lost.
const GONE: &str = "it was there, and its connection has closed";

/// A connection of this process: with whom, and for what.
pub(super) type Place = (u32, Purpose);

/// The connections of this process. None of them blocks while it is here.
#[derive(Debug, Default)]
pub(super) struct Table {
    process: u32,
    processes: u32,
    generation: Option<Generation>,
    /// A place for each connection that there must be.
    places: BTreeMap<Place, Option<TcpStream>>,
    /// At process 0: who has said that it has all its connections.
    complete: BTreeSet<u32>,
    /// At another: what it has said of itself.
    has_said_complete: bool,
    /// At another: process 0 has said that all go on.
    may_go: bool,
}

impl Table {
    pub fn new(members: &Members, role: Role) -> Table {
        let (process, processes) = (members.process(), members.processes());
        let others = (0..processes).filter(|other| *other != process);
        let has = |other: u32, purpose: Purpose| other == 0 || process == 0 || purpose == Purpose::Data;
        let places = others.flat_map(|other| Purpose::ALL.map(|purpose| (other, purpose)));
        let places = places.filter(|(other, purpose)| has(*other, *purpose)).map(|place| (place, None)).collect();
        let generation = match role {
            Role::Leader(generation) => Some(generation),
            Role::Member => None,
        };
        Table { process, processes, generation, places, ..Table::default() }
    }

    /// What this process has minted, or learnt of process 0.
    pub fn generation(&self) -> Option<Generation> {
        self.generation
    }

    /// Whether there is such a connection, as far as can be seen, and alive. A dead one is put away.
    pub fn is_taken(&mut self, place: Place) -> bool {
        if self.is_dead(place) {
            self.lose(place);
        }
        self.places.get(&place).is_some_and(Option::is_some)
    }

    /// Takes a connection that was made with this generation; not if there is one already, or another generation. One
    /// for control teaches a member the generation.
    pub fn put(&mut self, place: Place, stream: TcpStream, generation: Generation) -> bool {
        if self.is_taken(place) {
            return false;
        }
        let is_taught = place.1 == Purpose::Control && self.process != 0;
        if is_taught {
            self.generation = Some(generation);
        }
        match self.places.get_mut(&place) {
            Some(free) if self.generation == Some(generation) => {
                *free = Some(stream);
                true
            }
            _ => false,
        }
    }

    /// The connections that are missing.
    pub fn missing(&self) -> impl Iterator<Item = Place> {
        self.places.iter().filter(|(_, stream)| stream.is_none()).map(|(place, _)| *place)
    }

    /// The processes that a connection is missing with.
    pub fn unconnected(&self) -> BTreeSet<u32> {
        self.missing().map(|(peer, _)| peer).collect()
    }

    /// For whom is waited when no connection is missing: at process 0 all that have not said that they are complete, at
    /// another process 0.
    pub fn incomplete(&self) -> BTreeSet<u32> {
        match self.process {
            0 => (1..self.processes).filter(|peer| !self.complete.contains(peer)).collect(),
            _ => BTreeSet::from([0]),
        }
    }

    /// Looks at the connections, and tells and hears who is complete. Whether all go on; an error is a process that has
    /// gone when others have been told to go on.
    pub fn turn(&mut self, troubles: &mut Troubles) -> Result<bool, u32> {
        if self.process == 0 { self.turn_of_leader(troubles) } else { Ok(self.turn_of_member(troubles)) }
    }

    fn turn_of_leader(&mut self, troubles: &mut Troubles) -> Result<bool, u32> {
        for peer in 1..self.processes {
            for _ in 0..MOST_SIGNALS {
                match self.hear(peer) {
                    Ok(None) => break,
                    Ok(Some(COMPLETE)) => _ = self.complete.insert(peer),
                    Ok(Some(INCOMPLETE)) => _ = self.complete.remove(&peer),
                    Ok(Some(_)) | Err(_) => {
                        self.lose_control(peer, troubles);
                        break;
                    }
                }
            }
        }
        self.lose_dead(troubles);
        let is_complete = self.missing().next().is_none() && self.incomplete().is_empty();
        if is_complete {
            // From here on what comes over them is for their owner.
            for peer in 1..self.processes {
                self.say(peer, GO).map_err(|_| peer)?;
            }
        }
        Ok(is_complete)
    }

    fn turn_of_member(&mut self, troubles: &mut Troubles) -> bool {
        if !self.may_go {
            match self.hear(0) {
                Ok(None) => (),
                // What follows is for its owner.
                Ok(Some(GO)) => self.may_go = true,
                Ok(Some(_)) | Err(_) => self.lose_control(0, troubles),
            }
        }
        // Others may have gone on, and even ended: that is theirs to find out who use the connections.
        if self.may_go && self.missing().next().is_none() {
            return true;
        }
        self.lose_dead(troubles);
        let is_complete = self.missing().next().is_none();
        // One that is still missing when all go on is on its way here: whoever made it had it when it said so.
        if !self.may_go && self.generation.is_some() && is_complete != self.has_said_complete {
            match self.say(0, if is_complete { COMPLETE } else { INCOMPLETE }) {
                Ok(()) => self.has_said_complete = is_complete,
                Err(_) => self.lose_control(0, troubles),
            }
        }
        false
    }

    fn lose_dead(&mut self, troubles: &mut Troubles) {
        let places: Vec<_> = self.places.keys().copied().collect();
        for place in places.into_iter().filter(|place| self.is_dead(*place)).collect::<Vec<_>>() {
            self.lose(place);
            troubles.note(place.0, GONE.to_owned());
        }
    }

    fn lose_control(&mut self, peer: u32, troubles: &mut Troubles) {
        self.lose((peer, Purpose::Control));
        troubles.note(peer, GONE.to_owned());
    }

    fn is_dead(&self, place: Place) -> bool {
        self.places.get(&place).and_then(Option::as_ref).is_some_and(is_closed)
    }

    /// Puts a connection away. Without the one for control all are worthless that hang on it: at process 0 those with
    /// that process, at another all there are, for its process 0 is no longer, and its generation with it.
    fn lose(&mut self, place: Place) {
        let (peer, purpose) = place;
        let is_leader = self.process == 0;
        let hangs = |other: Place| other == place || purpose == Purpose::Control && (!is_leader || other.0 == peer);
        for (_, stream) in self.places.iter_mut().filter(|(other, _)| hangs(**other)) {
            *stream = None;
        }
        if purpose == Purpose::Control {
            self.complete.remove(&peer);
            (self.has_said_complete, self.may_go) = (false, false);
            self.generation = self.generation.filter(|_| is_leader);
        }
    }

    /// The next that a process has said, if it has.
    fn hear(&mut self, peer: u32) -> io::Result<Option<u8>> {
        let mut signal = [0];
        match self.control(peer).map(|mut control| control.read(&mut signal)) {
            None => Ok(None),
            Some(Ok(0)) => Err(ErrorKind::UnexpectedEof.into()),
            Some(Ok(_)) => Ok(Some(signal[0])),
            Some(Err(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
            Some(Err(error)) => Err(error),
        }
    }

    /// Says something to a process. So little has been said before that there is always room for it.
    fn say(&mut self, peer: u32, signal: u8) -> io::Result<()> {
        let mut control = self.control(peer).ok_or(ErrorKind::NotConnected)?;
        control.write_all(&[signal])
    }

    fn control(&self, peer: u32) -> Option<&TcpStream> {
        self.places.get(&(peer, Purpose::Control)).and_then(Option::as_ref)
    }

    /// The connections of a run that all go on with, for their owners: they block.
    pub fn into_connections(mut self) -> Result<(Generation, Connections), ClusterError> {
        let system = |source| ClusterError::System { what: "the connections cannot be handed over", source };
        for stream in self.places.values().flatten() {
            stream.set_nonblocking(false).map_err(system)?;
        }
        let mut take = |place: Place| self.places.remove(&place).flatten();
        let data = (0..self.processes).map(|peer| take((peer, Purpose::Data))).collect();
        let mut links = Vec::new();
        for peer in 0..self.processes {
            if let (Some(control), Some(bulk)) = (take((peer, Purpose::Control)), take((peer, Purpose::Bulk))) {
                links.push(Link { peer, control, bulk });
            }
        }
        Ok((self.generation.unwrap_or_default(), Connections { data, links }))
    }
}
