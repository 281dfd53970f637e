//! `[publish] layout = "key"`: one item per key holds what one item per feature does, through the program.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::dynamodb_local::{block_on, count_items, endpoint, new_name};
use crate::program::Workplace;

/// What stands in `[publish]`, by the name that the tests give it.
const LAYOUTS: [(&str, &str); 3] = [
    ("feature", ""),
    ("packed", "[publish]\nlayout = \"key\"\n"),
    ("map", "[publish]\nlayout = \"key\"\nencoding = \"map\"\n"),
];

/// Keys of users, posts, and both; counts, sums whose squares a ratio needs, uniques, and some that never expire.
const PIPELINE: &str = r#"
name = "layouts"
[event]
name = "eventName"
time = "eventTs"
[[counters]]
name = "user"
key = ["userId"]
events = "*"
decays = ["10s", "1h", "30d"]
[[counters]]
name = "user_sum"
key = ["userId"]
events = ["like", "view"]
measures = ["sum(seconds)"]
decays = ["1d"]
ttl = "none"
[[counters]]
name = "post"
key = ["postId"]
events = ["like", "view"]
measures = ["count", "uniques(userId)"]
decays = ["10s", "1h"]
[[counters]]
name = "user_post"
key = ["userId", "postId"]
events = "*"
decays = ["5s"]
[[ratios]]
name = "post.ctr"
numerator = "post.like.count"
denominator = "post.view.count"
kind = "proportion"
"#;

/// So many events of users and posts that have the same numbers.
fn log(events: u64) -> String {
    let event = |number: u64| {
        let name = ["view", "view", "like", "share"][((number * 7 + number / 40) % 4) as usize];
        let (user, post) = (number * 13 % 40, (number * 11 + number / 7) % 30);
        let time = 1_707_605_599 + number / 3;
        format!(
            "{{\"eventName\":\"{name}\",\"userId\":\"{user}\",\"postId\":\"{post}\",\"seconds\":{}.5,\"eventTs\":{time}}}\n",
            number % 9
        )
    };
    (0..events).map(event).collect()
}

/// Writes the pipeline in this layout to `NAME.toml`; with a table of its own where it goes to DynamoDB.
fn write(place: &Workplace, name: &str, publish: &str, pipeline: &str, table: Option<&str>) -> String {
    let table = table
        .map_or(String::new(), |table| format!("[dynamodb]\ntable = \"{table}\"\nendpoint = \"{}\"\n", endpoint()));
    let file = format!("{name}.toml");
    place.write(&file, format!("{pipeline}\n{publish}{table}"));
    file
}

/// The same with a table that is made for it.
fn write_with_table(place: &Workplace, name: &str, publish: &str, pipeline: &str) -> String {
    let table = new_name(name);
    let file = write(place, name, publish, pipeline, Some(&table));
    place.run(&["table", &file]).exits(0).prints(&[&format!("created table {table}")]);
    file
}

/// Lines of JSON without what differs from write to write.
fn without_versions(lines: &str) -> Vec<Value> {
    let read = |line: &str| {
        let mut item: Value = serde_json::from_str(line).unwrap();
        item.as_object_mut().unwrap().remove("version");
        item
    };
    lines.lines().map(read).collect()
}

fn dump(place: &Workplace, sink: &str, file: &str) -> Vec<Value> {
    without_versions(&place.run(&["dump", sink, "--pipeline", file]).exits(0).stdout)
}

/// The same, fractions but for rounding: with several workers, sums have another order.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| same(one, other)))
        }
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            (one - other).abs() <= 1e-9 * one.abs().max(other.abs())
        }
        (one, other) => one == other,
    }
}

#[track_caller]
fn assert_same(found: &[Value], expected: &[Value], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(same(found, expected), "{what}:\n{found}\nis not\n{expected}");
    }
}

/// What is read, in every way, of what these sinks hold, each with its pipeline, is the same.
fn assert_all_read_alike(place: &Workplace, sinks: &[(String, String)]) {
    let (first, file) = &sinks[0];
    let expected = dump(place, first, file);
    assert!(expected.len() > 1_000);
    let questions: [&[&str]; 6] = [
        &["--key", "userId=7"],
        &["--key", "postId=7"],
        &["--key", "userId=13", "--key", "postId=11"],
        &["--key", "userId=7", "--feature", "user.share.count"],
        &["--key", "postId=7", "--feature", "post.ctr"],
        &["--key", "postId=7", "--at", "1707609599"],
    ];
    let get = |sink: &str, file: &str, question: &[&str]| {
        let arguments = [&["get", file, "--from", sink, "--json"], question].concat();
        without_versions(&place.run(&arguments).exits(0).stdout)
    };
    for (sink, file) in sinks {
        place.run(&["verify", file, "--events", "log.jsonl", "--from", sink, "-w", "2"]).exits(0);
    }
    for (sink, file) in &sinks[1..] {
        assert_same(&dump(place, sink, file), &expected, sink);
        for question in questions {
            let answer = get(sink, file, question);
            assert!(!answer.is_empty());
            assert_same(&answer, &get(first, &sinks[0].1, question), &format!("{sink} {question:?}"));
        }
        place.run(&["get", file, "--from", sink, "--key", "userId=nobody"]).exits(1);
    }
}

#[test]
fn a_sqlite_file_of_any_layout_reads_alike() {
    let place = Workplace::new();
    place.write("log.jsonl", log(6_000));
    let mut sinks = Vec::new();
    for (name, publish) in LAYOUTS {
        let file = write(&place, name, publish, PIPELINE, None);
        for workers in ["1", "2"] {
            let sink = format!("sqlite:{name}{workers}.db");
            place.run(&["run", &file, "--events", "log.jsonl", "--sink", &sink, "-w", workers]).exits(0);
            sinks.push((sink, file.clone()));
        }
    }
    // What is published into a log of changes is the same in any layout.
    place
        .run(&["run", "packed.toml", "--events", "log.jsonl", "--sink", "jsonl:items.jsonl", "--every-window"])
        .exits(0);
    sinks.push(("jsonl:items.jsonl".to_owned(), "packed.toml".to_owned()));
    assert_all_read_alike(&place, &sinks);
    // Without the pipeline, too.
    let dumped = |sink: &str| without_versions(&place.run(&["dump", sink]).exits(0).stdout);
    assert_same(&dumped("sqlite:packed1.db"), &dumped("sqlite:feature1.db"), "without a pipeline");
}

#[test]
#[ignore = "needs DynamoDB Local"]
fn a_table_of_any_layout_reads_alike() {
    let place = Workplace::new();
    place.write("log.jsonl", log(3_000));
    let mut sinks = vec![("sqlite:feature.db".to_owned(), write(&place, "sqlite", "", PIPELINE, None))];
    place.run(&["run", "sqlite.toml", "--events", "log.jsonl", "--sink", "sqlite:feature.db"]).exits(0);
    for (name, publish) in LAYOUTS {
        for workers in ["1", "2"] {
            let file = write_with_table(&place, &format!("{name}{workers}"), publish, PIPELINE);
            place.run(&["run", &file, "--events", "log.jsonl", "--sink", "dynamodb", "-w", workers]).exits(0);
            sinks.push(("dynamodb".to_owned(), file));
        }
    }
    assert_all_read_alike(&place, &sinks);
}

#[test]
fn a_sqlite_file_of_another_layout_is_refused_until_it_is_replaced() {
    let place = Workplace::new();
    place.write("log.jsonl", log(50));
    let run = |name: &str, more: &[&str]| {
        let (file, run) = (format!("{name}.toml"), ["--events", "log.jsonl", "--sink", "sqlite:items.db"]);
        place.run(&[&["run", &file], &run[..], more].concat())
    };
    LAYOUTS.iter().for_each(|(name, publish)| {
        write(&place, name, publish, PIPELINE, None);
    });
    run("feature", &[]).exits(0);
    let told = ["layout = \"feature\"", "layout = \"key\", encoding = \"packed\"", "--replace", "another file"];
    run("packed", &[]).exits(1).says(&told);
    run("packed", &["--shift-to", "now"]).exits(1).says(&told);
    run("packed", &["--replace"]).exits(0);
    run("map", &[]).exits(1).says(&["encoding = \"packed\"", "encoding = \"map\""]);
    // Readers take what is there.
    place.run(&["get", "feature.toml", "--from", "sqlite:items.db", "--key", "userId=0"]).exits(0);
}

#[test]
#[ignore = "needs DynamoDB Local"]
fn a_table_of_the_other_layout_is_refused_by_every_command_and_names_it() {
    let place = Workplace::new();
    place.write("log.jsonl", log(50));
    for (one, other) in [(LAYOUTS[0], LAYOUTS[1]), (LAYOUTS[2], LAYOUTS[0])] {
        let table = new_name(one.0);
        let right = write(&place, "right", one.1, PIPELINE, Some(&table));
        let wrong = write(&place, "wrong", other.1, PIPELINE, Some(&table));
        place.run(&["table", &right]).exits(0);
        place.run(&["run", &right, "--events", "log.jsonl", "--sink", "dynamodb"]).exits(0);
        let told = ["layout = \"feature\"", "layout = \"key\"", "another table", "counter-machine table PIPELINE"];
        place.run(&["table", &wrong]).exits(1).says(&told);
        place.run(&["run", &wrong, "--events", "log.jsonl", "--sink", "dynamodb"]).exits(1).says(&told);
        // A whole key is read of either layout; a feature by its key only in its own.
        place.run(&["get", &wrong, "--from", "dynamodb", "--key", "userId=0"]).exits(0);
        let one_feature = ["get", &wrong, "--from", "dynamodb", "--key", "userId=0", "--feature", "user.view.count"];
        match other.0 {
            "feature" => place.run(&one_feature).exits(1).says(&told),
            _ => place.run(&one_feature).exits(0),
        };
    }
}

#[test]
fn every_window_is_refused_where_an_item_holds_what_has_not_changed() {
    let place = Workplace::new();
    place.write("log.jsonl", log(50));
    for (name, publish) in LAYOUTS {
        let file = write(&place, name, publish, PIPELINE, None);
        let run = |sink: &str| place.run(&["run", &file, "--events", "log.jsonl", "--every-window", "--sink", sink]);
        run(&format!("jsonl:{name}.jsonl")).exits(0);
        match name {
            "feature" => run("sqlite:items.db").exits(0),
            _ => run("sqlite:other.db").exits(2).says(&["--every-window", "layout = \"key\"", "jsonl"]),
        };
    }
}

/// Events with names that somebody makes up, each a feature of one key.
fn made_up(events: u64) -> String {
    let event = |number: u64| format!("{{\"eventName\":\"e{number}\",\"userId\":\"1\",\"eventTs\":1707605599}}\n");
    (0..events).map(event).collect()
}

const ONE_GROUP: &str = r#"
name = "made_up"
[event]
name = "eventName"
time = "eventTs"
[[counters]]
name = "user"
key = ["userId"]
events = "*"
decays = ["10s", "1h"]
"#;

/// How many items the table itself has.
fn items_in(table_of: &str, place: &Workplace) -> usize {
    let text = place.read(table_of);
    let table = text.split("table = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    block_on(count_items(&table))
}

#[test]
#[ignore = "needs DynamoDB Local"]
fn a_key_of_more_than_400_kb_is_split_and_reads_as_one_also_when_it_shrinks() {
    for ((name, publish), events, workers) in [(LAYOUTS[1], 40_000, "2"), (LAYOUTS[2], 8_000, "1")] {
        let place = Workplace::new();
        place.write("large.jsonl", made_up(events));
        place.write("small.jsonl", made_up(10));
        let file = write_with_table(&place, name, publish, ONE_GROUP);
        place.run(&["run", &file, "--events", "large.jsonl", "--sink", "dynamodb", "-w", workers]).exits(0);
        let parts = items_in(&file, &place);
        assert!(parts > 1 && parts.is_power_of_two(), "{parts}");
        place.run(&["run", &file, "--events", "large.jsonl", "--sink", "sqlite:items.db"]).exits(0);
        let expected = dump(&place, "sqlite:items.db", &file);
        assert_eq!(expected.len(), events as usize);
        assert_same(&dump(&place, "dynamodb", &file), &expected, name);
        let one = ["get", &file, "--from", "dynamodb", "--json", "--key", "userId=1", "--feature", "user.e777.count"];
        assert_eq!(place.run(&one).exits(0).stdout.lines().count(), 1);
        // A run that counts from nothing: what is left of the larger key does not count.
        place.run(&["run", &file, "--events", "small.jsonl", "--sink", "dynamodb"]).exits(0);
        assert_eq!(items_in(&file, &place), parts);
        assert_eq!(dump(&place, "dynamodb", &file).len(), 10);
        place.run(&one).exits(1);
    }
}

const BRIEF_AND_LASTING: &str = r#"
name = "expiring"
[event]
name = "eventName"
time = "eventTs"
max_ahead = "none"
[window]
length = "100ms"
[[counters]]
name = "brief"
key = ["userId"]
events = ["click"]
decays = ["1s"]
ttl = "10s"
[[counters]]
name = "lasting"
key = ["userId"]
events = ["like"]
decays = ["1s"]
ttl = "none"
"#;

#[test]
fn a_feature_whose_ttl_has_passed_leaves_with_the_next_write_of_its_key() {
    for (name, publish) in &LAYOUTS[1..] {
        let place = Workplace::new();
        let publish = publish.replace("[publish]", "[publish]\nevery = \"100ms\"");
        let file = write(&place, name, &publish, BRIEF_AND_LASTING, None);
        let mut run = place.start(&["run", &file, "--events", "-", "--sink", "sqlite:items.db"]);
        let features = || -> BTreeMap<String, Value> {
            let dumped = place.run(&["dump", "sqlite:items.db"]).stdout;
            let items = without_versions(&dumped).into_iter().filter(|item| item["key"] == "1");
            items.map(|item| (item["featureName"].as_str().unwrap().to_owned(), item)).collect()
        };
        let event = |name: &str, user: &str, time: u64| {
            format!("{{\"eventName\":\"{name}\",\"userId\":\"{user}\",\"eventTs\":{time}}}\n")
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        run.write(&event("click", "1", 1_000));
        run.write(&event("like", "1", 1_000));
        while features().len() < 2 {
            assert!(Instant::now() < deadline, "the features are not there");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(features()["brief.click.count"]["expiresAt"], 1_010);
        assert!(features()["lasting.like.count"].get("expiresAt").is_none());
        // Time passes, and the key is written again and again.
        let mut time = 2_000;
        // So many events that the stream's time is known.
        run.write(&event("like", "2", time).repeat(20_000));
        while features().contains_key("brief.click.count") {
            assert!(Instant::now() < deadline, "it does not leave");
            run.write(&(event("like", "2", time) + &event("like", "1", time)));
            time += 1;
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(features().len(), 1);
        run.close_stdin();
        run.end().exits(0);
        assert_eq!(features().keys().collect::<Vec<_>>(), ["lasting.like.count"]);
    }
}

#[test]
fn a_key_that_came_back_says_since_when_in_every_layout() {
    let place = Workplace::new();
    let event = |number: u64| {
        let name = ["view", "like"][(number % 2) as usize];
        format!(
            "{{\"eventName\":\"{name}\",\"userId\":\"{}\",\"eventTs\":{}}}\n",
            number / 2 % 2_500,
            1_707_605_599 + number
        )
    };
    place.write("log.jsonl", (0..80_000).map(event).collect::<String>());
    let limited = format!("{ONE_GROUP}\n[limits]\nrows = 1000\n[window]\nreplay_batch = 500\n");
    let mut sinces: Option<BTreeSet<(String, String, i64)>> = None;
    for (name, publish) in LAYOUTS {
        let file = write(&place, name, publish, &limited, None);
        let sink = format!("sqlite:{name}.db");
        place.run(&["run", &file, "--events", "log.jsonl", "--sink", &sink]).exits(0);
        let text = |item: &Value, member: &str| item[member].as_str().unwrap().to_owned();
        let since = |item: &Value| Some((text(item, "key"), text(item, "featureName"), item.get("since")?.as_i64()?));
        let items = dump(&place, &sink, &file);
        assert_eq!(items.len(), 5_000, "of every key all features");
        let found: BTreeSet<_> = items.iter().filter_map(since).collect();
        assert!(found.len() > 1_000, "{}", found.len());
        assert_eq!(*sinces.get_or_insert_with(|| found.clone()), found, "{name}");
        let verify = ["verify", &file, "--events", "log.jsonl", "--from", &sink, "--json"];
        place.run(&verify).exits(0).prints(&["\"agrees\":true", "\"off\":0,"]);
    }
}
