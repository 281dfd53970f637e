//! A table that may be given a tenth of what changes: the rate is held, what has changed most goes first, and nothing waits for
//! longer than is stated.

use super::*;

const USERS: u32 = 2_000;
const UNITS_A_SECOND: u64 = 40;
const WINDOW: u64 = 5_000;
/// All that waits takes so many milliseconds to be written.
const ALL: u64 = 1_000 * USERS as u64 / UNITS_A_SECOND;

fn machine(publish: &str) -> Machine {
    let budget = format!("{publish}\n[dynamodb]\nbudget_wcu = {UNITS_A_SECOND}");
    Machine::with(pipeline("", &budget), Order::Waiting, ROOM)
}

impl Machine {
    /// Lets time pass; the table takes at once what it is given.
    fn pass(&mut self, milliseconds: u64) {
        let end = self.now.0 + milliseconds;
        while self.now.0 < end {
            self.now.0 += 50;
            while self.work(RUNNING).expect("no deadline") == Next::More || !self.pending.is_empty() {
                self.answer_all();
                self.idle_turns = 0;
            }
        }
    }

    fn oldest_age(&self) -> u64 {
        self.changed.values().map(|since| self.now.0 - since.0).max().unwrap_or_default()
    }
}

#[test]
fn the_rate_is_held_and_no_mark_is_older_than_is_stated() {
    let mut machine = machine("max_age = \"10s\"");
    let (mut oldest, mut after_the_start) = (0, 0);
    for window in 0..120 {
        machine.change((0..USERS).map(|user| (user, "view")));
        machine.pass(WINDOW);
        let seconds = (machine.now.0 / 1_000) as f64;
        let allowed = UNITS_A_SECOND as f64 * (seconds + 1.0) + 1.0;
        assert!(machine.writes as f64 <= allowed, "{} writes in {seconds} s", machine.writes);
        oldest = oldest.max(machine.oldest_age());
        if window == 9 {
            after_the_start = machine.writes;
        }
    }
    let rate = (machine.writes - after_the_start) as f64 / (110.0 * 5.0);
    assert!((rate / UNITS_A_SECOND as f64 - 1.0).abs() < 0.03, "{rate} a second");
    // A is twice what all that waits would take.
    assert!(oldest <= 4 * ALL, "the oldest had waited for {oldest} ms");
    assert!(oldest > ALL, "at a tenth of the rate something has waited");
    assert!(machine.metrics.waiting.latest().is_some_and(|latest| latest.as_millis() as u64 >= oldest - WINDOW));
    assert_eq!(machine.shown.len(), USERS as usize, "every item was written");
}

#[test]
fn what_has_changed_most_goes_first() {
    let mut machine = machine("");
    // Half of the users have been seen often.
    for _ in 0..100 {
        machine.change((0..USERS / 2).map(|user| (user, "view")));
    }
    machine.change((0..USERS).map(|user| (user, "view")));
    machine.pass(3 * ALL);
    assert_eq!((machine.shown.len(), machine.changed.len()), (USERS as usize, 0));
    let shown = machine.shown.clone();
    for _ in 0..6 {
        machine.change((0..USERS).map(|user| (user, "view")));
        machine.pass(WINDOW);
    }
    let written = |machine: &Machine, often: bool| {
        let changed = machine.shown.iter().filter(|(id, value)| shown[*id] != **value);
        changed.filter(|(id, _)| (id.0.parse::<u32>().expect("a user") < USERS / 2) == often).count()
    };
    let (often, seldom) = (written(&machine, true), written(&machine, false));
    assert!(seldom > 900 && often < seldom / 10, "{often} of those seen often, {seldom} of the others");
}

#[test]
fn where_everything_fits_nothing_is_put_off_and_at_the_end_everything_is_written_at_the_rate() {
    let mut machine = machine("");
    machine.change((0..100).map(|user| (user, "view")));
    machine.pass(WINDOW);
    assert_eq!((machine.writes, machine.metrics.waiting.latest()), (100, None));
    assert_eq!(machine.metrics.held_back_for_budget.get(), 0);
    machine.change((0..USERS).map(|user| (user, "view")));
    let (began, end) =
        (machine.now.0, RunState { is_drained: true, is_stopping: false, is_held: false, applied: Epoch(0) });
    while machine.work(end).expect("no deadline") != Next::Done {
        machine.answer_all();
        (machine.now.0, machine.idle_turns) = (machine.now.0 + 10, 0);
    }
    assert_eq!(machine.writes, 100 + USERS as usize);
    assert!((machine.now.0 - began).abs_diff(ALL) <= ALL / 20 + 1_000, "{} ms", machine.now.0 - began);
}

#[test]
fn a_budget_wins_over_the_age_that_a_group_asks_for_and_small_changes_stay_held_back() {
    let mut machine = machine("min_change = 0.3\nmax_age = \"5m\"");
    for _ in 0..10 {
        machine.change((0..USERS).map(|user| (user, "view")));
    }
    machine.pass(3 * ALL);
    let writes = machine.writes;
    assert_eq!(writes, USERS as usize);
    assert!(machine.metrics.held_back_for_budget.get() >= USERS as u64 / 2);
    assert_eq!(machine.metrics.held_back_little.get(), 0);
    machine.change((0..USERS).map(|user| (user, "view")));
    machine.pass(280_000);
    assert_eq!(machine.writes, writes, "a tenth more is held back");
    assert!(machine.metrics.held_back_little.get() >= USERS as u64);
    machine.pass(20_000 + 4 * ALL);
    assert_eq!((machine.writes, machine.changed.len()), (writes + USERS as usize, 0));
}
