//! A policy file: what it says, understood.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use super::error::PolicyError;
use super::keys;
use super::requirement::Requirement;
use super::written::PolicyFile;
use crate::audit::run::DataChoice;
use crate::audit::AuditPlan;
use crate::files;
use crate::model::device::DeviceChoice;

/// Longest policy file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// What a policy file says. What it leaves out is as on the command line of `vaecert audit`.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The model file, found from the working directory; none for the embedded model.
    pub model: Option<PathBuf>,
    /// Where to attack.
    pub device: DeviceChoice,
    /// Which inputs.
    pub data: DataChoice,
    /// What is done to each.
    pub plan: AuditPlan,
    /// When the audit stops; inputs not reached by then are neither for nor against.
    pub time: Option<Duration>,
    /// What is required; at least one.
    pub requirements: Vec<Required>,
}

/// A requirement and where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Required {
    /// What is required.
    pub requirement: Requirement,
    /// Its line in the file, from 1.
    pub line: usize,
}

impl Policy {
    /// Reads a policy file. Relative paths in it are relative to its folder.
    ///
    /// # Errors
    /// [`PolicyError`] where the file cannot be read or makes no sense.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let unreadable = |source| PolicyError::Unreadable { path: path.to_owned(), source };
        let mut text = String::new();
        let file = files::open_regular(path).map_err(unreadable)?;
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > MAX_BYTES {
            let reason = format!("longer than {MAX_BYTES} bytes");
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, reason)));
        }
        Self::parse(&text, path)
    }

    /// Understands the text of the policy file at `path`.
    ///
    /// # Errors
    /// [`PolicyError`] where it makes no sense.
    pub fn parse(text: &str, path: &Path) -> Result<Self, PolicyError> {
        let at = |error: &toml::de::Error| place(text, error.span().unwrap_or(0..0).start);
        let document = DeTable::parse(text).map_err(|error| {
            let (line, column) = at(&error);
            PolicyError::Syntax { path: path.to_owned(), line, column, message: error.message().to_owned() }
        })?;
        if let Some(keys::Unknown { start, key, place: where_, suggestion, known }) =
            keys::first_unknown(document.get_ref())
        {
            let (line, column) = place(text, start);
            return Err(PolicyError::UnknownKey {
                path: path.to_owned(),
                line,
                column,
                key,
                place: where_,
                suggestion,
                known,
            });
        }
        let file: PolicyFile = toml::from_str(text).map_err(|error| {
            let (line, column) = at(&error);
            PolicyError::Value { path: path.to_owned(), line, column, message: error.message().to_owned() }
        })?;
        file.understood(text, path)
    }
}

/// Line and column, in characters and from 1, of a position in bytes.
pub(super) fn place(text: &str, start: usize) -> (usize, usize) {
    let before = text.get(..start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// Refuses what could not fail.
pub(super) fn check_requirements(
    requirements: &[Required],
    inputs: usize,
    plan: &AuditPlan,
    path: &Path,
) -> Result<(), PolicyError> {
    if requirements.is_empty() {
        return Err(PolicyError::NothingRequired { path: path.to_owned() });
    }
    for (index, Required { requirement, line }) in requirements.iter().enumerate() {
        let refuse = |reason: String| {
            Err(PolicyError::Requirement { path: path.to_owned(), line: *line, key: requirement.key(), reason })
        };
        if requirement.is_empty(inputs) {
            let required = requirement.required();
            return refuse(format!("{required} requires nothing of {inputs} inputs; choose a number that could fail"));
        }
        let max_norm = plan.search.max_norm;
        let attacked = match requirement {
            Requirement::Refuted(at) => Some(at.radius),
            Requirement::MedianMargin(norm) => Some(*norm),
            _ => None,
        };
        if let Some(norm) = attacked.filter(|norm| norm.get() > max_norm) {
            return refuse(format!("attacks try norms up to max_norm = {max_norm}, so they say nothing about {norm}"));
        }
        if requirements.iter().take(index).any(|other| other.requirement.name() == requirement.name()) {
            return refuse(format!("{} is required twice; keep one", requirement.name()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
