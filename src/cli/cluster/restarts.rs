//! How long is waited before all processes are started again: longer each time, until they have run well for a while.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// Whoever has run so long has run well.
const RAN_WELL: Duration = Duration::from_secs(60);

/// The pauses between lives.
#[derive(Debug)]
pub(super) struct Restarts {
    next: Duration,
}

impl Restarts {
    pub fn new() -> Restarts {
        Restarts { next: FIRST }
    }

    /// The pause after a life that was so long.
    pub fn pause(&mut self, lived: Duration) -> Duration {
        if lived >= RAN_WELL {
            self.next = FIRST;
        }
        let pause = self.next;
        self.next = (self.next * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_and_begin_anew_after_a_life_that_was_long() {
        let mut restarts = Restarts::new();
        let short = Duration::from_secs(1);
        let pauses: Vec<_> = (0..8).map(|_| restarts.pause(short).as_secs_f64()).collect();
        assert_eq!(pauses, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        assert_eq!(restarts.pause(RAN_WELL), FIRST);
        assert_eq!(restarts.pause(short), 2 * FIRST);
    }
}
