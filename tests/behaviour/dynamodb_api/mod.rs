//! The fake of the DynamoDB API against DynamoDB Local: the same requests to both, good and bad, with the same effect.
//!
//! Compared are status, error code and what of the answer matters; not messages: the fake's are the service's, which those of
//! DynamoDB Local often are not. Where DynamoDB Local is known to differ from the service, the request says how.

mod case;
mod expressions;
mod items;
mod tables;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::dynamodb_fake::FakeDynamoDb;
use case::{Case, Cases, Outcome, Shown};
pub use case::{key, n, put, s, with};

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
    items::of_numbers(&mut cases);
    items::of_values(&mut cases);
    items::of_keys(&mut cases);
    items::of_sizes(&mut cases);
    items::of_batches(&mut cases);
    expressions::of_conditions(&mut cases);
    expressions::of_updates(&mut cases);
    expressions::of_reads(&mut cases);
    tables::of_tables(&mut cases);
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
