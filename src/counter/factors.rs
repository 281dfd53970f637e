//! What values keep over a time, for all the intervals of a set at once.

use super::DecayInterval;

/// So many intervals are worked on together: what the vector instructions of most machines hold.
pub(super) const LANES: usize = 4;

const DIGIT_BITS: u32 = 8;
const DIGITS: usize = 1 << DIGIT_BITS;
/// Times with more digits than this (8 years in microseconds, 3 days in nanoseconds) may cost an
/// exponential function each.
const MOST_DIGITS: u32 = 6;

/// The factors `exp(-elapsed / lambda)` of some intervals.
///
/// An exponential of a sum is the product of exponentials: with `elapsed` in the digits of base 256
/// a factor is the product of one entry per digit, instead of a call of `exp` for every interval.
/// Either way rounds the exponent, and an error of the exponent is a relative error of the factor:
/// the two are within `elapsed / lambda + 16` times [`f64::EPSILON`] of each other, so a factor of
/// 1/2 agrees in all but its last digits and one of 1e-300 within 2e-13.
#[derive(Debug)]
pub(super) struct Factors {
    intervals: Vec<DecayInterval>,
    /// How many times [`LANES`] intervals there are; the last may be filled up.
    chunks: usize,
    /// `entries[(place * DIGITS + digit) * chunks + chunk]`: the factors after `digit * 256^place`
    /// units.
    entries: Vec<[f64; LANES]>,
}

impl Factors {
    /// The factors of these intervals, in this order.
    pub fn new(intervals: Vec<DecayInterval>) -> Factors {
        let chunks = intervals.len().div_ceil(LANES);
        let mut entries = Vec::with_capacity(MOST_DIGITS as usize * DIGITS * chunks);
        for place in 0..MOST_DIGITS {
            for digit in 0..DIGITS as i64 {
                entries.extend(intervals.chunks(LANES).map(|chunk| each(chunk, digit << (DIGIT_BITS * place))));
            }
        }
        Factors { intervals, chunks, entries }
    }

    /// The intervals.
    pub fn intervals(&self) -> &[DecayInterval] {
        &self.intervals
    }

    /// The factors of the `chunk`th four intervals after `elapsed` units, which are not negative.
    #[inline]
    pub fn of_chunk(&self, chunk: usize, elapsed: i64) -> [f64; LANES] {
        debug_assert!(elapsed >= 0);
        let mut rest = elapsed as u64;
        if rest >> (DIGIT_BITS * MOST_DIGITS) != 0 {
            return each(&self.intervals[chunk * LANES..], elapsed);
        }
        let mut factors = [1.0; LANES];
        let mut place = chunk;
        while rest != 0 {
            let entry = &self.entries[place + (rest as usize % DIGITS) * self.chunks];
            factors.iter_mut().zip(entry).for_each(|(factor, entry)| *factor *= entry);
            rest >>= DIGIT_BITS;
            place += DIGITS * self.chunks;
        }
        factors
    }
}

/// The factors of up to [`LANES`] intervals, filled up with ones.
#[cold]
fn each(intervals: &[DecayInterval], elapsed: i64) -> [f64; LANES] {
    std::array::from_fn(|lane| intervals.get(lane).map_or(1.0, |interval| interval.factor(elapsed)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn products_of_digits_are_what_the_exponential_function_gives(
            units in prop::collection::vec(prop_oneof![1..1_000i64, 1..=DecayInterval::MAX_UNITS], 1..10),
            bits in 0..63u32,
            random in any::<i64>(),
        ) {
            let intervals: Vec<_> = units.iter().map(|units| DecayInterval::new(*units).expect("valid")).collect();
            let factors = Factors::new(intervals.clone());
            let elapsed = (random & i64::MAX) >> bits;
            for (place, interval) in intervals.iter().enumerate() {
                let (factor, expected) = (factors.of_chunk(place / LANES, elapsed)[place % LANES], interval.factor(elapsed));
                let exponent = elapsed as f64 / interval.units() as f64;
                prop_assert!(agree(factor, expected, exponent), "{factor} is not {expected}");
            }
        }
    }

    #[test]
    fn a_factor_that_is_almost_nothing_agrees_as_far_as_its_exponent_is_rounded() {
        let interval = DecayInterval::new(443).expect("valid");
        let factors = Factors::new(vec![interval]);
        for elapsed in 0..443 * 750 {
            let (factor, expected) = (factors.of_chunk(0, elapsed)[0], interval.factor(elapsed));
            assert!(agree(factor, expected, elapsed as f64 / 443.0), "{factor} is not {expected} after {elapsed}");
        }
    }

    /// As near as the exponent's rounding, the exponentials' own and those of the products allow.
    fn agree(factor: f64, expected: f64, exponent: f64) -> bool {
        // The smallest numbers have fewer digits to agree on.
        (factor - expected).abs() <= (exponent + 16.0) * f64::EPSILON * expected + f64::MIN_POSITIVE
    }
}
