//! Progress on a terminal: what is done, how fast, how long it will still take. Silent when stderr is no terminal.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::Progress;

/// A progress bar on stderr.
pub(crate) struct Terminal {
    bar: ProgressBar,
}

impl Terminal {
    /// A bar, or nothing where stderr is not a terminal.
    pub(crate) fn new() -> Self {
        let target =
            if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bar: ProgressBar::with_draw_target(Some(0), target) }
    }

    /// Writes lines to stdout without disturbing the bar. Whoever closed the pipe has read enough; the work goes on, as
    /// it also goes into files.
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        let written = self.bar.suspend(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes())?;
            stdout.flush()
        });
        written.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
    }

    /// Writes a line to stderr without disturbing the bar.
    pub(crate) fn note(&self, text: &str) {
        // Whoever closed stderr does not want notes.
        self.bar.suspend(|| drop(writeln!(io::stderr(), "{text}")));
    }
}

impl Progress for Terminal {
    fn begin(&mut self, kind: &'static str, total: usize, done: usize) {
        let template = format!("{{bar:30}} {{pos}}/{{len}} {kind}  {{per_sec}}  {{eta}} left  {{msg}}");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar.set_style(style);
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
