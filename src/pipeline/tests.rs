//! What a pipeline file may say, what it means when it says nothing, and how each mistake is told.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::event::{DeclaredField, FieldId, TimeUnit};

/// The least that a pipeline can be. The numbers of its lines stand in the expected errors.
const MINIMAL: &str = r#"name = "p"
[event]
name = "eventName"
time = "eventTs"
[[counters]]
name = "user"
key = ["userId"]
events = "*"
decays = ["5s"]
"#;

fn environment(name: &str) -> Option<String> {
    (name == "TOPIC").then(|| "from \"outside\"".to_owned())
}

fn parse(text: &str) -> Result<Pipeline, String> {
    Pipeline::parse(text, "p.toml", &environment).map_err(|error| error.to_string())
}

/// The minimal pipeline with each first text replaced by the second.
fn changed(changes: &[(&str, &str)]) -> String {
    let mut text = MINIMAL.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} does not stand in the minimal pipeline");
        text = text.replacen(from, to, 1);
    }
    text
}

fn parse_changed(from: &str, to: &str) -> Pipeline {
    parse(&changed(&[(from, to)])).expect("a valid pipeline")
}

/// The minimal pipeline with more lines behind it.
fn parse_with(more: &str) -> Result<Pipeline, String> {
    parse(&format!("{MINIMAL}{more}"))
}

#[track_caller]
fn assert_refused(from: &str, to: &str, expected: &str) {
    assert_eq!(parse(&changed(&[(from, to)])).err().as_deref(), Some(expected));
}

#[track_caller]
fn assert_refused_with(more: &str, expected: &str) {
    assert_eq!(parse_with(more).err().as_deref(), Some(expected));
}

fn units(group: &Group) -> Vec<i64> {
    group.decays.intervals().iter().map(|interval| interval.units()).collect()
}

#[test]
fn the_least_pipeline_has_these_defaults() {
    let pipeline = parse(MINIMAL).expect("a valid pipeline");
    assert_eq!(pipeline.name, "p");
    assert_eq!(pipeline.sink, None);
    assert_eq!(
        pipeline.event,
        EventSchema {
            name_field: "eventName".to_owned(),
            time_field: "eventTs".to_owned(),
            time_unit: TimeUnit::Seconds,
            max_ahead: Some(86_400),
            max_bytes: 1_048_576,
            fields: vec![DeclaredField { name: "userId".to_owned(), as_key: true, as_value: false }],
        }
    );
    let window = WindowConfig { length: Duration::from_secs(5), clock: None, replay_batch: 50_000 };
    assert_eq!(pipeline.window, window);
    assert_eq!(pipeline.kafka, None);
    let dynamodb = DynamoDbConfig { table: "p".to_owned(), endpoint: None, region: "us-east-1".to_owned() };
    assert_eq!(pipeline.dynamodb, dynamodb);
    assert_eq!(pipeline.dead_letters, DeadLetterConfig { path: None, max: None });
    let [group] = pipeline.groups.as_slice() else { panic!("one group") };
    assert_eq!((group.name.as_str(), &group.events), ("user", &EventSelector::All));
    assert_eq!(group.key, [FieldId(0)]);
    assert_eq!(group.measures, [Measure { name: "count".to_owned(), weight: None }]);
    assert_eq!(group.feature_name("like", MeasureId(0)), "user.like.count");
    assert_eq!(group.ttl, Some(7 * 86_400));
    assert_eq!(pipeline.warnings(), Vec::<String>::new());
}

#[test]
fn every_section_is_taken_as_it_stands() {
    let pipeline = parse(
        r#"
name = "full"
sink = "jsonl:-"
event = { name = "n", time = "t", time_unit = "ms", max_ahead = "none", max_bytes = 4096 }
window = { length = "250ms", clock = "event", replay_batch = 7 }
dynamodb = { table = "T.a-b_1", endpoint = "http://localhost:8000", region = "eu-west-1" }
dead_letters = { path = "d/l.jsonl", max = 0 }

[kafka]
brokers = "a:1,b:2"
topic = "${TOPIC}"
start = "latest"
options = { "socket.timeout.ms" = 500, "enable.partition.eof" = true, "security.protocol" = "ssl" }

[[counters]]
name = "creator"
key = ["userId", "creatorId"]
events = ["like", "view"]
measures = ["count", "sum(price)", " sum( weight ) "]
decays = ["1h", "1m30s", "500ms"]
feature = "{group}/{measure}:{event}"
ttl = "none"
"#,
    )
    .expect("a valid pipeline");
    assert_eq!(pipeline.sink.as_deref(), Some("jsonl:-"));
    assert_eq!((pipeline.event.max_ahead, pipeline.event.max_bytes), (None, 4096));
    assert_eq!(pipeline.event.time_unit, TimeUnit::Milliseconds);
    let length = Duration::from_millis(250);
    assert_eq!(pipeline.window, WindowConfig { length, clock: Some(ClockKind::Event), replay_batch: 7 });
    assert_eq!(pipeline.dynamodb.endpoint.as_deref(), Some("http://localhost:8000"));
    assert_eq!(pipeline.dead_letters, DeadLetterConfig { path: Some("d/l.jsonl".into()), max: Some(0) });
    let kafka = pipeline.kafka.as_ref().expect("a [kafka] section");
    assert_eq!((kafka.brokers.as_str(), kafka.topic.as_str()), ("a:1,b:2", "from \"outside\""));
    assert_eq!(kafka.start, StartOffset::Latest);
    let options: Vec<(&str, &str)> =
        kafka.options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [("enable.partition.eof", "true"), ("security.protocol", "ssl"), ("socket.timeout.ms", "500")];
    assert_eq!(options, expected);
    let group = &pipeline.groups[0];
    assert_eq!(units(group), [500, 90_000, 3_600_000]);
    assert_eq!(group.ttl, None);
    assert_eq!(group.feature_name("like", MeasureId(2)), "creator/sum_weight:like");
    assert_eq!(group.measures[1].weight, Some(FieldId(2)));
}

#[test]
fn a_field_is_declared_once_whatever_it_is_used_for() {
    let pipeline = parse_changed("decays", "measures = [\"sum(userId)\", \"sum(price)\"]\ndecays");
    let field = |name: &str, as_key, as_value| DeclaredField { name: name.to_owned(), as_key, as_value };
    assert_eq!(pipeline.event.fields, [field("userId", true, true), field("price", false, true)]);
}

#[test]
fn empty_texts_from_the_environment_are_as_good_as_none() {
    let text =
        "[dynamodb]\nendpoint = \"${X:-}\"\nregion = \"${X:-}\"\n[dead_letters]\npath = \"${X:-}\"\nmax = \"none\"";
    let pipeline = parse_with(text).expect("a valid pipeline");
    assert_eq!((pipeline.dynamodb.endpoint, pipeline.dynamodb.region.as_str()), (None, "us-east-1"));
    assert_eq!(pipeline.dead_letters, DeadLetterConfig::default());
}

#[test]
fn the_default_ttl_is_a_week_or_forty_of_the_longest_decay() {
    let ttl = |decay: &str| parse_changed("5s", decay).groups[0].ttl;
    assert_eq!(ttl("4h"), Some(604_800));
    assert_eq!(ttl("1d"), Some(40 * 86_400));
    assert_eq!(ttl("1000000000000s"), Some(40_000_000_000_000));
    let nanoseconds = changed(&[("time =", "time_unit = \"ns\"\ntime ="), ("5s", "365d")]);
    let group = parse(&nanoseconds).expect("a valid pipeline").groups.remove(0);
    assert_eq!((units(&group), group.ttl), (vec![31_536_000_000_000_000], None), "40 of them are beyond all times");
}

#[test]
fn a_ttl_is_kept_in_time_units_rounded_up_and_none_where_no_time_reaches_it() {
    let ttl = |ttl: &str| parse_changed("decays", &format!("ttl = \"{ttl}\"\ndecays")).groups[0].ttl;
    assert_eq!(ttl("1500ms"), Some(2));
    assert_eq!(ttl("none"), None);
    assert_eq!(ttl("1000000000000s"), Some(1_000_000_000_000));
    let text = changed(&[("time =", "time_unit = \"us\"\ntime ="), ("decays", "ttl = \"1000000000000s\"\ndecays")]);
    assert_eq!(parse(&text).expect("a valid pipeline").groups[0].ttl, None);
}

#[test]
fn a_short_ttl_is_a_warning() {
    let warnings = |ttl: &str| parse_changed("decays", &format!("ttl = \"{ttl}\"\ndecays")).warnings();
    assert_eq!(warnings("200s"), Vec::<String>::new());
    assert_eq!(
        warnings("199s"),
        ["group \"user\": its ttl of 199s is shorter than 40 times its longest decay (200s): \
          rows are forgotten while they still count"]
    );
}

#[test]
fn a_limit_that_no_time_can_pass_is_none() {
    let ahead = |to: &str| parse_changed("time = \"eventTs\"", to).event.max_ahead;
    assert_eq!(ahead("time = \"t\"\nmax_ahead = \"1000000000000s\""), Some(1_000_000_000_000));
    assert_eq!(ahead("time = \"t\"\nmax_ahead = \"1000000000000s\"\ntime_unit = \"us\""), None);
    assert_eq!(ahead("time = \"t\"\nmax_ahead = \"0s\"\ntime_unit = \"rfc3339\""), Some(0));
    assert_eq!(ahead("time = \"t\"\nmax_ahead = \"1500ms\"\ntime_unit = \"rfc3339\""), Some(1500));
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_its_line() {
    assert_refused("\"*\"", "all", "p.toml:8: string values must be quoted, expected literal string");
    assert_refused("[\"5s\"]", "[\"5s\"", "p.toml:9: unclosed array, expected `]`");
    assert_refused("time = \"eventTs\"", "name = \"n\"", "p.toml:4: duplicate key");
}

#[test]
fn unknown_keys_and_values_are_refused_with_what_was_meant() {
    assert_refused(
        "events =",
        "event =",
        "p.toml:8: unknown key \"event\"; did you mean \"events\"? \
         (here may stand: name, key, events, measures, decays, feature, ttl)",
    );
    assert_refused_with(
        "[windows]",
        "p.toml:10: unknown key \"windows\"; did you mean \"window\"? (here may stand: \
         name, sink, event, window, kafka, dynamodb, checkpoint, dead_letters, counters)",
    );
    assert_refused(
        "time = ",
        "unit = \"s\"\ntime = ",
        "p.toml:4: unknown key \"unit\" (here may stand: name, time, time_unit, max_ahead, max_bytes)",
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
    assert_refused_with("[event.name]", "p.toml:10: duplicate key");
    assert_refused_with(
        "window = 5",
        "p.toml:10: unknown key \"window\" (here may stand: name, key, events, measures, decays, feature, ttl)",
    );
    assert_refused(
        "name = \"p\"",
        "name = \"p\"\nwindow = 5",
        "p.toml:2: invalid type: integer `5`, expected a section",
    );
    assert_refused(
        "[[counters]]",
        "[counters]",
        "p.toml:5: invalid type: section, expected a list: write [[counters]]",
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
    refused("sum", "\"sum\" is no measure: there are count and sum(FIELD)");
    refused("avg(x)", "\"avg(x)\" is no measure: there are count and sum(FIELD)");
    refused("count(x)", "\"count(x)\" is no measure: there are count and sum(FIELD)");
    refused("sum()", "\"sum()\" names no field: write for example sum(price)");
    refused(
        "uniques(userId)",
        "\"uniques(userId)\" is not supported yet: uniques come in a later version; use count or sum(FIELD)",
    );
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
fn a_table_that_dynamodb_would_not_have_is_refused() {
    assert_refused_with(
        "[dynamodb]\ntable = \"my table\"",
        "p.toml:11: \"my table\" cannot be the name of a DynamoDB table: \
         that is 3 to 255 letters, digits, \"_\", \"-\" and \".\"",
    );
}

#[test]
fn state_is_refused_until_it_comes() {
    assert_refused_with(
        "[checkpoint]\nevery = \"30s\"\ndir = \"state\"",
        "p.toml:10: [checkpoint] is not supported yet: keeping state between runs comes in a later version; \
         remove the section",
    );
    let unknown = "p.toml:11: unknown key \"evry\"; did you mean \"every\"? (here may stand: every, dir)";
    assert_refused_with("[checkpoint]\nevry = \"30s\"", unknown);
    let error = parse_with("[checkpoint]\nevery = \"often\"").expect_err("not a duration");
    assert!(error.starts_with("p.toml:11: \"often\" is no duration"), "{error}");
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
