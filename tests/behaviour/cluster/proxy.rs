//! A network between two processes: it hands bytes on until it is cut.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::Addresses;

/// How often a connection looks whether it is cut.
const LOOK_EVERY: Duration = Duration::from_millis(10);

const PATIENCE: Duration = Duration::from_secs(60);

const PASSES: u8 = 0;
const SWALLOWS: u8 = 1;
const STOPS: u8 = 2;
const RESETS: u8 = 3;

/// Listens in the place of a process. Gone with this.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    listens: Option<JoinHandle<()>>,
}

struct Shared {
    to: SocketAddr,
    does: AtomicU8,
    passed: AtomicU64,
}

impl Proxy {
    /// In front of this address.
    pub fn before(to: SocketAddr) -> Proxy {
        let listener = TcpListener::bind(Addresses::new(1).0[0]).unwrap();
        let shared = Arc::new(Shared { to, does: AtomicU8::new(PASSES), passed: AtomicU64::new(0) });
        let address = listener.local_addr().unwrap();
        let listens = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if shared.does.load(Ordering::Acquire) != PASSES {
                        return;
                    }
                    // Where nobody listens yet, whoever calls hears nothing but the end, and calls again.
                    if let Ok(on) = TcpStream::connect(shared.to) {
                        join(&shared, stream, on);
                    }
                }
            }
        });
        Proxy { address, shared, listens: Some(listens) }
    }

    /// Waits until so many bytes have been handed on.
    pub fn has_passed(&self, bytes: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.shared.passed.load(Ordering::Relaxed) < bytes {
            assert!(Instant::now() < deadline, "{} bytes were handed on", self.shared.passed.load(Ordering::Relaxed));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Takes all bytes from now on, and hands none on.
    pub fn swallows(&self) {
        self.shared.does.store(SWALLOWS, Ordering::Release);
    }

    /// Takes no more bytes.
    pub fn stops(&self) {
        self.shared.does.store(STOPS, Ordering::Release);
    }

    /// Breaks all connections.
    pub fn resets(&self) {
        self.shared.does.store(RESETS, Ordering::Release);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.resets();
        // The listener looks when somebody calls.
        let _ = TcpStream::connect(self.address);
        if let Some(listens) = self.listens.take() {
            let _ = listens.join();
        }
    }
}

/// Joins two connections, each way by a thread of its own.
fn join(shared: &Arc<Shared>, one: TcpStream, other: TcpStream) {
    for stream in [&one, &other] {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LOOK_EVERY)).unwrap();
    }
    let back = (other.try_clone().unwrap(), one.try_clone().unwrap());
    for (from, to) in [(one, other), back] {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || pump(&shared, from, to));
    }
}

/// Hands bytes on in one direction.
fn pump(shared: &Shared, mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 1 << 16];
    loop {
        match shared.does.load(Ordering::Acquire) {
            RESETS => {
                // A connection that lingers for no time is reset when it is closed.
                let _ = SockRef::from(&from).set_linger(Some(Duration::ZERO));
                return;
            }
            STOPS => {
                std::thread::sleep(LOOK_EVERY);
                continue;
            }
            _ => {}
        }
        let passes = |shared: &Shared| shared.does.load(Ordering::Acquire) == PASSES;
        match from.read(&mut bytes) {
            Ok(0) if passes(shared) => {
                let _ = to.shutdown(std::net::Shutdown::Write);
                return;
            }
            // Nobody may hear of it.
            Ok(0) => std::thread::sleep(LOOK_EVERY),
            Ok(read) if passes(shared) => {
                shared.passed.fetch_add(read as u64, Ordering::Relaxed);
                if to.write_all(&bytes[..read]).is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}
