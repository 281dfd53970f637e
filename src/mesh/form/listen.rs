//! Where this process listens.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr};

use tokio::net::{TcpListener, lookup_host};

use crate::mesh::members::{is_loopback, port};

/// Listens on the address of this process, if it is one of this machine's, and else (it may be that of a router, or
/// not yet resolve here) on all interfaces. With `only_loopback`, on loopback or not at all.
pub(super) async fn listen(address: &str, only_loopback: bool) -> io::Result<Vec<TcpListener>> {
    let addresses: Vec<_> = match lookup_host(address).await {
        Ok(addresses) => addresses.filter(|address| !only_loopback || address.ip().is_loopback()).collect(),
        Err(error) if only_loopback => return Err(error),
        Err(_) => Vec::new(),
    };
    // A machine may resolve its own name to loopback, and all others to where they reach it.
    let is_reachable =
        only_loopback || is_loopback(address) || addresses.iter().all(|address| !address.ip().is_loopback());
    let (mut listeners, mut last_error) = (Vec::new(), None);
    for address in addresses.iter().filter(|_| is_reachable) {
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(listener),
            // Half of the callers would reach somebody else.
            Err(error) if error.kind() == ErrorKind::AddrInUse => return Err(error),
            Err(error) => last_error = Some(error),
        }
    }
    let is_elsewhere = last_error.as_ref().is_none_or(|error| error.kind() == ErrorKind::AddrNotAvailable);
    match last_error {
        _ if !listeners.is_empty() => Ok(listeners),
        None if only_loopback => Err(ErrorKind::AddrNotAvailable.into()),
        Some(error) if only_loopback || !is_elsewhere => Err(error),
        _ => {
            let port = port(address);
            tracing::info!("listening on port {port} of all interfaces: {address} is not an address of this machine");
            Ok(vec![everywhere(port).await?])
        }
    }
}

async fn everywhere(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        // This machine has no IPv6.
        Err(error) if error.kind() != ErrorKind::AddrInUse => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
        bound => bound,
    }
}
