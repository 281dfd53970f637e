//! Cuts against a plain definition of them, however readers run beside each other.

use proptest::prelude::*;

use super::*;
use crate::counter::EventTime;
use crate::source::KafkaPositions;

/// Readers that read one partition each, and hand over message by message.
#[derive(Debug)]
struct Partitions {
    handed_over: Mutex<Vec<i64>>,
    published: Vec<i64>,
}

impl Ground for Arc<Partitions> {
    fn all_of(&self, reader: usize) -> Vec<(usize, OffsetRange)> {
        vec![(reader, OffsetRange { from: 0, to: self.handed_over.lock().unwrap()[reader] })]
    }

    fn published(&self, number: usize) -> i64 {
        self.published[number]
    }

    fn positions(&self, handed_over: &BTreeMap<usize, OffsetRange>) -> SourcePositions {
        let partitions = handed_over.iter().map(|(number, range)| (*number as i32, *range)).collect();
        let topic = "t".to_owned();
        SourcePositions::Kafka(KafkaPositions {
            topic,
            cluster: None,
            topic_id: None,
            partitions,
            run_start: EventTime(0),
        })
    }
}

/// So many readers, each of which begins in epoch 1.
fn cuts(published: &[i64]) -> (Arc<Partitions>, Arc<Cuts>, Vec<Noter>) {
    let handed_over = Mutex::new(vec![0; published.len()]);
    let ground = Arc::new(Partitions { handed_over, published: published.to_vec() });
    let cuts = Arc::new(Cuts::new(Box::new(Arc::clone(&ground)), published.len()));
    let noters: Vec<_> = (0..published.len()).map(|reader| cuts.noter(reader)).collect();
    noters.iter().for_each(|noter| noter.begins(Epoch(1)));
    (ground, cuts, noters)
}

impl Partitions {
    fn hand_over_to(&self, reader: usize, to: i64) {
        self.handed_over.lock().unwrap()[reader] = to;
    }
}

fn at(positions: SourcePositions) -> Vec<i64> {
    let SourcePositions::Kafka(kafka) = positions else { panic!("of a topic") };
    kafka.partitions.values().map(|range| range.to).collect()
}

#[test]
fn a_cut_is_known_when_every_reader_has_left_its_epoch() {
    let (ground, cuts, noters) = cuts(&[0, 0]);
    let of = |epoch| cuts.positions(Epoch(epoch)).map(at);
    assert_eq!((cuts.newest(), at(cuts.first())), (None, vec![0, 0]));
    ground.hand_over_to(0, 10);
    noters[0].announces(Epoch(5));
    assert_eq!((of(4), cuts.newest()), (None, None));
    ground.hand_over_to(1, 7);
    noters[1].announces(Epoch(9));
    assert_eq!((of(4), of(5), cuts.newest()), (Some(vec![10, 7]), None, Some(Epoch(4))));
    ground.hand_over_to(0, 12);
    noters[0].ends(&|_| ());
    assert_eq!([of(5), of(8), of(9)], [Some(vec![12, 7]), Some(vec![12, 7]), None]);
    assert_eq!((cuts.newest(), cuts.have_ended(), cuts.last_epoch()), (Some(Epoch(8)), false, Epoch(9)));
    ground.hand_over_to(1, 30);
    noters[1].ends(&|_| ());
    cuts.forget_before(Epoch(5));
    assert_eq!([of(4), of(8), of(9), of(1_000)], [None, Some(vec![12, 7]), Some(vec![12, 30]), Some(vec![12, 30])]);
    assert_eq!((cuts.newest(), cuts.have_ended(), at(cuts.first())), (Some(Epoch(9)), true, vec![0, 0]));
}

#[test]
fn a_checkpoint_is_of_the_epoch_that_ends_next_and_has_what_others_have_announced() {
    let (_, cuts, noters) = cuts(&[0, 0]);
    noters[0].announces(Epoch(3));
    assert_eq!(cuts.checkpoint().map(|cut| cut.epoch), None);
    cuts.want_checkpoint();
    noters[0].announces(Epoch(7));
    assert_eq!(cuts.checkpoint().map(|cut| cut.epoch), Some(Epoch(6)));
    noters[0].announces(Epoch(8));
    assert_eq!(cuts.checkpoint().map(|cut| cut.epoch), Some(Epoch(6)), "asked for once");
    cuts.want_checkpoint();
    noters[1].announces(Epoch(4));
    assert_eq!(
        cuts.checkpoint().map(|cut| cut.epoch),
        Some(Epoch(8)),
        "the other one has handed over something of this epoch"
    );
}

#[test]
fn at_the_end_a_checkpoint_is_of_the_last_epoch_whenever_it_is_asked_for() {
    let (_, before, noters) = cuts(&[0]);
    before.want_checkpoint();
    noters[0].ends(&|_| ());
    assert_eq!(
        before.checkpoint().map(|cut| cut.epoch),
        Some(Epoch(1)),
        "all of it is in the epoch in which the reader began"
    );
    let (_, behind, noters) = cuts(&[0, 0]);
    noters[0].announces(Epoch(9));
    behind.want_checkpoint();
    noters[1].ends(&|_| ());
    assert_eq!(behind.checkpoint().map(|cut| cut.epoch), Some(Epoch(9)));
    noters[0].announces(Epoch(12));
    noters[0].ends(&|_| ());
    assert_eq!(behind.checkpoint().map(|cut| cut.epoch), Some(Epoch(9)));
    behind.want_checkpoint();
    assert_eq!(behind.checkpoint().map(|cut| cut.epoch), Some(Epoch(12)));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    HandOver,
    Announce(u64),
    Want,
    Forget,
    End,
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        6 => Just(Step::HandOver),
        6 => (1..4_u64).prop_map(Step::Announce),
        2 => Just(Step::Want),
        1 => Just(Step::Forget),
        1 => Just(Step::End),
    ];
    prop::collection::vec((0..3_usize, step), 1..150)
}

proptest! {
    /// Readers hand over what has rising epochs, each at its own pace. A cut has all of it up to its epoch and nothing else;
    /// a checkpoint has all that was handed over before it was asked for, and no worker can have passed it.
    #[test]
    fn cuts_are_what_they_are_said_to_be(steps in steps(), published in prop::array::uniform3(0..8_i64)) {
        let (ground, cuts, noters) = cuts(&published);
        prop_assert_eq!(cuts.left_to_read_again(), published.iter().sum::<i64>() as u64);
        // Of each reader, the epochs of its messages, in order.
        let mut messages: [Vec<u64>; 3] = Default::default();
        let (mut announced, mut has_ended) = ([1_u64; 3], [false; 3]);
        let mut asked: Option<[i64; 3]> = None;
        let mut forgotten = 0;
        for (reader, step) in steps {
            let before = cuts.checkpoint().map(|cut| cut.epoch);
            // No worker is beyond this: it has applied only what has smaller epochs.
            let frontier = (0..3).filter(|reader| !has_ended[*reader]).map(|reader| announced[reader]).min();
            let notes = !has_ended[reader] && matches!(step, Step::Announce(_) | Step::End);
            match step {
                Step::Want => {
                    cuts.want_checkpoint();
                    asked.get_or_insert_with(|| messages.each_ref().map(|messages| messages.len() as i64));
                }
                Step::Forget => {
                    forgotten = forgotten.max(cuts.newest().map_or(0, |newest| newest.0.saturating_sub(3)));
                    cuts.forget_before(Epoch(forgotten));
                }
                _ if has_ended[reader] => {}
                Step::HandOver => {
                    messages[reader].push(announced[reader]);
                    ground.hand_over_to(reader, messages[reader].len() as i64);
                }
                Step::Announce(ahead) => {
                    noters[reader].announces(Epoch(announced[reader] + ahead));
                    announced[reader] += ahead;
                }
                Step::End => {
                    noters[reader].ends(&|_| ());
                    has_ended[reader] = true;
                }
            }
            let checkpoint = cuts.checkpoint().map(|cut| cut.epoch);
            prop_assert!(checkpoint >= before && checkpoint <= Some(cuts.last_epoch()));
            if checkpoint != before {
                let cut = checkpoint.unwrap().0;
                prop_assert!(frontier.is_none_or(|frontier| frontier <= cut + 1), "{frontier:?} is beyond {cut}");
                let all = messages.iter().flatten().max().copied().unwrap_or_default();
                prop_assert!(frontier.is_some() || cut >= all, "nothing comes behind it");
            }
            if (notes || cuts.have_ended())
                && let (Some(asked), Some(cut)) = (asked.take(), checkpoint)
            {
                for (messages, asked) in messages.iter().zip(asked) {
                    prop_assert!(messages[..asked as usize].iter().all(|epoch| *epoch <= cut.0));
                }
            }
        }
        let last = announced.into_iter().max().unwrap();
        prop_assert_eq!(cuts.last_epoch(), Epoch(last));
        let cut = |epoch: u64| {
            let is_known = |reader: usize| has_ended[reader] || announced[reader] > epoch;
            let read = |messages: &Vec<u64>| messages.iter().filter(|of| **of <= epoch).count() as i64;
            (0..3).all(is_known).then(|| messages.iter().map(read).collect::<Vec<_>>())
        };
        for epoch in forgotten.max(1)..last + 3 {
            prop_assert_eq!(cuts.positions(Epoch(epoch)).map(at), cut(epoch), "at the end of epoch {}", epoch);
        }
        let newest = (1..=last).rev().find(|epoch| cut(*epoch).is_some());
        prop_assert_eq!(cuts.newest(), newest.map(Epoch));
        let has_passed = |cut: Vec<i64>| cut.iter().zip(&published).all(|(read, published)| read >= published);
        let smallest = (0..=last).find(|epoch| cut(*epoch).is_some_and(has_passed));
        if let Some(smallest) = smallest {
            prop_assert_eq!(cuts.passed(), Some(Epoch(smallest)));
            prop_assert_eq!(cuts.left_to_read_again(), 0);
        } else {
            // A reader that has passed its own may know before the others have left that epoch.
            prop_assert!(cuts.passed().is_none_or(|passed| cut(passed.0).is_none()));
        }
    }
}

proptest! {
    /// Readers here go by a clock of their own, those elsewhere by what they are told. Whatever comes when: a cut is told before any later epoch is, and no
    /// reader has left it by then.
    #[test]
    fn every_process_hears_of_a_cut_before_it_hears_of_a_later_epoch(
        steps in prop::collection::vec((0..4_usize, 0..6_u8, 1..4_u64), 1..120),
    ) {
        let (ground, cuts, noters) = cuts(&[0; 4]);
        let news = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&news);
        cuts.tell(Box::new(move |one| hears.lock().unwrap().push(one)));
        let (mut announced, mut has_ended, mut clock, mut told) = ([1_u64; 4], [false; 4], 1, 1);
        let mut heard = 0;
        for (reader, what, ahead) in steps {
            let is_here = reader < 2;
            match what {
                0 => cuts.want_checkpoint(),
                1 => {
                    clock += ahead;
                    cuts.announce_elsewhere(Epoch(clock));
                    told = clock;
                }
                2 if has_ended[reader] => {}
                2 => {
                    has_ended[reader] = true;
                    if is_here { noters[reader].ends(&|_| ()) } else { cuts.note_elsewhere(reader, Noted::Ends) }
                }
                _ if has_ended[reader] => {}
                _ => {
                    // Here a reader may look at the clock before it is announced to the others.
                    let next = if is_here { clock.max(announced[reader]) } else { told };
                    clock = clock.max(next);
                    if next > announced[reader] {
                        ground.hand_over_to(reader, next as i64);
                        if is_here { noters[reader].announces(Epoch(next)) } else { cuts.note_elsewhere(reader, Noted::Announces(Epoch(next))) }
                        announced[reader] = next;
                    }
                }
            }
            let all = news.lock().unwrap().clone();
            for (index, one) in all.iter().enumerate().skip(heard) {
                // Where all have ended, nothing is behind the last epoch that they have announced, whatever they were told.
                if let CutNews::Cut(cut) = one
                    && !cuts.have_ended()
                {
                    let told_before = all[..index].iter().filter_map(|one| match one {
                        CutNews::Announced(epoch) => Some(*epoch),
                        _ => None,
                    });
                    prop_assert!(told_before.max() <= Some(cut.epoch));
                    // Whoever reads on now was not told of a later epoch, or announces it only after this.
                    let left = (0..4).filter(|other| !has_ended[*other] && *other != reader && announced[*other] > cut.epoch.0);
                    prop_assert_eq!(left.count(), 0);
                }
            }
            heard = all.len();
        }
        prop_assert_eq!(cuts.have_ended(), news.lock().unwrap().contains(&CutNews::AllEnded));
    }
}
