//! A table: its key, its items, and the settings that the `table` command looks at.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::answer::Refusal;
use super::value::{Attributes, Value, item_bytes};

/// The key of an item: HASH, and RANGE (empty where the table has none).
pub type Identity = (String, String);

const MOST_HASH_BYTES: usize = 2048;
const MOST_RANGE_BYTES: usize = 1024;

/// The attributes of a table's key, each with its type.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySchema {
    pub hash: (String, String),
    pub range: Option<(String, String)>,
}

impl KeySchema {
    pub fn texts(hash: &str, range: Option<&str>) -> KeySchema {
        let text = |name: &str| (name.to_owned(), "S".to_owned());
        KeySchema { hash: text(hash), range: range.map(text) }
    }

    pub fn parts(&self) -> impl Iterator<Item = &(String, String)> {
        [Some(&self.hash), self.range.as_ref()].into_iter().flatten()
    }

    /// The key of an item that is to be put.
    pub fn identity_of_item(&self, item: &Attributes) -> Result<Identity, Refusal> {
        if let Some((name, _)) = self.parts().find(|(name, _)| !item.contains_key(name)) {
            let message = format!("One or more parameter values were invalid: Missing the key {name} in the item");
            return Err(Refusal::invalid(message));
        }
        self.identity(item)
    }

    /// The key that a request gives.
    pub fn identity_of_key(&self, key: &Attributes) -> Result<Identity, Refusal> {
        if key.len() != self.parts().count() || self.parts().any(|(name, _)| !key.contains_key(name)) {
            return Err(Refusal::invalid("The provided key element does not match the schema"));
        }
        self.identity(key)
    }

    fn identity(&self, attributes: &Attributes) -> Result<Identity, Refusal> {
        let text = |(name, kind): &(String, String), most_bytes| {
            let value = &attributes[name];
            let text = match value {
                Value::Refused(refusal) => return Err((**refusal).clone()),
                Value::S(text) | Value::N(text) | Value::B(text) if value.type_name() == kind => text,
                other => {
                    let actual = other.type_name();
                    return Err(Refusal::invalid(format!(
                        "One or more parameter values were invalid: Type mismatch for key {name} expected: {kind} \
                         actual: {actual}"
                    )));
                }
            };
            if text.is_empty() {
                return Err(Refusal::invalid(format!(
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain \
                     an empty string value. Key: {name}"
                )));
            }
            if text.len() > most_bytes {
                let what = if most_bytes == MOST_HASH_BYTES {
                    "Size of hashkey has exceeded the maximum size limit of2048 bytes"
                } else {
                    "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
                };
                return Err(Refusal::invalid(format!("One or more parameter values were invalid: {what}")));
            }
            Ok(text.clone())
        };
        let hash = text(&self.hash, MOST_HASH_BYTES)?;
        let range = self.range.as_ref().map(|range| text(range, MOST_RANGE_BYTES)).transpose()?;
        Ok((hash, range.unwrap_or_default()))
    }

    /// The key's attributes of an item.
    pub fn key_of(&self, item: &Attributes) -> Attributes {
        self.parts().filter_map(|(name, _)| Some((name.clone(), item.get(name)?.clone()))).collect()
    }
}

/// An item as it stands in the table, or is to stand there.
#[derive(Clone, Debug)]
pub struct Stored {
    pub attributes: Attributes,
    pub bytes: usize,
    /// Of the attribute `version`.
    pub version: Option<u64>,
}

impl Stored {
    pub fn new(attributes: Attributes) -> Stored {
        let version = match attributes.get("version") {
            Some(Value::N(text)) => text.parse().ok(),
            _ => None,
        };
        Stored { bytes: item_bytes(&attributes), version, attributes }
    }
}

/// The write units of a write: by the larger of the item before and the item after it.
pub fn write_units(before: Option<usize>, after: Option<usize>) -> u64 {
    let bytes = before.unwrap_or(0).max(after.unwrap_or(0));
    bytes.div_ceil(1024).max(1) as u64
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Billing {
    OnDemand,
    Provisioned { read: u64, write: u64 },
}

/// Something that changes at once or takes its time.
#[derive(Clone, Debug)]
pub struct Changing<T> {
    pub value: T,
    until: Option<Instant>,
}

impl<T> Changing<T> {
    pub fn settled(value: T) -> Changing<T> {
        Changing { value, until: None }
    }

    pub fn set(&mut self, value: T, takes: Duration) {
        self.value = value;
        self.until = (!takes.is_zero()).then(|| Instant::now() + takes);
    }

    /// Whether it is still on its way to what it is set to.
    pub fn is_changing(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

/// Whether the table is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existence {
    Created,
    Updated,
    Deleted,
}

#[derive(Clone, Debug)]
pub struct Table {
    pub schema: KeySchema,
    pub items: BTreeMap<Identity, Arc<Stored>>,
    /// The largest versions of items that have been deleted.
    pub deleted: HashMap<Identity, u64>,
    pub existence: Changing<Existence>,
    pub billing: Billing,
    /// The attribute by which it deletes items, or that it did.
    pub ttl: Changing<Option<String>>,
    pub point_in_time_recovery: bool,
    pub created: SystemTime,
}

impl Table {
    pub fn new(schema: KeySchema) -> Table {
        Table {
            schema,
            items: BTreeMap::new(),
            deleted: HashMap::new(),
            existence: Changing::settled(Existence::Created),
            billing: Billing::OnDemand,
            ttl: Changing::settled(None),
            point_in_time_recovery: false,
            created: SystemTime::now(),
        }
    }

    pub fn status(&self) -> &'static str {
        match (self.existence.value, self.existence.is_changing()) {
            (Existence::Created, true) => "CREATING",
            (Existence::Updated, true) => "UPDATING",
            (Existence::Deleted, _) => "DELETING",
            _ => "ACTIVE",
        }
    }

    /// A table that has been deleted, and is.
    pub fn is_gone(&self) -> bool {
        self.existence.value == Existence::Deleted && !self.existence.is_changing()
    }

    /// Whether its items can be read and written.
    pub fn is_usable(&self) -> bool {
        matches!(self.status(), "ACTIVE" | "UPDATING")
    }
}
