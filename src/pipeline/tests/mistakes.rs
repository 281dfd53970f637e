//! How each mistake is told.

use proptest::prelude::*;

use super::*;

#[test]
fn a_file_that_is_no_toml_is_refused_with_its_line() {
    assert_refused("\"*\"", "all", "p.toml:8: string values must be quoted, expected literal string");
    assert_refused("[\"5s\"]", "[\"5s\"", "p.toml:9: unclosed array, expected `]`");
    assert_refused("time = \"eventTs\"", "name = \"n\"", "p.toml:4: duplicate key: \"name\" stands here twice");
}

#[test]
fn unknown_keys_and_values_are_refused_with_what_was_meant() {
    assert_refused(
        "events =",
        "event =",
        "p.toml:8: unknown key \"event\": it is a section of its own and belongs in no other; did you mean \"events\"? \
         (here may stand: name, key, events, measures, decays, uniques_registers, feature, ttl, publish, weight, explode, where, where_not)",
    );
    assert_refused_with(
        "[windows]",
        "p.toml:10: unknown key \"windows\"; did you mean \"window\"? (here may stand: \
         name, sink, event, window, publish, kafka, dynamodb, checkpoint, dead_letters, limits, http, counters, features, ratios)",
    );
    assert_refused(
        "time = ",
        "unit = \"s\"\ntime = ",
        "p.toml:4: unknown key \"unit\" (here may stand: name, time, time_unit, max_ahead, ahead, arrival, max_bytes, map)",
    );
    assert_refused(
        "time = ",
        "time_unit = \"sec\"\ntime = ",
        "p.toml:4: unknown value \"sec\" (it may be: s, ms, us, ns, rfc3339)",
    );
    assert_refused_with(
        "[window]\nclock = \"wal\"",
        "p.toml:11: unknown value \"wal\"; did you mean \"wall\"? (it may be: wall, event)",
    );
    assert_refused_with(
        "[kafka]\nbrokers = \"a\"\ntopic = \"b\"\nstart = \"newest\"",
        "p.toml:13: unknown value \"newest\" (it may be: earliest, latest)",
    );
}

#[test]
fn a_key_below_the_wrong_heading_is_told_where_it_belongs() {
    let told = |extra: &str| parse_with(extra).expect_err("refused").split(" (here").next().map(str::to_owned);
    let is_told = |extra: &str, expected: &str| assert_eq!(told(extra).as_deref(), Some(expected), "{extra}");
    is_told("keep = [\"user.*\"]", "p.toml:10: unknown key \"keep\": it belongs in [features]");
    is_told("drop = [\"user.*\"]", "p.toml:10: unknown key \"drop\": it belongs in [features]");
    is_told(
        "features.keep = [\"a\"]",
        "p.toml:10: unknown key \"features\": it is a section of its own and belongs in no other; did you mean \"feature\"?",
    );
    is_told("time_unit = \"s\"", "p.toml:10: unknown key \"time_unit\": it belongs in [event]");
    is_told(
        "sink = \"none\"",
        "p.toml:10: unknown key \"sink\": it belongs at the top of the file, above the first [section]",
    );
    is_told("[window]\nttl = \"7d\"", "p.toml:11: unknown key \"ttl\": it belongs in [[counters]]");
    is_told("[dead_letters]\nlength = \"5s\"", "p.toml:11: unknown key \"length\": it belongs in [window]");
    is_told("colour = 1", "p.toml:10: unknown key \"colour\"");
}

#[test]
fn the_wrong_brackets_are_told_and_what_stands_twice() {
    let twice = format!("{MINIMAL}[counters]\nname = \"b\"\n").replace("[[counters]]", "[counters]");
    let expected = "p.toml:10: duplicate key: there may be several of [counters]: write [[counters]] above each";
    assert_eq!(parse(&twice).err().as_deref(), Some(expected));
    assert_refused("[event]", "[[event]]", "p.toml:2: there is only one event: write [event] above it");
    assert_refused_with(
        "[ratios]",
        "p.toml:10: there may be several of [ratios]: write [[ratios]] above each, also above a single one",
    );
    assert_refused_with(
        "[window]\n[window]",
        "p.toml:11: duplicate key: [window] stands here twice: put what belongs to it under one",
    );
    assert_refused_with("feature = \"a\"\nfeature = \"b\"", "p.toml:11: duplicate key: \"feature\" stands here twice");
}

#[test]
fn a_layout_that_makes_no_sense_is_refused() {
    let needs = "p.toml:11: encoding says how all features of a key stand in one item: it needs layout = \"key\"";
    assert_refused_with("[publish]\nencoding = \"map\"", needs);
    assert_refused_with("[publish]\nencoding = \"packed\"\nlayout = \"feature\"", needs);
    assert_refused_with("[publish]\nlayout = \"row\"", "p.toml:11: unknown value \"row\" (it may be: feature, key)");
    assert_refused_with(
        "[publish]\nlayout = \"key\"\nencoding = \"json\"",
        "p.toml:12: unknown value \"json\" (it may be: packed, map)",
    );
    assert_refused_with(
        "[counters.publish]\nlayout = \"key\"",
        "p.toml:11: unknown key \"layout\": it belongs in [publish] (here may stand: every, min_change, max_age)",
    );
    let long = format!("[\"{}\"]", "x".repeat(600));
    let too_long =
        "p.toml:7: with layout = \"key\" the names of a key's fields stand in its item: these are too long for that";
    let text = changed(&[("[\"userId\"]", &long)]);
    assert!(parse(&text).is_ok());
    assert_eq!(parse(&format!("{text}[publish]\nlayout = \"key\"\n")).err().as_deref(), Some(too_long));
}

#[test]
fn a_layout_is_packed_unless_it_is_a_map() {
    let layout = |publish: &str| parse_with(publish).expect("a valid pipeline").publish.layout;
    assert_eq!(layout("[publish]\nlayout = \"feature\""), Layout::Feature);
    assert_eq!(layout("[publish]\nlayout = \"key\""), Layout::Key(Encoding::Packed));
    assert_eq!(layout("[publish]\nlayout = \"key\"\nencoding = \"map\""), Layout::Key(Encoding::Map));
}

#[test]
fn a_sink_that_does_not_exist_is_told_with_its_line() {
    let expected = "p.toml:2: `mongo` is no sink: give dynamodb, sqlite:PATH, jsonl:PATH, jsonl:- or none";
    assert_refused("name = \"p\"", "name = \"p\"\nsink = \"mongo\"", expected);
    assert_refused("name = \"p\"", "name = \"p\"\nsink = 5", "p.toml:2: invalid type: integer `5`, expected a string");
}

#[test]
fn missing_keys_are_refused_with_what_to_write() {
    assert_refused("name = \"p\"", "", "p.toml:1: \"name\" is missing: write name = \"...\"");
    assert_refused("time = \"eventTs\"", "", "p.toml:2: \"time\" is missing: write time = \"eventTs\"");
    assert_refused("key = [\"userId\"]", "", "p.toml:5: \"key\" is missing: write key = [\"userId\"]");
    assert_refused(
        "events = \"*\"",
        "",
        "p.toml:5: \"events\" is missing: write events = \"*\" or events = [\"like\"]",
    );
    assert_refused("decays = [\"5s\"]", "", "p.toml:5: \"decays\" is missing: write decays = [\"10m\", \"1d\"]");
    assert_refused_with(
        "[kafka]\ntopic = \"b\"",
        "p.toml:10: \"brokers\" is missing: write brokers = \"localhost:9092\"",
    );
    assert_refused_with("[kafka]\nbrokers = \"b\"", "p.toml:10: \"topic\" is missing: write topic = \"events\"");
    let no_event = "name = \"p\"";
    let expected = "p.toml:1: \"event\" is missing: write [event] with name = \"eventName\" and time = \"eventTs\"";
    assert_eq!(parse(no_event).err().as_deref(), Some(expected));
    let no_counters = &MINIMAL[..MINIMAL.find("[[counters]]").expect("it has counters")];
    let expected = "p.toml:1: nothing is counted: add a [[counters]] section with name, key, events and decays";
    assert_eq!(parse(no_counters).err().as_deref(), Some(expected));
}

#[test]
fn values_of_another_kind_are_refused() {
    assert_refused("name = \"p\"", "name = 5", "p.toml:1: invalid type: integer `5`, expected a string");
    assert_refused("[\"5s\"]", "[5]", "p.toml:9: invalid type: integer `5`, expected a string");
    assert_refused("[\"userId\"]", "\"userId\"", "p.toml:7: invalid type: string \"userId\", expected a list");
    assert_refused_with(
        "[event.name]",
        "p.toml:10: duplicate key: [event.name] stands here twice: put what belongs to it under one",
    );
    assert_refused_with(
        "window = 5",
        "p.toml:10: unknown key \"window\": it is a section of its own and belongs in no other (here may stand: name, key, events, measures, decays, uniques_registers, feature, ttl, publish, weight, explode, where, where_not)",
    );
    assert_refused(
        "name = \"p\"",
        "name = \"p\"\nwindow = 5",
        "p.toml:2: invalid type: integer `5`, expected a section",
    );
    let clock = "[window]\nclock = 5";
    assert_refused_with(clock, "p.toml:11: expected a string");
    assert_refused(
        "[[counters]]",
        "[counters]",
        "p.toml:5: there may be several of [counters]: write [[counters]] above each, also above a single one",
    );
    assert_refused_with(
        "[kafka]\nbrokers = \"a\"\ntopic = \"b\"\n[kafka.options]\nx = 1.5",
        "p.toml:14: an option of librdkafka is a string, an integer, true or false",
    );
    let expected = "p.toml:8: events is \"*\" or a list of event names: write events = [\"like\"]";
    assert_refused("\"*\"", "\"like\"", expected);
    assert_refused("\"*\"", "5", "p.toml:8: invalid type: integer `5`, expected \"*\" or a list of event names");
}

#[test]
fn empty_names_are_refused() {
    assert_refused("\"p\"", "\"\"", "p.toml:1: the pipeline's name may not be empty");
    assert_refused("\"eventName\"", "\"\"", "p.toml:3: the field with the event's name may not be empty");
    assert_refused("\"eventTs\"", "\"\"", "p.toml:4: the field with the event's time may not be empty");
    assert_refused("\"user\"", "\"\"", "p.toml:6: a group's name may not be empty");
    assert_refused("[\"userId\"]", "[\"\"]", "p.toml:7: a key field may not be empty");
    assert_refused("\"*\"", "[\"a\",\n\"\"]", "p.toml:9: an event's name may not be empty");
    assert_refused("decays", "feature = \"\"\ndecays", "p.toml:9: feature may not be empty");
    assert_refused_with("[kafka]\nbrokers = \"\"\ntopic = \"b\"", "p.toml:11: brokers may not be empty");
    assert_refused_with("[kafka]\nbrokers = \"a\"\ntopic = \"b\"\ngroup = \"\"", "p.toml:13: group may not be empty");
    assert_refused_with("[kafka]\nbrokers = \"a\"\ntopic = \"\"", "p.toml:12: topic may not be empty");
}

#[test]
fn empty_lists_are_refused() {
    let key = "p.toml:7: key needs one or more fields, for example key = [\"userId\"]";
    assert_refused("[\"userId\"]", "[]", key);
    assert_refused("\"*\"", "[]", "p.toml:8: events needs one or more names, or \"*\" for every event");
    let decays = "p.toml:9: decays needs one or more intervals, for example decays = [\"10m\", \"1d\"]";
    assert_refused("[\"5s\"]", "[]", decays);
    let measures = "p.toml:9: measures needs one or more, for example measures = [\"count\"]";
    assert_refused("decays", "measures = []\ndecays", measures);
}

#[test]
fn duplicates_are_refused() {
    assert_refused("[\"userId\"]", "[\"a\",\n\"a\"]", "p.toml:8: a key field \"a\" stands here twice");
    assert_refused("\"*\"", "[\"a\", \"a\"]", "p.toml:8: an event \"a\" stands here twice");
    assert_refused("[\"5s\"]", "[\"1m\",\n\"5s\",\n\"60s\"]", "p.toml:11: the decay \"60s\" stands here twice");
    let measures = "measures = [\"sum(a)\", \"sum( a )\"]\ndecays";
    assert_refused("decays", measures, "p.toml:9: the measure \"sum( a )\" stands here twice");
    let group = "[[counters]]\nname = \"user\"\nkey = [\"a\"]\nevents = [\"x\"]\ndecays = [\"1s\"]";
    assert_refused_with(group, "p.toml:11: a counter group named \"user\" stands here twice");
}

#[test]
fn the_name_and_the_time_of_an_event_are_no_other_fields() {
    assert_refused(
        "\"eventTs\"",
        "\"eventName\"",
        "p.toml:4: \"eventName\" cannot be both the event's name and its time",
    );
    assert_refused(
        "[\"userId\"]",
        "[\"eventName\"]",
        "p.toml:7: \"eventName\" is the event's name: it stands in the feature's name, as {event}; name another field",
    );
    let measures = "measures = [\"sum(eventTs)\"]\ndecays";
    assert_refused("decays", measures, "p.toml:9: \"eventTs\" is the event's time: name another field");
}

#[test]
fn measures_that_do_not_exist_are_refused() {
    let refused = |measure: &str, expected: &str| {
        let measures = format!("measures = [\"count\", \"{measure}\"]\nfeature = \"{{event}}.{{measure}}\"\ndecays");
        assert_refused("decays", &measures, &format!("p.toml:9: {expected}"));
    };
    refused("sum", "\"sum\" is no measure: there are count, sum(FIELD) and uniques(FIELD)");
    refused("avg(x)", "\"avg(x)\" is no measure: there are count, sum(FIELD) and uniques(FIELD)");
    refused("count(x)", "\"count(x)\" is no measure: there are count, sum(FIELD) and uniques(FIELD)");
    refused("cuont", "\"cuont\" is no measure; did you mean \"count\": there are count, sum(FIELD) and uniques(FIELD)");
    refused(
        "Sum(price)",
        "\"Sum(price)\" is no measure; did you mean \"sum(price)\": there are count, sum(FIELD) and uniques(FIELD)",
    );
    refused("sum()", "\"sum()\" names no field: write for example sum(price)");
    refused("uniques()", "\"uniques()\" names no field: write for example sum(price)");
}

#[test]
fn durations_that_make_no_sense_are_refused() {
    let malformed = |text: &str| {
        format!(
            "\"{text}\" is no duration: write a whole number and a unit (ns, us, ms, s, m, h, d, w), \
             for example \"90s\", \"5m\", \"1h30m\" or \"7d\""
        )
    };
    assert_refused("5s", "5", &format!("p.toml:9: {}", malformed("5")));
    assert_refused("5s", "none", &format!("p.toml:9: {}", malformed("none")));
    assert_refused_with("[window]\nlength = \"1.5s\"", &format!("p.toml:11: {}", malformed("1.5s")));
    let too_long = "p.toml:9: \"1000000000001s\" is too long: a duration is at most 1000000000000s";
    assert_refused("5s", "1000000000001s", too_long);
    assert_refused_with("[window]\nlength = \"99ms\"", "p.toml:11: a window is at least 100ms long, not 99ms");
    assert_refused("5s", "0s", "p.toml:9: the decay \"0s\" must be longer than nothing");
    assert_refused(
        "5s",
        "1500ms",
        "p.toml:9: the decay \"1500ms\" is no whole number of the event's time unit, 1s: \
         choose a longer one or a finer time_unit",
    );
    let ttl = "p.toml:9: a ttl must be longer than nothing; \"none\" keeps rows for ever";
    assert_refused("decays", "ttl = \"0s\"\ndecays", ttl);
    let nanoseconds = changed(&[("time =", "time_unit = \"ns\"\ntime ="), ("5s", "1668d")]);
    let expected = "p.toml:10: the decay \"1668d\" is too long: with this time_unit it is at most 144115188s";
    assert_eq!(parse(&nanoseconds).err().as_deref(), Some(expected));
}

#[test]
fn numbers_out_of_range_are_refused() {
    assert_refused_with("[window]\nreplay_batch = 0", "p.toml:11: replay_batch must be at least 1, not 0");
    let max_bytes = "p.toml:4: max_bytes must be from 1 to 1073741824, not 0";
    assert_refused("time =", "max_bytes = 0\ntime =", max_bytes);
    let max = "p.toml:11: max must be a whole number or \"none\"";
    assert_refused_with("[dead_letters]\nmax = -1", &format!("{max}, not -1"));
    assert_refused_with("[dead_letters]\nmax = \"many\"", &format!("{max}, not \"many\""));
    assert_refused_with("[dead_letters]\nmax = 1.5", max);
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    for rows in ["0", "-5"] {
        let expected = format!("p.toml:11: rows must be at least 1, not {rows}");
        assert_refused_with(&format!("[limits]\nrows = {rows}"), &expected);
    }
    assert_refused_with("[limits]\nmemory = \"1023KiB\"", "p.toml:11: memory must be at least 1MiB, not 1023KiB");
    assert_refused_with(
        "[limits]\n\nmemory = \"8G\"",
        "p.toml:12: \"8G\" is no amount of memory: write a whole number and a unit (B, kB, MB, GB, TB, or KiB, MiB, GiB, \
         TiB), for example \"8GiB\" or \"500MB\"",
    );
    assert_refused_with(
        "[limits]\nrow = 5",
        "p.toml:11: unknown key \"row\"; did you mean \"rows\"? (here may stand: rows, memory)",
    );
}

#[test]
fn a_table_that_dynamodb_would_not_have_is_refused() {
    assert_refused_with(
        "[dynamodb]\ntable = \"my table\"",
        "p.toml:11: \"my table\" cannot be the name of a DynamoDB table: \
         that is 3 to 255 letters, digits, \"_\", \"-\" and \".\"",
    );
}

#[test]
fn a_state_is_kept_every_second_at_most() {
    let unknown = "p.toml:11: unknown key \"evry\"; did you mean \"every\"? (here may stand: every, dir)";
    assert_refused_with("[checkpoint]\nevry = \"30s\"", unknown);
    let error = parse_with("[checkpoint]\nevery = \"often\"").expect_err("not a duration");
    assert!(error.starts_with("p.toml:11: \"often\" is no duration"), "{error}");
    assert_refused_with(
        "[checkpoint]\ndir = \"state\"\nevery = \"999ms\"",
        "p.toml:12: the time from one checkpoint to the next is at least 1s, not 999ms",
    );
}

#[test]
fn a_variable_that_is_not_set_is_refused_where_it_stands() {
    assert_refused(
        "\"*\"",
        "[\"a\",\n\"${MISSING}\"]",
        "p.toml:9: the environment variable MISSING is not set: set it, or give a default with ${MISSING:-default}",
    );
}

#[test]
fn a_template_has_only_known_places() {
    for feature in ["{evnt}", "{event", "event}", "{{event}}", "{}", "{Event}"] {
        let expected = format!(
            "p.toml:9: feature = \"{feature}\" has a brace that belongs to none of the places \
             {{group}}, {{event}} and {{measure}}"
        );
        assert_refused("decays", &format!("feature = \"{feature}\"\ndecays"), &expected);
    }
    let expected = "p.toml:6: the group's name \"{event}\" may hold neither braces nor control characters";
    assert_refused("\"user\"", "\"{event}\"", expected);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Pipeline::load(Path::new("no/such/pipeline.toml"), &environment).expect_err("there is none");
    assert!(error.to_string().starts_with("cannot read the pipeline file no/such/pipeline.toml: "), "{error}");
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_accepted() {
    assert!(parse(&format!("\u{feff}{MINIMAL}")).is_ok());
    let windows = MINIMAL.replace('\n', "\r\n");
    assert!(parse(&windows).is_ok());
    let error = parse(&windows.replace("5s", "5")).expect_err("not a duration");
    assert!(error.starts_with("p.toml:9: "), "{error}");
}

#[test]
fn brackets_without_end_are_refused() {
    for bracket in ["[", "{a="] {
        let error = parse(&format!("name = {}", bracket.repeat(100_000))).expect_err("far too deep");
        assert!(error.starts_with("p.toml:1: "), "{}", &error[..200.min(error.len())]);
    }
}

proptest! {
    /// Whatever is typed, there is an answer, and an error has a line that the file has.
    #[test]
    fn no_text_is_too_strange(cut in 0..MINIMAL.len(), length in 0..12usize, inserted in "[\\[\\]{}=\"$.,:*\\\\0-9a-z\n\\PC]{0,8}") {
        let end = (cut + length).min(MINIMAL.len());
        let text = format!("{}{inserted}{}", &MINIMAL[..cut], &MINIMAL[end..]);
        if let Err(error) = parse(&text) {
            let line: usize = error.split(':').nth(1).and_then(|line| line.parse().ok()).expect("a line");
            prop_assert!((1..=text.lines().count() + 1).contains(&line), "{error}");
        }
    }
}

#[test]
fn more_of_anything_than_its_numbers_reach_is_refused() {
    let measures: Vec<String> = (0..10_000).map(|field| format!("\"sum(f{field})\"")).collect();
    let expected = "p.toml:9: too many fields: the counters of one pipeline may use 10000";
    assert_refused("decays", &format!("measures = [{}]\ndecays", measures.join(",")), expected);
    let decays: Vec<String> = (1..=70_000).map(|seconds| format!("\"{seconds}s\"")).collect();
    let expected = "p.toml:9: too many decays: a counter group may have 1000";
    assert_refused("[\"5s\"]", &format!("[{}]", decays.join(",")), expected);
    let group =
        |index| format!("[[counters]]\nname = \"g{index}\"\nkey = [\"k\"]\nevents = [\"e\"]\ndecays = [\"5s\"]\n");
    let groups: String = (0..65_535).map(group).collect();
    let expected = format!("p.toml:{}: too many groups: a pipeline may have 65535", 10 + 65_534 * 5);
    assert_refused_with(&groups, &expected);
}
