//! What a person types: one file per command, each with its arguments and what it does.

mod exit;
pub mod produce;

pub use exit::CliError;
