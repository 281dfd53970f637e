//! What a run is at: on its way to begin, at work, or stopping; for whoever asks whether it is ready.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a run is at.
#[derive(Debug, Default)]
pub struct Stage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    at: At,
    restoring: Option<Duration>,
}

/// Where between its start and its end a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// It has just been started.
    #[default]
    Start,
    /// It opens or waits for this, in words that go on from "it": `waits for Kafka`.
    Opening(String),
    /// It reads, counts and publishes.
    Work,
    /// It reads no more, and publishes what it has read.
    Stop,
}

impl Stage {
    /// It does this on its way to begin.
    pub fn opens(&self, what: impl Into<String>) {
        self.lock().at = At::Opening(what.into());
    }

    /// Everything is open.
    pub fn works(&self) {
        self.lock().at = At::Work;
    }

    /// It was asked to stop, or has come to its end.
    pub fn stops(&self) {
        self.lock().at = At::Stop;
    }

    /// Its rows were brought back, in so much time.
    pub fn restored(&self, took: Duration) {
        self.lock().restoring = Some(took);
    }

    /// What it is at now.
    pub fn at(&self) -> At {
        self.lock().at.clone()
    }

    /// How long it took to bring its rows back, where there is a state.
    pub fn restoring(&self) -> Option<Duration> {
        self.lock().restoring
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
