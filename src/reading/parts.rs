//! What the parts of one item hold together.
//!
//! An item of all features of a key that would be too large is split by its features' names into parts 0 to n - 1, for n = 1, 2, 4, ... They are
//! written one after the other, from the highest number down to 0, all with one version. Two things follow, whenever writing was
//! interrupted:
//!
//! - A part that is newer than part 0 was written before its others: of a feature that stands in several parts, the newest is the one.
//! - A part that is older than part 0 was left from a time in which there were more of them: nothing in it counts.

use std::collections::BTreeMap;

use super::mapped::MappedFeature;
use super::packed::{Damaged, unpack};
use super::{Count, Item};
use crate::counter::{DecayInterval, EventTime};
use crate::epoch::Version;

/// What an item of all features of a key, or a part of it, says beside them.
#[derive(Clone, Copy, Debug)]
pub struct KeyHead<'a> {
    /// The key's text.
    pub key: &'a str,
    /// With which it was written.
    pub version: Version,
    /// Since when it counts, where what came before was evicted.
    pub since: Option<EventTime>,
}

impl KeyHead<'_> {
    /// Its features, packed, each as an item of its own.
    pub fn unpack(&self, bytes: &[u8]) -> Result<Vec<Item>, Damaged> {
        let mut items = Vec::new();
        unpack(bytes, |feature| {
            items.push(self.item(feature.name.to_owned(), feature.counts(), feature.expires_at));
        })?;
        Ok(items)
    }

    /// Its features, as a map, each as an item of its own.
    pub fn items_of(&self, features: BTreeMap<String, MappedFeature>) -> Vec<Item> {
        let item = |(name, feature): (String, MappedFeature)| self.item(name, feature.counts(), feature.expires_at);
        features.into_iter().map(item).collect()
    }

    fn item(&self, feature_name: String, counts: BTreeMap<DecayInterval, Count>, expires_at: Option<i64>) -> Item {
        Item { key: self.key.to_owned(), feature_name, counts, version: self.version, expires_at, since: self.since }
    }
}

/// One part of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyPart {
    /// Its number, from 0.
    pub number: u32,
    /// With which it was written.
    pub version: Version,
    /// Its features, each as an item of its own.
    pub items: Vec<Item>,
}

/// The features of a key, in the order of their names, from all parts of its item.
pub fn whole_key(parts: impl IntoIterator<Item = KeyPart>) -> Vec<Item> {
    let parts: Vec<KeyPart> = parts.into_iter().collect();
    let complete = parts.iter().find(|part| part.number == 0).map(|part| part.version).unwrap_or_default();
    let mut newest: BTreeMap<String, Item> = BTreeMap::new();
    for item in parts.into_iter().filter(|part| part.version >= complete).flat_map(|part| part.items) {
        if newest.get(&item.feature_name).is_none_or(|other| other.version < item.version) {
            newest.insert(item.feature_name.clone(), item);
        }
    }
    newest.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::fixtures;

    fn part(number: u32, version: u64, features: &[&str]) -> KeyPart {
        let version = Version(version);
        let item = |name: &&str| Item { version, ..fixtures::item(name, 100, 1.0, None) };
        KeyPart { number, version, items: features.iter().map(item).collect() }
    }

    fn read(parts: &[KeyPart]) -> Vec<(String, u64)> {
        whole_key(parts.to_vec()).into_iter().map(|item| (item.feature_name, item.version.0)).collect()
    }

    fn expected(features: &[(&str, u64)]) -> Vec<(String, u64)> {
        features.iter().map(|(name, version)| ((*name).to_owned(), *version)).collect()
    }

    #[test]
    fn of_a_feature_the_newest_counts_while_part_0_is_still_to_come() {
        let parts = [part(0, 5, &["a", "b", "c"]), part(1, 6, &["b"])];
        assert_eq!(read(&parts), expected(&[("a", 5), ("b", 6), ("c", 5)]));
        assert_eq!(read(&[parts[1].clone(), parts[0].clone()]), read(&parts));
        assert_eq!(read(&[part(0, 6, &["a", "c"]), part(1, 6, &["b"])]), expected(&[("a", 6), ("b", 6), ("c", 6)]));
    }

    #[test]
    fn parts_that_are_left_over_do_not_count() {
        let left_over = [part(3, 5, &["d"]), part(2, 5, &["c"])];
        let parts = [part(0, 6, &["a"]), part(1, 6, &["b"])];
        assert_eq!(read(&[&left_over[..], &parts].concat()), expected(&[("a", 6), ("b", 6)]));
    }

    #[test]
    fn before_part_0_is_written_for_the_first_time_what_is_there_counts() {
        assert_eq!(read(&[part(3, 5, &["d"]), part(2, 5, &["c"])]), expected(&[("c", 5), ("d", 5)]));
        assert_eq!(read(&[]), []);
    }

    /// A writer that is stopped after any of its puts: what is read is the newest of each feature that any whole write had, and after a
    /// whole write exactly that.
    #[test]
    fn no_feature_is_ever_missing_in_between() {
        let writes: [&[&[&str]]; 4] =
            [&[&["a", "b"]], &[&["a"], &["b"]], &[&["a"], &["b"], &["c"], &["d"]], &[&["a", "d"]]];
        let mut table: BTreeMap<u32, KeyPart> = BTreeMap::new();
        let mut before: Vec<String> = Vec::new();
        for (parts, version) in writes.iter().zip(1..) {
            let all: Vec<&str> = parts.concat();
            for (number, features) in parts.iter().enumerate().rev().map(|(number, features)| (number as u32, features))
            {
                table.insert(number, part(number, version, features));
                let names: Vec<String> =
                    whole_key(table.values().cloned()).into_iter().map(|item| item.feature_name).collect();
                let stays = |name: &&String| all.contains(&name.as_str());
                assert!(before.iter().filter(stays).all(|name| names.contains(name)), "{version} {number} {names:?}");
            }
            let read = read(&table.values().cloned().collect::<Vec<_>>());
            assert_eq!(read, expected(&all.iter().map(|name| (*name, version)).collect::<Vec<_>>()));
            before = read.into_iter().map(|(name, _)| name).collect();
        }
    }
}
