//! Behaviour from outside: through the public interface, real services and stand-ins of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic that it failed")]

mod dynamodb;
mod dynamodb_fake;
mod dynamodb_faults;
mod dynamodb_items;
mod kafka;
