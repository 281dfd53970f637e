//! The reference job from one end to the other: from a real broker, which `KAFKA_BROKERS` names, to
//! DynamoDB Local, where `DYNAMODB_ENDPOINT` says (`scripts/test` starts both), through the program
//! alone; what is in the table is read through the AWS API and compared with an independent recount.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::commands::reference;
use crate::dynamodb_local::{block_on, client, count_items, new_name};
use crate::program::Workplace;
use crate::recount::{Group, Item, Measure, RowName, Ttl, assert_items, parse, recount};

/// The reference pipeline's.
const GROUPS: &[Group] = &[Group { name: "user", key: &["userId"], measures: &[Measure::Count], feature: "{event}" }];
const DECAYS: [i64; 3] = [5, 10, 15];
const TTL: Ttl = Ttl { units: 7 * 86_400, per_second: 1 };

/// The reference pipeline with a topic and a table of the test's own.
struct Job {
    place: Workplace,
    table: String,
}

impl Job {
    fn new(purpose: &str) -> Job {
        Job::with(purpose, "")
    }

    /// With these lines in its pipeline.
    fn with(purpose: &str, publish: &str) -> Job {
        let name = new_name(purpose);
        let place = reference();
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name}: scripts/test sets it"));
        let pipeline = place.read("p.toml").replace("UserCounters", &name);
        let pipeline = pipeline.replace("${KAFKA_BROKERS:-localhost:9092}", &variable("KAFKA_BROKERS"));
        let pipeline = pipeline.replace("${KAFKA_TOPIC:-events}", &name);
        let pipeline = pipeline.replace("${DYNAMODB_ENDPOINT:-}", &variable("DYNAMODB_ENDPOINT"));
        place.write("p.toml", pipeline.replacen("[dynamodb]", &format!("{publish}\n[dynamodb]"), 1));
        place.run(&["table", "p.toml"]).exits(0).prints(&[&format!("created table {name}")]);
        Job { place, table: name }
    }

    /// Sends a log to the topic, which is made with so many partitions where it is missing.
    fn produce(&self, log: &str, partitions: &str) {
        let produce = ["produce", "p.toml", log, "--key", "userId", "--create-partitions", partitions];
        self.place.run(&produce).exits(0).prints(&[&format!("({partitions} partition")]);
    }

    fn assert_table_is_the_recount(&self, log: &str, what: &str) -> usize {
        let rows = recount(&parse(log), GROUPS, &DECAYS);
        assert_items(&block_on(scan(&self.table)), &rows, Some(TTL), what);
        rows.len()
    }
}

/// Every item of the table.
async fn scan(table: &str) -> BTreeMap<RowName, Item> {
    let client = client().await;
    let mut items = BTreeMap::new();
    let mut start = None;
    loop {
        let page = client.scan().table_name(table).set_exclusive_start_key(start).send().await.unwrap();
        for attributes in page.items() {
            let (name, item) = item_of(attributes);
            assert!(items.insert(name.clone(), item).is_none(), "{name:?} stands twice");
        }
        start = page.last_evaluated_key;
        if start.is_none() {
            return items;
        }
    }
}

/// An item by its attributes alone, with all that it must hold and nothing else.
fn item_of(attributes: &HashMap<String, AttributeValue>) -> (RowName, Item) {
    let text = |name: &str| attributes[name].as_s().unwrap().clone();
    let number = |value: &AttributeValue| value.as_n().unwrap().parse::<i64>().unwrap();
    assert_eq!(attributes.len(), 5, "key, featureName, counts, version, expiresAt: {attributes:?}");
    let mut values = BTreeMap::new();
    let mut last_update = None;
    for (name, count) in attributes["counts"].as_m().unwrap() {
        let count = count.as_m().unwrap();
        assert_eq!((name, count.len()), (count["decayInterval"].as_n().unwrap(), 3), "{attributes:?}");
        values.insert(number(&count["decayInterval"]), count["value"].as_n().unwrap().parse().unwrap());
        let update = number(&count["lastUpdate"]);
        assert_eq!(*last_update.get_or_insert(update), update, "{attributes:?}");
    }
    let item = Item {
        last_update: last_update.unwrap(),
        values,
        version: number(&attributes["version"]) as u64,
        expires_at: Some(number(&attributes["expiresAt"])),
    };
    ((text("key"), text("featureName")), item)
}

#[test]
#[ignore = "needs Kafka and DynamoDB Local"]
fn every_item_of_200_000_events_equals_the_recount() {
    let job = Job::new("end-to-end");
    let generate = ["generate", "--events", "200000", "--users", "20000", "--late-share", "0.02"];
    job.place.run(&[generate.as_slice(), &["--output", "events.jsonl.zst"]].concat()).exits(0);
    let log =
        String::from_utf8(zstd::decode_all(std::fs::File::open(job.place.path("events.jsonl.zst")).unwrap()).unwrap())
            .unwrap();
    assert_eq!(log.lines().count(), 200_000);
    job.produce("events.jsonl.zst", "8");

    let until_end = ["run", "p.toml", "--until-end", "-w", "2", "--sink", "dynamodb", "--positions", "positions.json"];
    let run = job.place.run(&until_end).exits(0);
    assert_eq!((run.summary("events"), run.summary("dead letters")), (200_000, 0));
    let rows = job.assert_table_is_the_recount(&log, "end to end");
    assert!(rows > 15_000, "{rows} rows");
    assert_eq!(run.summary("rows"), rows as u64);

    // `dump` reads the same.
    let dump = job.place.run(&["dump", "dynamodb", "--pipeline", "p.toml"]).exits(0).stdout;
    assert_items(&crate::recount::items(&dump), &recount(&parse(&log), GROUPS, &DECAYS), Some(TTL), "dump");

    // And so does `verify`, which recounts the log, or the topic as far as it was read: what came later is left out.
    job.produce("events.jsonl.zst", "8");
    let of_log = ["--events", "events.jsonl.zst"];
    for of_events in [["--until", "positions.json"].as_slice(), &of_log] {
        for workers in ["1", "2"] {
            let verify = [&["verify", "p.toml", "--from", "dynamodb", "-w", workers, "--json"], of_events].concat();
            job.place.run(&verify).exits(0).prints(&["\"agrees\":true", &format!("\"equal\":{rows},")]);
        }
    }
    job.place.run(&["run", "p.toml", "--until-end", "--sink", "dynamodb", "--positions", "later.json"]).exits(0);
    let verify = ["verify", "p.toml", "--from", "dynamodb", "--json", "--until"];
    let newer = format!("\"newer\":{rows},");
    // Nothing of what the first run published is left to be compared.
    job.place.run(&[verify.as_slice(), &["positions.json"]].concat()).exits(1).prints(&[&newer]);
    job.place.run(&[verify.as_slice(), &["later.json"]].concat()).exits(0).prints(&[&format!("\"equal\":{rows},")]);
    job.place.run(&[&["verify", "p.toml", "--from", "dynamodb"], of_log.as_slice()].concat()).exits(1);
}

/// The same with one item per key: `dump` reads every feature out of it, however it is encoded.
#[test]
#[ignore = "needs Kafka and DynamoDB Local"]
fn every_feature_equals_the_recount_where_an_item_holds_a_whole_key() {
    for encoding in ["packed", "map"] {
        let publish = format!("[publish]\nlayout = \"key\"\nencoding = \"{encoding}\"");
        let job = Job::with(&format!("end-to-end-{encoding}"), &publish);
        let generate = ["generate", "--events", "50000", "--users", "5000", "--late-share", "0.02"];
        let log = job.place.run(&generate).exits(0).stdout;
        job.place.write("events.jsonl", &log);
        job.produce("events.jsonl", "8");
        let run = job.place.run(&["run", "p.toml", "--until-end", "-w", "2", "--sink", "dynamodb"]).exits(0);
        assert_eq!((run.summary("events"), run.summary("dead letters")), (50_000, 0));
        let rows = recount(&parse(&log), GROUPS, &DECAYS);
        let keys = rows.keys().map(|(key, _)| key).collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!(block_on(count_items(&job.table)), keys, "{encoding}: an item for each user");
        let dump = job.place.run(&["dump", "dynamodb", "--pipeline", "p.toml"]).exits(0).stdout;
        assert_items(&crate::recount::items(&dump), &rows, Some(TTL), encoding);
    }
}

#[test]
#[ignore = "needs Kafka and DynamoDB Local"]
fn get_item_answers_in_the_shape_that_the_readme_shows() {
    let job = Job::new("shape");
    let like = |time: i64| {
        format!("{{\"eventName\":\"like\",\"userId\":\"1234\",\"creatorId\":\"7777\",\"eventTs\":{time}}}\n")
    };
    job.place.write("events.jsonl", [like(1_707_605_594), like(1_707_605_599)].concat());
    job.produce("events.jsonl", "8");
    job.place.run(&["run", "p.toml", "--until-end", "--sink", "dynamodb"]).exits(0);

    let text = |text: &str| AttributeValue::S(text.to_owned());
    let item = block_on(async {
        let client = client().await;
        let get = client.get_item().table_name(&job.table).key("key", text("1234")).key("featureName", text("like"));
        get.send().await.unwrap().item.unwrap()
    });
    let number = |number: &str| AttributeValue::N(number.to_owned());
    let map = |entries: Vec<(&str, AttributeValue)>| -> HashMap<String, AttributeValue> {
        entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    let count = |interval: i64| {
        let value = item["counts"].as_m().unwrap()[&interval.to_string()].as_m().unwrap()["value"].clone();
        let expected = 1.0 + (-5.0 / interval as f64).exp();
        assert!((value.as_n().unwrap().parse::<f64>().unwrap() - expected).abs() < 1e-9, "{value:?}");
        let entries = vec![("decayInterval", number(&interval.to_string())), ("lastUpdate", number("1707605599"))];
        AttributeValue::M(map([entries, vec![("value", value)]].concat()))
    };
    let expected = map(vec![
        ("key", text("1234")),
        ("featureName", text("like")),
        ("counts", AttributeValue::M(map(vec![("5", count(5)), ("10", count(10)), ("15", count(15))]))),
        ("version", item["version"].clone()),
        ("expiresAt", number("1708210399")),
    ]);
    assert_eq!(item, expected);
    assert!(item["version"].is_n());
}

#[test]
#[ignore = "needs Kafka and DynamoDB Local"]
fn a_live_run_follows_the_topic_until_it_is_asked_to_stop() {
    let job = Job::new("live");
    let generate = |seed: &str, start: &str| {
        let generate = ["generate", "--events", "3000", "--users", "300", "--seed", seed, "--start", start];
        job.place.run(&generate).exits(0).stdout
    };
    let (before, after) = (generate("1", "1707605599"), generate("2", "1707605602"));
    job.place.write("before.jsonl", &before);
    job.place.write("after.jsonl", &after);
    job.produce("before.jsonl", "1");
    let run = job.place.start(&["run", "p.toml", "-w", "2", "--sink", "dynamodb", "--positions", "positions.json"]);
    let counted = recount(&parse(&before), GROUPS, &DECAYS).len();
    let deadline = Instant::now() + Duration::from_secs(60);
    while block_on(scan(&job.table)).len() < counted {
        assert!(Instant::now() < deadline, "the first events are not in the table");
        std::thread::sleep(Duration::from_millis(200));
    }
    job.produce("after.jsonl", "1");
    // Time to read them, but not to end the window that is open. (On a slow machine it reads a part.)
    std::thread::sleep(Duration::from_millis(2_500));
    run.signal("TERM");
    let read = run.end().exits(0).summary("events");
    assert!(read >= 3_000);
    // The topic has one partition: what was read is the beginning of what was sent.
    let sent = [before, after].concat();
    let log: String = sent.split_inclusive('\n').take(read as usize).collect();
    job.assert_table_is_the_recount(&log, "live");
    job.place.run(&["verify", "p.toml", "--until", "positions.json", "--from", "dynamodb"]).exits(0);
}
