//! What a run into DynamoDB waits for, what it says meanwhile, and how a signal ends the wait; through the program,
//! against a stand-in of the service.

use std::net::TcpListener;
use std::time::Duration;

use rdkafka::mocking::MockCluster;

use crate::dynamodb_fake::{Changing, FakeDynamoDb, Fault, State, TABLE, Trouble};
use crate::dynamodb_items::pipeline_text;
use crate::program::{Running, Workplace};

const LOG: &str = concat!(
    "{\"eventName\":\"like\",\"userId\":\"1\",\"eventTs\":1707605599}\n",
    "{\"eventName\":\"like\",\"userId\":\"2\",\"eventTs\":1707605600}\n",
    "{\"eventName\":\"view\",\"userId\":\"1\",\"eventTs\":1707605601}\n",
);
const RUN: [&str; 4] = ["run", "p.toml", "--events", "log.jsonl"];
const SKEWED: &str =
    "Signature expired: 20240211T100000Z is now earlier than 20240211T100500Z (20240211T101000Z - 5 min.)";
const WRONG_KEY: &str = "The request signature we calculated does not match the signature you provided.";

fn fake() -> FakeDynamoDb {
    FakeDynamoDb::start(|_| Fault::None)
}

/// The attribute by which the table deletes items.
fn delete_by(fake: &FakeDynamoDb, attribute: Option<&str>) {
    fake.state().table(TABLE).ttl = Changing::settled(attribute.map(str::to_owned));
}

fn place(fake: &FakeDynamoDb) -> Workplace {
    let place = Workplace::new();
    place.write("p.toml", pipeline_text(&fake.endpoint(), "Fake"));
    place.write("log.jsonl", LOG);
    place
}

fn trouble(operation: &'static str, code: &'static str, message: &'static str) -> Option<Trouble> {
    Some(Trouble { operation, code, message })
}

/// Waits until this is so; a run that ends before it shows what it said.
fn wait_for(fake: &FakeDynamoDb, running: &mut Running, is_so: impl Fn(&State) -> bool) {
    while !is_so(&fake.state()) {
        assert!(!running.has_ended(), "it ended before");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_passes_by_itself_is_waited_for_and_its_cause_named() {
    let cases = [
        // At the first request, or after some were answered.
        ("*", "InvalidSignatureException", SKEWED, "clock"),
        ("*", "RequestTimeTooSkewed", "as planned", "clock"),
        ("BatchWriteItem", "RequestExpired", "as planned", "clock"),
        ("BatchWriteItem", "SignatureDoesNotMatch", SKEWED, "clock"),
        ("*", "ExpiredTokenException", "as planned", "have expired"),
        ("BatchWriteItem", "ExpiredTokenException", "as planned", "have expired"),
        ("BatchWriteItem", "UnrecognizedClientException", "as planned", "were right before"),
        ("BatchWriteItem", "InvalidSignatureException", WRONG_KEY, "were right before"),
    ];
    let of_case = |(operation, code, message, cause)| {
        let fake = fake();
        fake.state().trouble = trouble(operation, code, message);
        let place = place(&fake);
        let mut running = place.start(&RUN);
        wait_for(&fake, &mut running, |state| state.troubled >= 3);
        fake.state().trouble = None;
        let ended = running.end().exits(0).says(&[cause, code, "table Fake", &fake.endpoint()]);
        assert_eq!(ended.stderr.matches("trying again").count(), 1, "{}", ended.stderr);
        assert_eq!(fake.state().len(), 3);
    };
    std::thread::scope(|scope| cases.map(|case| scope.spawn(move || of_case(case))).map(|case| case.join().unwrap()));
}

#[test]
fn credentials_that_never_were_right_end_the_run_at_once() {
    let cases = [
        ("UnrecognizedClientException", "as planned"),
        ("InvalidSignatureException", WRONG_KEY),
        ("MissingAuthenticationToken", "as planned"),
    ];
    for (code, message) in cases {
        let fake = fake();
        fake.state().trouble = trouble("*", code, message);
        place(&fake).run(&RUN).exits(1).says(&[code, "look at the AWS credentials", &fake.endpoint()]);
        assert_eq!(fake.state().troubled, 1);
    }
}

#[test]
fn what_the_credentials_do_not_allow_ends_the_run() {
    let fake = fake();
    fake.state().trouble = trouble("BatchWriteItem", "AccessDeniedException", "as planned");
    place(&fake).run(&RUN).exits(1).says(&["AccessDeniedException", "what they allow"]);
    assert_eq!(fake.state().troubled, 1);
}

/// A program that gives credentials once `given` is there. (AWS's own credentials services are not asked for a local
/// stand-in; a program is asked like them.)
fn credentials_program(place: &Workplace) -> [(&'static str, String); 5] {
    let given = place.path("given");
    let script = format!(
        "[ -e {0} ] || {{ echo . >> {0}.asked; echo 'the token service is away' >&2; exit 1; }}\n\
         echo '{{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\"}}'\n",
        given.display()
    );
    place.write("credentials.sh", script);
    let process = format!("credential_process = sh {}", place.path("credentials.sh").display());
    place.write("aws-config", format!("[profile test]\n{process}\n"));
    [
        ("AWS_CONFIG_FILE", place.path("aws-config").display().to_string()),
        ("AWS_SHARED_CREDENTIALS_FILE", place.path("no-such-file").display().to_string()),
        ("AWS_PROFILE", "test".to_owned()),
        ("AWS_ACCESS_KEY_ID", String::new()),
        ("AWS_SECRET_ACCESS_KEY", String::new()),
    ]
}

#[test]
fn whoever_gives_credentials_is_waited_for() {
    let fake = fake();
    let place = place(&fake);
    let environment = credentials_program(&place);
    let mut running = place.start_with(&RUN, &environment.each_ref().map(|(name, value)| (*name, value.as_str())));
    let asked = place.path("given.asked");
    wait_for(&fake, &mut running, |_| std::fs::read(&asked).is_ok_and(|asked| asked.len() >= 6));
    place.write("given", "");
    running.end().exits(0).says(&["whoever gives the AWS credentials does not answer", "table Fake"]);
    assert_eq!(fake.state().len(), 3);
}

/// A run that has written something and then found the service refusing everything.
fn waiting(fake: &FakeDynamoDb, place: &Workplace, workers: &str) -> Running {
    // A pipe that pauses is published after one window.
    place.write("p.toml", place.read("p.toml").replace("[dynamodb]", "[window]\nlength = \"100ms\"\n[dynamodb]"));
    let mut running = place.start(&["run", "p.toml", "--events", "-", "-w", workers]);
    running.write(LOG);
    wait_for(fake, &mut running, |state| state.len() == 3);
    fake.state().trouble = trouble("*", "ThrottlingException", "as planned");
    running.write(&LOG.replace("userId\":\"", "userId\":\"9"));
    wait_for(fake, &mut running, |state| state.troubled > 0);
    running
}

#[test]
fn a_first_signal_ends_the_wait_for_a_service_that_went_away_after_the_start() {
    let with_workers = |workers| {
        let mut fake = fake();
        let running = waiting(&fake, &place(&fake), workers);
        fake.stop();
        running.signal("TERM");
        // Two workers publish in two batches, so the writer may be at the first of them.
        let items = if workers == "1" { "3 items could not be written" } else { "could not be written to table Fake" };
        running.end().exits(75).says(&[items, "within 8 seconds", &fake.endpoint()]);
    };
    std::thread::scope(|scope| {
        ["1", "2"].map(|workers| scope.spawn(move || with_workers(workers))).map(|run| run.join().unwrap())
    });
}

#[test]
fn a_second_signal_ends_the_wait_at_once() {
    let fake = fake();
    let place = place(&fake);
    let mut running = waiting(&fake, &place, "1");
    running.signal("TERM");
    // What comes of the first shows nowhere yet: signals are sent until one ends it.
    while !running.has_ended() {
        running.signal("TERM");
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = running.end().exits(130);
    assert!(!ended.stderr.contains("could not be written"), "{}", ended.stderr);
}

#[test]
fn a_service_that_comes_back_after_the_signal_gets_what_was_read() {
    let fake = fake();
    let place = place(&fake);
    let mut running = waiting(&fake, &place, "1");
    running.signal("TERM");
    let before = fake.state().troubled;
    wait_for(&fake, &mut running, |state| state.troubled > before);
    fake.state().trouble = None;
    running.end().exits(130);
    assert_eq!(fake.state().len(), 6);
}

#[test]
fn a_signal_ends_the_wait_at_the_start_at_once_also_that_for_credentials() {
    let mut fake = fake();
    let place = place(&fake);
    let mut running =
        place.start_with(&RUN, &credentials_program(&place).each_ref().map(|(name, value)| (*name, value.as_str())));
    let asked = place.path("given.asked");
    wait_for(&fake, &mut running, |_| asked.exists());
    running.signal("INT");
    running.end().exits(75).says(&["asked to stop while waiting", &fake.endpoint(), "nothing was read or written"]);
    fake.stop();
}

#[test]
fn an_endpoint_that_is_something_else_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let place = Workplace::new();
    place.write("p.toml", pipeline_text(&endpoint, "Fake"));
    place.write("log.jsonl", LOG);
    let running = place.start(&RUN);
    // It hangs up. When it is asked again, the first warning has been said.
    for _ in 0..3 {
        drop(listener.accept().unwrap());
    }
    running.signal("TERM");
    let ended = running.end().exits(75);
    let warning = ended.stderr.lines().find(|line| line.contains("trying again")).expect("a warning");
    assert!(warning.contains(&endpoint) && warning.contains("table Fake"), "{warning}");
}

#[test]
fn an_endpoint_without_its_scheme_is_told_what_it_begins_with() {
    for wrong in [
        "127.0.0.1:8000",
        "localhost",
        "http//localhost",
        "http://",
        "https://:8000",
        "ftp://x",
        "http://x:port",
        "http://x:99999",
        "http://x y",
    ] {
        let place = Workplace::new();
        place.write("p.toml", pipeline_text(wrong, "Fake"));
        place.write("log.jsonl", LOG);
        for command in [&RUN[..], &["check", "p.toml"], &["table", "p.toml"], &["get", "p.toml", "--key", "userId=1"]] {
            place.run(command).exits(2).says(&["begins with \"http://\" or \"https://\"", wrong, "p.toml:"]);
        }
    }
    for right in [
        "",
        "http://127.0.0.1:8000",
        "https://dynamodb.eu-west-1.amazonaws.com/",
        "http://[::1]:8000",
        "http://[::1]",
        "http://x/y:z",
    ] {
        let place = Workplace::new();
        place.write("p.toml", pipeline_text(right, "Fake"));
        place.run(&["check", "p.toml"]).exits(0);
    }
}

#[test]
fn a_table_that_is_not_empty_is_told_that_its_values_go_down() {
    let fake = fake();
    let place = place(&fake);
    let first = place.run(&RUN).exits(0);
    assert!(!first.stderr.contains("is not empty"), "{}", first.stderr);
    let second = place.run(&RUN).exits(0);
    second.says(&["is not empty", "will go down until it has caught up", "table Fake", &fake.endpoint()]);
}

#[test]
fn a_run_that_begins_with_what_is_to_come_says_that_values_go_down_for_good() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("events", 1, 1).unwrap();
    let fake = fake();
    let place = place(&fake);
    place.run(&RUN).exits(0);
    let text = place.read("p.toml");
    for (start, until) in [("latest", "for good"), ("earliest", "until it has caught up")] {
        let brokers = cluster.bootstrap_servers();
        let kafka = format!("[kafka]\nbrokers = \"{brokers}\"\ntopic = \"events\"\nstart = \"{start}\"\n[dynamodb]");
        place.write("p.toml", text.replace("[dynamodb]", &kafka));
        place.run(&["run", "p.toml", "--until-end"]).exits(0).says(&["is not empty", until]);
        // An event log is read from its beginning, whatever is said of the topic.
        place.run(&RUN).exits(0).says(&["until it has caught up"]);
    }
}

#[test]
fn items_that_the_table_will_delete_at_once_are_told() {
    let fake = fake();
    delete_by(&fake, Some("expiresAt"));
    let place = place(&fake);
    place.run(&RUN).exits(0).says(&["TTL on expiresAt", "3 of the first 3 items", "table Fake"]);

    let silent = |place: &Workplace| {
        let ended = place.run(&RUN).exits(0);
        assert!(!ended.stderr.contains("TTL"), "{}", ended.stderr);
    };
    // Items that have no time, or not passed; a table that goes by another attribute, or by none; a question that is
    // not allowed.
    let text = place.read("p.toml");
    place.write("p.toml", text.replace("ttl = \"7d\"", "ttl = \"none\""));
    silent(&place);
    place.write("p.toml", text.replace("ttl = \"7d\"", "ttl = \"36500d\""));
    silent(&place);
    place.write("p.toml", text);
    delete_by(&fake, Some("another"));
    silent(&place);
    delete_by(&fake, None);
    silent(&place);
    delete_by(&fake, Some("expiresAt"));
    fake.state().trouble = trouble("DescribeTimeToLive", "AccessDeniedException", "as planned");
    silent(&place);
}
