//! The binary: arguments in, exit code out.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use counter_machine::cli::{Cli, ErrorCode, note_lost_connection};

/// The exit code of a bug.
const EXIT_BUG: i32 = 70;

/// The exit code of a run that has lost a process.
const EXIT_LOST: i32 = 75;

/// A run that has lost a process ends within this, whatever else happens.
const ENDED_WITHIN: Duration = Duration::from_secs(60);

/// So long, in seconds, a panic may take to be told.
const TOLD_WITHIN: u32 = 10;

fn main() -> ExitCode {
    end_the_process_on_panic();
    Cli::from_arguments().map_or_else(|refused| refused, Cli::run)
}

/// A panic in any thread ends the process: the other workers would wait for that thread for ever.
fn end_the_process_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Some(why) = lost_connection(panic.payload()) {
            note_lost_connection(std::thread::current().name(), why);
            // Unwinding would take the workers along. What watches over the processes says who is to blame, and ends this one.
            std::thread::sleep(ENDED_WITHIN);
            std::process::exit(EXIT_LOST);
        }
        // Where there is no memory left, a backtrace (of `RUST_BACKTRACE`) waits for itself for ever.
        nix::unistd::alarm::set(TOLD_WITHIN);
        report(panic);
        // A closed stderr must not keep the process from ending.
        let _ = writeln!(
            std::io::stderr(),
            "This is a bug in counter-machine. Nothing that was acknowledged is lost; please report it. [{}]",
            ErrorCode::Panic
        );
        std::process::exit(EXIT_BUG);
    }));
}

/// Why timely's threads have lost a connection with another process: they say it by a panic with this beginning.
fn lost_connection(payload: &(dyn std::any::Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    text?.strip_prefix("timely communication error: ")
}
