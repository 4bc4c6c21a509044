//! Why a policy makes no sense.

use std::io;
use std::path::PathBuf;

use crate::audit::PlanError;
use crate::data::DataError;

/// A policy that cannot be read or does not mean anything.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {source}; expected a policy file (`vaecert check --example` prints one)", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("{path}:{line}:{column}: {message}; expected TOML (`vaecert check --example` prints a policy)", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// A key that does not exist.
    #[error("{path}:{line}:{column}: unknown key {key:?} in {place}; {hint}", path = path.display(), hint = hint(suggestion.as_deref(), known))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// The key found.
        key: String,
        /// Where.
        place: &'static str,
        /// The nearest known one.
        suggestion: Option<String>,
        /// All known ones.
        known: &'static [&'static str],
    },
    /// A value of the wrong kind or out of range, or a missing one.
    #[error("{path}:{line}:{column}: {message}", path = path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong with it.
        message: String,
    },
    /// Nothing is required.
    #[error("{path}: nothing is required, so nothing could fail; add a table [require] with at least one of {known}", path = path.display(), known = super::keys::REQUIRE.join(", "))]
    NothingRequired {
        /// The file.
        path: PathBuf,
    },
    /// A requirement that could not fail.
    #[error("{path}:{line}: {key}: {reason}", path = path.display())]
    Requirement {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The requirement's key.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Keys that do not go together.
    #[error("{path}: {reason}", path = path.display())]
    Conflict {
        /// The file.
        path: PathBuf,
        /// Which, and what to do.
        reason: String,
    },
    /// The data are not known.
    #[error("{path}: {source}", path = path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        source: DataError,
    },
    /// The plan makes no sense.
    #[error("{path}: {source}", path = path.display())]
    Plan {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PlanError,
    },
}

fn hint(suggestion: Option<&str>, known: &[&str]) -> String {
    match suggestion {
        Some(suggestion) => format!("did you mean {suggestion:?}?"),
        None => format!("expected one of {}", known.join(", ")),
    }
}
