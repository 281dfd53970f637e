//! Timely works over the connections.

use ::timely::WorkerConfig;
use ::timely::dataflow::operators::{Exchange, Inspect, ToStream};

use super::*;
use crate::mesh::into_timely;

const WORKERS: usize = 2;

/// Each worker sends the numbers from 0 to this to whomever they belong to.
const NUMBERS: u64 = 10_000;

#[test]
fn workers_of_three_processes_exchange_what_they_have() {
    let hosts = Hosts::of(3);
    let processes = [0, 1, 2].map(|process: u32| {
        let running = hosts.start(process);
        thread::spawn(move || run(running.end().expect("they form"), process as usize))
    });
    let sums: Vec<u64> = processes.into_iter().flat_map(|process| process.join().expect("it runs")).collect();
    let expected = |worker: u64| 6 * (0..NUMBERS).filter(|number| number % 6 == worker).sum::<u64>();
    assert_eq!(sums, (0..6).map(expected).collect::<Vec<_>>());
}

/// The sums of what came to each worker of a process.
fn run(mesh: Mesh, process: usize) -> Vec<u64> {
    // The others stay open to the end, as they do in a run.
    let Connections { data, links: _links } = mesh.into_connections();
    let (builders, guard) = into_timely(data, process, WORKERS).expect("timely starts");
    let guards = ::timely::execute::execute_from(builders, guard, WorkerConfig::default(), |worker| {
        let sum = Rc::new(Cell::new(0));
        let counted = Rc::clone(&sum);
        worker.dataflow::<u64, _, _>(|scope| {
            (0..NUMBERS)
                .to_stream(scope)
                .container::<Vec<u64>>()
                .exchange(|number| *number)
                .inspect(move |number| counted.set(counted.get() + number));
        });
        while worker.has_dataflows() {
            worker.step_or_park(None);
        }
        sum.get()
    });
    guards.expect("it starts").join().into_iter().map(|sum| sum.expect("it ends")).collect()
}
