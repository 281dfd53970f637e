//! How fast items are written to DynamoDB, beside a bare loop of the SDK's BatchWriteItem calls; against the fake of its API, in
//! one process, by turns.
//!
//!     cargo bench --bench dynamodb [-- ITEMS ROUNDS]

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on says so by a panic")]

#[allow(unused_imports, reason = "what a benchmark does not use, tests do")]
#[path = "../../tests/behaviour/dynamodb_fake/mod.rs"]
mod dynamodb_fake;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use counter_machine::counter::EventTime;
use counter_machine::epoch::Version;
use counter_machine::pipeline::{FeatureKey, GroupId, MeasureId, Pipeline};
use counter_machine::sink::{self, Desk, ItemBatch, Outcome, Part, SinkOptions, SinkTarget};
use counter_machine::telemetry::Metrics;
use dynamodb_fake::{FakeDynamoDb, Rate, TABLE};
use tokio::task::JoinSet;

const LAST_UPDATE: i64 = 1_707_605_599;
const ITEMS_PER_REQUEST: u64 = 25;
const REQUESTS: usize = 16;
const ITEMS_PER_BATCH: u64 = 400;

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let (items, rounds) = (arguments.next().unwrap_or(200_000), arguments.next().unwrap_or(5));
    println!("{items} items of three decays, items a second:");
    println!("{:>6} {:>12} {:>12} {:>14} {:>7}", "round", "bare loop", "writer", "with fence", "ratio");
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        let bare = per_second(items, || bare_loop(&FakeDynamoDb::fast(), items));
        let writer = per_second(items, || write(&FakeDynamoDb::fast(), items, false));
        let fenced = per_second(items / 10, || write(&FakeDynamoDb::fast(), items / 10, true));
        println!("{round:>6} {bare:>12.0} {writer:>12.0} {fenced:>14.0} {:>7.2}", writer / bare);
        ratios.push(writer / bare);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median: {:.2} of the bare loop", ratios[ratios.len() / 2]);
    println!("\n5 ms latency, 1 % of the items throttled at random, a table of so many write units a second:");
    for rate in [1_000.0, 5_000.0, 10_000.0] {
        let fake = FakeDynamoDb::fast();
        {
            let mut state = fake.state();
            state.script.latency = Duration::from_millis(5);
            state.script.unprocessed_share = 0.01;
            state.script.table_rate = Some(Rate { units_per_second: rate, burst: rate / 10.0 });
        }
        let count = (rate * 10.0) as u64;
        let reached = per_second(count, || write(&fake, count, false));
        println!("{rate:>8.0}: {reached:.0}, {:.0} %", 100.0 * reached / rate);
    }
}

fn per_second(items: u64, work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    items as f64 / began.elapsed().as_secs_f64()
}

fn bare_loop(fake: &FakeDynamoDb, items: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "bench"))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(fake.endpoint())
            .build();
        let client = Client::from_conf(config);
        let mut requests = JoinSet::new();
        let mut next = 0;
        while next < items || !requests.is_empty() {
            while next < items && requests.len() < REQUESTS {
                let puts = (next..(next + ITEMS_PER_REQUEST).min(items)).map(|item| {
                    let put = PutRequest::builder().set_item(Some(attributes(item))).build().expect("an item");
                    WriteRequest::builder().put_request(put).build()
                });
                let request = client.batch_write_item().request_items(TABLE, puts.collect());
                requests.spawn(request.send());
                next += ITEMS_PER_REQUEST;
            }
            if let Some(ended) = requests.join_next().await {
                ended.expect("no panic").expect("an answer");
            }
        }
    });
}

fn attributes(item: u64) -> HashMap<String, AttributeValue> {
    let number = |number: String| AttributeValue::N(number);
    let count = |interval: i64| {
        let count = HashMap::from([
            ("decayInterval".to_owned(), number(interval.to_string())),
            ("lastUpdate".to_owned(), number(LAST_UPDATE.to_string())),
            ("value".to_owned(), number(format!("{:?}", value(item) * interval as f64))),
        ]);
        (interval.to_string(), AttributeValue::M(count))
    };
    HashMap::from([
        ("key".to_owned(), AttributeValue::S(format!("user {item}"))),
        ("featureName".to_owned(), AttributeValue::S("like".to_owned())),
        ("version".to_owned(), number("1".to_owned())),
        ("expiresAt".to_owned(), number((LAST_UPDATE + 604_800).to_string())),
        ("counts".to_owned(), AttributeValue::M([5, 10, 15].map(count).into_iter().collect())),
    ])
}

fn value(item: u64) -> f64 {
    1.0 + item as f64 / 7.0
}

/// Hands out batches while the sink has room, and counts the answers.
struct Supply {
    next: u64,
    items: u64,
    answered: u64,
}

impl Supply {
    fn batch(&mut self) -> ItemBatch {
        let mut batch = ItemBatch::default();
        let feature =
            batch.push_feature(FeatureKey { group: GroupId(0), measure: MeasureId(0), name: "like".to_owned() }, None);
        let end = (self.next + ITEMS_PER_BATCH).min(self.items);
        for item in self.next..end {
            batch.begin_key(format!("user {item}").as_bytes());
            let values = [5.0, 10.0, 15.0].map(|interval| interval * value(item));
            batch.push(feature, EventTime(LAST_UPDATE), &values, Version(1));
        }
        self.next = end;
        batch
    }
}

impl Desk for Supply {
    fn answer(&mut self, part: Part) {
        assert_ne!(part.outcome, Outcome::Refused);
        self.answered += part.items.len() as u64;
    }

    fn more(&mut self) -> Option<ItemBatch> {
        (self.next < self.items).then(|| self.batch())
    }
}

fn write(fake: &FakeDynamoDb, items: u64, fence: bool) {
    let text = format!(
        "name = \"bench\"\nsink = \"dynamodb\"\n[event]\nname = \"n\"\ntime = \"t\"\n[dynamodb]\ntable = \"{TABLE}\"\nendpoint = \
         \"{}\"\nfence = {fence}\n[[counters]]\nname = \"user\"\nkey = [\"u\"]\nevents = \"*\"\ndecays = [\"5s\", \"10s\", \
         \"15s\"]\nfeature = \"{{event}}\"\n",
        fake.endpoint()
    );
    let pipeline = Arc::new(Pipeline::parse(&text, "bench.toml", &|_| None).expect("a valid pipeline"));
    let mut sink = sink::open(&SinkTarget::DynamoDb, &pipeline, &SinkOptions::default(), &Arc::new(Metrics::default()))
        .expect("a table");
    let mut supply = Supply { next: 0, items, answered: 0 };
    while supply.answered < items {
        let first = supply.batch();
        sink.write(&[first], &mut supply).expect("it is written");
    }
}
