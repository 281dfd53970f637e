//! The ranks of a member: one exponentially distributed number per register, in ascending order.
//!
//! A member with hash `x` has a rank `E_j(x) ~ Exp(1)` for each register `j`, independent of the
//! others and the same wherever it is computed. They are made in ascending order, so that whoever
//! fills registers can stop at the first rank that changes nothing: the smallest of `k` exponentials
//! is `Exp / k`, and each further one lies `Exp / (k - i)` above the last (Renyi 1953). Which
//! register gets which is a random permutation, drawn step by step (Fisher and Yates; Durstenfeld
//! 1964). This is the order of FastGM (Qi, Wang, Zhang, Zhai, Zhao, Tian, Guan: "Fast Generating A
//! Large Number of Gumbel-Max Variables", WWW 2020), FastExpSketch (Lemiesz: "On the Algebra of Data
//! Sketches", PVLDB 2021) and SetSketch2 (Ertl: "SetSketch", PVLDB 2021).
//!
//! A rank is handed out as a *level*, `-ln E` in fixed point, for that is what is added to a time.
//! Everything here is integer arithmetic and exactly rounded float steps, without the system's
//! mathematical functions, so all machines give the same bits.

use super::member::MemberHash;

/// A level of 1, which is one decay interval, in fixed point.
pub(super) const LEVEL_ONE: i64 = 1 << LEVEL_BITS;
/// The bits behind the point of a level.
pub(super) const LEVEL_BITS: u32 = 20;

/// The highest level there is, rounded up to a whole one: no rank is below `2^-54 / 4096`.
#[cfg(test)]
pub(super) const HIGHEST_LEVEL: i64 = 46 * LEVEL_ONE;

/// The levels of a member, highest first.
#[derive(Clone, Copy)]
pub(super) struct Levels {
    random: Random,
    remaining: usize,
    rank: f64,
}

impl Levels {
    /// The levels of this member for so many registers.
    #[inline]
    pub(super) fn new(member: MemberHash, registers: usize) -> Levels {
        Levels { random: Random(member.0), remaining: registers, rank: 0.0 }
    }
}

impl Iterator for Levels {
    type Item = i64;

    #[inline]
    fn next(&mut self) -> Option<i64> {
        if self.remaining == 0 {
            return None;
        }
        self.rank += exponential(self.random.next()) / self.remaining as f64;
        self.remaining -= 1;
        Some(level(self.rank))
    }
}

/// The registers that a member's levels belong to: the places `0..registers` in an order that the
/// member's hash decides. At most `CAPACITY` registers.
pub(super) struct Permutation<const CAPACITY: usize> {
    random: Random,
    drawn: usize,
    registers: usize,
    /// `swapped[i] ^ i` is what stands at place `i`, so all zeros is the order to begin with.
    swapped: [u16; CAPACITY],
}

impl<const CAPACITY: usize> Permutation<CAPACITY> {
    /// The order of this member for so many registers.
    pub(super) fn new(member: MemberHash, registers: usize) -> Self {
        debug_assert!(registers <= CAPACITY);
        // A stream of its own: the complement's, far away from that of the levels.
        Permutation { random: Random(!member.0), drawn: 0, registers, swapped: [0; CAPACITY] }
    }
}

impl<const CAPACITY: usize> Iterator for Permutation<CAPACITY> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let remaining = self.registers.checked_sub(self.drawn).filter(|remaining| *remaining > 0)?;
        let chosen = self.drawn + below(self.random.next(), remaining);
        let taken = usize::from(self.swapped[chosen]) ^ chosen;
        let moved = usize::from(self.swapped[self.drawn]) ^ self.drawn;
        self.swapped[chosen] = (moved ^ chosen) as u16;
        self.drawn += 1;
        Some(taken)
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
#[derive(Clone, Copy)]
struct Random(u64);

impl Random {
    #[inline]
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// A number below `bound` from 64 random bits.
#[inline]
fn below(random: u64, bound: usize) -> usize {
    ((u128::from(random) * bound as u128) >> 64) as usize
}

/// An `Exp(1)` number from 64 random bits, greater than 0.
///
/// It is a whole number of halvings, which are as many as there are leading zeros, and a rest
/// below `ln 2`, `-ln(1 - y/2)` for the uniform `y` that the other bits make. That keeps small
/// numbers, which are what registers hold, at full precision.
#[inline]
fn exponential(random: u64) -> f64 {
    let halvings = random.leading_zeros().min(63);
    let rest = (random << halvings) << 1;
    let y = ((rest >> 11) + 1) as f64 * (1.0 / (1u64 << 53) as f64);
    let place = (rest >> 56) as usize;
    let between = (rest << 8 >> 32) as f64 * (1.0 / (1u64 << 32) as f64);
    let slope = REST_SLOPES[place] + between * (REST_SLOPES[place + 1] - REST_SLOPES[place]);
    f64::from(halvings) * std::f64::consts::LN_2 + y * slope
}

/// `-ln` of a positive rank in fixed point; it never rises as the rank rises.
#[inline]
fn level(rank: f64) -> i64 {
    let bits = rank.to_bits();
    let exponent = (bits >> 52) as i64 - 1023;
    let place = ((bits >> 44) & 0xFF) as usize;
    let between = (bits >> 12) as u32 as i64;
    let logarithm = LOGARITHMS[place] + (((LOGARITHMS[place + 1] - LOGARITHMS[place]) * between) >> 32);
    -((exponent * LN_2 + logarithm) >> (32 - LEVEL_BITS))
}

/// The steps of the tables; between them it is interpolated, with errors below 2e-6.
const TABLE_STEPS: usize = 256;
/// `ln 2` with 32 bits behind the point.
const LN_2: i64 = logarithms()[TABLE_STEPS];
/// `ln(1 + i/256)` with 32 bits behind the point.
static LOGARITHMS: [i64; TABLE_STEPS + 1] = logarithms();
/// `-ln(1 - y/2) / y` for `y = i/256`.
static REST_SLOPES: [f64; TABLE_STEPS + 1] = rest_slopes();

/// By `ln(1 + x) = 2 artanh(x / (2 + x))`, the argument being at most 1/3.
const fn logarithms() -> [i64; TABLE_STEPS + 1] {
    let mut table = [0; TABLE_STEPS + 1];
    let mut i = 0;
    while i <= TABLE_STEPS {
        let argument = i as f64 / (i + 2 * TABLE_STEPS) as f64;
        let (mut power, mut sum, mut n) = (argument, 0.0, 1);
        while n < 60 {
            sum += power / n as f64;
            power *= argument * argument;
            n += 2;
        }
        table[i] = (2.0 * sum * (1u64 << 32) as f64 + 0.5) as i64;
        i += 1;
    }
    table
}

/// By `-ln(1 - z) / (2 z) = sum of z^n / (2 (n + 1))`, the argument `z = y/2` being at most 1/2.
const fn rest_slopes() -> [f64; TABLE_STEPS + 1] {
    let mut table = [0.0; TABLE_STEPS + 1];
    let mut i = 0;
    while i <= TABLE_STEPS {
        let argument = i as f64 / (2 * TABLE_STEPS) as f64;
        let (mut power, mut n) = (0.5, 0);
        while n < 60 {
            table[i] += power / (n + 1) as f64;
            power *= argument;
            n += 1;
        }
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u64 = 200_000;

    #[test]
    fn exponentials_are_distributed_as_they_should() {
        let mut random = Random(1);
        let mut draws: Vec<f64> = (0..DRAWS).map(|_| exponential(random.next())).collect();
        draws.sort_unstable_by(f64::total_cmp);
        // Kolmogorov and Smirnov: exceeded by one in 10^5 samples of the right distribution.
        let bound = 2.47 / (DRAWS as f64).sqrt();
        for (i, draw) in draws.iter().enumerate() {
            let expected = 1.0 - (-draw).exp();
            assert!((i as f64 / DRAWS as f64 - expected).abs() < bound, "{draw} at {i}");
        }
    }

    #[test]
    fn exponentials_are_positive_and_keep_their_precision_when_small() {
        assert!(exponential(u64::MAX) > 0.69 && exponential(0) > 43.0);
        let smallest = exponential(1 << 63);
        assert_eq!(smallest, 0.5 / (1u64 << 53) as f64);
        for bits in [20, 40, 50] {
            let y = (1.0 + (1u64 << bits) as f64) / (1u64 << 53) as f64;
            let draw = exponential(1 << 63 | 1 << (bits + 10));
            assert!((draw / -libm::log1p(-y / 2.0) - 1.0).abs() < 2e-6, "{draw} for {y}");
        }
    }

    #[test]
    fn levels_are_logarithms() {
        let mut rank = 1e-19;
        while rank < 400.0 {
            let expected = -libm::log(rank) * LEVEL_ONE as f64;
            assert!((level(rank) as f64 - expected).abs() < 4.0, "{rank}");
            rank *= 1.000_37;
        }
    }

    #[test]
    fn levels_never_rise_and_stay_in_their_bounds() {
        for number in 0..200 {
            let levels: Vec<i64> = Levels::new(MemberHash(number), 4096).collect();
            assert_eq!(levels.len(), 4096);
            assert!(levels.is_sorted_by(|higher, lower| higher >= lower));
            assert!(levels[0] <= HIGHEST_LEVEL && levels[4095] > -6 * LEVEL_ONE);
        }
    }

    #[test]
    fn every_register_gets_one_rank_and_none_is_preferred() {
        let (members, registers) = (20_000, 40);
        let mut sums = vec![0.0; registers];
        for number in 0..members {
            let member = MemberHash(number);
            let mut places = Permutation::<64>::new(member, registers).collect::<Vec<_>>();
            for (level, place) in Levels::new(member, registers).zip(&places) {
                sums[*place] += (-level as f64 / LEVEL_ONE as f64).exp();
            }
            places.sort_unstable();
            assert!(places.into_iter().eq(0..registers));
        }
        // The mean of each register's ranks is 1, with a standard error of 0.7 %.
        sums.iter().for_each(|sum| assert!((sum / members as f64 - 1.0).abs() < 0.03, "{sum}"));
    }
}
