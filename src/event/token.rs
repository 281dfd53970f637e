//! Where the needed fields of one event stand: what the first phase of decoding hands to the second.
//!
//! Every distinct path that the schema mentions has one [`TokenSlot`], whatever roles the field plays
//! (name, time, key, value). A slot holds the [`Token`] of the last member of that name, in the last
//! object of each name that the path leads through.

use super::path::FieldPath;
use super::schema::EventSchema;

/// The index of a needed field among [`Slots`] and [`Tokens`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenSlot(u32);

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

/// Which fields are needed, and for what: a tree along their paths.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    /// The objects in which needed fields stand, by their [`ObjectId`].
    objects: Vec<NeededObject>,
    count: u32,
    name: TokenSlot,
    time: TokenSlot,
    arrival: Option<TokenSlot>,
    fields: Vec<TokenSlot>,
}

/// An object in which needed fields stand.
#[derive(Clone, Debug, Default)]
struct NeededObject {
    members: Vec<(Box<[u8]>, Needed)>,
    /// Every slot in it, and in the objects in it.
    inside: Vec<TokenSlot>,
}

/// The index of an object in [`Slots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObjectId(u32);

impl ObjectId {
    /// The event's own object.
    pub(super) const EVENT: ObjectId = ObjectId(0);
}

/// What a member is needed for: nothing, as a field, as an object that paths lead through, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needed {
    pub(super) slot: Option<TokenSlot>,
    pub(super) object: Option<ObjectId>,
}

impl Needed {
    pub(super) const NOTHING: Needed = Needed { slot: None, object: None };
}

impl Slots {
    pub(super) fn of(schema: &EventSchema) -> Slots {
        let mut slots = Slots {
            objects: vec![NeededObject::default()],
            count: 0,
            name: TokenSlot(0),
            time: TokenSlot(0),
            arrival: None,
            fields: Vec::new(),
        };
        slots.name = slots.slot_for(&schema.name_field);
        slots.time = slots.slot_for(&schema.time_field);
        slots.arrival = schema.arrival_field.as_ref().map(|path| slots.slot_for(path));
        slots.fields = schema.fields.iter().map(|field| slots.slot_for(&field.name)).collect();
        slots
    }

    /// The slot at the end of this path, made if it is new.
    fn slot_for(&mut self, path: &FieldPath) -> TokenSlot {
        let names = path.names();
        let mut object = ObjectId::EVENT;
        let mut through = Vec::new();
        for name in &names[..names.len() - 1] {
            object = self.object_in(object, name);
            through.push(object);
        }
        let next = TokenSlot(self.count);
        let slot = *self.member(object, &names[names.len() - 1]).slot.get_or_insert(next);
        if slot == next {
            self.count += 1;
            for object in through {
                self.objects[object.0 as usize].inside.push(slot);
            }
        }
        slot
    }

    fn object_in(&mut self, object: ObjectId, name: &str) -> ObjectId {
        let next = ObjectId(self.objects.len() as u32);
        let inner = *self.member(object, name).object.get_or_insert(next);
        if inner == next {
            self.objects.push(NeededObject::default());
        }
        inner
    }

    fn member(&mut self, object: ObjectId, name: &str) -> &mut Needed {
        let members = &mut self.objects[object.0 as usize].members;
        let known = members.iter().position(|(known, _)| **known == *name.as_bytes());
        let index = known.unwrap_or_else(|| {
            members.push((name.as_bytes().into(), Needed::NOTHING));
            members.len() - 1
        });
        &mut members[index].1
    }

    /// What a member of this object is needed for, by its name after unescaping.
    #[inline]
    pub(super) fn named(&self, object: ObjectId, name: &[u8]) -> Needed {
        let mut members = self.objects[object.0 as usize].members.iter();
        members.find(|(needed, _)| **needed == *name).map_or(Needed::NOTHING, |(_, needed)| *needed)
    }
}

/// One token for every slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tokens(Box<[Token]>);

impl Tokens {
    /// Room for every slot, all of them absent.
    pub(super) fn for_slots(slots: &Slots) -> Tokens {
        Tokens(vec![Token::ABSENT; slots.count as usize].into())
    }

    /// Forgets the last event.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.0.fill(Token::ABSENT);
    }

    /// Notes a member; an earlier one of the same name is forgotten: the last one wins.
    #[inline]
    pub(super) fn set(&mut self, slot: TokenSlot, token: Token) {
        self.0[slot.0 as usize] = token;
    }

    /// Forgets what stood inside an object, before another one of its name takes its place.
    #[inline]
    pub(super) fn forget_inside(&mut self, slots: &Slots, object: ObjectId) {
        for slot in &slots.objects[object.0 as usize].inside {
            self.0[slot.0 as usize] = Token::ABSENT;
        }
    }

    #[inline]
    fn get(&self, slot: TokenSlot) -> Token {
        self.0[slot.0 as usize]
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

    /// The token that is the time of arrival; `None` where the schema names no field for it.
    #[inline]
    pub(super) fn arrival(&self, slots: &Slots) -> Option<Token> {
        slots.arrival.map(|slot| self.get(slot))
    }

    /// The tokens of the declared fields, in the order of the schema.
    #[inline]
    pub(super) fn fields(&self, slots: &Slots) -> impl Iterator<Item = Token> {
        slots.fields.iter().map(|&slot| self.get(slot))
    }
}
