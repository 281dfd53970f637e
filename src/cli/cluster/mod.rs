//! `counter-machine cluster`: runs a pipeline in several processes of this machine, and starts all again when one is lost.

mod children;
mod command;
mod output;
mod restarts;
mod service;

use std::time::{Duration, Instant};

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::children::{Children, Ended};
use self::command::Command;
use self::restarts::Restarts;
use super::run::{Plan, RunArgs, plan};
use super::{CliError, ErrorCode};

/// Run a pipeline in several processes of this machine, and start all again when one is lost
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
#[command(
    override_usage = "counter-machine cluster <PIPELINE> -n <PROCESSES> [OPTIONS OF run]",
    after_help = "Example:
  counter-machine cluster pipelines/user_counters.toml -n 2 \\
      --state state/user_counters

Over several hosts, start `counter-machine run` on each, with -n, -p and -h."
)]
pub struct ClusterArgs {
    #[command(flatten)]
    run: RunArgs,
}

/// How often it looks after its processes.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Once one is lost, the others end by themselves within this: those that do not are stopped, or hang.
const END_WITHIN: Duration = Duration::from_secs(8);
/// Those that were asked to stop have more to do: a checkpoint, and what waits for the table.
const STOP_WITHIN: Duration = Duration::from_secs(90);

/// Runs them until they end well, or a signal comes, or starting again cannot help.
pub fn cluster(args: &ClusterArgs) -> Result<(), CliError> {
    let ClusterArgs { run } = args;
    let processes = match (run.processes, run.process, &run.hosts) {
        (None, ..) => return Err(CliError::usage("how many processes? Add -n PROCESSES".to_owned())),
        (_, Some(_), _) | (_, _, Some(_)) => {
            let message = "-p and -h are for processes that are started one by one, with `run`: leave them out";
            return Err(CliError::usage(message.to_owned()));
        }
        (Some(processes), None, None) => processes,
    };
    let Plan { keeps_state, http } = plan(run)?;
    let mut signals = Signals::new([SIGTERM, SIGINT])
        .map_err(|error| CliError::new(ErrorCode::SystemRefuses, format!("cannot listen for signals: {error}")))?;
    let mut restarts = Restarts::new();
    let command = Command::of_this_process(processes, http)?;
    loop {
        let began = Instant::now();
        let mut children = Children::start(&command)?;
        let (ended, was_asked) = watch(&mut children, &mut signals);
        let worst = Ended::worst(&ended);
        if was_asked || !worst.may_pass() {
            return worst.into_result();
        }
        if !keeps_state {
            tracing::error!(
                "without a state nothing goes on from where it was: give --state DIR, and all is started again"
            );
            return worst.into_result();
        }
        let pause = restarts.pause(began.elapsed());
        tracing::warn!("{worst}: all processes are started again in {:.1} s", pause.as_secs_f64());
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if signals.pending().next().is_some() {
                return worst.into_result();
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Waits until all have ended: the first that ends not well, or a signal, ends all others. Whether one has come.
fn watch(children: &mut Children, signals: &mut Signals) -> (Vec<Ended>, bool) {
    let (mut lost, mut was_asked) = (None, None);
    while !children.look() {
        for _ in signals.pending() {
            tracing::info!("stopping all processes");
            was_asked.get_or_insert_with(Instant::now);
            children.stop();
        }
        if children.one_is_lost() {
            let since: Instant = *lost.get_or_insert_with(Instant::now);
            if since.elapsed() >= END_WITHIN {
                children.kill();
            }
        } else if was_asked.is_some_and(|since| since.elapsed() >= STOP_WITHIN) {
            children.kill();
        }
        std::thread::sleep(LOOK_EVERY);
    }
    (children.ended(), was_asked.is_some())
}
