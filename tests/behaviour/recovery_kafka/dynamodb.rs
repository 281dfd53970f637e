//! The same into DynamoDB: the fake sees every write, and that none takes an item back; DynamoDB Local takes writes with a fence.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Job, Seed, Sender, brokers, while_sending};
use crate::dynamodb_fake::{FakeDynamoDb, Fault, TABLE};
use crate::dynamodb_local::{endpoint, new_name};
use crate::kafka::Topic;

/// A series of so many lives that are killed.
fn killed(purpose: &str, table: &str, lives: u32, seed: u64) {
    let told = Seed(seed);
    let mut random = StdRng::seed_from_u64(told.0);
    let topic = Topic::new(purpose, 2);
    let mut sender = Sender::new(&brokers(), &topic.name, 2, seed);
    let job = Job::new(&brokers(), &topic.name, table).into_dynamodb();
    sender.send(50);
    job.place.run(&["table", "p.toml"]).exits(0);
    job.catch_up("1", &[]).exits(0);
    while_sending(&mut sender, || {
        for _ in 0..lives {
            job.is_killed(&mut random, || {});
        }
    });
    job.ends_well(&sender.counts);
}

/// A table here, into which a run writes without waiting long for an earlier one.
pub fn table(name: &str, endpoint: &str, fence: bool) -> String {
    format!("dynamodb = {{ table = \"{name}\", endpoint = \"{endpoint}\", settle = \"200ms\", fence = {fence} }}")
}

#[test]
#[ignore = "needs Kafka"]
fn no_write_takes_an_item_back_over_lives_that_are_killed() {
    let fake = FakeDynamoDb::start(|_| Fault::None);
    killed("killed-fake", &table(TABLE, &fake.endpoint(), false), 3, 31);
    let state = fake.state();
    assert!(state.went_back().is_empty(), "{:?}", state.went_back());
    assert!(state.violations.is_empty(), "{:?}", state.violations);
}

#[test]
#[ignore = "needs Kafka and DynamoDB Local"]
fn a_table_with_a_fence_holds_every_event_once_over_lives_that_are_killed() {
    killed("killed-local", &table(&new_name("killed"), &endpoint(), true), 2, 32);
}

#[test]
#[ignore = "needs Kafka"]
fn a_table_that_throttles_and_loses_answers_takes_minutes() {
    for (seed, fence) in [(33, false), (34, true)] {
        let fake = FakeDynamoDb::start(move |request| match (request + seed) % 7 {
            0 => Fault::Unprocessed(3),
            3 => Fault::AnswerLost,
            5 => Fault::LateAfterBreak(std::time::Duration::from_millis(150)),
            _ => Fault::None,
        });
        killed("killed-faults", &table(TABLE, &fake.endpoint(), fence), 8, seed);
        let state = fake.state();
        assert!(state.went_back().is_empty(), "seed {seed}: {:?}", state.went_back());
    }
}
