//! The items of an array, one by one.

use super::token::Token;
use super::walk::Walk;

/// Walks over the items of an array that is known to be well-formed.
pub(super) struct Items<'a> {
    walk: Walk<'a>,
    first: bool,
}

impl<'a> Items<'a> {
    /// The items of the value at `token`; `None` where that is no array.
    pub(super) fn of(line: &'a [u8], token: Token) -> Option<Items<'a>> {
        let mut walk = Walk::begin_at(&line[..token.end], token.start);
        walk.expect(b'[')?;
        Some(Items { walk, first: true })
    }
}

impl Iterator for Items<'_> {
    type Item = Token;

    #[inline]
    fn next(&mut self) -> Option<Token> {
        self.walk.skip_white_space();
        if self.walk.expect(b']').is_some() {
            return None;
        }
        if !std::mem::take(&mut self.first) {
            self.walk.expect(b',')?;
        }
        self.walk.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::token::TokenKind;

    fn items(array: &str) -> Option<Vec<&str>> {
        let line = format!("{{\"a\":{array}}}").leak();
        let token = Token { kind: TokenKind::Nested, start: 5, end: 5 + array.len() };
        let items = Items::of(line.as_bytes(), token)?;
        Some(items.map(|item| &line[item.start..item.end]).collect())
    }

    #[test]
    fn items_of_every_kind_are_found_in_their_order() {
        assert_eq!(items("[]"), Some(vec![]));
        assert_eq!(items("[ ]"), Some(vec![]));
        assert_eq!(
            items(r#"[ "a,]" ,1.5,[[2],3 ] , {"b":[4]},null,true]"#),
            Some(vec![r#""a,]""#, "1.5", "[[2],3 ]", r#"{"b":[4]}"#, "null", "true"])
        );
        assert_eq!(items(r#"{"b":1}"#), None);
    }
}
