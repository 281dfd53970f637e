//! What two processes say to each other before either believes the other. Pure: bytes in, bytes out.
//!
//! ```text
//! caller                                           answerer
//!   hello: who I am, whom I mean, what for, nonce ->
//!                                                  <- challenge: who I am, nonce
//!   proof: HMAC("caller", hello, challenge)       ->
//!                                                  <- verdict: HMAC("answerer", hello, challenge, verdict)
//! ```
//!
//! Both proofs cover every byte that was said, so nothing can be changed on the way, and none serves for another
//! direction, purpose or process. Both nonces are in them, so nothing that was heard can be said again. The answerer
//! speaks first of what it thinks of the caller when the caller has proven itself; a stranger hears nothing of it.
//!
//! The layout is for ever, so that two versions can tell each other that they differ: what is agreed on beyond it is
//! counted by [`VERSION`].

#[cfg(test)]
mod tests;
mod words;

use self::words::{ACCEPTED, Hello, MAGIC, Nonce, challenge_head, put, take_number};
pub(super) use self::words::{CHALLENGE_BYTES, HELLO_BYTES, PROOF_BYTES, Purpose, Refusal, VERDICT_BYTES, VERSION};
use super::secret::{ClusterId, Secret};
use crate::epoch::Generation;

/// What the proofs begin with. Of one length, as all is that follows.
const BY_CALLER: &[u8] = b"proof by caller  ";
const BY_ANSWERER: &[u8] = b"proof by answerer";

/// A process, as it presents itself.
#[derive(Clone, Debug)]
pub(super) struct Party {
    pub secret: Secret,
    pub version: u32,
    pub cluster: ClusterId,
    pub processes: u32,
    pub process: u32,
}

/// The other side is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strange {
    /// It does not speak as we do.
    Garbage,
    /// It does not know the secret.
    Unproven,
}

/// The side that connects, when it has said hello.
#[derive(Debug)]
pub(super) struct Caller<'p> {
    party: &'p Party,
    hello: Hello,
    said: [u8; HELLO_BYTES],
}

/// The side that connects, when it has proven itself.
#[derive(Debug)]
pub(super) struct Waiting<'p> {
    caller: Caller<'p>,
    heard: [u8; CHALLENGE_BYTES],
}

/// The side that accepts, when it has challenged.
#[derive(Debug)]
pub(super) struct Answerer<'p> {
    party: &'p Party,
    hello: Hello,
    heard: [u8; HELLO_BYTES],
    said: [u8; CHALLENGE_BYTES],
}

/// The side that accepts, when the caller has proven itself.
#[derive(Debug)]
pub(super) struct Proven<'p>(Answerer<'p>);

impl<'p> Caller<'p> {
    /// Says hello to the process `to`. The nonce must be a new one.
    pub fn new(
        party: &'p Party,
        to: u32,
        purpose: Purpose,
        generation: Option<Generation>,
        nonce: Nonce,
    ) -> (Caller<'p>, [u8; HELLO_BYTES]) {
        let &Party { version, processes, cluster, process: from, .. } = party;
        let hello = Hello { version, processes, cluster, from, to, purpose, generation };
        let said = hello.encode(nonce);
        (Caller { party, hello, said }, said)
    }

    /// Answers the challenge with a proof.
    pub fn prove(self, challenge: [u8; CHALLENGE_BYTES]) -> Result<(Waiting<'p>, [u8; PROOF_BYTES]), Strange> {
        if !challenge.starts_with(&MAGIC) {
            return Err(Strange::Garbage);
        }
        let proof = self.party.secret.prove(&[BY_CALLER, &self.said, &challenge]);
        Ok((Waiting { caller: self, heard: challenge }, proof))
    }
}

impl Waiting<'_> {
    /// What the other side decided: the generation of the mesh, or why it does not want this connection.
    pub fn verdict(self, verdict: [u8; VERDICT_BYTES]) -> Result<Result<Generation, Refusal>, Strange> {
        let Waiting { caller: Caller { party, hello, said }, heard } = self;
        let (decision, proof) = verdict.split_at(VERDICT_BYTES - PROOF_BYTES);
        if !party.secret.is_proof(&[BY_ANSWERER, &said, &heard, decision], proof) {
            return Err(Strange::Unproven);
        }
        let (code, mut generation) = (decision[0], &decision[1..]);
        if let Some(refusal) = Refusal::ALL.into_iter().find(|refusal| *refusal as u8 == code) {
            return Ok(Err(refusal));
        }
        let generation = Generation(take_number(&mut generation).ok_or(Strange::Garbage)?);
        // One that accepts what it should have refused is a defect there.
        let is_ours = heard.starts_with(&challenge_head(&Party { process: hello.to, ..party.clone() }));
        let is_known = hello.generation.is_none_or(|known| known == generation);
        if code == ACCEPTED && is_ours && is_known { Ok(Ok(generation)) } else { Err(Strange::Garbage) }
    }
}

impl<'p> Answerer<'p> {
    /// Challenges whoever said hello. The nonce must be a new one.
    pub fn new(
        party: &'p Party,
        hello: [u8; HELLO_BYTES],
        nonce: Nonce,
    ) -> Result<(Answerer<'p>, [u8; CHALLENGE_BYTES]), Strange> {
        let heard = hello;
        let hello = Hello::decode(&heard).ok_or(Strange::Garbage)?;
        let mut said = [0; CHALLENGE_BYTES];
        put(&mut said, &[&challenge_head(party), &nonce]);
        Ok((Answerer { party, hello, heard, said }, said))
    }

    /// Who the caller says it is: not proven.
    pub fn claimed(&self) -> u32 {
        self.hello.from
    }

    /// Hears the proof.
    pub fn hear(self, proof: [u8; PROOF_BYTES]) -> Result<Proven<'p>, Strange> {
        let is_proven = self.party.secret.is_proof(&[BY_CALLER, &self.heard, &self.said], &proof);
        if is_proven { Ok(Proven(self)) } else { Err(Strange::Unproven) }
    }
}

impl Proven<'_> {
    /// What the caller said.
    pub fn hello(&self) -> Hello {
        self.0.hello
    }

    /// Whether the connection is wanted: `known` is the generation of this side, if it has learnt it, and `is_taken`
    /// says that there is such a connection, and alive.
    pub fn judge(&self, known: Option<Generation>, is_taken: bool) -> Result<Generation, Refusal> {
        let Proven(Answerer { party, hello, .. }) = self;
        let is_to_leader = hello.to == 0;
        let is_in_place = hello.from < hello.processes
            && hello.from > hello.to
            && (is_to_leader || hello.purpose == Purpose::Data)
            && (hello.purpose == Purpose::Control) == hello.generation.is_none();
        let generation = known.ok_or(Refusal::NotYet);
        match () {
            () if hello.version != party.version => Err(Refusal::OtherVersion),
            () if hello.processes != party.processes => Err(Refusal::OtherProcesses),
            () if hello.cluster != party.cluster => Err(Refusal::OtherCluster),
            () if hello.to != party.process => Err(Refusal::OtherIndex),
            () if !is_in_place => Err(Refusal::Misplaced),
            () if hello.generation.is_some_and(|theirs| generation.is_ok_and(|ours| ours != theirs)) => {
                Err(Refusal::OtherGeneration)
            }
            () if is_taken && generation.is_ok() => Err(Refusal::Duplicate),
            () => generation,
        }
    }

    /// The verdict, for the caller.
    pub fn tell(&self, verdict: Result<Generation, Refusal>) -> [u8; VERDICT_BYTES] {
        let Proven(Answerer { party, heard, said, .. }) = self;
        let (code, generation) = match verdict {
            Ok(Generation(generation)) => (ACCEPTED, generation),
            Err(refusal) => (refusal as u8, 0),
        };
        let mut decision = [code; VERDICT_BYTES - PROOF_BYTES];
        decision[1..].copy_from_slice(&generation.to_be_bytes());
        let proof = party.secret.prove(&[BY_ANSWERER, heard, said, &decision]);
        let mut verdict = [0; VERDICT_BYTES];
        put(&mut verdict, &[&decision, &proof]);
        verdict
    }
}
