//! The files that `vaecert check` writes for CI servers: never a result that is not this audit's.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::files;
use crate::policy::{junit, markdown, Finding, Requirement};

/// Names the file that becomes the summary of a job's page.
const GITHUB_STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Files that receive the findings.
pub(super) struct CheckFiles {
    policy: String,
    /// What the policy requires, once that is known.
    pub(super) requirements: Vec<Requirement>,
    junit: Option<PathBuf>,
    summaries: Vec<PathBuf>,
}

impl CheckFiles {
    /// Fails, before any work, where one of the files cannot be written.
    pub(super) fn new(policy: &Path, junit: Option<&Path>, summary: Option<&Path>) -> Result<Self, Failure> {
        let page = std::env::var_os(GITHUB_STEP_SUMMARY).filter(|path| !path.is_empty()).map(PathBuf::from);
        let mut summaries: Vec<PathBuf> = summary.map(Path::to_owned).into_iter().chain(page).collect();
        // One file may be named in both ways.
        summaries.dedup();
        let targets = Self {
            policy: policy.display().to_string(),
            requirements: vec![],
            junit: junit.map(Path::to_owned),
            summaries,
        };
        if let Some(path) = &targets.junit {
            files::check_writable(path).map_err(|error| Failure::unwritable(path, &error))?;
        }
        for path in &targets.summaries {
            append(path, "")?;
        }
        Ok(targets)
    }

    /// Writes what was found.
    pub(super) fn write(&self, subject: &str, findings: &[Finding], notes: &[String]) -> Result<(), Failure> {
        self.write_junit(|| junit::report(&self.policy, findings))?;
        let summary = markdown::summary(&self.policy, subject, findings, notes);
        self.summaries.iter().try_for_each(|path| append(path, &summary))
    }

    /// Says everywhere that nothing was found out.
    pub(super) fn failed(&self, reason: &str) -> Result<(), Failure> {
        let summary = markdown::without_result(&self.policy, reason);
        self.summaries.iter().try_for_each(|path| append(path, &summary))?;
        self.without_result(reason)
    }

    /// Says in the JUnit file that nothing was found out.
    pub(super) fn without_result(&self, reason: &str) -> Result<(), Failure> {
        self.write_junit(|| junit::without_result(&self.policy, &self.requirements, reason))
    }

    fn write_junit(&self, text: impl FnOnce() -> io::Result<String>) -> Result<(), Failure> {
        let Some(path) = &self.junit else { return Ok(()) };
        let written = text().and_then(|text| files::write_atomically(path, text.as_bytes()));
        written.map_err(|error| Failure::unwritable(path, &error))
    }
}

fn append(path: &Path, text: &str) -> Result<(), Failure> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| Failure::unwritable(path, &error))
}
