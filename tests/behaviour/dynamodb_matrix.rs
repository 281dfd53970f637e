//! What may go wrong between a run and its DynamoDB table, row by row: after each, the table holds what a recount of the
//! events says, and no item ever went back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::dynamodb_fake::{FakeDynamoDb, Fault, Rate, Trouble};
use crate::dynamodb_items::{Row, WriteAll as _, batch, open, pipeline as items_pipeline};
use crate::program::{Ended, Running, Workplace};

/// So long an interval that every event is worth one.
fn pipeline(fake: &FakeDynamoDb, dynamodb: &str) -> String {
    format!(
        r#"
        name = "matrix"
        sink = "dynamodb"
        [event]
        name = "n"
        time = "t"
        [window]
        length = "100ms"
        [publish]
        every = "100ms"
        [dynamodb]
        table = "Fake"
        endpoint = "{}"
        {dynamodb}
        [[counters]]
        name = "user"
        key = ["u"]
        events = "*"
        decays = ["1000000000000s"]
        feature = "{{event}}"
        ttl = "none"
        "#,
        fake.endpoint()
    )
}

/// A run that reads from a pipe, and the recount of what went into it.
struct Run {
    place: Workplace,
    running: Running,
    counted: BTreeMap<(String, String), u64>,
}

impl Run {
    fn start(fake: &FakeDynamoDb, workers: usize, dynamodb: &str) -> Run {
        let place = Workplace::new();
        place.write("p.toml", pipeline(fake, dynamodb));
        let running = place.start(&["run", "p.toml", "--events", "-", "-w", &workers.to_string()]);
        Run { place, running, counted: BTreeMap::new() }
    }

    fn send<'e>(&mut self, events: impl IntoIterator<Item = (u64, &'e str)>) {
        let mut lines = String::new();
        for (user, name) in events {
            lines += &format!("{{\"n\":\"{name}\",\"u\":{user},\"t\":1707605599}}\n");
            *self.counted.entry((user.to_string(), name.to_owned())).or_default() += 1;
        }
        self.running.write(&lines);
    }

    /// Events of these users again and again, for as long as that is so.
    fn send_while(&mut self, users: std::ops::Range<u64>, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(100);
        while is_so() {
            assert!(Instant::now() < deadline, "it goes on for ever");
            self.send_all(users.clone());
        }
    }

    fn send_for(&mut self, users: std::ops::Range<u64>, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.send_all(users.clone());
        }
    }

    fn send_all(&mut self, users: std::ops::Range<u64>) {
        self.send(users.map(|user| (user, "like")));
        std::thread::sleep(Duration::from_millis(20));
    }

    /// The end of the input: everything is in the table, and nothing ever went back.
    fn ends_well(mut self, fake: &FakeDynamoDb) -> Ended {
        self.running.close_stdin();
        let ended = self.running.end().exits(0);
        let state = fake.state();
        let table: BTreeMap<(String, String), u64> =
            state.items().into_iter().map(|(key, item)| (key, count(&item))).collect();
        assert_eq!(table, self.counted);
        assert_eq!(state.went_back(), []);
        assert_eq!(state.violations, [""; 0]);
        ended
    }
}

/// What the table says of an item; 0 where there is none.
fn value(fake: &FakeDynamoDb, user: u64, name: &str) -> u64 {
    fake.state().item(&(user.to_string(), name.to_owned())).map_or(0, |item| count(&item))
}

fn count(item: &Value) -> u64 {
    let counts = item["counts"]["M"].as_object().expect("counts");
    let count = counts.values().next().expect("one decay");
    count["M"]["value"]["N"].as_str().expect("a number").parse::<f64>().expect("a number").round() as u64
}

const SOON: &str = "request_timeout = \"500ms\"\nsettle = \"500ms\"";
const USERS: std::ops::Range<u64> = 0..40;

fn each_way(test: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        let runs = [1, 2].map(|workers| {
            scope.spawn({
                let test = &test;
                move || test(workers)
            })
        });
        runs.into_iter().for_each(|run| run.join().unwrap());
    });
}

/// D1: the service refuses connections, swallows what it is sent, answers 5xx; for ten minutes each in the long test.
fn d1(workers: usize, away: Duration) {
    let mut fake = FakeDynamoDb::start(|_| Fault::None);
    let mut run = Run::start(&fake, workers, SOON);
    let newer = |fake: &FakeDynamoDb, run: &mut Run| {
        let before = value(fake, 7, "like");
        run.send_while(USERS, || value(fake, 7, "like") == before);
    };
    newer(&fake, &mut run);
    fake.stop();
    // Reading goes on meanwhile, or this would block.
    run.send_for(USERS, away);
    fake.start_again();
    newer(&fake, &mut run);
    fake.state().script.black_hole = true;
    run.send_for(USERS, away);
    fake.state().script.black_hole = false;
    newer(&fake, &mut run);
    fake.state().trouble = Some(Trouble { operation: "*", code: "InternalServerError", message: "as planned" });
    run.send_for(USERS, away);
    fake.state().trouble = None;
    run.ends_well(&fake).says(&["trying again"]);
}

#[test]
fn d1_a_service_that_is_away_holds_nobody_up_and_gets_the_newest_when_it_is_back() {
    each_way(|workers| d1(workers, Duration::from_secs(3)));
}

#[test]
fn d1_for_ten_minutes_takes_minutes() {
    d1(2, Duration::from_secs(600));
}

/// D2: throttling of all kinds, and one partition that takes hardly anything.
#[test]
fn d2_what_is_throttled_arrives_and_a_hot_partition_holds_nobody_up() {
    each_way(|workers| {
        let fake = FakeDynamoDb::start(|request| match request % 4 {
            0 => Fault::Unprocessed(1 + request as usize / 4 % 25),
            1 => Fault::Refused(400, "ProvisionedThroughputExceededException"),
            _ => Fault::None,
        });
        fake.state().script.key_rate = Some(Rate { units_per_second: 2.0, burst: 1.0 });
        let mut run = Run::start(&fake, workers, SOON);
        // So many features of one key, one after the other, take it half a minute.
        let names: Vec<String> = (0..60).map(|name| format!("n{name}")).collect();
        run.send(names.iter().map(|name| (1_000, name.as_str())));
        run.send((0..900).map(|user| (user, "like")));
        fake.wait_until("all others are there", |state| {
            (0..900).all(|user: u64| state.item(&(user.to_string(), "like".to_owned())).is_some())
        });
        let hot = names.iter().filter(|name| value(&fake, 1_000, name) > 0).count();
        assert!(hot < names.len(), "the hot one is not done before the others");
        run.ends_well(&fake);
    });
}

/// D3: the answer is lost after the write, or the request comes twice.
#[test]
fn d3_an_answer_that_is_lost_and_a_request_that_comes_twice_change_nothing() {
    each_way(|workers| {
        let fake = FakeDynamoDb::start(|request| match request % 4 {
            0 => Fault::AnswerLost,
            1 => Fault::Duplicated,
            2 => Fault::RequestLost,
            _ => Fault::None,
        });
        let mut run = Run::start(&fake, workers, SOON);
        run.send_for(USERS, Duration::from_secs(3));
        run.ends_well(&fake);
    });
}

/// A table that carries out now and then what was given up, after something newer could have been written.
fn late(request: u64) -> Fault {
    match request % 6 {
        1 => Fault::LateAfterBreak(Duration::from_millis(400)),
        4 => Fault::LateInSilence(Duration::from_millis(900)),
        _ => Fault::None,
    }
}

/// D4: an old request is carried out later than a newer one of the same item could be sent.
#[test]
fn d4_a_request_that_is_carried_out_late_takes_nothing_back() {
    each_way(|workers| {
        // What is late is so by less than a second; the rest is for a machine that is busy.
        for way in ["request_timeout = \"500ms\"\nsettle = \"4s\"", "request_timeout = \"500ms\"\nfence = true"] {
            let fake = FakeDynamoDb::start(late);
            let mut run = Run::start(&fake, workers, way);
            run.send_for(0..10, Duration::from_secs(4));
            run.ends_well(&fake);
            assert!(fake.state().record.effects.iter().any(|effect| effect.late) || way.contains("fence"));
        }
    });
}

/// The fault is real: whoever does not wait sees items go back.
#[test]
fn d4_without_waiting_items_would_go_back() {
    let fake = FakeDynamoDb::start(|request| match request {
        1 => Fault::LateAfterBreak(Duration::from_secs(1)),
        _ => Fault::None,
    });
    let mut run = Run::start(&fake, 1, "request_timeout = \"500ms\"\nsettle = \"0s\"");
    run.send_while(0..10, || fake.state().went_back().is_empty());
}

/// D5: one item that the service will never take.
#[test]
fn d5_an_item_that_is_not_allowed_goes_to_the_dead_letters_and_all_else_is_written() {
    each_way(|workers| {
        for way in ["", "fence = true"] {
            let fake = FakeDynamoDb::start(|_| Fault::None);
            fake.state().script.refuses = Some(Box::new(|(key, _)| key == "7"));
            let mut run = Run::start(&fake, workers, way);
            run.send((0..90).map(|user| (user, "like")));
            fake.wait_until("the others are there", |state| state.len() == 89);
            // It is tried again when it changes, and taken when that is allowed.
            let letters = run.place.path("dead_letters.jsonl");
            fake.wait_until("a dead letter", |_| {
                std::fs::read_to_string(&letters).is_ok_and(|text| text.ends_with('\n'))
            });
            let text = run.place.read("dead_letters.jsonl");
            let letter: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
            assert_eq!(
                (&letter["reason"], &letter["key"], &letter["featureName"]),
                (&"refused_item".into(), &"7".into(), &"like".into())
            );
            assert!(letter["detail"].as_str().unwrap().contains("ValidationException"), "{letter}");
            assert_eq!(letter["item"]["key"], "7");
            fake.state().script.refuses = None;
            run.send([(7, "like")]);
            let ended = run.ends_well(&fake);
            assert_eq!(ended.summary("refused items"), 1);
            assert!(ended.stderr.contains("not all that was counted is there"), "{}", ended.stderr);
        }
    });
}

#[test]
fn d5_a_table_that_refuses_everything_ends_the_run() {
    let fake = FakeDynamoDb::start(|_| Fault::None);
    fake.state().script.refuses = Some(Box::new(|_| true));
    let mut run = Run::start(&fake, 1, "");
    run.send((0..500).map(|user| (user, "like")));
    run.running.close_stdin();
    run.running.end().exits(1).says(&["refuses every item", "counter-machine table PIPELINE", "table Fake"]);
}

/// D6: the table goes, or its rights, while the run writes; credentials are renewed.
#[test]
fn d6_what_cannot_pass_ends_the_run_and_credentials_are_waited_for() {
    each_way(|workers| {
        let cases = [
            ("ResourceNotFoundException", "no such table", "counter-machine table PIPELINE"),
            ("AccessDeniedException", "not allowed", "what they allow"),
            ("ValidationException", "The provided key element does not match the schema", "has another key"),
        ];
        for (code, message, hint) in cases {
            let fake = FakeDynamoDb::start(|_| Fault::None);
            let mut run = Run::start(&fake, workers, SOON);
            run.send_while(USERS, || value(&fake, 7, "like") == 0);
            fake.state().trouble = Some(Trouble { operation: "BatchWriteItem", code, message });
            run.send(USERS.map(|user| (user, "like")));
            run.running.end().exits(1).says(&[code, hint, "table Fake"]);
        }
        let fake = FakeDynamoDb::start(|_| Fault::None);
        let mut run = Run::start(&fake, workers, SOON);
        run.send_while(USERS, || value(&fake, 7, "like") == 0);
        let code = "ExpiredTokenException";
        fake.state().trouble = Some(Trouble { operation: "BatchWriteItem", code, message: "as planned" });
        run.send(USERS.map(|user| (user, "like")));
        run.running.says("have expired");
        fake.state().trouble = None;
        run.ends_well(&fake);
    });
}

/// B1: the table takes a tenth of what is needed.
fn b1(workers: usize, time: Duration) {
    const MANY: std::ops::Range<u64> = 0..2_000;
    let fake = FakeDynamoDb::start(|_| Fault::None);
    fake.state().script.table_rate = Some(Rate::per_second(1_000.0));
    fake.state().record.most_effects = 1_000_000;
    let mut run = Run::start(&fake, workers, SOON);
    run.send_for(MANY, time / 4);
    let memory = run.running.resident_bytes();
    run.send_for(MANY, time * 3 / 4);
    let now = run.running.resident_bytes();
    assert!(now <= memory + memory / 20 + (4 << 20), "it grew from {memory} to {now} bytes");
    // Nobody starves: a round takes all that is marked when it begins, so each item is written as often as the others.
    let mut writes: BTreeMap<String, u64> = BTreeMap::new();
    for effect in &fake.state().record.effects {
        *writes.entry(effect.key.0.clone()).or_default() += 1;
    }
    assert_eq!(writes.len(), MANY.count());
    let (least, most) = (writes.values().min().copied().unwrap_or(0), writes.values().max().copied().unwrap_or(0));
    // One that was throttled again and again is left to the next round.
    assert!(most <= 2 * least + 2, "{least} to {most} writes of an item");
    let mut state = fake.state();
    let (taken, throttled) = (state.record.count(), state.throttled_items);
    assert!(throttled < 2 * taken, "{throttled} were throttled, and {taken} taken");
    state.script.table_rate = None;
    drop(state);
    run.ends_well(&fake);
}

#[test]
fn b1_a_table_that_is_too_slow_costs_no_memory_and_starves_nobody() {
    each_way(|workers| b1(workers, Duration::from_secs(12)));
}

#[test]
fn b1_for_five_minutes_takes_minutes() {
    b1(2, Duration::from_secs(300));
}

/// B2: nine of ten events are of one key: it is written once in a round.
#[test]
fn b2_a_hot_key_is_written_once_in_a_round() {
    each_way(|workers| {
        let fake = FakeDynamoDb::start(|_| Fault::None);
        let mut run = Run::start(&fake, workers, SOON);
        let started = Instant::now();
        run.send_while(0..1, || fake.state().len() == 0);
        while started.elapsed() < Duration::from_secs(3) {
            run.send((0..100).map(|event| (if event % 10 == 0 { event } else { 5_000 }, "like")));
        }
        let rounds = started.elapsed().as_millis() as usize / 75 + 1;
        let state = fake.state();
        let hot: Vec<_> = state.record.effects.iter().filter(|effect| effect.key.0 == "5000").collect();
        assert!((1..=rounds).contains(&hot.len()), "{} writes in {rounds} rounds", hot.len());
        assert!(hot.iter().all(|effect| effect.before < effect.after), "each is newer than the one before");
        drop(hot);
        drop(state);
        run.ends_well(&fake);
    });
}

#[test]
fn another_run_that_started_later_ends_this_one_where_writes_are_conditional() {
    let fake = FakeDynamoDb::start(|_| Fault::None);
    let mut run = Run::start(&fake, 1, "fence = true");
    run.send_while(USERS, || value(&fake, 7, "like") == 0);
    let row = Row { key: "7".to_owned(), feature: "like".to_owned(), value: 1.0, version: u64::MAX >> 2 };
    let mut later = open(&items_pipeline(&fake.endpoint(), "Fake"), &Arc::default()).unwrap();
    later.write_all(&[batch(&[row])]).unwrap();
    run.send(USERS.map(|user| (user, "like")));
    run.running.end().exits(1).says(&["another run, which started later", "key `7`", "this one stops"]);
}

#[test]
fn a_run_over_a_filled_table_waits_for_what_another_may_have_sent() {
    let fake = FakeDynamoDb::start(|_| Fault::None);
    for (way, waits) in
        [("settle = \"2s\"", false), ("settle = \"2s\"", true), ("settle = \"2s\"\nfence = true", false)]
    {
        let mut run = Run::start(&fake, 1, way);
        run.send(USERS.map(|user| (user, "like")));
        run.running.close_stdin();
        let started = Instant::now();
        run.running.end().exits(0);
        assert!(!waits || started.elapsed() >= Duration::from_millis(1_500), "{way}");
    }
}
