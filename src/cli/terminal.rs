//! What a user sees beside the results: progress, notes, colours and the log. Results go to stdout, all else to stderr.

use std::io::{self, IsTerminal, Write};

use anstream::AutoStream;
use clap::{ArgAction, Args, ColorChoice};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

use super::exit_code::ExitCode;
use super::failure::Failure;
use super::paint::{error_title, painted};
use super::settings::LOG_VARIABLE;
use super::units;
use crate::progress::Progress;

/// How much is said, and how it looks. Every command has these options.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OutputArguments {
    /// Say nothing on stderr but errors: no progress, no notes.
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Every command")]
    quiet: bool,
    /// Log on stderr what is done; -vv also its parts, -vvv every step. The variable VAECERT_LOG chooses by module instead,
    /// as in vaecert::audit=debug,info.
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Every command")]
    verbose: u8,
    /// Colours: auto (on a terminal, unless NO_COLOR is set), always or never.
    #[arg(
        long,
        global = true,
        default_value = "auto",
        value_name = "WHEN",
        hide_possible_values = true,
        help_heading = "Every command"
    )]
    pub(super) color: ColorChoice,
}

/// stdout, stderr and a progress bar on stderr.
pub(crate) struct Terminal {
    bar: ProgressBar,
    /// Whether notes are written.
    notes: bool,
    /// Whether what is printed for people has colours.
    colors: bool,
}

impl Terminal {
    /// Starts the log, too; so this is called once.
    ///
    /// # Errors
    /// Where the variable of the log's filter makes no sense.
    pub(crate) fn new(output: OutputArguments) -> Result<Self, Failure> {
        let target = if io::stderr().is_terminal() && !output.quiet {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        start_log(output, bar.clone())?;
        Ok(Self { bar, notes: !output.quiet, colors: has_colors(output.color, &io::stdout()) })
    }

    /// Prints for people, in colours where there are any, without disturbing the bar.
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        if self.colors {
            self.print_as_is(&painted(text))
        } else {
            self.print_as_is(text)
        }
    }

    /// Prints for programs: the bytes of the text. Whoever closed the pipe has read enough; the work goes on, as it also goes
    /// into files.
    pub(crate) fn print_as_is(&self, text: &str) -> io::Result<()> {
        let written = self.bar.suspend(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes())?;
            stdout.flush()
        });
        written.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
    }

    /// Writes a line to stderr without disturbing the bar.
    pub(crate) fn note(&self, text: &str) {
        if self.notes {
            self.say(text);
        }
    }

    /// Likewise, however little is to be said.
    pub(crate) fn say(&self, text: &str) {
        // Whoever closed stderr does not want it.
        self.bar.suspend(|| drop(writeln!(io::stderr(), "{text}")));
    }
}

/// Writes an error to stderr.
pub(crate) fn write_error(color: ColorChoice, message: &str) {
    let title = error_title(has_colors(color, &io::stderr()));
    let _ = writeln!(io::stderr(), "{title} {message}");
}

/// Whether what goes there has colours. `auto` follows NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM.
fn has_colors(choice: ColorChoice, stream: &impl anstream::stream::RawStream) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => AutoStream::choice(stream) != anstream::ColorChoice::Never,
    }
}

/// Writes the log around the bar.
struct AroundBar(ProgressBar);

impl Write for AroundBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AroundBar {
    type Writer = AroundBar;

    fn make_writer(&'a self) -> AroundBar {
        AroundBar(self.0.clone())
    }
}

fn start_log(output: OutputArguments, bar: ProgressBar) -> Result<(), Failure> {
    let filter = match (output.verbose, std::env::var(LOG_VARIABLE)) {
        (0, Ok(filter)) if !filter.is_empty() && !output.quiet => filter,
        (0, _) => return Ok(()),
        (1, _) => "vaecert=info".to_owned(),
        (2, _) => "vaecert=debug".to_owned(),
        _ => "vaecert=trace".to_owned(),
    };
    let targets: Targets = filter.parse().map_err(|error| {
        let expected = "a level (error, warn, info, debug, trace), or MODULE=LEVEL pairs separated by commas";
        Failure::new(ExitCode::Usage, format!("{LOG_VARIABLE}: {error}; expected {expected}, found {filter:?}"))
    })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(AroundBar(bar))
        .with_ansi(has_colors(output.color, &io::stderr()))
        .with_timer(tracing_subscriber::fmt::time::uptime());
    // A second log, as in tests of this function, changes nothing.
    let _ = tracing_subscriber::registry().with(lines.with_filter(targets)).try_init();
    Ok(())
}

impl Progress for Terminal {
    fn begin(&mut self, kind: &'static str, total: usize, done: usize) {
        let template = format!("{{bar:30}} {{pos}}/{{len}} {kind}  {{rate}}  {{left}} left  {{msg}}");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let rate =
            |state: &ProgressState, to: &mut dyn std::fmt::Write| _ = to.write_str(&units::rate(state.per_sec()));
        let left = |state: &ProgressState, to: &mut dyn std::fmt::Write| _ = to.write_str(&units::time(state.eta()));
        self.bar.set_style(style.with_key("rate", rate).with_key("left", left));
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        self.bar.reset_eta();
        self.bar.enable_steady_tick(std::time::Duration::from_millis(250));
    }

    fn step(&mut self, detail: &str) {
        self.bar.set_message(detail.to_owned());
        self.bar.inc(1);
    }

    fn end(&mut self) {
        self.bar.finish_and_clear();
    }
}
