//! Members, and when they were seen.

use serde::{Deserialize, Serialize};

use crate::counter::EventTime;

/// A member by the hash of its text. The hash must look random and nobody who makes events may be
/// able to choose it, so it has to be seeded; the same seed wherever states meet. Two of 10^6
/// members share a hash with a probability below 10^-7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberHash(pub u64);

/// A member and when it was last seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The member.
    pub member: MemberHash,
    /// When it was seen.
    pub time: EventTime,
}
