//! What went wrong last, for whoever has to say why something was not done.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A text that is replaced by the next one.
#[derive(Debug, Default)]
pub struct Trouble(Mutex<Option<Wrong>>);

#[derive(Debug)]
struct Wrong {
    text: String,
    /// Since when something has been wrong, whatever it was first.
    since: Instant,
}

impl Trouble {
    /// Something has gone wrong.
    pub fn set(&self, text: String) {
        let mut wrong = self.lock();
        let since = wrong.as_ref().map_or_else(Instant::now, |wrong| wrong.since);
        *wrong = Some(Wrong { text, since });
    }

    /// It goes well again.
    pub fn clear(&self) {
        self.lock().take();
    }

    /// What is wrong, if something is.
    pub fn get(&self) -> Option<String> {
        self.lock().as_ref().map(|wrong| wrong.text.clone())
    }

    /// What is wrong, if nothing has gone well for at least so long.
    pub fn lasting(&self, at_least: Duration) -> Option<String> {
        self.lock().as_ref().filter(|wrong| wrong.since.elapsed() >= at_least).map(|wrong| wrong.text.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Wrong>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
