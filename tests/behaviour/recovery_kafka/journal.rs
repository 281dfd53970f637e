//! Fault S1, of the journal: it cannot be written for a while.

use std::fs;
use std::time::Duration;

use super::{Job, PLAYED_TOPIC, Sender, Watch, cluster};

#[test]
fn nothing_is_published_while_the_journal_cannot_be_written() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    let mut sender = Sender::new(&brokers, PLAYED_TOPIC, 3, 61);
    let job = Job::new(&brokers, PLAYED_TOPIC, "");
    let watch = Watch::begin(&job.table());
    let (journal, away) = (job.place.path("state/journal"), job.place.path("state/away"));
    for workers in ["1", "2"] {
        sender.send(50);
        let run = job.start(workers, &[]);
        watch.comes_to(sender.sent());
        let published = sender.sent();
        fs::rename(&journal, &away).unwrap();
        fs::write(&journal, "where a folder was").unwrap();
        sender.send(100);
        run.says("nothing is published while the journal cannot be written");
        std::thread::sleep(Duration::from_millis(1_500));
        assert_eq!(watch.counted(), published);
        fs::remove_file(&journal).unwrap();
        fs::rename(&away, &journal).unwrap();
        watch.comes_to(sender.sent());
        run.signal("KILL");
        drop(run);
    }
    job.ends_well(&sender.counts);
    watch.end();
}
