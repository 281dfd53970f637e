//! Why each other process is not connected yet, for people.

use std::collections::BTreeSet;

use crate::mesh::Members;
use crate::mesh::handshake::Refusal;

/// What is known of the other processes.
#[derive(Debug)]
pub(super) struct Troubles {
    /// By index.
    peers: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    name: String,
    last: Option<String>,
    /// That was of the secret.
    is_unproven: bool,
    /// Each refusal is told once.
    told: BTreeSet<Refusal>,
}

impl Troubles {
    pub fn new(members: &Members) -> Troubles {
        let known = |index| Known { name: members.name(index), last: None, is_unproven: false, told: BTreeSet::new() };
        Troubles { peers: (0..members.processes()).map(known).collect() }
    }

    /// The last that is known of a process.
    pub fn last(&self, peer: u32) -> &str {
        self.peers[peer as usize].last.as_deref().unwrap_or("it has not connected")
    }

    /// This is known of it now.
    pub fn note(&mut self, peer: u32, what: String) {
        let known = &mut self.peers[peer as usize];
        known.is_unproven = false;
        if known.last.as_ref() != Some(&what) {
            tracing::debug!("{}: {what}", known.name);
            known.last = Some(what);
        }
    }

    /// This is known of it now, and the secret is why.
    pub fn note_unproven(&mut self, peer: u32, what: String) {
        self.note(peer, what);
        self.peers[peer as usize].is_unproven = true;
    }

    /// Whether the last that is known of a process is that it has another secret, or none.
    pub fn any_is_unproven(&self) -> bool {
        self.peers.iter().any(|known| known.is_unproven)
    }

    /// Somebody says that it is this process, and did not prove it. That is told only where nothing better is known:
    /// anybody can say so.
    pub fn note_claimed(&mut self, peer: u32, what: &str) {
        if let Some(known) = self.peers.get_mut(peer as usize) {
            known.is_unproven |= known.last.is_none();
            known.last.get_or_insert_with(|| what.to_owned());
        }
    }

    /// It is connected: what was, is no longer.
    pub fn forget(&mut self, peer: u32) {
        let known = &mut self.peers[peer as usize];
        (known.last, known.is_unproven) = (None, false);
    }

    /// It has refused this process.
    pub fn refused(&mut self, peer: u32, refusal: Refusal) {
        let known = &mut self.peers[peer as usize];
        // Only to wait is nothing to tell.
        if known.told.insert(refusal) && refusal != Refusal::NotYet {
            tracing::warn!("{} refused this process because {}", known.name, refusal.because());
        }
        known.is_unproven = false;
        known.last = Some(format!("it refused this process because {}", refusal.because()));
    }

    /// This process has refused it, and it tells so itself.
    pub fn turned_away(&mut self, peer: u32, refusal: Refusal) {
        self.note(peer, format!("it was refused because {}", refusal.because()));
    }
}
