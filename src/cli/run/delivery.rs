//! How items get to the sink, and what the command line and the pipeline file may not ask for at the same time.

use super::RunArgs;
use crate::cli::CliError;
use crate::dataflow::ItemDelivery;
use crate::pipeline::{HoldBack, Pipeline};
use crate::sink::SinkTarget;

/// Fails where what is asked for contradicts itself.
pub fn refuse_contradictions(args: &RunArgs, pipeline: &Pipeline, target: &SinkTarget) -> Result<(), CliError> {
    if args.every_window && pipeline.holds_back() {
        return Err(CliError::usage(
            "--every-window publishes every change, and the pipeline file says with `min_change` which to hold back: leave one of \
             them out"
                .to_owned(),
        ));
    }
    if args.every_window && pipeline.publish.is_named() {
        return Err(CliError::usage(
            "--every-window publishes every change, and the pipeline file says with `publish.every` how often to publish: leave one of \
             them out"
                .to_owned(),
        ));
    }
    if pipeline.publish.hold_until_caught_up && (args.every_window || !target.is_table()) {
        return Err(CliError::usage(format!(
            "`hold_until_caught_up` is for tables: {} gets every change when it happens; leave one of them out",
            if args.every_window { "with --every-window a sink".to_owned() } else { format!("the sink {target}") }
        )));
    }
    if args.every_window && target.is_table() && pipeline.publish.layout.holds_whole_keys() {
        return Err(CliError::usage(
            "--every-window publishes the changes of a window, and an item with `layout = \"key\"` holds what has not changed, too: leave one \
             of them out, or publish into jsonl:PATH"
                .to_owned(),
        ));
    }
    Ok(())
}

/// What hangs on where items go, and on whether whole files are read.
pub fn settle(pipeline: &mut Pipeline, args: &RunArgs, target: &SinkTarget, is_replay: bool) {
    if is_replay {
        pipeline.publish.stretch_for_a_replay();
    }
    if *target != SinkTarget::DynamoDb {
        pipeline.dynamodb.budget_wcu = None;
    }
    if args.every_window || !target.is_table() {
        // Who reads a changelog wants every change.
        pipeline.publish.hold_back_of_all(HoldBack::NOTHING);
    }
}

/// How items get to this sink.
pub fn of(args: &RunArgs, target: &SinkTarget, is_replay: bool) -> ItemDelivery {
    if args.every_window || !target.is_table() {
        return ItemDelivery::Changelog(target.writers());
    }
    ItemDelivery::Pull { intake: target.intake(), writers: target.writers(), is_replay }
}
