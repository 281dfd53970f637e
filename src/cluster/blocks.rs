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
