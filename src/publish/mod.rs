//! What goes to a table, and when: publishing by pull.
//!
//! A worker's [`Publisher`] stands between its state, which knows what is marked, and the thread that
//! [writes](write_table). It begins rounds when the [`Pace`] says so, reads marked items as long as there is room, and takes
//! the answers. They hand over by messages alone: neither waits for the other, and nothing here holds an epoch open.
//!
//! The contract with sinks stands at the head of `sink/contract.rs`.

mod clock;
mod message;
mod pace;
mod publisher;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use clock::RunClock;
pub(crate) use message::{Answer, Handed, Receipt};
pub(crate) use pace::Pace;
pub(crate) use publisher::{GivenUp, Next, Parts as PublisherParts, Publisher, RunState, not_published};
pub(crate) use writer::write_table;
