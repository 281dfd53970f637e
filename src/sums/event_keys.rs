//! The keys that one event has under a list of key fields: their texts and identities.

use super::identity::{HashSeed, KeyFieldsHash, KeyId};
use crate::event::{Event, EventSchema, FieldId, MAX_MEMBERS, Reason};
use crate::pipeline::Group;
use crate::reading::append_key;

/// The longest key, in bytes: DynamoDB's limit, whatever the sink.
pub(crate) const MAX_KEY_BYTES: usize = 2048;

/// How groups are keyed: those that are keyed alike share their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyForm {
    fields: Vec<KeyField>,
    explodes: bool,
    hash: KeyFieldsHash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KeyField {
    id: FieldId,
    exploded: bool,
}

/// The keys of one event, and room for those of the next.
#[derive(Debug, Default)]
pub(crate) struct EventKeys {
    found: Vec<Key>,
    text: Vec<u8>,
}

/// One key, and where its text is.
#[derive(Clone, Copy, Debug)]
struct Key {
    text: KeyText,
    id: KeyId,
}

#[derive(Clone, Copy, Debug)]
enum KeyText {
    /// The field's own text.
    Field(FieldId),
    /// The text of one of the field's members.
    Member(FieldId, usize),
    /// Joined in [`EventKeys::text`].
    Joined { start: usize, end: usize },
}

impl KeyForm {
    /// How this group is keyed.
    pub fn of(group: &Group, schema: &EventSchema, seed: HashSeed) -> KeyForm {
        let field = |id: &FieldId| KeyField { id: *id, exploded: group.explode.contains(id) };
        KeyForm {
            fields: group.key.iter().map(field).collect(),
            explodes: !group.explode.is_empty(),
            hash: seed.key_fields(group.key.iter().map(|id| schema.field_name(*id))),
        }
    }
}

impl EventKeys {
    /// Forgets the last event.
    #[inline]
    pub fn clear(&mut self) {
        self.found.clear();
        self.text.clear();
    }

    /// How many keys were found since the last [`EventKeys::clear`].
    #[inline]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// The text and the identity of one of them.
    #[inline(always)]
    pub fn get<'a>(&'a self, event: &Event<'a>, index: usize) -> (&'a [u8], KeyId) {
        let key = self.found[index];
        let text = match key.text {
            KeyText::Field(field) => event.key(field).unwrap_or_default(),
            KeyText::Member(field, member) => event.member(field, member).unwrap_or_default(),
            KeyText::Joined { start, end } => &self.text[start..end],
        };
        (text, key.id)
    }

    /// Adds the event's keys of this form: none where a field is missing, several where one is
    /// exploded. An error counts against the whole event.
    #[inline(always)]
    pub fn find(&mut self, event: &Event<'_>, form: &KeyForm, seed: HashSeed) -> Result<(), Reason> {
        match form.fields.as_slice() {
            [field] if !field.exploded => match event.key(field.id) {
                Some(text) => self.push(KeyText::Field(field.id), text, form, seed),
                None => Ok(()),
            },
            _ if form.explodes => self.explode(event, form, seed),
            fields => {
                if fields.iter().any(|field| event.key(field.id).is_none()) {
                    return Ok(());
                }
                self.join(fields.iter().map(|field| event.key(field.id).unwrap_or_default()), form, seed)
            }
        }
    }

    /// Adds a key for every combination of the exploded fields' members.
    #[inline(never)]
    fn explode(&mut self, event: &Event<'_>, form: &KeyForm, seed: HashSeed) -> Result<(), Reason> {
        let fields = form.fields.as_slice();
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
                self.push(KeyText::Member(field.id, combination), text, form, seed)?;
            } else {
                // The combination has one digit for each exploded field.
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
                self.join(fields.iter().map(part), form, seed)?;
            }
        }
        Ok(())
    }

    fn join<'e>(
        &mut self,
        parts: impl ExactSizeIterator<Item = &'e [u8]>,
        form: &KeyForm,
        seed: HashSeed,
    ) -> Result<(), Reason> {
        let start = self.text.len();
        append_key(parts, &mut self.text);
        let text = &self.text[start..];
        if text.len() > MAX_KEY_BYTES {
            return Err(Reason::KeyTooLong);
        }
        let id = seed.key(form.hash, text);
        self.found.push(Key { text: KeyText::Joined { start, end: start + text.len() }, id });
        Ok(())
    }

    #[inline(always)]
    fn push(&mut self, at: KeyText, text: &[u8], form: &KeyForm, seed: HashSeed) -> Result<(), Reason> {
        if text.len() > MAX_KEY_BYTES {
            return Err(Reason::KeyTooLong);
        }
        self.found.push(Key { text: at, id: seed.key(form.hash, text) });
        Ok(())
    }
}
