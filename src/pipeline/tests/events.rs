//! Mapped events, weights, exploded keys, conditions and paths: what they mean, and each mistake.

use super::*;
use crate::event::{DeclaredField, FieldId};

/// The minimal pipeline with these lines in its group.
fn in_group(lines: &str) -> Result<Pipeline, String> {
    parse_with(lines)
}

#[track_caller]
fn refused_in_event(lines: &str, expected: &str) {
    assert_refused("[[counters]]", &format!("{lines}\n[[counters]]"), expected);
}

#[test]
fn events_may_count_as_others_and_with_another_weight() {
    let map = "[event.map]\nunlike = { event = \"like\", weight = -1 }\nglance = { weight = 0.5 }\nfav = { event = \"unlike\" }\n[[counters]]";
    let map = parse_changed("[[counters]]", map).event_map;
    assert_eq!(map.of("unlike"), ("like", -1.0));
    assert_eq!(map.of("glance"), ("glance", 0.5));
    assert_eq!(map.of("fav"), ("unlike", 1.0), "mappings never chain");
    assert_eq!(map.of("like"), ("like", 1.0));
    assert!(map.pools("like") && map.pools("unlike") && !map.pools("glance") && !map.pools("fav"));
    let names: Vec<&str> = map.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["fav", "glance", "unlike"]);
    assert_eq!(parse(MINIMAL).expect("a valid pipeline").event_map, EventMap::default());
}

#[test]
fn mappings_that_make_no_sense_are_refused() {
    let says_nothing =
        "p.toml:5: the mapping of \"a\" says nothing: give it event or weight, as in { event = \"like\", weight = -1 }";
    refused_in_event("map = { a = {} }", says_nothing);
    let nothing = "p.toml:6: \"a\" with a weight of 0 counts nothing: leave it out of the groups' events";
    refused_in_event("[event.map]\na = { weight = 0 }", nothing);
    refused_in_event("[event.map]\na = { weight = -0.0 }", nothing);
    refused_in_event(
        "[event.map]\na = { weight = nan }",
        "p.toml:6: the weight of \"a\" must be a finite number, not NaN",
    );
    refused_in_event(
        "[event.map]\na = { weight = -inf }",
        "p.toml:6: the weight of \"a\" must be a finite number, not -inf",
    );
    refused_in_event("[event.map]\na = { weight = \"1\" }", "p.toml:6: a weight is a number, as in weight = -1");
    refused_in_event(
        "[event.map]\na = { event = \"\" }",
        "p.toml:6: the event that another one counts as may not be empty",
    );
    refused_in_event("[event.map]\n\"\" = { event = \"b\" }", "p.toml:6: the name of a mapped event may not be empty");
    refused_in_event(
        "[event.map]\na = \"like\"",
        "p.toml:6: invalid type: string \"like\", expected a section, as in { event = \"like\", weight = -1 }",
    );
    refused_in_event(
        "[event.map]\na = { wieght = 1 }",
        "p.toml:6: unknown key \"wieght\"; did you mean \"weight\"? (here may stand: event, weight)",
    );
}

#[test]
fn an_event_that_never_comes_as_it_counts_as_another_is_refused() {
    let map = "map = { unlike = { event = \"like\" } }\n[[counters]]";
    let text = changed(&[("[[counters]]", map), ("\"*\"", "[\"like\",\n\"unlike\"]")]);
    let expected =
        "p.toml:10: no event is called \"unlike\" here: [event.map] makes it \"like\"; write \"like\"".to_owned();
    assert_eq!(parse(&text).err(), Some(expected));
    let swapped = text.replace("{ unlike", "{ like = { event = \"unlike\" }, unlike");
    assert!(parse(&swapped).is_ok(), "both names still come");
}

#[test]
fn a_group_has_weight_exploded_fields_and_conditions() {
    let pipeline = in_group(
        r#"weight = "boost"
explode = ["userId"]
where = { surface = ["feed", 7], "user.plan" = "free" }
where_not.bot = true
measures = ["sum(boost)", "sum(order.total)"]
"#,
    )
    .expect("a valid pipeline");
    let group = &pipeline.groups[0];
    let names: Vec<&str> = pipeline.event.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["userId", "surface", "user.plan", "bot", "boost", "order.total"]);
    assert_eq!((group.key.as_slice(), group.explode.as_slice()), (&[FieldId(0)][..], &[FieldId(0)][..]));
    assert_eq!(group.weight, Some(FieldId(4)));
    let condition = |field, values: &[&str], must_be| Condition {
        field: FieldId(field),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        must_be,
    };
    let expected = [condition(1, &["feed", "7"], true), condition(2, &["free"], true), condition(3, &["true"], false)];
    assert_eq!(group.conditions, expected);
    assert_eq!(group.feature_name("like", MeasureId(1)), "user.like.sum_order.total");
    let unused = || DeclaredField::unused("userId".parse().expect("a path"));
    assert_eq!(pipeline.event.fields[0], DeclaredField { as_members: true, ..unused() });
    assert!(pipeline.event.fields[2].as_key && pipeline.event.fields[4].as_value);
}

#[test]
fn a_condition_holds_of_a_missing_field_only_where_it_excludes() {
    let condition = |must_be| Condition { field: FieldId(0), values: vec!["a".to_owned(), "b".to_owned()], must_be };
    for (text, is_one) in [(Some("a"), true), (Some("b"), true), (Some("ab"), false), (None, false)] {
        let text = text.map(str::as_bytes);
        assert_eq!((condition(true).holds(text), condition(false).holds(text)), (is_one, !is_one));
    }
}

#[test]
fn what_is_exploded_must_be_part_of_the_key() {
    let refused = |lines: &str, expected: &str| assert_eq!(in_group(lines).err().as_deref(), Some(expected));
    refused(
        "explode = [\"userIds\"]",
        "p.toml:10: \"userIds\" is exploded but no field of the key; did you mean \"userId\"? (the key is: userId)",
    );
    refused("explode = []", "p.toml:10: explode needs one or more of the key's fields, or leave it out");
    refused("explode = [\"userId\", \"userId\"]", "p.toml:10: an exploded field \"userId\" stands here twice");
    refused("explode = \"userId\"", "p.toml:10: invalid type: string \"userId\", expected a list");
}

#[test]
fn conditions_that_make_no_sense_are_refused() {
    let refused = |lines: &str, expected: &str| assert_eq!(in_group(lines).err().as_deref(), Some(expected));
    refused("where = { a = [] }", "p.toml:10: \"a\" needs one or more values, as in { a = [\"feed\", \"search\"] }");
    refused("where_not = { a = \"\" }", "p.toml:10: \"a\" never is \"\": an empty field counts as a missing one");
    refused("where = { a = [7, \"7\"] }", "p.toml:10: the value \"7\" of \"a\" stands here twice");
    let kinds = "p.toml:10: a condition is a string, an integer, true or false, or a list of them";
    refused("where = { a = 1.5 }", kinds);
    refused("where = { a = [[1]] }", kinds);
    refused(
        "where = { user.plan = \"free\" }",
        "p.toml:10: \"user\" needs a value or a list of values; a field inside an object is written in quotes, \
         as in { \"user.name\" = ... }",
    );
    refused(
        "where = { eventName = \"like\" }",
        "p.toml:10: \"eventName\" is the event's name: it stands in the feature's name, as {event}; name another field",
    );
    refused("weight = \"eventTs\"", "p.toml:10: \"eventTs\" is the event's time: name another field");
    refused("weight = \"\"", "p.toml:10: the field with the weight may not be empty");
}

#[test]
fn fields_may_stand_inside_objects_wherever_they_are_named() {
    let text = changed(&[
        ("\"eventName\"", "\"meta.name\""),
        ("\"eventTs\"", "\"meta.at.ts\""),
        ("\"userId\"", "\"user.id\", 'user\\.id'"),
    ]);
    let pipeline = parse(&text).expect("a valid pipeline");
    assert_eq!(pipeline.event.name_field.names(), ["meta", "name"]);
    assert_eq!(pipeline.event.time_field.names(), ["meta", "at", "ts"]);
    let fields: Vec<_> = pipeline.event.fields.iter().map(|field| field.name.names()).collect();
    assert_eq!(fields, [vec!["user", "id"], vec!["user.id"]]);
}

#[test]
fn paths_that_lead_nowhere_are_refused() {
    let empty = |path: &str, line: u8| {
        format!(
            "p.toml:{line}: \"{path}\" has an empty name in it: names are joined by single dots, as in user.id; \
             a dot that is part of a name is written \\."
        )
    };
    assert_refused("\"userId\"", "\"user..id\"", &empty("user..id", 7));
    assert_refused("\"eventTs\"", "\"ts.\"", &empty("ts.", 4));
    assert_refused("decays", "measures = [\"sum(.x)\"]\ndecays", &empty(".x", 9));
    assert_refused(
        "\"userId\"",
        "'user\\id'",
        "p.toml:7: \"user\\id\" has a backslash that stands for nothing: write \\. for a dot in a name and \\\\ for a \
         backslash (in a TOML text in double quotes each backslash is written twice)",
    );
}
