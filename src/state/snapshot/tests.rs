//! A step model: epochs, rounds of publishing, expiry, evictions, cuts, and slices of snapshots, in any order. After each snapshot what
//! its records and those before hold is taken up by other counters: they must be what the first were at the cut.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::checkpoint::{Changes, Depth, Location, Merge, Segment, SegmentEntry, SegmentIds, Store};
use crate::clock::TimeSamples;
use crate::counter::EventTime;
use crate::epoch::{Generation, Versions, Window};
use crate::event::{Arrival, Decoder, Utf8};
use crate::peers::{Peers, WorkerIndex};
use crate::pipeline::{Pipeline, RowShape};
use crate::sink::{Intake, ItemBatch, Order, Outcome};
use crate::state::record::clear_marks;
use crate::state::restore::RestoredFeatures;
use crate::state::{BatchId, Publishing, RhythmId, Selection};
use crate::sums::{ContributionBatch, HashSeed, Router, WindowSums};
use crate::telemetry::Metrics;

const PIPELINE: &str = r#"
name = "test"
[event]
name = "n"
time = "t"
[limits]
rows = 90
[[counters]]
name = "user"
key = ["u"]
events = ["like", "view"]
measures = ["count", "sum(a)"]
decays = ["1h", "1m"]
[[counters]]
name = "pair"
key = ["u", "c"]
events = "*"
feature = "pair.{event}"
decays = ["5s"]
ttl = "400s"
[[counters]]
name = "audience"
key = ["c"]
events = ["view"]
measures = ["uniques(u)"]
decays = ["1h"]
[[ratios]]
name = "r"
numerator = "user.like.count"
denominator = "user.view.count"
"#;

const BEGAN_AT: i64 = 1_700_000_000_000;

fn pipeline() -> Arc<Pipeline> {
    Arc::new(Pipeline::parse(PIPELINE, "test.toml", &|_| None).expect("a valid pipeline"))
}

fn counters(pipeline: &Arc<Pipeline>) -> DecayCounters {
    let versions = Versions::new(Generation(1), Window(1));
    let metrics = Arc::new(Metrics::default());
    let mut counters = DecayCounters::new(Arc::clone(pipeline), versions, Peers::alone(1), Publishing::Pull, metrics);
    counters.keep_for_checkpoints(WorkerIndex(0));
    counters
}

/// The sums of some events, chosen by a seed, at about this time.
fn epoch(pipeline: &Arc<Pipeline>, seed: u64, time: i64, window: u64) -> Vec<ContributionBatch> {
    let mut decoder = Decoder::new(Arc::new(pipeline.event.clone()));
    let mut router = Router::new(Arc::clone(pipeline), HashSeed(3));
    let mut sums = WindowSums::new(1);
    let mut times = Vec::new();
    for event in 0..seed % 29 {
        let pick = |salt: u64, of: u64| (seed.wrapping_mul(31).wrapping_add(event * salt)) % of;
        let name = ["like", "view", "share"][pick(7, 3) as usize];
        let time = time + pick(3, 90) as i64;
        let (user, creator, amount) = (pick(11, 40), pick(5, 6), pick(13, 9));
        let line = format!("{{\"n\":\"{name}\",\"u\":{user},\"c\":\"c|{creator}\",\"a\":{amount},\"t\":{time}}}");
        let arrival = Arrival::before(EventTime(1_000_000_000));
        let event = decoder.decode(line.as_bytes(), arrival, Utf8::Checked).expect("an event").expect("an event");
        times.push(event.time());
        router.route(&event, &mut sums).expect("it counts");
    }
    sums.close_window(Window(window), pipeline);
    // So many that the stream's time is known at once.
    let times = times.iter().copied().cycle().take(if times.is_empty() { 0 } else { 600 }).collect();
    sums.take_epoch(&TimeSamples::of(times), router.features(), pipeline).collect()
}

/// A row as it is held: its values, and whether it is marked or may be on its way to the table.
#[derive(Clone, Debug, PartialEq)]
struct HeldRow {
    text: Vec<u8>,
    since: Option<EventTime>,
    last_update: EventTime,
    content: Vec<u64>,
    is_marked: bool,
    may_be_in_flight: bool,
}

type All = BTreeMap<([u64; 2], String), HeldRow>;

fn all(counters: &mut DecayCounters) -> All {
    let DecayCounters { keys, features, uniques, in_flight, .. } = counters;
    let mut held = BTreeMap::new();
    keys.for_each_key(|table, key| {
        let block = table.block(key);
        for row in block.each_row() {
            let feature = features.get(row.feature());
            let content = match (feature.shape, row.is_single()) {
                (RowShape::Uniques, false) => {
                    let mut bytes = Vec::new();
                    uniques.get(row.word()).write_to(&mut bytes);
                    bytes.into_iter().map(u64::from).collect()
                }
                (_, single) => row.words(feature.words(single)).to_vec(),
            };
            let row = HeldRow {
                text: block.text().to_vec(),
                since: block.since(),
                last_update: row.last_update(),
                content,
                is_marked: row.is_marked(),
                may_be_in_flight: in_flight.contains(block.id()),
            };
            held.insert((block.id().words(), feature.key.name.clone()), row);
        }
    });
    held
}

/// A folder of segments, and what they name.
struct Folder {
    store: Store,
    names: SegmentIds,
    segments: Vec<SegmentEntry>,
    features: Vec<RecordedFeature>,
    filters: Vec<Vec<u8>>,
    _folder: tempfile::TempDir,
}

/// What may be gathered before it is written: little, so that a snapshot has several segments.
const MOST_BYTES: usize = 2_000;

#[expect(clippy::ptr_arg, reason = "it is handed on as a function of this type")]
fn clear(payload: &mut Vec<u8>) {
    clear_marks(payload).unwrap();
}

impl Folder {
    fn new() -> Folder {
        let folder = tempfile::tempdir().unwrap();
        Folder {
            store: Store::open(&Location::Folder(folder.path().to_owned())).unwrap(),
            names: SegmentIds::new(Generation(1)),
            segments: Vec::new(),
            features: Vec::new(),
            filters: Vec::new(),
            _folder: folder,
        }
    }

    fn commit(&mut self, pieces: &[Piece], filters: &[Vec<u8>]) {
        self.filters.extend(filters.iter().cloned());
        let mut changes = Changes::new(&self.store, &self.names, MOST_BYTES, clear);
        for piece in pieces {
            changes.add(&piece.records).unwrap();
            self.features.extend(piece.features.iter().cloned());
        }
        self.segments.extend(changes.finish().unwrap());
    }

    fn restore(&self, pipeline: &Arc<Pipeline>, stream: StreamTime) -> DecayCounters {
        let mut counters = counters(pipeline);
        let mut features = RestoredFeatures::default();
        counters.restored_features(&self.features, &mut features);
        counters.restore_stream(stream);
        for filters in &self.filters {
            counters.restore_evicted(WorkerIndex(0), filters).unwrap();
        }
        let open = |entry: &SegmentEntry| Segment::open(&self.store, entry).unwrap();
        let segments: Vec<Segment> = self.segments.iter().map(open).collect();
        let mut merge = Merge::new(&segments, |_| true, Depth::ToTheBase, clear).unwrap();
        while let Some(record) = merge.next().unwrap() {
            counters.restore_key(record.key(), record.payload(), &mut features, BEGAN_AT).unwrap();
        }
        counters.restored_all();
        counters
    }
}

#[derive(Clone, Debug)]
enum Step {
    Epoch(u64),
    /// Time passes, so that rows expire.
    Later(i64),
    Cut,
    Write(u8),
    Round,
    Take,
    Answer(bool),
    /// The running snapshot, or the next one, will be lost.
    Lose,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => any::<u64>().prop_map(Step::Epoch),
        1 => (100..900i64).prop_map(Step::Later),
        3 => Just(Step::Cut),
        8 => (1..6u8).prop_map(Step::Write),
        2 => Just(Step::Round),
        3 => Just(Step::Take),
        3 => any::<bool>().prop_map(Step::Answer),
        1 => Just(Step::Lose),
    ];
    prop::collection::vec(step, 1..120)
}

/// The text of a key, and a feature's name.
type Item = (Vec<u8>, String);

struct Model {
    pipeline: Arc<Pipeline>,
    counters: DecayCounters,
    time: i64,
    window: u64,
    given: Vec<(BatchId, Vec<Item>)>,
    /// What was written since the cut of the running snapshot: no mark is needed of it.
    written: BTreeSet<Item>,
    folder: Folder,
    /// Of the running snapshot: what was held at its cut, and its records.
    running: Option<(All, Vec<Piece>, Vec<Vec<u8>>)>,
    /// The next snapshots that end are lost.
    is_lost: bool,
    compared: usize,
}

impl Model {
    fn new() -> Model {
        let pipeline = pipeline();
        Model {
            counters: counters(&pipeline),
            pipeline,
            time: 1_000,
            window: 1,
            given: Vec::new(),
            written: BTreeSet::new(),
            folder: Folder::new(),
            running: None,
            is_lost: false,
            compared: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        crate::state::tests::assert_held(&mut self.counters);
        match step {
            Step::Epoch(seed) => {
                self.window += 1;
                let batches = epoch(&self.pipeline, *seed, self.time, self.window);
                self.counters.apply_epoch(&batches, Moment(self.window), |_| {}).unwrap();
                while self.counters.forget_expired() == crate::state::Swept::MoreToDo {}
            }
            Step::Later(seconds) => self.time += seconds,
            Step::Cut if self.running.is_none() => {
                let held = all(&mut self.counters);
                self.counters.cut(BEGAN_AT);
                self.written.clear();
                self.running = Some((held, Vec::new(), Vec::new()));
            }
            Step::Cut => {}
            Step::Write(slices) => (0..*slices).for_each(|_| self.write()),
            Step::Round if !self.counters.is_in_round() => {
                self.counters.begin_round(RhythmId(0), Selection::Everything, Moment(self.window));
            }
            Step::Round => {}
            Step::Take => {
                let intake = Intake { order: Order::Waiting, items_at_once: 7, room_bytes: 1 << 20 };
                let taken = self.counters.take_evicted().or_else(|| self.counters.take(&intake));
                let items = |batch: &ItemBatch| -> Vec<Item> {
                    batch.items(&self.pipeline).map(|item| (item.key.to_vec(), item.feature_name.to_owned())).collect()
                };
                self.given.extend(taken.map(|taken| (taken.id, items(&taken.items))));
            }
            Step::Lose => self.is_lost = true,
            Step::Answer(is_written) => {
                let Some((id, items)) = (!self.given.is_empty()).then(|| self.given.remove(0)) else { return };
                let outcome = if *is_written { Outcome::Written } else { Outcome::NotWritten };
                self.counters.answer(id, 0..items.len() as u32, outcome);
                if *is_written {
                    self.written.extend(items);
                }
            }
        }
    }

    fn write(&mut self) {
        let Some((_, pieces, filters)) = &mut self.running else { return };
        match self.counters.write_snapshot() {
            Written::Records(records) => pieces.push(records),
            Written::Evicted(written) => filters.push(written),
            Written::NotYet | Written::Nothing => {}
            Written::End(end) => {
                let Some((held, pieces, filters)) = self.running.take() else { return };
                assert_eq!(end.rows as usize, held.len());
                if std::mem::take(&mut self.is_lost) {
                    return self.counters.snapshot_is_lost();
                }
                self.counters.snapshot_is_durable();
                self.folder.commit(&pieces, &filters);
                self.compare(&held, end.stream);
            }
        }
    }

    fn compare(&mut self, held: &All, stream: StreamTime) {
        let mut restored = self.folder.restore(&self.pipeline, stream);
        crate::state::tests::assert_held(&mut restored);
        assert_eq!(restored.keys.marked_rows(), all(&mut restored).values().filter(|row| row.is_marked).count());
        let restored = all(&mut restored);
        assert_eq!(restored.keys().collect::<Vec<_>>(), held.keys().collect::<Vec<_>>());
        // Where some row of a key is on its way, the others of it may be published again.
        let waits: BTreeSet<[u64; 2]> =
            held.iter().filter(|(_, row)| row.is_marked || row.may_be_in_flight).map(|((key, _), _)| *key).collect();
        for (row, held) in held {
            let restored = &restored[row];
            let unmarked = |row: &HeldRow| HeldRow { is_marked: false, may_be_in_flight: false, ..row.clone() };
            assert_eq!(unmarked(restored), unmarked(held), "{row:?}");
            let is_written = self.written.contains(&(held.text.clone(), row.1.clone()));
            assert!(restored.is_marked || !held.is_marked || is_written, "{row:?} is not marked any more");
            assert!(!restored.is_marked || waits.contains(&row.0), "{row:?} is marked for nothing");
        }
        self.compared += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_and_those_before_it_hold_what_was_held_at_its_cut(steps in steps()) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
        }
        // To the end of what is running, and twice more for all that came since, where one is lost.
        for _ in 0..3 {
            while model.running.is_some() {
                model.write();
            }
            model.step(&Step::Cut);
        }
        prop_assert!(model.compared > 0);
    }
}
