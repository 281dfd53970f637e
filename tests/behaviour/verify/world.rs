//! A pipeline with all that a pipeline can count, a log with all that a log can hold, and what must come of both,
//! recounted by the code of another test.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::feed::pipeline_file::PipelineFile;
use crate::feed::recount::{Recount, Row};

/// Every group has an interval in which each event is worth one, so that none is too old to be seen.
pub const PIPELINE: &str = r#"
name = "world"
[event]
name = "name"
time = "time"
time_unit = "ms"
[event.map]
unlike = { event = "like", weight = -1 }
superlike = { event = "like", weight = 2.5 }
refund = { event = "buy", weight = -1 }
glance = { event = "view" }
[[counters]]
name = "user"
key = ["user"]
events = "*"
decays = ["1000000000000s", "10s", "1h"]
ttl = "none"
[[counters]]
name = "shop"
key = ["user"]
events = ["buy"]
measures = ["sum(price)", "count", "sum(order.tip)"]
decays = ["1d", "1000000000000s"]
ttl = "90d"
[[counters]]
name = "post"
key = ["post"]
events = ["view", "like"]
measures = ["count", "uniques(user)"]
decays = ["1h", "1000000000000s"]
ttl = "30d"
[[counters]]
name = "tag"
key = ["tags"]
explode = ["tags"]
events = ["view"]
decays = ["1h", "1000000000000s"]
feature = "tagged.{event}"
ttl = "none"
[[counters]]
name = "pair"
key = ["user", "post"]
events = ["like", "view", "share"]
decays = ["1000000000000s"]
ttl = "40d"
[[counters]]
name = "country"
key = ["country"]
events = "*"
feature = "all_of.{measure}"
measures = ["count", "uniques(visitor)"]
decays = ["1h", "1000000000000s"]
ttl = "none"
[[counters]]
name = "watch"
key = ["user"]
events = ["view"]
weight = "seconds"
where = { surface = ["feed", "search"] }
where_not = { bot = true }
decays = ["10m", "1000000000000s"]
ttl = "7d"
[features]
drop = ["user.noise.*", "post.like.uniques_*"]
[[ratios]]
name = "post.ctr"
numerator = "post.like.count"
denominator = "post.view.count"
kind = "proportion"
[[ratios]]
name = "tip"
numerator = "shop.buy.sum_order.tip"
denominator = "shop.buy.sum_price"
"#;

/// The time of the first event, in ms.
pub const START: i64 = 1_707_600_000_000;

/// Keys that are like no other: letters of all kinds, and what joins the parts of a key.
pub const USERS: [&str; 12] =
    ["zoë", "李雷", "a|b", "a", "back\\slash", "a\\|b", "7", "true", "ada l", "\u{1F600}", "x\"y", "ß"];

/// Key and feature's name.
pub type Name = (String, String);

/// Lines of a log, each with whether it is an event that counts.
#[derive(Clone, Debug, Default)]
pub struct Log(pub Vec<Line>);

#[derive(Clone, Debug)]
pub struct Line {
    pub text: String,
    pub counts: bool,
}

/// An event, `seconds` behind the first, with these fields besides.
pub fn event(name: &str, seconds: i64, fields: Value) -> Line {
    event_at(name, START + 1_000 * seconds, fields)
}

fn event_at(name: &str, time: i64, fields: Value) -> Line {
    let mut event = Map::from_iter([("name".to_owned(), name.into()), ("time".to_owned(), time.into())]);
    event.extend(fields.as_object().unwrap().clone());
    Line { text: Value::Object(event).to_string(), counts: true }
}

/// A line that makes no event: blank, or a dead letter.
pub fn noise(text: &str) -> Line {
    Line { text: text.to_owned(), counts: false }
}

/// Numbers without a pattern that matters, the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

impl Log {
    /// So many events, three in each second, one in ten of them up to two hours late, and noise among them.
    pub fn of_world(events: u64) -> Log {
        let mut dice = Dice(7);
        let mut lines = Vec::new();
        for number in 0..events {
            lines.push(some_event(number, &mut dice));
            if number % 50 == 25 {
                lines.push(some_noise(number / 50));
            }
        }
        Log(lines)
    }

    pub fn text(&self) -> String {
        self.0.iter().map(|line| format!("{}\n", line.text)).collect()
    }

    /// How many lines are events that count.
    pub fn events(&self) -> u64 {
        self.0.iter().filter(|line| line.counts).count() as u64
    }

    /// How many lines are dead letters.
    pub fn dead_letters(&self) -> u64 {
        self.0.iter().filter(|line| !line.counts && !line.text.trim().is_empty()).count() as u64
    }

    /// Every row that the log makes, by the code of another test.
    pub fn rows(&self, pipeline: &str) -> BTreeMap<Name, Row> {
        let file = PipelineFile::read(pipeline);
        let events = self.0.iter().filter(|line| line.counts).map(|line| format!("{}\n", line.text));
        Recount::new(&file, &events.collect::<String>()).all()
    }

    /// The index of the event of this name and user that stands so many behind the first such one.
    pub fn find(&self, name: &str, user: &str, nth: usize) -> usize {
        let is_it = |line: &Line| {
            let event: Value = serde_json::from_str(&line.text).unwrap_or_default();
            line.counts && event["name"] == name && event["user"] == user
        };
        let found = self.0.iter().enumerate().filter(|(_, line)| is_it(line)).nth(nth);
        found.unwrap_or_else(|| panic!("no such event: {name} of {user}, {nth}")).0
    }

    /// Changes one event.
    pub fn change(&mut self, index: usize, change: impl FnOnce(&mut Value)) {
        let mut event: Value = serde_json::from_str(&self.0[index].text).unwrap();
        change(&mut event);
        self.0[index].text = event.to_string();
    }
}

fn some_event(number: u64, dice: &mut Dice) -> Line {
    let names =
        ["view", "view", "view", "glance", "like", "like", "superlike", "unlike", "buy", "refund", "share", "noise"];
    let name = names[dice.below(names.len() as u64) as usize];
    let late = if dice.below(10) == 0 { dice.below(7_200) as i64 } else { 0 };
    let time = START + 1_000 * (number as i64 / 3 - late).max(0);
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    match dice.below(20) {
        0 => set("user", Value::Null),
        1 => set("user", "".into()),
        2 => {}
        3 => set("user", 7.into()),
        4 => set("user", true.into()),
        5..=9 => set("user", format!("u{}", dice.below(60)).into()),
        _ => set("user", USERS[dice.below(USERS.len() as u64) as usize].into()),
    }
    match dice.below(8) {
        0 => set("post", format!("p|{}\\", dice.below(4)).into()),
        1 => set("post", dice.below(4).into()),
        2 => {}
        _ => set("post", format!("p{}", dice.below(25)).into()),
    }
    let colours = ["red", "green", "blue", "rot|grün", ""];
    let mut colour = || colours[dice.below(colours.len() as u64) as usize].to_owned();
    let tags = [json!([colour(), colour(), colour()]), json!(colour()), json!([]), Value::Null, json!([1, true, null])];
    set("tags", tags[dice.below(tags.len() as u64) as usize].clone());
    set("country", format!("c{}", dice.below(4)).into());
    set("visitor", format!("v{}", dice.below(400)).into());
    set("surface", ["feed", "search", "mail"][dice.below(3) as usize].into());
    set("bot", (dice.below(6) == 0).into());
    if dice.below(5) > 0 {
        set("seconds", (dice.below(600) as f64 / 4.0 - 20.0).into());
    }
    match dice.below(6) {
        0 => {}
        1 => set("price", Value::Null),
        _ => set("price", ((dice.below(2_000_000) as f64 - 200_000.0) / 1e4).into()),
    }
    set("order", json!({ "tip": dice.below(500) as f64 / 100.0, "items": [{}, [1]] }));
    event_at(name, time, Value::Object(fields))
}

fn some_noise(number: u64) -> Line {
    let noises = [
        "",
        "   ",
        "no event at all",
        r#"{"name":"view","user":"a"}"#,
        r#"{"name":"","time":1707600000000,"user":"a"}"#,
        r#"{"name":"view","time":4102444800000,"user":"a"}"#,
        r#"{"name":"view","time":-1,"user":"a"}"#,
        r#"{"name":"view","time":1707600000000,"user":1.5}"#,
        r#"{"name":"buy","time":1707600000000,"user":"a","price":"much"}"#,
        r#"{"name":"view","time":1707600000000,"user":["a"]}"#,
        r#"{"name":"view","time":1707600000000,"user":"a""#,
        "[1,2]",
    ];
    match number as usize % (noises.len() + 2) {
        12 => noise(&format!(r#"{{"name":"view","time":1707600000000,"user":"{}"}}"#, "k".repeat(2_049))),
        13 => noise(&format!(r#"{{"name":"{}","time":1707600000000,"user":"a"}}"#, "n".repeat(1_024))),
        index => noise(noises[index]),
    }
}
