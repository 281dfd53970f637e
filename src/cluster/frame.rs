//! Messages between two processes: as long as they say, and not longer than they may be.

use std::io::{self, Read, Write};

/// The most that one message may have, in bytes: a block with a line as long as one may be, or the items that may be in flight.
pub(super) const MOST_BYTES: usize = 256 << 20;

/// Writes a message.
pub(super) fn write_frame(to: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(message)
}

/// Reads a message; `None` where the other side has ended the conversation.
pub(super) fn read_frame(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > MOST_BYTES {
        let message = format!("it announced a message of {length} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    // Memory is taken as it comes, not as it is announced.
    let mut message = Vec::with_capacity(length.min(1 << 20));
    from.take(length as u64).read_to_end(&mut message)?;
    if message.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(message))
}

/// One message of a head and what follows it.
pub(super) fn join(head: &[u8], body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(4 + head.len() + body.len());
    message.extend_from_slice(&(head.len() as u32).to_le_bytes());
    message.extend_from_slice(head);
    message.extend_from_slice(body);
    message
}

/// Both again; `None` where it is no such message.
pub(super) fn split(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = message.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in_and_an_end_within_one_is_none() {
        let mut sent = Vec::new();
        for message in [b"".as_slice(), b"one", &join(b"head", b"body")] {
            write_frame(&mut sent, message).unwrap();
        }
        let mut from = &sent[..];
        let mut read = || read_frame(&mut from).unwrap();
        assert_eq!((read(), read()), (Some(Vec::new()), Some(b"one".to_vec())));
        let joined = read().unwrap();
        assert_eq!(split(&joined), Some((b"head".as_slice(), b"body".as_slice())));
        assert_eq!(read(), None);
        assert!(read_frame(&mut &sent[..6]).is_ok(), "the first is whole");
        assert!(read_frame(&mut &sent[4..9]).is_err(), "the second is not");
        assert_eq!((split(b"\x09\0\0\0body"), split(b"\0\0")), (None, None));
    }

    #[test]
    fn nobody_can_announce_more_than_there_may_be() {
        let error = read_frame(&mut &u32::MAX.to_le_bytes()[..]).unwrap_err();
        assert!(error.to_string().contains("4294967295"), "{error}");
        let mut short = (MOST_BYTES as u32).to_le_bytes().to_vec();
        short.push(7);
        assert_eq!(read_frame(&mut &short[..]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
