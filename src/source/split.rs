//! Cutting a piece of input where epochs begin.

use std::ops::Range;
use std::sync::Arc;

use super::block::{Block, LogBytes, Message, Payload};
use crate::clock::EpochPart;

/// The parts of a piece, each as a block of its own epoch. `parts` says of all of the piece where it belongs; where that
/// is one epoch, nothing is copied.
pub(super) fn split_by_epoch(payload: Payload, parts: Vec<EpochPart>) -> impl Iterator<Item = Block> {
    let is_one = parts.len() == 1;
    let mut payload = Some(payload);
    parts.into_iter().map_while(move |EpochPart { epoch, window_starts, range }| {
        let payload = if is_one { payload.take()? } else { part_of(payload.as_ref()?, range) };
        Some(Block { epoch, window_starts, payload })
    })
}

/// Some neighbouring lines, by their bytes, or some neighbouring messages. A line that is too long is one.
fn part_of(payload: &Payload, range: Range<usize>) -> Payload {
    match payload {
        Payload::Lines { file, offset, bytes, arrival } => Payload::Lines {
            file: Arc::clone(file),
            offset: offset + range.start as u64,
            bytes: match bytes {
                LogBytes::Read(bytes) => LogBytes::Read(bytes[range].to_vec()),
                LogBytes::InFile { file, .. } => LogBytes::InFile { file: Arc::clone(file), length: range.len() },
            },
            arrival: *arrival,
        },
        Payload::LineTooLong { .. } => payload.clone(),
        Payload::Messages { topic, bytes, messages } => {
            let mut messages = messages[range].to_vec();
            let bytes = take_payloads(bytes, &mut messages);
            Payload::Messages { topic: Arc::clone(topic), bytes, messages }
        }
    }
}

/// Copies the payloads of some neighbouring messages, which then say where they stand in the copy.
fn take_payloads(bytes: &[u8], messages: &mut [Message]) -> Vec<u8> {
    let begin = messages.first().map_or(0, |message| message.start);
    let end = messages.last().map_or(0, |message| message.start + message.length);
    for message in messages {
        message.start -= begin;
    }
    bytes[begin..end].to_vec()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::counter::EventTime;
    use crate::epoch::Epoch;
    use crate::event::Arrival;

    #[test]
    fn the_parts_of_lines_say_where_they_stand_in_the_log() {
        let lines = |offset, bytes: &[u8]| Payload::Lines {
            file: Path::new("a.jsonl").into(),
            offset,
            bytes: LogBytes::Read(bytes.to_vec()),
            arrival: Arrival::before(EventTime(0)),
        };
        let part = |epoch, range| EpochPart { epoch: Epoch(epoch), window_starts: Vec::new(), range };
        let split = |parts: Vec<EpochPart>| -> Vec<_> {
            split_by_epoch(lines(100, b"a\nbb\nccc\n"), parts)
                .map(|block| match block.payload {
                    Payload::Lines { offset, bytes: LogBytes::Read(bytes), .. } => (block.epoch.0, offset, bytes),
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        assert_eq!(split(vec![part(7, 0..9)]), [(7, 100, b"a\nbb\nccc\n".to_vec())]);
        assert_eq!(
            split(vec![part(7, 0..2), part(8, 2..9)]),
            [(7, 100, b"a\n".to_vec()), (8, 102, b"bb\nccc\n".to_vec())]
        );
        assert_eq!(split(Vec::new()), []);
    }
}
