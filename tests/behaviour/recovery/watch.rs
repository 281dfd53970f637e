//! Watches a table while runs live and die: no item may ever go back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::table::{Items, Table};

const LOOK_EVERY: Duration = Duration::from_millis(25);

/// A thread that looks at some keys, again and again.
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// How often it saw something that it had not seen before.
    changes: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    items: Items,
    went_back: Vec<String>,
}

impl Seen {
    /// Takes notice of what is shown now; whether any of it is new.
    fn look(&mut self, now: Items) -> bool {
        let mut is_new = false;
        for (name, shown) in now {
            let Some(before) = self.items.insert(name.clone(), shown) else {
                is_new = true;
                continue;
            };
            is_new |= before != shown;
            let fell = before.count.zip(shown.count).is_some_and(|(before, now)| now < before);
            if shown.version < before.version
                || fell
                || (shown.version == before.version && shown.count != before.count)
            {
                self.went_back.push(format!("{name:?}: {before:?} and then {shown:?}"));
            }
        }
        is_new
    }
}

impl Watch {
    pub fn start(table: &Arc<Table>) -> Watch {
        let (shared, table) = (Arc::<Shared>::default(), Arc::clone(table));
        let watching = Arc::clone(&shared);
        let look = move || {
            while !watching.is_over.load(Ordering::Acquire) {
                std::thread::sleep(LOOK_EVERY);
                if let Some(now) = table.glance()
                    && watching.seen.lock().unwrap_or_else(PoisonError::into_inner).look(now)
                {
                    watching.changes.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        Watch { shared, thread: Some(std::thread::spawn(look)) }
    }

    /// Takes notice of the whole table, too, and fails where anything has gone back.
    #[track_caller]
    pub fn look(&self, now: Items) {
        let mut seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.look(now);
        assert!(seen.went_back.is_empty(), "items went back: {:#?}", seen.went_back);
    }

    /// What is shown from now on has nothing to do with what was.
    pub fn forget(&self) {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).items.clear();
    }

    /// How often something had changed between two looks.
    pub fn changes(&self) -> u64 {
        self.shared.changes.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
