//! What went wrong last, for whoever has to say why something was not done.

use std::sync::{Mutex, PoisonError};

/// A text that is replaced by the next one.
#[derive(Debug, Default)]
pub struct Trouble(Mutex<Option<String>>);

impl Trouble {
    /// Something has gone wrong.
    pub fn set(&self, text: String) {
        *self.lock() = Some(text);
    }

    /// It goes well again.
    pub fn clear(&self) {
        self.lock().take();
    }

    /// What is wrong, if something is.
    pub fn get(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
