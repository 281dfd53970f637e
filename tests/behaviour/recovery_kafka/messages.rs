//! Fault K5: messages that are no events, and offsets without a message, at the place where one life ends and the next begins.

use super::{Job, Sender, Watch, brokers};
use crate::kafka::Topic;

#[test]
#[ignore = "needs Kafka"]
fn aborted_transactions_gaps_and_tombstones_stand_where_lives_end() {
    let topic = Topic::new("messages", 2);
    let mut sender = Sender::new(&brokers(), &topic.name, 2, 6);
    let job = Job::new(&brokers(), &topic.name, "");
    let watch = Watch::begin(&job.table());
    let mut workers = ["1", "2"].into_iter().cycle();
    let mut life = |sender: &Sender| {
        job.catch_up(workers.next().unwrap(), &[]).exits(0);
        assert_eq!(watch.counted(), sender.sent());
    };
    // Nothing but what is no event.
    sender.send_tombstone(0);
    sender.begin(1, 5).abort();
    life(&sender);
    // The mark of a transaction is the last.
    let transaction = sender.begin(0, 10);
    sender.commit(transaction);
    life(&sender);
    // Aborted messages and the mark of that are the last, and then the first.
    sender.send(20);
    sender.begin(0, 10).abort();
    life(&sender);
    sender.begin(1, 10).abort();
    sender.send_tombstone(1);
    sender.send(20);
    sender.send_tombstone(1);
    life(&sender);
    life(&sender);
    job.ends_well(&sender.counts);
    watch.end();
}

#[test]
#[ignore = "needs Kafka"]
fn an_open_transaction_holds_its_partition_over_a_restart() {
    let topic = Topic::new("open-over", 2);
    let mut sender = Sender::new(&brokers(), &topic.name, 2, 8);
    let job = Job::new(&brokers(), &topic.name, "");
    let watch = Watch::begin(&job.table());
    sender.send(40);
    let (commits, aborts) = (sender.begin(0, 10), sender.begin(0, 10));
    let before = sender.sent();
    // Behind the transactions: not to be read before it is known what becomes of them.
    sender.send_to(0, 10);
    sender.send_to(1, 10);
    let run = job.start("2", &[]);
    watch.comes_to(before + 10);
    // A checkpoint knows that, and the journal.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    run.signal("KILL");
    drop(run);
    sender.commit(commits);
    aborts.abort();
    let run = job.start("1", &[]);
    watch.comes_to(sender.sent());
    run.signal("TERM");
    run.end().exits(0);
    job.ends_well(&sender.counts);
    watch.end();
}
