//! A set of members in a fixed size: registers that are times.
//!
//! For a decay interval lambda, register `j` is the latest time
//!
//! ```text
//! r_j = max over members x of (t_x - lambda ln E_j(x)),    E_j(x) ~ Exp(1) by the hash of x
//! ```
//!
//! A member that was seen at `t_x` is worth `w_x = exp(-(t - t_x) / lambda)` at `t`, and
//! `exp(-(r_j - t) / lambda)` is the smallest of `E_j(x) / w_x`: an exponential number whose rate
//! is the sum of the weights, that is, what is to be estimated. From `k` independent ones,
//!
//! ```text
//! (k - 1) / sum over j of exp(-(r_j - t) / lambda)
//! ```
//!
//! has no bias and the relative standard error `1 / sqrt(k - 2)` (Cohen: "Size-Estimation
//! Framework", JCSS 1997; with weights, Lemiesz: "On the Algebra of Data Sketches", PVLDB 2021).
//! Time passing changes no register, so nothing ever has to be decayed.
//!
//! **Quantised**: a register keeps whole eighths of an interval, rounded down, as SetSketch (Ertl,
//! PVLDB 2021) and QSketch (Qi and others, KDD 2024) do. What was cut off is spread evenly, as the
//! logarithm of an exponential number is smooth at that scale, so it makes the terms of the sum
//! larger by the constant [`CUT_OFF`] and adds 0.07 % to the error.
//!
//! **Moving base**: a register is one byte above a base that the highest register decides (31 whole
//! intervals below its own), so the base only ever rises. What is not above the base is 0 and read as
//! if it stood at the base. That hardly ever happens: each member gives each register a value, and
//! that two registers of a set are 31 intervals apart has a probability below 10^-8. And it is the
//! same in any order: a value that was dropped at once because of a base is not above the base at
//! the end either, which is as high or higher.
//! So base and registers are functions of the set of (member, time) pairs alone.

use super::member::MemberHash;
use super::ranks::{LEVEL_BITS, LEVEL_ONE, Levels, Permutation};
use crate::counter::{DecayInterval, EventTime};

/// A register counts steps of an interval / 8.
const STEP_BITS: u32 = 3;
const STEPS_PER_INTERVAL: i64 = 1 << STEP_BITS;
/// How far the base is below the interval of the highest register: as far as a byte holds.
const BASE_BELOW_HIGHEST: i64 = u8::MAX as i64 / STEPS_PER_INTERVAL;
/// So many intervals of a group are filled in one pass over a member's ranks.
const INTERVALS_PER_PASS: usize = 8;
/// An offset at which no level reaches the base.
const TOO_LOW: i64 = -2 * BASE_BELOW_HIGHEST * LEVEL_ONE;

/// `exp(-1/8)`.
const FACTOR_OF_STEP: f64 = 0.882_496_902_584_595_5;
/// The mean of `exp(u)` for `u` from 0 to 1/8, `8 (exp(1/8) - 1)`.
const CUT_OFF: f64 = 1.065_187_624_534_610_6;
/// `exp(-i/8)`: the term of a register that is `i`, at the base.
static TERMS: [f64; 256] = terms();

/// The registers of a set for all intervals of a group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sketch {
    last_update: EventTime,
    bases: Box<[Base]>,
    /// Interval after interval, as many for each.
    registers: Box<[u8]>,
}

/// Where the registers of one interval are.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Base {
    /// A register that is `i` is the time of `whole + i/8` intervals.
    whole: i64,
    /// The smallest register: nothing that is not above it changes anything.
    smallest: u8,
}

/// A time counted in intervals.
#[derive(Clone, Copy)]
struct Position {
    whole: i64,
    /// The rest, in fixed point as a level: 0 to 1, both included.
    rest: i64,
}

impl Position {
    /// It never falls as the time rises, so the latest time of a member is all that matters.
    #[inline]
    fn new(time: EventTime, interval: DecayInterval) -> Position {
        let lambda = interval.units();
        let rest = time.0.rem_euclid(lambda) as f64 / lambda as f64;
        Position { whole: time.0.div_euclid(lambda), rest: (rest * LEVEL_ONE as f64) as i64 }
    }
}

impl Base {
    /// Below all that can be.
    const LOWEST: Base = Base { whole: i64::MIN, smallest: 0 };

    /// Moves up to a base that is higher; `registers` are the ones above it.
    fn raise(&mut self, whole: i64, registers: &mut [u8]) {
        if whole > self.whole {
            let lost = lost_steps(self.whole, whole);
            registers.iter_mut().for_each(|register| *register = register.saturating_sub(lost));
            self.smallest = self.smallest.saturating_sub(lost);
            self.whole = whole;
        }
    }

    /// A position relative to the base, in fixed point; far away is cut to where it is still too low.
    #[inline]
    fn offset(&self, position: Position) -> i64 {
        let whole = position.whole.saturating_sub(self.whole);
        (whole.clamp(-2 * BASE_BELOW_HIGHEST, 2 * BASE_BELOW_HIGHEST) * LEVEL_ONE) + position.rest
    }
}

/// By how many steps a register falls when its base rises.
fn lost_steps(from: i64, to: i64) -> u8 {
    to.saturating_sub(from).saturating_mul(STEPS_PER_INTERVAL).clamp(0, i64::from(u8::MAX)) as u8
}

impl Sketch {
    /// The sketch of no member, for so many intervals with so many registers each.
    pub(super) fn new(intervals: usize, registers: usize) -> Sketch {
        Sketch {
            last_update: EventTime(i64::MIN),
            bases: vec![Base::LOWEST; intervals].into(),
            registers: vec![0; intervals * registers].into(),
        }
    }

    /// The time of the newest member.
    pub(super) fn last_update(&self) -> EventTime {
        self.last_update
    }

    /// How many intervals it has.
    pub(super) fn intervals(&self) -> usize {
        self.bases.len()
    }

    /// How many registers each interval has.
    pub(super) fn registers(&self) -> usize {
        self.registers.len().checked_div(self.bases.len()).unwrap_or(0)
    }

    /// The bytes it holds on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.bases) + size_of_val(&*self.registers)
    }

    /// What it is made of: the last update, and for each interval the base and the registers.
    pub(super) fn parts(&self) -> (EventTime, impl Iterator<Item = (i64, &[u8])>) {
        let bases = self.bases.iter().map(|base| base.whole);
        (self.last_update, bases.zip(self.registers.chunks(self.registers().max(1))))
    }

    /// The sketch that is made of these parts, the registers of all intervals one after the other.
    pub(super) fn from_parts(last_update: EventTime, bases: &[i64], registers: Vec<u8>) -> Sketch {
        let count = registers.len().checked_div(bases.len()).unwrap_or(0);
        let smallest = registers.chunks(count.max(1)).map(smallest);
        let bases = bases.iter().zip(smallest).map(|(whole, smallest)| Base { whole: *whole, smallest }).collect();
        Sketch { last_update, bases, registers: registers.into() }
    }

    /// Adds a member that was seen at `time`. The intervals are those that it was made for.
    pub(super) fn insert(&mut self, intervals: &[DecayInterval], member: MemberHash, time: EventTime) {
        debug_assert_eq!(intervals.len(), self.intervals());
        self.last_update = self.last_update.max(time);
        let registers = self.registers();
        if registers == 0 {
            return;
        }
        let mut levels = Levels::new(member, registers);
        let highest = levels.next().unwrap_or(i64::MIN);
        let passes = self.bases.chunks_mut(INTERVALS_PER_PASS);
        let passes = passes.zip(self.registers.chunks_mut(INTERVALS_PER_PASS * registers));
        for ((bases, registers), intervals) in passes.zip(intervals.chunks(INTERVALS_PER_PASS)) {
            let mut pass = Pass { bases, registers, offsets: [TOO_LOW; INTERVALS_PER_PASS] };
            if pass.start(intervals, time, highest) {
                pass.fill(member, highest, levels);
            }
        }
    }

    /// Adds the members of another sketch of the same intervals and number of registers.
    pub(super) fn merge(&mut self, other: &Sketch) {
        debug_assert_eq!((self.intervals(), self.registers()), (other.intervals(), other.registers()));
        self.last_update = self.last_update.max(other.last_update);
        let registers = self.registers().max(1);
        let own = self.bases.iter_mut().zip(self.registers.chunks_mut(registers));
        let others = other.bases.iter().zip(other.registers.chunks(registers));
        for ((base, registers), (other_base, other_registers)) in own.zip(others) {
            base.raise(other_base.whole, registers);
            let lost = lost_steps(other_base.whole, base.whole);
            for (register, other) in registers.iter_mut().zip(other_registers) {
                *register = (*register).max(other.saturating_sub(lost));
            }
            base.smallest = smallest(registers);
        }
    }

    /// The estimate of what the members are worth at the last update, in the interval at `place`.
    pub(super) fn value(&self, place: usize, interval: DecayInterval) -> f64 {
        let count = self.registers();
        let registers = &self.registers[place * count..][..count];
        let sum = sum_of_terms(registers);
        let position = Position::new(self.last_update, interval);
        let whole = position.whole.saturating_sub(self.bases[place].whole);
        let above_base = whole as f64 + position.rest as f64 / LEVEL_ONE as f64;
        CUT_OFF * (count as f64 - 1.0) / sum * (-above_base).exp()
    }
}

/// Up to [`INTERVALS_PER_PASS`] intervals, into which one member is being filled.
struct Pass<'a> {
    bases: &'a mut [Base],
    registers: &'a mut [u8],
    /// The member's time in each interval, relative to the base.
    offsets: [i64; INTERVALS_PER_PASS],
}

impl Pass<'_> {
    /// Raises the bases to what the member's highest level demands. Whether any register changes.
    #[inline]
    fn start(&mut self, intervals: &[DecayInterval], time: EventTime, highest: i64) -> bool {
        let count = self.registers.len() / self.bases.len().max(1);
        let mut changes = false;
        let lanes = self.bases.iter_mut().zip(self.registers.chunks_mut(count)).zip(&mut self.offsets);
        for (((base, registers), offset), interval) in lanes.zip(intervals) {
            let position = Position::new(time, *interval);
            let reached = (position.rest + highest) >> LEVEL_BITS;
            base.raise(position.whole.saturating_add(reached - BASE_BELOW_HIGHEST), registers);
            *offset = base.offset(position);
            changes |= steps(*offset, highest) > i64::from(base.smallest);
        }
        changes
    }

    /// Fills the registers, from the highest level down to the first that is too low everywhere.
    fn fill(&mut self, member: MemberHash, highest: i64, others: Levels) {
        let count = self.registers.len() / self.bases.len().max(1);
        let levels = std::iter::once(highest).chain(others);
        match count {
            ..=256 => self.fill_places(count, levels.zip(Permutation::<256>::new(member, count))),
            257..=1024 => self.fill_places(count, levels.zip(Permutation::<1024>::new(member, count))),
            _ => self.fill_places(count, levels.zip(Permutation::<4096>::new(member, count))),
        }
        for (base, registers) in self.bases.iter_mut().zip(self.registers.chunks(count)) {
            base.smallest = smallest(registers);
        }
    }

    fn fill_places(&mut self, count: usize, levels: impl Iterator<Item = (i64, usize)>) {
        for (level, place) in levels {
            let mut changes = false;
            for ((base, offset), registers) in self.bases.iter().zip(self.offsets).zip(self.registers.chunks_mut(count))
            {
                let value = steps(offset, level);
                if value > i64::from(base.smallest) {
                    changes = true;
                    let register = &mut registers[place];
                    // At most a byte: the base was raised to hold the highest level.
                    *register = (*register).max(value.min(i64::from(u8::MAX)) as u8);
                }
            }
            if !changes {
                return;
            }
        }
    }
}

/// The register value of a level at an offset from the base; not positive: below the base.
#[inline]
fn steps(offset: i64, level: i64) -> i64 {
    (offset + level) >> (LEVEL_BITS - STEP_BITS)
}

fn smallest(registers: &[u8]) -> u8 {
    registers.iter().copied().fold(u8::MAX, u8::min)
}

/// Sums that do not wait for each other; their order is part of what "the same bits" means.
fn sum_of_terms(registers: &[u8]) -> f64 {
    let mut sums = [0.0; 8];
    for eight in registers.chunks(sums.len()) {
        for (sum, register) in sums.iter_mut().zip(eight) {
            *sum += TERMS[usize::from(*register)];
        }
    }
    sums.iter().sum()
}

const fn terms() -> [f64; 256] {
    let mut table = [1.0; 256];
    let mut i = 1;
    while i < 256 {
        table[i] = table[i - 1] * FACTOR_OF_STEP;
        i += 1;
    }
    table
}
