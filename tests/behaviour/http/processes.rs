//! Each process of a run serves its own figures, and process 0 tells of all.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::client::{Metrics, PATIENCE, addresses_of, get, status};
use super::{likes, place};

#[test]
fn each_process_serves_its_own_and_process_0_tells_of_all() {
    let place = place();
    let cluster = ["cluster", "p.toml", "-n", "2", "--events", "-", "--sink", "sqlite:items.db", "--http", "0"];
    let mut run = place.start(&cluster);
    let addresses = addresses_of(&run, 2);
    let process = |address: &SocketAddr| Metrics::of(*address).value("process") as usize;
    let mut by_process = addresses.clone();
    by_process.sort_by_key(process);
    assert_eq!(by_process.iter().map(process).collect::<Vec<_>>(), [0, 1]);
    run.write(&likes(0..2_000));
    let sum = |name: &str| addresses.iter().map(|address| Metrics::of(*address).sum(name)).sum::<f64>();
    let deadline = Instant::now() + PATIENCE;
    while sum("events_total") != 2_000.0
        || sum("rows") != 2_000.0
        || sum("items_waiting") != 0.0
        // Rows are told a moment before that their items wait.
        || sum("items_total") < 2_000.0
        || status(by_process[0])["events"] != 2_000
    {
        assert!(Instant::now() < deadline, "{} events, {}", sum("events_total"), status(by_process[0]));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(sum("items_total"), 2_000.0, "process 0 writes for all");
    assert!(addresses.iter().all(|address| get(*address, "/ready").status == 200));
    let told = status(by_process[0]);
    assert_eq!((&told["processes"], &told["rows"].as_array().unwrap().len()), (&2.into(), &2));
    run.close_stdin();
    run.end().exits(0);
}
