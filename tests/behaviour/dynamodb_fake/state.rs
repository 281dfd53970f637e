//! What the fake holds: tables, the script of what goes wrong, and the record of what happened.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value as Json;

use super::answer::Refusal;
use super::faults::{Limits, Script, Trouble};
use super::record::{Effect, Record};
use super::table::{Identity, KeySchema, Stored, Table};

/// The table that is there from the start.
pub const TABLE: &str = "Fake";

#[derive(Debug)]
pub struct State {
    pub(super) tables: BTreeMap<String, Table>,
    pub script: Script,
    pub record: Record,
    /// Writing requests that were not carried out in full, or whose answer was lost.
    pub failed_requests: u64,
    /// How every request is answered, as long as it stands here.
    pub trouble: Option<Trouble>,
    /// How many were answered so.
    pub troubled: u64,
    /// What must never happen.
    pub violations: Vec<String>,
    /// How many requests there were of each operation.
    pub requests: BTreeMap<String, u64>,
    /// Items that were not taken because their table or partition key had too few units left.
    pub throttled_items: u64,
    /// The most requests that wrote at once.
    pub most_at_once: usize,
    /// Requests that are still to be carried out though whoever sent them was let go.
    pub late_requests: usize,
    /// Writes that were not made because their condition did not hold.
    pub unmet_conditions: u64,
    pub(super) writes: u64,
    pub(super) at_once: usize,
    pub(super) in_flight: HashSet<(String, Identity)>,
    pub(super) limits: Limits,
    pub(super) random: StdRng,
    started: Instant,
}

impl State {
    pub(super) fn new() -> State {
        let table = Table::new(KeySchema::texts("key", Some("featureName")));
        State {
            tables: BTreeMap::from([(TABLE.to_owned(), table)]),
            script: Script { latency: Duration::from_millis(2), ..Script::default() },
            record: Record::new(),
            failed_requests: 0,
            trouble: None,
            troubled: 0,
            violations: Vec::new(),
            requests: BTreeMap::new(),
            throttled_items: 0,
            most_at_once: 0,
            late_requests: 0,
            unmet_conditions: 0,
            writes: 0,
            at_once: 0,
            in_flight: HashSet::new(),
            limits: Limits::default(),
            random: StdRng::seed_from_u64(0),
            started: Instant::now(),
        }
    }

    /// Since the start of the fake.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// The table that is there from the start, in the service's own JSON.
    pub fn items(&self) -> BTreeMap<Identity, Json> {
        self.items_of(TABLE)
    }

    pub fn items_of(&self, table: &str) -> BTreeMap<Identity, Json> {
        let items = self.tables.get(table).into_iter().flat_map(|table| &table.items);
        items.map(|(key, item)| (key.clone(), serde_json::json!(item.attributes))).collect()
    }

    /// One item of the table that is there from the start.
    pub fn item(&self, key: &Identity) -> Option<Json> {
        Some(serde_json::json!(self.tables.get(TABLE)?.items.get(key)?.attributes))
    }

    /// How many items there are in the table that is there from the start.
    pub fn len(&self) -> usize {
        self.tables.get(TABLE).map_or(0, |table| table.items.len())
    }

    /// A table to be looked at or changed; one that is not there is a mistake of the test.
    pub fn table(&mut self, name: &str) -> &mut Table {
        self.tables.get_mut(name).unwrap_or_else(|| panic!("there is no table {name}"))
    }

    /// Makes a table with a key of two texts, or of one, or takes its place.
    pub fn create(&mut self, name: &str, hash: &str, range: Option<&str>) -> &mut Table {
        self.tables.insert(name.to_owned(), Table::new(KeySchema::texts(hash, range)));
        self.table(name)
    }

    /// The writes that left an item with a smaller version than it had, or once had (the first hundred).
    pub fn went_back(&self) -> &[Effect] {
        &self.record.went_back
    }

    /// A table whose items can be read and written.
    pub(super) fn usable(&mut self, name: &str) -> Result<&mut Table, Refusal> {
        self.described(name)?;
        self.tables.get_mut(name).filter(|table| table.is_usable()).ok_or_else(Refusal::no_table)
    }

    /// A table that is there, in whatever state.
    pub(super) fn described(&mut self, name: &str) -> Result<&mut Table, Refusal> {
        let is_right = name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-.".contains(&c));
        if !is_right || !(3..=255).contains(&name.len()) {
            return Err(Refusal::invalid(
                "Invalid table/index name.  Table/index names must be between 3 and 255 characters long, and may contain \
                 only the characters a-z, A-Z, 0-9, '_', '-', and '.'",
            ));
        }
        if self.tables.get(name).is_some_and(Table::is_gone) {
            self.tables.remove(name);
        }
        let missing = || Refusal {
            message: format!("Requested resource not found: Table: {name} not found"),
            ..Refusal::no_table()
        };
        self.tables.get_mut(name).ok_or_else(missing)
    }

    /// Puts an item in the place of another, or takes it away; what was there before is given back.
    pub(super) fn replace(
        &mut self,
        table: &str,
        key: &Identity,
        after: Option<Arc<Stored>>,
        (units, late): (u64, bool),
    ) -> Option<Arc<Stored>> {
        let at = self.now();
        self.record.add_units(at, units);
        let place = self.tables.get_mut(table)?;
        let version = after.as_ref().and_then(|after| after.version);
        let before = match after {
            Some(after) => place.items.insert(key.clone(), after),
            None => place.items.remove(key),
        };
        let version_before = before.as_ref().and_then(|before| before.version);
        let once =
            if version_before.is_none() && !place.deleted.is_empty() { place.deleted.get(key).copied() } else { None };
        if version.is_none()
            && let Some(deleted) = version_before
        {
            place.deleted.insert(key.clone(), deleted);
        }
        let is_back = version.zip(version_before.or(once)).is_some_and(|(after, before)| after < before);
        let effect = |sequence| Effect {
            at,
            sequence,
            table: table.to_owned(),
            key: key.clone(),
            before: version_before,
            after: version,
            late,
            units,
        };
        self.record.add(effect, is_back);
        before
    }
}
