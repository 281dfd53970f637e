//! What a person types: one file per command, each with its arguments and what it does.

pub mod check;
pub mod dump;
mod exit;
pub mod generate;
pub mod get;
mod output;
mod show;
pub mod table;
mod time;

pub use exit::CliError;
