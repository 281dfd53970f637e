//! The event clock of a run: shared by its readers, and not stopped by a stream that pauses.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::parts::{EpochPart, Parts};
use super::stream::StreamClock;
use crate::counter::EventTime;
use crate::epoch::Epoch;
use crate::event::TimeUnit;

/// Stamps what readers hand over, and moves on by its times.
///
/// A block gets the epoch in which the clock stands when it is handed over, so each reader's epochs only rise,
/// whatever the others read. When a reader has nothing more to read, an epoch that has been open for one window of wall
/// time ends, so that the counts of a stream that still grows show.
#[derive(Debug)]
pub struct SharedClock {
    window_length: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    clock: StreamClock,
    /// Since when the current epoch holds something.
    open_since: Option<Instant>,
}

impl SharedClock {
    /// A clock with windows of this length and epochs of at least `replay_batch` events, whose first epoch is `first`.
    pub fn new(window_length: Duration, unit: TimeUnit, replay_batch: u64, first: Epoch) -> SharedClock {
        let clock = StreamClock::new(window_length, unit, replay_batch, first);
        SharedClock { window_length, state: Mutex::new(State { clock, open_since: None }) }
    }

    /// The epoch of what is handed over next.
    pub fn epoch(&self) -> Epoch {
        self.lock().clock.epoch()
    }

    /// Takes notice of a block of about so many events and bytes that ends with events at these times, and says which
    /// epoch it belongs to.
    pub fn after_block(&self, events: u64, bytes: u64, tail_times: impl IntoIterator<Item = EventTime>) -> Epoch {
        let mut state = self.lock();
        let epoch = state.clock.epoch();
        let ended = state.clock.after_block(events, bytes, tail_times) > epoch;
        state.open_since = if ended { None } else { state.open_since.or_else(|| Some(Instant::now())) };
        epoch
    }

    /// Takes notice of every event of a piece, as `add_all` adds them, and says what of it belongs to which epoch.
    pub fn cut(&self, add_all: impl FnOnce(&mut Parts<'_>)) -> Vec<EpochPart> {
        let mut state = self.lock();
        let epoch = state.clock.epoch();
        let mut parts = Parts::of(&mut state.clock);
        add_all(&mut parts);
        let parts = parts.finish();
        // An epoch's end is inside the piece, and what comes behind it fills the new one.
        state.open_since = state.open_since.filter(|_| state.clock.epoch() == epoch).or_else(|| Some(Instant::now()));
        parts
    }

    /// Takes notice that a reader has nothing more to read at present.
    pub fn caught_up(&self) {
        let mut state = self.lock();
        if state.open_since.is_some_and(|since| since.elapsed() >= self.window_length) {
            state.clock.pause();
            state.open_since = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoch::Window;

    fn clock(replay_batch: u64) -> SharedClock {
        SharedClock::new(Duration::from_secs(5), TimeUnit::Seconds, replay_batch, Epoch(7))
    }

    /// One event a second, each of which takes two bytes of its piece, with blank lines of one byte between them.
    fn cut(clock: &SharedClock, seconds: std::ops::Range<i64>) -> Vec<EpochPart> {
        clock.cut(|parts| {
            for second in seconds {
                parts.add(Some(EventTime(second)), 2, 2);
                parts.pass(1);
            }
        })
    }

    #[test]
    fn the_last_events_of_a_block_move_the_epoch_of_the_next() {
        let clock = clock(20);
        assert_eq!(clock.after_block(10, 1, (100..110).map(EventTime)), Epoch(7));
        assert_eq!(clock.after_block(20, 1, (200..220).map(EventTime)), Epoch(7), "it was read in this epoch");
        let moved_to = clock.epoch();
        assert!(moved_to > Epoch(7));
        assert_eq!(clock.after_block(1, 1, [EventTime(220)]), moved_to);
    }

    #[test]
    fn a_piece_is_cut_where_epochs_begin_and_says_where_windows_do() {
        let parts = cut(&clock(12), 0..30);
        let part = |epoch, window_starts: &[(usize, u64)], range| EpochPart {
            epoch: Epoch(epoch),
            window_starts: window_starts.iter().map(|(place, window)| (*place, Window(*window))).collect(),
            range,
        };
        // The median trails by four seconds.
        assert_eq!(parts, [part(7, &[(27, 8)], 0..42), part(9, &[(15, 10), (30, 11)], 42..87), part(12, &[], 87..90)]);
    }

    #[test]
    fn a_piece_begins_in_a_window_that_an_earlier_one_began() {
        let clock = clock(1_000);
        cut(&clock, 0..30);
        let parts = cut(&clock, 30..31);
        assert_eq!((parts[0].epoch, parts[0].window_starts[0].0), (Epoch(7), 0));
        assert!(parts[0].window_starts[0].1 > Window(7));
        assert!(clock.cut(|_| {}).is_empty());
    }

    #[test]
    fn an_epoch_does_not_end_while_it_has_been_open_for_less_than_a_window() {
        let clock = clock(1_000);
        clock.caught_up();
        clock.after_block(1, 1, [EventTime(1)]);
        clock.caught_up();
        assert_eq!(clock.epoch(), Epoch(7));
        clock.lock().open_since = Instant::now().checked_sub(Duration::from_secs(5));
        clock.caught_up();
        clock.caught_up();
        assert_eq!(clock.epoch(), Epoch(8), "it ends once");
    }
}
