//! A run that goes on with what an earlier run of its state has published.

use rusqlite::OptionalExtension as _;

use super::*;
use crate::counter::{DecayInterval, Decays};
use crate::epoch::Version;
use crate::pipeline::{FeatureKey, Group, GroupId, MeasureId};
use crate::sink::fixtures::group;
use crate::sink::{Recorded, SinkTarget};

fn options(generation: u32) -> SinkOptions {
    let run_id = format!("run {generation}");
    SinkOptions { goes_on: true, generation: Generation(generation), run_id, ..SinkOptions::default() }
}

fn go_on(path: &Path, generation: u32) -> SqliteSink {
    SqliteSink::open(path, Arc::new(pipeline()), &options(generation)).unwrap()
}

fn recorded(path: &Path) -> Recorded {
    crate::sink::recorded(&SinkTarget::Sqlite(path.to_owned()), &pipeline(), &Arc::default()).unwrap()
}

fn in_meta(path: &Path, name: &str) -> Option<String> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    Connection::open(path).unwrap().query_row(sql, [name], |row| row.get(0)).optional().unwrap()
}

/// Keys, features and values, as read.
fn read(path: &Path) -> Vec<(String, String, u64, Vec<f64>)> {
    let values = |item: &Item| item.counts.values().map(|count| count.value).collect();
    all(path).iter().map(|item| (item.key.clone(), item.feature_name.clone(), item.version.0, values(item))).collect()
}

fn row(key: &str, feature: &str, version: u64, value: f64) -> (String, String, u64, Vec<f64>) {
    (key.to_owned(), feature.to_owned(), version, vec![value, 2.0 * value, 3.0 * value])
}

#[test]
fn what_an_earlier_run_has_published_stays_and_features_keep_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    assert_eq!(recorded(&path), Recorded::NOTHING);
    assert!(!path.exists(), "looking makes nothing");
    let mut first = go_on(&path, 5);
    assert_eq!(first.generation(), Some(Generation(5)), "the one that it came with");
    first.write_all(&[batch(&[Row::new("a", "like").version(9), Row::new("a", "view").version(8)])]).unwrap();
    Box::new(first).close().unwrap();
    let expected = Recorded { generation: Some(Generation(5)), newest_version: Some(Version(9)), is_empty: false };
    assert_eq!(recorded(&path), expected);

    let mut second = go_on(&path, 6);
    // Alone it would have the first number, which is that of `like`.
    second.write_all(&[batch(&[Row::new("a", "view").version(10).value(4.0)])]).unwrap();
    second.write_all(&[batch(&[Row::new("b", "click").version(11).value(5.0)])]).unwrap();
    // A write of before that comes late.
    second.write_all(&[batch(&[Row::new("a", "view").version(8).value(9.0)])]).unwrap();
    Box::new(second).close().unwrap();
    let expected = [row("a", "like", 9, 1.0), row("a", "view", 10, 4.0), row("b", "click", 11, 5.0)];
    assert_eq!(read(&path), expected);
    assert_eq!(recorded(&path).newest_version, Some(Version(11)));
    assert_eq!(in_meta(&path, "run").as_deref(), Some("run 6"));
}

#[test]
fn what_a_run_that_was_killed_has_committed_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut first = go_on(&path, 5);
    first.write_all(&[batch(&[Row::new("a", "like").version(9)])]).unwrap();
    // The files as they stand in the midst of the run; the last transaction is in the log alone.
    let killed = folder.path().join("killed.db");
    for ending in ["", "-wal"] {
        std::fs::copy(
            folder.path().join(format!("items.db{ending}")),
            folder.path().join(format!("killed.db{ending}")),
        )
        .unwrap();
    }
    let expected = Recorded { generation: Some(Generation(5)), newest_version: Some(Version(9)), is_empty: false };
    assert_eq!(recorded(&killed), expected);
    let mut second = go_on(&killed, 6);
    second.write_all(&[batch(&[Row::new("b", "view").version(10)])]).unwrap();
    assert_eq!(read(&killed), [row("a", "like", 9, 1.0), row("b", "view", 10, 1.0)]);
}

#[test]
fn the_record_is_that_of_the_newest_run_and_the_newest_version_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let shift = Some(TimeShift { from: EventTime(5), to: EventTime(9) });
    let record =
        |run_start, shift| Some(RunRecord { run_start: EventTime(run_start), arrival: ArrivalSource::Kafka, shift });
    let open = |generation, record| {
        SqliteSink::open(&path, Arc::new(pipeline()), &SinkOptions { record, ..options(generation) }).unwrap()
    };
    open(5, record(70, shift)).write_all(&[batch(&[Row::new("a", "like").version(9)])]).unwrap();
    drop(open(6, record(80, shift)));
    assert_eq!(SqliteReader::open(&path, None).unwrap().record().unwrap(), record(80, shift));
    assert_eq!(recorded(&path).newest_version, Some(Version(9)));
    assert_eq!(recorded(&path).generation, Some(Generation(6)), "though it wrote nothing");
}

#[test]
fn a_table_is_emptied_where_it_is_to_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    go_on(&path, 5).write_all(&[one_item()]).unwrap();
    let replace = SinkOptions { replace: true, ..options(6) };
    let mut sink = SqliteSink::open(&path, Arc::new(pipeline()), &replace).unwrap();
    assert_eq!(all(&path), []);
    sink.write_all(&[one_item()]).unwrap();
    assert_eq!((all(&path).len(), sink.generation()), (1, Some(Generation(6))));
}

#[test]
fn what_belongs_to_another_pipeline_layout_format_or_state_is_refused_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    go_on(&path, 5).write_all(&[one_item()]).unwrap();
    let refused = |pipeline: Pipeline, generation, why: &str| {
        let look = SqliteSink::look(&path, &pipeline, &options(generation));
        let error = SqliteSink::open(&path, Arc::new(pipeline), &options(generation)).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("items.db"), "{error}");
        assert_eq!(read(&path).len(), 1);
        assert_eq!(recorded(&path).generation, Some(Generation(5)));
        look
    };
    refused(Pipeline { name: "feed".to_owned(), ..pipeline() }, 6, "another pipeline").unwrap_err();
    let mut by_key = pipeline();
    by_key.publish.layout = Layout::Key(Encoding::Map);
    refused(by_key, 6, "items with").unwrap_err();
    // Whose tables they are says only their record.
    for generation in [4, 5] {
        let _ = refused(pipeline(), generation, "was filled by a run of generation 5");
    }
    Connection::open(&path).unwrap().execute("DELETE FROM meta WHERE name = 'pipeline'", []).unwrap();
    refused(pipeline(), 6, "--replace").unwrap_err();
}

#[test]
fn a_table_of_keys_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    for encoding in [Encoding::Map, Encoding::Packed] {
        let path = folder.path().join(format!("{encoding:?}.db"));
        let mut pipeline = pipeline();
        pipeline.publish.layout = Layout::Key(encoding);
        let pipeline = Arc::new(pipeline);
        // The last of them comes late.
        for (generation, rows) in [(5, [("a", 5), ("b", 5)]), (6, [("b", 6), ("a", 4)])] {
            let mut sink = SqliteSink::open(&path, Arc::clone(&pipeline), &options(generation)).unwrap();
            sink.write_all(&rows.map(|(key, version)| batch(&[Row::new(key, "like").version(version)]))).unwrap();
        }
        let versions: Vec<_> = all(&path).into_iter().map(|item| (item.key, item.version.0)).collect();
        assert_eq!(versions, [("a".to_owned(), 5), ("b".to_owned(), 6)]);
    }
}

/// One group, with these decays.
fn pipeline_of(decays: &[i64], ttl: i64) -> Arc<Pipeline> {
    let decays = Decays::new(decays.iter().map(|units| DecayInterval::new(*units).unwrap()).collect());
    let group = Group { decays, ttl: Some(ttl), ..group("user", &[0], "{event}") };
    Arc::new(Pipeline { groups: vec![group], ..pipeline() })
}

/// A row with these values, and what comes beside them.
fn batch_of(key: &str, feature: &str, version: u64, values: &[f64]) -> ItemBatch {
    let mut batch = ItemBatch::default();
    let feature = FeatureKey { group: GroupId(0), measure: MeasureId(0), name: feature.to_owned() };
    let feature = batch.push_feature(feature, None);
    batch.begin_key(key.as_bytes());
    batch.push(feature, EventTime(1_000), values, Version(version));
    batch
}

/// An interval, and its values.
type ByDecay = (i64, f64, Option<f64>);

/// By feature, decay by decay: the value and its square.
fn by_decay(path: &Path) -> Vec<(String, Vec<ByDecay>)> {
    let count =
        |(interval, count): (&DecayInterval, &crate::sink::Count)| (interval.units(), count.value, count.squares);
    all(path).iter().map(|item| (item.feature_name.clone(), item.counts.iter().map(count).collect())).collect()
}

#[test]
fn rows_of_before_are_read_by_the_decays_that_they_were_written_by() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut first = SqliteSink::open(&path, pipeline_of(&[5, 10, 15], 60), &options(5)).unwrap();
    first.write_all(&[batch_of("a", "like", 1, &[0.1, 2.0, 3.5, 7.0, 8.0, 8.0])]).unwrap();
    first.write_all(&[batch_of("a", "view", 1, &[4.0, 4.0, 4.0])]).unwrap();
    drop(first);
    let mut second = SqliteSink::open(&path, pipeline_of(&[2, 10, 15, 20], 90), &options(6)).unwrap();
    for (key, feature) in [("b", "like"), ("b", "view")] {
        second.write_all(&[batch_of(key, feature, 2, &[6.0, 6.0, 6.0, 6.0])]).unwrap();
    }
    let plain =
        |values: [f64; 4]| [2, 10, 15, 20].into_iter().zip(values).map(|(decay, value)| (decay, value, None)).collect();
    let expected: [(&str, Vec<_>); 4] = [
        ("like", vec![(2, 0.0, Some(0.0)), (10, 2.0, Some(8.0)), (15, 3.5, Some(8.0)), (20, 0.0, Some(0.0))]),
        ("view", plain([0.0, 4.0, 4.0, 0.0])),
        ("like", plain([6.0; 4])),
        ("view", plain([6.0; 4])),
    ];
    assert_eq!(by_decay(&path), expected.map(|(feature, values)| (feature.to_owned(), values)));
    assert!(all(&path).iter().all(|item| item.expires_at == Some(1_090)), "the ttl is that of today");
    // By SQL as well.
    let sql = "SELECT counts -> '$.10' ->> 'value' FROM items WHERE key = 'a' AND featureName = 'like'";
    let value: f64 = Connection::open(&path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(value, 2.0);
}
