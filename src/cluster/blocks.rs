//! Blocks of event logs that process 0 hands on: it reads, and whoever is free counts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;

use super::link::Outbox;
use super::message::{BlockBytes, BlockHead, BulkToMember};
use crate::dataflow::Failure;
use crate::source::{Block, Closed, Feed, FeedSender, KnownCuts, LogBytes, Payload, SourceError, read_at};

/// How soon it is noticed that a later epoch was announced while no block comes.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Takes blocks from the feed as a worker does, and hands them on to another process, until there are no more. With each goes the newest cut,
/// which is told so before a later epoch is.
pub(super) fn hand_on_blocks(feed: &Feed, cuts: Option<&KnownCuts>, to: &Outbox, failure: &Failure) {
    let mut told = feed.announced();
    let cut = || cuts.and_then(KnownCuts::cut);
    loop {
        // Before it is looked for a block: see `source/feed.rs`.
        let announced = feed.announced();
        match feed.blocks.recv_timeout(LOOK_AGAIN) {
            Ok(block) => {
                told = told.max(block.epoch);
                match with_bytes(block, cut()) {
                    Ok((head, bytes)) => to.tell_with(&BulkToMember::Block(head), &bytes),
                    Err(error) => failure.block(error),
                }
            }
            Err(RecvTimeoutError::Timeout) if announced > told => {
                told = announced;
                to.tell_with(&BulkToMember::Announced(announced, cut()), &[]);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return to.tell_with(&BulkToMember::End, &[]),
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
    bytes: &[u8],
    to: &FeedSender,
    cuts: &KnownCuts,
) -> Result<Option<()>, Closed> {
    match message {
        BulkToMember::Block(BlockHead { epoch, cut, window_starts, file, offset, what }) => {
            cut.into_iter().for_each(|cut| cuts.cut_at(cut));
            let file: Arc<Path> = Path::new(&file).into();
            let bytes = bytes.to_vec();
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
    use crate::cluster::frame::split;
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
        let known = Arc::clone(&cuts);
        let hands_on = std::thread::spawn(move || hand_on_blocks(&from, Some(&known), &bulk, &failure));

        let (in_there, out_there) = feed(Epoch(1));
        let cuts_there = Arc::<KnownCuts>::default();
        let (known_there, mut in_there) = (Arc::clone(&cuts_there), Some(in_there));
        let hear = move |message: &[u8]| {
            let (head, body) = split(message).unwrap();
            if let Some(sender) = &in_there {
                let taken = take_block(serde_json::from_slice(head)?, body, sender, &known_there).unwrap();
                if taken.is_none() {
                    in_there = None;
                }
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
}
