//! One row per key: what it holds, in either encoding, reads as items in rows of their own do.

use super::*;
use crate::counter::EventTime;
use crate::epoch::Version;
use crate::event::FieldId;
use crate::pipeline::{Encoding, FeatureKey, Group, GroupId, Layout, Measure, MeasureId};
use crate::sink::fixtures::{LAST_UPDATE, group};

const LAYOUTS: [Layout; 3] = [Layout::Feature, Layout::Key(Encoding::Packed), Layout::Key(Encoding::Map)];

/// Keyed by users and by creators; plain values, values with squares, and uniques that never expire.
fn pipeline_of(layout: Layout) -> Arc<Pipeline> {
    let mut pipeline = pipeline();
    pipeline.publish.layout = layout;
    pipeline.groups = vec![
        group("user", &[0], "user.{event}"),
        group("rated", &[0], "rated.{event}"),
        Group { ttl: None, ..group("uniques", &[0], "uniques.{event}") },
        group("creator", &[1], "creator.{event}"),
    ];
    pipeline.groups[2].measures = vec![Measure { members: Some(FieldId(0)), ..pipeline.groups[2].measures[0].clone() }];
    Arc::new(pipeline)
}

/// (key, features with their groups); every key is begun once.
fn batch_of(version: u64, keys: &[(&str, &[(&str, u16)])]) -> ItemBatch {
    let mut batch = ItemBatch::default();
    for (index, (key, features)) in keys.iter().enumerate() {
        batch.begin_key(key.as_bytes());
        for (name, group) in *features {
            let key = FeatureKey { group: GroupId(*group), measure: MeasureId(0), name: (*name).to_owned() };
            let feature = batch.push_feature(key, None);
            let values = [0.1 + name.len() as f64, 1.0 / 3.0, 1e-200, 0.5, 0.25, 0.25];
            let width = if [1, 2].contains(group) { 6 } else { 3 };
            batch.push(feature, EventTime(LAST_UPDATE.0 - index as i64), &values[..width], Version(version));
            if index == 1 {
                batch.mark_last(EventTime(99));
            }
        }
    }
    batch
}

fn first() -> ItemBatch {
    batch_of(
        5,
        &[
            ("7", &[("user.view", 0), ("user.like", 0), ("rated.like", 1), ("uniques.like", 2)]),
            ("7", &[("creator.like", 3)]),
            ("ü\0|", &[("user.it's \"so\" {}", 0), ("user.", 0)]),
        ],
    )
}

fn written(path: &Path, layout: Layout, batches: &[ItemBatch]) -> SqliteSink {
    let mut sink = SqliteSink::open(path, pipeline_of(layout), &SinkOptions::default()).unwrap();
    let items: usize = batches.iter().map(ItemBatch::len).sum();
    assert_eq!(sink.write_all(batches).unwrap(), items as u64);
    sink
}

type Shown = (String, String, String, i64, Option<i64>, Option<i64>);

fn shown(path: &Path, condition: &str) -> Vec<Shown> {
    let sql = format!(
        "SELECT key, featureName, counts, version, expiresAt, since FROM items {condition} ORDER BY key, featureName"
    );
    let database = Connection::open(path).unwrap();
    let mut statement = database.prepare(&sql).unwrap();
    let row =
        |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?));
    statement.query_map([], row).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

/// A text may read as another number in the last digit.
fn nearly(mut items: Vec<Item>) -> Vec<Item> {
    for count in items.iter_mut().flat_map(|item| item.counts.values_mut()) {
        count.value = (count.value * 1e12).round();
    }
    items
}

#[test]
fn every_layout_holds_the_same_items() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected: Option<(Vec<Item>, Vec<Item>, Vec<Item>)> = None;
    for (number, layout) in LAYOUTS.into_iter().enumerate() {
        let path = folder.path().join(format!("{number}.db"));
        let sink = written(&path, layout, &[first()]);
        let mut reader = SqliteReader::open(&path, None).unwrap();
        let found = (all(&path), reader.get("7", None).unwrap(), reader.get("7", Some("user.like")).unwrap());
        assert_eq!((found.0.len(), found.1.len(), found.2.len()), (7, 5, 1));
        assert_eq!(found.0.iter().filter(|item| item.since.is_some()).count(), 1);
        let found = (nearly(found.0), nearly(found.1), nearly(found.2));
        assert_eq!(*expected.get_or_insert_with(|| found.clone()), found, "{layout}");
        assert_eq!(reader.get("8", None).unwrap(), []);
        Box::new(sink).close().unwrap();
        assert_eq!(nearly(all(&path)), found.0);
    }
}

#[test]
fn packed_values_have_the_bits_that_were_published() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let pipeline = pipeline_of(LAYOUTS[1]);
    drop(written(&path, LAYOUTS[1], &[first()]));
    let batch = first();
    let mut expected: Vec<_> = batch.items(&pipeline).map(|item| item.to_item()).collect();
    expected.sort_by(|a, b| (&a.key, &a.feature_name).cmp(&(&b.key, &b.feature_name)));
    assert_eq!(all(&path), expected);
}

#[test]
fn the_view_of_maps_shows_what_the_view_of_features_shows() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [0, 2].map(|layout| {
        let path = folder.path().join(format!("{layout}.db"));
        drop(written(&path, LAYOUTS[layout], &[first()]));
        path
    });
    for condition in ["", "WHERE key = '7'", "WHERE featureName = 'rated.like'"] {
        assert_eq!(shown(&paths[1], condition), shown(&paths[0], condition));
    }
    let database = Connection::open(&paths[1]).unwrap();
    let plan = "EXPLAIN QUERY PLAN SELECT counts FROM items WHERE key = '7'";
    let plan: String = database.query_row(plan, [], |row| row.get(3)).unwrap();
    assert!(plan.contains("SEARCH k USING PRIMARY KEY (key=?"), "{plan}");
}

#[test]
fn a_feature_that_has_left_goes_with_the_next_write_and_an_older_write_changes_nothing() {
    for layout in &LAYOUTS[1..] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.db");
        let mut sink = written(&path, *layout, &[first()]);
        let names = || {
            all(&path)
                .into_iter()
                .filter(|item| item.key == "7")
                .map(|item| (item.feature_name, item.version.0))
                .collect::<Vec<_>>()
        };
        let expected = |features: &[(&str, u64)]| {
            features.iter().map(|(name, version)| ((*name).to_owned(), *version)).collect::<Vec<_>>()
        };
        sink.write_all(&[batch_of(6, &[("7", &[("user.like", 0), ("user.share", 0)])])]).unwrap();
        let left = expected(&[("creator.like", 5), ("user.like", 6), ("user.share", 6)]);
        assert_eq!(names(), left);
        sink.write_all(&[batch_of(4, &[("7", &[("user.view", 0)])])]).unwrap();
        assert_eq!(names(), left);
        // Of two in one call, too.
        let [newer, older] = [9, 8].map(|version| batch_of(version, &[("7", &[("user.view", 0)])]));
        sink.write_all(&[newer, older]).unwrap();
        assert_eq!(names(), expected(&[("creator.like", 5), ("user.view", 9)]));
        let sql = "SELECT group_concat(name || '=' || value, ',') FROM (SELECT * FROM meta WHERE name IN ('layout', 'encoding', 'newestVersion') ORDER BY name)";
        let meta: String = Connection::open(&path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(meta, format!("encoding={},layout=key,newestVersion=9", layout.encoding_name().unwrap()));
    }
}

#[test]
fn a_file_of_another_layout_is_refused_unless_it_is_empty_or_to_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    for held in LAYOUTS {
        for other in LAYOUTS.into_iter().filter(|other| *other != held) {
            let path = folder.path().join(format!("{held} {other}.db").replace('"', ""));
            Box::new(SqliteSink::open(&path, pipeline_of(held), &SinkOptions::default()).unwrap()).close().unwrap();
            Box::new(written(&path, other, &[])).close().unwrap();
            Box::new(written(&path, held, &[first()])).close().unwrap();
            let before = std::fs::read(&path).unwrap();
            let pipeline = pipeline_of(other);
            let refusals = [
                SqliteSink::open(&path, Arc::clone(&pipeline), &SinkOptions::default()).unwrap_err(),
                SqliteSink::look(&path, &pipeline, &replacing(false)).unwrap_err(),
            ];
            for error in refusals.map(|error| error.to_string()) {
                let told = [&held.to_string(), &other.to_string(), "--sink", "--replace"];
                assert!(told.iter().all(|told| error.contains(*told)), "{error}");
            }
            assert_eq!(std::fs::read(&path).unwrap(), before);
            let options = SinkOptions { replace: true, ..SinkOptions::default() };
            let mut sink = SqliteSink::open(&path, pipeline, &options).unwrap();
            assert_eq!(all(&path), []);
            sink.write_all(&[first()]).unwrap();
            assert_eq!(all(&path).len(), 7);
        }
    }
}

#[test]
fn packed_features_that_are_damaged_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    drop(written(&path, LAYOUTS[1], &[first()]));
    Connection::open(&path)
        .unwrap()
        .execute("UPDATE keys SET features = x'0101' WHERE keyFields = 'creatorId'", [])
        .unwrap();
    let error = SqliteReader::open(&path, None).unwrap().get("7", None).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("key `7`") && cause.contains("byte 2: a number that does not end"), "{error}: {cause}");
}

#[test]
fn many_keys_and_one_of_very_many_features_are_written_in_several_transactions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut batch = ItemBatch::default();
    let features: Vec<u32> = (0..MOST_ITEMS_A_TRANSACTION + 7)
        .map(|number| {
            let name = format!("user.{number}");
            batch.push_feature(FeatureKey { group: GroupId(0), measure: MeasureId(0), name }, None)
        })
        .collect();
    for (key, count) in [("a", 3), ("b", features.len()), ("c", 5)] {
        batch.begin_key(key.as_bytes());
        features[..count].iter().for_each(|feature| batch.push(*feature, LAST_UPDATE, &[1.0; 3], Version(1)));
    }
    let sink = written(&path, LAYOUTS[1], std::slice::from_ref(&batch));
    Box::new(sink).close().unwrap();
    let items = all(&path);
    assert_eq!(items.len(), batch.len());
    assert!(items.is_sorted_by_key(|item| (item.key.clone(), item.feature_name.clone())));
}
