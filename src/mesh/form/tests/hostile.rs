//! Who does not belong here disturbs nobody.

use super::*;

/// Does something to the process `to`; the connection, as it is then.
type Hostile = fn(&Hosts, u32) -> Option<TcpStream>;

const KINDS: [Hostile; 9] = [
    // Silent.
    |hosts, to| TcpStream::connect((Ipv4Addr::LOCALHOST, hosts.ports[to as usize])).ok(),
    // Gone.
    |hosts, to| {
        TcpStream::connect((Ipv4Addr::LOCALHOST, hosts.ports[to as usize])).ok()?;
        None
    },
    // Slow: a byte, and no more.
    |hosts, to| sent(hosts, to, b"c"),
    // Garbage.
    |hosts, to| sent(hosts, to, &[0; HELLO_BYTES + CHALLENGE_BYTES]),
    |hosts, to| sent(hosts, to, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    // Huge.
    |hosts, to| sent(hosts, to, &vec![b'c'; 1 << 20]),
    // A hello as it should be, and then a wrong proof, or none.
    |hosts, to| {
        let party = hosts.party(to + 1);
        let hello = Caller::new(&party, to, Purpose::Data, Some(GENERATION), [1; 32]).1;
        sent(hosts, to, &[hello.as_slice(), &[0; PROOF_BYTES]].concat())
    },
    |hosts, to| {
        let party = hosts.party(to + 1);
        sent(hosts, to, &Caller::new(&party, to, Purpose::Data, Some(GENERATION), [1; 32]).1)
    },
    // Timely's own way.
    |hosts, to| sent(hosts, to, &1_u64.to_be_bytes()),
];

fn sent(hosts: &Hosts, to: u32, bytes: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, hosts.ports[to as usize])).ok()?;
    stream.set_nonblocking(true).ok()?;
    // It may be closed at any time.
    let _ = stream.write(bytes);
    Some(stream)
}

#[test]
fn five_hundred_strangers_disturb_nobody() {
    let hosts = Arc::new(Hosts::of(3));
    let mut running = vec![hosts.start(0), hosts.start(1)];
    drop([0, 1].map(|process| hosts.connect(process)));
    let attack = |count: usize| (0..count).filter_map(|index| KINDS[index % KINDS.len()](&hosts, index as u32 % 2));
    let before: Vec<_> = attack(250).collect();
    running.push(hosts.start(2));
    let during: Vec<_> = attack(250).collect();
    check_connected(running.into_iter().map(|running| running.end().expect("they form")).collect());
    assert!(before.len() > 200);
    drop(during);
}

#[test]
fn more_silent_ones_than_are_heard_at_a_time_keep_nobody_out() {
    let hosts = Hosts::of(2);
    let leader = hosts.start(0);
    hosts.connect(0);
    let silent: Vec<_> = (0..accept::MOST_UNFINISHED + 50).map(|_| hosts.connect(0)).collect();
    let member = hosts.start(1);
    check_connected([leader, member].map(|running| running.end().expect("they form")).into());
    drop(silent);
}

#[test]
fn whoever_knows_the_secret_is_told_why_it_is_refused() {
    let hosts = Hosts::of(3);
    let running = [0, 1].map(|process| hosts.start(process));
    let refusal = |party: Party, to, purpose, known| loop {
        let (verdict, _) = hosts.call(&party, to, purpose, known).expect("it is told");
        match verdict.expect_err("it is refused") {
            // It takes a moment until process 1 has learnt the generation.
            Refusal::NotYet => sleep(Duration::from_millis(5)),
            refusal => return refusal,
        }
    };
    let other = Generation(6);
    assert_eq!(refusal(hosts.party(2), 0, Purpose::Bulk, Some(other)), Refusal::OtherGeneration);
    assert_eq!(refusal(hosts.party(2), 1, Purpose::Data, Some(other)), Refusal::OtherGeneration);
    assert_eq!(refusal(hosts.party(2), 1, Purpose::Bulk, Some(GENERATION)), Refusal::Misplaced);
    let party = |process| hosts.party(process);
    assert_eq!(refusal(Party { version: 9, ..party(2) }, 1, Purpose::Data, Some(GENERATION)), Refusal::OtherVersion);
    assert_eq!(refusal(Party { processes: 4, ..party(2) }, 0, Purpose::Control, None), Refusal::OtherProcesses);
    // With another secret it is told nothing.
    let stranger = Party { secret: Secret::none(), ..party(2) };
    assert!(hosts.call(&stranger, 0, Purpose::Control, None).is_none());
    for running in running {
        running.kill();
    }
}

#[test]
fn a_second_of_the_same_is_refused_as_long_as_the_first_is_alive() {
    let hosts = Hosts::of(2);
    let leader = hosts.start(0);
    let party = hosts.party(1);
    let (verdict, first) = hosts.call(&party, 0, Purpose::Control, None).expect("it knows the secret");
    assert_eq!(verdict, Ok(GENERATION));
    let (verdict, _) = hosts.call(&party, 0, Purpose::Control, None).expect("it knows the secret");
    assert_eq!(verdict, Err(Refusal::Duplicate));
    let member = hosts.start(1);
    sleep(Duration::from_millis(100));
    assert!(!leader.thread.is_finished() && !member.thread.is_finished());
    drop(first);
    check_connected([leader, member].map(|running| running.end().expect("they form")).into());
}
