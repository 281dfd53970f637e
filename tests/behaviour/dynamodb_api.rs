//! The fake of the DynamoDB API against DynamoDB Local: the same requests to both, good and bad, with the same effect.
//!
//! Compared are status, error code and what of the answer matters; not messages: the fake's are the service's, which those of
//! DynamoDB Local often are not. Where DynamoDB Local is known to differ from the service, the request says how.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::dynamodb_fake::FakeDynamoDb;

/// What is compared of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    /// All.
    Body,
    /// All, but for the order of items, which a Scan and a batch of gets leave open.
    Unordered,
    /// How many items there are, and whether more follow.
    Counts,
    /// Of a table: status, key, billing.
    Table,
    /// Status and error code only.
    Code,
}

/// One request. `{table}` stands for the table.
#[derive(Clone, Debug)]
struct Case {
    name: String,
    operation: &'static str,
    body: String,
    shown: Shown,
    /// What the service answers, and DynamoDB Local, where these differ.
    differs: Option<[Outcome; 2]>,
}

/// A status, an error code (empty for none), and what is shown of the answer.
type Outcome = (u16, String, Value);

#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn add(&mut self, name: impl Into<String>, operation: &'static str, body: Value) -> &mut Case {
        let case = Case { name: name.into(), operation, body: body.to_string(), shown: Shown::Body, differs: None };
        self.0.push(case);
        self.0.last_mut().unwrap()
    }

    /// One that gets an item, to see what was put.
    fn get(&mut self, name: impl Into<String>, key: Value) {
        self.add(name, "GetItem", json!({"TableName": "{table}", "Key": key, "ReturnConsumedCapacity": "TOTAL"}));
    }

    fn put(&mut self, name: impl Into<String>, item: Value) -> &mut Case {
        self.add(name, "PutItem", json!({"TableName": "{table}", "Item": item, "ReturnConsumedCapacity": "TOTAL"}))
    }
}

impl Case {
    fn shows(&mut self, shown: Shown) -> &mut Case {
        self.shown = shown;
        self
    }

    /// DynamoDB Local answers something else than the service.
    fn differs(&mut self, service: (u16, &str), local: (u16, &str)) {
        self.shown = Shown::Code;
        self.differs = Some([service, local].map(|(status, code)| (status, code.to_owned(), Value::Null)));
    }
}

pub fn s(text: &str) -> Value {
    json!({ "S": text })
}

pub fn n(text: &str) -> Value {
    json!({ "N": text })
}

pub fn key(hash: &str, range: &str) -> Value {
    json!({"key": s(hash), "featureName": s(range)})
}

pub fn with(mut item: Value, name: &str, value: Value) -> Value {
    item[name] = value;
    item
}

/// Merges the members of the second into the first.
fn and(mut body: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

const NUMBERS: [&str; 50] = [
    "0",
    "-0",
    "1",
    "+1",
    "-1",
    "1.",
    ".5",
    "-.5",
    "000123.4500",
    "1e3",
    "1E3",
    "1e+3",
    "1e-3",
    "12.50e1",
    "0e400",
    "0.0",
    "100",
    "1e20",
    "123456789.123456789",
    "0.1234567890123456789012345678901234567",
    "99999999999999999999999999999999999999",
    "100000000000000000000000000000000000000",
    "9.9999999999999999999999999999999999999e125",
    "1e-130",
    "-1e-130",
    "-9.99e125",
    "2.2250738585072014",
    "1e125",
    "4.800000000000001",
    "123456789012345678901234567890123456789",
    "0.123456789012345678901234567890123456789",
    "1e126",
    "-1e126",
    "1e-131",
    "-1e-131",
    "1e400",
    "1e-400",
    "",
    "NaN",
    "Infinity",
    "-Infinity",
    "0x10",
    " 1",
    "1 ",
    "1_0",
    "1f",
    "e1",
    "1e",
    "--1",
    ".",
];

fn of_numbers(cases: &mut Cases) {
    for number in NUMBERS {
        let name = format!("number '{number}'");
        cases.put(name.clone(), with(key(&name, "n"), "v", n(number)));
        cases.get(format!("{name}, read"), key(&name, "n"));
    }
    cases
        .put("a number that is none in JSON's text", with(key("n", "n"), "v", json!({"N": 5})))
        .differs((400, "SerializationException"), (200, ""));
    cases.put("a set of numbers", with(key("n", "n"), "v", json!({"NS": ["1.0", "20"]})));
    cases.put("a set of no numbers", with(key("n", "n"), "v", json!({"NS": ["x"]})));
    cases.put("a set of one number twice", with(key("n", "n"), "v", json!({"NS": ["1", "1.0"]})));
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(s("x"), |value, _| json!({ "L": [value] }))
}

fn of_values(cases: &mut Cases) {
    let values = [
        json!({}),
        json!({"S": "a", "N": "1"}),
        json!({"X": "1"}),
        json!({"S": null}),
        json!({"NULL": true}),
        json!({"NULL": false}),
        json!({"BOOL": true}),
        json!({"B": "AAAA"}),
        json!({"B": ""}),
        s(""),
        s("ü"),
        json!({"SS": []}),
        json!({"SS": ["a", "a"]}),
        json!({"SS": [""]}),
        json!({"M": {}}),
        json!({"L": []}),
        json!({"M": {"a": {}}}),
        json!({"L": [{}]}),
        json!({"M": {"": s("a")}}),
        json!({"M": {"a": n("NaN")}}),
        json!({"L": [n("1e126")]}),
        json!({"M": {"a": n("1"), "b": {"L": [s("x"), {"BOOL": false}]}}}),
        nested(30),
        nested(31),
        nested(32),
        nested(40),
    ];
    for (i, value) in values.into_iter().enumerate() {
        let name = format!("value {i} {}", value.to_string().chars().take(60).collect::<String>());
        cases.put(name.clone(), with(key(&name, "v"), "v", value));
        cases.get(format!("{name}, read"), key(&name, "v"));
    }
    let inside = |number: &str| json!({"Item": with(key("inside", "v"), "v", json!({"M": {"a": n(number)}}))});
    cases.put("a number inside a map", inside("1.50")["Item"].clone());
    let read = json!({"TableName": "{table}", "Key": key("inside", "v")});
    // DynamoDB Local gives a number inside a map, or one that was SET, back as it was sent.
    cases.add("a number inside a map, read", "GetItem", read).differs =
        Some(["1.5", "1.50"].map(|number| (200, String::new(), inside(number))));
    cases.put("an attribute without a name", with(key("v", "v"), "", s("x")));
    for value in [json!({"BOOL": "x"}), json!({"B": "!!"}), json!("x")] {
        let case = cases.put(format!("no value: {value}"), with(key("v", "v"), "v", value));
        case.differs((400, "SerializationException"), (500, "InternalFailure"));
    }
}

fn of_keys(cases: &mut Cases) {
    let long = |bytes: usize| "x".repeat(bytes);
    // Two bytes a character.
    let wide = |bytes: usize| "ü".repeat(bytes / 2);
    let keys = [
        ("both", key("k", "f")),
        ("no range", json!({"key": s("k")})),
        ("no hash", json!({"featureName": s("f")})),
        ("empty hash", key("", "f")),
        ("empty range", key("k", "")),
        ("a number as hash", json!({"key": n("1"), "featureName": s("f")})),
        ("a number as range", json!({"key": s("k"), "featureName": n("1")})),
        ("the longest hash", key(&long(2048), "f")),
        ("too long a hash", key(&long(2049), "f")),
        ("the longest hash of wide characters", key(&wide(2048), "f")),
        ("too long a hash of wide characters", key(&wide(2050), "f")),
        ("the longest range", key("k", &long(1024))),
        ("too long a range", key("k", &long(1025))),
        ("too long a range of wide characters", key("k", &wide(1026))),
        ("a key with a NUL", key("a\u{0}b", "f")),
        ("another attribute", json!({"key": s("k"), "other": s("f")})),
    ];
    for (name, key) in keys {
        cases.put(format!("put: {name}"), with(key.clone(), "v", s("1")));
        cases.get(format!("get: {name}"), key.clone());
        cases.add(format!("batch put: {name}"), "BatchWriteItem", batch([put(with(key.clone(), "v", s("1")))]));
        cases.add(format!("batch delete: {name}"), "BatchWriteItem", batch([delete(key)]));
    }
    cases.get("a key with more than the key", with(key("k", "f"), "v", s("1")));
}

pub fn put(item: Value) -> Value {
    json!({"PutRequest": {"Item": item}})
}

fn delete(key: Value) -> Value {
    json!({"DeleteRequest": {"Key": key}})
}

fn batch(requests: impl IntoIterator<Item = Value>) -> Value {
    json!({"RequestItems": {"{table}": requests.into_iter().collect::<Value>()}, "ReturnConsumedCapacity": "TOTAL"})
}

/// Write units at the limits, by the sizes of values: an item that is just 1 KB large, and one byte more.
fn of_sizes(cases: &mut Cases) {
    let values = [
        (n("0"), 1),
        (n("1"), 2),
        (n("12"), 2),
        (n("123"), 3),
        (n("-1"), 3),
        (n("-123"), 4),
        (n("1.5"), 3),
        (n("150"), 3),
        (n("1e20"), 2),
        (n("12e19"), 3),
        (n("0.0123"), 3),
        (n("10.01"), 3),
        (n("123456789.123456789"), 11),
        (s("ü"), 2),
        (json!({"M": {"a": n("1"), "b": n("2")}}), 11),
        (json!({"L": [n("1")]}), 6),
        (json!({"BOOL": true}), 1),
        (json!({"B": "AAAA"}), 3),
        (json!({"SS": ["ab", "c"]}), 3),
        (json!({"NS": ["1", "2"]}), 4),
    ];
    for (i, (value, bytes)) in values.into_iter().enumerate() {
        let hash = format!("size {i:02}");
        let others = "keyfeatureNamevp".len() + hash.len() + 1 + bytes;
        for pad in [1024 - others, 1025 - others] {
            let item = with(
                with(key(&hash, if pad % 2 == 0 { "e" } else { "o" }), "v", value.clone()),
                "p",
                s(&"x".repeat(pad)),
            );
            cases.put(format!("size of {value}, {pad} bytes beside"), item);
        }
    }
    let rest = 400 * 1024 - "keyfeatureNamevlf".len() - 2;
    for more in [0, 1] {
        let item = with(key("la", "f"), "vl", s(&"x".repeat(rest + more - 1)));
        cases.put(format!("400 KB and {more}"), item);
    }
    let large = || with(key("larger", "f"), "v", s(&"x".repeat(5_000)));
    cases.put("a large item", large());
    cases.put("a small one in its place costs as much", key("larger", "f"));
    cases.put("and then no more", key("larger", "f"));
    cases.put("a large item again", large());
    cases.add("it costs as much to delete", "BatchWriteItem", batch([delete(key("larger", "f"))]));
    let delete = json!({"TableName": "{table}", "Key": key("none", "f"), "ReturnConsumedCapacity": "TOTAL"});
    cases.add("what is not there costs one to delete", "DeleteItem", delete);
}

fn of_batches(cases: &mut Cases) {
    let items = |count: usize| (0..count).map(|i| put(with(key(&format!("b{i}"), "f"), "v", n("1.50"))));
    cases.add("25 puts", "BatchWriteItem", batch(items(25)));
    cases.add("26 puts", "BatchWriteItem", batch(items(26)));
    cases.add("no puts", "BatchWriteItem", batch([]));
    cases.add("the same put twice", "BatchWriteItem", batch([put(key("a", "f")), put(key("a", "f"))]));
    cases.add("a put and a delete of one item", "BatchWriteItem", batch([put(key("a", "f")), delete(key("a", "f"))]));
    cases.add("a put and a delete", "BatchWriteItem", batch([put(key("a", "f")), delete(key("b0", "f"))]));
    cases.get("the deleted one", key("b0", "f"));
    cases.add("a request for nothing", "BatchWriteItem", batch([json!({})]));
    let both = and(put(key("a", "f")), &delete(key("b", "f")));
    cases.add("a put and a delete in one", "BatchWriteItem", batch([both]));
    cases.add(
        "a bad one among good",
        "BatchWriteItem",
        batch([put(key("good", "f")), put(with(key("bad", "f"), "v", n("NaN")))]),
    );
    cases.get("the good one is not written", key("good", "f"));
    let large = with(key("bad", "f"), "v", s(&"x".repeat(410_000)));
    cases.add("too large a one among good", "BatchWriteItem", batch([put(key("good", "f")), put(large)]));
    cases.get("the good one is not written either", key("good", "f"));
    cases.add("nothing at all", "BatchWriteItem", json!({"RequestItems": {}}));
    cases.add("no requests", "BatchWriteItem", json!({}));
    cases.add("no such table", "BatchWriteItem", json!({"RequestItems": {"no-such-table": [put(key("a", "f"))]}}));
    let two = json!({"RequestItems": {"{table}": [put(key("two", "f"))], "no-such-table": [put(key("a", "f"))]}});
    cases.add("one table of two", "BatchWriteItem", two);
    cases.get("nothing is written to the other", key("two", "f"));
    let asked = and(batch([put(key("a", "f"))]), &json!({"ReturnConsumedCapacity": "NONE"}));
    cases.add("no capacity asked for", "BatchWriteItem", asked);
    let asked = and(batch([put(key("a", "f"))]), &json!({"ReturnConsumedCapacity": "X"}));
    cases.add("a capacity that is none", "BatchWriteItem", asked).differs((400, "ValidationException"), (200, ""));
    let large = |i: usize| put(with(key(&format!("large {i}"), "f"), "v", s(&"x".repeat(390_000))));
    cases.add("25 items of 390 KB", "BatchWriteItem", batch((0..25).map(large)));
}

fn values(pairs: &[(&str, Value)]) -> Value {
    json!({"ExpressionAttributeValues": pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<Map<_, _>>()})
}

fn of_conditions(cases: &mut Cases) {
    let item = with(key("c", "f"), "version", n("7"));
    let put = |condition: &str, more: &Value| {
        let body = json!({"TableName": "{table}", "Item": item, "ConditionExpression": condition,
                          "ReturnValuesOnConditionCheckFailure": "ALL_OLD", "ReturnConsumedCapacity": "TOTAL"});
        and(body, more)
    };
    let v = |text: &str| values(&[(":v", n(text))]);
    let vw = |v: &str, w: &str| values(&[(":v", n(v)), (":w", n(w))]);
    let fence = "attribute_not_exists(version) OR version < :v";
    let conditions = [
        ("attribute_not_exists(version)", json!({})),
        ("attribute_not_exists(version)", json!({})),
        ("attribute_exists(version)", json!({})),
        (fence, v("7")),
        (fence, v("8")),
        (fence, v("7.0")),
        (fence, v("7.5")),
        (fence, v("100")),
        (fence, v("-1")),
        ("version < :v", json!({})),
        ("version < :v", json!({"ExpressionAttributeValues": {}})),
        ("#n < :v", v("9")),
        ("#n < :v", and(v("9"), &json!({"ExpressionAttributeNames": {"#n": "version"}}))),
        ("version < :v", and(v("9"), &json!({"ExpressionAttributeNames": {"#n": "version"}}))),
        ("version < :v", and(v("9"), &json!({"ExpressionAttributeNames": {}}))),
        ("version < :v", and(v("9"), &json!({"ExpressionAttributeNames": {"n": "x"}}))),
        ("version = :v", vw("7", "8")),
        ("version = :v", values(&[("v", n("7"))])),
        ("version = :v", values(&[(":v", json!({}))])),
        ("version = :v", v("NaN")),
        ("key = :v", values(&[(":v", s("c"))])),
        ("value = :v", v("7")),
        ("version <", json!({})),
        ("", json!({})),
        ("version < < :v", v("7")),
        ("(version = :v", v("7")),
        ("version = :v)", v("7")),
        ("(version = :v)", v("7")),
        ("((version = :v))", v("7")),
        ("version = :v AND", v("7")),
        ("version = 7", json!({})),
        ("version ! :v", v("7")),
        ("nope(version)", json!({})),
        ("attribute_exists(:v)", v("7")),
        ("attribute_exists(version, counts)", json!({})),
        ("version = version", json!({})),
        ("version < :v", values(&[(":v", s("x"))])),
        ("version <> :v", values(&[(":v", s("x"))])),
        ("absent <> :v", v("7")),
        ("absent < :v", v("7")),
        ("absent = :v", v("7")),
        ("NOT version < :v", v("7")),
        ("NOT version < :v", v("8")),
        ("not (version < :v and version > :v)", v("7")),
        ("version BETWEEN :v AND :w", vw("1", "9")),
        ("version BETWEEN :v AND :w", vw("8", "9")),
        ("version BETWEEN :v AND :w", vw("9", "1")),
        ("version IN (:v, :w)", vw("1", "7")),
        ("version IN (:v, :w)", vw("1", "2")),
        ("begins_with(featureName, :v)", values(&[(":v", s("f"))])),
        ("begins_with(featureName, :v)", values(&[(":v", s("g"))])),
        ("begins_with(featureName, :v)", v("1")),
        ("size(featureName) = :v", v("1")),
        ("size(featureName) > :v", v("1")),
        ("contains(featureName, :v)", values(&[(":v", s("f"))])),
        ("version.a = :v", v("7")),
        ("version.a = :v OR version = :v", v("7")),
        ("counts[0] = :v OR version = :v", v("7")),
        (":v < :w", vw("1", "7")),
        (":v < version", v("1")),
        (":v >= version", v("1")),
        ("attribute_not_exists(version) OR version < :v AND version > :w", vw("8", "9")),
        ("(attribute_exists(version) OR version < :v) AND version > :w", vw("8", "6")),
        ("version > :v OR version < :v AND version < :v", v("7")),
    ];
    for (i, (condition, more)) in conditions.iter().enumerate() {
        cases.add(format!("condition {i}: {condition} {more}"), "PutItem", put(condition, more));
    }
    let body = |more: Value| and(json!({"TableName": "{table}", "Item": item}), &more);
    cases.add("values without an expression", "PutItem", body(v("7")));
    cases.add(
        "a failed condition says nothing unasked",
        "PutItem",
        body(json!({"ConditionExpression": "attribute_not_exists(version)"})),
    );
    cases.add("the item before", "PutItem", body(json!({"ReturnValues": "ALL_OLD"})));
    cases.add("the item after a put", "PutItem", body(json!({"ReturnValues": "ALL_NEW"})));
    cases.add("what is nothing to return", "PutItem", body(json!({"ReturnValuesOnConditionCheckFailure": "X"})));
    cases.add("no table named", "PutItem", json!({"Item": item}));
    cases.add("nothing to put", "PutItem", json!({"TableName": "{table}"}));
    cases.add("into no table", "PutItem", json!({"TableName": "no-such-table", "Item": item}));
    cases.add("a table's name that cannot be", "PutItem", json!({"TableName": "a b c", "Item": item}));
    let absent = and(
        json!({"TableName": "{table}", "Item": key("absent", "f"), "ConditionExpression": "version < :v",
                            "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}),
        &v("7"),
    );
    cases.add("a condition on an item that is not there", "PutItem", absent);
}

fn of_updates(cases: &mut Cases) {
    let update = |expression: &str, more: &Value| {
        let body = json!({"TableName": "{table}", "Key": key("u", "f"), "UpdateExpression": expression,
                          "ReturnConsumedCapacity": "TOTAL"});
        and(body, more)
    };
    let v = |value: Value| values(&[(":v", value)]);
    let shown = |how: &str, more: Value| and(json!({ "ReturnValues": how }), &more);
    let updates = [
        ("SET version = :v", shown("ALL_NEW", v(n("3")))),
        (
            "SET version = version + :v, m = :m REMOVE zz",
            shown("ALL_NEW", values(&[(":v", n("3")), (":m", json!({"M": {"a": n("1")}}))])),
        ),
        ("SET m.b = :v, n = if_not_exists(n, :v)", shown("ALL_NEW", v(n("3")))),
        ("SET n = if_not_exists(n, :v)", shown("ALL_NEW", v(n("4")))),
        ("SET version = version - :v", shown("UPDATED_NEW", v(n("0.5")))),
        ("SET q.b = :v", v(n("3"))),
        ("SET featureName = :v", v(s("x"))),
        ("REMOVE m.b, n", shown("ALL_OLD", json!({}))),
        ("SET version = :v, version = :v", v(n("1"))),
        ("SET m = :v, m.a = :v", v(n("1"))),
        ("", json!({})),
        ("SET x = absent + :v", v(n("1"))),
        ("SET version :v", v(n("1"))),
        ("FOO version = :v", v(n("1"))),
        ("SET x = :v - :v", shown("UPDATED_NEW", v(n("9")))),
        ("SET x = :v SET y = :v", v(n("9"))),
        ("SET version = :v + x", v(s("x"))),
        ("SET x = :v", v(s(&"x".repeat(409_600)))),
        ("SET nn = :v", v(n("NaN"))),
        ("set nn = :v remove version", shown("ALL_NEW", v(n("1")))),
        ("SET l = :v", shown("ALL_NEW", v(json!({"L": [n("1"), n("2")]})))),
        ("SET l[1] = :v", shown("ALL_NEW", v(s("x")))),
        ("SET l[7] = :v", shown("ALL_NEW", v(s("y")))),
        ("REMOVE l[0]", shown("ALL_NEW", json!({}))),
        ("SET x = :v", shown("X", v(n("1")))),
        ("REMOVE absent", json!({})),
    ];
    for (i, (expression, more)) in updates.iter().enumerate() {
        let name = format!("update {i}: {expression}");
        cases.add(name, "UpdateItem", update(expression, more));
    }
    let condition = json!({"ConditionExpression": "version > :v", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"});
    cases.add("an update whose condition fails", "UpdateItem", update("SET z = :v", &and(v(n("9")), &condition)));
    cases.add(
        "an update of half a key",
        "UpdateItem",
        and(update("SET z = :v", &v(n("9"))), &json!({"Key": {"key": s("a")}})),
    );
    cases.add("an update without an expression", "UpdateItem", json!({"TableName": "{table}", "Key": key("u2", "f")}));
    cases.get("makes an item of its key", key("u2", "f"));
    cases.get("what the updates have left", key("u", "f"));
    cases.add(
        "a delete",
        "DeleteItem",
        json!({"TableName": "{table}", "Key": key("u", "f"), "ReturnValues": "ALL_OLD"}),
    );
}

fn of_reads(cases: &mut Cases) {
    let items = (0..6).map(|i| put(with(key("q", &format!("f{i}")), "v", n(&i.to_string()))));
    cases.add("items to be read", "BatchWriteItem", batch(items));
    let query = |condition: &str, more: &Value| {
        let values = json!({":k": s("q")});
        let mut body = json!({"TableName": "{table}", "KeyConditionExpression": condition, "ReturnConsumedCapacity": "TOTAL",
                              "ExpressionAttributeNames": {"#k": "key"}, "ExpressionAttributeValues": values});
        for (name, value) in more.as_object().unwrap() {
            if name.starts_with(':') {
                body["ExpressionAttributeValues"][name] = value.clone();
            } else {
                body[name] = value.clone();
            }
        }
        body
    };
    let f = |text: &str| json!({ ":f": s(text) });
    let queries = [
        ("#k = :k", json!({})),
        ("#k = :k", json!({"Limit": 2})),
        ("#k = :k", json!({"Limit": 6})),
        ("#k = :k", json!({"Limit": 7})),
        ("#k = :k", json!({"Limit": 2, "ExclusiveStartKey": key("q", "f1")})),
        ("#k = :k", json!({"ExclusiveStartKey": key("q", "f5")})),
        ("#k = :k", json!({"ExclusiveStartKey": {"key": s("q")}})),
        ("#k = :k", json!({"ExclusiveStartKey": key("b", "x")})),
        ("#k = :k", json!({"Limit": 0})),
        ("#k = :k AND featureName = :f", f("f3")),
        ("#k = :k AND featureName = :f", f("none")),
        ("#k = :k AND begins_with(featureName, :f)", f("f")),
        ("#k = :k AND begins_with(featureName, :f)", f("g")),
        ("#k = :k AND featureName BETWEEN :f AND :g", json!({":f": s("f2"), ":g": s("f3")})),
        ("#k = :k AND featureName > :f", f("f3")),
        ("#k = :k AND featureName <= :f", f("f1")),
        ("featureName >= :f AND #k = :k", f("f5")),
        ("#k = :k AND featureName <> :f", f("f1")),
        ("#k > :k", json!({})),
        ("#k = :k AND v = :f", json!({":f": n("4")})),
        ("#k = :k OR featureName = :f", f("f1")),
        ("#k = :k AND featureName = :f AND featureName = :f", f("f1")),
        ("#k = :k", json!({":k": n("1")})),
        ("#k = :k", json!({":k": s("")})),
        ("#k = :k", json!({":k": s("none")})),
        ("#k = :k", json!({"ScanIndexForward": false, "Limit": 2})),
        ("#k = :k", json!({"ScanIndexForward": false, "ExclusiveStartKey": key("q", "f2")})),
        ("", json!({})),
        ("#k = :k", json!({"ConsistentRead": true})),
        ("#k = :k", json!({"ProjectionExpression": "v"})),
        ("#k = :k", json!({"Select": "COUNT"})),
        ("#k = :k", json!({"FilterExpression": "v > :f", ":f": n("3")})),
    ];
    for (i, (condition, more)) in queries.iter().enumerate() {
        let mut body = query(condition, more);
        if more.to_string().contains("none") || more == &f("g") || more["ExclusiveStartKey"] == key("q", "f5") {
            // DynamoDB Local lets nobody pay for finding nothing.
            body["ReturnConsumedCapacity"] = json!("NONE");
        }
        cases.add(format!("query {i}: {condition} {more}"), "Query", body);
    }
    cases.add("a query of everything", "Query", json!({"TableName": "{table}"}));
    let scan = |more: Value| and(json!({ "TableName": "{table}-small" }), &more);
    cases.add("a scan", "Scan", scan(json!({"ReturnConsumedCapacity": "TOTAL"}))).shows(Shown::Unordered);
    cases.add("a scan of some", "Scan", scan(json!({"Limit": 2}))).shows(Shown::Counts);
    cases.add("a scan of none", "Scan", scan(json!({"Limit": 0})));
    cases.add("a scan of all and more", "Scan", scan(json!({"Limit": 100}))).shows(Shown::Unordered);
    let filter = and(json!({"FilterExpression": "v > :v"}), &values(&[(":v", n("1"))]));
    cases.add("a scan that filters", "Scan", scan(filter)).shows(Shown::Unordered);
    cases.add("a scan from half a key", "Scan", json!({"TableName": "{table}", "ExclusiveStartKey": {"key": s("q")}}));
    cases.add("a scan of no table", "Scan", json!({"TableName": "no-such-table"}));
    cases.add(
        "a get of an attribute",
        "GetItem",
        json!({"TableName": "{table}", "Key": key("q", "f1"), "ProjectionExpression": "v, absent"}),
    );
    cases.add("a consistent get", "GetItem", json!({"TableName": "{table}", "Key": key("q", "f1"), "ConsistentRead": true, "ReturnConsumedCapacity": "TOTAL"}));
    cases.add("a get of no key", "GetItem", json!({"TableName": "{table}"}));
    cases.add("a get of no table", "GetItem", json!({"TableName": "no-such-table", "Key": key("q", "f1")}));
    let gets = |keys: Value| json!({"RequestItems": {"{table}": {"Keys": keys}}, "ReturnConsumedCapacity": "TOTAL"});
    cases.add("a batch of gets", "BatchGetItem", gets(json!([key("q", "f1"), key("q", "f2")]))).shows(Shown::Unordered);
    let missing = and(gets(json!([key("q", "f1"), key("q", "none")])), &json!({"ReturnConsumedCapacity": "NONE"}));
    cases.add("a batch of gets, one of nothing", "BatchGetItem", missing).shows(Shown::Unordered);
    cases.add("the same get twice", "BatchGetItem", gets(json!([key("q", "f1"), key("q", "f1")])));
    cases.add("101 gets", "BatchGetItem", gets((0..101).map(|i| key("q", &i.to_string())).collect()));
    cases.add("no gets", "BatchGetItem", gets(json!([])));
    cases.add("gets of nothing", "BatchGetItem", json!({"RequestItems": {}}));
    cases.add(
        "gets of no table",
        "BatchGetItem",
        json!({"RequestItems": {"no-such-table": {"Keys": [key("q", "f1")]}}}),
    );
    cases.add("a get of half a key", "BatchGetItem", gets(json!([{"key": s("q")}])));
}

fn of_tables(cases: &mut Cases) {
    let element = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
    let definition = |name: &str, kind: &str| json!({"AttributeName": name, "AttributeType": kind});
    let (a, b) = (element("a", "HASH"), element("b", "RANGE"));
    let (text, other) = (definition("a", "S"), definition("b", "S"));
    let on_demand = json!({"BillingMode": "PAY_PER_REQUEST"});
    let units = |read: u64, write: u64| json!({"ProvisionedThroughput": {"ReadCapacityUnits": read, "WriteCapacityUnits": write}});
    let creates = [
        (json!([a]), json!([text]), on_demand.clone()),
        (json!([a, b]), json!([text, other]), units(3, 4)),
        (json!([a]), json!([text]), json!({})),
        (json!([a]), json!([other]), on_demand.clone()),
        (json!([a]), json!([text, other]), on_demand.clone()),
        (json!([a, element("b", "HASH")]), json!([text, other]), on_demand.clone()),
        (json!([element("a", "RANGE")]), json!([text]), on_demand.clone()),
        (json!([]), json!([]), on_demand.clone()),
        (json!([a]), json!([definition("a", "X")]), on_demand.clone()),
        (json!([a, element("a", "RANGE")]), json!([text]), on_demand.clone()),
        (json!([a]), json!([text]), units(0, 1)),
        (json!([a]), json!([definition("a", "N")]), on_demand.clone()),
        (json!([a, b, element("c", "RANGE")]), json!([text, other, definition("c", "S")]), on_demand.clone()),
    ];
    for (i, (schema, definitions, more)) in creates.iter().enumerate() {
        let name = format!("{{table}}-c{i}");
        let body = and(json!({"TableName": name, "KeySchema": schema, "AttributeDefinitions": definitions}), more);
        cases.add(format!("create {i}"), "CreateTable", body).shows(Shown::Table);
        cases.add(format!("describe {i}"), "DescribeTable", json!({ "TableName": name })).shows(Shown::Table);
        cases.add(format!("delete {i}"), "DeleteTable", json!({ "TableName": name })).shows(Shown::Code);
    }
    let create = json!({"TableName": "{table}", "KeySchema": [a], "AttributeDefinitions": [text], "BillingMode": "PAY_PER_REQUEST"});
    cases.add("create it again", "CreateTable", create.clone());
    let both = and(and(create.clone(), &json!({"TableName": "{table}-both"})), &units(1, 1));
    cases.add("on demand and provisioned", "CreateTable", both).differs((400, "ValidationException"), (200, ""));
    let neither = and(create.clone(), &json!({"TableName": "{table}-neither", "BillingMode": "X"}));
    cases.add("neither", "CreateTable", neither).differs((400, "ValidationException"), (500, "InternalFailure"));
    cases.add("a table's name of two letters", "CreateTable", and(create, &json!({"TableName": "ab"})));

    let ttl = |table: &str, attribute: &str, enabled: bool| json!({"TableName": table, "TimeToLiveSpecification": {"AttributeName": attribute, "Enabled": enabled}});
    cases.add("ttl is off", "DescribeTimeToLive", json!({"TableName": "{table}"}));
    cases.add("ttl off when it is off", "UpdateTimeToLive", ttl("{table}", "expiresAt", false));
    cases.add("ttl by no attribute", "UpdateTimeToLive", ttl("{table}", "", true));
    cases.add("ttl on", "UpdateTimeToLive", ttl("{table}", "expiresAt", true));
    cases.add("ttl is on", "DescribeTimeToLive", json!({"TableName": "{table}"}));
    cases.add("ttl on when it is on", "UpdateTimeToLive", ttl("{table}", "expiresAt", true));
    cases.add("ttl on by another", "UpdateTimeToLive", ttl("{table}", "other", true));
    cases.add("ttl off by another", "UpdateTimeToLive", ttl("{table}", "other", false));
    cases.add("ttl off", "UpdateTimeToLive", ttl("{table}", "expiresAt", false));
    cases.add("ttl is off again", "DescribeTimeToLive", json!({"TableName": "{table}"}));
    cases.add("ttl of no table", "UpdateTimeToLive", ttl("no-such-table", "expiresAt", true));
    cases.add("ttl of nothing", "UpdateTimeToLive", json!({"TableName": "{table}"}));

    let update = |more: &Value| and(json!({"TableName": "{table}"}), more);
    cases.add("no change", "UpdateTable", update(&json!({})));
    cases.add("on demand as it is", "UpdateTable", update(&on_demand)).shows(Shown::Table);
    cases.add("provisioned without units", "UpdateTable", update(&json!({"BillingMode": "PROVISIONED"})));
    let provisioned = and(units(5, 6), &json!({"BillingMode": "PROVISIONED"}));
    cases.add("provisioned", "UpdateTable", update(&provisioned)).shows(Shown::Table);
    cases.add("is provisioned", "DescribeTable", json!({"TableName": "{table}"})).shows(Shown::Table);
    cases.add("other units", "UpdateTable", update(&units(7, 8))).shows(Shown::Table);
    cases.add("on demand again", "UpdateTable", update(&on_demand)).shows(Shown::Table);
    cases.add("is on demand again", "DescribeTable", json!({"TableName": "{table}"})).shows(Shown::Table);
    let case = cases.add("units for a table on demand", "UpdateTable", update(&units(7, 8)));
    case.differs((400, "ValidationException"), (200, ""));
    cases.add("change no table", "UpdateTable", and(on_demand, &json!({"TableName": "no-such-table"})));
    for operation in ["DescribeTable", "DeleteTable", "DescribeTimeToLive"] {
        cases.add(format!("{operation} of no table"), operation, json!({"TableName": "no-such-table"}));
    }
    let unknown = (400, "UnknownOperationException");
    let backups =
        json!({"TableName": "{table}", "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}});
    cases.add("backups", "DescribeContinuousBackups", json!({"TableName": "{table}"})).differs((200, ""), unknown);
    cases.add("backups on", "UpdateContinuousBackups", backups).differs((200, ""), unknown);
    let missing = json!({"TableName": "no-such-table"});
    cases
        .add("backups of no table", "DescribeContinuousBackups", missing)
        .differs((400, "TableNotFoundException"), unknown);
    cases.add("an operation that there is not", "Nonsense", json!({"TableName": "{table}"}));
    let broken = cases.add("no JSON", "PutItem", json!({}));
    broken.body = "{\"TableName\":".to_owned();
    broken.differs((400, "SerializationException"), (500, "InternalFailure"));
    cases.add("delete the table", "DeleteTable", json!({"TableName": "{table}"})).shows(Shown::Code);
    cases.add("it is gone", "DescribeTable", json!({"TableName": "{table}"}));
}

fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    for name in ["{table}", "{table}-small"] {
        let elements = [("key", "HASH"), ("featureName", "RANGE")];
        let schema: Value =
            elements.map(|(name, kind)| json!({"AttributeName": name, "KeyType": kind})).into_iter().collect();
        let texts: Value =
            elements.map(|(name, _)| json!({"AttributeName": name, "AttributeType": "S"})).into_iter().collect();
        let body = json!({"TableName": name, "KeySchema": schema, "AttributeDefinitions": texts, "BillingMode": "PAY_PER_REQUEST"});
        cases.add(format!("create {name}"), "CreateTable", body).shows(Shown::Table);
    }
    let small = (0..4).map(|i| put(with(key(&format!("s{i}"), "f"), "v", n(&i.to_string()))));
    let small: Value = small.collect();
    cases.add("fill the small one", "BatchWriteItem", json!({"RequestItems": {"{table}-small": small}}));
    of_numbers(&mut cases);
    of_values(&mut cases);
    of_keys(&mut cases);
    of_sizes(&mut cases);
    of_batches(&mut cases);
    of_conditions(&mut cases);
    of_updates(&mut cases);
    of_reads(&mut cases);
    of_tables(&mut cases);
    cases.0
}

/// Sends a request; returns status and body.
fn send(endpoint: &str, operation: &str, body: &str) -> (u16, Value) {
    try_send(endpoint, operation, body).unwrap()
}

/// The same; an error where the connection breaks.
pub fn try_send(endpoint: &str, operation: &str, body: &str) -> std::io::Result<(u16, Value)> {
    let address = endpoint.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address)?;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.0\r\n\
         x-amz-target: DynamoDB_20120810.{operation}\r\nauthorization: AWS4-HMAC-SHA256 \
         Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status =
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
    let body = &answer[end + 4..];
    Ok((status, serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body)))))
}

fn outcome(case: &Case, endpoint: &str, table: &str) -> Outcome {
    let (status, body) = send(endpoint, case.operation, &case.body.replace("{table}", table));
    if status != 200 {
        let code = body["__type"].as_str().unwrap_or_default().rsplit('#').next().unwrap_or_default().to_owned();
        return (status, code, body["Item"].clone());
    }
    (status, String::new(), shown(case.shown, body))
}

fn shown(what: Shown, mut body: Value) -> Value {
    match what {
        Shown::Body => body,
        Shown::Unordered => {
            // Of a Scan, and of a batch of gets.
            let of_tables = body.get("Responses").and_then(Value::as_object).cloned().unwrap_or_default();
            for (table, _) in of_tables {
                body["Responses"][&table].as_array_mut().unwrap().sort_by_key(Value::to_string);
            }
            if let Some(items) = body.get_mut("Items") {
                items.as_array_mut().unwrap().sort_by_key(Value::to_string);
            }
            body
        }
        Shown::Counts => json!([body["Count"], body["ScannedCount"], body.get("LastEvaluatedKey").is_some()]),
        Shown::Code => Value::Null,
        Shown::Table => {
            let table = body.get("Table").unwrap_or(&body["TableDescription"]);
            let units = &table["ProvisionedThroughput"];
            let mode = table["BillingModeSummary"]["BillingMode"].as_str().unwrap_or("PROVISIONED");
            json!([
                table["TableStatus"],
                table["KeySchema"],
                table["AttributeDefinitions"],
                mode,
                units["ReadCapacityUnits"],
                units["WriteCapacityUnits"]
            ])
        }
    }
}

#[test]
#[ignore = "needs DynamoDB Local"]
fn the_fake_answers_as_dynamodb_local_does() {
    let local = std::env::var("DYNAMODB_ENDPOINT").expect("DYNAMODB_ENDPOINT names DynamoDB Local");
    let fake = FakeDynamoDb::fast();
    let table = format!("api-{}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos());
    let cases = cases();
    let mut differ = Vec::new();
    for case in &cases {
        let [of_fake, of_local] = [fake.endpoint(), local.clone()].map(|endpoint| outcome(case, &endpoint, &table));
        let expected = case.differs.clone().unwrap_or_else(|| [of_local.clone(), of_local.clone()]);
        let text = |(status, code, body): &Outcome| {
            format!("{status} {code} {}", body.to_string().chars().take(300).collect::<String>())
        };
        for (who, got, expected) in [("the fake", &of_fake, &expected[0]), ("DynamoDB Local", &of_local, &expected[1])]
        {
            if got != expected {
                differ.push(format!("{}\n  {who}: {}\n  expected: {}", case.name, text(got), text(expected)));
            }
        }
    }
    assert!(cases.len() >= 200, "{} requests", cases.len());
    assert!(differ.is_empty(), "{} of {} requests:\n{}", differ.len(), cases.len(), differ.join("\n"));
}
