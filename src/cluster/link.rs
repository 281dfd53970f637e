//! The two connections to another process: for each a thread that writes what is to be told, and one that hears.

use std::io::{self, BufReader, BufWriter, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use serde::Serialize;

use super::frame::{Frame, read_frame, write_frame};
use crate::mesh::Link;

/// So many messages wait for a connection, at most.
const CONTROL_WAITING: usize = 4_096;
const BULK_WAITING: usize = 2;

/// Takes what is to be told. Cheap to clone; the connection's own direction ends with the last of them.
#[derive(Clone)]
pub(super) struct Outbox {
    frames: Sender<Frame>,
}

impl Outbox {
    /// Tells it, once there is room; so many messages wait, at most. Where the connection is lost nobody hears it, and whoever listens there
    /// says so.
    pub fn tell(&self, message: &impl Serialize) {
        self.tell_with(message, Vec::new());
    }

    /// The same, unless there is no room.
    pub fn try_tell(&self, message: &impl Serialize) -> bool {
        let frame = Frame { head: encode(message), body: Vec::new() };
        !matches!(self.frames.try_send(frame), Err(TrySendError::Full(_)))
    }

    /// Tells something that has bytes.
    pub fn tell_with(&self, head: &impl Serialize, body: Vec<u8>) {
        let _ = self.frames.send(Frame { head: encode(head), body });
    }
}

/// Messages are our own structs, which can always be written.
fn encode(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).unwrap_or_default()
}

/// Begins to talk to the process with this name: what it says is heard as it comes, and how each of the two connections ends is what `lose` is
/// called with. Answers what takes the control messages, and what takes bulk.
pub(super) fn talk_with(
    name: &str,
    link: Link,
    hear: impl FnMut(Frame) -> io::Result<()> + Send + 'static,
    hear_bulk: impl FnMut(Frame) -> io::Result<()> + Send + 'static,
    lose: impl FnOnce(String) + Clone + Send + 'static,
) -> io::Result<(Outbox, Outbox)> {
    let control = converse(name, link.control, CONTROL_WAITING, hear, lose.clone())?;
    let bulk = converse(name, link.bulk, BULK_WAITING, hear_bulk, lose)?;
    Ok((control, bulk))
}

/// Talks over one connection: `hear` is called with each message, until it says that one cannot be, and then `lose` with why nothing more is
/// heard.
pub(super) fn converse(
    name: &str,
    stream: TcpStream,
    waiting: usize,
    mut hear: impl FnMut(Frame) -> io::Result<()> + Send + 'static,
    lose: impl FnOnce(String) + Send + 'static,
) -> io::Result<Outbox> {
    let (frames, to_write) = bounded(waiting);
    let writes = stream.try_clone()?;
    thread::Builder::new().name(format!("tell {name}")).spawn(move || write_all(writes, &to_write))?;
    thread::Builder::new().name(format!("hear {name}")).spawn(move || {
        let mut from = BufReader::new(&stream);
        let how = loop {
            match read_frame(&mut from) {
                Ok(Some(message)) => {
                    if let Err(error) = hear(message) {
                        break error.to_string();
                    }
                }
                Ok(None) => break "it has closed its connection".to_owned(),
                Err(error) => break error.to_string(),
            }
        };
        lose(how);
    })?;
    Ok(Outbox { frames })
}

/// Writes until nothing more can come, or the other side does not take it: then it is for whoever listens to say so.
fn write_all(stream: TcpStream, frames: &Receiver<Frame>) {
    let mut to = BufWriter::with_capacity(1 << 16, &stream);
    for frame in frames {
        let written = write_frame(&mut to, &frame);
        // What follows at once goes with it.
        if written.is_err() || frames.is_empty() && to.flush().is_err() {
            return;
        }
    }
    let _ = to.flush();
    let _ = stream.shutdown(Shutdown::Write);
}
