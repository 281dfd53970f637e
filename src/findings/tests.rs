//! What workers noted, put together.

use std::sync::Arc;

use super::*;
use crate::counter::EventTime;
use crate::event::{Decoder, TimeUnit, Utf8};
use crate::pipeline::Pipeline;

fn pipeline() -> Pipeline {
    let text = "name = \"p\"\nevent = { name = \"n\", time = \"t\" }\n\
        counters = [{ name = \"u\", key = [\"u\"], events = [\"like\"], where = { s = \"x\" }, decays = [\"1h\"] }]";
    Pipeline::parse(text, "p.toml", &|_| None).expect("a valid pipeline")
}

#[test]
fn names_that_are_made_up_take_bounded_room_and_those_of_the_file_are_always_kept() {
    let mut tally = RouteTally::new(&pipeline());
    for number in 0..10_000 {
        tally.add_name(format!("e{number}").as_bytes(), 1);
    }
    tally.add_name("long".repeat(100).as_bytes(), 1);
    tally.add_name(b"like", 2);
    assert_eq!(tally.events(), 10_003);
    assert!(tally.names().count() < 100 && tally.names().any(|name| name == ("like", 2)));
}

#[test]
fn a_tally_that_is_taken_over_begins_anew() {
    let (mut all, mut one) = (RouteTally::new(&pipeline()), RouteTally::new(&pipeline()));
    for _ in 0..2 {
        one.add_name(b"like", 3);
        let group = one.group_mut(crate::pipeline::GroupId(0));
        (group.events, group.keyless, group.keys, group.held[0]) = (3, 1, 2, 3);
        (group.measures[0].tried, group.measures[0].missing) = (2, 1);
        all.absorb(&mut one);
    }
    assert_eq!((all.events(), all.missing_keys(), all.missing_values()), (6, 2, 2));
    assert_eq!((all.groups()[0].passed(), all.groups()[0].keys), (6, 4));
    assert_eq!(one, RouteTally::new(&pipeline()));
}

#[test]
fn a_name_that_did_not_come_is_sure_only_among_very_many_events() {
    let text = "name = \"p\"\nevent = { name = \"n\", time = \"t\" }\n\
        counters = [{ name = \"u\", key = [\"u\"], events = [\"like\", \"gift\"], decays = [\"1h\"] }]";
    let pipeline = Pipeline::parse(text, "p.toml", &|_| None).expect("a valid pipeline");
    for (events, is_sure) in [(ENOUGH_FOR_A_NAME - 1, false), (ENOUGH_FOR_A_NAME, true)] {
        let mut observed = Observed::new(&pipeline);
        observed.routes.add_name(b"like", events);
        let group = observed.routes.group_mut(crate::pipeline::GroupId(0));
        (group.events, group.keys, group.measures[0].tried) = (events, events, events);
        let found = findings(&pipeline, &observed);
        assert_eq!(found.iter().map(|finding| finding.is_sure).collect::<Vec<_>>(), [is_sure], "{found:?}");
        assert!(found[0].text.starts_with("group \"u\": no event \"gift\" came among "), "{found:?}");
    }
}

#[test]
fn a_look_keeps_little_of_events_however_large_they_are() {
    let pipeline = pipeline();
    let mut decoder = Decoder::new(Arc::new(pipeline.event.clone()));
    let mut observer = Observer::new(&pipeline);
    let mut look = |line: &str| {
        let event =
            decoder.decode(line.as_bytes(), EventTime(0), Utf8::Unchecked).expect("it counts").expect("an event");
        observer.look(line.as_bytes(), &event);
    };
    for number in 0..2_000 {
        let fields: String = (0..300).map(|field| format!(",\"f{number}_{field}\":1")).collect();
        look(&format!("{{\"n\":\"like{number}\",\"t\":0,\"s\":\"s{number}\"{fields}}}"));
    }
    let mut observed = Observed::new(&pipeline);
    observed.take(&mut RouteTally::new(&pipeline), &mut observer);
    let fields: usize = observed.sample.by_name().map(|(_, fields)| fields.len()).sum();
    assert!(observed.sample.by_name().count() <= 64 && fields <= 64 * 128);
    assert!(observed.sample.values(crate::event::FieldId(1)).count() <= 16);
}

#[test]
fn a_few_odd_times_are_no_doubt_and_most_are() {
    let now = EventTime(1_760_000_000);
    let doubt = |times: &[i64]| {
        let mut first = FirstTimes::default();
        times.iter().for_each(|time| first.observe(EventTime(*time)));
        first.doubt(TimeUnit::Seconds, now)
    };
    assert_eq!(doubt(&[]), None);
    assert_eq!(doubt(&[5, 1_700_000_000, 1_700_000_001]), None);
    assert_eq!(doubt(&[now.0 + 86_400]), None);
    let text = doubt(&[1_700_000_000, 5, 40_000_000]).expect("a doubt");
    assert!(text.starts_with("times lie in 1970 .. 1971: is time_unit right?"), "{text}");
    let text = doubt(&[i64::MAX; 3]).expect("a doubt");
    assert!(text.starts_with("times lie in 292277026596 .. "), "{text}");
}
