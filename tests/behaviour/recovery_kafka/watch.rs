//! Looks at the table while runs come and go: no item may ever go back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

/// The decay whose counts are whole numbers, in seconds: 100 years.
pub const LONG: &str = "3153600000";

const LOOK_EVERY: Duration = Duration::from_millis(15);

/// Items by key and feature: the version, and how many events it says there were.
pub type Items = BTreeMap<(String, String), (u64, u64)>;

/// A thread that looks at a table of SQLite until the end of the test.
pub struct Watch {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicU64>,
    thread: Option<JoinHandle<Vec<String>>>,
}

impl Watch {
    pub fn begin(path: &Path) -> Watch {
        let (stop, looks) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (path, end, count) = (path.to_owned(), Arc::clone(&stop), Arc::clone(&looks));
        let watched = path.clone();
        let thread = std::thread::spawn(move || {
            let (mut seen, mut wrong) = (Items::new(), Vec::new());
            while !end.load(Ordering::Relaxed) {
                // There is nothing to be seen before the first run, and while one makes the file its own.
                if let Ok(items) = look(&watched) {
                    compare(&seen, &items, &mut wrong);
                    seen = items;
                    count.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(LOOK_EVERY);
            }
            wrong
        });
        Watch { path, stop, looks, thread: Some(thread) }
    }

    /// How many events all items together say there were.
    pub fn counted(&self) -> u64 {
        look(&self.path).map_or(0, |items| items.values().map(|(_, count)| count).sum())
    }

    /// Waits until it is so many.
    pub fn comes_to(&self, count: u64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let counted = self.counted();
            if counted == count {
                return;
            }
            assert!(Instant::now() < deadline, "{counted} events are counted, and not {count}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Ends it. No item may have gone back.
    pub fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let wrong = self.thread.take().unwrap().join().unwrap();
        assert!(wrong.is_empty(), "items went back: {wrong:#?}");
        assert!(self.looks.load(Ordering::Relaxed) > 10, "it was looked at the table");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn compare(before: &Items, now: &Items, wrong: &mut Vec<String>) {
    for (name, (version, count)) in before {
        match now.get(name) {
            Some(later) if later.0 < *version || later.1 < *count => {
                wrong.push(format!("{name:?}: version {version} with {count}, then {later:?}"));
            }
            Some(_) => {}
            None => wrong.push(format!("{name:?} is gone")),
        }
    }
}

/// Every item as it stands in the file now.
fn look(path: &Path) -> rusqlite::Result<Items> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_millis(500))?;
    let query = format!("SELECT key, featureName, version, counts -> '$.\"{LONG}\".value' FROM items");
    let mut statement = connection.prepare(&query)?;
    let rows = statement.query_map([], |row| {
        let value: f64 = row.get::<_, String>(3)?.parse().unwrap();
        Ok(((row.get(0)?, row.get(1)?), (row.get::<_, i64>(2)? as u64, value.round() as u64)))
    })?;
    rows.collect()
}
