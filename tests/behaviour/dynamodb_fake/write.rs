//! Requests that write, carried out: what of them fits, what it costs, and what is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use serde_json::{Value as Json, json};

use super::answer::{Answer, Refusal};
use super::condition::holds;
use super::expression::Condition;
use super::faults::{Fault, Full, Request};
use super::state::State;
use super::table::{Identity, Stored, write_units};
use super::update::Update;
use super::value::{Attributes, MOST_ITEM_BYTES, check_attributes};

/// One write of one item.
#[derive(Clone, Debug)]
pub struct Write {
    pub(super) table: String,
    pub(super) key: Identity,
    pub(super) change: Change,
    pub(super) condition: Option<Condition>,
}

#[derive(Clone, Debug)]
pub enum Change {
    Put(Arc<Stored>),
    /// With the key as it was given.
    Delete(Attributes),
    Update(Attributes, Update),
}

/// A request that writes.
#[derive(Clone, Debug)]
pub struct Writes {
    pub(super) operation: &'static str,
    pub(super) writes: Vec<Write>,
    pub(super) tells_capacity: bool,
    /// Of a single write: the item before or after it, wanted in the answer; the item before, wanted in a refusal.
    pub(super) returns: String,
    pub(super) returns_on_failure: bool,
}

impl Writes {
    /// Takes note of the request's arrival.
    pub fn begin(&self, state: &mut State) {
        state.at_once += 1;
        state.most_at_once = state.most_at_once.max(state.at_once);
        if state.script.ignores_overlap {
            return;
        }
        for write in &self.writes {
            if !state.in_flight.insert((write.table.clone(), write.key.clone())) {
                state.violations.push(format!("{:?} is in two requests at once", write.key));
            }
        }
    }

    /// Takes note that whoever sent the request has its answer, or is let go.
    pub fn end(&self, state: &mut State) {
        state.at_once -= 1;
        for write in &self.writes {
            if state.in_flight.is_empty() {
                return;
            }
            state.in_flight.remove(&(write.table.clone(), write.key.clone()));
        }
    }

    /// The request as a plan sees it.
    pub fn request(&self, number: u64, state: &State) -> Request {
        Request {
            number,
            operation: self.operation,
            table: self.writes.first().map(|write| write.table.clone()).unwrap_or_default(),
            keys: self.writes.iter().map(|write| write.key.clone()).collect(),
            at: state.now(),
        }
    }

    /// Carries the request out, but for what its fault and the script keep from it.
    pub fn carry_out(&self, state: &mut State, fault: &Fault, late: bool) -> Answer {
        if let Some(refuses) = &state.script.refuses
            && self.writes.iter().any(|write| refuses(&write.key))
        {
            return Err(Refusal::invalid("One or more parameter values were invalid: refused by the script"));
        }
        let left_out = match fault {
            Fault::Unprocessed(count) => *count,
            _ => 0,
        };
        if self.operation == "BatchWriteItem" {
            self.write_batch(state, left_out, late)
        } else {
            self.write_one(state, left_out, late)
        }
    }

    fn write_batch(&self, state: &mut State, left_out: usize, late: bool) -> Answer {
        let mut unprocessed: BTreeMap<&str, Vec<Json>> = BTreeMap::new();
        let mut consumed: BTreeMap<&str, u64> = BTreeMap::new();
        let mut throttled = 0;
        let mut full = Full::Table;
        for (index, write) in self.writes.iter().enumerate() {
            let share = state.script.unprocessed_share;
            let mut is_left_out =
                index + left_out >= self.writes.len() || (share > 0.0 && state.random.random_bool(share));
            if !is_left_out {
                match write.units(state).and_then(|(after, units)| Ok((after, units, write.admit(state, units)?))) {
                    Ok((after, units, ())) => {
                        state.replace(&write.table, &write.key, after, (units, late));
                        *consumed.entry(&write.table).or_default() += units;
                    }
                    Err(Stop::Full(what)) => {
                        full = what;
                        throttled += 1;
                        is_left_out = true;
                    }
                    Err(Stop::Refused(refusal)) => return Err(refusal),
                }
            }
            if is_left_out {
                unprocessed.entry(&write.table).or_default().push(write.to_json());
            }
        }
        if throttled == self.writes.len() {
            return Err(too_fast(full));
        }
        let mut answer = json!({ "UnprocessedItems": unprocessed });
        if self.tells_capacity {
            answer["ConsumedCapacity"] = consumed.iter().map(|(table, units)| capacity(table, *units as f64)).collect();
        }
        Ok(answer)
    }

    fn write_one(&self, state: &mut State, left_out: usize, late: bool) -> Answer {
        let write = &self.writes[0];
        if left_out > 0 {
            return Err(too_fast(Full::Key));
        }
        let before = state.tables.get(&write.table).and_then(|table| table.items.get(&write.key));
        if let Some(condition) = &write.condition
            && !holds(condition, before.map(|before| &before.attributes))
        {
            state.unmet_conditions += 1;
            let mut refusal = Refusal::new(400, "ConditionalCheckFailedException", "The conditional request failed");
            if self.returns_on_failure
                && let Some(before) = before
            {
                refusal.more.insert("Item".to_owned(), json!(before.attributes));
            }
            // A write that is not made is paid for all the same.
            let units = write_units(before.map(|before| before.bytes), None);
            write.admit(state, units).map_err(Stop::into_refusal)?;
            let at = state.now();
            state.record.add_units(at, units);
            return Err(refusal);
        }
        let (after, units) = write.units(state).map_err(Stop::into_refusal)?;
        write.admit(state, units).map_err(Stop::into_refusal)?;
        let before = state.replace(&write.table, &write.key, after.clone(), (units, late));
        let shown = match self.returns.as_str() {
            "ALL_NEW" | "UPDATED_NEW" => after,
            "ALL_OLD" | "UPDATED_OLD" => before,
            _ => None,
        };
        let mut shown = shown.map(|shown| shown.attributes.clone());
        if let (true, Some(shown), Change::Update(_, update)) =
            (self.returns.starts_with("UPDATED"), &mut shown, &write.change)
        {
            shown.retain(|name, _| update.attributes().any(|updated| updated == name));
        }
        let mut answer = json!({});
        if let Some(shown) = shown.filter(|shown| !shown.is_empty()) {
            answer["Attributes"] = json!(shown);
        }
        if self.tells_capacity {
            answer["ConsumedCapacity"] = capacity(&write.table, units as f64);
        }
        Ok(answer)
    }
}

/// Why a write is not made.
enum Stop {
    Full(Full),
    Refused(Refusal),
}

impl Stop {
    fn into_refusal(self) -> Refusal {
        match self {
            Stop::Full(full) => too_fast(full),
            Stop::Refused(refusal) => refusal,
        }
    }
}

fn too_fast(full: Full) -> Refusal {
    let message = match full {
        Full::Table => {
            "The level of configured provisioned throughput for the table was exceeded. Consider increasing your \
             provisioning level with the UpdateTable API."
        }
        Full::Key => {
            "Throughput exceeds the current capacity of one or more partitions of your table. Please retry, or \
             distribute the requests over more partition keys."
        }
    };
    Refusal::new(400, "ProvisionedThroughputExceededException", message)
}

pub fn capacity(table: &str, units: f64) -> Json {
    json!({ "TableName": table, "CapacityUnits": units })
}

impl Write {
    /// The item after the write, and what it costs.
    fn units(&self, state: &State) -> Result<(Option<Arc<Stored>>, u64), Stop> {
        let before = state.tables.get(&self.table).and_then(|table| table.items.get(&self.key));
        let after = match &self.change {
            Change::Put(item) => Some(Arc::clone(item)),
            Change::Delete(_) => None,
            Change::Update(key, update) => {
                let after = update.apply(before.map_or(key, |before| &before.attributes)).map_err(Stop::Refused)?;
                check_attributes(&after).map_err(Stop::Refused)?;
                let after = Stored::new(after);
                if after.bytes > MOST_ITEM_BYTES {
                    let refusal = Refusal::invalid("Item size to update has exceeded the maximum allowed size");
                    return Err(Stop::Refused(refusal));
                }
                Some(Arc::new(after))
            }
        };
        let units = write_units(before.map(|before| before.bytes), after.as_ref().map(|after| after.bytes));
        Ok((after, units))
    }

    fn admit(&self, state: &mut State, units: u64) -> Result<(), Stop> {
        state.limits.take(&state.script, &self.table, &self.key.0, units).map_err(|full| {
            state.throttled_items += 1;
            Stop::Full(full)
        })
    }

    fn to_json(&self) -> Json {
        match &self.change {
            Change::Delete(key) | Change::Update(key, _) => json!({"DeleteRequest": {"Key": key}}),
            Change::Put(item) => json!({"PutRequest": {"Item": item.attributes}}),
        }
    }
}
