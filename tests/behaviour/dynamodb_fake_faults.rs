//! The fake of the DynamoDB API does what its script says, and sees what must never happen.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::dynamodb_api::{key, n, put, s, try_send, with};
use crate::dynamodb_fake::{Effect, FakeDynamoDb, Fault, Rate, TABLE, UNITS_OF_A_PARTITION};

type Answer = std::io::Result<(u16, Value)>;

fn batch(fake: &FakeDynamoDb, items: &[Value]) -> Answer {
    send_batch(&fake.endpoint(), items)
}

fn send_batch(endpoint: &str, items: &[Value]) -> Answer {
    let requests: Value = items.iter().cloned().map(put).collect();
    let body = json!({"RequestItems": {TABLE: requests}, "ReturnConsumedCapacity": "TOTAL"});
    try_send(endpoint, "BatchWriteItem", &body.to_string())
}

/// Sends a batch and does not wait for its answer.
fn start_batch(fake: &FakeDynamoDb, items: Vec<Value>) -> JoinHandle<Answer> {
    let endpoint = fake.endpoint();
    std::thread::spawn(move || send_batch(&endpoint, &items))
}

fn item(hash: &str, version: u64) -> Value {
    with(key(hash, "f"), "version", n(&version.to_string()))
}

fn items(count: usize, version: u64) -> Vec<Value> {
    (0..count).map(|i| item(&format!("k{i:02}"), version)).collect()
}

fn versions(fake: &FakeDynamoDb) -> Vec<u64> {
    let version = |item: &Value| item["version"]["N"].as_str().unwrap().parse().unwrap();
    fake.state().items().values().map(version).collect()
}

fn code(body: &Value) -> &str {
    body["__type"].as_str().unwrap().rsplit('#').next().unwrap()
}

#[test]
fn a_request_that_is_carried_out_late_takes_an_item_back_and_is_seen() {
    for (fault, breaks) in [(Fault::LateAfterBreak as fn(Duration) -> Fault, true), (Fault::LateInSilence, false)] {
        let mut fake = FakeDynamoDb::start(move |request| match request {
            0 => fault(Duration::from_millis(400)),
            _ => Fault::None,
        });
        let first = start_batch(&fake, items(2, 1));
        fake.wait_until("the first has come", |state| state.late_requests == 1);
        assert_eq!(batch(&fake, &items(2, 2)).unwrap().0, 200);
        assert_eq!(versions(&fake), [2, 2]);
        assert_eq!(fake.state().went_back(), []);
        fake.wait_until("the first has landed", |state| state.late_requests == 0);
        assert_eq!(first.is_finished(), breaks, "its connection breaks, or nothing is said");
        assert_eq!(versions(&fake), [1, 1]);
        let of = |effect: &Effect| (effect.before, effect.after, effect.late);
        assert_eq!(fake.state().went_back().iter().map(of).collect::<Vec<_>>(), [(Some(2), Some(1), true); 2]);
        // Whoever sent it was let go before the second came.
        assert_eq!(fake.state().violations, [""; 0]);
        assert_eq!(fake.state().record.effects.len(), 4);
        // Ends the silence.
        fake.stop();
        assert!(first.join().unwrap().is_err());
    }
}

#[test]
fn an_item_that_was_deleted_does_not_come_back_older_unseen() {
    let fake = FakeDynamoDb::start(|_| Fault::None);
    batch(&fake, &items(1, 5)).unwrap();
    let delete = json!({"TableName": TABLE, "Key": key("k00", "f")});
    assert_eq!(try_send(&fake.endpoint(), "DeleteItem", &delete.to_string()).unwrap().0, 200);
    batch(&fake, &items(1, 4)).unwrap();
    let back: Vec<_> = fake.state().went_back().iter().map(|effect| (effect.before, effect.after)).collect();
    assert_eq!(back, [(None, Some(4))]);
}

#[test]
fn two_requests_that_write_one_item_at_once_are_a_violation() {
    let fake = FakeDynamoDb::start(|_| Fault::Delayed(Duration::from_millis(300)));
    let first = start_batch(&fake, items(2, 1));
    fake.wait_until("the first has come", |state| state.most_at_once == 1);
    batch(&fake, &items(1, 2)).unwrap();
    first.join().unwrap().unwrap();
    assert_eq!(fake.state().violations.len(), 1);
    assert_eq!(fake.state().most_at_once, 2);
    // One after the other is right.
    batch(&fake, &items(2, 3)).unwrap();
    assert_eq!(fake.state().violations.len(), 1);
}

#[test]
fn connections_break_before_or_after_a_write_or_are_not_answered() {
    let fake = FakeDynamoDb::start(|request| match request {
        0 => Fault::RequestLost,
        1 => Fault::AnswerLost,
        2 => Fault::Silence(Duration::from_millis(200)),
        3 => Fault::AnswerDelayed(Duration::from_millis(200)),
        4 => Fault::Refused(500, "InternalServerError"),
        _ => Fault::None,
    });
    assert!(batch(&fake, &items(1, 1)).is_err());
    assert_eq!(fake.state().len(), 0);
    assert!(batch(&fake, &items(1, 1)).is_err());
    assert_eq!(versions(&fake), [1]);
    let started = Instant::now();
    assert!(batch(&fake, &items(1, 2)).is_err());
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(versions(&fake), [1]);
    let started = Instant::now();
    assert_eq!(batch(&fake, &items(1, 3)).unwrap().0, 200);
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(batch(&fake, &items(1, 4)).unwrap().0, 500);
    assert_eq!(versions(&fake), [3]);
    assert_eq!(fake.state().failed_requests, 4);
}

#[test]
fn a_black_hole_swallows_requests_until_it_ends() {
    let fake = FakeDynamoDb::start(|_| Fault::None);
    fake.state().script.black_hole = true;
    let swallowed = start_batch(&fake, items(1, 1));
    std::thread::sleep(Duration::from_millis(200));
    assert!(!swallowed.is_finished());
    fake.state().script.black_hole = false;
    assert!(swallowed.join().unwrap().is_err());
    assert_eq!(fake.state().len(), 0);
    assert_eq!(batch(&fake, &items(1, 1)).unwrap().0, 200);
}

/// How many items a batch's answer leaves unprocessed; all, where it is refused for being too fast.
fn left((status, body): &(u16, Value), sent: usize) -> usize {
    if *status == 400 {
        assert_eq!(code(body), "ProvisionedThroughputExceededException");
        return sent;
    }
    body["UnprocessedItems"][TABLE].as_array().map_or(0, Vec::len)
}

#[test]
fn a_table_takes_no_more_than_its_rate() {
    let fake = FakeDynamoDb::start(|_| Fault::None);
    fake.state().script.table_rate = Some(Rate { units_per_second: 100.0, burst: 10.0 });
    // Part of a request fits, then nothing.
    assert_eq!(left(&batch(&fake, &items(25, 1)).unwrap(), 25), 15);
    let refused = batch(&fake, &items(25, 1)).unwrap();
    assert!(refused.0 == 400 || left(&refused, 25) > 15, "{refused:?}");
    let started = Instant::now();
    let mut taken = 10;
    while started.elapsed() < Duration::from_secs(1) {
        taken += 25 - left(&batch(&fake, &items(25, 1)).unwrap(), 25);
    }
    assert!((90..=135).contains(&taken), "{taken}");
    let state = fake.state();
    assert!(state.record.units_by_second().iter().sum::<u64>().abs_diff(taken as u64) <= 25);
    assert!(state.throttled_items > 15);
}

#[test]
fn a_partition_key_takes_no_more_than_its_rate_and_holds_up_no_other() {
    let fake = FakeDynamoDb::start(|_| Fault::None);
    fake.state().script.key_rate = Some(Rate::per_second(UNITS_OF_A_PARTITION));
    // An item of 300 KB takes 300 units of 1,000.
    let large = |i: usize| with(key("hot", &format!("f{i}")), "v", s(&"x".repeat(300 * 1024 - 30)));
    let many: Vec<_> = (0..10).map(large).chain(items(5, 1)).collect();
    let answer = batch(&fake, &many).unwrap();
    assert!((6..=7).contains(&left(&answer, 15)), "{}", left(&answer, 15));
    let left_out = answer.1["UnprocessedItems"][TABLE].as_array().unwrap();
    assert!(left_out.iter().all(|request| request["PutRequest"]["Item"]["key"]["S"] == "hot"));
    assert_eq!(batch(&fake, &items(25, 2)).unwrap().0, 200);
}

#[test]
fn a_share_of_items_comes_back_unprocessed_at_random() {
    let fake = FakeDynamoDb::start(|_| Fault::None);
    fake.state().script.unprocessed_share = 0.3;
    let left: usize = (1..=40).map(|version| left(&batch(&fake, &items(25, version)).unwrap(), 25)).sum();
    assert!((200..400).contains(&left), "{left} of 1000");
}

#[test]
fn one_item_is_refused_and_its_request_with_it_and_a_key_expires() {
    let fake = FakeDynamoDb::start(|_| Fault::None);
    fake.state().script.refuses = Some(Box::new(|(hash, _)| hash == "k01"));
    let (status, body) = batch(&fake, &items(2, 1)).unwrap();
    assert_eq!((status, code(&body)), (400, "ValidationException"));
    assert_eq!(fake.state().len(), 0);
    assert_eq!(batch(&fake, &items(1, 1)).unwrap().0, 200);
    fake.state().script.expired_access_key = Some("local".to_owned());
    let (status, body) = batch(&fake, &items(1, 2)).unwrap();
    assert_eq!((status, code(&body)), (400, "ExpiredTokenException"));
    fake.state().script.expired_access_key = Some("another".to_owned());
    assert_eq!(batch(&fake, &items(1, 2)).unwrap().0, 200);
}

#[test]
fn a_plan_sees_the_request_and_the_log_is_bounded() {
    let fake = FakeDynamoDb::scripted(|request| {
        if request.keys.iter().any(|(hash, _)| hash == "k03") {
            Fault::Refused(400, "ThrottlingException")
        } else {
            Fault::None
        }
    });
    assert_eq!(batch(&fake, &items(4, 1)).unwrap().0, 400);
    fake.state().record.most_effects = 2;
    assert_eq!(batch(&fake, &items(3, 1)).unwrap().0, 200);
    let state = fake.state();
    assert_eq!((state.record.count(), state.record.effects.len()), (3, 2));
    assert_eq!(state.record.effects[1].key.0, "k02");
    assert_eq!(state.requests["BatchWriteItem"], 2);
}

#[test]
fn writes_outlive_whoever_sent_them_and_connections_that_are_refused() {
    let mut fake = FakeDynamoDb::start(|_| Fault::Delayed(Duration::from_millis(900)));
    let sent = start_batch(&fake, items(1, 1));
    fake.wait_until("it has come", |state| state.most_at_once == 1);
    fake.stop();
    assert!(sent.join().unwrap().is_err(), "its connection breaks");
    assert!(batch(&fake, &items(1, 1)).is_err(), "nobody listens");
    assert_eq!(fake.state().len(), 0);
    fake.start_again();
    fake.wait_until("it is written all the same", |state| state.len() == 1);
    assert_eq!(batch(&fake, &items(1, 2)).unwrap().0, 200);
}
