//! Items that were changed behind the run's back, each in one thing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::items::Items;
use super::{count, disagrees, told, verify, world};

/// Multiplies a number.
fn scale(number: &mut Value, factor: f64) {
    *number = (number.as_f64().unwrap() * factor).into();
}

fn for_each_count(item: &mut Value, change: impl FnMut(&mut Value)) {
    item["counts"].as_object_mut().unwrap().values_mut().for_each(change);
}

fn shift_last_update(item: &mut Value, by: i64) {
    for_each_count(item, |count| count["lastUpdate"] = (count["lastUpdate"].as_i64().unwrap() + by).into());
}

const HOUR: &str = "3600000";
const FOR_EVER: &str = "1000000000000000";

const VIEWS: (&str, &str) = ("zoë", "user.view.count");
const DIVISOR: (&str, &str) = ("p1", "post.view.count");
const SKETCH: (&str, &str) = ("c1", "all_of.uniques_visitor");
const EXACT: (&str, &str) = ("p1", "post.view.uniques_user");
const PRICES: (&str, &str) = ("ß", "shop.buy.sum_price");

/// What is changed in one item. It is the one that is off then.
type Fault = (&'static str, (&'static str, &'static str), fn(&mut Value));

const FAULTS: [Fault; 34] = [
    ("a value is 2e-9 too large", VIEWS, |item| scale(&mut item["counts"][HOUR]["value"], 1.0 + 2e-9)),
    ("a value is 2e-9 too small", VIEWS, |item| scale(&mut item["counts"][FOR_EVER]["value"], 1.0 - 2e-9)),
    ("the sign of a value", VIEWS, |item| scale(&mut item["counts"][HOUR]["value"], -1.0)),
    ("the sign of a sum", PRICES, |item| scale(&mut item["counts"][FOR_EVER]["value"], -1.0)),
    ("a value of 0", VIEWS, |item| item["counts"]["10000"]["value"] = 0.0.into()),
    ("a value of 1e300", VIEWS, |item| item["counts"]["10000"]["value"] = 1e300.into()),
    ("one more", VIEWS, |item| {
        item["counts"][FOR_EVER]["value"] = (item["counts"][FOR_EVER]["value"].as_f64().unwrap() + 1.0).into()
    }),
    ("the values of two intervals are exchanged", VIEWS, |item| {
        let hour = item["counts"][HOUR]["value"].clone();
        let other = std::mem::replace(&mut item["counts"][FOR_EVER]["value"], hour);
        item["counts"][HOUR]["value"] = other;
    }),
    ("the last update is later by 1", VIEWS, |item| shift_last_update(item, 1)),
    ("the last update is earlier by 1", VIEWS, |item| shift_last_update(item, -1)),
    ("the last update of one interval is later", VIEWS, |item| {
        item["counts"][HOUR]["lastUpdate"] = (item["counts"][HOUR]["lastUpdate"].as_i64().unwrap() + 1).into()
    }),
    ("the last update is as early as can be", VIEWS, |item| {
        for_each_count(item, |count| count["lastUpdate"] = i64::MIN.into())
    }),
    ("the last update is as late as can be", VIEWS, |item| {
        for_each_count(item, |count| count["lastUpdate"] = i64::MAX.into())
    }),
    ("an interval is missing", VIEWS, |item| drop(item["counts"].as_object_mut().unwrap().remove(HOUR))),
    ("all intervals are missing", VIEWS, |item| item["counts"] = json!({})),
    ("there is an interval more", VIEWS, |item| {
        item["counts"]["7"] = item["counts"][HOUR].clone();
        item["counts"]["7"]["decayInterval"] = 7.into();
    }),
    ("an interval is another", VIEWS, |item| {
        let mut count = item["counts"].as_object_mut().unwrap().remove(HOUR).unwrap();
        count["decayInterval"] = 3_600_001.into();
        item["counts"]["3600001"] = count;
    }),
    ("an interval stands under another's name", VIEWS, |item| item["counts"][HOUR]["decayInterval"] = 10_000.into()),
    ("squares are 2e-9 too large", DIVISOR, |item| scale(&mut item["counts"][HOUR]["squares"], 1.0 + 2e-9)),
    ("squares are missing", DIVISOR, |item| drop(item["counts"][HOUR].as_object_mut().unwrap().remove("squares"))),
    ("squares where there are none", VIEWS, |item| {
        for_each_count(item, |count| count["squares"] = count["value"].clone())
    }),
    ("squares with uniques", EXACT, |item| item["counts"][HOUR]["squares"] = 1.0.into()),
    ("an estimate is 12 standard errors too large", SKETCH, |item| {
        scale(&mut item["counts"][FOR_EVER]["value"], 1.0 + 12.0 / 254f64.sqrt())
    }),
    ("an estimate is 12 standard errors too small", SKETCH, |item| {
        scale(&mut item["counts"][HOUR]["value"], 1.0 - 12.0 / 254f64.sqrt())
    }),
    ("exact uniques are one too many", EXACT, |item| {
        item["counts"][FOR_EVER]["value"] = (item["counts"][FOR_EVER]["value"].as_f64().unwrap() + 1.0).into()
    }),
    ("another standard error", SKETCH, |item| item["counts"][HOUR]["error"] = 0.05.into()),
    ("no standard error", SKETCH, |item| drop(item["counts"][HOUR].as_object_mut().unwrap().remove("error"))),
    ("an estimate that says that it is exact", SKETCH, |item| {
        for_each_count(item, |count| count["error"] = 0.0.into())
    }),
    ("exact uniques that say that they are an estimate", EXACT, |item| {
        for_each_count(item, |count| count["error"] = (1.0 / 254f64.sqrt()).into())
    }),
    ("a standard error of what is no estimate", VIEWS, |item| item["counts"][HOUR]["error"] = 0.0.into()),
    ("it expires a second later", PRICES, |item| item["expiresAt"] = (item["expiresAt"].as_i64().unwrap() + 1).into()),
    ("it never expires", PRICES, |item| drop(item.as_object_mut().unwrap().remove("expiresAt"))),
    ("it expires, and should not", VIEWS, |item| item["expiresAt"] = 2_000_000_000.into()),
    ("less than there is, and more than from any event on", VIEWS, |item| {
        item["since"] = item["counts"][HOUR]["lastUpdate"].clone();
        item["counts"][FOR_EVER]["value"] = (item["counts"][FOR_EVER]["value"].as_f64().unwrap() - 1.0).into();
    }),
];

#[test]
fn an_item_with_anything_wrong_is_told() {
    let (place, _) = world(900);
    count(&place, "sqlite:items.db", &[]);
    let items = Items::of(&place, "sqlite:items.db");
    for (index, (name, (key, feature), change)) in FAULTS.into_iter().enumerate() {
        let mut changed = items.clone();
        let before = changed.item(key, feature).clone();
        change(changed.item(key, feature));
        assert_ne!(before, *changed.item(key, feature), "{name}");
        changed.write(&place, "changed.jsonl");
        let workers = if index % 2 == 0 { "1" } else { "2" };
        let found = disagrees(verify(&place, "jsonl:changed.jsonl", &["-w", workers]));
        assert_eq!(found, BTreeSet::from([told("off", key, feature)]), "{name}");
    }
}
