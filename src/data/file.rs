//! Opening files that are not trusted.

use std::fs::File;
use std::path::Path;

use super::DataError;
use crate::files;

/// Opens a regular file.
pub(super) fn open(path: &Path) -> Result<File, DataError> {
    files::open_regular(path).map_err(|source| DataError::Io { path: path.to_owned(), source })
}

/// Every byte of a regular file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    files::read_regular(path).map_err(|source| DataError::Io { path: path.to_owned(), source })
}

/// A length as the error variants hold it.
pub(super) fn size(length: usize) -> u64 {
    // No platform has a `usize` wider than 64 bits.
    length as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_and_a_directory_are_rejected() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().join("absent"), directory.path().to_owned()] {
            let error = read(&path).unwrap_err();
            assert!(matches!(error, DataError::Io { path: found, .. } if found == path));
        }
    }
}
