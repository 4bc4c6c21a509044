//! Why shards cannot be joined.

use std::path::PathBuf;

use crate::audit::certify::CertifyError;
use crate::audit::run::RunError;
use crate::certificate::Shard;

/// Why shards cannot be joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// Nothing to join.
    #[error(
        "no shard was named; name the folder of every shard of an audit, or the file of every shard of a certificate"
    )]
    Nothing,
    /// A whole run.
    #[error("{path} is a whole run, not a shard of one; name what `vaecert audit --shard K/N` or `vaecert certify --shard K/N` wrote", path = path.display())]
    NotAShard {
        /// Where it is.
        path: PathBuf,
    },
    /// Shards of different runs.
    #[error("{path} does not belong to the run of {other}: {what}; join shards of one run", path = path.display(), other = other.display())]
    Differs {
        /// The shard that differs.
        path: PathBuf,
        /// The first shard.
        other: PathBuf,
        /// What differs.
        what: String,
    },
    /// The same shard twice.
    #[error("{other} and {path} are both shard {shard}; name each shard once", path = path.display(), other = other.display())]
    Overlap {
        /// The second.
        path: PathBuf,
        /// The first.
        other: PathBuf,
        /// Its number.
        shard: Shard,
    },
    /// A shard is missing.
    #[error("shard {missing}/{count} is missing: {there} of {count} were named; name all of them")]
    Gap {
        /// The first one that is missing.
        missing: usize,
        /// Shards named.
        there: usize,
        /// Shards there should be.
        count: usize,
    },
    /// A shard whose run was interrupted.
    #[error("{path}: shard {shard} is unfinished: {finished} of {inputs} inputs{what}; finish it by its own command with --resume", path = path.display())]
    Unfinished {
        /// The shard.
        path: PathBuf,
        /// Its number.
        shard: Shard,
        /// Inputs that are finished.
        finished: usize,
        /// Inputs it should have.
        inputs: usize,
        /// What else is wrong, or nothing.
        what: String,
    },
    /// The result would replace a shard.
    #[error("{path} is one of the shards; choose another --out", path = path.display())]
    IsOutput {
        /// The shard.
        path: PathBuf,
    },
    /// A run's folder cannot be read or written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A certificate cannot be read or written.
    #[error(transparent)]
    Certify(#[from] CertifyError),
}
