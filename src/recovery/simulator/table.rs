//! The table: what stands in it, and what is on its way there.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::dice::Dice;
use crate::epoch::Version;
use crate::publish::Handed;
use crate::sink::Outcome;

/// A key, and the name of an event: what has a counter.
pub(super) type Item = (u8, u8);

/// A table.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub rows: BTreeMap<Item, (Version, u64)>,
    pub flights: Vec<Flight>,
    /// It takes nothing that is older than what stands there.
    pub is_conditional: bool,
}

/// A write on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub run: usize,
    pub handed: Rc<Handed>,
    /// Which item of the batch.
    pub index: u32,
    pub item: Item,
    pub version: Version,
    pub value: u64,
    /// The run believes to know what becomes of it.
    pub is_answered: bool,
    /// Its run has ended.
    pub is_late: bool,
}

/// What a write has come to.
pub(super) enum Written {
    Yes,
    /// There is something newer.
    Superseded,
}

impl Table {
    /// Takes notice of a write.
    pub fn begin(&mut self, flight: Flight) -> Result<(), String> {
        let is_same = |other: &&Flight| other.run == flight.run && other.item == flight.item;
        if let Some(other) = self.flights.iter().find(is_same) {
            return Err(format!("I5: two writes of {:?} at once: {} and {}", flight.item, other.value, flight.value));
        }
        self.flights.push(flight);
        Ok(())
    }

    /// A write arrives.
    pub fn write(&mut self, flight: &Flight) -> Result<Written, String> {
        let new = (flight.version, flight.value);
        if let Some(old) = self.rows.get(&flight.item).copied() {
            if self.is_conditional && new.0 < old.0 {
                return Ok(Written::Superseded);
            }
            let is_other = new.0 == old.0 && new.1 != old.1;
            if new.0 < old.0 || new.1 < old.1 || is_other {
                let (item, run) = (flight.item, flight.run);
                return Err(format!("I2: {item:?} goes from {old:?} to {new:?}, written by run {run}"));
            }
        }
        self.rows.insert(flight.item, new);
        Ok(Written::Yes)
    }

    /// Something becomes of one of the writes of this run. `Ok(true)`: the run finds that another has the table.
    pub fn answer_some(&mut self, run: usize, dice: &mut Dice, is_well: bool) -> Result<bool, String> {
        let own: Vec<usize> = (0..self.flights.len()).filter(|index| self.flights[*index].run == run).collect();
        if own.is_empty() {
            return Ok(false);
        }
        let flight = self.flights.swap_remove(dice.pick(&own));
        let luck = if is_well { 0 } else { dice.below(10) };
        let outcome = match luck {
            // Not written, and never will be.
            8 => Outcome::NotWritten,
            luck => match self.write(&flight)? {
                Written::Superseded => {
                    let newer = self.rows[&flight.item].0;
                    if newer.generation() > flight.version.generation() {
                        return Ok(true);
                    }
                    Outcome::Superseded
                }
                // Written, and the answer is lost; nothing more comes of it.
                Written::Yes if luck == 9 => Outcome::NotWritten,
                Written::Yes => Outcome::Written,
            },
        };
        if !flight.is_answered {
            flight.handed.receipt.answer(flight.index..flight.index + 1, outcome);
        }
        Ok(false)
    }

    /// A run has ended: of what it had on its way some arrives. Returns how many writes there were, and how many have arrived.
    pub fn run_ends(&mut self, run: usize, dice: &mut Dice) -> Result<(usize, usize), String> {
        let (mut had, mut arrived) = (0, 0);
        let mut index = 0;
        while index < self.flights.len() {
            if self.flights[index].run != run {
                index += 1;
                continue;
            }
            had += 1;
            // A table that takes nothing older may get it at any later time.
            if self.is_conditional && dice.one_in(3) {
                self.flights[index].is_late = true;
                index += 1;
                continue;
            }
            let flight = self.flights.swap_remove(index);
            if dice.one_in(2) {
                self.write(&flight)?;
                arrived += 1;
            }
        }
        Ok((had, arrived))
    }

    /// Something of a run that has ended arrives, if there is something.
    pub fn arrive_late(&mut self) -> Result<bool, String> {
        let Some(late) = self.flights.iter().position(|flight| flight.is_late) else { return Ok(false) };
        let flight = self.flights.swap_remove(late);
        self.write(&flight)?;
        Ok(true)
    }
}
