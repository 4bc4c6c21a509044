//! The command line: a shell around the library. Results go to stdout, progress and errors to stderr.

mod args;
mod audit;
mod certify;
mod check;
mod check_files;
pub mod claims;
mod data;
mod diff;
pub mod exit_code;
mod failure;
pub mod gamma_sum;
mod import;
mod limits;
mod linearization;
mod merge;
mod replay;
mod report;
pub mod table;
mod terminal;
mod train;
mod verify;

use std::io::Write;
use std::panic::{catch_unwind, AssertUnwindSafe};

use clap::Parser;

pub use exit_code::ExitCode;

use args::{Arguments, Command};
use failure::Failure;

use crate::threads::run_products_on_one_thread;

/// Runs the program on the process's arguments and returns its exit code.
#[must_use]
pub fn run() -> std::process::ExitCode {
    run_products_on_one_thread();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, not errors; a closed pipe has nobody left to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::Usage } else { ExitCode::Met }.into();
        }
    };
    match catch_unwind(AssertUnwindSafe(|| dispatch(arguments))) {
        Ok(Ok(code)) => code.into(),
        Ok(Err(failure)) => {
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            failure.code.into()
        }
        Err(_) => {
            let _ = writeln!(
                std::io::stderr(),
                "error: this is a bug in vaecert; please report it with the command line and the message above"
            );
            ExitCode::Bug.into()
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Audit(arguments) => audit::audit(*arguments),
        Command::Certify(arguments) => certify::certify(&arguments),
        Command::Merge(arguments) => merge::merge(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Diff(arguments) => diff::diff(&arguments),
        Command::Verify(arguments) => verify::verify(&arguments),
        Command::Train(arguments) => train::train(*arguments),
        Command::Import(arguments) => import::import(&arguments),
        Command::Data(command) => data::data(&command),
        Command::Replay(arguments) => replay::replay(&arguments),
        Command::Report(arguments) => report::report(&arguments),
        Command::Linearization(arguments) => linearization::linearization(&arguments),
        Command::GammaSum(arguments) => gamma_sum::gamma_sum(&arguments),
        Command::Claims(arguments) => claims::claims(&arguments),
        Command::Explain(arguments) => claims::explain(&arguments),
    }
}
