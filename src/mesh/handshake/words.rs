//! What is said in a handshake, and its bytes.

use super::Party;
use crate::epoch::Generation;
use crate::mesh::ClusterId;

/// Bytes that are random, and used once.
pub(in crate::mesh) type Nonce = [u8; 32];

/// The first bytes of both sides.
pub(super) const MAGIC: [u8; 20] = *b"counter-machine mesh";

/// What is done with the connections, and how the mesh forms.
pub(in crate::mesh) const VERSION: u32 = 1;

pub(in crate::mesh) const HELLO_BYTES: usize = 20 + 4 + 4 + 32 + 4 + 4 + 1 + 1 + 4 + 32;
pub(in crate::mesh) const CHALLENGE_BYTES: usize = 20 + 4 + 4 + 32 + 4 + 32;
pub(in crate::mesh) const PROOF_BYTES: usize = 32;
pub(in crate::mesh) const VERDICT_BYTES: usize = 1 + 4 + PROOF_BYTES;

/// What a connection is for. Its number is part of what is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::mesh) enum Purpose {
    /// Of each process with process 0, and before all others: over it the generation is learnt.
    Control = 1,
    /// Of each process with process 0.
    Bulk = 2,
    /// Timely's own, between each two processes.
    Data = 3,
}

/// What a caller claims. Nothing of it is believed before it is [`Proven`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mesh) struct Hello {
    pub version: u32,
    pub processes: u32,
    pub cluster: ClusterId,
    pub from: u32,
    pub to: u32,
    pub purpose: Purpose,
    /// What the caller has learnt from process 0; not yet anything on a connection for control.
    pub generation: Option<Generation>,
}

/// Why a caller that is no stranger is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::mesh) enum Refusal {
    OtherVersion = 2,
    OtherProcesses = 3,
    OtherCluster = 4,
    OtherIndex = 5,
    Misplaced = 6,
    NotYet = 7,
    OtherGeneration = 8,
    Duplicate = 9,
}

/// The verdict that is no refusal.
pub(super) const ACCEPTED: u8 = 1;

impl Purpose {
    /// All there are.
    pub const ALL: [Purpose; 3] = [Purpose::Control, Purpose::Bulk, Purpose::Data];
}

impl Refusal {
    pub const ALL: [Refusal; 8] = [
        Refusal::OtherVersion,
        Refusal::OtherProcesses,
        Refusal::OtherCluster,
        Refusal::OtherIndex,
        Refusal::Misplaced,
        Refusal::NotYet,
        Refusal::OtherGeneration,
        Refusal::Duplicate,
    ];

    /// Trying again changes nothing.
    pub fn is_final(self) -> bool {
        matches!(self, Refusal::OtherVersion | Refusal::OtherProcesses | Refusal::OtherCluster)
    }

    /// Why, after "because", for either of the two.
    pub fn because(self) -> &'static str {
        match self {
            Refusal::OtherVersion => "the two are of different versions",
            Refusal::OtherProcesses => "the two were started for different numbers of processes (-n)",
            Refusal::OtherCluster => "the two run different pipelines, numbers of workers, or versions",
            Refusal::OtherIndex => "their files of hosts (-h) differ, or an index (-p) is wrong",
            Refusal::Misplaced => "processes with these indices have no such connection",
            Refusal::NotYet => "the one that was called has not heard from process 0",
            Refusal::OtherGeneration => "one of the two has the generation of an earlier process 0",
            Refusal::Duplicate => "there is such a connection already, and alive",
        }
    }
}

impl Hello {
    pub fn encode(&self, nonce: Nonce) -> [u8; HELLO_BYTES] {
        let Hello { version, processes, cluster, from, to, purpose, generation } = self;
        let mut bytes = [0; HELLO_BYTES];
        put(
            &mut bytes,
            &[
                &MAGIC,
                &version.to_be_bytes(),
                &processes.to_be_bytes(),
                &cluster.0,
                &from.to_be_bytes(),
                &to.to_be_bytes(),
                &[*purpose as u8, u8::from(generation.is_some())],
                &generation.unwrap_or_default().0.to_be_bytes(),
                &nonce,
            ],
        );
        bytes
    }

    pub fn decode(bytes: &[u8; HELLO_BYTES]) -> Option<Hello> {
        let mut rest = bytes.strip_prefix(&MAGIC)?;
        let (version, processes) = (take_number(&mut rest)?, take_number(&mut rest)?);
        let cluster = ClusterId(take(&mut rest)?);
        let (from, to) = (take_number(&mut rest)?, take_number(&mut rest)?);
        let [purpose, knows] = take(&mut rest)?;
        let purpose = Purpose::ALL.into_iter().find(|known| *known as u8 == purpose)?;
        let generation = Generation(take_number(&mut rest)?);
        let generation = match knows {
            0 => None,
            1 => Some(generation),
            _ => return None,
        };
        Some(Hello { version, processes, cluster, from, to, purpose, generation })
    }
}

/// All of a challenge but its nonce.
pub(super) fn challenge_head(party: &Party) -> [u8; CHALLENGE_BYTES - 32] {
    let Party { version, cluster, processes, process, .. } = party;
    let mut head = [0; CHALLENGE_BYTES - 32];
    let numbers = [version, processes, process].map(|number| number.to_be_bytes());
    put(&mut head, &[&MAGIC, &numbers[0], &numbers[1], &cluster.0, &numbers[2]]);
    head
}

/// Fills `bytes` with the parts, which are as long together.
pub(super) fn put(mut bytes: &mut [u8], parts: &[&[u8]]) {
    for part in parts {
        let (place, rest) = bytes.split_at_mut(part.len());
        place.copy_from_slice(part);
        bytes = rest;
    }
    debug_assert!(bytes.is_empty());
}

fn take<const BYTES: usize>(rest: &mut &[u8]) -> Option<[u8; BYTES]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

pub(super) fn take_number(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_be_bytes)
}
