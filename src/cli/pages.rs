//! `vaecert completions` and `vaecert man`: what is generated from the command line itself.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::args::Arguments;
use super::exit_code::ExitCode;
use super::failure::Failure;
use super::terminal::Terminal;
use crate::files;

/// The name of the program.
const PROGRAM: &str = "vaecert";

/// The examples of the commands' long help.
pub(super) const COMPLETIONS_EXAMPLES: &str = "Examples:
  vaecert completions bash > ~/.local/share/bash-completion/completions/vaecert
  vaecert completions zsh > ~/.zfunc/_vaecert
  vaecert completions fish > ~/.config/fish/completions/vaecert.fish";

/// Likewise.
pub(super) const MAN_EXAMPLES: &str = "Examples:
  vaecert man --out ~/.local/share/man/man1
  vaecert man > vaecert.1";

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// bash, elvish, fish, powershell or zsh.
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// Folder for a page per command. Default: the program's own page, on stdout.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace pages that are already there.
    #[arg(long, requires = "out")]
    overwrite: bool,
}

/// Prints a shell's completions.
pub(crate) fn completions(arguments: &CompletionsArguments, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), PROGRAM, &mut script);
    terminal.print_as_is(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::Met)
}

/// Prints the program's page, or writes the page of every command.
pub(crate) fn man(arguments: &ManArguments, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let mut program = Arguments::command();
    program.build();
    let Some(folder) = &arguments.out else {
        terminal.print_as_is(&page(&program, PROGRAM)?)?;
        return Ok(ExitCode::Met);
    };
    let pages = pages(&program, PROGRAM)?;
    let path = |name: &str| folder.join(format!("{name}.1"));
    if let Some(there) = pages.iter().map(|(name, _)| path(name)).find(|path| path.exists() && !arguments.overwrite) {
        let message = format!("{} already exists; replace pages with --overwrite", there.display());
        return Err(Failure::new(ExitCode::Usage, message));
    }
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| Failure::unwritable(&path, &error)
    };
    std::fs::create_dir_all(folder).map_err(unwritable(folder))?;
    for (name, page) in &pages {
        files::write_atomically(&path(name), page.as_bytes()).map_err(unwritable(&path(name)))?;
    }
    terminal.print(&format!("{} pages written to {}\n", pages.len(), folder.display()))?;
    Ok(ExitCode::Met)
}

/// The pages of a command and of those below it, with their names: `vaecert-data-fetch`.
fn pages(command: &Command, name: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut pages = vec![(name.to_owned(), page(command, name)?)];
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        pages.extend(self::pages(inner, &format!("{name}-{}", inner.get_name()))?);
    }
    Ok(pages)
}

fn page(command: &Command, name: &str) -> Result<String, Failure> {
    // clap wants names that live as long as the program, or its feature `string`.
    let mut text = Vec::new();
    Man::new(command.clone()).title(name).render(&mut text).map_err(|error| Failure::new(ExitCode::Bug, error))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
