//! A process cannot begin: all others say why.

use super::Processes;
use super::processes::names;
use crate::recovery::job::Job;
use crate::recovery::seed;

#[test]
fn why_a_process_could_not_begin_is_told_by_all() {
    let mut job = Job::dynamodb(seed(690), false);
    job.add_log(100);
    job.place.write("p.toml", job.place.read("p.toml").replace("\"Fake\"", "\"${TABLE_OF_THIS_TEST:-Fake}\""));
    let run = Processes::start(&job.place, 3, |index, which| {
        let environment = [("TABLE_OF_THIS_TEST", "Missing")];
        job.start_with(1, which, if index == 1 { &environment } else { &[] })
    });
    for (index, ended) in run.end_in_time().into_iter().enumerate() {
        let last = ended.stderr.lines().last().unwrap_or_default();
        assert!(last.contains("table Missing"), "process {index}: {}", ended.stderr);
        assert!(index == 1 || names(&ended, 1), "process {index}: {}", ended.stderr);
    }
}
