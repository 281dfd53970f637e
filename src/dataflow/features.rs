//! The features that a worker's rows belong to.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::pipeline::{FeatureKey, Pipeline, RowShape};

/// Numbers features, and forgets those that no row belongs to any more: event names, and with them
/// feature names, may be made up by whoever makes the events.
#[derive(Debug, Default)]
pub struct FeatureTable {
    places: HashMap<FeatureKey, u32, RandomState>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The bytes of all names; each is kept twice.
    name_bytes: usize,
}

#[derive(Debug)]
struct Slot {
    key: FeatureKey,
    shape: RowShape,
    rows: u64,
}

impl FeatureTable {
    /// The number of a feature. It holds until the last row is taken from the feature.
    pub fn number_of(&mut self, key: &FeatureKey, pipeline: &Pipeline) -> u32 {
        if let Some(number) = self.places.get(key) {
            return *number;
        }
        self.name_bytes += 2 * key.name.len();
        let slot = Slot { key: key.clone(), shape: pipeline.shape(key), rows: 0 };
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        self.places.insert(key.clone(), number);
        number
    }

    /// The feature with this number.
    pub fn get(&self, number: u32) -> &FeatureKey {
        &self.slots[number as usize].key
    }

    /// What the feature's rows hold.
    #[inline]
    pub fn shape(&self, number: u32) -> RowShape {
        self.slots[number as usize].shape
    }

    /// A row was added to the feature.
    pub fn add_row(&mut self, number: u32) {
        self.slots[number as usize].rows += 1;
    }

    /// A row was taken from the feature; the last one takes the feature along.
    pub fn remove_row(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        slot.rows -= 1;
        if slot.rows == 0 {
            self.places.remove(&slot.key);
            self.name_bytes -= 2 * slot.key.name.len();
            slot.key.name = String::new();
            self.free.push(number);
        }
    }

    /// Gives back what is not needed any more, after very many features: their numbers at the end, and the room of
    /// their names.
    pub fn give_back(&mut self) {
        const WORTH_IT: usize = 1024;
        if self.places.capacity() > WORTH_IT.max(4 * self.places.len()) {
            self.places.shrink_to(2 * self.places.len());
        }
        if self.free.len() > WORTH_IT.max(self.slots.len() / 2) {
            while self.slots.pop_if(|slot| slot.rows == 0).is_some() {}
            let numbers = self.slots.len() as u32;
            self.free.retain(|number| *number < numbers);
            // The lowest ones are given first, so that those at the end become free.
            self.free.sort_unstable_by(|one, other| other.cmp(one));
            self.free.shrink_to(2 * self.free.len());
            self.slots.shrink_to(2 * self.slots.len());
        }
    }

    /// The bytes that it takes.
    pub fn allocated_bytes(&self) -> usize {
        let places = self.places.capacity() * (size_of::<(FeatureKey, u32)>() + 1);
        let slots = self.slots.capacity() * size_of::<Slot>() + self.free.capacity() * size_of::<u32>();
        places + slots + self.name_bytes
    }

    /// How many numbers are given, including free ones.
    pub fn numbers(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{GroupId, MeasureId};
    use crate::sink::fixtures;

    #[test]
    fn an_explosion_of_names_leaves_nothing_behind() {
        let pipeline = fixtures::pipeline();
        let key =
            |number: usize| FeatureKey { group: GroupId(0), measure: MeasureId(0), name: format!("name {number}") };
        let mut table = FeatureTable::default();
        let add = |table: &mut FeatureTable, number| {
            let feature = table.number_of(&key(number), &pipeline);
            table.add_row(feature);
            feature
        };
        let first = add(&mut table, 0);
        let before = table.allocated_bytes();
        let exploded: Vec<u32> = (1..100_000).map(|number| add(&mut table, number)).collect();
        assert!(table.allocated_bytes() > 1_000_000);
        exploded.into_iter().for_each(|feature| table.remove_row(feature));
        table.give_back();
        assert!(table.allocated_bytes() < before + 10_000, "{} bytes", table.allocated_bytes());
        assert_eq!(add(&mut table, 5), 1);
        assert_eq!(*table.get(first), key(0));
    }
}
