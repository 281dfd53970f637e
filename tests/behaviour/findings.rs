//! What gets nothing is told: by `run` at its end, by `check --events` for each group. And a healthy
//! run has nothing to tell.

use crate::program::{Ended, Workplace};

const PIPELINE: &str = r#"
name = "p"

[event]
name = "n"
time = "t"

[[counters]]
name = "post"
key = ["postId"]
events = ["view", "like"]
measures = ["count", "sum(seconds)"]
decays = ["1h"]

[[counters]]
name = "feed"
key = ["postId"]
events = ["view"]
where = { surface = "feed" }
decays = ["1h"]

[[counters]]
name = "user"
key = ["user.id"]
events = "*"
decays = ["1h"]
"#;

/// Views and likes, as the pipeline names them.
fn log(events: u64) -> String {
    let line = |event: u64| {
        let name = if event.is_multiple_of(3) { "like" } else { "view" };
        let (post, time) = (event % 50, 1_707_605_599 + event / 20);
        format!(
            "{{\"n\":\"{name}\",\"postId\":\"p{post}\",\"user\":{{\"id\":{event}}},\"seconds\":2.5,\
             \"surface\":\"feed\",\"t\":{time}}}\n"
        )
    };
    (0..events).map(line).collect()
}

/// A pipeline in which one text stands for another, and a healthy log of so many events.
fn place(text: &str, instead: &str, events: u64) -> Workplace {
    let place = Workplace::new();
    assert!(PIPELINE.contains(text));
    place.write("p.toml", PIPELINE.replace(text, instead));
    place.write("events.jsonl", log(events));
    place
}

fn run(place: &Workplace) -> Ended {
    place.run(&["run", "p.toml", "--events", "events.jsonl", "--sink", "none", "-w", "2"]).exits(0)
}

fn check(place: &Workplace) -> String {
    place.run(&["check", "p.toml", "--events", "events.jsonl"]).exits(0).stdout
}

fn warnings(ended: &Ended) -> Vec<&str> {
    ended.stderr.lines().filter(|line| line.contains("WARN")).collect()
}

/// The run warns of it, once, and `check` too.
#[track_caller]
fn both_warn(place: &Workplace, text: &str) {
    let ended = run(place);
    let warned = warnings(&ended);
    assert!(warned.len() == 1 && warned[0].contains(text), "`{text}` is not the only warning:\n{}", ended.stderr);
    let checked = check(place);
    assert!(checked.contains(&format!("warning: {text}")), "`{text}` is not in:\n{checked}");
}

/// `check` notes it, and the run says nothing.
#[track_caller]
fn only_check_notes(place: &Workplace, text: &str) {
    assert_eq!(warnings(&run(place)), [""; 0]);
    let checked = check(place);
    assert!(checked.contains(&format!("note: {text}")), "`{text}` is not in:\n{checked}");
}

#[test]
fn a_healthy_run_has_nothing_to_tell() {
    let place = place("p", "p", 2_000);
    assert_eq!(warnings(&run(&place)), [""; 0]);
    let checked = check(&place);
    assert!(checked.ends_with("nothing that the file names was missing\n"), "{checked}");
}

#[test]
fn the_pipelines_that_ship_have_nothing_to_tell_of_their_logs() {
    let place = Workplace::new();
    for (name, pipeline) in [
        ("user_counters.toml", include_str!("../../pipelines/user_counters.toml")),
        ("retail.toml", include_str!("../../pipelines/retail.toml")),
        ("feed.toml", include_str!("../../pipelines/feed.toml")),
    ] {
        place.write(name, pipeline);
    }
    place.write("sample.jsonl", include_str!("../../pipelines/sample.jsonl"));
    place.write("retail.jsonl", include_str!("../../pipelines/retail_sample.jsonl"));
    place.run(&["generate", "--pipeline", "feed.toml", "--events", "5000", "--output", "feed.jsonl"]).exits(0);
    for (pipeline, log) in
        [("user_counters.toml", "sample.jsonl"), ("retail.toml", "retail.jsonl"), ("feed.toml", "feed.jsonl")]
    {
        let ended = place.run(&["run", pipeline, "--events", log, "--sink", "none"]).exits(0);
        assert_eq!(warnings(&ended), [""; 0], "{pipeline}");
        let checked = place.run(&["check", pipeline, "--events", log]).exits(0).stdout;
        assert!(!checked.contains("warning:"), "{checked}");
    }
}

#[test]
fn a_misspelt_key_field_is_told_with_the_one_that_was_meant() {
    let place = place("key = [\"user.id\"]", "key = [\"userId\"]", 30);
    both_warn(&place, "group \"user\": \"userId\" of its key was missing in all 30 events; did you mean \"user.id\"?");
    run(&place).says(&["missing keys   30 (user 30)"]);
}

#[test]
fn a_key_field_by_another_name_is_told_when_it_is_missing_often_enough() {
    let few = place("key = [\"user.id\"]", "key = [\"customer\"]", 30);
    only_check_notes(&few, "group \"user\": \"customer\" of its key was missing in all 30 events");
    let many = place("key = [\"user.id\"]", "key = [\"customer\"]", 1_000);
    both_warn(&many, "group \"user\": \"customer\" of its key was missing in all 1,000 events");
}

#[test]
fn of_a_key_of_several_fields_the_missing_one_is_named() {
    let place = place("key = [\"user.id\"]", "key = [\"postId\", \"customer\"]", 1_000);
    both_warn(&place, "group \"user\": \"customer\" of its key was missing in all 1,000 events");
}

#[test]
fn what_is_true_of_several_groups_is_told_once() {
    let place = place("key = [\"postId\"]", "key = [\"post_id\"]", 30);
    place.write("p.toml", place.read("p.toml").replace("[\"view\", \"like\"]", "[\"view\"]"));
    let text =
        "groups \"post\" and \"feed\": \"post_id\" of its key was missing in all 20 events; did you mean \"postId\"?";
    both_warn(&place, text);
}

#[test]
fn a_run_that_counts_nothing_says_why_however_short_it_is() {
    let place = place("key = [\"user.id\"]", "key = [\"customer\"]", 1);
    let pipeline = place.read("p.toml");
    let (event, _) = pipeline.split_once("[[counters]]").unwrap();
    place.write(
        "p.toml",
        format!("{event}{}", pipeline.rsplit("[[counters]]").next().map(|last| format!("[[counters]]{last}")).unwrap()),
    );
    both_warn(&place, "group \"user\": \"customer\" of its key was missing in all 1 event");
}

#[test]
fn a_condition_that_never_holds_is_told_with_what_was_there() {
    let slip = place("surface = \"feed\"", "surface = \"feeds\"", 30);
    let text = "group \"feed\": where surface = \"feeds\" held of none of 20 events; \"surface\" was \"feed\" in the first of \
                them; did you mean \"feed\"?";
    both_warn(&slip, text);
    let other = place("surface = \"feed\"", "surface = \"search\"", 1_500);
    both_warn(
        &other,
        "group \"feed\": where surface = \"search\" held of none of 1,000 events; \"surface\" was \"feed\"",
    );
    let few = place("surface = \"feed\"", "surface = \"search\"", 30);
    only_check_notes(&few, "group \"feed\": where surface = \"search\" held of none of 20 events");
    let field = place("surface = \"feed\"", "surfce = \"feed\"", 30);
    both_warn(&field, "group \"feed\": where surfce = \"feed\" held of none of 20 events; \"surfce\" was missing");
    let left_out = place("where =", "where_not =", 1_500);
    both_warn(&left_out, "group \"feed\": where_not surface = \"feed\" left out all 1,000 events");
}

#[test]
fn an_event_name_that_never_came_is_told_with_the_one_that_was_meant() {
    let place = place("[\"view\", \"like\"]", "[\"view\", \"likes\"]", 30);
    let text = "group \"post\": no event \"likes\" came; did you mean \"like\", which came 10 times, and which nothing in the \
                file names?";
    both_warn(&place, text);
}

#[test]
fn a_rare_event_may_not_come_but_a_whole_group_should() {
    let rare = place("[\"view\", \"like\"]", "[\"view\", \"purchase\"]", 1_500);
    only_check_notes(&rare, "group \"post\": no event \"purchase\" came among 1,500");
    let group = place("[\"view\", \"like\"]", "[\"purchase\", \"refund\"]", 1_500);
    let text = "group \"post\": no event \"purchase\" or \"refund\" came among 1,500; there came \"view\" (1,000) and \
                \"like\" (500)";
    both_warn(&group, text);
}

#[test]
fn an_event_is_mapped_to_one_that_some_group_counts() {
    let place = place("events = \"*\"", "events = [\"like\"]", 30);
    place.write(
        "p.toml",
        format!(
            "{}\n[event.map]\nview = {{ event = \"liek\" }}\n",
            place.read("p.toml").replace("\"view\", \"like\"", "\"like\"").replace("[\"view\"]", "[\"like\"]")
        ),
    );
    let text = "[event.map] makes \"view\" \"liek\", which no group counts; did you mean \"like\"?";
    run(&place).says(&[text]);
    place.run(&["check", "p.toml"]).exits(0).prints(&[text]);
}

#[test]
fn a_mapped_event_that_never_came_is_told_with_the_one_that_was_meant() {
    let place = place("[event]", "[event]\nmap = { lik = { weight = 2 } }", 30);
    place.write("p.toml", place.read("p.toml").replace("\"like\"", "\"lik\""));
    let ended = run(&place);
    assert!(ended.stderr.contains("[event.map]: no event \"lik\" came; did you mean \"like\""), "{}", ended.stderr);
}

#[test]
fn a_value_that_is_always_missing_is_told_and_one_that_sometimes_is_noted() {
    let slip = place("sum(seconds)", "sum(secnds)", 30);
    both_warn(
        &slip,
        "group \"post\": \"secnds\" of sum_secnds was missing in all 30 events; did you mean \"seconds\"?",
    );
    run(&slip).says(&["missing values 30 (post 30)"]);
    let some = place("p", "p", 2_000);
    some.write("events.jsonl", log(2_000).replacen("\"seconds\":2.5", "\"seconds\":null", 7));
    only_check_notes(&some, "group \"post\": \"seconds\" of sum_seconds was missing in 7 of 2,000 events");
}

#[test]
fn what_was_missing_stands_in_json_by_group() {
    let place = place("key = [\"user.id\"]", "key = [\"userId\"]", 30);
    let arguments = ["run", "p.toml", "--events", "events.jsonl", "--sink", "none", "--log-format", "json"];
    let ended = place.run(&arguments).exits(0).says(&["\"missing_keys_by_group\":\"user=30\""]);
    let lines: Vec<serde_json::Value> = ended.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let warned = |line: &serde_json::Value| {
        line["level"] == "WARN" && line["fields"]["message"].as_str().unwrap().contains("userId")
    };
    assert_eq!(lines.iter().filter(|line| warned(line)).count(), 1, "{}", ended.stderr);
}

#[test]
fn what_stands_in_the_events_is_escaped() {
    let place = place("[\"view\", \"like\"]", "[\"purchase\"]", 1);
    place.write("events.jsonl", log(1_200).replace("\"view\"", "\"\\u001b[2Jvi\\new\""));
    let ended = run(&place);
    assert!(
        ended.stderr.contains(r#""\u{1b}[2Jvi\new" (800)"#) && !ended.stderr.contains('\u{1b}'),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_name_or_time_that_no_line_has_is_told_with_the_one_that_was_meant() {
    let place = place("time = \"t\"", "time = \"T\"", 30);
    let ended = place.run(&["run", "p.toml", "--events", "events.jsonl", "--sink", "none"]).exits(1);
    let text = "[event] time = \"T\": no such field in the first 30 lines that were refused; did you mean \"t\"?";
    assert!(ended.stderr.contains(text), "{}", ended.stderr);
}
