//! What stands in the file: the view says of each item what items say everywhere, however narrow the rows are.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::counter::EventTime;
use crate::epoch::Version;
use crate::event::{FieldId, TimeUnit};
use crate::pipeline::{FeatureKey, Group, GroupId, Measure, MeasureId};
use crate::sink::fixtures::{LAST_UPDATE, group};
use crate::sink::item::CountsOf;

/// A row as SQL shows it.
type Shown = (String, String, String, i64, Option<i64>, Option<i64>);

fn shown(path: &Path) -> Vec<Shown> {
    let sql = "SELECT key, featureName, counts, version, expiresAt, since FROM items ORDER BY key, featureName";
    let database = Connection::open(path).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    let row =
        |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?));
    statement.query_map([], row).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

fn to_show(item: &ItemRef<'_>) -> Shown {
    let counts = serde_json::to_string(&CountsOf(*item)).unwrap();
    let since = item.since.map(|since| since.0);
    let version = item.version.0.cast_signed();
    (item.key_text().into_owned(), item.feature_name.to_owned(), counts, version, item.expires_at, since)
}

/// What an item's text reads as: in the last digit it may differ from what was written.
fn as_read(item: &ItemRef<'_>) -> Item {
    serde_json::from_str(&serde_json::to_string(item).unwrap()).unwrap()
}

/// Features of several groups: plain values, values with squares, uniques with errors.
const FEATURES: [(&str, u16, bool); 4] =
    [("like", 0, false), ("view", 0, false), ("a \"rated\"", 1, true), ("uniques", 2, true)];

fn pipeline_of(time_unit: TimeUnit, ttls: [Option<i64>; 3]) -> Pipeline {
    let mut pipeline = pipeline();
    pipeline.event.time_unit = time_unit;
    pipeline.groups = ttls.iter().map(|ttl| Group { ttl: *ttl, ..group("user", &[0], "{event}") }).collect();
    pipeline.groups[2].measures = vec![Measure { members: Some(FieldId(0)), ..pipeline.groups[2].measures[0].clone() }];
    pipeline
}

#[derive(Clone, Debug)]
struct AnyRow {
    key: String,
    feature: usize,
    last_update: i64,
    values: [f64; 3],
    more: [f64; 3],
    version: u64,
    since: Option<i64>,
}

fn batch_of(rows: &[AnyRow]) -> ItemBatch {
    let mut batch = ItemBatch::default();
    for (name, group, _) in FEATURES {
        let group = GroupId(group);
        batch.push_feature(FeatureKey { group, measure: MeasureId(0), name: name.to_owned() }, None);
    }
    for row in rows {
        let has_more = FEATURES[row.feature].2;
        let values = [&row.values[..], if has_more { &row.more } else { &[] }].concat();
        batch.begin_key(row.key.as_bytes());
        batch.push(row.feature as u32, EventTime(row.last_update), &values, Version(row.version));
        row.since.into_iter().for_each(|since| batch.mark_last(EventTime(since)));
    }
    batch
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => prop::num::f64::POSITIVE | prop::num::f64::NEGATIVE | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
        2 => prop::sample::select(vec![0.0, -0.0, 1.0, 1e15, 1e16, 1e17, 1e125, 9.99e125, f64::MAX, 1e-130, 5e-324, 1e-5, 0.1 + 0.2]),
        2 => (-1_000_000i32..1_000_000).prop_map(f64::from),
        1 => 0.0..1e6,
    ]
}

fn any_row() -> impl Strategy<Value = AnyRow> {
    let key = prop_oneof![
        2 => prop::sample::select(vec!["", "a", "\0", "a\0", "it's \"so\"", "1|2\\|", "ü€𝄞", "{\"a\":1}"]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let time = prop_oneof![2 => Just(LAST_UPDATE.0), 1 => -3000i64..3000, 1 => any::<i64>()];
    let numbers =
        || prop_oneof![3 => prop::array::uniform3(any_value()), 1 => any_value().prop_map(|value| [value; 3])];
    let versions = prop_oneof![4 => 0..5u64, 1 => 0..1u64 << 63];
    (key, 0..FEATURES.len(), time, numbers(), numbers(), versions, prop::option::weighted(0.2, any::<i64>())).prop_map(
        |(key, feature, last_update, values, more, version, since)| AnyRow {
            key,
            feature,
            last_update,
            values,
            more,
            version,
            since,
        },
    )
}

fn any_pipeline() -> impl Strategy<Value = Pipeline> {
    use TimeUnit::{Microseconds, Milliseconds, Nanoseconds, Rfc3339, Seconds};
    let ttl = || prop::option::weighted(0.8, prop_oneof![1..5_000i64, Just(604_800_000), Just(i64::MAX), 1..i64::MAX]);
    let units = vec![Seconds, Milliseconds, Microseconds, Nanoseconds, Rfc3339];
    (prop::sample::select(units), ttl(), ttl(), ttl()).prop_map(|(unit, a, b, c)| pipeline_of(unit, [a, b, c]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_view_says_what_items_say_everywhere_and_so_does_the_reader(
        pipeline in any_pipeline(),
        writes in prop::collection::vec(prop::collection::vec(any_row(), 0..80), 1..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.db");
        let pipeline = Arc::new(pipeline);
        let mut sink = SqliteSink::open(&path, Arc::clone(&pipeline), &SinkOptions::default()).unwrap();
        let mut newest: BTreeMap<(String, String), (u64, Shown, Item)> = BTreeMap::new();
        for rows in &writes {
            let batches = [batch_of(rows)];
            sink.write_all(&batches).unwrap();
            for item in batches[0].items(&pipeline) {
                let identity = (item.key_text().into_owned(), item.feature_name.to_owned());
                let kept = newest.get(&identity);
                if kept.is_none_or(|(version, ..)| *version <= item.version.0) {
                    newest.insert(identity, (item.version.0, to_show(&item), as_read(&item)));
                }
            }
        }
        let (expected, items): (Vec<_>, Vec<_>) = newest.into_values().map(|(_, shown, item)| (shown, item)).unzip();
        prop_assert_eq!(shown(&path), expected);
        prop_assert_eq!(all(&path), items.clone());
        let mut reader = SqliteReader::open(&path, None).unwrap();
        for item in items {
            prop_assert_eq!(reader.get(&item.key, Some(&item.feature_name)).unwrap(), vec![item]);
        }
    }
}

#[test]
fn equal_values_at_the_end_stand_in_the_row_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let row = AnyRow {
        key: "a".to_owned(),
        feature: 3,
        last_update: 7,
        values: [2.0, 1.0, 1.0],
        more: [0.5; 3],
        version: 1,
        since: None,
    };
    let pipeline = Arc::new(pipeline_of(TimeUnit::Seconds, [None; 3]));
    let mut sink = SqliteSink::open(&path, pipeline, &SinkOptions::default()).unwrap();
    sink.write_all(&[batch_of(&[row])]).unwrap();
    let sql = "SELECT counts || ' ' || more FROM states";
    let text: String = Connection::open(&path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(text, "[2.0,1.0] [0.5]");
    let expected = concat!(
        r#"{"5":{"decayInterval":5,"lastUpdate":7,"value":2.0,"error":0.5},"#,
        r#""10":{"decayInterval":10,"lastUpdate":7,"value":1.0,"error":0.5},"#,
        r#""15":{"decayInterval":15,"lastUpdate":7,"value":1.0,"error":0.5}}"#
    );
    assert_eq!(shown(&path)[0].2, expected);
}

#[test]
fn the_view_is_looked_up_by_key_also_where_it_is_joined_to_other_tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    open(&path, false).unwrap().write_all(&[one_item()]).unwrap();
    let database = Connection::open(&path).unwrap();
    database
        .execute_batch("CREATE TEMP TABLE wanted (key TEXT PRIMARY KEY); INSERT INTO wanted VALUES ('a'), ('b')")
        .unwrap();
    for (query, rows) in [
        ("SELECT key, featureName, counts FROM items WHERE key = 'a'", 1),
        ("SELECT key, featureName, counts, expiresAt FROM wanted LEFT JOIN items USING (key)", 2),
        ("SELECT key, counts, version FROM wanted CROSS JOIN items USING (key) WHERE featureName = 'like'", 1),
    ] {
        let mut statement = database.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
        let plan: rusqlite::Result<Vec<String>> = statement.query_map([], |row| row.get(3)).unwrap().collect();
        let plan = plan.unwrap().join("; ");
        assert!(plan.contains("SEARCH s USING PRIMARY KEY (key=?") && !plan.contains("SCAN s"), "{query}: {plan}");
        let sql = format!("SELECT count(*) FROM ({query})");
        let found: i64 = database.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(found, rows, "{query}");
    }
}

#[test]
fn features_that_come_later_are_read_in_the_order_of_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut sink = open(&path, false).unwrap();
    sink.write_all(&[batch(&[Row::new("a", "view"), Row::new("b", "view")])]).unwrap();
    sink.write_all(&[batch(&[Row::new("a", "like"), Row::new("a", "share").value(2.0), Row::new("b", "like")])])
        .unwrap();
    let expected = [("a", "like"), ("a", "share"), ("a", "view"), ("b", "like"), ("b", "view")];
    let items = all(&path);
    assert_eq!(items.iter().map(|item| (&*item.key, &*item.feature_name)).collect::<Vec<_>>(), expected);
    let mut reader = SqliteReader::open(&path, None).unwrap();
    assert_eq!(reader.get("a", None).unwrap(), items[..3]);
    assert_eq!(reader.get("a", Some("share")).unwrap(), items[1..2]);
    let shown = shown(&path);
    assert_eq!(shown.iter().map(|row| (&*row.0, &*row.1)).collect::<Vec<_>>(), expected);
}

#[test]
fn an_older_version_never_takes_the_place_of_a_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut sink = open(&path, false).unwrap();
    let mut value_after = |version, value| {
        sink.write_all(&[batch(&[Row::new("a", "like").version(version).value(value)])]).unwrap();
        let item = all(&path).remove(0);
        (item.version.0, item.counts.values().next().unwrap().value)
    };
    assert_eq!(value_after(5, 50.0), (5, 50.0));
    assert_eq!(value_after(4, 40.0), (5, 50.0));
    assert_eq!(value_after(5, 51.0), (5, 51.0), "of one version the one that was written last");
    let sql = "SELECT value FROM meta WHERE name = 'newestVersion'";
    let newest: String = Connection::open(&path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(newest, "5");
}

/// So many items of one feature, with values of full length. Not as a [`Row`] each: that would take longer than writing.
fn many_items(count: usize, version: u64) -> ItemBatch {
    let mut batch = ItemBatch::default();
    let feature = FeatureKey { group: GroupId(0), measure: MeasureId(0), name: "like".to_owned() };
    let feature = batch.push_feature(feature, None);
    for index in 0..count {
        batch.begin_key(format!("{}", 10_000_000 + index).as_bytes());
        let value = 1.0 + 1.0 / (index + 3) as f64;
        batch.push(feature, LAST_UPDATE, &[value, 1.7 * value, 2.3 * value], Version(version));
    }
    batch
}

#[test]
fn more_items_than_a_transaction_takes_all_arrive_and_the_log_of_them_stays_small() {
    const COUNT: usize = MOST_ITEMS_A_TRANSACTION + 1_234;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut sink = open(&path, false).unwrap();
    for version in 1..=3 {
        assert_eq!(sink.write_all(&[many_items(COUNT, version)]).unwrap(), COUNT as u64);
        let sql = format!("SELECT count(*) FROM items WHERE version = {version}");
        let count: i64 = Connection::open(&path).unwrap().query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(count, COUNT as i64);
    }
    let log = std::fs::metadata(folder.path().join("items.db-wal")).unwrap().len();
    assert!(log < 64 << 20, "{log}");
    Box::new(sink).close().unwrap();
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size <= 100 * COUNT as u64, "{} bytes an item", size as f64 / COUNT as f64);
}

#[test]
fn a_reader_in_the_middle_of_reading_keeps_nobody_from_writing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut sink = open(&path, false).unwrap();
    sink.write_all(&[many_items(20_000, 1)]).unwrap();
    let mut reader = Connection::open(&path).unwrap();
    let reading = reader.transaction().unwrap();
    let newest = |connection: &Connection| -> i64 {
        connection.query_row("SELECT min(version) FROM items", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(newest(&reading), 1);
    for version in 2..12 {
        sink.write_all(&[many_items(20_000, version)]).unwrap();
        assert_eq!((newest(&reading), newest(&Connection::open(&path).unwrap())), (1, version as i64));
    }
    reading.commit().unwrap();
    // With the reader gone, the log of all this is taken into the file and begun again instead of growing.
    let log = || std::fs::metadata(folder.path().join("items.db-wal")).unwrap().len();
    sink.write_all(&[many_items(20_000, 12)]).unwrap();
    let largest = log();
    for version in 13..30 {
        sink.write_all(&[many_items(20_000, version)]).unwrap();
        assert_eq!(newest(&reader), version as i64);
    }
    assert_eq!(log(), largest);
}
