//! Who dies while the cluster forms, and comes back.

use super::*;

/// A while in which something happens, on most machines. What is tested does not hang on it.
const A_WHILE: Duration = Duration::from_millis(300);

#[test]
fn a_member_that_comes_back_is_taken_back() {
    let hosts = Hosts::of(4);
    let (leader, first, second) = (hosts.start(0), hosts.start(1), hosts.start(2));
    sleep(A_WHILE);
    first.kill();
    let first = hosts.start(1);
    sleep(A_WHILE);
    second.kill();
    let all = [leader, first, hosts.start(2), hosts.start(3)];
    check_connected(all.map(|running| running.end().expect("they form")).into());
}

#[test]
fn all_take_up_the_generation_of_a_process_0_that_comes_back() {
    let hosts = Hosts::of(4);
    let (leader, first, second) = (hosts.start(0), hosts.start(1), hosts.start(2));
    sleep(A_WHILE);
    leader.kill();
    let leader = start(MeshOptions { role: Role::Leader(Generation(8)), ..hosts.options(0) });
    sleep(A_WHILE);
    let meshes: Vec<_> =
        [leader, first, second, hosts.start(3)].map(|running| running.end().expect("they form")).into();
    assert_eq!(meshes[0].generation(), Generation(8));
    check_connected(meshes);
}

#[test]
fn however_often_they_are_killed_they_form_when_they_are_left_alone() {
    let hosts = Hosts::of(4);
    let start = |process, generation| {
        let role = if process == 0 { Role::Leader(Generation(generation)) } else { Role::Member };
        start(MeshOptions { role, ..hosts.options(process) })
    };
    let mut running: Vec<_> = (0..3).map(|process| start(process, 0)).collect();
    for generation in 1..=40 {
        sleep(Duration::from_millis(rand::random_range(0..60)));
        // The last is missing yet: so none can have formed.
        let process = rand::random_range(0..3);
        let old = running.remove(process);
        old.kill();
        running.insert(process, start(process as u32, generation));
    }
    let leader = running.remove(0);
    leader.kill();
    running.insert(0, start(0, 99));
    running.push(start(3, 0));
    let meshes: Vec<_> = running.into_iter().map(|running| running.end().expect("they form")).collect();
    assert_eq!(meshes[3].generation(), Generation(99));
    check_connected(meshes);
}
