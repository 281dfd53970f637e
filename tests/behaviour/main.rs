//! Behaviour from outside: through the program, the public interface, real services and stand-ins
//! for them. Tests that need a service say so and are ignored without it; `scripts/test` runs all.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic that it failed")]

mod arrival;
mod clocks;
mod commands;
mod commands_run;
mod dynamodb;
mod dynamodb_api;
mod dynamodb_fake;
mod dynamodb_fake_faults;
mod dynamodb_faults;
mod dynamodb_items;
mod dynamodb_matrix;
mod dynamodb_table;
mod dynamodb_waits;
mod ends;
mod feed;
mod files;
mod findings;
mod floods;
mod forms;
mod guide;
mod items_page;
mod json;
mod kafka;
mod kafka_runs;
mod kafka_to_dynamodb;
mod key_layout;
mod limits;
mod moving_logs;
mod order;
mod pipes;
mod plan;
mod program;
mod publishing;
mod readings;
mod readme;
mod recount;
mod replay;
mod replay_logs;
mod shift;
mod terminal;
mod time_unit;
mod versions;
mod waits;
mod wording;
