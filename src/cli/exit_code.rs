//! What the program's exit status says.

/// The exit statuses. The README's table lists the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// What was asked for is met; [`ExitCode::meaning`] lists what.
    Met,
    /// Not met; likewise.
    NotMet,
    /// The command line makes no sense, or its parts do not fit each other.
    Usage,
    /// Something could not be decided either way.
    Undecided,
    /// A certificate, or an entry of one, that does not prove what it claims.
    Rejected,
    /// A file or a line of input cannot be read or understood, or a file cannot be written.
    Unreadable,
    /// A bug in this program.
    Bug,
}

impl ExitCode {
    /// All of them, in order.
    pub const ALL: [Self; 7] =
        [Self::Met, Self::NotMet, Self::Usage, Self::Undecided, Self::Rejected, Self::Unreadable, Self::Bug];

    /// The number the system sees.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Met => 0,
            Self::NotMet => 1,
            Self::Usage => 2,
            Self::Undecided => 3,
            Self::Rejected => 4,
            Self::Unreadable => 5,
            Self::Bug => 70,
        }
    }

    /// What it means, in the words of the README's table.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Met => "met: every input bracketed or certified, every certificate verified, every perturbation confirmed, the model trained or imported, every question answered, every requirement passed, a run not shown to be worse than its baseline, or every verdict as recorded",
            Self::NotMet => "not met: an alarm, a perturbation or counterexample that does not refute, training that broke down, an imported model whose outputs differ, a requirement that failed, a run worse than its baseline, or a verdict that differs",
            Self::Usage => "usage: arguments that make no sense or do not fit each other",
            Self::Undecided => "undecided: at least one input, entry, requirement, comparison, question or claim could not be decided, and nothing is not met",
            Self::Rejected => "rejected: a certificate that does not prove what it claims",
            Self::Unreadable => "a file or a line of input that cannot be read, understood or written",
            Self::Bug => "a bug in vaecert",
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}
