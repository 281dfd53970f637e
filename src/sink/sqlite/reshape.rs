//! Rows of an earlier run, in the shape that their feature has now.
//!
//! A row of `states` has its values in the order of its feature's decays. Where the pipeline has other decays by now, rows that
//! no run has written since would be read by the new ones: the values of one decay as those of another. So they are
//! brought into the new order in the transaction that changes the feature. A decay that is new has counted nothing of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rusqlite::types::Type;
use rusqlite::{Connection, Error};

/// What is to be done before rows are read by what their features are now.
#[derive(Debug, Default)]
pub(super) struct Reshapes {
    /// By what is alike of them, the numbers of the features: one pass over the rows serves all.
    features: BTreeMap<Reshape, Vec<u32>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Reshape {
    /// The decay intervals as JSON arrays.
    was: String,
    now: String,
    /// What rows have beside their values is something else now.
    drops_more: bool,
}

impl Reshapes {
    /// The rows of a feature were written by these decays, and are read by those.
    pub fn add(&mut self, feature: u32, was: &str, now: &str, drops_more: bool) {
        let reshape = Reshape { was: was.to_owned(), now: now.to_owned(), drops_more };
        self.features.entry(reshape).or_default().push(feature);
    }

    /// Changes the rows.
    pub fn carry_out(&self, connection: &Connection) -> rusqlite::Result<()> {
        self.features.iter().try_for_each(|(reshape, features)| {
            let features: Vec<_> = features.iter().map(u32::to_string).collect();
            connection.execute(&reshape.sql(&features.join(","))?, []).map(|_| ())
        })
    }
}

impl Reshape {
    fn sql(&self, features: &str) -> rusqlite::Result<String> {
        let (was, now) = (intervals(&self.was)?, intervals(&self.now)?);
        let counts = reordered("counts", &was, &now);
        let more = if self.drops_more { "NULL".to_owned() } else { reordered("more", &was, &now) };
        Ok(format!(
            "UPDATE states SET counts = {counts}, more = CASE WHEN more IS NOT NULL THEN {more} END
            WHERE feature IN ({features})"
        ))
    }
}

fn intervals(json: &str) -> rusqlite::Result<Vec<u64>> {
    serde_json::from_str(json).map_err(|error| Error::FromSqlConversionFailure(2, Type::Text, error.into()))
}

/// SQL for the text of an array with the same numbers in another order. The last number stands for all that follow it.
fn reordered(column: &str, was: &[u64], now: &[u64]) -> String {
    let mut sql = "'['".to_owned();
    for (index, interval) in now.iter().enumerate() {
        let separator = if index == 0 { "" } else { " || ','" };
        let _ = match was.iter().position(|other| other == interval) {
            Some(place) => write!(sql, "{separator} || coalesce({column} -> {place}, {column} -> '$[#-1]')"),
            None => write!(sql, "{separator} || '0.0'"),
        };
    }
    sql + " || ']'"
}
