//! `/get` reads what `get` does.

use serde_json::Value;

use super::client::{address_of, get, metrics_come_to};
use super::{follow, likes, place};
use crate::program::Workplace;

const PAIRS: &str = r#"
name = "pairs"
event = { name = "n", time = "t" }
window = { length = "200ms" }
[[counters]]
name = "post"
key = ["p"]
events = ["view", "click"]
decays = ["1d"]
[[counters]]
name = "pair"
key = ["u", "p"]
events = ["view"]
decays = ["1d"]
[[ratios]]
name = "ctr"
numerator = "post.click.count"
denominator = "post.view.count"
"#;

#[test]
fn the_counters_of_a_key_are_what_get_prints() {
    let place = place();
    let mut run = follow(&place, "sqlite:items.db", &["-w", "2"]);
    let address = address_of(&run);
    run.write(&likes(0..50));
    run.write("{\"eventName\":\"share\",\"userId\":\"7\",\"eventTs\":1707605600}\n");
    metrics_come_to(address, "they are written", |metrics| metrics.value("items_total{outcome=\"written\"}") == 51.0);
    let answer = get(address, "/get?group=user&key=7&at=1707605604");
    assert_eq!(answer.status, 200, "{answer:?}");
    let told: Value = serde_json::from_str(&answer.body).unwrap();
    let key = ["get", "p.toml", "--key", "userId=7", "--from", "sqlite:items.db", "--json", "--at", "1707605604"];
    let printed = place.run(&key).exits(0).stdout;
    let printed: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told["items"].as_array().unwrap(), &printed);
    let one: Value = serde_json::from_str(&get(address, "/get?group=user&key=7&feature=share").body).unwrap();
    assert_eq!(one["items"].as_array().unwrap().len(), 1, "{one}");
    assert!(one["items"][0]["counts"]["5"]["valueAt"].is_number(), "{one}");
    let status = |path: &str| get(address, path).status;
    assert_eq!(status("/get?group=user&key=nobody"), 404);
    assert_eq!(status("/get?group=users&key=7"), 404);
    assert_eq!(status("/get?group=user&key=7&feature=none"), 404);
    for wrong in [
        "/get",
        "/get?group=user",
        "/get?key=7",
        "/get?group=user&key=7&key=8",
        "/get?group=user&key=7&from=sqlite:/etc/passwd",
        "/get?group=user&key=7&at=soon",
    ] {
        assert_eq!(status(wrong), 400, "{wrong}");
    }
    run.close_stdin();
    run.end().exits(0);
}

#[test]
fn keys_of_several_fields_and_ratios_are_read_too() {
    let place = Workplace::new();
    place.write("p.toml", PAIRS);
    let mut run = follow(&place, "sqlite:items.db", &[]);
    let address = address_of(&run);
    run.write(
        "{\"n\":\"view\",\"u\":\"1\",\"p\":\"a|b\",\"t\":100}\n{\"n\":\"click\",\"u\":\"1\",\"p\":\"a|b\",\"t\":100}\n",
    );
    metrics_come_to(address, "they are written", |metrics| metrics.value("items_total{outcome=\"written\"}") == 3.0);
    for path in ["/get?group=pair&key=1&key=a%7Cb", "/get?group=pair&key=1%7Ca%5C%7Cb"] {
        let answer = get(address, path);
        assert!(answer.status == 200 && answer.body.contains("pair.view.count"), "{answer:?}");
    }
    let post: Value = serde_json::from_str(&get(address, "/get?group=post&key=a%7Cb").body).unwrap();
    assert_eq!((post["items"].as_array().unwrap().len(), post["ratios"].as_array().unwrap().len()), (2, 1), "{post}");
    run.close_stdin();
    run.end().exits(0);
}

#[test]
fn a_sink_that_cannot_be_read_is_said_to_be_none() {
    for sink in ["none", "jsonl:items.jsonl"] {
        let place = place();
        let mut run = follow(&place, sink, &[]);
        let answer = get(address_of(&run), "/get?group=user&key=7");
        assert!(answer.status == 409 && answer.body.contains("cannot be read"), "{answer:?}");
        run.close_stdin();
        run.end().exits(0);
    }
}
