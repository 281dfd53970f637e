//! Requests that put items: numbers, values, keys, sizes, batches.

use serde_json::{Value, json};

use super::case::{Cases, and, batch, delete, key, n, put, s, with};

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

pub fn of_numbers(cases: &mut Cases) {
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

pub fn of_values(cases: &mut Cases) {
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

pub fn of_keys(cases: &mut Cases) {
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

/// Write units at the limits, by the sizes of values: an item that is just 1 KB large, and one byte more.
pub fn of_sizes(cases: &mut Cases) {
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

pub fn of_batches(cases: &mut Cases) {
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
