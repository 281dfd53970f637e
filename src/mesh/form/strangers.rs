//! What connected and was none of the cluster's: counted, and told with a limit.

use std::collections::BTreeMap;
use std::fmt::Display;

/// So many are told as they come; the others only counted.
const MOST_TOLD: u64 = 5;

/// What was wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrong {
    /// It closed, or broke, before it had said all.
    Closed,
    /// It did not say all in time.
    Slow,
    /// It said something else.
    Garbage,
    /// It does not know the secret.
    Unproven,
    /// There were too many that had not said all, and it was the oldest.
    Displaced,
}

/// The connections of strangers.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    counts: BTreeMap<Wrong, u64>,
}

impl Strangers {
    /// There was one, from this address.
    pub fn note(&mut self, from: impl Display, wrong: Wrong) {
        *self.counts.entry(wrong).or_default() += 1;
        if self.count() <= MOST_TOLD {
            tracing::warn!("a connection from {from} was closed: {}", wrong.text());
        }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Tells of those that have not been told.
    pub fn tell_all(&self) {
        if self.count() > MOST_TOLD {
            let each: Vec<_> = self.counts.iter().map(|(wrong, count)| format!("{count}: {}", wrong.text())).collect();
            tracing::warn!("{} connections were closed while the cluster formed ({})", self.count(), each.join("; "));
        }
    }
}

impl Wrong {
    fn text(self) -> &'static str {
        match self {
            Wrong::Closed => "it ended before it had said who it is",
            Wrong::Slow => "it did not say in time who it is",
            Wrong::Garbage => "it is not one of counter-machine's",
            Wrong::Unproven => "it does not know the secret",
            Wrong::Displaced => "too many had not yet said who they are, and it was the oldest",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted() {
        let mut strangers = Strangers::default();
        for _ in 0..7 {
            strangers.note("somewhere", Wrong::Slow);
        }
        strangers.note("somewhere", Wrong::Garbage);
        assert_eq!((strangers.count(), strangers.counts[&Wrong::Slow]), (8, 7));
        strangers.tell_all();
    }
}
