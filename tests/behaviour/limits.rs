//! A run whose memory runs short: keys that are worth least go, the others are as if nothing had happened, and
//! what starts again says so.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::program::Workplace;

const PEOPLE: usize = 200;
const BOTS: usize = 20_000;
const ROWS: usize = 2_000;

fn pipeline(limits: &str) -> String {
    format!(
        r#"
        name = "limited"
        event = {{ name = "eventName", time = "eventTs" }}
        window = {{ replay_batch = 100 }}
        {limits}
        [[counters]]
        name = "user"
        key = ["userId"]
        events = ["like"]
        decays = ["10m", "1d"]
        ttl = "none"
        "#
    )
}

/// Every person likes something twice a minute; and a bot comes with a new name for each of its likes.
fn log() -> String {
    let mut log = String::new();
    let mut like = |user: String, time: usize| {
        writeln!(log, r#"{{"eventName":"like","userId":"{user}","eventTs":{}}}"#, 1_707_600_000 + time).unwrap();
    };
    let minutes = 100;
    for half_minute in 0..2 * minutes {
        (0..PEOPLE).for_each(|person| like(format!("person {person}"), 30 * half_minute));
        // The bot begins when the people are known.
        if half_minute >= 20 {
            let bots = BOTS / (2 * minutes - 20);
            (0..bots).for_each(|bot| like(format!("bot {half_minute} {bot}"), 30 * half_minute + 1));
        }
    }
    // One that was evicted long ago comes again.
    like("bot 25 7".to_owned(), 30 * 2 * minutes);
    log
}

fn items(place: &Workplace, sink: &str) -> BTreeMap<String, Value> {
    let dump = place.run(&["dump", sink]).exits(0).stdout;
    let items = dump.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    items.map(|item| (item["key"].as_str().unwrap().to_owned(), item)).collect()
}

#[test]
fn a_key_explosion_leaves_other_keys_as_they_are() {
    let place = Workplace::new();
    place.write("events.jsonl", log());
    place.write("free.toml", pipeline(""));
    place.write("limited.toml", pipeline(&format!("limits = {{ rows = {ROWS}, memory = \"64MiB\" }}")));
    let run = |pipeline: &str, sink: &str, workers: &str| {
        place.run(&["run", pipeline, "--events", "events.jsonl", "--sink", sink, "-w", workers]).exits(0)
    };
    let free = run("free.toml", "sqlite:free.db", "1");
    assert!(free.summary("rows evicted") == 0 && free.summary("rows") > 19_000, "{}", free.stderr);
    let expected = items(&place, "sqlite:free.db");
    for workers in ["1", "2"] {
        let sink = format!("sqlite:{workers}.db");
        let limited =
            run("limited.toml", &sink, workers).says(&["[limits] is reached", "none of them worth more than"]);
        let (rows, evicted) = (limited.summary("rows   ") as usize, limited.summary("rows evicted") as usize);
        assert!(rows <= ROWS && rows + evicted >= expected.len(), "{rows} rows, {evicted} evicted");
        let items = items(&place, &sink);
        assert!(items.keys().eq(expected.keys()), "everything was published");
        for (key, item) in items.iter().filter(|(key, _)| key.starts_with("person")) {
            let values =
                |item: &Value| ["600", "86400"].map(|interval| item["counts"][interval]["value"].as_f64().unwrap());
            for (value, expected) in values(item).into_iter().zip(values(&expected[key])) {
                assert!((value / expected - 1.0).abs() < 1e-9, "{key}: {value} is not {expected}");
            }
            assert!(item.get("since").is_none(), "{item}");
        }
        let back = &items["bot 25 7"];
        assert_eq!((&back["since"], &back["counts"]["86400"]["value"]), (&1_707_606_000.into(), &1.0.into()));
        let get = ["get", "limited.toml", "--from", &sink, "--key", "userId=bot 25 7"];
        let told = "counts only since 2024-02-10T23:00:00Z: what came before was evicted when memory ran short, or the feature is new";
        place.run(&get).exits(0).prints(&[told]);
    }
}

#[test]
fn a_plan_says_whether_the_limit_would_be_reached() {
    let place = Workplace::new();
    place.write("events.jsonl", log());
    for (limit, reached) in [("rows = 100000", false), ("rows = 20001", true), ("memory = \"1MiB\"", true)] {
        place.write("p.toml", pipeline(&format!("limits = {{ {limit} }}")));
        let plan = place.run(&["check", "p.toml", "--events", "events.jsonl"]).exits(0).prints(&[limit]).stdout;
        let warning = format!("warning: the rows of this sample alone reach {limit} of [limits]");
        assert_eq!(plan.contains(&warning), reached, "{plan}");
    }
}
