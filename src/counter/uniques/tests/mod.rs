//! What uniques promise, against recounts of the members.

mod accuracy;
mod algebra;
mod edges;

use super::*;
use crate::counter::{DecayInterval, Decays};

/// What stands for the seeded hash of a member's text.
fn member(number: u64) -> MemberHash {
    let mixed = (number ^ (number >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    MemberHash(mixed ^ (mixed >> 32))
}

fn set(registers: usize, exact_members: usize, intervals: &[i64]) -> UniquesScheme {
    let intervals = intervals.iter().map(|units| DecayInterval::new(*units).expect("a valid interval")).collect();
    UniquesScheme::new(UniquesConfig { registers, exact_members }, &Decays::new(intervals))
        .expect("a valid configuration")
}

fn uniques(set: &UniquesScheme, sightings: &[(u64, i64)]) -> Uniques {
    let mut uniques = Uniques::new();
    for (number, time) in sightings {
        uniques.add(set, member(*number), EventTime(*time));
    }
    uniques
}

fn bytes(uniques: &Uniques) -> Vec<u8> {
    let mut bytes = Vec::new();
    uniques.write_to(&mut bytes);
    bytes
}

/// What the definition says: each member at its last time.
fn recount(sightings: &[(u64, i64)], interval: i64, at: i64) -> f64 {
    let mut last_seen = std::collections::HashMap::new();
    for (number, time) in sightings {
        let last = last_seen.entry(number).or_insert(*time);
        *last = (*last).max(*time);
    }
    last_seen.values().map(|time| (-((at - time) as f64) / interval as f64).exp()).sum()
}
