//! How large an epoch has become, and when that is enough.

/// What was read in an epoch so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EpochSize {
    /// Events, or lines of an event log, about.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl EpochSize {
    /// An epoch that has so many bytes ends, whatever the time: what it adds is kept in memory until then.
    pub const MOST_BYTES: u64 = 64 << 20;

    /// An epoch that has so many events ends, unless more are wanted.
    pub const MOST_EVENTS: u64 = 1 << 18;

    /// Takes notice of what was read.
    pub fn add(&mut self, events: u64, bytes: u64) {
        self.events += events;
        self.bytes += bytes;
    }

    /// Whether the epoch must end; `most_events` is at least [`EpochSize::MOST_EVENTS`].
    pub fn is_full(self, most_events: u64) -> bool {
        self.events >= most_events || self.bytes >= Self::MOST_BYTES
    }
}
