//! Tables that were changed behind the run's back.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use serde_json::Value;

use super::items::Items;
use super::world::{Log, PIPELINE};
use super::{Told, count, disagrees, place, told, verify, world};

/// What is changed among all items, beside those of an earlier run; and what must be told then.
type TableFault = (&'static str, fn(&mut Items, &Items), &'static [(&'static str, &'static str, &'static str)]);

const OF_SEVERAL: [TableFault; 11] = [
    (
        "an item is taken out",
        |items, _| drop(items.0.remove(items.index("zoë", "user.view.count"))),
        &[("missing", "zoë", "user.view.count")],
    ),
    (
        "an item of a key without events",
        |items, _| {
            let mut item = items.item("zoë", "user.view.count").clone();
            item["key"] = "ghost".into();
            items.0.push(item);
        },
        &[("extra", "ghost", "user.view.count")],
    ),
    (
        "an item of an event that the key never had",
        |items, _| {
            let mut item = items.item("zoë", "user.view.count").clone();
            item["featureName"] = "user.never.count".into();
            items.0.push(item);
        },
        &[("extra", "zoë", "user.never.count")],
    ),
    (
        "an item has another feature's name",
        |items, _| items.item("zoë", "user.view.count")["featureName"] = "user.views.count".into(),
        &[("extra", "zoë", "user.views.count"), ("missing", "zoë", "user.view.count")],
    ),
    (
        "an item has a name that the pipeline does not know",
        |items, _| items.item("zoë", "user.view.count")["featureName"] = "x".into(),
        &[("not_of_pipeline", "zoë", "x"), ("missing", "zoë", "user.view.count")],
    ),
    (
        "an item has another key",
        |items, _| items.item("zoë", "user.view.count")["key"] = "zoe".into(),
        &[("extra", "zoe", "user.view.count"), ("missing", "zoë", "user.view.count")],
    ),
    (
        "the parts of a key are not told apart",
        |items, _| items.item("a\\\\\\|b|p1", "pair.view.count")["key"] = "a|b|p1".into(),
        &[("extra", "a|b|p1", "pair.view.count"), ("missing", "a\\\\\\|b|p1", "pair.view.count")],
    ),
    (
        "two items are swapped",
        |items, _| {
            let counts = items.item("zoë", "user.view.count")["counts"].clone();
            let other = std::mem::replace(&mut items.item("ß", "user.view.count")["counts"], counts);
            items.item("zoë", "user.view.count")["counts"] = other;
        },
        &[("off", "zoë", "user.view.count"), ("off", "ß", "user.view.count")],
    ),
    (
        "an item is an earlier state",
        |items, earlier| *items.item("zoë", "user.view.count") = earlier.clone().item("zoë", "user.view.count").clone(),
        &[("off", "zoë", "user.view.count")],
    ),
    (
        "a newer version is an earlier state",
        |items, earlier| {
            let mut item = earlier.clone().item("c1", "all_of.count").clone();
            item["version"] = i64::MAX.into();
            items.0.insert(0, item);
        },
        &[("off", "c1", "all_of.count")],
    ),
    (
        "the newest state of an item is the older version",
        |items, earlier| {
            let mut item = earlier.clone().item("c1", "all_of.count").clone();
            item["version"] = (items.item("c1", "all_of.count")["version"].as_u64().unwrap() + 1).into();
            items.0.push(item);
        },
        &[("off", "c1", "all_of.count")],
    ),
];

#[test]
fn a_table_with_anything_wrong_is_told() {
    let (place, log) = world(900);
    count(&place, "sqlite:items.db", &["-w", "2"]);
    place.write("earlier.jsonl", Log(log.0[..600].to_vec()).text());
    place.run(&["run", "p.toml", "--events", "earlier.jsonl", "--sink", "sqlite:earlier.db"]).exits(0);
    let [items, earlier] = ["sqlite:items.db", "sqlite:earlier.db"].map(|sink| Items::of(&place, sink));
    for (name, change, expected) in OF_SEVERAL {
        let mut changed = items.clone();
        change(&mut changed, &earlier);
        changed.write(&place, "changed.jsonl");
        let expected: BTreeSet<Told> =
            expected.iter().map(|(finding, key, feature)| told(finding, key, feature)).collect();
        for workers in ["1", "2"] {
            assert_eq!(disagrees(verify(&place, "jsonl:changed.jsonl", &["-w", workers])), expected, "{name}");
        }
    }
}

#[test]
fn all_items_of_a_group_or_of_a_key_are_told() {
    let (place, log) = world(900);
    count(&place, "sqlite:items.db", &[]);
    let earlier = Log(log.0[..600].to_vec());
    place.write("earlier.jsonl", earlier.text());
    place.run(&["run", "p.toml", "--events", "earlier.jsonl", "--sink", "sqlite:earlier.db"]).exits(0);
    let [items, earlier_items] = ["sqlite:items.db", "sqlite:earlier.db"].map(|sink| Items::of(&place, sink));

    let of_group = |item: &Value| item["featureName"].as_str().unwrap().starts_with("pair.");
    let (gone, rest): (Vec<Value>, Vec<Value>) = items.0.iter().cloned().partition(of_group);
    Items(rest).write(&place, "changed.jsonl");
    let name = |item: &Value| told("missing", item["key"].as_str().unwrap(), item["featureName"].as_str().unwrap());
    let expected: BTreeSet<Told> = gone.iter().map(name).collect();
    assert_eq!(disagrees(verify(&place, "jsonl:changed.jsonl", &["-w", "2"])), expected);

    let of_key = |item: &&Value| item["key"] == "zoë";
    let others = items.0.iter().filter(|item| item["key"] != "zoë");
    Items(others.chain(earlier_items.0.iter().filter(of_key)).cloned().collect()).write(&place, "changed.jsonl");
    let mut expected = super::differences(&earlier.rows(PIPELINE), &log.rows(PIPELINE));
    expected.retain(|(_, key, _)| key == "zoë");
    assert!(expected.len() > 5);
    assert_eq!(disagrees(verify(&place, "jsonl:changed.jsonl", &[])), expected);
}

#[test]
fn what_is_wrong_in_a_table_of_sqlite_is_told() {
    let (place, _) = world(900);
    count(&place, "sqlite:items.db", &[]);
    let of_row = "WHERE key = 'zoë' AND feature = (SELECT id FROM features WHERE name = 'user.view.count')";
    let faults = [
        ("UPDATE states SET counts = '[1.0]'", "off"),
        ("UPDATE states SET lastUpdate = lastUpdate + 1", "off"),
        ("UPDATE states SET since = lastUpdate, counts = '[1e30]'", "off"),
        ("UPDATE states SET more = '[1.0]'", "off"),
        ("DELETE FROM states", "missing"),
    ];
    for (change, finding) in faults {
        std::fs::copy(place.path("items.db"), place.path("changed.db")).unwrap();
        let changed = Connection::open(place.path("changed.db")).unwrap();
        assert_eq!(changed.execute(&format!("{change} {of_row}"), []).unwrap(), 1);
        drop(changed);
        let found = disagrees(verify(&place, "sqlite:changed.db", &[]));
        assert_eq!(found, BTreeSet::from([told(finding, "zoë", "user.view.count")]), "{change}");
    }
}

#[test]
fn what_is_no_number_is_no_item() {
    let (place, _) = world(60);
    count(&place, "sqlite:items.db", &[]);
    for counts in ["[NaN]", "[1e999]", "[\"1\"]", "[]", "1.0", "[null]"] {
        std::fs::copy(place.path("items.db"), place.path("changed.db")).unwrap();
        let changed = Connection::open(place.path("changed.db")).unwrap();
        changed.execute("UPDATE states SET counts = ?1 WHERE key = 'c1'", params![counts]).unwrap();
        drop(changed);
        let ended = verify(&place, "sqlite:changed.db", &[]).exits(1).says(&["changed.db"]);
        assert_eq!(ended.stdout, "", "{counts}");
    }
}

#[test]
fn what_is_wrong_inside_the_item_of_a_key_is_told() {
    for encoding in ["packed", "map"] {
        let log = Log::of_world(900);
        let layout = format!("{PIPELINE}[publish]\nlayout = \"key\"\nencoding = \"{encoding}\"\n");
        let place = place(&layout, &log.text());
        count(&place, "sqlite:items.db", &[]);
        let mut other = log.clone();
        let index = other.find("view", "zoë", 2);
        other.change(index, |event| event["name"] = "share".into());
        place.write("other.jsonl", other.text());
        place.run(&["run", "p.toml", "--events", "other.jsonl", "--sink", "sqlite:other.db"]).exits(0);
        let changed = Connection::open(place.path("items.db")).unwrap();
        changed.execute("ATTACH ?1 AS other", params![place.path("other.db").to_str().unwrap()]).unwrap();
        let change = "UPDATE keys SET features = (SELECT o.features FROM other.keys AS o
            WHERE o.key = keys.key AND o.keyFields = keys.keyFields) WHERE key = 'zoë' AND keyFields = 'user'";
        assert_eq!(changed.execute(change, []).unwrap(), 1);
        drop(changed);
        let mut expected = super::differences(&other.rows(PIPELINE), &log.rows(PIPELINE));
        expected.retain(|(_, key, _)| key == "zoë");
        assert!(expected.contains(&told("off", "zoë", "user.view.count")), "{expected:?}");
        assert_eq!(disagrees(verify(&place, "sqlite:items.db", &["-w", "2"])), expected, "{encoding}");

        let changed = Connection::open(place.path("items.db")).unwrap();
        changed.execute("DELETE FROM keys WHERE key = 'zoë'", []).unwrap();
        drop(changed);
        let found = disagrees(verify(&place, "sqlite:items.db", &[]));
        let mut expected: BTreeSet<Told> =
            log.rows(PIPELINE).keys().map(|name| told("missing", &name.0, &name.1)).collect();
        expected.retain(|(_, key, _)| key == "zoë");
        assert_eq!(found, expected, "{encoding}");
    }
}
