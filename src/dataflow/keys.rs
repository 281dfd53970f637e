//! The texts of the keys that one event has in a group.

use super::identity::{HashSeed, KeyHash};
use crate::event::{Event, FieldId, MAX_MEMBERS, Reason};
use crate::pipeline::Group;
use crate::reading::append_key;

/// The longest key, in bytes: DynamoDB's limit, whatever the sink.
pub const MAX_KEY_BYTES: usize = 2048;

/// How groups are keyed: those that are keyed alike share the texts of their keys and the hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyForm {
    fields: Vec<KeyField>,
    explodes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KeyField {
    id: FieldId,
    exploded: bool,
}

/// The keys of one event, and room for those of the next.
#[derive(Debug, Default)]
pub struct Keys {
    found: Vec<Key>,
    text: Vec<u8>,
}

/// One key: where its text lies, and its hash.
#[derive(Clone, Copy, Debug)]
struct Key {
    text: KeyText,
    hash: KeyHash,
}

#[derive(Clone, Copy, Debug)]
enum KeyText {
    /// The field's own text.
    Field(FieldId),
    /// The text of one of the field's members.
    Member(FieldId, usize),
    /// Joined in [`Keys::text`].
    Joined { start: usize, end: usize },
}

impl KeyForm {
    /// How this group is keyed.
    pub fn of(group: &Group) -> KeyForm {
        let field = |id: &FieldId| KeyField { id: *id, exploded: group.explode.contains(id) };
        KeyForm { fields: group.key.iter().map(field).collect(), explodes: !group.explode.is_empty() }
    }
}

impl Keys {
    /// Forgets the last event.
    #[inline]
    pub fn clear(&mut self) {
        self.found.clear();
        self.text.clear();
    }

    /// How many keys were found since the last [`Keys::clear`].
    #[inline]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// A key by its place, with its hash.
    #[inline]
    pub fn get<'a>(&'a self, event: &Event<'a>, place: usize) -> (&'a [u8], KeyHash) {
        let key = self.found[place];
        let text = match key.text {
            KeyText::Field(field) => event.key(field).unwrap_or_default(),
            KeyText::Member(field, member) => event.member(field, member).unwrap_or_default(),
            KeyText::Joined { start, end } => &self.text[start..end],
        };
        (text, key.hash)
    }

    /// Adds the event's keys of this form: none where a field is missing, several where one is
    /// exploded. An error counts against the whole event.
    #[inline]
    pub fn find(&mut self, event: &Event<'_>, form: &KeyForm, seed: HashSeed) -> Result<(), Reason> {
        match form.fields.as_slice() {
            [field] if !field.exploded => match event.key(field.id) {
                Some(text) => self.push(KeyText::Field(field.id), text, seed),
                None => Ok(()),
            },
            _ if form.explodes => self.explode(event, &form.fields, seed),
            fields => {
                if fields.iter().any(|field| event.key(field.id).is_none()) {
                    return Ok(());
                }
                self.join(fields.iter().map(|field| event.key(field.id).unwrap_or_default()), seed)
            }
        }
    }

    /// Adds a key for every combination of the exploded fields' members.
    fn explode(&mut self, event: &Event<'_>, fields: &[KeyField], seed: HashSeed) -> Result<(), Reason> {
        let mut combinations = 1_usize;
        for field in fields {
            let texts =
                if field.exploded { event.member_count(field.id) } else { usize::from(event.key(field.id).is_some()) };
            combinations = combinations.saturating_mul(texts);
        }
        if combinations > MAX_MEMBERS {
            return Err(Reason::BadKey);
        }
        for combination in 0..combinations {
            if let [field] = fields {
                let text = event.member(field.id, combination).unwrap_or_default();
                self.push(KeyText::Member(field.id, combination), text, seed)?;
            } else {
                // The combination's number has one digit for each exploded field.
                let mut rest = combination;
                let part = |field: &KeyField| {
                    if !field.exploded {
                        return event.key(field.id).unwrap_or_default();
                    }
                    let members = event.member_count(field.id);
                    let member = rest % members;
                    rest /= members;
                    event.member(field.id, member).unwrap_or_default()
                };
                self.join(fields.iter().map(part), seed)?;
            }
        }
        Ok(())
    }

    fn join<'e>(&mut self, parts: impl ExactSizeIterator<Item = &'e [u8]>, seed: HashSeed) -> Result<(), Reason> {
        let start = self.text.len();
        append_key(parts, &mut self.text);
        let text = &self.text[start..];
        if text.len() > MAX_KEY_BYTES {
            return Err(Reason::KeyTooLong);
        }
        let key = Key { text: KeyText::Joined { start, end: start + text.len() }, hash: seed.key(text) };
        self.found.push(key);
        Ok(())
    }

    #[inline]
    fn push(&mut self, place: KeyText, text: &[u8], seed: HashSeed) -> Result<(), Reason> {
        if text.len() > MAX_KEY_BYTES {
            return Err(Reason::KeyTooLong);
        }
        self.found.push(Key { text: place, hash: seed.key(text) });
        Ok(())
    }
}
