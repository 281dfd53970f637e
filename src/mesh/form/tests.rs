//! Clusters within this process, on loopback.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::thread::{self, JoinHandle, sleep};

use socket2::SockRef;

use super::*;
use crate::mesh::handshake::{CHALLENGE_BYTES, Caller, HELLO_BYTES, PROOF_BYTES, Purpose, VERDICT_BYTES};

mod hostile;
mod restarts;
mod table;
mod timely;

const GENERATION: Generation = Generation(7);

/// Long enough on any machine.
const LONG: Duration = Duration::from_secs(120);

/// The addresses of a cluster.
struct Hosts {
    file: tempfile::NamedTempFile,
    ports: Vec<u16>,
}

impl Hosts {
    fn of(processes: u32) -> Hosts {
        let ports: Vec<_> = (0..processes).map(|_| free_port()).collect();
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        for port in &ports {
            writeln!(file, "127.0.0.1:{port}").expect("written");
        }
        Hosts { file, ports }
    }

    fn options(&self, process: u32) -> MeshOptions {
        let members = Members::read(self.ports.len() as u32, process, Some(self.file.path())).expect("hosts");
        let role = if process == 0 { Role::Leader(GENERATION) } else { Role::Member };
        MeshOptions { members, cluster: ClusterId([7; 32]), secret: Secret::of("of the tests"), role, within: LONG }
    }

    fn start(&self, process: u32) -> Running {
        start(self.options(process))
    }

    fn party(&self, process: u32) -> Party {
        let MeshOptions { members, cluster, secret, .. } = self.options(process);
        let secret = secret.unwrap_or_else(Secret::none);
        Party { secret, version: VERSION, cluster, processes: members.processes(), process }
    }

    /// Connects as soon as somebody listens there.
    fn connect(&self, process: u32) -> TcpStream {
        loop {
            match TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports[process as usize])) {
                Ok(stream) => return stream,
                Err(_) => sleep(Duration::from_millis(5)),
            }
        }
    }

    /// A connection by hand: as a whole process makes it. `None` where it is closed on the way.
    fn call(&self, party: &Party, to: u32, purpose: Purpose, known: Option<Generation>) -> Option<Called> {
        let mut stream = self.connect(to);
        let (caller, hello) = Caller::new(party, to, purpose, known, rand::random());
        stream.write_all(&hello).ok()?;
        let mut challenge = [0; CHALLENGE_BYTES];
        stream.read_exact(&mut challenge).ok()?;
        let (waiting, proof) = caller.prove(challenge).ok()?;
        stream.write_all(&proof).ok()?;
        let mut verdict = [0; VERDICT_BYTES];
        stream.read_exact(&mut verdict).ok()?;
        Some((waiting.verdict(verdict).ok()?, stream))
    }
}

type Called = (Result<Generation, Refusal>, TcpStream);

struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Mesh, ClusterError>>,
}

impl Running {
    fn end(self) -> Result<Mesh, ClusterError> {
        self.thread.join().expect("it does not panic")
    }

    /// Ends it as if it were killed: its connections close.
    fn kill(self) {
        self.stop.store(true, Ordering::Relaxed);
        let error = self.end().expect_err("it had not formed");
        assert!(matches!(error, ClusterError::Interrupted), "{error}");
    }
}

fn start(options: MeshOptions) -> Running {
    let stop = Arc::new(AtomicBool::new(false));
    let thread = thread::spawn({
        let stop = Arc::clone(&stop);
        move || form(options, &stop)
    });
    Running { stop, thread }
}

/// One below those that the system gives to whoever connects: no connection of another test takes it meanwhile.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let first = (std::process::id() % 10_000) as u16 * 2;
        let port = 11_000 + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Sends over each connection who sent it, and for what, and hears the same from the other side.
fn check_connected(meshes: Vec<Mesh>) {
    let generation = meshes[0].generation();
    assert!(meshes.iter().all(|mesh| mesh.generation() == generation));
    let processes = meshes.len();
    let mut streams = Vec::new();
    for (process, mesh) in meshes.into_iter().enumerate() {
        let Connections { data, links } = mesh.into_connections();
        assert_eq!(data.len(), processes);
        assert!(data[process].is_none());
        let others: Vec<_> = (0..processes as u32).filter(|other| *other as usize != process).collect();
        let peers: Vec<_> = links.iter().map(|link| link.peer).collect();
        assert_eq!(peers, if process == 0 { others } else { vec![0] });
        let data = data.into_iter().enumerate().filter_map(|(peer, stream)| Some((peer, 'd', stream?)));
        streams.extend(data.map(|(peer, purpose, stream)| (process, peer, purpose, stream)));
        for Link { peer, control, bulk } in links {
            streams.push((process, peer as usize, 'c', control));
            streams.push((process, peer as usize, 'b', bulk));
        }
    }
    assert_eq!(streams.len(), processes * (processes - 1) + 4 * (processes - 1));
    for (process, _, purpose, stream) in &mut streams {
        stream.write_all(&[*process as u8, *purpose as u8]).expect("it is open");
    }
    for (_, peer, purpose, stream) in &mut streams {
        let mut heard = [0; 2];
        stream.read_exact(&mut heard).expect("it is open, and it blocks");
        assert_eq!(heard, [*peer as u8, *purpose as u8]);
        let socket = SockRef::from(&*stream);
        assert!(socket.tcp_nodelay().expect("an option") && socket.keepalive().expect("an option"));
        assert_eq!(socket.tcp_keepalive_time().expect("an option"), Duration::from_secs(5));
    }
}

#[test]
fn they_form_in_any_order_of_their_start() {
    let orders: [&[u32]; 8] =
        [&[0], &[0, 1], &[1, 0], &[2, 1, 0], &[0, 2, 1], &[3, 2, 1, 0], &[1, 3, 0, 2], &[0, 1, 2, 3]];
    for (order, pause) in orders.iter().flat_map(|order| [(order, 0), (order, 70)]) {
        let hosts = Hosts::of(order.len() as u32);
        let mut running = Vec::new();
        for process in *order {
            running.push((process, hosts.start(*process)));
            sleep(Duration::from_millis(pause));
        }
        running.sort_by_key(|(process, _)| **process);
        check_connected(running.into_iter().map(|(_, running)| running.end().expect("they form")).collect());
    }
}

#[test]
fn on_loopback_they_need_no_secret() {
    let hosts = Hosts::of(2);
    let running = [0, 1].map(|process| start(MeshOptions { secret: None, ..hosts.options(process) }));
    check_connected(running.map(|running| running.end().expect("they form")).into());
}

#[test]
fn on_a_network_they_need_a_secret() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"127.0.0.1:2101\n10.0.0.7:2101\n").expect("written");
    let members = Members::read(2, 0, Some(file.path())).expect("hosts");
    let options = MeshOptions { members, secret: None, ..Hosts::of(2).options(0) };
    let error = start(options).end().expect_err("they may not");
    assert!(error.to_string().starts_with("10.0.0.7:2101 is not an address of"), "{error}");
    assert!(error.to_string().contains("set COUNTER_MACHINE_SECRET to"), "{error}");
}

#[test]
fn only_process_0_leads() {
    let hosts = Hosts::of(2);
    for (process, role) in [(0, Role::Member), (1, Role::Leader(GENERATION))] {
        let error = start(MeshOptions { role, ..hosts.options(process) }).end().expect_err("a defect");
        assert!(matches!(error, ClusterError::Role { .. }), "{error}");
    }
}

#[test]
fn another_pipeline_is_an_error_at_once() {
    let hosts = Hosts::of(2);
    let leader = hosts.start(0);
    let other = start(MeshOptions { cluster: ClusterId([8; 32]), ..hosts.options(1) });
    let error = other.end().expect_err("they differ").to_string();
    let expected =
        format!("process 0 (127.0.0.1:{}) refused this process because the two run different", hosts.ports[0]);
    assert!(error.starts_with(&expected), "{error}");
    // The other waits on, for one that does not differ.
    let member = hosts.start(1);
    check_connected([leader, member].map(|running| running.end().expect("they form")).into());
}

#[test]
fn another_secret_lets_nobody_in_and_both_sides_say_so() {
    let hosts = Hosts::of(2);
    let leader = start(MeshOptions { within: Duration::from_secs(8), ..hosts.options(0) });
    drop(hosts.connect(0));
    let other = MeshOptions { secret: Secret::of("another"), within: Duration::from_secs(4), ..hosts.options(1) };
    let error = start(other).end().expect_err("it has another secret").to_string();
    assert!(error.contains("missing process 0 (127.0.0.1:"), "{error}");
    assert!(error.contains("have both the same COUNTER_MACHINE_SECRET?"), "{error}");
    let error = leader.end().expect_err("nobody came").to_string();
    assert!(error.contains("missing process 1 (127.0.0.1:"), "{error}");
    assert!(error.contains("somebody says that it is this process, and does not know the secret"), "{error}");
}

#[test]
fn at_the_deadline_it_is_said_who_is_missing_and_why() {
    let hosts = Hosts::of(3);
    let within = Duration::from_secs(2);
    let alone = start(MeshOptions { within, ..hosts.options(1) }).end().expect_err("alone").to_string();
    let named = |process| format!("process {process} (127.0.0.1:{})", hosts.ports[process]);
    assert!(alone.starts_with("the cluster did not form within 2 s: still missing process 0"), "{alone}");
    assert!(alone.contains(&format!("{}: it cannot be connected to (", named(0))), "{alone}");
    assert!(alone.ends_with(&format!("{}: it has not connected", named(2))), "{alone}");
    // One that is there waits for the same.
    let there = hosts.start(1);
    let leader = start(MeshOptions { within, ..hosts.options(0) }).end().expect_err("one is missing").to_string();
    assert!(leader.ends_with(&format!("{}: it has not connected", named(2))), "{leader}");
    there.kill();
}

#[test]
fn it_stops_when_asked_to_even_while_names_are_resolved() {
    let hosts = Hosts::of(3);
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    for port in &hosts.ports {
        writeln!(file, "nowhere.invalid:{port}").expect("written");
    }
    for process in 0..3 {
        let members = Members::read(3, process, Some(file.path())).expect("hosts");
        // The first two listen on all interfaces then.
        let running = start(MeshOptions { members, ..hosts.options(process) });
        sleep(Duration::from_millis(50));
        running.kill();
    }
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let hosts = Hosts::of(2);
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, hosts.ports[0])).expect("it is free");
    let error = hosts.start(0).end().expect_err("it cannot listen").to_string();
    assert!(error.starts_with(&format!("process 0 (127.0.0.1:{}) cannot listen there: ", hosts.ports[0])), "{error}");
}
