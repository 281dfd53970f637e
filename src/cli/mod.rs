//! What a person types: one file per command, each with its arguments and what it does.

pub mod dump;
mod exit;
pub mod get;
mod output;
pub mod produce;
mod show;
pub mod table;
mod time;

pub use exit::CliError;
