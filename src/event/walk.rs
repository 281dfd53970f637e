//! A strict walk over the bytes of a JSON object, token by token.

use super::MAX_LEVELS;
use super::swar;
use super::token::{Token, TokenKind};

/// A position in a line, never past its end. Every method returns `None` where it does not find what
/// it looks for.
pub(super) struct Walk<'a> {
    line: &'a [u8],
    at: usize,
    /// The objects that were entered and not left: the event's own, and those of paths.
    levels: usize,
}

impl<'a> Walk<'a> {
    #[inline(always)]
    pub(super) fn begin(line: &'a [u8]) -> Walk<'a> {
        Walk::begin_at(line, 0)
    }

    /// Begins at this offset of the line.
    #[inline(always)]
    pub(super) fn begin_at(line: &'a [u8], at: usize) -> Walk<'a> {
        Walk { line, at, levels: 1 }
    }

    /// How many bytes lie behind.
    #[inline(always)]
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The bytes from `start` to here.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        &self.line[start..self.at]
    }

    /// Goes over `text` if it comes next.
    #[inline(always)]
    pub(super) fn skip_text(&mut self, text: &[u8]) -> bool {
        let comes_next = self.line[self.at..].starts_with(text);
        if comes_next {
            self.at += text.len();
        }
        comes_next
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.line.len()
    }

    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    #[inline(always)]
    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    #[inline(always)]
    pub(super) fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Goes into the object that begins here; `None` where none does, or one level too many.
    pub(super) fn enter_object(&mut self) -> Option<()> {
        self.levels += 1;
        if self.levels > MAX_LEVELS { None } else { self.expect(b'{') }
    }

    /// Goes out of an object that was entered, if it ends here.
    pub(super) fn leave_object(&mut self) -> Option<()> {
        self.expect(b'}')?;
        self.levels -= 1;
        Some(())
    }

    /// Goes over one value.
    #[inline(always)]
    pub(super) fn value(&mut self) -> Option<Token> {
        self.skip_white_space();
        let start = self.at;
        let kind = match self.peek()? {
            b'{' | b'[' => self.nested()?,
            _ => self.scalar()?,
        };
        Some(Token { kind, start, end: self.at })
    }

    /// A value that is no array and no object.
    #[inline(always)]
    pub(super) fn scalar(&mut self) -> Option<TokenKind> {
        match self.peek()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal(b"true", TokenKind::Truth),
            b'f' => self.literal(b"false", TokenKind::Truth),
            b'n' => self.literal(b"null", TokenKind::Absent),
            _ => None,
        }
    }

    /// How many objects were entered and not left.
    pub(super) fn levels(&self) -> usize {
        self.levels
    }

    #[inline]
    fn literal(&mut self, text: &[u8], kind: TokenKind) -> Option<TokenKind> {
        self.skip_text(text).then_some(kind)
    }

    /// A string without escapes: what stands between its quotes.
    #[inline]
    pub(super) fn plain_string(&mut self) -> Option<&'a [u8]> {
        let start = self.at + 1;
        self.expect(b'"')?;
        self.run_to_string_stop()?;
        self.expect(b'"')?;
        Some(&self.line[start..self.at - 1])
    }

    #[inline(always)]
    pub(super) fn string(&mut self) -> Option<TokenKind> {
        self.at += 1;
        let mut kind = TokenKind::Text;
        loop {
            self.run_to_string_stop()?;
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
    fn run_to_string_stop(&mut self) -> Option<()> {
        while let Some(word) = swar::word_at(self.line, self.at) {
            match swar::first_string_stop(word) {
                Some(offset) => {
                    self.at += offset;
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
                Some(offset) => {
                    self.at += offset;
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
