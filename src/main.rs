//! The binary: arguments in, exit code out.

use std::io::Write as _;
use std::process::ExitCode;

use counter_machine::cli::Cli;

/// The exit code of a bug.
const EXIT_BUG: i32 = 70;

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
        // Where there is no memory left, a backtrace (of `RUST_BACKTRACE`) waits for itself for ever.
        nix::unistd::alarm::set(TOLD_WITHIN);
        report(panic);
        // A closed stderr must not keep the process from ending.
        let _ = writeln!(
            std::io::stderr(),
            "This is a bug in counter-machine. Nothing that was acknowledged is lost; please report it."
        );
        std::process::exit(EXIT_BUG);
    }));
}
