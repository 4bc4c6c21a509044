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
mod json;
mod limits;
mod linearization;
mod merge;
mod pages;
mod paint;
mod replay;
mod report;
mod schema;
mod settings;
pub mod table;
mod terminal;
mod train;
mod units;
mod verify;

use std::ffi::OsString;
use std::panic::{catch_unwind, AssertUnwindSafe};

use clap::{ColorChoice, CommandFactory, FromArgMatches, ValueEnum};

pub use exit_code::ExitCode;

use args::{Arguments, Command};
use failure::Failure;
use settings::{settled, typed_value, Settled};
use terminal::{write_error, Terminal};

use crate::threads::run_products_on_one_thread;

/// Runs the program on the process's arguments and returns its exit code.
#[must_use]
pub fn run() -> std::process::ExitCode {
    run_products_on_one_thread();
    let typed: Vec<OsString> = std::env::args_os().collect();
    let color = color(&typed);
    let failed = |failure: &Failure| {
        write_error(color, &failure.to_string());
        failure.code.into()
    };
    let command = Arguments::command().color(color);
    let Settled { line, added, unknown } = match settled(&command, typed, std::env::vars_os()) {
        Ok(settled) => settled,
        Err(failure) => return failed(&failure),
    };
    let parsed = command.try_get_matches_from(line).and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, not errors; a closed pipe has nobody left to tell.
            let _ = error.print();
            if !error.use_stderr() {
                return ExitCode::Met.into();
            }
            if !added.is_empty() {
                write_error(color, &format!("settings are part of the command: {added}"));
            }
            return ExitCode::Usage.into();
        }
    };
    let done = catch_unwind(AssertUnwindSafe(|| {
        let terminal = Terminal::new(arguments.output)?;
        if !added.is_empty() {
            terminal.note(&format!("settings: {added}"));
        }
        unknown.iter().for_each(|text| terminal.note(&format!("note: {text}")));
        dispatch(arguments.command, terminal)
    }));
    match done {
        Ok(Ok(code)) => code.into(),
        Ok(Err(failure)) => failed(&failure),
        Err(_) => {
            let message = "this is a bug in vaecert; please report it with the command line and the message above";
            write_error(color, message);
            ExitCode::Bug.into()
        }
    }
}

/// The colours asked for, before anything is parsed: errors of parsing have them too.
fn color(typed: &[OsString]) -> ColorChoice {
    let words: Vec<_> = typed.iter().map(|word| word.to_string_lossy()).collect();
    let words: Vec<&str> = words.iter().map(|word| &**word).collect();
    let asked = typed_value(&words, "color").or_else(|| std::env::var("VAECERT_COLOR").ok());
    asked.and_then(|word| ColorChoice::from_str(&word, false).ok()).unwrap_or(ColorChoice::Auto)
}

fn dispatch(command: Command, terminal: Terminal) -> Result<ExitCode, Failure> {
    match command {
        Command::Audit(arguments) => audit::audit(*arguments, terminal),
        Command::Certify(arguments) => certify::certify(&arguments, terminal),
        Command::Merge(arguments) => merge::merge(&arguments, terminal),
        Command::Check(arguments) => check::check(&arguments, terminal),
        Command::Diff(arguments) => diff::diff(&arguments, &terminal),
        Command::Verify(arguments) => verify::verify(&arguments, terminal),
        Command::Train(arguments) => train::train(*arguments, terminal),
        Command::Import(arguments) => import::import(&arguments, &terminal),
        Command::Data(command) => data::data(&command, terminal),
        Command::Replay(arguments) => replay::replay(&arguments, terminal),
        Command::Report(arguments) => report::report(&arguments, &terminal),
        Command::Linearization(arguments) => linearization::linearization(&arguments, terminal),
        Command::GammaSum(arguments) => gamma_sum::gamma_sum(&arguments),
        Command::Claims(arguments) => claims::claims(&arguments, terminal),
        Command::Explain(arguments) => claims::explain(&arguments, &terminal),
        Command::Schema(arguments) => schema::schema(&arguments, &terminal),
        Command::Completions(arguments) => pages::completions(&arguments, &terminal),
        Command::Man(arguments) => pages::man(&arguments, &terminal),
    }
}
