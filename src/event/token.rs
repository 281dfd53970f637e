//! Where the needed fields of one event stand: what the first phase of decoding hands to the second.
//!
//! Every distinct name that the schema mentions has one [`Slot`], whatever roles the field plays
//! (name, time, key, value). A slot holds the [`Token`] of the last member of that name.

use super::schema::EventSchema;

/// The place of a needed field among [`Slots`] and [`Tokens`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(usize);

/// What a raw JSON text is, as far as can be told without interpreting it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// No such member, or `null`: the same for every role.
    Absent,
    /// A string without escapes.
    Text,
    /// A string with at least one escape; a surrogate in it may still lack its other half.
    EscapedText,
    /// A number without fraction and exponent.
    Integer,
    /// A number with a fraction or an exponent.
    Decimal,
    /// `true` or `false`.
    Truth,
    /// An array or an object.
    Nested,
}

/// The raw JSON text of one value: its kind and where it stands in the line. A string's quotes
/// belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Token {
    pub(super) const ABSENT: Token = Token { kind: TokenKind::Absent, start: 0, end: 0 };
}

/// Which names are needed, and for what.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    names: Vec<Box<[u8]>>,
    name: Slot,
    time: Slot,
    fields: Vec<Slot>,
}

impl Slots {
    pub(super) fn of(schema: &EventSchema) -> Slots {
        let mut names: Vec<Box<[u8]>> = Vec::new();
        let mut slot_for = |name: &str| {
            let known = names.iter().position(|known| **known == *name.as_bytes());
            let place = known.unwrap_or_else(|| {
                names.push(name.as_bytes().into());
                names.len() - 1
            });
            Slot(place)
        };
        let name = slot_for(&schema.name_field);
        let time = slot_for(&schema.time_field);
        let fields = schema.fields.iter().map(|field| slot_for(&field.name)).collect();
        Slots { names, name, time, fields }
    }

    /// The slot for a member's name after unescaping, if it is needed at all.
    #[inline]
    pub(super) fn named(&self, name: &[u8]) -> Option<Slot> {
        self.names.iter().position(|needed| **needed == *name).map(Slot)
    }
}

/// One token for every slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tokens(Box<[Token]>);

impl Tokens {
    /// Room for every slot, all of them absent.
    pub(super) fn for_slots(slots: &Slots) -> Tokens {
        Tokens(vec![Token::ABSENT; slots.names.len()].into())
    }

    /// Forgets the last event.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.0.fill(Token::ABSENT);
    }

    /// Notes a member; an earlier one of the same name is forgotten: the last one wins.
    #[inline]
    pub(super) fn set(&mut self, slot: Slot, token: Token) {
        self.0[slot.0] = token;
    }

    #[inline]
    fn get(&self, slot: Slot) -> Token {
        self.0[slot.0]
    }

    /// The token that is the event's name.
    #[inline]
    pub(super) fn name(&self, slots: &Slots) -> Token {
        self.get(slots.name)
    }

    /// The token that is the event's time.
    #[inline]
    pub(super) fn time(&self, slots: &Slots) -> Token {
        self.get(slots.time)
    }

    /// The tokens of the declared fields, in the order of the schema.
    #[inline]
    pub(super) fn fields(&self, slots: &Slots) -> impl Iterator<Item = Token> {
        slots.fields.iter().map(|&slot| self.get(slot))
    }
}
