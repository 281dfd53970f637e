//! Hands the connections for data to timely.

use std::any::Any;
use std::net::TcpStream;

use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::communication::initialize::Hooks;

use super::ClusterError;

/// What [`timely::execute::execute_from`] wants: what makes each worker's part, and what waits for timely's threads of
/// communication when it is dropped.
pub type TimelyParts = (Vec<AllocatorBuilder>, Box<dyn Any + Send>);

/// Starts timely's threads of communication over these connections, by process, `None` at this one's own index: as
/// [`super::Connections::data`] has them. `workers` is that of each process.
///
/// Each worker's part must be built on its worker's thread soon: the others wait for it.
pub fn into_timely(data: Vec<Option<TcpStream>>, process: usize, workers: usize) -> Result<TimelyParts, ClusterError> {
    let hooks = Hooks::default();
    let within = ProcessBuilder::new_typed_vector(workers, hooks.refill.clone(), hooks.spill.clone());
    let started = initialize_networking_from_sockets(within, data, process, workers, hooks);
    let (builders, guard) =
        started.map_err(|source| ClusterError::System { what: "timely's threads cannot be started", source })?;
    Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
}
