//! Which features the rows of a segment name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::error::{CheckpointError, CheckpointErrorKind};

/// By the number that stands for a feature in payloads, what is known of it: a JSON object with a `name`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dictionary(BTreeMap<u64, Value>);

impl Dictionary {
    /// Adds a feature. What is said later of the same feature wins. Fails where another feature has this number.
    pub fn add(&mut self, id: u64, feature: Value) -> Result<(), CheckpointError> {
        if let Some(known) = self.0.get(&id)
            && known.get("name") != feature.get("name")
        {
            let message = format!(
                "two features have the number {id:016x} in checkpoints: {} and {}; rename one of them",
                name(known),
                name(&feature)
            );
            return Err(CheckpointError::new(CheckpointErrorKind::Usage, message));
        }
        self.0.insert(id, feature);
        Ok(())
    }

    /// Adds all features of a dictionary that is as new or newer.
    pub fn add_all(&mut self, newer: &Dictionary) -> Result<(), CheckpointError> {
        for (&id, feature) in &newer.0 {
            if self.0.get(&id) != Some(feature) {
                self.add(id, feature.clone())?;
            }
        }
        Ok(())
    }

    /// What is known of a feature.
    pub fn get(&self, id: u64) -> Option<&Value> {
        self.0.get(&id)
    }

    /// All features, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Value)> {
        self.0.iter().map(|(id, feature)| (*id, feature))
    }
}

fn name(feature: &Value) -> String {
    feature.get("name").map_or_else(|| "one without a name".to_owned(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn later_words_on_a_feature_win_and_two_features_never_share_a_number() {
        let mut old = Dictionary::default();
        old.add(7, json!({"name": "like", "since": 1})).unwrap();
        let mut new = Dictionary::default();
        new.add(7, json!({"name": "like", "since": 2})).unwrap();
        new.add(8, json!({"name": "view"})).unwrap();
        old.add_all(&new).unwrap();
        assert_eq!(old, new);
        let error = old.add(7, json!({"name": "share"})).unwrap_err().to_string();
        assert!(error.contains("\"like\" and \"share\""), "{error}");
    }
}
