//! Randomness that is the same on every machine and in every version.

/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
///
/// Written out here because a library may change its generators, and how it makes numbers of them,
/// with any version.
#[derive(Clone, Debug)]
pub(super) struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    pub(super) fn new(seed: u64) -> SplitMix64 {
        SplitMix64 { state: seed }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, but not including, 1, with 53 random bits.
    pub(super) fn unit(&mut self) -> f64 {
        const SCALE: f64 = 1.0 / (1u64 << 53) as f64;
        (self.next() >> 11) as f64 * SCALE
    }

    /// A number from 0 up to, but not including, `bound`. (The bias is `bound` / 2^64.)
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

/// Ranks 1 to n, of which rank k comes up with a frequency proportional to k^-s.
///
/// Rejection sampling after Jason Crease: a rank is drawn from an envelope whose cumulative
/// distribution can be inverted (1 up to rank 1, then x^-s), and kept in proportion to how much
/// of the envelope it fills. With `libm`'s functions, for those of the system differ in their last
/// bits from machine to machine.
#[derive(Clone, Debug)]
pub(super) struct Zipf {
    exponent: f64,
    /// The area under the envelope.
    area: f64,
    ranks: u32,
}

impl Zipf {
    /// `ranks` is at least 1, `exponent` from 0 to [`Zipf::LARGEST_EXPONENT`].
    pub(super) fn new(ranks: u32, exponent: f64) -> Zipf {
        // So near to 1 the general form loses its digits, and the logarithm is as good.
        let exponent = if (exponent - 1.0).abs() < 1e-6 { 1.0 } else { exponent };
        let n = f64::from(ranks);
        let area = if exponent == 1.0 {
            1.0 + libm::log(n)
        } else {
            (libm::pow(n, 1.0 - exponent) - exponent) / (1.0 - exponent)
        };
        Zipf { exponent, area, ranks }
    }

    /// Larger ones give rank 1 for ever.
    pub(super) const LARGEST_EXPONENT: f64 = 10.0;

    /// Draws a rank.
    pub(super) fn draw(&self, random: &mut SplitMix64) -> u32 {
        loop {
            let x = self.envelope_at(random.unit() * self.area);
            if x <= 1.0 {
                return 1;
            }
            let rank = (x as u32).saturating_add(1).min(self.ranks);
            let filled = x / f64::from(rank);
            let drawn = random.unit();
            // Bernoulli's bound on the power spares it almost always.
            let at_least = 1.0 - self.exponent.max(1.0) * (1.0 - filled);
            if drawn < at_least || drawn < libm::pow(filled, self.exponent) {
                return rank;
            }
        }
    }

    /// Up to where the area under the envelope is `area`.
    fn envelope_at(&self, area: f64) -> f64 {
        if area <= 1.0 {
            area
        } else if self.exponent == 1.0 {
            libm::exp(area - 1.0)
        } else {
            libm::pow(area * (1.0 - self.exponent) + self.exponent, 1.0 / (1.0 - self.exponent))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        let mut random = SplitMix64::new(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([random.next(), random.next(), random.next()], expected);
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_all_of_it() {
        let mut random = SplitMix64::new(5);
        let mut seen = [0; 7];
        for _ in 0..7_000 {
            seen[random.below(7) as usize] += 1;
            assert!((0.0..1.0).contains(&random.unit()));
        }
        assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
    }

    /// Each rank's share against k^-s / sum, within five standard deviations.
    #[test]
    fn ranks_come_up_in_proportion_to_their_power() {
        const DRAWS: usize = 200_000;
        for (ranks, exponent) in [(1, 1.1), (10, 0.0), (50, 0.5), (50, 1.0), (1000, 1.1), (20, 3.0), (5, 10.0)] {
            let zipf = Zipf::new(ranks, exponent);
            let mut random = SplitMix64::new(9);
            let mut counts = vec![0usize; ranks as usize];
            (0..DRAWS).for_each(|_| counts[zipf.draw(&mut random) as usize - 1] += 1);
            let weight = |rank: u32| f64::from(rank).powf(-exponent);
            let sum: f64 = (1..=ranks).map(weight).sum();
            for rank in 1..=ranks {
                let share = weight(rank) / sum;
                let expected = share * DRAWS as f64;
                let deviation = (expected * (1.0 - share)).sqrt();
                let count = counts[rank as usize - 1] as f64;
                assert!(
                    (count - expected).abs() <= 5.0 * deviation + 1.0,
                    "s {exponent}, rank {rank}: {count} for {expected}"
                );
            }
        }
    }
}
