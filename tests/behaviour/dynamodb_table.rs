//! The `table` command through the program: what it makes, what it says of a table that is there, and that it changes
//! nothing unless it is told to.

use std::time::Duration;

use counter_machine::pipeline::Pipeline;

use crate::dynamodb_fake::{Billing, Changing, Existence, FakeDynamoDb, Fault, State, TABLE, Trouble};
use crate::dynamodb_items::pipeline_text;
use crate::program::{Ended, Workplace};

/// A table that is not there yet.
const NEW: &str = "Counters";

fn fake() -> FakeDynamoDb {
    FakeDynamoDb::start(|_| Fault::None)
}

fn table(endpoint: &str, name: &str, flags: &[&str]) -> Ended {
    let place = Workplace::new();
    place.write("p.toml", pipeline_text(endpoint, name));
    place.run(&[&["table", "p.toml"], flags].concat())
}

/// Runs it on a table that is there. Without `--apply` nothing may change.
fn check(fake: &FakeDynamoDb, flags: &[&str]) -> Ended {
    let ended = table(&fake.endpoint(), TABLE, flags);
    assert_eq!(changes(&fake.state()), [""; 0], "{flags:?}");
    ended
}

/// The requests that change a table, as far as there were any.
fn changes(state: &State) -> Vec<String> {
    let changing = ["CreateTable", "UpdateTable", "UpdateTimeToLive", "UpdateContinuousBackups", "DeleteTable"];
    state.requests.keys().filter(|operation| changing.contains(&operation.as_str())).cloned().collect()
}

fn on(attribute: &str) -> Changing<Option<String>> {
    Changing::settled(Some(attribute.to_owned()))
}

const EVERYTHING: [&str; 4] = ["--ttl", "--point-in-time-recovery", "--provisioned", "5,6"];

#[test]
fn a_table_is_made_as_it_is_asked_for_and_is_right_ever_after() {
    let provisioned = "provisioned, 5 read and 6 write units a second";
    let cases: [(&[&str], Billing, bool, &[&str]); 3] = [
        (&[], Billing::OnDemand, false, &["billing: on demand"]),
        (&["--on-demand", "--ttl"], Billing::OnDemand, true, &["billing: on demand", "TTL: on, by `expiresAt`"]),
        (
            &EVERYTHING,
            Billing::Provisioned { read: 5, write: 6 },
            true,
            &[provisioned, "TTL: on, by `expiresAt`", "point-in-time recovery: on"],
        ),
    ];
    for (flags, billing, ttl, said) in cases {
        let fake = fake();
        // As long as the service takes: it is waited for.
        fake.state().script.table_takes = Duration::from_millis(700);
        table(&fake.endpoint(), NEW, flags)
            .exits(0)
            .prints(&[&format!("created table {NEW} in us-east-1 at http://")])
            .prints(said);
        let mut state = fake.state();
        let made = state.table(NEW);
        assert_eq!((made.status(), made.billing), ("ACTIVE", billing));
        assert_eq!(made.ttl.value.as_deref(), ttl.then_some("expiresAt"));
        assert_eq!(made.point_in_time_recovery, flags.contains(&"--point-in-time-recovery"));
        state.requests.clear();
        drop(state);
        let second = table(&fake.endpoint(), NEW, flags).exits(0).prints(&["is there, and its key is right"]);
        assert!(flags.is_empty() || second.stdout.contains("TTL: on"), "{}", second.stdout);
        let third = table(&fake.endpoint(), NEW, &[flags, &["--apply"]].concat()).exits(0);
        assert!(!third.stdout.contains("was"), "{}", third.stdout);
        assert_eq!(changes(&fake.state()), [""; 0]);
    }
}

#[test]
fn a_table_that_is_there_is_compared_and_changed_only_when_told() {
    let fake = fake();
    let said = check(&fake, &EVERYTHING).exits(1).prints(&[
        "  TTL: is off, asked for is on, by `expiresAt`\n",
        "  point-in-time recovery: is off, asked for is on\n",
        "  billing: is on demand, asked for is provisioned, 5 read and 6 write units a second\n",
    ]);
    said.says(&["not as it was asked for", "nothing was changed", "--apply"]);
    // What is not asked for is nobody's business.
    check(&fake, &[]).exits(0);
    check(&fake, &["--on-demand"]).exits(0).prints(&["billing: on demand"]);

    let apply = [&EVERYTHING[..], &["--apply"]].concat();
    table(&fake.endpoint(), TABLE, &apply).exits(0).prints(&[
        "  TTL: was off, is now on, by `expiresAt`\n",
        "  point-in-time recovery: was off, is now on\n",
        "  billing: was on demand, is now provisioned, 5 read and 6 write units a second\n",
    ]);
    let mut state = fake.state();
    let changed = state.table(TABLE);
    assert_eq!(changed.billing, Billing::Provisioned { read: 5, write: 6 });
    assert_eq!((changed.ttl.value.as_deref(), changed.point_in_time_recovery), (Some("expiresAt"), true));
    state.requests.clear();
    drop(state);
    check(&fake, &EVERYTHING).exits(0);
    check(&fake, &["--provisioned", "5,7"]).exits(1).prints(&["is provisioned, 5 read and 6 write units"]);
    table(&fake.endpoint(), TABLE, &["--provisioned", "5,7", "--apply"]).exits(0);
    assert_eq!(fake.state().table(TABLE).billing, Billing::Provisioned { read: 5, write: 7 });
    table(&fake.endpoint(), TABLE, &["--on-demand", "--apply"]).exits(0);
    assert_eq!(fake.state().table(TABLE).billing, Billing::OnDemand);
}

#[test]
fn ttl_by_another_attribute_is_left_alone_and_said_what_to_do() {
    for apply in [&[][..], &["--apply"]] {
        let fake = fake();
        fake.state().table(TABLE).ttl = on("deleteAt");
        let flags = [&["--ttl", "--point-in-time-recovery"], apply].concat();
        let ended = table(&fake.endpoint(), TABLE, &flags).exits(1);
        let ended =
            ended.prints(&["TTL: is on, by `deleteAt`, asked for is on, by `expiresAt` (", "turn that off first"]);
        ended.says(&["is not as it was asked for"]);
        let mut state = fake.state();
        assert_eq!(state.table(TABLE).ttl.value.as_deref(), Some("deleteAt"));
        // It does not keep the other from being changed.
        assert_eq!(state.table(TABLE).point_in_time_recovery, !apply.is_empty());
    }
}

#[test]
fn ttl_that_is_being_changed_is_right_or_waited_for_by_whoever_asked() {
    let fake = fake();
    let hour = Duration::from_secs(3_600);
    fake.state().table(TABLE).ttl.set(Some("expiresAt".to_owned()), hour);
    check(&fake, &["--ttl"]).exits(0).prints(&["TTL: being turned on, by `expiresAt`"]);
    fake.state().table(TABLE).ttl.set(None, hour);
    for flags in [&["--ttl"][..], &["--ttl", "--apply"]] {
        check(&fake, flags).exits(1).prints(&["TTL: is being turned off", "up to an hour"]);
    }
    // Off already, and the service does not let it be changed again so soon.
    fake.state().table(TABLE).ttl = Changing::settled(None);
    let message = "Time to live has been modified multiple times within a fixed interval";
    fake.state().trouble = Some(Trouble { operation: "UpdateTimeToLive", code: "ValidationException", message });
    table(&fake.endpoint(), TABLE, &["--ttl", "--apply"]).exits(1).prints(&[message, "run this again later"]);
}

#[test]
fn another_key_is_an_error_that_says_which_it_has_and_what_to_do() {
    for (hash, range, has) in [
        ("id", None, "HASH `id` (S)"),
        ("key", None, "HASH `key` (S)"),
        ("key", Some("name"), "HASH `key` (S) and RANGE `name` (S)"),
        ("featureName", Some("key"), "HASH `featureName` (S) and RANGE `key` (S)"),
    ] {
        let fake = fake();
        fake.state().create(TABLE, hash, range);
        for flags in [&[][..], &["--ttl", "--apply"]] {
            let ended = check(&fake, flags).exits(1);
            let wanted = "another key than HASH `key` (S) and RANGE `featureName` (S)";
            ended.says(&[wanted, &format!("it has {has},"), "cannot be changed", "name another table", TABLE]);
        }
    }
    let fake = fake();
    fake.state().table(TABLE).schema.hash.1 = "N".to_owned();
    check(&fake, &[]).exits(1).says(&["it has HASH `key` (N) and RANGE `featureName` (S)"]);
}

#[test]
fn what_is_not_allowed_ends_it_and_says_what_to_do() {
    let denied = |operation| Some(Trouble { operation, code: "AccessDeniedException", message: "as planned" });
    for (operation, name, flags) in
        [("DescribeTable", TABLE, &[][..]), ("CreateTable", NEW, &[]), ("CreateTable", NEW, &EVERYTHING)]
    {
        let fake = fake();
        fake.state().trouble = denied(operation);
        let ended = table(&fake.endpoint(), name, flags).exits(1);
        ended.says(&["AccessDeniedException", "what they allow", name]);
    }
    // One setting that may not be looked at or changed does not hide the others.
    for operation in ["DescribeTimeToLive", "UpdateTimeToLive", "UpdateContinuousBackups", "UpdateTable"] {
        let fake = fake();
        fake.state().trouble = denied(operation);
        let apply = [&EVERYTHING[..], &["--apply"]].concat();
        let ended = table(&fake.endpoint(), TABLE, &apply).exits(1);
        let ended = ended.prints(&["AccessDeniedException", "what they allow"]).says(&["is not as it was asked for"]);
        assert_eq!(ended.stdout.matches("is now").count(), 2, "{operation}: {}", ended.stdout);
        assert_eq!(changes(&fake.state()).len(), if operation.starts_with("Describe") { 2 } else { 3 });
    }
}

#[test]
fn a_table_that_is_being_made_or_changed_is_waited_for_and_one_that_is_being_deleted_is_not() {
    let soon = Duration::from_millis(1_500);
    for existence in [Existence::Created, Existence::Updated] {
        let fake = fake();
        fake.state().table(TABLE).existence.set(existence, soon);
        check(&fake, &[]).exits(0).prints(&["is there, and its key is right"]);
        fake.state().table(TABLE).existence.set(existence, soon);
        table(&fake.endpoint(), TABLE, &["--ttl", "--apply"]).exits(0).prints(&["is now on"]);
    }
    let fake = fake();
    fake.state().table(TABLE).existence.set(Existence::Deleted, Duration::from_secs(600));
    check(&fake, &["--ttl"]).exits(1).says(&["is being deleted", "start again when it is gone", TABLE]);
    // And then it is made.
    fake.state().table(TABLE).existence = Changing::settled(Existence::Deleted);
    table(&fake.endpoint(), TABLE, &["--ttl"]).exits(0).prints(&["created table"]);
}

#[test]
fn a_service_that_is_away_is_not_waited_for_for_ever() {
    let mut fake = fake();
    fake.stop();
    for flags in [&[][..], &EVERYTHING] {
        table(&fake.endpoint(), TABLE, flags).exits(75).says(&[
            "cannot look at the table",
            &fake.endpoint(),
            "can be reached",
        ]);
    }
}

#[test]
fn a_service_without_point_in_time_recovery_is_named() {
    let fake = fake();
    fake.state().script.unknown_operations = vec!["DescribeContinuousBackups", "UpdateContinuousBackups"];
    for name in [TABLE, NEW] {
        let ended = table(&fake.endpoint(), name, &["--point-in-time-recovery", "--ttl", "--apply"]).exits(1);
        ended
            .prints(&["TTL: ", "point-in-time recovery: is not known", "leave it out"])
            .says(&["cannot be changed now"]);
    }
}

#[test]
fn what_is_asked_for_twice_or_wrongly_is_refused_before_anything_is_sent() {
    let fake = fake();
    for flags in [&["--provisioned", "5,6", "--on-demand"][..], &["--provisioned", "5"], &["--provisioned", "0,1"]] {
        check(&fake, flags).exits(2);
    }
    assert!(fake.state().requests.is_empty());
}

fn local() -> (String, String) {
    let endpoint = std::env::var("DYNAMODB_ENDPOINT").expect("DYNAMODB_ENDPOINT names DynamoDB Local");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    (endpoint, format!("table-{}", now.as_nanos()))
}

#[test]
#[ignore = "needs DynamoDB Local"]
fn a_real_service_makes_compares_and_changes_a_table() {
    let (endpoint, name) = local();
    table(&endpoint, &name, &["--provisioned", "5,6"])
        .exits(0)
        .prints(&["created table", "provisioned, 5 read and 6 write"]);
    table(&endpoint, &name, &["--provisioned", "5,6"]).exits(0);
    table(&endpoint, &name, &["--ttl", "--on-demand"])
        .exits(1)
        .prints(&["TTL: is off", "billing: is provisioned, 5 read"]);
    table(&endpoint, &name, &["--ttl", "--on-demand", "--apply"])
        .exits(0)
        .prints(&["TTL: was off", "is now on demand"]);
    table(&endpoint, &name, &["--ttl", "--on-demand"])
        .exits(0)
        .prints(&["TTL: on, by `expiresAt`", "billing: on demand"]);
    table(&endpoint, &name, &["--provisioned", "7,8", "--apply"]).exits(0).prints(&["was on demand"]);
    table(&endpoint, &name, &["--provisioned", "7,8"]).exits(0);
    table(&endpoint, &name, &["--point-in-time-recovery"]).exits(1).prints(&["leave it out"]);
    // What the run needs of it is there.
    let text = pipeline_text(&endpoint, &name);
    assert!(Pipeline::parse(&text, "p.toml", &|_| None).is_ok());
    let place = Workplace::new();
    place.write("p.toml", text);
    place.write("log.jsonl", "{\"eventName\":\"like\",\"userId\":\"1\",\"eventTs\":1707605599}\n");
    place.run(&["run", "p.toml", "--events", "log.jsonl"]).exits(0);
}
