//! Opening files that are not trusted.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::DataError;

/// Opens a regular file. Pipes and devices are refused: they have no size to check a header against.
pub(super) fn open(path: &Path) -> Result<File, DataError> {
    let failed = |source| DataError::Io { path: path.to_owned(), source };
    // Asked before opening: opening a pipe would wait for a writer.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    File::open(path).map_err(failed)
}

/// Every byte of a regular file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    Ok(bytes)
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
