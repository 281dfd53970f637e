//! How all come to go on together.

use super::*;

/// Both ends of a connection, of which the first does not block.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let theirs = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
    let (ours, _) = listener.accept().expect("it is called");
    ours.set_nonblocking(true).expect("an option");
    (ours, theirs)
}

fn table(process: u32) -> (Table, Troubles) {
    let options = Hosts::of(3).options(process);
    (Table::new(&options.members, options.role), Troubles::new(&options.members))
}

/// Fills a place; the other end of its connection.
fn fill(table: &mut Table, place: (u32, Purpose)) -> TcpStream {
    let (ours, theirs) = pair();
    assert!(table.put(place, ours, GENERATION));
    theirs
}

/// Turns until it is so. What is sent over loopback is there in a moment.
fn turn_until(table: &mut Table, troubles: &mut Troubles, is_so: impl Fn(&Table, bool) -> bool) {
    loop {
        let goes_on = table.turn(troubles).expect("nobody is lost");
        if is_so(table, goes_on) {
            return;
        }
        sleep(Duration::from_millis(1));
    }
}

fn heard(mut stream: &TcpStream) -> u8 {
    let mut signal = [0];
    stream.read_exact(&mut signal).expect("it is open");
    signal[0]
}

#[test]
fn a_member_says_when_it_is_complete_and_when_no_longer_and_goes_on_when_told() {
    let (mut table, mut troubles) = table(1);
    let mut control = fill(&mut table, (0, Purpose::Control));
    assert_eq!(table.generation(), Some(GENERATION));
    let _leader = [Purpose::Bulk, Purpose::Data].map(|purpose| fill(&mut table, (0, purpose)));
    let other = fill(&mut table, (2, Purpose::Data));
    assert_eq!(table.turn(&mut troubles), Ok(false));
    assert_eq!(heard(&control), b'C');
    drop(other);
    turn_until(&mut table, &mut troubles, |table, _| table.unconnected().contains(&2));
    assert_eq!(heard(&control), b'I');
    assert_eq!(troubles.last(2), "it was there, and its connection has closed");
    // Told to go on, it waits for what is on its way, and then no longer looks.
    control.write_all(b"Gowner").expect("it is open");
    for _ in 0..10 {
        assert_eq!(table.turn(&mut troubles), Ok(false));
        sleep(Duration::from_millis(1));
    }
    let _other = fill(&mut table, (2, Purpose::Data));
    turn_until(&mut table, &mut troubles, |_, goes_on| goes_on);
    let (generation, connections) = table.into_connections().expect("they are handed over");
    assert_eq!(generation, GENERATION);
    // What came after is for the owner.
    let mut after = [0; 5];
    (&connections.links[0].control).read_exact(&mut after).expect("it is there");
    assert_eq!(&after, b"owner");
}

#[test]
fn a_member_that_loses_process_0_forgets_the_generation_and_all_that_was_made_with_it() {
    for break_off in [
        |control| drop(control),
        |mut control: TcpStream| {
            control.write_all(b"?").expect("it is open");
            std::mem::forget(control);
        },
    ] {
        let (mut table, mut troubles) = table(1);
        let control = fill(&mut table, (0, Purpose::Control));
        let _others = [(0, Purpose::Bulk), (2, Purpose::Data)].map(|place| fill(&mut table, place));
        break_off(control);
        turn_until(&mut table, &mut troubles, |table, _| table.generation().is_none());
        assert_eq!(table.missing().count(), 4);
        // What was on its way has the generation that is gone.
        assert!(!table.put((2, Purpose::Data), pair().0, GENERATION));
        let _control = fill(&mut table, (0, Purpose::Control));
        assert!(!table.put((2, Purpose::Data), pair().0, Generation(6)));
    }
}

#[test]
fn process_0_says_go_when_all_have_said_that_they_are_complete() {
    let (mut table, mut troubles) = table(0);
    let mut controls = [1, 2].map(|peer| fill(&mut table, (peer, Purpose::Control)));
    let mut others = Vec::new();
    for place in [(1, Purpose::Bulk), (2, Purpose::Bulk), (1, Purpose::Data), (2, Purpose::Data)] {
        others.push(fill(&mut table, place));
    }
    assert!(!table.put((1, Purpose::Data), pair().0, GENERATION), "it is taken");
    controls[0].write_all(b"C").expect("it is open");
    turn_until(&mut table, &mut troubles, |table, _| table.incomplete() == [2].into());
    controls[0].write_all(b"I").expect("it is open");
    turn_until(&mut table, &mut troubles, |table, _| table.incomplete() == [1, 2].into());
    controls[1].write_all(b"CIC").expect("it is open");
    turn_until(&mut table, &mut troubles, |table, _| table.incomplete() == [1].into());
    // One that went away and came back has said nothing yet, and is connected by nothing that was.
    let mut control = std::mem::replace(&mut controls[1], pair().1);
    control.write_all(b"C").expect("it is open");
    drop(control);
    turn_until(&mut table, &mut troubles, |table, _| table.missing().count() == 3);
    assert_eq!((table.unconnected(), table.incomplete()), ([2].into(), [1, 2].into()));
    let back = Purpose::ALL.map(|purpose| fill(&mut table, (2, purpose)));
    controls[0].write_all(b"C").expect("it is open");
    (&back[0]).write_all(b"C").expect("it is open");
    turn_until(&mut table, &mut troubles, |_, goes_on| goes_on);
    assert_eq!((heard(&controls[0]), heard(&back[0])), (b'G', b'G'));
    let (_, Connections { data, links }) = table.into_connections().expect("they are handed over");
    assert_eq!((data.len(), links.len()), (3, 2));
}
