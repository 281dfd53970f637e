//! Blocks of event logs that process 0 hands on: it reads, and whoever is free counts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};

use super::link::Outbox;
use super::message::{BlockBytes, BlockHead, BulkToMember};
use crate::dataflow::Failure;
use crate::source::{Block, Closed, Feed, FeedSender, KnownCuts, LogBytes, Payload, SourceError, read_at};

/// How soon it is noticed that a later epoch was announced while no block comes.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// So many blocks are on their way to another process, at most: one comes while the one before finds its place. What is on its way is counted
/// there and nowhere else, so workers here would wait for more.
const ON_THEIR_WAY: usize = 2;

/// Room for blocks at another process. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Room {
    free: Sender<()>,
    places: Receiver<()>,
}

impl Room {
    /// Nothing is on its way.
    pub fn new() -> Room {
        let (free, places) = bounded(ON_THEIR_WAY);
        let room = Room { free, places };
        (0..ON_THEIR_WAY).for_each(|_| room.is_free());
        room
    }

    /// One more place is free.
    pub fn is_free(&self) {
        let _ = self.free.try_send(());
    }
}

/// What hands blocks on to another process.
pub(super) struct HandsOn {
    pub feed: Feed,
    /// Of a run with a state, which cuts there are.
    pub cuts: Option<Arc<KnownCuts>>,
    pub room: Room,
    pub to: Outbox,
    pub failure: Failure,
    /// Disconnected when the run cannot go on.
    pub lost: Receiver<()>,
}

impl HandsOn {
    /// Takes blocks from the feed as a worker does, and hands them on as there is room, until there are no more. With each goes the newest cut,
    /// which is told so before a later epoch is.
    pub fn run(self) {
        let HandsOn { feed, cuts, room, to, failure, lost } = self;
        let mut told = feed.announced();
        let cut = || cuts.as_ref().and_then(|cuts| cuts.cut());
        loop {
            // Whoever has no room has blocks to count, and need not hear of a later epoch before.
            select! {
                recv(room.places) -> _ => {}
                recv(lost) -> _ => return,
            }
            // Before it is looked for a block: see `source/feed.rs`.
            let mut announced = feed.announced();
            let block = loop {
                match feed.blocks.recv_timeout(LOOK_AGAIN) {
                    Ok(block) => break block,
                    Err(RecvTimeoutError::Disconnected) => return to.tell_with(&BulkToMember::End, Vec::new()),
                    Err(RecvTimeoutError::Timeout) => {
                        if announced > told {
                            told = announced;
                            to.tell_with(&BulkToMember::Announced(announced, cut()), Vec::new());
                        }
                        announced = feed.announced();
                    }
                }
            };
            told = told.max(block.epoch);
            match with_bytes(block, cut()) {
                Ok((head, bytes)) => to.tell_with(&BulkToMember::Block(head), bytes),
                Err(error) => failure.block(error),
            }
        }
    }
}

fn with_bytes(block: Block, cut: Option<crate::source::Cut>) -> Result<(BlockHead, Vec<u8>), SourceError> {
    let Block { epoch, window_starts, payload } = block;
    let (file, offset, what, bytes) = match payload {
        Payload::Lines { file, offset, bytes: LogBytes::Read(bytes), arrival } => {
            (file, offset, BlockBytes::Lines(arrival), bytes)
        }
        Payload::Lines { file, offset, bytes: LogBytes::InFile { file: open, length }, arrival } => {
            let mut bytes = Vec::new();
            read_at(&open, offset, length, &mut bytes).map_err(|error| {
                let message = format!("{}: cannot be read any further", file.display());
                SourceError::caused_by(message, error)
            })?;
            (file, offset, BlockBytes::Lines(arrival), bytes)
        }
        Payload::LineTooLong { file, offset, length, head } => (file, offset, BlockBytes::LineTooLong { length }, head),
        Payload::Messages { .. } => return Err(SourceError::new("internal error: messages are not handed on")),
    };
    let file = file.to_string_lossy().into_owned();
    Ok((BlockHead { epoch, cut, window_starts, file, offset, what }, bytes))
}

/// Takes what process 0 hands on; `None`: there is nothing more.
pub(super) fn take_block(
    message: BulkToMember,
    bytes: Vec<u8>,
    to: &FeedSender,
    cuts: &KnownCuts,
) -> Result<Option<()>, Closed> {
    match message {
        BulkToMember::Block(BlockHead { epoch, cut, window_starts, file, offset, what }) => {
            cut.into_iter().for_each(|cut| cuts.cut_at(cut));
            let file: Arc<Path> = Path::new(&file).into();
            let payload = match what {
                BlockBytes::Lines(arrival) => Payload::Lines { file, offset, bytes: LogBytes::Read(bytes), arrival },
                BlockBytes::LineTooLong { length } => Payload::LineTooLong { file, offset, length, head: bytes },
            };
            to.send(Block { epoch, window_starts, payload }).map(Some)
        }
        BulkToMember::Announced(epoch, cut) => {
            cut.into_iter().for_each(|cut| cuts.cut_at(cut));
            to.announce(epoch);
            Ok(Some(()))
        }
        BulkToMember::End => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::cluster::frame::Frame;
    use crate::cluster::link::converse;
    use crate::counter::EventTime;
    use crate::epoch::{Epoch, Window};
    use crate::event::Arrival;
    use crate::source::{Cut, feed};

    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (one, listener.accept().unwrap().0)
    }

    fn lines(epoch: u64, offset: u64, bytes: &[u8]) -> Block {
        let (file, arrival) = (Path::new("a.jsonl").into(), Arrival::before(EventTime(9)));
        let payload = Payload::Lines { file, offset, bytes: LogBytes::Read(bytes.to_vec()), arrival };
        Block { epoch: Epoch(epoch), window_starts: vec![(3, Window(epoch + 1))], payload }
    }

    /// What another process gets, block by block, with the newest cut that is known there by then.
    #[test]
    fn another_process_gets_the_same_blocks_and_no_epoch_before_its_cut() {
        let (here, there) = connection();
        let (to, from) = feed(Epoch(1));
        let cuts = Arc::<KnownCuts>::default();
        let (failure, errors) = Failure::new(Arc::default());
        let bulk = converse("p1", here, 2, |_| Ok(()), |_| ()).unwrap();
        let (room, (_goes_on, lost)) = (Room::new(), bounded(0));
        let frees = room.clone();
        let hands_on = HandsOn { feed: from, cuts: Some(Arc::clone(&cuts)), room, to: bulk, failure, lost };
        let hands_on = std::thread::spawn(move || hands_on.run());

        let (in_there, out_there) = feed(Epoch(1));
        let cuts_there = Arc::<KnownCuts>::default();
        let (known_there, mut in_there) = (Arc::clone(&cuts_there), Some(in_there));
        let hear = move |Frame { head, body }| {
            if let Some(sender) = &in_there {
                let taken = take_block(serde_json::from_slice(&head)?, body, sender, &known_there).unwrap();
                if taken.is_none() {
                    in_there = None;
                }
                frees.is_free();
            }
            Ok(())
        };
        let _back = converse("p0", there, 2, hear, |_| ()).unwrap();

        to.send(lines(1, 0, b"one\n")).unwrap();
        let first = out_there.blocks.recv().unwrap();
        assert_eq!((first.epoch, &first.window_starts[..]), (Epoch(1), &[(3, Window(2))][..]));
        let Payload::Lines { file, offset: 0, bytes: LogBytes::Read(bytes), arrival } = first.payload else {
            panic!("lines")
        };
        assert_eq!((&*file, &bytes[..], arrival), (Path::new("a.jsonl"), &b"one\n"[..], Arrival::before(EventTime(9))));

        // As `Cuts` has it: the cut is known before a later epoch is announced.
        cuts.cut_at(Cut { number: 1, epoch: Epoch(1) });
        to.announce(Epoch(5));
        while out_there.announced() < Epoch(5) {
            std::thread::yield_now();
        }
        assert_eq!(cuts_there.cut(), Some(Cut { number: 1, epoch: Epoch(1) }));
        cuts.cut_at(Cut { number: 2, epoch: Epoch(6) });
        let (file, head) = (Path::new("b.jsonl").into(), b"xxx".to_vec());
        let payload = Payload::LineTooLong { file, offset: 7, length: 9_999, head };
        to.send(Block { epoch: Epoch(7), window_starts: Vec::new(), payload }).unwrap();
        let second = out_there.blocks.recv().unwrap();
        assert_eq!((second.epoch, cuts_there.cut()), (Epoch(7), Some(Cut { number: 2, epoch: Epoch(6) })));
        assert!(
            matches!(&second.payload, Payload::LineTooLong { offset: 7, length: 9_999, head, .. } if head == b"xxx")
        );

        drop(to);
        assert!(out_there.blocks.recv().is_err(), "and the end");
        hands_on.join().unwrap();
        assert!(errors.is_empty());
    }

    #[test]
    fn no_more_blocks_are_on_their_way_than_find_room_and_a_loss_ends_it() {
        let (here, there) = connection();
        let (to, from) = feed(Epoch(1));
        let (failure, _errors) = Failure::new(Arc::default());
        let bulk = converse("p1", here, 2, |_| Ok(()), |_| ()).unwrap();
        let (arrives, arrived) = bounded(100);
        let hear = move |frame| {
            let _ = arrives.send(frame);
            Ok(())
        };
        let _back = converse("p0", there, 2, hear, |_| ()).unwrap();
        let (room, (goes_on, lost)) = (Room::new(), bounded(0));
        let frees = room.clone();
        let rest = from.clone();
        let hands_on = HandsOn { feed: from, cuts: None, room, to: bulk, failure, lost };
        let hands_on = std::thread::spawn(move || hands_on.run());
        (0..5).for_each(|number| to.send(lines(1, number, b"one\n")).unwrap());
        (0..ON_THEIR_WAY).for_each(|_| _ = arrived.recv().unwrap());
        // The others are still to be had.
        assert!(rest.blocks.recv().is_ok());
        assert!(arrived.recv_timeout(Duration::from_millis(50)).is_err());
        frees.is_free();
        arrived.recv().unwrap();
        drop(goes_on);
        hands_on.join().unwrap();
        assert_eq!(rest.blocks.try_iter().count(), 5 - ON_THEIR_WAY - 2);
    }
}
