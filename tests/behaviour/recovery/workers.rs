//! Fault: another number of workers.

use super::job::Job;
use super::seed;

#[test]
fn each_life_may_have_another_number_of_workers() {
    for mut job in [Job::sqlite(seed(3)), Job::dynamodb(seed(4), true)] {
        for workers in [1, 2, 4, 3, 1] {
            job.grow(5_000);
            job.finish(workers);
        }
    }
}
