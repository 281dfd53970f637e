//! Requests that make, change and delete tables.

use serde_json::{Value, json};

use super::case::{Cases, Shown, and};

pub fn of_tables(cases: &mut Cases) {
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
