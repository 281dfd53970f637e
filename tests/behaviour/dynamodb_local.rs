//! DynamoDB Local, as tests reach it beside the program: through the AWS SDK alone. `scripts/test` starts it, and says in
//! `DYNAMODB_ENDPOINT` where it is.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;

pub fn endpoint() -> String {
    std::env::var("DYNAMODB_ENDPOINT").expect("DYNAMODB_ENDPOINT names DynamoDB Local")
}

/// A name that no other test and no earlier run of this one has used.
pub fn new_name(purpose: &str) -> String {
    format!("{purpose}-{}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos())
}

/// Runs a request of the AWS SDK's own.
pub fn block_on<T>(request: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(request)
}

pub async fn client() -> Client {
    let credentials = aws_sdk_dynamodb::config::Credentials::new("local", "local", None, None, "test");
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .endpoint_url(endpoint())
        .credentials_provider(credentials);
    Client::new(&config.load().await)
}

/// How many items a table has itself.
pub async fn count_items(table: &str) -> usize {
    let (client, mut count, mut start) = (client().await, 0, None);
    loop {
        let page = client.scan().table_name(table).set_exclusive_start_key(start).send().await.unwrap();
        count += page.items().len();
        start = page.last_evaluated_key;
        if start.is_none() {
            return count;
        }
    }
}
