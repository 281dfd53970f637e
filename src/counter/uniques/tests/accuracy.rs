//! How far estimates are from a recount, over many sets of different members.

use super::*;

const INTERVALS: [i64; 3] = [600, 7_200, 1_000_000_000];
/// Members are seen at any time in so long: up to 12 of the shortest interval.
const SPAN: i64 = 7_200;

/// The mean and the standard deviation of estimate / recount in each interval.
struct Spread {
    trials: usize,
    sums: [f64; 3],
    squares: [f64; 3],
}

impl Spread {
    fn of(registers: usize, members: u64, trials: usize) -> Spread {
        let set = set(registers, 0, &INTERVALS);
        let mut spread = Spread { trials, sums: [0.0; 3], squares: [0.0; 3] };
        for trial in 0..trials as u64 {
            let (uniques, truth) = a_trial(&set, trial, members);
            for (i, truth) in truth.into_iter().enumerate() {
                let ratio = uniques.read(&set, i, EventTime(SPAN)).value / truth;
                spread.sums[i] += ratio;
                spread.squares[i] += (ratio - 1.0).powi(2);
            }
        }
        spread
    }

    fn assert_bias_below(&self, bound: f64) {
        for (sum, interval) in self.sums.iter().zip(INTERVALS) {
            let bias = sum / self.trials as f64 - 1.0;
            assert!(bias.abs() < bound, "a bias of {bias} over {interval}");
        }
    }

    fn assert_error_within(&self, registers: usize, share: f64) {
        let theory = 1.0 / (registers as f64 - 2.0).sqrt();
        for (squares, interval) in self.squares.iter().zip(INTERVALS) {
            let error = (squares / self.trials as f64).sqrt();
            assert!((error / theory - 1.0).abs() < share, "an error of {error} over {interval}, not {theory}");
        }
    }
}

/// A set of that many members, most seen once, every third a second time, at any age; and what they
/// are worth at [`SPAN`], by recount.
fn a_trial(set: &UniquesScheme, trial: u64, members: u64) -> (Uniques, [f64; 3]) {
    let (mut uniques, mut truth) = (Uniques::new(), [0.0; 3]);
    for number in 0..members {
        let hash = member((trial + 1) << 40 | number);
        let random = member(trial << 40 | 1 << 39 | number).0;
        let first = (random >> 32) as i64 % (SPAN + 1);
        let second = if number % 3 == 0 { (random & 0xFFFF_FFFF) as i64 % (SPAN + 1) } else { first };
        uniques.add(set, hash, EventTime(first));
        if second != first {
            uniques.add(set, hash, EventTime(second));
        }
        let age = (SPAN - first.max(second)) as f64;
        truth.iter_mut().zip(INTERVALS).for_each(|(truth, interval)| *truth += (-age / interval as f64).exp());
    }
    (uniques, truth)
}

#[test]
fn a_single_member_has_no_bias_and_the_error_of_theory() {
    let spread = Spread::of(256, 1, 1_000);
    spread.assert_bias_below(0.01);
    spread.assert_error_within(256, 0.15);
}

#[test]
fn ten_members_have_no_bias_and_the_error_of_theory() {
    let spread = Spread::of(256, 10, 1_000);
    spread.assert_bias_below(0.01);
    spread.assert_error_within(256, 0.15);
}

#[test]
fn a_hundred_members_have_no_bias_and_the_error_of_theory() {
    let spread = Spread::of(256, 100, 1_000);
    spread.assert_bias_below(0.01);
    spread.assert_error_within(256, 0.15);
}

#[test]
fn ten_thousand_members_have_no_bias_and_the_error_of_theory() {
    let spread = Spread::of(256, 10_000, 400);
    spread.assert_bias_below(0.01);
    spread.assert_error_within(256, 0.15);
}

#[test]
fn a_million_members_are_within_4_standard_errors() {
    let spread = Spread::of(4096, 1_000_000, 2);
    // The mean of two trials.
    spread.assert_bias_below(4.0 / (2.0f64 * 4094.0).sqrt());
}

#[test]
fn few_registers_have_no_bias_either() {
    let spread = Spread::of(16, 300, 10_000);
    spread.assert_bias_below(0.01);
    spread.assert_error_within(16, 0.15);
}

#[test]
#[ignore = "takes minutes in a debug build"]
fn a_million_members_have_no_bias_and_the_error_of_theory() {
    let spread = Spread::of(256, 1_000_000, 400);
    spread.assert_bias_below(0.01);
    spread.assert_error_within(256, 0.15);
}

#[test]
#[ignore = "takes minutes in a debug build"]
fn quantisation_adds_neither_bias_nor_error_that_could_be_seen() {
    for members in [1, 30, 1_000] {
        let spread = Spread::of(256, members, 100_000);
        spread.assert_bias_below(0.001);
        spread.assert_error_within(256, 0.01);
    }
}
