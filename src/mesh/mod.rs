//! The processes of a run find one another: who they are, how they prove it, and the connections that come of it.
//!
//! Timely connects its processes itself, but believes whoever connects first, waits without end, and panics at a
//! stranger. So the connections are made here and handed to it:
//!
//! - [`Members`] says which processes there are, and which one this is (`-n`, `-p` and `-h` as timely has them);
//! - `handshake` is what two of them say to each other before either believes the other; it knows no sockets;
//! - [`form`] makes all connections, or says within a deadline who is missing and why;
//! - [`into_timely`] gives those for data to timely.
//!
//! Process 0 mints the generation of the run, and all others learn it from process 0: connections of two generations
//! never meet in one mesh. No process goes on before all have all their connections.
//!
//! What a handshake proves is who opened a connection. What is sent over it later is neither encrypted nor signed:
//! whoever can change packets between the processes can change the run. That is for a private network to prevent.

mod error;
mod form;
mod handshake;
mod members;
mod secret;
mod timely;

pub use error::ClusterError;
pub use form::{Connections, Link, Mesh, MeshOptions, Role, form};
pub use members::Members;
pub use secret::{ClusterId, SECRET_VARIABLE, Secret};
pub use timely::{TimelyParts, into_timely};
