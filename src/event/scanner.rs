//! The fast path: a strict walk over flat objects that gives up on whatever is out of the ordinary.
//!
//! It promises that every line it accepts is one that the careful path accepts, with the same
//! tokens. It never says that a line is wrong: what it does not understand (a nested value, a
//! backslash in a name, anything malformed) it leaves, without a verdict, to the careful path.
//!
//! Producers write their fields in the same order and with the same white space in every event. So
//! the scanner remembers the *seam* before each value of the last events: the bytes from the end of
//! the value before (or the beginning of the line), by way of comma, name and colon, to the
//! beginning of the value. As those bytes were understood once, in the same place of the grammar,
//! finding them again takes one comparison, and neither the name nor its use is looked up again.

use super::swar;
use super::token::{Slot, Slots, Token, TokenKind, Tokens};

/// How many seams are remembered. Members further back are looked up one by one.
const MAX_SEAMS: usize = 64;

/// The fast path, and what it remembers of the last events.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// The seam before the first value, before the second, and so on. The first begins with the
    /// line, all others with a comma or the white space before it.
    seams: Vec<Seam>,
}

/// The bytes before a value, and which slot its name has.
#[derive(Clone, Copy, Debug)]
struct Seam {
    bytes: [u8; Seam::MAX_BYTES],
    length: u8,
    slot: Option<Slot>,
}

impl Scanner {
    /// Finds the needed fields of a line; `None`, with `tokens` in any state, when it gives up.
    #[inline]
    pub(super) fn locate(&mut self, line: &[u8], slots: &Slots, tokens: &mut Tokens) -> Option<()> {
        tokens.clear();
        let mut walk = Walk { line, at: 0 };
        for member in 0.. {
            let slot = match self.seams.get(member) {
                Some(seam) if seam.begins(&line[walk.at..]) => {
                    walk.at += usize::from(seam.length);
                    seam.slot
                }
                _ => match self.next_member(member, &mut walk, slots)? {
                    NextMember::Slot(slot) => slot,
                    NextMember::End => break,
                },
            };
            let token = walk.value()?;
            if let Some(slot) = slot {
                tokens.set(slot, token);
            }
        }
        Some(())
    }

    /// Walks to a value whose seam was not foreseen, and remembers the seam; or to the line's end.
    fn next_member(&mut self, member: usize, walk: &mut Walk, slots: &Slots) -> Option<NextMember> {
        let start = walk.at;
        walk.skip_white_space();
        if member == 0 {
            walk.expect(b'{')?;
            walk.skip_white_space();
        }
        if walk.peek() == Some(b'}') {
            walk.at += 1;
            walk.skip_white_space();
            return (walk.at == walk.line.len()).then_some(NextMember::End);
        }
        if member > 0 {
            walk.expect(b',')?;
            walk.skip_white_space();
        }
        let name = walk.plain_string()?;
        let slot = slots.named(name);
        walk.skip_white_space();
        walk.expect(b':')?;
        walk.skip_white_space();
        self.remember(member, &walk.line[start..walk.at], slot);
        Some(NextMember::Slot(slot))
    }

    fn remember(&mut self, member: usize, bytes: &[u8], slot: Option<Slot>) {
        if member >= MAX_SEAMS {
            return;
        }
        if self.seams.len() <= member {
            self.seams.resize(member + 1, Seam::UNKNOWN);
        }
        self.seams[member] = Seam::new(bytes, slot);
    }
}

/// Where a walk along the members comes to.
enum NextMember {
    /// A value, and the slot of its name if that is needed.
    Slot(Option<Slot>),
    /// The end of the object and of the line.
    End,
}

impl Seam {
    const MAX_BYTES: usize = 48;

    /// A seam that begins nothing.
    const UNKNOWN: Seam = Seam { bytes: [0; Seam::MAX_BYTES], length: 0, slot: None };

    /// A seam of these bytes; too long a one is not remembered.
    fn new(bytes: &[u8], slot: Option<Slot>) -> Seam {
        let mut seam = Seam::UNKNOWN;
        if let Some(room) = seam.bytes.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            seam.length = bytes.len() as u8;
            seam.slot = slot;
        }
        seam
    }

    #[inline(always)]
    fn begins(&self, rest: &[u8]) -> bool {
        self.length > 0 && rest.starts_with(&self.bytes[..usize::from(self.length)])
    }
}

/// A place in a line, never past its end. Every method returns `None` where it does not find what
/// it looks for.
struct Walk<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    #[inline(always)]
    fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Goes over one value that is no array and no object.
    #[inline(always)]
    fn value(&mut self) -> Option<Token> {
        self.skip_white_space();
        let start = self.at;
        let kind = match self.peek()? {
            b'"' => self.string()?,
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.literal(b"true", TokenKind::Truth)?,
            b'f' => self.literal(b"false", TokenKind::Truth)?,
            b'n' => self.literal(b"null", TokenKind::Absent)?,
            _ => return None,
        };
        Some(Token { kind, start, end: self.at })
    }

    #[inline]
    fn literal(&mut self, text: &[u8], kind: TokenKind) -> Option<TokenKind> {
        self.line[self.at..].starts_with(text).then(|| {
            self.at += text.len();
            kind
        })
    }

    /// A string without escapes: what stands between its quotes.
    #[inline]
    fn plain_string(&mut self) -> Option<&'a [u8]> {
        let start = self.at + 1;
        self.expect(b'"')?;
        self.to_string_stop()?;
        self.expect(b'"')?;
        Some(&self.line[start..self.at - 1])
    }

    #[inline(always)]
    fn string(&mut self) -> Option<TokenKind> {
        self.at += 1;
        let mut kind = TokenKind::Text;
        loop {
            self.to_string_stop()?;
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(kind);
                }
                b'\\' => {
                    kind = TokenKind::EscapedText;
                    self.escape()?;
                }
                _ => return None,
            }
        }
    }

    /// Goes to the next quote, backslash or control character.
    #[inline(always)]
    fn to_string_stop(&mut self) -> Option<()> {
        while let Some(word) = swar::word_at(self.line, self.at) {
            match swar::first_string_stop(word) {
                Some(place) => {
                    self.at += place;
                    return Some(());
                }
                None => self.at += 8,
            }
        }
        while !matches!(self.peek()?, b'"' | b'\\' | 0..0x20) {
            self.at += 1;
        }
        Some(())
    }

    /// One escape, judged by its grammar alone: `\u` may name half of a surrogate pair.
    #[inline]
    fn escape(&mut self) -> Option<()> {
        let length = match self.line.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' => {
                let digits = self.line.get(self.at + 2..self.at + 6)?;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(6)?
            }
            _ => return None,
        };
        self.at += length;
        Some(())
    }

    /// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`; a digit behind a leading zero is left
    /// over, and is no comma.
    #[inline(always)]
    fn number(&mut self) -> Option<TokenKind> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        match self.peek() {
            Some(b'.' | b'e' | b'E') => self.fraction_and_exponent(),
            _ => Some(TokenKind::Integer),
        }
    }

    #[inline]
    fn fraction_and_exponent(&mut self) -> Option<TokenKind> {
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(TokenKind::Decimal)
    }

    /// One digit or more.
    #[inline(always)]
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(word) = swar::word_at(self.line, self.at) {
            match swar::first_non_digit(word) {
                Some(place) => {
                    self.at += place;
                    return (self.at > start).then_some(());
                }
                None => self.at += 8,
            }
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}
