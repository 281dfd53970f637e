//! Tables of DynamoDB, by a stand-in for it.

use serde_json::json;

use super::world::{Log, PIPELINE};
use super::{agrees, count, disagrees, place, told, verify};
use crate::dynamodb_api::{s, try_send};
use crate::dynamodb_fake::{FakeDynamoDb, Fault};

#[test]
fn a_table_is_scanned_and_compared_item_by_item() {
    let log = Log::of_world(600);
    for (name, section, range) in [
        ("Features", "", "featureName"),
        ("Packed", "[publish]\nlayout = \"key\"\n", "keyFields"),
        ("Maps", "[publish]\nlayout = \"key\"\nencoding = \"map\"\n", "keyFields"),
    ] {
        let fake = FakeDynamoDb::start(|_| Fault::None);
        let table = format!("[dynamodb]\ntable = \"{name}\"\nendpoint = \"{}\"\n", fake.endpoint());
        let place = place(&format!("{PIPELINE}{section}{table}"), &log.text());
        place.run(&["table", "p.toml"]).exits(0);
        count(&place, "dynamodb", &["-w", "2"]);
        let found = agrees(verify(&place, "dynamodb", &["-w", "2"]));
        assert_eq!([&found["rows"], &found["equal"]], [&json!(log.rows(PIPELINE).len()); 2]);
        // What never expires must be there.
        let of_item = if range == "featureName" { "user.view.count" } else { "user#0" };
        let key = json!({ "key": s("zoë"), range: s(of_item) });
        let delete = json!({ "TableName": name, "Key": key });
        assert_eq!(try_send(&fake.endpoint(), "DeleteItem", &delete.to_string()).unwrap().0, 200);
        let found = disagrees(verify(&place, "dynamodb", &[]));
        assert!(found.contains(&told("missing", "zoë", "user.view.count")), "{found:?}");
        let is_right = |(finding, key, feature): &(String, String, String)| {
            finding == "missing" && key == "zoë" && feature.starts_with("user.")
        };
        assert!(found.iter().all(is_right), "what has expired may be gone: {found:?}");
    }
}
