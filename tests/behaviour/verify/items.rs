//! Published items, to be changed behind the run's back.

use serde_json::Value;

use crate::program::Workplace;

/// Published items, as `dump` prints them: they are a jsonl sink themselves.
#[derive(Clone)]
pub struct Items(pub Vec<Value>);

impl Items {
    pub fn of(place: &Workplace, sink: &str) -> Items {
        let dump = place.run(&["dump", sink]).exits(0).stdout;
        Items(dump.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    pub fn write(&self, place: &Workplace, name: &str) {
        place.write(name, self.0.iter().map(|item| format!("{item}\n")).collect::<String>());
    }

    pub fn index(&self, key: &str, feature: &str) -> usize {
        let found = self.0.iter().position(|item| item["key"] == key && item["featureName"] == feature);
        found.unwrap_or_else(|| panic!("no item {key} {feature}"))
    }

    pub fn item(&mut self, key: &str, feature: &str) -> &mut Value {
        let index = self.index(key, feature);
        &mut self.0[index]
    }
}
