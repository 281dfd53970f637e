//! Runs that read Kafka, from outside: what goes wrong with brokers and topics ends them, and they say so.

use std::net::TcpListener;
use std::process::Command;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::kafka::Topic;
use crate::program::{Running, Workplace};

const DENIED: [RDKafkaRespErr; 50] = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 50];

const WAIT: std::time::Duration = std::time::Duration::from_secs(30);

fn place(brokers: &str, topic: &str, options: &str) -> Workplace {
    let place = Workplace::new();
    let pipeline = format!(
        "name = \"p\"\nevent = {{ name = \"n\", time = \"t\", max_bytes = 2000 }}\nwindow = {{ length = \"1s\" }}\n\
         kafka = {{ brokers = \"{brokers}\", topic = \"{topic}\", options = {{ {options} }} }}\n\
         counters = [{{ name = \"u\", key = [\"u\"], events = \"*\", decays = [\"5s\"] }}]\n"
    );
    place.write("p.toml", pipeline);
    place
}

fn brokers() -> String {
    std::env::var("KAFKA_BROKERS").expect("KAFKA_BROKERS names a broker; scripts/test sets it")
}

/// Sends so many events, of as many users, to a partition.
fn send(producer: &BaseProducer, topic: &str, partition: i32, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let payload = format!("{{\"n\":\"like\",\"t\":{},\"u\":\"{partition}-{number}\"}}", 1_000_000_000 + number);
        let record = BaseRecord::<(), str>::to(topic).partition(partition).payload(&payload);
        producer.send(record).expect("room in the queue");
    }
    producer.flush(WAIT).expect("delivered");
}

/// Starts a run, and waits until it has published so many items.
fn start(place: &Workplace, workers: &str, items: usize) -> Running {
    let mut run = place.start(&["run", "p.toml", "-w", workers, "--sink", "jsonl:-"]);
    for _ in 0..items {
        run.line();
    }
    run
}

#[test]
#[ignore = "needs Kafka"]
fn a_partition_that_cannot_be_read_on_ends_the_run_with_one_worker_and_with_two() {
    for workers in ["1", "2"] {
        let topic = Topic::new("gone-under-the-run", 2);
        let producer = topic.producer(&[]);
        send(&producer, &topic.name, 0, 0..5);
        send(&producer, &topic.name, 1, 0..5);
        let place = place(&brokers(), &topic.name, "");
        let run = start(&place, workers, 10);
        run.signal("STOP");
        // What the broker has promised to send within 100 ms has left it.
        std::thread::sleep(std::time::Duration::from_millis(500));
        send(&producer, &topic.name, 1, 5..15);
        topic.delete_records_before(1, 15);
        run.signal("CONT");
        run.end().exits(1).says(&["partition 1: offset 5 is asked for, 15 to 15 are there"]);
    }
}

#[test]
#[ignore = "needs Kafka"]
fn messages_that_go_while_the_sink_is_waited_for_are_not_missing() {
    let topic = Topic::new("gone-before-the-run", 1);
    send(&topic.producer(&[]), &topic.name, 0, 0..10);
    let place = place(&brokers(), &topic.name, "");
    assert!(Command::new("mkfifo").arg(place.path("items")).status().expect("a command").success());
    let run = place.start(&["run", "p.toml", "--until-end", "--sink", "jsonl:items"]);
    // Nobody reads the pipe yet. By now the run has found the topic and where it begins.
    run.says("waiting for the sink");
    topic.delete_records_before(0, 6);
    let items = std::fs::read_to_string(place.path("items")).expect("items");
    assert_eq!(items.lines().count(), 4, "{items}");
    run.end().exits(0);
}

#[test]
#[ignore = "needs Kafka"]
fn a_topic_that_is_deleted_ends_the_run_with_one_worker_and_with_two() {
    let topic = Topic::new("deleted-under-the-run", 2);
    let producer = topic.producer(&[]);
    send(&producer, &topic.name, 0, 0..5);
    let runs = ["1", "2"].map(|workers| {
        let place = place(&brokers(), &topic.name, "");
        let run = start(&place, workers, 5);
        (place, run)
    });
    topic.delete();
    for (_place, run) in runs {
        run.end().exits(1).says(&[&topic.name, "no such topic any more"]);
    }
}

#[test]
#[ignore = "needs Kafka"]
fn a_partition_that_is_added_is_read_from_where_it_begins() {
    let topic = Topic::new("added-under-the-run", 1);
    let producer = topic.producer(&[]);
    send(&producer, &topic.name, 0, 0..5);
    let place = place(&brokers(), &topic.name, "");
    let mut run = start(&place, "2", 5);
    topic.add_partitions(2);
    send(&topic.producer(&[]), &topic.name, 1, 0..20);
    // As retention does, before the run has heard of the partition, or before it has asked for a message of it.
    topic.delete_records_before(1, 15);
    let mut users: Vec<_> = (0..5).map(|_| run.line()).collect();
    users.sort();
    for (user, number) in users.iter().zip(15..) {
        assert!(user.contains(&format!("\"key\":\"1-{number}\"")), "{users:?}");
    }
    run.signal("TERM");
    assert_eq!(run.end().exits(0).summary("events"), 10);
}

#[test]
fn of_an_event_that_is_too_long_its_first_kibibyte_is_kept() {
    let (cluster, producer) = mock_cluster();
    let place = place(&cluster.bootstrap_servers(), "events", "");
    let event = format!("{{\"n\":\"like\",\"t\":1,\"u\":\"{}\"}}", "x".repeat(5_000));
    producer.send(BaseRecord::<(), str>::to("events").payload(&event)).expect("room in the queue");
    send(&producer, "events", 0, 0..1);
    place.run(&["run", "p.toml", "--until-end", "--sink", "none"]).exits(0);
    place.write("events.jsonl", format!("{event}\n{{\"n\":\"like\",\"t\":1,\"u\":\"1\"}}\n"));
    place.run(&["run", "p.toml", "--events", "events.jsonl", "--sink", "none"]).exits(0);
    let letters = place.read("dead_letters.jsonl");
    let letters: Vec<serde_json::Value> = letters.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&letters[0]["topic"], &letters[1]["file"]), (&"events".into(), &"events.jsonl".into()));
    for letter in letters {
        assert_eq!((&letter["reason"], &letter["length"]), (&"too_long".into(), &event.len().into()));
        assert_eq!(letter["text"], event[..1024]);
    }
}

/// One broker that librdkafka plays, with the topic `events` of one partition.
fn mock_cluster() -> (MockCluster<'static, DefaultProducerContext>, BaseProducer) {
    let cluster = MockCluster::new(1).expect("a cluster");
    cluster.create_topic("events", 1, 1).expect("a topic");
    let brokers = cluster.bootstrap_servers();
    let producer = rdkafka::ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a producer");
    (cluster, producer)
}

#[test]
fn a_topic_that_is_denied_ends_the_run_with_one_worker_and_with_two() {
    for workers in ["1", "2"] {
        // The second worker has nothing to read: its reader meets no error of its own.
        let (cluster, producer) = mock_cluster();
        send(&producer, "events", 0, 0..5);
        let place = place(&cluster.bootstrap_servers(), "events", "");
        let run = start(&place, workers, 5);
        cluster.request_errors(RDKafkaApiKey::Fetch, &DENIED);
        run.end().exits(1).says(&["does not allow the use of topic"]);
    }
}

#[test]
fn a_failure_of_a_reader_is_told_while_the_sink_stands_still() {
    let (cluster, producer) = mock_cluster();
    // More items than anybody takes.
    send(&producer, "events", 0, 0..20_000);
    let place = place(&cluster.bootstrap_servers(), "events", "");
    let run = start(&place, "2", 1);
    cluster.request_errors(RDKafkaApiKey::Fetch, &DENIED);
    run.says("stopping, what was read is being published: Kafka at");
    run.end().exits(1).says(&["error: Kafka at"]);
}

#[test]
#[ignore = "needs Kafka"]
fn an_open_transaction_is_waited_for_at_the_end() {
    let topic = Topic::new("open", 1);
    send(&topic.producer(&[]), &topic.name, 0, 0..10);
    let producer = topic.producer(&[("transactional.id", &topic.name)]);
    producer.init_transactions(WAIT).expect("transactions");
    producer.begin_transaction().expect("a transaction");
    send(&producer, &topic.name, 0, 10..30);
    let place = place(&brokers(), &topic.name, "");
    let mut run = place.start(&["run", "p.toml", "--until-end", "--sink", "jsonl:-"]);
    for _ in 0..10 {
        run.line();
    }
    producer.commit_transaction(WAIT).expect("committed");
    let ended = run.end().exits(0);
    assert_eq!(ended.summary("events"), 30);
}

const PRODUCE: [&str; 5] = ["produce", "p.toml", "events.jsonl", "--create-partitions", "1"];

/// Starts or stops a broker of the test's own, which begins empty.
fn service(command: &str, port: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/services");
    let done = Command::new(script).args([command, "kafka"]).env("KAFKA_PORT", port).output().expect("a shell");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Ends the broker also when the test fails.
struct OwnBroker(String);

impl Drop for OwnBroker {
    fn drop(&mut self) {
        service("stop", &self.0);
    }
}

#[test]
#[ignore = "needs Kafka"]
fn a_broker_that_comes_back_empty_ends_the_run() {
    // Beside the ports that scripts/test may choose, and below those that the system gives away.
    let port = "27092".to_owned();
    service("start", &port);
    let broker = OwnBroker(port);
    let brokers = format!("127.0.0.1:{}", broker.0);
    let events: String = (0..9).map(|number| format!("{{\"n\":\"like\",\"t\":1,\"u\":\"{number}\"}}\n")).collect();
    let runs = ["made-again", "missing"].map(|topic| {
        let place = place(&brokers, topic, "\"reconnect.backoff.max.ms\" = \"500\"");
        place.write("events.jsonl", &events);
        place.run(&PRODUCE).exits(0);
        let run = start(&place, "2", 9);
        (place, run)
    });
    service("stop", &broker.0);
    service("start", &broker.0);
    let [(first, made_again), (_second, missing)] = runs;
    first.run(&PRODUCE).exits(0);
    // As many messages as before: only the topic's id is another one.
    made_again.end().exits(1).says(&["or a broker lost its messages", "counted and published"]);
    missing.end().exits(1).says(&["the cluster's id was", "counted and published"]);
}

#[test]
fn without_a_broker_a_run_says_what_it_waits_for_and_the_first_signal_ends_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let brokers = listener.local_addr().expect("an address").to_string();
    let place = place(&brokers, "events", "");
    let run = place.start(&["run", "p.toml", "--sink", "none"]);
    // It has come to its start: from here on signals are heard. It gets no answer.
    let connection = listener.accept().expect("a connection");
    drop((listener, connection));
    run.signal("INT");
    let reading = format!("reading topic \"events\" of Kafka at {brokers} (event logs are named with --events)");
    run.end().exits(75).says(&[&reading]);
}

#[test]
fn options_that_a_run_refuses_check_refuses_too() {
    let mut cases = vec![
        ("\"fetch.wait.max\" = \"5\"", "fetch.wait.max"),
        ("\"auto.offset.reset\" = \"latest\"", "`start` in [kafka]"),
        ("\"bootstrap.servers\" = \"b:1\"", "`brokers` in [kafka]"),
        ("\"security.protocol\" = \"soon\"", "security.protocol"),
        ("\"debug\" = \"nothing\"", "debug"),
        ("\"fetch.max.bytes\" = \"1024\", \"message.max.bytes\" = \"2000000\"", "message.max.bytes"),
    ];
    if !cfg!(feature = "tls") {
        cases.push(("\"security.protocol\" = \"ssl\"", "--features tls"));
        cases.push((
            "\"sasl.mechanism\" = \"SCRAM-SHA-256\", \"security.protocol\" = \"sasl_plaintext\"",
            "--features tls",
        ));
    }
    for (options, text) in cases {
        let place = place("127.0.0.1:1", "events", options);
        place.run(&["check", "p.toml"]).exits(2).says(&[text]);
        place.run(&["run", "p.toml", "--sink", "none"]).exits(2).says(&[text]);
    }
}
