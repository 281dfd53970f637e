//! One request to both, and what it is made of.

use serde_json::{Map, Value, json};

/// What is compared of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shown {
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
pub struct Case {
    pub name: String,
    pub operation: &'static str,
    pub body: String,
    pub shown: Shown,
    /// What the service answers, and DynamoDB Local, where these differ.
    pub differs: Option<[Outcome; 2]>,
}

/// A status, an error code (empty for none), and what is shown of the answer.
pub type Outcome = (u16, String, Value);

#[derive(Default)]
pub struct Cases(pub Vec<Case>);

impl Cases {
    pub fn add(&mut self, name: impl Into<String>, operation: &'static str, body: Value) -> &mut Case {
        let case = Case { name: name.into(), operation, body: body.to_string(), shown: Shown::Body, differs: None };
        self.0.push(case);
        self.0.last_mut().unwrap()
    }

    /// One that gets an item, to see what was put.
    pub fn get(&mut self, name: impl Into<String>, key: Value) {
        self.add(name, "GetItem", json!({"TableName": "{table}", "Key": key, "ReturnConsumedCapacity": "TOTAL"}));
    }

    pub fn put(&mut self, name: impl Into<String>, item: Value) -> &mut Case {
        self.add(name, "PutItem", json!({"TableName": "{table}", "Item": item, "ReturnConsumedCapacity": "TOTAL"}))
    }
}

impl Case {
    pub fn shows(&mut self, shown: Shown) -> &mut Case {
        self.shown = shown;
        self
    }

    /// DynamoDB Local answers something else than the service.
    pub fn differs(&mut self, service: (u16, &str), local: (u16, &str)) {
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
pub fn and(mut body: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

pub fn put(item: Value) -> Value {
    json!({"PutRequest": {"Item": item}})
}

pub fn delete(key: Value) -> Value {
    json!({"DeleteRequest": {"Key": key}})
}

pub fn batch(requests: impl IntoIterator<Item = Value>) -> Value {
    json!({"RequestItems": {"{table}": requests.into_iter().collect::<Value>()}, "ReturnConsumedCapacity": "TOTAL"})
}

pub fn values(pairs: &[(&str, Value)]) -> Value {
    json!({"ExpressionAttributeValues": pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<Map<_, _>>()})
}
