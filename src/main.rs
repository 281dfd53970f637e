//! The binary: arguments in, exit code out.

use std::io::Write as _;
use std::process::ExitCode;

use counter_machine::cli::Cli;

/// The exit code of a bug.
const EXIT_BUG: i32 = 70;

fn main() -> ExitCode {
    end_the_process_on_panic();
    Cli::from_arguments().map_or_else(|refused| refused, Cli::run)
}

/// A panic in any thread ends the process: the other workers would wait for that thread for ever.
fn end_the_process_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        // A closed stderr must not keep the process from ending.
        let _ = writeln!(
            std::io::stderr(),
            "This is a bug in counter-machine. Nothing that was acknowledged is lost; please report it."
        );
        std::process::exit(EXIT_BUG);
    }));
}
