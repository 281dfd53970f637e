//! Decayed uniques: how many different members, each worth less the longer it was not seen.
//!
//! For a decay interval lambda, the uniques of a row at time `t` are
//!
//! ```text
//! sum over different members x of exp(-(t - t_x) / lambda),    t_x: when x was last seen
//! ```
//!
//! The state is a function of the *set* of (member, time) pairs it was given: a pair counts once
//! however often it comes, and any order, batching and tree of merges give the same bits.
//!
//! - Up to [`UniquesConfig::exact_members`] different members it is **exact**: the members with the
//!   times they were last seen, one set for all intervals. A single member takes no heap.
//! - Above that it is a **sketch**, for each interval [`UniquesConfig::registers`] bytes that hold
//!   times (`sketch.rs`), which members enter in the order of their ranks (`ranks.rs`).
//!
//! Which of the two it is depends on how many different members there ever were, not on how many
//! are still worth something: members are never forgotten one by one, for then it would depend on
//! the order. What a member is worth in a sketch is decided by its latest time alone, so members
//! that become a sketch with their last times give the bits that a sketch from the start would have.
//!
//! Uniques take nothing back: a retraction cannot know whether the member was seen otherwise.

mod codec;
mod member;
mod ranks;
mod scheme;
mod sketch;
#[cfg(test)]
mod tests;

pub use codec::InvalidUniques;
pub use member::{MemberHash, Sighting};
pub use scheme::{InvalidUniquesConfig, UniquesConfig, UniquesScheme};

use super::EventTime;
use super::factors::LANES;
use sketch::Sketch;

/// The decayed uniques of one row, for all intervals of its group: 24 bytes and what they hold on
/// the heap.
///
/// ```
/// use counter_machine::counter::{DecayInterval, Decays, EventTime, MemberHash, Uniques, UniquesConfig, UniquesScheme};
/// let decays = Decays::new(vec![DecayInterval::new(3600)?]);
/// let set = UniquesScheme::new(UniquesConfig::default(), &decays)?;
/// let mut uniques = Uniques::new();
/// uniques.add(&set, MemberHash(7), EventTime(0));
/// uniques.add(&set, MemberHash(8), EventTime(0));
/// uniques.add(&set, MemberHash(8), EventTime(3600));
/// let estimate = uniques.read(&set, 0, EventTime(3600));
/// assert!((estimate.value - (1.0 + (-1.0f64).exp())).abs() < 1e-12);
/// assert_eq!(estimate.error, 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Uniques(State);

#[derive(Clone, Debug, Default, PartialEq)]
enum State {
    #[default]
    Empty,
    One(Sighting),
    /// Ascending by member.
    Few(Box<[Sighting]>),
    Many(Box<Sketch>),
}

/// What uniques read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UniquesEstimate {
    /// The sum of what the members are worth. It has no bias.
    pub value: f64,
    /// The relative standard error of the value, 0 where it is exact. It stays as it is while the
    /// value decays.
    pub error: f64,
}

impl Uniques {
    /// The uniques of no member.
    pub fn new() -> Uniques {
        Uniques::default()
    }

    /// Whether no member was ever seen.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, State::Empty)
    }

    /// Adds a member that was seen at `time`, in any order of times.
    #[inline]
    pub fn add(&mut self, set: &UniquesScheme, member: MemberHash, time: EventTime) {
        match &mut self.0 {
            State::Many(sketch) => sketch.insert(set.intervals(), member, time),
            _ => self.add_exactly(set, Sighting { member, time }),
        }
    }

    /// Adds members that were seen, in any order and any number of times.
    pub fn add_all(&mut self, set: &UniquesScheme, seen: &[Sighting]) {
        match self.0.sightings() {
            Some(own) if seen.len() > 1 => *self = Uniques::of_few(set, union(own, seen)),
            _ => seen.iter().for_each(|seen| self.add(set, seen.member, seen.time)),
        }
    }

    /// Adds the members of another one of the same set.
    ///
    /// The other one may be a part that was kept exact for longer: made with a set that has the same
    /// intervals and registers, but more [`exact_members`](UniquesConfig::exact_members). Members
    /// enter a sketch that is full much faster than one that is still empty.
    pub fn merge(&mut self, set: &UniquesScheme, other: &Uniques) {
        match other.0.sightings() {
            Some(others) => self.add_all(set, others),
            None => self.merge_sketch(set, other),
        }
    }

    /// The uniques in the interval at `place` of the set, as they read at `time`; before the last
    /// update, as they read then.
    pub fn read(&self, set: &UniquesScheme, place: usize, time: EventTime) -> UniquesEstimate {
        let time = time.max(self.last_update());
        let value = match &self.0 {
            State::Many(sketch) => sketch_value(sketch, set, place, time),
            exact => exact_values(exact.sightings().unwrap_or_default(), set, place / LANES, time)[place % LANES],
        };
        UniquesEstimate { value, error: self.error() }
    }

    /// The uniques in all intervals of the set, as they read at `time`; before the last update, as
    /// they read then. Returns the relative standard error, which they share.
    pub fn read_all(&self, set: &UniquesScheme, time: EventTime, values: &mut [f64]) -> f64 {
        let time = time.max(self.last_update());
        match &self.0 {
            State::Many(sketch) => {
                let each = values.iter_mut().enumerate();
                each.for_each(|(place, value)| *value = sketch_value(sketch, set, place, time));
            }
            exact => {
                let sightings = exact.sightings().unwrap_or_default();
                for (chunk, values) in values.chunks_mut(LANES).enumerate() {
                    let sums = exact_values(sightings, set, chunk, time);
                    values.iter_mut().zip(sums).for_each(|(value, sum)| *value = sum);
                }
            }
        }
        self.error()
    }

    /// The relative standard error of what is read.
    fn error(&self) -> f64 {
        match &self.0 {
            State::Many(sketch) => (sketch.registers() as f64 - 2.0).sqrt().recip(),
            State::Empty | State::One(_) | State::Few(_) => 0.0,
        }
    }

    /// The time of the newest member; 0 if there is none.
    pub fn last_update(&self) -> EventTime {
        match &self.0 {
            State::Many(sketch) => sketch.last_update(),
            exact => {
                let sightings = exact.sightings().unwrap_or_default();
                sightings.iter().map(|seen| seen.time).max().unwrap_or_default()
            }
        }
    }

    /// The bytes held on the heap, without what the allocator adds.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            State::Empty | State::One(_) => 0,
            State::Few(sightings) => size_of_val(&**sightings),
            State::Many(sketch) => size_of::<Sketch>() + sketch.heap_bytes(),
        }
    }

    /// Whether this state can belong to `set`: to be asked about what was read from outside, as
    /// [`add`](Uniques::add), [`merge`](Uniques::merge) and [`read`](Uniques::read) rely on it.
    pub fn fits(&self, set: &UniquesScheme) -> bool {
        match &self.0 {
            State::Many(sketch) => {
                sketch.intervals() == set.intervals().len() && sketch.registers() == set.config().registers
            }
            exact => exact.sightings().unwrap_or_default().len() <= set.config().exact_members,
        }
    }

    fn merge_sketch(&mut self, set: &UniquesScheme, other: &Uniques) {
        let State::Many(theirs) = &other.0 else { return };
        match std::mem::take(&mut self.0) {
            State::Many(mut own) => {
                own.merge(theirs);
                self.0 = State::Many(own);
            }
            exact => {
                self.clone_from(other);
                for seen in exact.sightings().unwrap_or_default() {
                    self.add(set, seen.member, seen.time);
                }
            }
        }
    }

    fn add_exactly(&mut self, set: &UniquesScheme, new: Sighting) {
        match &mut self.0 {
            State::Few(sightings) => match sightings.binary_search_by_key(&new.member, |seen| seen.member) {
                Ok(place) => sightings[place].time = sightings[place].time.max(new.time),
                Err(place) => {
                    let mut grown = Vec::with_capacity(sightings.len() + 1);
                    grown.extend_from_slice(&sightings[..place]);
                    grown.push(new);
                    grown.extend_from_slice(&sightings[place..]);
                    *self = Uniques::of_few(set, grown);
                }
            },
            State::One(seen) if seen.member == new.member => seen.time = seen.time.max(new.time),
            State::One(seen) => *self = Uniques::of_few(set, union(&[*seen], &[new])),
            _ => *self = Uniques::of_few(set, vec![new]),
        }
    }

    /// The canonical state of these members, which ascend.
    fn of_few(set: &UniquesScheme, sightings: Vec<Sighting>) -> Uniques {
        if sightings.len() > set.config().exact_members {
            let mut sketch = Sketch::new(set.intervals().len(), set.config().registers);
            for seen in sightings {
                sketch.insert(set.intervals(), seen.member, seen.time);
            }
            return Uniques(State::Many(Box::new(sketch)));
        }
        Uniques(match sightings[..] {
            [] => State::Empty,
            [one] => State::One(one),
            _ => State::Few(sightings.into()),
        })
    }
}

/// What the members of a sketch are worth in the interval at `place`, at a time not before its last update.
fn sketch_value(sketch: &Sketch, set: &UniquesScheme, place: usize, time: EventTime) -> f64 {
    let factors = set.factors().of_chunk(place / LANES, time.0.saturating_sub(sketch.last_update().0));
    sketch.value(place, set.intervals()[place]) * factors[place % LANES]
}

/// What members are worth in the `chunk`th four intervals, at a time not before the newest.
fn exact_values(sightings: &[Sighting], set: &UniquesScheme, chunk: usize, time: EventTime) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    for seen in sightings {
        let factors = set.factors().of_chunk(chunk, time.0.saturating_sub(seen.time.0));
        sums.iter_mut().zip(factors).for_each(|(sum, factor)| *sum += factor);
    }
    sums
}

impl State {
    /// The members, ascending, unless it is a sketch.
    fn sightings(&self) -> Option<&[Sighting]> {
        match self {
            State::Empty => Some(&[]),
            State::One(seen) => Some(std::slice::from_ref(seen)),
            State::Few(sightings) => Some(sightings),
            State::Many(_) => None,
        }
    }
}

/// The members of both, ascending, each with its latest time.
fn union(left: &[Sighting], right: &[Sighting]) -> Vec<Sighting> {
    let mut both = Vec::with_capacity(left.len() + right.len());
    both.extend_from_slice(left);
    both.extend_from_slice(right);
    // Of equal members the latest comes first and stays.
    both.sort_unstable_by_key(|seen| (seen.member, std::cmp::Reverse(seen.time)));
    both.dedup_by_key(|seen| seen.member);
    both
}
