//! Single cases: the edges of times, intervals and sizes.

use super::*;

/// Far from any estimate that is right: 5 standard errors of 256 registers.
const TOLERANCE: f64 = 0.32;

fn assert_near(actual: f64, expected: f64) {
    assert!((actual / expected - 1.0).abs() < TOLERANCE, "{actual} is not {expected}");
}

fn seen_at(numbers: std::ops::Range<u64>, time: i64) -> Vec<(u64, i64)> {
    numbers.map(|number| (number, time)).collect()
}

#[test]
fn nothing_reads_as_zero() {
    let set = set(256, 64, &[60]);
    let estimate = Uniques::new().read(&set, 0, EventTime(9));
    assert_eq!((estimate.value.to_bits(), estimate.error), (0, 0.0));
    assert_eq!(Uniques::new().last_update(), EventTime(0));
}

#[test]
fn one_member_more_than_are_exact_makes_a_sketch() {
    let set = set(256, 64, &[60, 3_600]);
    let mut uniques = uniques(&set, &seen_at(0..64, 5));
    assert_eq!(uniques.read(&set, 0, EventTime(5)), UniquesEstimate { value: 64.0, error: 0.0 });
    uniques.add(&set, member(63), EventTime(6));
    assert_eq!(uniques.read(&set, 1, EventTime(6)).error, 0.0);
    uniques.add(&set, member(64), EventTime(6));
    let estimate = uniques.read(&set, 1, EventTime(6));
    assert_eq!(estimate.error, 1.0 / 254.0f64.sqrt());
    assert_near(estimate.value, 65.0);
}

#[test]
fn a_sketch_decays_like_any_counter_after_its_last_update() {
    let set = set(256, 0, &[100]);
    let uniques = uniques(&set, &seen_at(0..1_000, 50));
    let now = uniques.read(&set, 0, EventTime(50));
    let later = uniques.read(&set, 0, EventTime(250));
    assert_eq!((later.value, later.error), (now.value * (-2.0f64).exp(), now.error));
    assert_eq!(uniques.read(&set, 0, EventTime(0)), now);
    assert_eq!(uniques.read(&set, 0, EventTime(i64::MAX)).value, 0.0);
}

#[test]
fn expired_members_are_worth_nothing_where_they_expired() {
    let set = set(256, 64, &[1, 1_000, 1_000_000_000]);
    let mut sightings = seen_at(0..5_000, 0);
    sightings.extend(seen_at(10_000..10_100, 100_000));
    let uniques = uniques(&set, &sightings);
    for (place, expected) in [100.0, 100.0, 5_100.0].into_iter().enumerate() {
        assert_near(uniques.read(&set, place, EventTime(100_000)).value, expected);
    }
}

#[test]
fn late_members_count_at_their_discount() {
    let set = set(256, 64, &[1_000, 100_000]);
    let mut uniques = uniques(&set, &seen_at(0..1_000, 1_000_000));
    let before = uniques.clone();
    uniques.merge(&set, &super::uniques(&set, &seen_at(1_000..9_000, 900_000)));
    assert_eq!(uniques.last_update(), EventTime(1_000_000));
    assert_eq!(uniques.read(&set, 0, EventTime(0)), before.read(&set, 0, EventTime(0)));
    assert_near(uniques.read(&set, 1, EventTime(0)).value, 1_000.0 + 8_000.0 * (-1.0f64).exp());
}

#[test]
fn the_shortest_and_the_longest_interval_hold_the_widest_span_of_times() {
    let set = set(256, 64, &[1, DecayInterval::MAX_UNITS]);
    for newest in [0, 1, i64::MAX / 2, i64::MAX] {
        let mut sightings = seen_at(0..2_000, newest);
        let alone = uniques(&set, &sightings);
        assert_near(alone.read(&set, 0, EventTime(0)).value, 2_000.0);
        assert_near(alone.read(&set, 1, EventTime(0)).value, 2_000.0);
        sightings.extend(seen_at(2_000..4_000, 0));
        let (forth, back) = (uniques(&set, &sightings), {
            sightings.reverse();
            uniques(&set, &sightings)
        });
        assert_eq!(forth, back);
        for (place, interval) in [1, DecayInterval::MAX_UNITS].into_iter().enumerate() {
            let estimate = forth.read(&set, place, EventTime(0));
            assert_near(estimate.value, recount(&sightings, interval, newest));
        }
    }
}

#[test]
fn a_sketch_of_256_registers_takes_about_300_bytes_per_interval() {
    let three = set(256, 64, &[60, 3_600, 86_400]);
    let sketch = uniques(&three, &seen_at(0..1_000, 5));
    assert!(sketch.heap_bytes() <= 3 * 300, "{} bytes", sketch.heap_bytes());
    assert!(bytes(&sketch).len() <= 3 * 270, "{} bytes", bytes(&sketch).len());
}

#[test]
fn small_sets_take_bytes() {
    let set = set(256, 64, &[60, 3_600, 86_400]);
    assert_eq!(size_of::<Uniques>(), 24);
    for (members, heap_bytes) in [(0, 0), (1, 0), (2, 32), (3, 48), (64, 1_024)] {
        assert_eq!(uniques(&set, &seen_at(0..members, 5)).heap_bytes(), heap_bytes);
    }
    assert!(bytes(&uniques(&set, &seen_at(0..1, 1_790_000_000))).len() <= 16);
}

#[test]
fn a_state_of_another_configuration_does_not_fit() {
    let sightings = seen_at(0..100, 5);
    let wide = uniques(&set(256, 64, &[60, 3_600]), &sightings);
    assert!(!wide.fits(&set(128, 64, &[60, 3_600])));
    assert!(!wide.fits(&set(256, 64, &[60])));
    assert!(!uniques(&set(256, 100, &[60]), &sightings).fits(&set(256, 64, &[60])));
}

#[test]
fn configurations_out_of_bounds_are_refused() {
    let none = Decays::new(Vec::new());
    for registers in [0, 15, 4_097] {
        let config = UniquesConfig { registers, exact_members: 64 };
        assert_eq!(UniquesScheme::new(config, &none).err(), Some(InvalidUniquesConfig::Registers(registers)));
    }
    let config = UniquesConfig { registers: 256, exact_members: 4_097 };
    assert_eq!(UniquesScheme::new(config, &none).err(), Some(InvalidUniquesConfig::ExactMembers(4_097)));
}

#[test]
fn bytes_of_later_kinds_and_with_an_appendix_are_refused() {
    assert_eq!(Uniques::from_bytes(&[9]), Err(InvalidUniques::UnknownKind(9)));
    assert_eq!(Uniques::from_bytes(&[0, 0]), Err(InvalidUniques::TooLong));
    assert_eq!(Uniques::from_bytes(&[]), Err(InvalidUniques::Damaged));
}
