//! What a state means under another pipeline file: each kind of change.

use super::*;

const FEED: &str = r#"name = "feed"
[event]
name = "n"
time = "t"
[event.map]
unlike = { event = "like", weight = -1 }
[[counters]]
name = "user"
key = ["u", "cs"]
explode = ["cs"]
events = ["like", "view"]
where = { surface = ["feed", "search"], country = "de" }
where_not = { isBot = true }
weight = "strength"
measures = ["count", "sum(price)"]
decays = ["1h", "1d"]
[[counters]]
name = "all"
key = ["u"]
events = "*"
decays = ["1h"]
[[counters]]
name = "pooled"
key = ["u"]
events = ["like", "view"]
feature = "pooled"
decays = ["1h"]
[[counters]]
name = "audience"
key = ["c"]
events = ["view"]
measures = ["uniques(u)"]
decays = ["1h", "1d"]
"#;

/// The pipeline with each text replaced by the other, everywhere.
fn feed(replaced: &[(&str, &str)]) -> Pipeline {
    let mut text = FEED.to_owned();
    for (from, to) in replaced {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    parse(&text).expect("a valid pipeline")
}

/// What a state of the pipeline as it was means under the changed one.
fn changes(replaced: &[(&str, &str)]) -> Changes {
    Changes::between(&feed(&[]).meaning(), &feed(replaced))
}

/// What has become of one group, where nothing became of the others.
#[track_caller]
fn change(group: &str, replaced: &[(&str, &str)]) -> GroupChange {
    let mut changes = changes(replaced);
    assert_eq!(changes.refused, None);
    let change = changes.groups.remove(group).expect("the group");
    let unchanged = GroupChange::Kept(FeatureChanges::default());
    assert!(changes.groups.values().all(|other| *other == unchanged), "{changes:?}");
    change
}

#[track_caller]
fn assert_refused_change(group: &str, replaced: &[(&str, &str)], why: &str) {
    assert_eq!(change(group, replaced), GroupChange::Refused { why: why.to_owned() });
}

#[track_caller]
fn kept(group: &str, replaced: &[(&str, &str)]) -> FeatureChanges {
    match change(group, replaced) {
        GroupChange::Kept(changes) => changes,
        other => panic!("{other:?}"),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn what_gives_rows_their_meaning_is_a_line_for_each_group() {
    let meaning = feed(&[]).meaning();
    assert_eq!(meaning.keys().map(String::as_str).collect::<Vec<_>>(), ["", "all", "audience", "pooled", "user"]);
    assert_eq!(meaning[""], r#"{"name":"n","time":"t","time_unit":"s"}"#);
    assert_eq!(
        meaning["user"],
        r#"{"key":["u","cs"],"explode":["cs"],"where":[["country",["de"]],["surface",["feed","search"]]],"where_not":[["isBot",["true"]]],"weight":"strength","feature":"{group}.{event}.{measure}","all_events":false,"counts":{"like":{"like":"1","unlike":"-1"},"view":{"view":"1"}},"measures":["count","sum_price"],"decays":[3600,86400],"left_out":[],"uniques_registers":null}"#
    );
    assert_eq!(
        meaning["all"],
        r#"{"key":["u"],"explode":[],"where":[],"where_not":[],"weight":null,"feature":"{group}.{event}.{measure}","all_events":true,"counts":{"like":{"like":"1","unlike":"-1"},"unlike":{}},"measures":["count"],"decays":[3600],"left_out":[],"uniques_registers":null}"#
    );
}

#[test]
fn what_says_nothing_of_rows_changes_nothing() {
    let unchanged = |replaced: &[(&str, &str)]| {
        let changes = changes(replaced);
        assert!(!changes.are_refused() && changes.refusal().is_none());
        let same = |change: &GroupChange| matches!(change, GroupChange::Kept(changes) if changes.is_empty());
        assert!(changes.groups.values().all(same), "{changes:?}");
    };
    unchanged(&[]);
    unchanged(&[("[\"feed\", \"search\"]", "[\"search\", \"feed\"]"), ("surface", "surface")]);
    unchanged(&[("events = [\"like\", \"view\"]", "events = [\"view\", \"like\"]")]);
    unchanged(&[(
        "decays = [\"1h\", \"1d\"]",
        "decays = [\"1d\", \"60m\"]\nttl = \"90d\"\npublish = { every = \"1m\" }",
    )]);
    unchanged(&[("time = \"t\"", "time = \"t\"\nmax_ahead = \"none\"\narrival = \"a\"\nmax_bytes = 100")]);
    unchanged(&[("[event.map]", "[limits]\nrows = 5\n[window]\nlength = \"1m\"\n[event.map]")]);
}

#[test]
fn groups_come_and_go_by_their_names() {
    let changes = changes(&[("name = \"all\"", "name = \"each\"")]);
    assert_eq!(changes.groups["all"], GroupChange::Dropped);
    assert_eq!(changes.groups["each"], GroupChange::Added);
    assert!(!changes.are_refused());
    let nothing = Changes::between(&std::collections::BTreeMap::new(), &feed(&[]));
    assert!(nothing.groups.values().all(|change| *change == GroupChange::Added) && nothing.refused.is_none());
}

#[test]
fn events_measures_and_decays_come_and_go() {
    let changed = kept("user", &[("[\"count\", \"sum(price)\"]", "[\"count\", \"sum(a)\"]")]);
    assert_eq!(changed.added, ["user.like.sum_a", "user.view.sum_a"]);
    assert_eq!(changed.dropped, ["user.like.sum_price", "user.view.sum_price"]);

    let events = ("events = [\"like\", \"view\"]\nwhere", "events = [\"like\", \"buy\"]\nwhere");
    let changed = kept("user", &[events]);
    assert_eq!(changed.added, ["user.buy.count", "user.buy.sum_price"]);
    assert_eq!(changed.dropped, ["user.view.count", "user.view.sum_price"]);
    assert_eq!((changed.added_decays, changed.dropped_decays), (vec![], vec![]));

    let decays = (
        "decays = [\"1h\", \"1d\"]\n[[counters]]\nname = \"all\"",
        "decays = [\"1h\", \"7d\"]\n[[counters]]\nname = \"all\"",
    );
    let changed = kept("user", &[decays]);
    assert_eq!((changed.added_decays, changed.dropped_decays), (texts(&["7d"]), texts(&["1d"])));
    assert_eq!((changed.added, changed.dropped), (vec![], vec![]));
}

#[test]
fn from_a_list_to_every_event_and_back() {
    let to_all = ("events = [\"like\", \"view\"]\nwhere", "events = \"*\"\nwhere");
    assert_eq!(kept("user", &[to_all]).added, ["user.{event}.count", "user.{event}.sum_price"]);
    assert_eq!(kept("user", &[to_all]).dropped, texts(&[]));
    let changed = kept("all", &[("events = \"*\"", "events = [\"like\"]")]);
    assert_eq!((changed.added, changed.dropped), (texts(&[]), texts(&["all.{event}.count"])));
}

#[test]
fn selection_of_features_drops_and_brings_back() {
    let selected =
        ("[[counters]]\nname = \"user\"", "[features]\ndrop = [\"user.like.count\"]\n[[counters]]\nname = \"user\"");
    assert_eq!(kept("user", &[selected]).dropped, ["user.like.count"]);
    let back = Changes::between(&feed(&[selected]).meaning(), &feed(&[]));
    let GroupChange::Kept(changes) = &back.groups["user"] else { panic!("{back:?}") };
    assert_eq!((&changes.added, &changes.dropped), (&texts(&["user.like.count"]), &texts(&[])));
    let none = Changes::between(&feed(&[selected]).meaning(), &feed(&[selected]));
    assert_eq!(none.groups["user"], GroupChange::Kept(FeatureChanges::default()));
}

#[test]
fn what_makes_keys_must_not_change() {
    let key = ("key = [\"u\", \"cs\"]", "key = [\"cs\", \"u\"]");
    assert_refused_change("user", &[key], "its key was [\"u\", \"cs\"] and is [\"cs\", \"u\"]");
    assert_refused_change("user", &[("explode = [\"cs\"]\n", "")], "its explode was [\"cs\"] and is []");
    let why = "its key was [\"c\"] and is [\"creator.id\"]";
    assert_refused_change("audience", &[("key = [\"c\"]", "key = [\"creator.id\"]")], why);
}

#[test]
fn which_events_count_and_how_much_must_not_change() {
    let two = "{ country = [\"de\"], surface = [\"feed\", \"search\"] }";
    assert_refused_change(
        "user",
        &[("country = \"de\"", "country = \"at\"")],
        &format!("its where was {two} and is {}", two.replace("de", "at")),
    );
    let not = ("where_not = { isBot = true }\n", "");
    assert_refused_change("user", &[not], "its where_not was { isBot = [\"true\"] } and is none");
    assert_refused_change("user", &[("weight = \"strength\"\n", "")], "its weight was \"strength\" and is none");
}

#[test]
fn what_counts_as_an_event_must_not_change() {
    let weight = changes(&[("weight = -1", "weight = -2.5")]);
    let why = "what counts as \"like\" was \"like\" x 1 + \"unlike\" x -1 and is \"like\" x 1 + \"unlike\" x -2.5";
    for group in ["user", "pooled", "all"] {
        assert_eq!(weight.groups[group], GroupChange::Refused { why: why.to_owned() }, "{group}");
    }
    assert_eq!(weight.groups["audience"], GroupChange::Kept(FeatureChanges::default()), "it counts no likes");

    // An event that is counted by itself before or after is, where every event counts, an event like others.
    let mapped = changes(&[("unlike = {", "watch = { event = \"view\" }\nunlike = {")]);
    let GroupChange::Refused { why } = &mapped.groups["all"] else { panic!("{mapped:?}") };
    assert!(why.contains("what counts as \"view\" was \"view\" x 1 and is \"view\" x 1 + \"watch\" x 1"), "{why}");
    assert!(why.contains("what counts as \"watch\" was \"watch\" x 1 and is nothing"), "{why}");

    // What comes with its mapping begins empty, and is compared with nothing.
    let share = [
        ("unlike = {", "unshare = { event = \"share\", weight = -1 }\nunlike = {"),
        ("events = [\"like\", \"view\"]\nwhere", "events = [\"like\", \"view\", \"share\"]\nwhere"),
    ];
    let GroupChange::Kept(user) = &changes(&share).groups["user"] else { panic!("it is kept") };
    assert_eq!(user.added, ["user.share.count", "user.share.sum_price"]);
}

#[test]
fn a_row_of_several_events_holds_those_events() {
    assert_refused_change(
        "pooled",
        &[("events = [\"like\", \"view\"]\nfeature", "events = [\"like\"]\nfeature")],
        "the list of events that a feature of it holds was [\"like\", \"view\"] and is [\"like\"]",
    );
    let every = ("events = [\"like\", \"view\"]\nfeature", "events = \"*\"\nfeature");
    let GroupChange::Refused { why } = change("pooled", &[every]) else { panic!("it is refused") };
    assert_eq!(why, "the list of events that a feature of it holds was [\"like\", \"view\"] and is \"*\"");
}

#[test]
fn a_feature_keeps_its_name_and_measure() {
    let feature = ("events = \"*\"", "events = \"*\"\nfeature = \"all.{event}\"");
    let why = "its feature was \"{group}.{event}.{measure}\" and is \"all.{event}\"";
    assert_refused_change("all", &[feature], why);
    let measure = ("feature = \"pooled\"", "feature = \"pooled\"\nmeasures = [\"sum(price)\"]");
    let why = "the measure of a feature without {measure} was \"count\" and is \"sum_price\"";
    assert_refused_change("pooled", &[measure], why);
}

#[test]
fn sketches_keep_their_size_and_decays() {
    let registers = ("measures = [\"uniques(u)\"]", "measures = [\"uniques(u)\"]\nuniques_registers = 512");
    assert_refused_change("audience", &[registers], "its uniques_registers was 256 and is 512");
    let decays = ("[\"uniques(u)\"]\ndecays = [\"1h\", \"1d\"]", "[\"uniques(u)\"]\ndecays = [\"1h\", \"2d\"]");
    let why = "the list of decays of its uniques was [\"1h\", \"1d\"] and is [\"1h\", \"2d\"]";
    assert_refused_change("audience", &[decays], why);
    // New uniques have no rows.
    let other = ("[\"uniques(u)\"]\ndecays = [\"1h\", \"1d\"]", "[\"uniques(v)\"]\ndecays = [\"1h\", \"2d\"]");
    assert_eq!(kept("audience", &[other]).added, ["audience.view.uniques_v"]);
}

#[test]
fn names_and_times_are_those_of_all_groups() {
    let refused = |replaced: (&str, &str)| changes(&[replaced]).refused.expect("it is refused");
    let why = refused(("name = \"n\"", "name = \"event\""));
    assert_eq!(why, "the field with the event's name was \"n\" and is \"event\"");
    assert_eq!(refused(("time = \"t\"", "time = \"ts\"")), "the field with the event's time was \"t\" and is \"ts\"");
    let milliseconds = ("time = \"t\"", "time = \"t\"\ntime_unit = \"ms\"");
    assert_eq!(refused(milliseconds), "the unit in which times are kept was \"s\" and is \"ms\"");
    // Texts are kept in milliseconds, too.
    let texts = feed(&[("time = \"t\"", "time = \"t\"\ntime_unit = \"rfc3339\"")]);
    assert_eq!(Changes::between(&feed(&[milliseconds]).meaning(), &texts).refused, None);
}

#[test]
fn a_refusal_names_each_group_and_what_to_do() {
    let changes = changes(&[("key = [\"c\"]", "key = [\"d\"]"), ("weight = \"strength\"\n", "")]);
    assert_eq!(
        changes.refusal().expect("it is refused"),
        "the pipeline file and the state do not fit together: group \"audience\": its key was [\"c\"] and is [\"d\"]; group \
         \"user\": its weight was \"strength\" and is none; change it back, give the group another name (it then begins \
         empty), name another state, or start over with --fresh"
    );
}

#[test]
fn a_meaning_that_is_not_understood_is_refused() {
    for text in ["", "{\"key\":[\"u\"],\"color\":\"red\"}", "key userId; count; 5s, 10s"] {
        let recorded = [("user".to_owned(), text.to_owned())].into();
        let changes = Changes::between(&recorded, &feed(&[]));
        let GroupChange::Refused { why } = &changes.groups["user"] else { panic!("{changes:?}") };
        assert!(why.contains("does not know"), "{why}");
    }
}
