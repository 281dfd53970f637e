//! What a run shows over HTTP: whether it is true, and that nobody who asks, and however, changes anything.

mod browser;
mod client;
mod figures;
mod health;
mod hostile;
mod items;
mod page;
mod processes;
mod together;
mod usage;

use crate::commands::reference;
use crate::program::{Running, Workplace};

/// A pipeline like the reference one, with a window so short that pauses show soon.
fn place() -> Workplace {
    let place = reference();
    place.write("p.toml", place.read("p.toml").replace("length = \"5s\"", "length = \"200ms\""));
    place
}

/// A run that follows its stdin and serves.
fn follow(place: &Workplace, sink: &str, more: &[&str]) -> Running {
    let run = ["run", "p.toml", "--events", "-", "--sink", sink, "--http", "0", "--log-format", "json"];
    place.start(&[&run, more].concat())
}

/// So many likes, one of each user.
fn likes(users: std::ops::Range<u64>) -> String {
    users.map(|user| format!("{{\"eventName\":\"like\",\"userId\":\"{user}\",\"eventTs\":1707605599}}\n")).collect()
}
