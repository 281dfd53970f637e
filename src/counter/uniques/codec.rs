//! Uniques as bytes: what crosses the exchange and lies in snapshots.
//!
//! ```text
//! uniques    = 0
//!            | 1 last_update count (member age)*           members ascending, 8 bytes each
//!            | 2 last_update intervals registers (base register*)*
//! ```
//!
//! `last_update` and `base` are zigzag LEB128 numbers; `count`, `age` (by how much the last update
//! is later), `intervals` and `registers` are LEB128 numbers; a register is a byte. Equal states are
//! equal bytes.

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::sketch::Sketch;
use super::{MemberHash, Sighting, State, Uniques, UniquesConfig};
use crate::counter::EventTime;
use crate::counter::varint::{self, read_number, unzigzag, zigzag};

const EMPTY: u8 = 0;
const EXACT: u8 = 1;
const SKETCH: u8 = 2;

/// Bytes that are not those of any uniques.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUniques {
    /// They end too early, or a number in them is too large.
    #[error("the bytes of uniques are cut short or damaged")]
    Damaged,
    /// They go on after their end.
    #[error("the bytes of uniques go on after their end")]
    TooLong,
    /// They begin with an unknown kind.
    #[error("uniques of kind {0} are unknown: a newer version may have written them")]
    UnknownKind(u8),
}

impl Uniques {
    /// Appends the state as bytes.
    pub fn write_to(&self, bytes: &mut Vec<u8>) {
        match &self.0 {
            State::Many(sketch) => write_sketch(bytes, sketch),
            exact => match exact.sightings().unwrap_or_default() {
                [] => bytes.push(EMPTY),
                sightings => write_exact(bytes, self.last_update(), sightings),
            },
        }
    }

    /// The state that gave these bytes. Whether it is of a certain set, [`Uniques::fits`] knows.
    pub fn from_bytes(bytes: &[u8]) -> Result<Uniques, InvalidUniques> {
        let (kind, mut rest) = bytes.split_first().ok_or(InvalidUniques::Damaged)?;
        let state = match *kind {
            EMPTY => State::Empty,
            EXACT => read_exact(&mut rest).ok_or(InvalidUniques::Damaged)?,
            SKETCH => read_sketch(&mut rest).ok_or(InvalidUniques::Damaged)?,
            unknown => return Err(InvalidUniques::UnknownKind(unknown)),
        };
        if rest.is_empty() { Ok(Uniques(state)) } else { Err(InvalidUniques::TooLong) }
    }
}

fn write_exact(bytes: &mut Vec<u8>, last_update: EventTime, sightings: &[Sighting]) {
    bytes.push(EXACT);
    write_number(bytes, zigzag(last_update.0));
    write_number(bytes, sightings.len() as u64);
    for seen in sightings {
        bytes.extend_from_slice(&seen.member.0.to_le_bytes());
        write_number(bytes, last_update.0.wrapping_sub(seen.time.0) as u64);
    }
}

fn read_exact(bytes: &mut &[u8]) -> Option<State> {
    let last_update = unzigzag(read_number(bytes)?);
    let count = usize::try_from(read_number(bytes)?).ok()?;
    // A member takes 9 bytes at least: no more is reserved than can come.
    let mut sightings: Vec<Sighting> = Vec::with_capacity(count.min(bytes.len() / 9));
    for _ in 0..count {
        let (member, rest) = bytes.split_first_chunk::<8>()?;
        *bytes = rest;
        let member = MemberHash(u64::from_le_bytes(*member));
        let time = EventTime(last_update.wrapping_sub(read_number(bytes)? as i64));
        if sightings.last().is_some_and(|last| last.member >= member) {
            return None;
        }
        sightings.push(Sighting { member, time });
    }
    match sightings[..] {
        [] => None,
        [one] => Some(State::One(one)),
        _ => Some(State::Few(sightings.into())),
    }
}

fn write_sketch(bytes: &mut Vec<u8>, sketch: &Sketch) {
    let (last_update, intervals) = sketch.parts();
    bytes.push(SKETCH);
    write_number(bytes, zigzag(last_update.0));
    write_number(bytes, sketch.intervals() as u64);
    write_number(bytes, sketch.registers() as u64);
    for (base, registers) in intervals {
        write_number(bytes, zigzag(base));
        bytes.extend_from_slice(registers);
    }
}

fn read_sketch(bytes: &mut &[u8]) -> Option<State> {
    let last_update = EventTime(unzigzag(read_number(bytes)?));
    let intervals = usize::try_from(read_number(bytes)?).ok()?;
    let count = usize::try_from(read_number(bytes)?).ok()?;
    if !(UniquesConfig::MIN_REGISTERS..=UniquesConfig::MAX_REGISTERS).contains(&count)
        || intervals > bytes.len() / count
    {
        return None;
    }
    let mut bases = Vec::with_capacity(intervals);
    let mut registers = Vec::with_capacity(intervals * count);
    for _ in 0..intervals {
        bases.push(unzigzag(read_number(bytes)?));
        let (own, rest) = bytes.split_at_checked(count)?;
        registers.extend_from_slice(own);
        *bytes = rest;
    }
    Some(State::Many(Box::new(Sketch::from_parts(last_update, &bases, registers))))
}

fn write_number(bytes: &mut Vec<u8>, number: u64) {
    varint::write_number(number, |byte| bytes.push(byte));
}

impl Serialize for Uniques {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes);
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Uniques {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(FromBytes)
    }
}

struct FromBytes;

impl<'de> Visitor<'de> for FromBytes {
    type Value = Uniques;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the bytes of uniques")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Uniques, E> {
        Uniques::from_bytes(bytes).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Uniques, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = elements.next_element()? {
            bytes.push(byte);
        }
        self.visit_bytes(&bytes)
    }
}
