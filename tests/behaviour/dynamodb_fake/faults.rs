//! What goes wrong, and when: a fault for each request that writes, as a plan says, and a script that a test changes while
//! the fake runs.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::table::Identity;

/// What happens to a request that writes.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    None,
    /// The last so many items come back unprocessed.
    Unprocessed(usize),
    /// Refused with this status and error code; nothing is written.
    Refused(u16, &'static str),
    /// Written, but the connection breaks before the answer.
    AnswerLost,
    /// Written at once, and answered so much later.
    AnswerDelayed(Duration),
    /// The connection is reset before anything is written.
    RequestLost,
    /// The request arrives twice: written, and written again.
    Duplicated,
    /// Written and answered so much later.
    Delayed(Duration),
    /// The connection breaks at once, and the request is carried out so much later.
    LateAfterBreak(Duration),
    /// No answer ever comes, and the request is carried out so much later: by then whoever sent it should have given up.
    LateInSilence(Duration),
    /// Nothing is written, no answer comes, and after so long the connection breaks.
    Silence(Duration),
}

impl Fault {
    /// Before it is carried out.
    pub(super) fn delay(&self) -> Duration {
        match self {
            Fault::Delayed(delay) => *delay,
            _ => Duration::ZERO,
        }
    }
}

/// A request that writes, as a plan sees it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which one of all that write, from 0.
    pub number: u64,
    pub operation: &'static str,
    pub table: String,
    pub keys: Vec<Identity>,
    /// Since the start of the fake.
    pub at: Duration,
}

/// A refusal of every request.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    /// Which operation is refused; `*`: each.
    pub operation: &'static str,
    pub code: &'static str,
    pub message: &'static str,
}

/// Write units that come back over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub units_per_second: f64,
    /// As much as can be saved up, in units.
    pub burst: f64,
}

impl Rate {
    /// One second's worth can be saved up.
    pub fn per_second(units: f64) -> Rate {
        Rate { units_per_second: units, burst: units }
    }
}

/// Of a partition: what DynamoDB gives each, also on demand.
pub const UNITS_OF_A_PARTITION: f64 = 1_000.0;

/// What becomes of requests that write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Holding {
    /// They are carried out, and those that were held, too; nobody hears what became of these.
    #[default]
    Nothing,
    /// Those that come are held.
    WhatComes,
    /// Those that are held stay so, and others are carried out.
    WhatCame,
}

type Refuses = Box<dyn Fn(&Identity) -> bool + Send>;

/// What is wrong for now. A test changes it while the fake runs.
#[derive(Default)]
pub struct Script {
    /// Before each request that writes is carried out.
    pub latency: Duration,
    /// Before each other request is answered.
    pub read_latency: Duration,
    /// What each table takes.
    pub table_rate: Option<Rate>,
    /// What each partition key takes.
    pub key_rate: Option<Rate>,
    /// The share of the items of a batch that come back unprocessed, at random.
    pub unprocessed_share: f64,
    /// Items that are refused, and their request with them.
    pub refuses: Option<Refuses>,
    /// No request is carried out or answered; when it ends, the connections of those that wait break.
    pub black_hole: bool,
    /// Requests that are signed with it are told that their credentials have expired.
    pub expired_access_key: Option<String>,
    /// How long it takes to create, change or delete a table.
    pub table_takes: Duration,
    /// How long it takes to turn TTL on or off.
    pub ttl_takes: Duration,
    /// Operations that the service does not know, as DynamoDB Local lacks some.
    pub unknown_operations: Vec<&'static str>,
    /// What is held back, from whoever sent it.
    pub holding: Holding,
    /// Does not look whether two requests write one item.
    pub ignores_overlap: bool,
}

impl fmt::Debug for Script {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Script").field("latency", &self.latency).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Bucket {
    units: f64,
    filled: Instant,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Bucket {
        Bucket { units: rate.burst, filled: now }
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.units = (self.units + seconds * rate.units_per_second).min(rate.burst);
        self.filled = now;
    }

    /// An item larger than all that can be saved up takes a full bucket, and leaves a debt.
    fn has(&self, rate: Rate, units: f64) -> bool {
        self.units >= units.min(rate.burst)
    }
}

/// The most buckets of partition keys; full ones go first.
const MOST_BUCKETS: usize = 100_000;

/// What tables and partition keys have left.
#[derive(Debug, Default)]
pub struct Limits {
    tables: HashMap<String, Bucket>,
    keys: HashMap<(String, String), Bucket>,
}

/// What a write did not fit into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    Table,
    Key,
}

impl Limits {
    /// Takes the units of one write from its table and its partition key, or says which has too few.
    pub(super) fn take(&mut self, script: &Script, table: &str, key: &str, units: u64) -> Result<(), Full> {
        if script.table_rate.is_none() && script.key_rate.is_none() {
            return Ok(());
        }
        let (now, units) = (Instant::now(), units as f64);
        if self.keys.len() > MOST_BUCKETS {
            self.keys.retain(|_, bucket| now.duration_since(bucket.filled) < Duration::from_secs(1));
        }
        let mut of_key = script.key_rate.map(|rate| {
            let key = (table.to_owned(), key.to_owned());
            (rate, self.keys.entry(key).or_insert_with(|| Bucket::full(rate, now)))
        });
        let mut of_table = script
            .table_rate
            .map(|rate| (rate, self.tables.entry(table.to_owned()).or_insert_with(|| Bucket::full(rate, now))));
        for (full, bucket) in [(Full::Key, &mut of_key), (Full::Table, &mut of_table)] {
            if let Some((rate, bucket)) = bucket {
                bucket.fill(*rate, now);
                if !bucket.has(*rate, units) {
                    return Err(full);
                }
            }
        }
        for (_, bucket) in [of_key, of_table].into_iter().flatten() {
            bucket.units -= units;
        }
        Ok(())
    }
}
