//! The decisions against a table that does anything: throttles, fails, loses answers, and carries out later what it was sent.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SETTLE: Duration = Duration::from_secs(10);

/// What the table does with a request.
#[derive(Clone, Debug)]
enum Deed {
    Takes,
    Throttles(usize),
    Fails,
    /// Carries it out, and the answer is lost.
    LosesTheAnswer,
    /// Carries it out after so many milliseconds, when it was given up long ago.
    IsLate(u64),
    /// Never carries it out, and nobody knows.
    LosesTheRequest,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => Just(Deed::Takes),
        3 => (1..4usize).prop_map(Deed::Throttles),
        1 => Just(Deed::Fails),
        2 => Just(Deed::LosesTheAnswer),
        3 => (0..SETTLE.as_millis() as u64).prop_map(Deed::IsLate),
        1 => Just(Deed::LosesTheRequest),
    ]
}

/// A writer of items, whose states are numbers that rise; and what the table holds of each.
struct World {
    schedule: Schedule,
    unsettled: Unsettled,
    now: Instant,
    /// The state of each item that is on its way.
    given: BTreeMap<u32, u64>,
    newest: BTreeMap<u32, u64>,
    acknowledged: BTreeMap<u32, u64>,
    table: BTreeMap<u32, u64>,
    late: Vec<(Instant, u32, u64)>,
    /// What cannot be: the one item that is not allowed.
    invalid: Option<u32>,
    refused: Vec<u32>,
}

impl World {
    fn new(invalid: Option<u32>) -> World {
        World {
            schedule: Schedule::default(),
            unsettled: Unsettled::new(SETTLE),
            now: Instant::now(),
            given: BTreeMap::new(),
            newest: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            table: BTreeMap::new(),
            late: Vec::new(),
            invalid,
            refused: Vec::new(),
        }
    }

    /// Has the newest state of an item written, unless one of it is on its way.
    fn give(&mut self, item: u32) {
        let newest = self.newest[&item];
        if self.given.contains_key(&item)
            || self.acknowledged.get(&item) == Some(&newest)
            || self.refused.contains(&item)
        {
            return;
        }
        self.given.insert(item, newest);
        let id = ItemId::of(&item.to_le_bytes(), b"");
        let write = Write {
            batch: 0,
            items: item..item + 1,
            put: item as usize,
            id,
            bytes: 100,
            part: 0,
            attempts: Attempts::default(),
        };
        self.schedule.push(write, &self.unsettled, self.now);
    }

    fn apply(&mut self, item: u32, state: u64) {
        let before = self.table.insert(item, state);
        assert!(before.is_none_or(|before| before <= state), "item {item} went back from {before:?} to {state}");
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.late.sort();
        while let Some((at, item, state)) = self.late.first().copied()
            && at <= self.now
        {
            self.late.remove(0);
            self.apply(item, state);
        }
        self.unsettled.forget_settled(self.now);
        let verdicts = self.schedule.wake(self.now);
        self.hear(verdicts);
    }

    fn request(&mut self, deed: &Deed) {
        let Some(request) = self.schedule.next_request(8) else { return };
        let states: Vec<_> = request.iter().map(|write| (write.items.start, self.given[&write.items.start])).collect();
        let end = match deed {
            _ if states.iter().any(|(item, _)| Some(*item) == self.invalid) => End::Invalid("as planned".to_owned()),
            Deed::Takes => End::Taken { throttled: Vec::new() },
            Deed::Throttles(each) => End::Taken { throttled: (0..states.len()).step_by(*each).collect() },
            Deed::Fails => End::Failed,
            Deed::LosesTheAnswer | Deed::IsLate(_) | Deed::LosesTheRequest => End::Unknown,
        };
        for (index, (item, state)) in states.into_iter().enumerate() {
            match (&end, deed) {
                (End::Taken { throttled }, _) if !throttled.contains(&index) => self.apply(item, state),
                (End::Unknown, Deed::LosesTheAnswer) => self.apply(item, state),
                (End::Unknown, Deed::IsLate(after)) => {
                    self.late.push((self.now + Duration::from_millis(*after), item, state));
                }
                _ => {}
            }
        }
        let pause = |failed| Duration::from_millis(10) * failed;
        let verdicts = self.schedule.ended(request, end, &mut self.unsettled, self.now, pause);
        self.hear(verdicts);
    }

    fn hear(&mut self, verdicts: Vec<Verdict>) {
        for Verdict { write, outcome, detail } in verdicts {
            let item = write.items.start;
            let state = self.given.remove(&item).expect("each is answered for once");
            match outcome {
                Outcome::Written => {
                    assert!(self.table[&item] >= state, "it is not there");
                    self.acknowledged.insert(item, state);
                }
                Outcome::Refused => {
                    assert_eq!((Some(item), detail.as_str()), (self.invalid, "as planned"));
                    self.refused.push(item);
                }
                Outcome::NotWritten | Outcome::Superseded => {}
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Change(u32),
    Pass(u64),
    Request(Deed),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6u32).prop_map(Step::Change),
        2 => prop_oneof![0..50u64, 0..12_000u64].prop_map(Step::Pass),
        4 => deed().prop_map(Step::Request),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn whatever_the_table_does_no_item_goes_back_and_all_arrive(
        steps in prop::collection::vec(step(), 1..120),
        invalid in prop_oneof![Just(None), (0..6u32).prop_map(Some)],
    ) {
        let mut world = World::new(invalid);
        for step in steps {
            match step {
                Step::Change(item) => {
                    *world.newest.entry(item).or_default() += 1;
                    world.give(item);
                }
                Step::Pass(time) => world.pass(Duration::from_millis(time)),
                Step::Request(deed) => world.request(&deed),
            }
        }
        // From here on the table takes everything. What is late comes in between.
        let items: Vec<u32> = world.newest.keys().copied().collect();
        for _ in 0..200 {
            items.iter().for_each(|item| world.give(*item));
            world.request(&Deed::Takes);
            world.pass(Duration::from_millis(200));
        }
        prop_assert!(world.schedule.is_empty());
        let expected: BTreeMap<u32, u64> =
            world.newest.iter().filter(|(item, _)| !world.refused.contains(item)).map(|(item, state)| (*item, *state)).collect();
        prop_assert_eq!(world.refused.iter().all(|item| Some(*item) == invalid), true);
        prop_assert_eq!(&world.table, &expected);
        prop_assert_eq!(&world.acknowledged, &expected);
    }
}

fn write(item: u32) -> Write {
    let id = ItemId::of(&item.to_le_bytes(), b"");
    Write {
        batch: 0,
        items: item..item + 1,
        put: item as usize,
        id,
        bytes: 100,
        part: 0,
        attempts: Attempts::default(),
    }
}

#[test]
fn an_item_that_is_always_throttled_is_given_back_and_holds_nobody_up() {
    let (mut schedule, mut unsettled, mut now) = (Schedule::default(), Unsettled::new(SETTLE), Instant::now());
    (0..3).for_each(|item| schedule.push(write(item), &unsettled, now));
    let mut given_back = 0;
    for round in 1..=MOST_REFUSALS {
        let request = schedule.next_request(25).expect("it is tried again");
        // The others went with the first request.
        assert_eq!(request.len(), if round == 1 { 3 } else { 1 });
        let end = End::Taken { throttled: vec![0] };
        let verdicts = schedule.ended(request, end, &mut unsettled, now, |failed| Duration::from_millis(failed.into()));
        given_back += verdicts.iter().filter(|verdict| verdict.outcome == Outcome::NotWritten).count();
        assert!(schedule.next_request(25).is_none());
        now += Duration::from_secs(1);
        schedule.wake(now);
    }
    assert_eq!((given_back, schedule.is_empty()), (1, true));
}

#[test]
fn the_parts_of_a_key_go_one_after_the_other_from_the_last_to_the_first() {
    let (mut schedule, mut unsettled, now) = (Schedule::default(), Unsettled::new(SETTLE), Instant::now());
    schedule.push(Write { part: 2, ..write(7) }, &unsettled, now);
    for part in [2, 1, 0] {
        let request = schedule.next_request(25).expect("another part");
        assert_eq!(request.iter().map(|write| write.part).collect::<Vec<_>>(), [part]);
        let taken = End::Taken { throttled: Vec::new() };
        let verdicts = schedule.ended(request, taken, &mut unsettled, now, |_| Duration::ZERO);
        assert_eq!(verdicts.len(), usize::from(part == 0));
    }
}

#[test]
fn requests_are_bounded_in_bytes_too() {
    let (mut schedule, unsettled, now) = (Schedule::default(), Unsettled::new(SETTLE), Instant::now());
    (0..25).for_each(|item| schedule.push(Write { bytes: 400 << 10, ..write(item) }, &unsettled, now));
    let sizes: Vec<_> = std::iter::from_fn(|| schedule.next_request(25)).map(|request| request.len()).collect();
    assert_eq!(sizes, [20, 5]);
}
