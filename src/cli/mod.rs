//! What a person types: one file per command, each with its arguments and what it does.

pub mod check;
mod exit;
pub mod generate;
mod output;
mod time;

pub use exit::CliError;
pub use time::{InvalidTime, parse_time};
