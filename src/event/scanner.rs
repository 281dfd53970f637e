//! The fast path: a strict walk over objects that gives up on whatever is out of the ordinary.
//!
//! It promises that every line it accepts is one that the careful path accepts, with the same
//! tokens. It never says that a line is wrong: what it does not understand (a backslash in a name,
//! too many levels, anything malformed) it leaves, without a verdict, to the careful path.
//!
//! Producers write their fields in the same order and with the same white space in every event. So
//! the scanner remembers the *seam* before each value of the last events: the bytes from the end of
//! the value before (or the beginning of the line), by way of comma, name and colon, to the
//! beginning of the value. As those bytes were understood once, in the same place of the grammar,
//! finding them again takes one comparison, and neither the name nor its use is looked up again.
//! Inside an object that a path leads through it looks up name by name.

use super::token::{Needed, ObjectId, Slots, Token, TokenKind, Tokens};
use super::walk::Walk;

/// How many seams are remembered. Members further back are looked up one by one.
const MAX_SEAMS: usize = 64;

/// The fast path, and what it remembers of the last events.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// The seam before the first value, before the second, and so on. The first begins with the
    /// line, all others with a comma or the white space before it.
    seams: Vec<Seam>,
}

/// The bytes before a value, and what it is needed for.
#[derive(Clone, Copy, Debug)]
struct Seam {
    bytes: [u8; Seam::MAX_BYTES],
    length: u8,
    needed: Needed,
}

impl Scanner {
    /// Finds the needed fields of a line; `None`, with `tokens` in any state, when it gives up.
    #[inline]
    pub(super) fn locate(&mut self, line: &[u8], slots: &Slots, tokens: &mut Tokens) -> Option<()> {
        tokens.clear();
        let mut walk = Walk::begin(line);
        for member in 0.. {
            let needed = match self.seams.get(member) {
                Some(seam) if seam.length > 0 && walk.skip_text(seam.text()) => seam.needed,
                _ => match self.next_member(member, &mut walk, slots)? {
                    NextMember::Value(needed) => needed,
                    NextMember::End => break,
                },
            };
            take_value(&mut walk, needed, slots, tokens)?;
        }
        Some(())
    }

    /// Walks to a value whose seam was not foreseen, and remembers the seam; or to the line's end.
    fn next_member(&mut self, member: usize, walk: &mut Walk, slots: &Slots) -> Option<NextMember> {
        let start = walk.position();
        walk.skip_white_space();
        if member == 0 {
            walk.expect(b'{')?;
            walk.skip_white_space();
        }
        if walk.expect(b'}').is_some() {
            walk.skip_white_space();
            return walk.is_at_end().then_some(NextMember::End);
        }
        if member > 0 {
            walk.expect(b',')?;
            walk.skip_white_space();
        }
        let name = walk.plain_string()?;
        let needed = slots.named(ObjectId::EVENT, name);
        walk.skip_white_space();
        walk.expect(b':')?;
        walk.skip_white_space();
        self.remember(member, walk.since(start), needed);
        Some(NextMember::Value(needed))
    }

    fn remember(&mut self, member: usize, bytes: &[u8], needed: Needed) {
        if member >= MAX_SEAMS {
            return;
        }
        if self.seams.len() <= member {
            self.seams.resize(member + 1, Seam::UNKNOWN);
        }
        self.seams[member] = Seam::new(bytes, needed);
    }
}

/// Goes over a value and notes it where it is needed.
#[inline(always)]
fn take_value(walk: &mut Walk, needed: Needed, slots: &Slots, tokens: &mut Tokens) -> Option<()> {
    let token = match needed.object {
        None => walk.value()?,
        Some(object) => take_inside(walk, object, slots, tokens)?,
    };
    if let Some(slot) = needed.slot {
        tokens.set(slot, token);
    }
    Some(())
}

/// Goes over a value through which paths lead, and notes what is needed inside. The paths bound how
/// deep this goes, not the line.
fn take_inside(walk: &mut Walk, object: ObjectId, slots: &Slots, tokens: &mut Tokens) -> Option<Token> {
    tokens.forget_inside(slots, object);
    walk.skip_white_space();
    let start = walk.position();
    if walk.peek()? != b'{' {
        return walk.value();
    }
    walk.enter_object()?;
    walk.skip_white_space();
    if walk.leave_object().is_none() {
        loop {
            walk.skip_white_space();
            let name = walk.plain_string()?;
            walk.skip_white_space();
            walk.expect(b':')?;
            take_value(walk, slots.named(object, name), slots, tokens)?;
            walk.skip_white_space();
            if walk.expect(b',').is_none() {
                walk.leave_object()?;
                break;
            }
        }
    }
    Some(Token { kind: TokenKind::Nested, start, end: walk.position() })
}

/// Where a walk along the members comes to.
enum NextMember {
    /// A value, and what it is needed for.
    Value(Needed),
    /// The end of the object and of the line.
    End,
}

impl Seam {
    const MAX_BYTES: usize = 48;

    /// What comes before a value nobody has seen yet: never trusted, as it has no bytes.
    const UNKNOWN: Seam = Seam { bytes: [0; Seam::MAX_BYTES], length: 0, needed: Needed::NOTHING };

    /// A seam of these bytes; too long a one is not remembered.
    fn new(bytes: &[u8], needed: Needed) -> Seam {
        let mut seam = Seam::UNKNOWN;
        if let Some(room) = seam.bytes.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            seam.length = bytes.len() as u8;
            seam.needed = needed;
        }
        seam
    }

    #[inline(always)]
    fn text(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Ahead, DeclaredField, EventSchema, FieldPath, TimeUnit};

    const EVENTS: [&str; 8] = [
        r#"{"eventName":"like","userId":"1234","creatorId":"7777","eventTs":1707605599}"#,
        r#"{"eventName":"like","userId":"1234","eventTs":1707605599}"#,
        r#"{ "eventTs" : "17" , "text" : "said \"hi\" \u00e9" , "eventName" : "like" } "#,
        r#"{"eventName":"cancel","seen":true,"userId":null,"unitPrice":-27.5e0,"country":"Norge","eventTs":1}"#,
        r#"{"eventName":"like","tags":["a",{"b":[1,[]]}],"user":{"plan":{"x":null},"id":"1234"},"eventTs":17}"#,
        r#"{ "user" : { } , "x" : { "a\u0062" : [ ] } , "eventName" : "like" , "eventTs" : 17 }"#,
        r#"{"user":7,"eventName":"like","user":{"id":[1,2],"id":{"a":[]},"plan":[]},"eventTs":17}"#,
        r#"{"a field with a name that is longer than a seam that is remembered":0,"eventName":"x","eventTs":2}"#,
    ];

    fn slots() -> Slots {
        Slots::of(&EventSchema {
            name_field: FieldPath::top_level("eventName"),
            time_field: FieldPath::top_level("eventTs"),
            time_unit: TimeUnit::Seconds,
            max_ahead: None,
            ahead: Ahead::DeadLetter,
            arrival_field: None,
            max_bytes: 1 << 20,
            fields: vec![DeclaredField::unused("user.id".parse().unwrap())],
        })
    }

    fn accepts(scanner: &mut Scanner, line: &str) -> bool {
        let slots = slots();
        scanner.locate(line.as_bytes(), &slots, &mut Tokens::for_slots(&slots)).is_some()
    }

    #[test]
    fn events_of_every_shape_are_its_business_in_any_order() {
        let mut scanner = Scanner::default();
        for first in EVENTS {
            for second in EVENTS {
                assert!(accepts(&mut scanner, first), "{first}");
                assert!(accepts(&mut scanner, second), "{second} after {first}");
            }
        }
    }

    #[test]
    fn it_gives_up_on_every_line_that_is_cut_off() {
        let mut scanner = Scanner::default();
        for event in EVENTS {
            assert!(accepts(&mut scanner, event));
            let last = event.rfind('}').unwrap();
            for end in 0..=last {
                assert!(!accepts(&mut scanner, &event[..end]), "{}", &event[..end]);
            }
        }
    }

    #[test]
    fn a_seam_is_trusted_only_in_the_place_where_it_was_learned() {
        let mut scanner = Scanner::default();
        assert!(accepts(&mut scanner, r#"{"a":1,"b":2}"#));
        assert!(accepts(&mut scanner, r#"{"a":1}"#));
        for line in [r#"{,"b":2}"#, r#"{"a":1{"a":1}"#, r#","b":2}"#, r#"{"a":,"b":2}"#, r#"{"a":1,"b":}"#] {
            assert!(!accepts(&mut scanner, line), "{line}");
        }
    }

    #[test]
    fn what_it_remembers_is_bounded() {
        let mut scanner = Scanner::default();
        let members: Vec<String> = (0..10_000).map(|number| format!("\"{number}\":{number}")).collect();
        assert!(accepts(&mut scanner, &format!("{{{}}}", members.join(","))));
        assert_eq!(scanner.seams.len(), MAX_SEAMS);
    }
}
