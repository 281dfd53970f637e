//! What a pipeline file says, and what it means when it says nothing.

use super::*;
use crate::event::{Ahead, DeclaredField, EventSchema, FieldId, FieldPath, TimeUnit};

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
            name_field: FieldPath::top_level("eventName"),
            time_field: FieldPath::top_level("eventTs"),
            time_unit: TimeUnit::Seconds,
            max_ahead: Some(60),
            ahead: Ahead::DeadLetter,
            arrival_field: None,
            max_bytes: 1_048_576,
            fields: vec![DeclaredField { as_key: true, ..DeclaredField::unused(FieldPath::top_level("userId")) }],
        }
    );
    let window = WindowConfig { length: Duration::from_secs(5), clock: None, replay_batch: 50_000 };
    assert_eq!(pipeline.window, window);
    assert_eq!(pipeline.kafka, None);
    let dynamodb = DynamoDbConfig::of_table("p");
    assert_eq!(pipeline.dynamodb, dynamodb);
    assert_eq!(pipeline.dead_letters, DeadLetterConfig { path: None, max: None });
    let [group] = pipeline.groups.as_slice() else { panic!("one group") };
    assert_eq!((group.name.as_str(), &group.events), ("user", &EventSelector::All));
    assert_eq!(group.key, [FieldId(0)]);
    assert_eq!(group.measures, [Measure { name: "count".to_owned(), weight: None, members: None }]);
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
    assert_eq!(pipeline.sink, Some(SinkTarget::Stdout));
    assert_eq!((pipeline.event.max_ahead, pipeline.event.max_bytes), (None, 4096));
    assert_eq!(pipeline.event.time_unit, TimeUnit::Milliseconds);
    let length = Duration::from_millis(250);
    assert_eq!(pipeline.window, WindowConfig { length, clock: Some(ClockKind::Event), replay_batch: 7 });
    assert_eq!(pipeline.dynamodb.endpoint.as_deref(), Some("http://localhost:8000"));
    assert_eq!(pipeline.dead_letters, DeadLetterConfig { path: Some("d/l.jsonl".into()), max: Some(0) });
    let kafka = pipeline.kafka.as_ref().expect("a [kafka] section");
    assert_eq!((kafka.brokers.as_str(), kafka.topic.as_str()), ("a:1,b:2", "from \"outside\""));
    assert_eq!(kafka.start, StartOffset::Latest);
    assert_eq!(kafka.group_or("p"), "p");
    let named = KafkaConfig { group: Some("g".to_owned()), ..kafka.clone() };
    assert_eq!(named.group_or("p"), "g");
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
fn limits_are_none_or_what_is_written() {
    let limits = |more: &str| parse_with(more).expect("a valid pipeline").limits;
    assert_eq!(limits(""), Limits::default());
    assert!(!limits("[limits]").any());
    let both = Limits { rows: Some(RowLimit(5_000_000)), memory: Some(Bytes(8 << 30)) };
    assert_eq!(limits("[limits]\nrows = 5_000_000\nmemory = \"8GiB\""), both);
    assert_eq!(limits("[limits]\nmemory = \"1MiB\"").memory, Some(Limits::LEAST_MEMORY));
}

#[test]
fn a_field_is_declared_once_whatever_it_is_used_for() {
    let pipeline = parse_changed("decays", "measures = [\"sum(userId)\", \"sum(price)\"]\ndecays");
    let field = |name: &str, as_key, as_value| DeclaredField {
        as_key,
        as_value,
        ..DeclaredField::unused(FieldPath::top_level(name))
    };
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
fn a_state_is_kept_every_30_seconds_where_the_file_or_a_flag_says() {
    let of = |section: &str| parse_with(section).expect("a valid pipeline").checkpoint;
    assert_eq!(of(""), CheckpointConfig { every: Duration::from_secs(30), dir: None });
    assert_eq!(
        of("[checkpoint]\nevery = \"1s\"\ndir = \"s3://bucket/user_counters\""),
        CheckpointConfig { every: Duration::from_secs(1), dir: Some("s3://bucket/user_counters".to_owned()) }
    );
    assert_eq!(of("[checkpoint]\ndir = \"${NOT_SET:-}\"").dir, None, "a variable that is not set");
}
