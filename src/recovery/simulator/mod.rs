//! A step simulator of recovery: the real code of checkpoints, journal, state and publishing, with simulated threads, time, table and disk.
//!
//! A *world* has partitions with events, a disk, a table and a file of dead letters. In it runs *live* one after the other, sometimes two at once:
//! each opens the state, restores, reads, counts, publishes and makes checkpoints, thread by thread in steps that the seed
//! chooses, and dies at any of them. The last comes to its end. After every step it is looked whether something is broken that must hold
//! (I1 to I8); `docs/simulator.md` says what that is, and what none of this proves.

mod check;
mod dice;
mod disk;
mod fault;
mod ground;
mod keeper;
mod life;
mod objects;
mod stakes;
mod table;
mod worker;
mod world;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fault::Fault;
use stakes::Stakes;
use world::World;

/// Plays a world; what happened in it, and what is wrong.
fn play(seed: u64, fault: Option<Fault>) -> (Stakes, Result<(), String>) {
    let mut world = World::new(seed, fault);
    let played = catch_unwind(AssertUnwindSafe(|| world.play()));
    (world.stakes, played.unwrap_or_else(|_| Err("it has panicked".to_owned())))
}

/// Plays all of these worlds, in none of which anything may be wrong.
fn play_all(seeds: Range<u64>) -> Stakes {
    let mut all = Stakes::default();
    for seed in seeds {
        let (stakes, played) = play(seed, None);
        all.add_all(&stakes);
        if let Err(wrong) = played {
            panic!("{wrong}\nto run it again: SIMULATOR_SEED={seed} cargo test --lib recovery::simulator::one_seed");
        }
    }
    all
}

#[test]
fn one_seed() {
    let seed = std::env::var("SIMULATOR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let stakes = play_all(seed..seed + 1);
    println!("{stakes:#?}");
}

/// All that must have been at stake in a quarter of the worlds, and how often at least.
const AT_STAKE: [(&str, u64); 25] = [
    ("a checkpoint", 3_690),
    ("checkpoints that were recounted", 4_530),
    ("an item handed over", 13_520),
    ("an end with writes under way", 270),
    ("an end after which a write arrived", 160),
    ("a closed gate", 1_370),
    ("a gate at the ends because the journal is damaged", 100),
    ("a checkpoint with marks", 490),
    ("a checkpoint that was passed over", 70),
    ("a damaged manifest", 30),
    ("a damaged segment", 27),
    ("a lost snapshot", 120),
    ("another number of workers", 1_280),
    ("a partition that no checkpoint knows", 200),
    ("a write that arrived after the next run had begun", 30),
    ("two runs at once", 260),
    ("a commit refused because another run has the state", 22),
    ("an entry of the journal refused because another run has the state", 22),
    ("an object that arrived after its run's end", 7),
    ("a run that died in a call of the disk", 30),
    ("a run that came to its end", 3),
    ("a run that could not begin", 190),
    ("calls of the disk that failed", 520),
    ("a letter that stands in the file already", 2_380),
    ("a tidying up that failed", 60),
];

/// Plays a quarter of the worlds: four tests run at the same time.
fn play_quarter(number: u64) {
    let stakes = play_all(number * WORLDS / 4..(number + 1) * WORLDS / 4);
    for (what, at_least) in AT_STAKE {
        let times = stakes.times(what);
        assert!(times >= at_least, "{what}: only {times} times, so little is proven\n{stakes:#?}");
    }
}

/// How many worlds are played.
const WORLDS: u64 = 10_000;

#[test]
fn nothing_is_lost_doubled_or_stale_in_the_first_quarter_of_the_worlds() {
    play_quarter(0);
}

#[test]
fn nothing_is_lost_doubled_or_stale_in_the_second_quarter_of_the_worlds() {
    play_quarter(1);
}

#[test]
fn nothing_is_lost_doubled_or_stale_in_the_third_quarter_of_the_worlds() {
    play_quarter(2);
}

#[test]
fn nothing_is_lost_doubled_or_stale_in_the_last_quarter_of_the_worlds() {
    play_quarter(3);
}

/// The invariants of which one must find each fault.
fn finders(fault: Fault) -> &'static [&'static str] {
    match fault {
        Fault::PublishesUnjournaled => &["I3"],
        // Entries that go back are found at once, too, where a run is overtaken.
        Fault::HasNoGate | Fault::GateOfOnePartition => &["I2", "I3"],
        Fault::PrunesTheJournal => &["I2"],
        Fault::ReadsOnFromTheJournal => &["I1", "I4"],
        Fault::CutsOneEpochLate | Fault::LostIsDurable => &["I4"],
        Fault::AcknowledgesWhenTaken => &["I2", "I5"],
        Fault::DropsMarks => &["I2"],
        Fault::AnswersTooEarly => &["I5"],
        Fault::SkipsTheClaim => &["I8"],
        Fault::ForgetsLetters | Fault::MarksLettersTooLate | Fault::DoesNotWaitForLetters => &["I7"],
        Fault::DeletesTooMuch => &["I6"],
    }
}

#[test]
fn every_fault_is_found_by_the_invariant_that_it_breaks() {
    const ENOUGH: u64 = 4_000;
    for fault in Fault::ALL {
        let is_found_in = |seed: &u64| {
            let wrong = play(*seed, Some(fault)).1.err();
            // What follows from a fault may come up before what it breaks, and in another world it is the other way round.
            wrong.is_some_and(|wrong| finders(fault).iter().any(|invariant| wrong.starts_with(invariant)))
        };
        let found = (0..ENOUGH).find(is_found_in);
        println!("{fault:?} in world {found:?}");
        assert!(found.is_some(), "{fault:?} was not found in {ENOUGH} worlds");
    }
}
