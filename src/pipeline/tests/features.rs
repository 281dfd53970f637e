//! Which features are kept, and what is computed from two of them.

use super::*;

const MATRIX: &str = r#"name = "feed"
event = { name = "n", time = "t" }
[[counters]]
name = "post"
key = ["postId"]
events = ["view", "like", "share"]
measures = ["count", "sum(seconds)"]
decays = ["1h", "1d"]
[[counters]]
name = "user"
key = ["userId"]
events = "*"
measures = ["count", "sum(price)"]
decays = ["30d"]
[[counters]]
name = "pair"
key = ["userId", "creatorId"]
events = ["like"]
decays = ["1h"]
"#;

fn with(more: &str) -> Result<Pipeline, String> {
    parse(&format!("{MATRIX}{more}"))
}

/// Every name that is kept, and the form of those that events make.
fn names(pipeline: &Pipeline) -> Vec<String> {
    let of_group = |group: &Group| {
        (0..group.measures.len() as u16)
            .map(MeasureId)
            .flat_map(|measure| match &group.events {
                EventSelector::All => vec![group.feature_name("{event}", measure)],
                EventSelector::Listed(_) => pipeline.fixed_names(group, measure),
            })
            .collect::<Vec<_>>()
    };
    pipeline.groups.iter().flat_map(of_group).collect()
}

fn fields(pipeline: &Pipeline) -> Vec<&str> {
    pipeline.event.fields.iter().map(|field| field.name.as_str()).collect()
}

#[test]
fn a_group_makes_each_measure_of_each_event_in_the_order_in_which_they_are_written() {
    let pipeline = with("").expect("a valid pipeline");
    let expected = [
        "post.view.count",
        "post.like.count",
        "post.share.count",
        "post.view.sum_seconds",
        "post.like.sum_seconds",
        "post.share.sum_seconds",
        "user.{event}.count",
        "user.{event}.sum_price",
        "pair.like.count",
    ];
    assert_eq!(names(&pipeline), expected);
    assert!(pipeline.keeps("whatever") && pipeline.warnings().is_empty());
}

#[test]
fn what_is_dropped_leaves_nothing_behind() {
    let pipeline = with("[features]\ndrop = [\"post.share.*\", \"*.sum_*\", \"pair.*\"]").expect("a valid pipeline");
    assert_eq!(names(&pipeline), ["post.view.count", "post.like.count", "user.{event}.count"]);
    let events = EventSelector::Listed(vec!["view".to_owned(), "like".to_owned()]);
    assert_eq!((pipeline.groups.len(), &pipeline.groups[0].events), (2, &events));
    assert_eq!(fields(&pipeline), ["postId", "userId"], "no other is looked for");
    let post = &pipeline.event.fields[0];
    assert_eq!((post.name.as_str(), post.as_key, post.as_value), ("postId", true, false));
    assert_eq!(pipeline.features.emptied_groups(), ["pair"]);
    assert!(!pipeline.keeps("user.like.sum_price") && pipeline.keeps("user.like.count"));
    assert_eq!(pipeline.warnings(), Vec::<String>::new());
}

#[test]
fn keep_comes_first_and_drop_takes_from_that() {
    let pipeline =
        with("[features]\nkeep = [\"post.*\", \"user.like.*\"]\ndrop = [\"post.like.count\", \"*.share.*\"]");
    let pipeline = pipeline.expect("a valid pipeline");
    let expected = [
        "post.view.count",
        "post.view.sum_seconds",
        "post.like.sum_seconds",
        "user.{event}.count",
        "user.{event}.sum_price",
    ];
    assert_eq!(names(&pipeline), expected);
    assert!(pipeline.keeps("user.like.count") && !pipeline.keeps("user.view.count"));
}

#[test]
fn features_into_which_all_events_are_pooled_are_kept_with_all_their_events() {
    let pooled = MATRIX.replace("decays = [\"1h\", \"1d\"]", "decays = [\"1h\"]\nfeature = \"post.{measure}\"");
    let pipeline = parse(&format!("{pooled}[features]\nkeep = [\"post.count\"]")).expect("a valid pipeline");
    assert_eq!(names(&pipeline), ["post.count"]);
    let events = ["view", "like", "share"].map(str::to_owned).to_vec();
    assert_eq!(pipeline.groups[0].events, EventSelector::Listed(events));
}

#[test]
fn a_pattern_that_matches_nothing_is_a_warning_and_one_that_leaves_nothing_an_error() {
    let pipeline = with("[features]\ndrop = [\"post.shares.*\", \"user.anything.*\"]").expect("a valid pipeline");
    let expected = "[features]: the pattern \"post.shares.*\" matches no feature: `check --list` prints the names";
    assert_eq!(pipeline.warnings(), [expected]);
    let refused = |features: &str| with(&format!("[features]\n{features}")).expect_err("refused");
    assert_eq!(refused("drop = [\"*\"]"), "p.toml:20: nothing is left to count: no feature passes keep and drop");
    assert_eq!(refused("keep = [\"x\"]"), "p.toml:20: nothing is left to count: no feature passes keep and drop");
    assert_eq!(refused("keep = []"), "p.toml:21: keep needs one or more patterns; without keep every feature is kept");
    assert_eq!(refused("drop = [\"\"]"), "p.toml:21: a pattern may not be empty");
    let unknown = "p.toml:21: unknown key \"dorp\"; did you mean \"drop\"? (here may stand: keep, drop)";
    assert_eq!(refused("dorp = [\"*\"]"), unknown);
}

/// The matrix with this ratio in line 23 and the lines behind it.
fn ratio(numerator: &str, denominator: &str, more: &str) -> Result<Pipeline, String> {
    let (numerator, denominator) = (format!("numerator = \"{numerator}\""), format!("denominator = \"{denominator}\""));
    with(&format!("[[ratios]]\nname = \"ctr\"\n{numerator}\n{denominator}\n{more}"))
}

#[test]
fn a_ratio_names_two_features_and_a_prior() {
    let pipeline = ratio("post.like.count", "post.view.count", "prior = { numerator = 1, denominator = 20.5 }");
    let pipeline = pipeline.expect("a valid pipeline");
    let [ratio] = pipeline.ratios.as_slice() else { panic!("one ratio") };
    assert_eq!((ratio.name.as_str(), ratio.numerator.as_str()), ("ctr", "post.like.count"));
    assert_eq!(ratio.prior, Some(Prior { numerator: 1.0, denominator: 20.5 }));
    assert_eq!(ratio.decays.iter().map(|interval| interval.units()).collect::<Vec<_>>(), [3600, 86_400]);
    assert!(pipeline.needs_squares("post.view.count") && !pipeline.needs_squares("post.like.count"));
}

#[test]
fn events_that_only_the_stream_names_may_make_the_features_of_a_ratio() {
    let pipeline = ratio("user.buy.sum_price", "user.buy.count", "").expect("a valid pipeline");
    assert_eq!(pipeline.ratios[0].prior, None);
    let pipeline = ratio("user.buy.sum_price", "user.buy.count", "[features]\ndrop = [\"post.*\"]");
    assert_eq!(pipeline.expect("a valid pipeline").groups.len(), 2);
}

#[test]
fn a_ratio_goes_with_its_features_and_is_named() {
    for (numerator, denominator) in [("post.like.count", "post.share.count"), ("post.share.count", "post.view.count")] {
        let dropped = ratio(numerator, denominator, "[features]\ndrop = [\"*.share.*\"]").expect("a valid pipeline");
        assert!(dropped.ratios.is_empty() && !dropped.needs_squares("post.view.count"));
        let warning = "[features] drops features of ratios, which go too: \"ctr\" (with post.share.count)";
        assert_eq!(dropped.warnings(), [warning]);
    }
    let kept = ratio("post.like.count", "post.view.count", "[features]\ndrop = [\"*.share.*\"]");
    let kept = kept.expect("a valid pipeline");
    assert_eq!((kept.ratios.len(), kept.warnings().len()), (1, 0));
}

#[test]
fn a_proportion_is_of_two_counts_or_of_two_sums_of_the_same_field() {
    let proportion = |numerator: &str, denominator: &str| ratio(numerator, denominator, "kind = \"proportion\"");
    let kind = |ratio: Result<Pipeline, String>| ratio.map(|pipeline| pipeline.ratios[0].kind);
    assert_eq!(kind(proportion("post.like.count", "post.view.count")), Ok(RatioKind::Proportion));
    assert_eq!(kind(proportion("user.buy.sum_price", "user.view.sum_price")), Ok(RatioKind::Proportion));
    assert_eq!(kind(ratio("post.like.count", "post.view.count", "")), Ok(RatioKind::Quotient));
    let expected = "p.toml:24: the ratio \"ctr\": a sum above and a count below make no proportion, which is of two counts \
        or two sums of the same field: remove kind";
    assert_eq!(kind(proportion("user.buy.sum_price", "user.buy.count")), Err(expected.to_owned()));
    let unknown = "p.toml:24: unknown value \"share\" (it may be: quotient, proportion)";
    assert_eq!(kind(ratio("post.like.count", "post.view.count", "kind = \"share\"")), Err(unknown.to_owned()));
}

#[test]
fn a_ratio_that_cannot_be_computed_is_refused_with_its_line() {
    let refused = |numerator: &str, denominator: &str, more: &str, expected: &str| {
        let error = ratio(numerator, denominator, more).err();
        assert_eq!(error.as_deref(), Some(format!("p.toml:{expected}").as_str()));
    };
    refused(
        "post.lik.count",
        "post.view.count",
        "",
        "22: the ratio \"ctr\": no group makes a feature \"post.lik.count\"; did you mean \"post.like.count\"? \
         (`check --list` prints the names)",
    );
    refused(
        "post.like.count",
        "item.view",
        "",
        "23: the ratio \"ctr\": no group makes a feature \"item.view\" (`check --list` prints the names)",
    );
    refused(
        "pair.like.count",
        "post.view.count",
        "",
        "23: the ratio \"ctr\": its features have different keys, those of the groups \"pair\" and \"post\": \
         both need the same fields in the same order",
    );
    let prior = "24: a prior is a numerator of 0 or more and a denominator above 0, for example { numerator = 1, denominator = 20 }";
    refused("post.like.count", "post.view.count", "prior = { numerator = 1, denominator = 0 }", prior);
    refused("post.like.count", "post.view.count", "prior = { numerator = -1, denominator = nan }", prior);
    refused(
        "post.like.count",
        "post.view.count",
        "[[counters]]\nname = \"again\"\nkey = [\"postId\"]\nevents = [\"view\"]\ndecays = [\"5m\"]\n\
         [[ratios]]\nname = \"b\"\nnumerator = \"post.like.count\"\ndenominator = \"again.view.count\"",
        "32: the ratio \"b\": its groups \"post\" and \"again\" have no decay interval in common",
    );
}

#[test]
fn a_ratio_has_a_name_of_its_own() {
    let named = |name: &str| {
        let ratio = format!(
            "[[ratios]]\nname = \"{name}\"\nnumerator = \"post.like.count\"\ndenominator = \"post.view.count\"\n"
        );
        with(&ratio.repeat(2)).expect_err("refused")
    };
    assert_eq!(named("a"), "p.toml:25: a ratio named \"a\" stands here twice");
    assert_eq!(named(""), "p.toml:21: a ratio's name may not be empty");
    let feature = "is a feature of the group \"user\": give the ratio another name";
    assert_eq!(named("user.x.count"), format!("p.toml:21: \"user.x.count\" {feature}"));
}
