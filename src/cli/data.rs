//! `vaecert data fetch`: public data sets, fetched and checked.

use super::args::DataCommand;
use super::exit_code::ExitCode;
use super::failure::Failure;
use super::terminal::Terminal;

/// Runs a command on data sets.
#[cfg(feature = "fetch")]
pub(crate) fn data(command: &DataCommand, terminal: Terminal) -> Result<ExitCode, Failure> {
    let DataCommand::Fetch(arguments) = command;
    fetching::run(arguments, terminal)
}

/// Says that this program was built without it.
#[cfg(not(feature = "fetch"))]
pub(crate) fn data(_: &DataCommand, _: Terminal) -> Result<ExitCode, Failure> {
    let message = "this program was built without the feature `fetch`; build it with `--features fetch`";
    Err(Failure::new(ExitCode::Usage, message))
}

#[cfg(feature = "fetch")]
mod fetching {
    use std::path::{Path, PathBuf};

    use super::super::args::FetchArguments;
    use super::super::json::{line_of, FetchedLine};
    use super::{ExitCode, Failure, Terminal};
    use crate::data::fetch::{self, Base, FetchError, Fetchable, Fetched, DEFAULT_BASE_URL};
    use crate::progress::Progress;

    /// Where the hub is, by the convention of its own tools.
    const ENDPOINT: &str = "HF_ENDPOINT";

    pub(super) fn run(arguments: &FetchArguments, mut terminal: Terminal) -> Result<ExitCode, Failure> {
        let what: Fetchable = arguments.name.parse()?;
        let out = arguments.out.clone().unwrap_or_else(|| PathBuf::from("data").join(&arguments.name));
        let endpoint = std::env::var(ENDPOINT).ok().filter(|endpoint| !endpoint.is_empty());
        let base = arguments.base_url.clone().or(endpoint).unwrap_or_else(|| DEFAULT_BASE_URL.to_owned());
        let outcome = fetch::fetch(what, &out, &Base::parse(&base), &mut terminal);
        terminal.end();
        let fetched = outcome?;
        if arguments.json {
            for one in &fetched {
                terminal.print_as_is(&line_of(&FetchedLine::from(one))?)?;
            }
        } else {
            terminal.print(&text(arguments, &out, &fetched))?;
        }
        Ok(ExitCode::Met)
    }

    fn text(arguments: &FetchArguments, out: &Path, fetched: &[Fetched]) -> String {
        let line = |one: &Fetched| {
            let Fetched { split, items, content_sha256, was_there, checked } = one;
            let how = if *was_there { "there already" } else { "fetched" };
            format!(
                "{split:<5}  {items} items, {how}\n       sha256 {content_sha256}\n       checked against {checked}\n"
            )
        };
        let lines: String = fetched.iter().map(line).collect();
        format!("{lines}Use them with --data {} --data-dir {}\n", arguments.name, out.display())
    }

    impl From<FetchError> for Failure {
        fn from(error: FetchError) -> Self {
            let code = match error {
                FetchError::Unknown { .. } => ExitCode::Usage,
                _ => ExitCode::Unreadable,
            };
            Self::new(code, error)
        }
    }
}
