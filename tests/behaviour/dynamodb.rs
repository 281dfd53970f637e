//! The `dynamodb` sink against DynamoDB Local, read back through the AWS API itself.
//!
//! `scripts/test` starts it and runs these.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use aws_sdk_dynamodb::types::{AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType};
use clap::Parser;
use counter_machine::cli::{dump, get, table};
use counter_machine::pipeline::Pipeline;
use counter_machine::sink::dynamodb::{TableWishes, Verdict, ensure_table};
use counter_machine::sink::{self, Item, SinkErrorKind, SinkOptions, SinkTarget, open_reader};

use crate::dynamodb_items::{LAST_UPDATE, Row, WriteAll as _, batch, open, pipeline, pipeline_text};
use crate::dynamodb_local::{block_on, client, endpoint, new_name};

fn row(key: &str, feature: &str, value: f64) -> Row {
    Row { key: key.to_owned(), feature: feature.to_owned(), value, version: 7 }
}

fn filled(test: &str, rows: &[Row]) -> Arc<Pipeline> {
    let pipeline = pipeline(&endpoint(), &new_name(test));
    assert!(ensure_table(&pipeline, &TableWishes::default(), false).unwrap().created);
    let mut sink = open(&pipeline, &Arc::default()).unwrap();
    assert_eq!(sink.write_all(&[batch(rows)]).unwrap(), rows.len() as u64);
    pipeline
}

#[test]
#[ignore = "needs DynamoDB Local"]
fn get_item_returns_the_published_attributes() {
    let pipeline = filled("published", &[row("1234", "like", 1.6)]);
    let item = block_on(async {
        let client = client().await;
        let request = client
            .get_item()
            .table_name(&pipeline.dynamodb.table)
            .key("key", AttributeValue::S("1234".to_owned()))
            .key("featureName", AttributeValue::S("like".to_owned()));
        request.send().await.unwrap().item.unwrap()
    });
    let map = |entries: &[(&str, AttributeValue)]| -> HashMap<String, AttributeValue> {
        entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    let n = |text: &str| AttributeValue::N(text.to_owned());
    let last_update = LAST_UPDATE.to_string();
    let count = |interval: &str, value: &str| {
        let count = [("decayInterval", n(interval)), ("lastUpdate", n(&last_update)), ("value", n(value))];
        AttributeValue::M(map(&count))
    };
    let counts = [("5", count("5", "1.6")), ("10", count("10", "3.2")), ("15", count("15", "4.800000000000001"))];
    let expected = [
        ("key", AttributeValue::S("1234".to_owned())),
        ("featureName", AttributeValue::S("like".to_owned())),
        ("counts", AttributeValue::M(map(&counts))),
        ("version", n("7")),
        ("expiresAt", n(&(LAST_UPDATE + 7 * 86_400).to_string())),
    ];
    assert_eq!(item, map(&expected));
}

#[test]
#[ignore = "needs DynamoDB Local"]
fn every_value_that_may_be_published_reads_back_exactly() {
    let values = [0.1 + 0.2, 1e-130, -1e-200, 9e125, -1e300, 0.0, -0.0, 1e16, f64::MIN_POSITIVE];
    let rows: Vec<_> = values.iter().enumerate().map(|(i, value)| row(&i.to_string(), "like", *value)).collect();
    let pipeline = filled("values", &rows);
    let mut reader = open_reader(&SinkTarget::DynamoDb, Some(&pipeline)).unwrap();
    let batch = batch(&rows);
    for expected in batch.items(&pipeline) {
        let expected = expected.to_item();
        assert_eq!(reader.get(&expected.key, Some("like")).unwrap(), [expected]);
    }
}

#[test]
#[ignore = "needs DynamoDB Local"]
fn a_reader_finds_items_by_key_and_in_the_order_of_bytes() {
    // More than one page of a scan (1 MB).
    let long = "x".repeat(1_000);
    let mut rows: Vec<_> = (0..2_500).map(|i| row(&format!("{}-{long}", i * 7_919 % 2_500), "view", 1.0)).collect();
    rows.extend([row("ü", "like", 1.0), row("B", "like", 1.0), row("a|b", "view", 1.0), row("a|b", "like", 1.0)]);
    let pipeline = filled("order", &rows);
    let mut reader = open_reader(&SinkTarget::DynamoDb, Some(&pipeline)).unwrap();

    let names = |items: Vec<Item>| items.into_iter().map(|item| item.feature_name).collect::<Vec<_>>();
    assert_eq!(names(reader.get("a|b", None).unwrap()), ["like", "view"]);
    assert_eq!(names(reader.get("a|b", Some("view")).unwrap()), ["view"]);
    assert_eq!(names(reader.get("a", None).unwrap()), [""; 0]);

    let mut seen = Vec::new();
    let visit = &mut |item: Item| {
        seen.push((item.key, item.feature_name));
        Ok(())
    };
    reader.each(visit).unwrap();
    let mut expected: Vec<_> = rows.into_iter().map(|row| (row.key, row.feature)).collect();
    expected.sort();
    assert!(seen == expected, "{} items, expected {}", seen.len(), expected.len());
}

#[test]
#[ignore = "needs DynamoDB Local"]
fn the_table_is_created_once_and_ttl_turned_on_once() {
    let pipeline = pipeline(&endpoint(), &new_name("ensure"));
    let with_ttl = TableWishes { ttl: true, ..TableWishes::default() };
    let ensure = |wishes: &TableWishes, apply| {
        let report = ensure_table(&pipeline, wishes, apply).unwrap();
        let ttl = report.settings.iter().find(|setting| setting.name == "TTL").map(|setting| setting.verdict.clone());
        (report.created, ttl)
    };
    let on = || "on, by `expiresAt`".to_owned();
    assert_eq!(ensure(&TableWishes::default(), false), (true, None));
    assert_eq!(ensure(&with_ttl, false), (false, Some(Verdict::Differs(on()))));
    assert_eq!(ensure(&with_ttl, false), (false, Some(Verdict::Differs(on()))));
    assert_eq!(ensure(&with_ttl, true), (false, Some(Verdict::Changed(on()))));
    assert_eq!(ensure(&with_ttl, true), (false, Some(Verdict::Right)));
    assert_eq!(ensure(&with_ttl, false), (false, Some(Verdict::Right)));
}

#[test]
#[ignore = "needs DynamoDB Local"]
fn a_table_with_another_key_is_refused_by_run_and_by_table() {
    let pipeline = pipeline(&endpoint(), &new_name("another-key"));
    block_on(async {
        let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap();
        let id = AttributeDefinition::builder().attribute_name("id").attribute_type("S".into()).build().unwrap();
        let request = client().await.create_table().table_name(&pipeline.dynamodb.table);
        let request = request.key_schema(key).attribute_definitions(id).billing_mode(BillingMode::PayPerRequest);
        request.send().await.unwrap();
    });
    let errors = [open(&pipeline, &Arc::default()).err(), ensure_table(&pipeline, &TableWishes::default(), true).err()];
    for error in errors.map(|error| error.unwrap().to_string()) {
        assert!(error.contains("another key") && error.contains(&pipeline.dynamodb.table), "{error}");
    }
}

#[test]
#[ignore = "needs DynamoDB Local"]
fn a_missing_table_is_answered_with_the_command_that_creates_it() {
    let pipeline = pipeline(&endpoint(), &new_name("missing"));
    let error = open(&pipeline, &Arc::default()).err().unwrap().to_string();
    assert!(error.contains("counter-machine table PIPELINE"), "{error}");
    let error = open_reader(&SinkTarget::DynamoDb, Some(&pipeline)).unwrap().get("1", None).unwrap_err().to_string();
    assert!(error.contains("counter-machine table PIPELINE"), "{error}");
}

#[test]
fn a_table_is_not_emptied_by_replace() {
    let pipeline = pipeline("http://127.0.0.1:1", "UserCounters");
    let options = SinkOptions { replace: true, run_id: "test".to_owned(), ..SinkOptions::default() };
    let error = sink::open(&SinkTarget::DynamoDb, &pipeline, &options, &Arc::default()).err().unwrap();
    assert_eq!(error.kind(), SinkErrorKind::Usage);
    assert!(error.to_string().contains("delete the table UserCounters"), "{error}");
}

#[derive(Parser)]
enum Command {
    Get(get::GetArgs),
    Dump(dump::DumpArgs),
    Table(table::TableArgs),
}

/// What a command prints.
fn printed(arguments: &[&str]) -> String {
    let mut out = Vec::new();
    match Command::parse_from(["counter-machine"].iter().chain(arguments)) {
        Command::Get(args) => get::run(&args, &mut out),
        Command::Dump(args) => dump::run(&args, &mut out),
        Command::Table(args) => table::run(&args, &mut out),
    }
    .unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
#[ignore = "needs DynamoDB Local"]
fn the_commands_read_what_a_run_wrote() {
    let table = new_name("commands");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(pipeline_text(&endpoint(), &table).as_bytes()).unwrap();
    let file = file.path().to_str().unwrap();
    assert!(printed(&["table", file]).starts_with(&format!("created table {table} in us-east-1 at http://")));
    assert!(printed(&["table", file]).contains("is there, and its key is right"));

    let mut sink = open(&pipeline(&endpoint(), &table), &Arc::default()).unwrap();
    sink.write_all(&[batch(&[row("1234", "view", 1.0), row("1234", "like", 1.6), row("99", "like", 1.0)])]).unwrap();

    let shown = printed(&["get", file, "--key", "userId=1234", "--feature", "like", "--at", "1707605604"]);
    assert!(shown.starts_with("like  (key 1234)\n"), "{shown}");
    assert!(shown.contains("5s        2024-02-10T22:53:19Z  1.600000                 0.588607"), "{shown}");

    let dumped = printed(&["dump", "dynamodb", "--pipeline", file]);
    let items: Vec<Item> = dumped.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let identities: Vec<_> = items.iter().map(|item| (item.key.as_str(), item.feature_name.as_str())).collect();
    assert_eq!(identities, [("1234", "like"), ("1234", "view"), ("99", "like")]);
    assert_eq!(printed(&["dump", "dynamodb", "--pipeline", file, "--alive-at", "now"]), "");
}
