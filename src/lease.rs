//! Until when this process may write to what others may write to as well.
//!
//! A process that was stopped, or cut off, does not know what has become of the run meanwhile. So it looks, right before it sends
//! something, whether it has heard lately that it may: from the others of its run, and from where the state is kept. What lies between that look and the
//! arrival of what is sent is bounded by the time that a request may take, and whoever takes over waits as long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether it is held, where that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Leave to write, for a while at a time. Cheap to clone; the same for all clones.
#[derive(Clone, Debug, Default)]
pub struct Lease {
    /// All must hold. None: for ever.
    parts: Vec<Arc<Part>>,
}

#[derive(Debug)]
struct Part {
    started: Instant,
    /// Milliseconds since then.
    until: AtomicU64,
}

/// One of those who give it, and renew it.
#[derive(Clone, Debug)]
pub struct Leave(Arc<Part>);

impl Lease {
    /// One more has to give leave. It has, for so long.
    pub fn from_another(&mut self, first: Duration) -> Leave {
        let part = Arc::new(Part { started: Instant::now(), until: AtomicU64::new(first.as_millis() as u64) });
        self.parts.push(Arc::clone(&part));
        Leave(part)
    }

    /// Whether this process may write now.
    pub fn is_held(&self) -> bool {
        self.parts
            .iter()
            .all(|part| part.started.elapsed().as_millis() < u128::from(part.until.load(Ordering::Acquire)))
    }

    /// Waits until this process may write, until then at most; whether it may.
    pub fn wait(&self, until: Option<Instant>) -> bool {
        while !self.is_held() {
            if until.is_some_and(|until| Instant::now() >= until) {
                return false;
            }
            thread::sleep(LOOK_EVERY);
        }
        true
    }
}

impl Leave {
    /// Leave is given until then. Never takes any back.
    pub fn until(&self, until: Instant) {
        let Leave(part) = self;
        let until = until.saturating_duration_since(part.started).as_millis() as u64;
        part.until.fetch_max(until, Ordering::AcqRel);
    }

    /// For as long as the run goes on: nobody else is left who could take over.
    pub fn for_good(&self) {
        self.0.until.store(u64::MAX, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_give_leave_must_have_given_it_lately() {
        let mut lease = Lease::default();
        assert!(lease.is_held(), "nobody is asked");
        let one = lease.from_another(Duration::from_secs(60));
        let clone = lease.clone();
        assert!(clone.is_held());
        let other = lease.from_another(Duration::ZERO);
        assert!(!lease.is_held() && clone.is_held());
        other.until(Instant::now() + Duration::from_secs(60));
        assert!(lease.is_held());
        one.until(Instant::now());
        assert!(lease.is_held(), "what was given is not taken back");
        let last = lease.from_another(Duration::from_millis(1));
        thread::sleep(Duration::from_millis(5));
        assert!(!lease.is_held());
        last.for_good();
        assert!(lease.is_held());
    }
}
