//! Why two audits are not compared.

use std::io;
use std::path::PathBuf;

use super::aspect::Difference;
use crate::audit::run::RunError;
use crate::certificate::Shard;

/// A baseline or a run that cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {source}; expected a baseline written by `vaecert diff --accept`, or the folder of a run", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no baseline.
    #[error("{path}, line {line}: {source}; expected a baseline written by `vaecert diff --accept`", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The file contradicts itself.
    #[error("{path}: {reason}; write it anew with `vaecert diff --accept`", path = path.display())]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// How.
        reason: String,
    },
    /// The run's folder cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The run is not finished.
    #[error("{path}: {finished} of {inputs} inputs are finished and there is {summary} summary; continue the run with --resume", path = path.display(), summary = if *summary { "a" } else { "no" })]
    Unfinished {
        /// The folder.
        path: PathBuf,
        /// Finished inputs.
        finished: usize,
        /// Inputs of the run.
        inputs: usize,
        /// Whether the summary is there.
        summary: bool,
    },
    /// A part of a run.
    #[error("{path} is shard {shard} of a run; join all shards with vaecert merge and compare the whole run", path = path.display())]
    Shard {
        /// The folder.
        path: PathBuf,
        /// Which.
        shard: Shard,
    },
    /// The two audits differ in more than their models.
    #[error(
        "the two audits cannot be compared: {}; allow it with --allow-different {}",
        listed(differences),
        names(differences)
    )]
    Different {
        /// What differs and may not.
        differences: Vec<Difference>,
    },
    /// A baseline would replace something else.
    #[error("{path} is a folder; name a file for the baseline that --accept writes", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// The baseline cannot be written.
    #[error("{path}: cannot be written: {source}; what was there is unchanged", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn listed(differences: &[Difference]) -> String {
    differences.iter().map(Difference::to_string).collect::<Vec<_>>().join("; ")
}

fn names(differences: &[Difference]) -> String {
    differences.iter().map(|difference| difference.aspect.name()).collect::<Vec<_>>().join(",")
}
