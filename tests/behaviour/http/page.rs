//! The page, in a browser, beside a run that goes on.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::browser::Browser;
use super::client::address_of;
use super::follow;
use crate::program::Workplace;

const SLOW: &str = r#"
name = "page"
event = { name = "n", time = "t" }
window = { length = "200ms" }
[[counters]]
name = "user"
key = ["u"]
events = ["like", "view"]
decays = ["1h", "1d"]
"#;

fn likes(times: usize) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    format!("{{\"n\":\"like\",\"u\":\"ann <b>\",\"t\":{now}}}\n").repeat(times)
}

/// The value of the first decay of the first feature, as it is shown.
const SHOWN: &str = "Number(document.querySelector('#features tbody td:nth-child(3)')?.textContent)";

#[test]
fn whoever_types_a_key_sees_its_counters_move() {
    let Some(mut browser) = Browser::start() else {
        eprintln!("left out: there is no Chromium on this machine");
        return;
    };
    let place = Workplace::new();
    place.write("p.toml", SLOW);
    let mut run = follow(&place, "sqlite:items.db", &["-w", "2"]);
    let address = address_of(&run);
    run.write(&likes(3));
    run.write("no event\n");
    browser.call("Page.navigate", json!({ "url": format!("http://{address}/") }));
    browser.comes_to("document.getElementById('ready')?.textContent", |text| text == "ready");
    // From the beginning of the page to the box for the key, with the keyboard alone: the group, then its field.
    browser.comes_to("document.querySelectorAll('#fields input').length", |fields| fields == 1);
    browser.evaluate("document.getElementById('group').focus()");
    for kind in ["keyDown", "keyUp"] {
        browser.call(
            "Input.dispatchKeyEvent",
            json!({ "type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9 }),
        );
    }
    assert_eq!(browser.evaluate("document.activeElement.name"), "key");
    browser.type_and_enter("ann <b>");
    let near = |expected: f64| move |value: &Value| value.as_f64().is_some_and(|value| (value - expected).abs() < 0.2);
    let before = browser.comes_to(SHOWN, near(3.0)).as_f64().unwrap();
    // It falls by itself, and rises with what comes.
    browser.comes_to(SHOWN, |value| value.as_f64().is_some_and(|value| value < before));
    run.write(&likes(4));
    browser.comes_to(SHOWN, near(7.0));
    assert_eq!(browser.evaluate("document.querySelector('#features tbody button').textContent"), "user.like.count");
    assert!(browser.evaluate("document.querySelectorAll('#key-chart canvas').length") == 1);
    browser.comes_to("document.querySelector('#hot button')?.textContent", |key| key == "ann <b>");
    browser
        .comes_to("document.getElementById('letters').textContent", |text| text.as_str().unwrap().contains("no event"));
    browser.comes_to("document.getElementById('tiles').textContent", |text| text.as_str().unwrap().contains("events7"));
    assert_eq!(
        browser.evaluate(
            "performance.getEntriesByType('resource').filter(one => !one.name.startsWith(location.origin)).length"
        ),
        0
    );
    // The link to the key shows it at once.
    browser.call("Page.reload", json!({}));
    browser.comes_to(SHOWN, near(7.0));
    // And so does a key among those with most events, for whoever does not know one.
    browser.evaluate("history.replaceState(null, '', '/')");
    browser.call("Page.reload", json!({}));
    browser.comes_to("document.querySelector('#hot button')?.textContent", |key| key == "ann <b>");
    assert!(browser.evaluate(SHOWN).is_null(), "no key is watched");
    browser.evaluate("document.querySelector('#hot button').click()");
    browser.comes_to(SHOWN, near(7.0));
    // Until its items are in the table the key is asked for in vain, which a browser tells as an error, too.
    browser.errors.retain(|error| error["params"]["entry"]["source"] != "network");
    assert_eq!(browser.errors, Vec::<Value>::new());
    run.close_stdin();
    run.end().exits(0);
    // A page whose run has ended says so.
    browser.comes_to("document.getElementById('lost').hidden", |hidden| hidden == false);
}
