//! Requests with expressions: conditions, updates, queries; and other reads.

use serde_json::{Value, json};

use super::case::{Cases, Shown, and, batch, key, n, put, s, values, with};

pub fn of_conditions(cases: &mut Cases) {
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

pub fn of_updates(cases: &mut Cases) {
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

pub fn of_reads(cases: &mut Cases) {
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
