//! Arguments that describe no run of several processes.

use crate::program::Workplace;
use crate::recovery::job::Job;

/// Runs with these arguments; what it says is one line, of wrong usage.
fn refused(place: &Workplace, more: &[&str], says: &[&str]) {
    let run = ["run", "p.toml", "--events", "logs", "--no-state", "--sink", "none"];
    place.run(&[run.as_slice(), more].concat()).exits(2).says(&["error: "]).says(says);
}

#[test]
fn arguments_that_describe_no_run_of_several_processes_are_refused() {
    let place = Workplace::new();
    place.write("p.toml", Job::sqlite(0).place.read("p.toml"));
    place.write("logs/0.jsonl", "");
    place.write("one", "127.0.0.1:2101\n");
    place.write("wide", "127.0.0.1:2101\n10.0.0.7:2101\n");
    place.write("twice", "127.0.0.1:2101\n127.0.0.1:2101\n");
    place.write("portless", "127.0.0.1:2101\n127.0.0.1\n");
    refused(&place, &["-n", "2"], &["which of them is this one? Add -p INDEX, from 0"]);
    for alone in [["-p", "0"], ["-h", "one"]] {
        refused(&place, &alone, &["-p and -h are for runs of several processes: add -n PROCESSES"]);
    }
    refused(&place, &["-n", "2", "-p", "2"], &["there is no process 2 among 2: they are numbered from 0 to 1"]);
    refused(&place, &["-n", "0", "-p", "0"], &["from 1 to 1024 processes, not 0"]);
    refused(&place, &["-n", "2", "-p", "1", "-h", "one"], &["one has 1 addresses for 2 processes"]);
    refused(
        &place,
        &["-n", "2", "-p", "1", "-h", "twice"],
        &["twice, line 2: 127.0.0.1:2101 stands in line 1 already"],
    );
    refused(&place, &["-n", "2", "-p", "1", "-h", "portless"], &["portless, line 2: `127.0.0.1` has no port"]);
    refused(&place, &["-n", "2", "-p", "1", "-h", "nowhere"], &["nowhere cannot be read"]);
    for process in ["0", "1"] {
        let more = ["-n", "2", "-p", process, "-h", "wide"];
        refused(&place, &more, &["10.0.0.7:2101 is not an address of", "no secret", "COUNTER_MACHINE_SECRET"]);
    }
    for timeout in ["10ms", "2h", "soon"] {
        refused(&place, &["-n", "2", "-p", "0", "--peer-timeout", timeout], &["--peer-timeout"]);
    }
}

#[test]
fn a_run_of_one_process_may_be_described_as_one() {
    let place = Workplace::new();
    place.write("p.toml", Job::sqlite(0).place.read("p.toml"));
    place.write("logs/0.jsonl", "{\"eventName\":\"view\",\"userId\":\"u\",\"postId\":\"p\",\"eventTs\":1700000000}\n");
    let run = ["run", "p.toml", "--events", "logs", "--no-state", "--sink", "jsonl:-", "-n", "1"];
    for more in [&[][..], &["-p", "0"]] {
        place.run(&[run.as_slice(), more].concat()).exits(0).prints(&["user.view"]);
    }
}
