//! Fault L1: for an hour whatever may go wrong with a run, its table and its clock does, again and again, and what it holds does not grow.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::dynamodb::table;
use super::{Job, Seed, Sender, brokers, while_sending};
use crate::dynamodb_fake::{FakeDynamoDb, Fault, TABLE, Trouble};
use crate::kafka::Topic;
use crate::program::Running;
use crate::wrong_clock::WrongClock;

const HOUR: i64 = 3_600;

/// What a run holds at one moment.
struct Held {
    bytes: u64,
    files: usize,
}

/// So long, with lives of at most a tenth of it.
fn soak(length: Duration, seed: u64) {
    let told = Seed(seed);
    let mut random = StdRng::seed_from_u64(told.0);
    let fake = FakeDynamoDb::start(move |request| match request % 50 {
        7 => Fault::AnswerLost,
        23 => Fault::Unprocessed(3),
        41 => Fault::LateAfterBreak(Duration::from_millis(150)),
        _ => Fault::None,
    });
    let topic = Topic::new("soak", 3);
    let mut sender = Sender::new(&brokers(), &topic.name, 3, told.0);
    let job = Job::new(&brokers(), &topic.name, &table(TABLE, &fake.endpoint(), false)).into_dynamodb();
    let clock = WrongClock::new(&job.place);
    sender.send(50);
    job.catch_up("1", &[]).exits(0);
    let (began, mut lives) = (Instant::now(), 0);
    while_sending(&mut sender, || {
        while began.elapsed() < length {
            let longest = (length / 10).max(Duration::from_secs(4));
            live(&job, &fake, &clock, &mut random, longest);
            lives += 1;
        }
    });
    eprintln!("{lives} lives, {} events", sender.sent());
    job.ends_well(&sender.counts);
    let state = fake.state();
    assert!(state.went_back().is_empty(), "{:?}", state.went_back());
    assert!(state.violations.is_empty(), "{:?}", state.violations);
}

fn live(job: &Job, fake: &FakeDynamoDb, clock: &WrongClock, random: &mut StdRng, longest: Duration) {
    let failing = format!("before_manifest:error:{}", random.random_range(1..4));
    let mut environment = clock.environment();
    if random.random_ratio(1, 3) {
        environment.push(("COUNTER_MACHINE_FAIL", &failing));
    }
    let run = job.start_with(["1", "2", "3"][random.random_range(0..3)], &[], &environment);
    let ends = Instant::now() + longest.mul_f64(random.random_range(0.25..1.0));
    let mut held = Vec::new();
    while Instant::now() < ends {
        let a_while = Duration::from_millis(random.random_range(50..2_000));
        match random.random_range(0..6) {
            0 => {
                run.signal("STOP");
                std::thread::sleep(a_while);
                run.signal("CONT");
            }
            1 => {
                let trouble =
                    Trouble { operation: "BatchWriteItem", code: "InternalServerError", message: "as planned" };
                fake.state().trouble = Some(trouble);
                std::thread::sleep(a_while);
                fake.state().trouble = None;
            }
            2 => clock.is_ahead_by([-24, -1, 0, 1, 24][random.random_range(0..5)] * HOUR),
            _ => {}
        }
        std::thread::sleep(a_while);
        held.push(Held { bytes: run.resident_bytes(), files: run.open_files() });
    }
    assert_flat(&held);
    end(run, random);
}

fn end(run: Running, random: &mut StdRng) {
    if random.random() {
        assert!(run.kill().was_killed());
    } else {
        run.catches_signals();
        run.signal("TERM");
        run.end_within(Duration::from_secs(15)).exits(0);
    }
}

/// From a quarter of its life on a run holds no more.
fn assert_flat(held: &[Held]) {
    const ENOUGH: usize = 40;
    if held.len() < ENOUGH {
        return;
    }
    let most = |held: &[Held]| {
        let mut bytes: Vec<_> = held.iter().map(|held| held.bytes).collect();
        bytes.sort_unstable();
        (bytes[bytes.len() / 2], held.iter().map(|held| held.files).max().unwrap_or_default())
    };
    let quarter = held.len() / 4;
    let ((before, files_before), (after, files_after)) =
        (most(&held[quarter..2 * quarter]), most(&held[3 * quarter..]));
    assert!(after < before + before / 10 + (2 << 20), "memory has grown from {before} to {after} bytes");
    assert!(files_after <= files_before + 4, "{files_before} open files have become {files_after}");
}

#[test]
#[ignore = "needs Kafka"]
fn some_lives_in_which_much_goes_wrong_count_everything_once() {
    soak(Duration::from_secs(12), 51);
}

/// `COUNTER_MACHINE_SOAK_SECONDS` makes it shorter or longer.
#[test]
#[ignore = "needs Kafka"]
fn an_hour_in_which_much_goes_wrong_counts_everything_once_takes_minutes() {
    let seconds =
        std::env::var("COUNTER_MACHINE_SOAK_SECONDS").map_or(3_600, |seconds| seconds.parse().expect("a number"));
    soak(Duration::from_secs(seconds), 52);
}
