//! Where it serves, and what it says where it cannot.

use std::net::TcpListener;

use super::client::{address_of, get};
use super::{follow, place};

#[test]
fn an_address_that_is_taken_or_none_is_told_before_anything_is_opened() {
    let place = place();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let run = |address: &str| place.run(&["run", "p.toml", "--events", "sample.jsonl", "--http", address]);
    run(&port).exits(1).says(&["cannot listen on 127.0.0.1:", "Address already in use", "--http HOST:PORT"]);
    for wrong in ["nowhere", "http://127.0.0.1:80", "127.0.0.1:99999"] {
        run(wrong).exits(2).says(&["is no address to listen on", "127.0.0.1:9400"]);
    }
    assert!(!place.path("user_counters.db").exists());
    let cluster = ["cluster", "p.toml", "-n", "3", "--events", "sample.jsonl", "--http", "65534"];
    place.run(&cluster).exits(2).says(&["name a lower one"]);
}

#[test]
fn the_pipeline_file_may_say_where_and_the_option_wins() {
    let place = place();
    let pipeline = place.read("p.toml");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = |address: &str| place.write("p.toml", format!("{pipeline}\n[http]\nlisten = \"{address}\"\n"));
    listen(":0");
    place.run(&["check", "p.toml"]).exits(0).prints(&["http          127.0.0.1:0"]);
    let mut run = place.start(&["run", "p.toml", "--events", "-", "--sink", "none"]);
    assert_eq!(get(address_of(&run), "/live").status, 200);
    run.close_stdin();
    run.end().exits(0);
    listen(&taken.local_addr().unwrap().to_string());
    place.run(&["run", "p.toml", "--events", "sample.jsonl", "--sink", "none"]).exits(1).says(&["in [http]"]);
    let mut run = follow(&place, "none", &[]);
    assert!(address_of(&run).ip().is_loopback());
    run.close_stdin();
    run.end().exits(0);
    listen("somewhere");
    place.run(&["check", "p.toml"]).exits(2).says(&["p.toml:", "is no address to listen on"]);
}

#[test]
fn without_being_asked_nothing_is_served() {
    let place = place();
    let ended = place.run(&["run", "p.toml", "--events", "sample.jsonl", "--sink", "none"]).exits(0);
    assert!(!ended.stderr.contains("http:"), "{}", ended.stderr);
}
