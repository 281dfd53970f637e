//! Messages between two processes: as long as they say, and not longer than they may be.

use std::io::{self, Read, Write};

/// The most that one message may have, in bytes: a block with a line as long as one may be, or the items that may be in flight.
pub(super) const MOST_BYTES: usize = 256 << 20;

/// A message: what it says, and bytes that it is about. They stand apart, so that nobody has to copy them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

/// Writes a message.
pub(super) fn write_frame(to: &mut impl Write, Frame { head, body }: &Frame) -> io::Result<()> {
    for part in [head, body] {
        let length = u32::try_from(part.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        to.write_all(&length.to_le_bytes())?;
    }
    to.write_all(head)?;
    to.write_all(body)
}

/// Reads a message; `None` where the other side has ended the conversation.
pub(super) fn read_frame(from: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut lengths = Vec::with_capacity(8);
    from.by_ref().take(8).read_to_end(&mut lengths)?;
    if lengths.is_empty() {
        return Ok(None);
    }
    let (head, body) = match lengths.as_chunks() {
        ([head, body], _) => (u32::from_le_bytes(*head) as usize, u32::from_le_bytes(*body) as usize),
        _ => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    if head + body > MOST_BYTES {
        let message = format!("it announced a message of {} bytes", head + body);
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut part = |length: usize| {
        // Memory is taken as it comes, not as it is announced.
        let mut part = Vec::with_capacity(length.min(2 << 20));
        from.by_ref().take(length as u64).read_to_end(&mut part)?;
        if part.len() < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(part)
    };
    Ok(Some(Frame { head: part(head)?, body: part(body)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in_and_an_end_within_one_is_none() {
        let frame = |head: &[u8], body: &[u8]| Frame { head: head.to_vec(), body: body.to_vec() };
        let messages = [frame(b"", b""), frame(b"one", b""), frame(b"head", b"body")];
        let mut sent = Vec::new();
        messages.iter().for_each(|message| write_frame(&mut sent, message).unwrap());
        let mut from = &sent[..];
        for message in messages {
            assert_eq!(read_frame(&mut from).unwrap(), Some(message));
        }
        assert_eq!(read_frame(&mut from).unwrap(), None);
        assert!(read_frame(&mut &sent[..9]).is_ok(), "the first is whole");
        for end in 9..sent.len() {
            let mut from = &sent[8..end];
            let all = std::iter::from_fn(|| read_frame(&mut from).transpose()).collect::<io::Result<Vec<_>>>();
            assert_eq!(all.is_ok(), end == 19, "{end}: an end within a message is none");
        }
    }

    #[test]
    fn nobody_can_announce_more_than_there_may_be() {
        let announced = |head: u32, body: u32| [head.to_le_bytes(), body.to_le_bytes()].concat();
        for (head, body) in [(u32::MAX, 0), (0, u32::MAX), (MOST_BYTES as u32, 1)] {
            let error = read_frame(&mut &announced(head, body)[..]).unwrap_err();
            assert!(error.to_string().contains(&(u64::from(head) + u64::from(body)).to_string()), "{error}");
        }
        let mut short = announced(0, MOST_BYTES as u32);
        short.push(7);
        assert_eq!(read_frame(&mut &short[..]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
