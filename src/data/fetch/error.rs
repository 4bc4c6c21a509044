//! What can go wrong while a data set is fetched.

use std::io;
use std::path::PathBuf;

use crate::data::DataError;
use crate::spelling::did_you_mean;

/// Why a data set was not fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A name that is not on the list.
    #[error("unknown data set {found:?}; {}expected mnist, fashion-mnist or cifar10", did_you_mean(found, &["mnist", "fashion-mnist", "cifar10"]))]
    Unknown {
        /// The name.
        found: String,
    },
    /// Nothing answers at an address.
    #[error(
        "{url} cannot be reached: {reason}; check the connection and run the command again, or name a mirror or a folder \
         that holds the files with --base-url"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// A server refuses.
    #[error("{url} answers with status {status}; expected the file; is --base-url right?")]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: u16,
    },
    /// A redirection that is not followed.
    #[error("{url} redirects to {location:?}, which is not followed: {reason}")]
    Redirect {
        /// The address.
        url: String,
        /// Where to.
        location: String,
        /// Why not.
        reason: &'static str,
    },
    /// A file larger than any that is expected.
    #[error("{url} announces or sends more than {limit} bytes; is --base-url right?")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit, or the size that was announced.
        limit: u64,
    },
    /// The connection broke.
    #[error("{url} broke off after {received} bytes{}: {reason}; run the command again to continue", of(*total))]
    Interrupted {
        /// The address.
        url: String,
        /// Bytes that are there, from earlier runs too.
        received: u64,
        /// Bytes there should be, where the server says so.
        total: Option<u64>,
        /// What went wrong.
        reason: String,
    },
    /// A file that is not the one expected.
    #[error("{place} has SHA-256 {found} where {expected} was expected ({of}); {consequence}")]
    Checksum {
        /// The address or the file.
        place: String,
        /// The hash expected.
        expected: String,
        /// The hash found.
        found: String,
        /// What the expected hash is that of.
        of: &'static str,
        /// What happened to the file, and what to do.
        consequence: &'static str,
    },
    /// A parquet file that does not hold the images.
    #[error("{path}: {reason}; expected a parquet file of images and labels", path = path.display())]
    BadRows {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A folder given as base holds nothing of the data set.
    #[error("{path} holds none of {}", wanted.join(", "), path = path.display())]
    NotInFolder {
        /// The folder.
        path: PathBuf,
        /// Names of files that would do.
        wanted: Vec<String>,
    },
    /// A file or folder that cannot be read or written.
    #[error("{path}: {source}; check space and permissions, or choose another --out", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file that is there cannot be understood.
    #[error("{0}; move the file away to fetch it again")]
    Data(#[from] DataError),
}

fn of(total: Option<u64>) -> String {
    total.map_or_else(String::new, |total| format!(" of {total}"))
}
