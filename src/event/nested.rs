//! Going over a whole array or object, strictly and without recursion.

use super::MAX_LEVELS;
use super::token::TokenKind;
use super::walk::Walk;

/// The arrays and objects that are open inside each other: one bit for each, set for an object.
#[derive(Default)]
struct Brackets {
    kinds: u64,
    open: usize,
}

impl Brackets {
    fn push(&mut self, is_object: bool) {
        self.kinds = self.kinds << 1 | u64::from(is_object);
        self.open += 1;
    }

    fn pop(&mut self) {
        self.kinds >>= 1;
        self.open -= 1;
    }

    fn innermost_is_object(&self) -> bool {
        self.kinds & 1 == 1
    }
}

impl Walk<'_> {
    /// One array or object, with all that is in it, judged by its grammar; without recursion.
    #[inline(never)]
    pub(super) fn nested(&mut self) -> Option<TokenKind> {
        let mut brackets = Brackets::default();
        loop {
            self.skip_white_space();
            match self.peek()? {
                bracket @ (b'{' | b'[') => {
                    if self.levels() + brackets.open == MAX_LEVELS {
                        return None;
                    }
                    self.expect(bracket)?;
                    brackets.push(bracket == b'{');
                    self.skip_white_space();
                    let is_empty = self.peek()? == closing(bracket == b'{');
                    if !is_empty {
                        if bracket == b'{' {
                            self.skip_name()?;
                        }
                        continue;
                    }
                }
                _ => _ = self.scalar()?,
            }
            self.close_or_go_on(&mut brackets)?;
            if brackets.open == 0 {
                return Some(TokenKind::Nested);
            }
        }
    }

    /// From the end of a value over every bracket that closes; and, unless all are closed, over the
    /// comma (and the name) to the next value.
    #[inline]
    fn close_or_go_on(&mut self, brackets: &mut Brackets) -> Option<()> {
        loop {
            self.skip_white_space();
            let in_object = brackets.innermost_is_object();
            if self.expect(b',').is_some() {
                if in_object {
                    self.skip_white_space();
                    self.skip_name()?;
                }
                return Some(());
            }
            self.expect(closing(in_object))?;
            brackets.pop();
            if brackets.open == 0 {
                return Some(());
            }
        }
    }

    /// A member's name, whatever it is, and its colon.
    #[inline]
    fn skip_name(&mut self) -> Option<()> {
        if self.peek()? != b'"' {
            return None;
        }
        self.string()?;
        self.skip_white_space();
        self.expect(b':')
    }
}

fn closing(is_object: bool) -> u8 {
    if is_object { b'}' } else { b']' }
}
