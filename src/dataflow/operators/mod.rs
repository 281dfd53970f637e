//! The operators of the graph, one file each. They hold only input, order and capabilities; what
//! is computed stands beside this folder, in plain structs.

mod acknowledge;
mod decay_counters;
mod source;
mod window_sum;

pub use acknowledge::{Delivery, acknowledged};
pub use decay_counters::decay_counters;
pub use source::{SourceHandle, source};
pub use window_sum::window_sum;
