//! Lines of event logs, and what they count.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// What names an item: its key and its feature.
pub type Name = (String, String);

/// Writes lines, and counts them as a run must.
#[derive(Debug)]
pub struct Lines {
    random: StdRng,
    time: u64,
    number: u64,
    users: u64,
    /// How many events there were of each name, for each user.
    pub counts: BTreeMap<Name, u64>,
    /// The lines that are no events.
    pub bad: BTreeSet<String>,
}

impl Lines {
    pub fn new(seed: u64, users: u64) -> Lines {
        let random = StdRng::seed_from_u64(seed);
        Lines { random, time: 1_700_000_000, number: 0, users, counts: BTreeMap::new(), bad: BTreeSet::new() }
    }

    /// So many lines; one in a hundred is no event.
    pub fn next(&mut self, lines: u64) -> String {
        let mut text = String::new();
        for _ in 0..lines {
            self.number += 1;
            if self.number % 100 == 7 {
                let line = format!("nonsense {}", self.number);
                text += &line;
                text.push('\n');
                self.bad.insert(line);
                continue;
            }
            self.time += u64::from(self.random.random_ratio(1, 50));
            // Some of them are late.
            let time = self.time - self.random.random_range(0..5);
            let (user, post) = (self.random.random_range(0..self.users), self.random.random_range(0..20));
            let event = ["view", "like", "share"][self.random.random_range(0..3)];
            let _ =
                writeln!(text, r#"{{"eventName":"{event}","userId":"u{user}","postId":"p{post}","eventTs":{time}}}"#);
            *self.counts.entry((format!("u{user}"), format!("user.{event}"))).or_default() += 1;
        }
        text
    }
}
