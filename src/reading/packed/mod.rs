//! All features of a key as one run of bytes: `features` of an item in the layout `key`, packed.
//!
//! `docs/items.md` says byte by byte what they are, `tests/data/packed_items.json` has examples: readers in other
//! languages need both. What all features of a key share, or most of them, stands there once:
//!
//! - a **form** is what the features of a group have in common: their decay intervals, what they hold beside their
//!   values, and the ttl from which `expiresAt` follows, as everywhere;
//! - features come in the order of their names, each as what it shares with the name before and the rest;
//! - last updates are differences to the newest of them;
//! - of values, the last stands for all that follow it and have the same bits: most rows saw a single event.
//!
//! Values have the bits that an item of the layout `feature` would have. [`unpack`] takes bytes of anybody: it reads nothing
//! behind their end, refuses what [`pack`] would not have written in this order, says where, and holds no more in memory than they take themselves, and a name.

mod bytes;
mod read;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
mod write;

pub use self::read::{Damaged, Unpacked, unpack};
pub use self::write::{Feature, pack, packed_length};

/// The first byte: which format follows.
const FORMAT: u8 = 1;

/// What a form's features hold beside their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing = 0,
    Squares = 1,
    Errors = 2,
}
