//! The same bits however the members come.

use super::*;
use proptest::prelude::*;

/// Short and long intervals, of which some share a pass and others do not.
const INTERVALS: [i64; 10] = [1, 7, 64, 900, 86_400, 1_000_000, 1_000_000_000_000, 3, DecayInterval::MAX_UNITS, 4_096];

fn sightings() -> impl Strategy<Value = Vec<(u64, i64)>> {
    let time = prop_oneof![0..40i64, 0..5_000i64, 0..2_000_000_000i64];
    prop::collection::vec((0..60u64, time), 1..150)
}

/// Merges the parts two by two in an order that `picks` decides.
fn merged(set: &UniquesScheme, mut parts: Vec<Uniques>, picks: &[usize]) -> Uniques {
    let mut picks = picks.iter().cycle();
    while parts.len() > 1 {
        let mut pick = || picks.next().copied().unwrap_or_default();
        let taken = parts.swap_remove(pick() % parts.len());
        let place = pick() % parts.len();
        parts[place].merge(set, &taken);
    }
    parts.pop().unwrap_or_default()
}

/// The registers by their definition: every member fills every register, without base, order or stop.
fn naive(set: &UniquesScheme, sightings: &[(u64, i64)], interval: i64) -> Vec<i128> {
    let mut registers = vec![i128::MIN; set.config().registers];
    for (number, time) in sightings {
        let levels = ranks::Levels::new(member(*number), registers.len());
        for (level, place) in levels.zip(ranks::Permutation::<4096>::new(member(*number), registers.len())) {
            let fixed = i128::from(*time) * i128::from(ranks::LEVEL_ONE) / i128::from(interval) + i128::from(level);
            registers[place] = registers[place].max((fixed * 8) >> ranks::LEVEL_BITS);
        }
    }
    registers
}

proptest! {
    #[test]
    fn any_order_batching_and_merge_tree_give_the_same_bits(
        (sightings, shuffled) in sightings().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        batches in prop::collection::vec(0..9usize, 150),
        picks in prop::collection::vec(0..1_000usize, 20),
        registers in 16..300usize,
        exact_members in 0..70usize,
        more_in_parts in prop_oneof![Just(0), 0..40usize],
    ) {
        let parts_set = set(registers, exact_members + more_in_parts, &INTERVALS);
        let set = set(registers, exact_members, &INTERVALS);
        let in_order = uniques(&set, &sightings);
        prop_assert_eq!(&uniques(&set, &shuffled), &in_order);

        let mut parts = vec![Uniques::new(); 9];
        for ((number, time), batch) in shuffled.iter().zip(&batches) {
            parts[*batch].add(&parts_set, member(*number), EventTime(*time));
        }
        let mut row = Uniques::new();
        row.merge(&set, &merged(&set, parts, &picks));
        prop_assert_eq!(&row, &in_order);
        prop_assert_eq!(bytes(&row), bytes(&in_order));
        for place in 0..INTERVALS.len() {
            let at = EventTime(2_000_000_000);
            let bits = |uniques: &Uniques| uniques.read(&set, place, at).value.to_bits();
            prop_assert_eq!(bits(&row), bits(&in_order));
        }
    }

    #[test]
    fn duplicates_replays_and_older_sightings_change_nothing(
        sightings in sightings(), exact_members in 0..70usize, back in 0..100_000i64,
    ) {
        let set = set(64, exact_members, &INTERVALS);
        let once = uniques(&set, &sightings);
        let mut again = once.clone();
        for (number, time) in sightings.iter().rev() {
            again.add(&set, member(*number), EventTime(*time));
            again.add(&set, member(*number), EventTime((time - back).max(0)));
        }
        again.merge(&set, &once);
        prop_assert_eq!(again, once);
    }

    #[test]
    fn stopping_early_and_a_moving_base_lose_nothing_of_the_definition(
        sightings in sightings(), registers in 16..300usize,
    ) {
        // Powers of two, for which a time in intervals is exact in fixed point.
        let intervals: [i64; 10] = [1, 64, 4_096, 1 << 20, 2, 4, 1 << 10, 1 << 13, 1 << 18, 8];
        let set = set(registers, 0, &intervals);
        let State::Many(sketch) = uniques(&set, &sightings).0 else { panic!("not a sketch") };
        for ((base, registers), interval) in sketch.parts().1.zip(intervals) {
            let naive = naive(&set, &sightings, interval);
            let highest = naive.iter().max().expect("a register");
            prop_assert_eq!(i128::from(base), (highest >> 3) - 31);
            let above_base: Vec<_> = naive.iter().map(|time| (time - i128::from(base) * 8).max(0)).collect();
            let registers: Vec<_> = registers.iter().map(|register| i128::from(*register)).collect();
            prop_assert_eq!(registers, above_base);
        }
    }

    #[test]
    fn small_sets_are_exact(sightings in sightings(), later in 0..10_000i64) {
        let set = set(64, 60, &INTERVALS);
        let uniques = uniques(&set, &sightings);
        let newest = sightings.iter().map(|(_, time)| *time).max().expect("a sighting");
        prop_assert_eq!(uniques.last_update(), EventTime(newest));
        for (place, interval) in INTERVALS.into_iter().enumerate() {
            let estimate = uniques.read(&set, place, EventTime(newest + later));
            let expected = recount(&sightings, interval, newest + later);
            // The smallest numbers have fewer digits to agree on.
            let tolerance = 1e-12 * expected + f64::MIN_POSITIVE;
            prop_assert!((estimate.value - expected).abs() <= tolerance, "{} is not {expected}", estimate.value);
            prop_assert_eq!(estimate.error, 0.0);
        }
    }

    #[test]
    fn bytes_give_the_state_back(sightings in sightings(), exact_members in 0..70usize) {
        let set = set(20, exact_members, &INTERVALS);
        let uniques = uniques(&set, &sightings);
        prop_assert!(uniques.fits(&set));
        prop_assert_eq!(Uniques::from_bytes(&bytes(&uniques)), Ok(uniques.clone()));
        let text = serde_json::to_string(&uniques).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Uniques>(&text).expect("uniques"), uniques);
    }

    #[test]
    fn no_bytes_make_it_panic(
        sightings in sightings(), place in any::<prop::sample::Index>(), byte in any::<u8>(), noise in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let set = set(16, 30, &INTERVALS);
        let mut damaged = bytes(&uniques(&set, &sightings));
        let place = place.index(damaged.len());
        prop_assert_eq!(Uniques::from_bytes(&damaged[..place]), Err(InvalidUniques::Damaged));
        damaged[place] = byte;
        for bytes in [damaged, noise] {
            let Ok(mut uniques) = Uniques::from_bytes(&bytes) else { continue };
            if uniques.fits(&set) {
                uniques.add(&set, member(1), EventTime(1_000));
                uniques.clone().merge(&set, &uniques);
                (0..INTERVALS.len()).for_each(|place| assert!(!uniques.read(&set, place, EventTime(0)).value.is_nan()));
            }
        }
    }
}
