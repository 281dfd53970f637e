//! How the connections behave.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// A machine that is gone is noticed after this much silence, and so many probes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_PROBES: u32 = 3;

/// Or when it has not taken what was sent to it for this long.
const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// Sets what all connections have.
pub(super) fn prepare(stream: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_PROBES))?;
    give_up_after(stream, USER_TIMEOUT)
}

/// The other side is gone when it has not taken what was sent to it for so long; zero: it may take as long as it likes.
pub(super) fn give_up_after(stream: &impl AsFd, within: Duration) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    SockRef::from(stream).set_tcp_user_timeout(Some(within))?;
    Ok(())
}

/// Whether the other side of a connection that does not block has closed it, as far as can be seen. It reads nothing.
pub(super) fn is_closed(stream: &TcpStream) -> bool {
    match stream.peek(&mut [0]) {
        Ok(bytes) => bytes == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}
