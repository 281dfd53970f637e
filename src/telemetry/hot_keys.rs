//! Which keys get most events: from a sample of them, in a sketch of fixed size (Space-Saving: Metwally, Agrawal, El Abbadi, "Efficient
//! Computation of Frequent and Top-k Elements in Data Streams", 2005). For people; nothing is decided by it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::pipeline::GroupId;

/// So many keys are kept: one that gets less than this part of all events may be missed.
const MOST_KEYS: usize = 256;
/// After so long an event counts half.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// So often that is worked out.
const FADES_EVERY: Duration = Duration::from_secs(1);

/// The keys that most of the last events had.
#[derive(Debug, Default)]
pub struct HotKeys(Mutex<Sketch>);

/// An event that was looked at has a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampledKey {
    /// A group that is keyed so.
    pub group: GroupId,
    /// The key's text.
    pub text: Box<[u8]>,
}

/// A key that gets many events.
#[derive(Clone, Debug, PartialEq)]
pub struct HotKey {
    /// A group that is keyed so.
    pub group: GroupId,
    /// The key's text.
    pub text: String,
    /// At least this part of the events that were looked at had it, so about this part of all.
    pub share: f64,
}

#[derive(Debug, Default)]
struct Sketch {
    /// All events, as all here counted by how long ago they came.
    events: f64,
    keys: HashMap<(GroupId, Box<[u8]>), Estimate>,
    faded: Option<Instant>,
}

/// How many events a key has had.
#[derive(Clone, Copy, Debug, Default)]
struct Estimate {
    at_most: f64,
    /// More than it may have had.
    too_many: f64,
}

impl HotKeys {
    /// Takes notice of the keys of some out of so many events, each of which stands for so many.
    pub fn note(&self, events: f64, stands_for: f64, keys: impl IntoIterator<Item = SampledKey>, now: Instant) {
        let mut sketch = self.lock();
        sketch.fade(now);
        sketch.events += events;
        keys.into_iter().for_each(|key| sketch.add(key, stands_for));
    }

    /// Those with most events of late, at most so many.
    pub fn top(&self, most: usize) -> Vec<HotKey> {
        let sketch = self.lock();
        let share = |estimate: &Estimate| (estimate.at_most - estimate.too_many) / sketch.events;
        let mut keys: Vec<_> = sketch.keys.iter().map(|(key, estimate)| (share(estimate), key)).collect();
        keys.retain(|(share, _)| *share > 0.0);
        keys.sort_by(|(one, key), (other, other_key)| other.total_cmp(one).then_with(|| key.cmp(other_key)));
        let shown = keys.into_iter().take(most).map(|(share, (group, text))| {
            let text = String::from_utf8_lossy(text).into_owned();
            HotKey { group: *group, text, share: share.min(1.0) }
        });
        shown.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Sketch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sketch {
    fn fade(&mut self, now: Instant) {
        let since = *self.faded.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        if passed < FADES_EVERY {
            return;
        }
        self.faded = Some(now);
        let left = 0.5f64.powf(passed.as_secs_f64() / HALF_LIFE.as_secs_f64());
        self.events *= left;
        for estimate in self.keys.values_mut() {
            estimate.at_most *= left;
            estimate.too_many *= left;
        }
    }

    fn add(&mut self, SampledKey { group, text }: SampledKey, events: f64) {
        let key = (group, text);
        if let Some(estimate) = self.keys.get_mut(&key) {
            estimate.at_most += events;
            return;
        }
        let mut estimate = Estimate { at_most: events, too_many: 0.0 };
        if self.keys.len() == MOST_KEYS
            && let Some((least, replaced)) =
                self.keys.iter().min_by(|(_, one), (_, other)| one.at_most.total_cmp(&other.at_most))
        {
            // It may have been here before, with as many events as this.
            estimate = Estimate { at_most: estimate.at_most + replaced.at_most, too_many: replaced.at_most };
            let least = least.clone();
            self.keys.remove(&least);
        }
        self.keys.insert(key, estimate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: impl ToString) -> SampledKey {
        SampledKey { group: GroupId(0), text: text.to_string().into_bytes().into() }
    }

    fn texts(keys: &[HotKey]) -> Vec<&str> {
        keys.iter().map(|key| key.text.as_str()).collect()
    }

    #[test]
    fn the_few_that_get_most_are_found_among_very_many_and_never_overstated() {
        let (hot, now) = (HotKeys::default(), Instant::now());
        // Of 100 events 20 are of one key, 10 of another, and 70 of keys that come once.
        for round in 0..1_000 {
            let often = (0..30).map(|number| key(if number < 20 { "first" } else { "second" }));
            hot.note(1_000.0, 10.0, often.chain((0..70).map(|number| key(format!("{round} {number}")))), now);
        }
        let top = hot.top(2);
        assert_eq!(texts(&top), ["first", "second"]);
        assert!(top[0].share <= 0.2 && top[0].share > 0.19, "{top:?}");
        assert!(top[1].share <= 0.1 && top[1].share > 0.09, "{top:?}");
        assert!(hot.top(1_000).len() <= MOST_KEYS);
        assert!(hot.top(1_000)[2..].iter().all(|key| key.share <= 0.001), "{:?}", hot.top(5));
    }

    #[test]
    fn what_was_hot_is_forgotten() {
        let (hot, began) = (HotKeys::default(), Instant::now());
        hot.note(1_000.0, 10.0, (0..100).map(|_| key("before")), began);
        for minute in 1..8 {
            hot.note(100.0, 10.0, (0..10).map(|_| key("now")), began + minute * HALF_LIFE);
        }
        let top = hot.top(2);
        assert_eq!(texts(&top), ["now", "before"]);
        assert!((top[0].share + top[1].share - 1.0).abs() < 1e-9, "{top:?}");
    }

    #[test]
    fn keys_of_other_fields_are_others() {
        let hot = HotKeys::default();
        let other = SampledKey { group: GroupId(1), ..key("7") };
        hot.note(20.0, 10.0, [key("7"), other, key("7")], Instant::now());
        let groups: Vec<_> = hot.top(5).into_iter().map(|key| (key.group, key.share)).collect();
        assert_eq!(groups, [(GroupId(0), 1.0), (GroupId(1), 0.5)]);
        assert_eq!(HotKeys::default().top(5), []);
    }
}
