//! Writing files so that a killed program leaves either the old one or the new one, never half of one.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` beside `path`, flushes them to the disk and renames the file into place.
///
/// # Errors
/// Whatever the system says; `path` itself is untouched then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = partial_name(path)?;
    let outcome =
        write_and_sync(&partial, bytes).and_then(|()| std::fs::rename(&partial, path)).and_then(|()| sync_folder(path));
    if outcome.is_err() {
        // The partial file is worthless, and the first error is the one to report.
        let _ = std::fs::remove_file(&partial);
    }
    outcome
}

/// Finds out whether `path` can be written, before any long work: creates and removes the file that
/// [`write_atomically`] would use.
///
/// # Errors
/// Whatever the system says.
pub fn check_writable(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory, expected a file name"));
    }
    let partial = partial_name(path)?;
    File::create(&partial)?;
    std::fs::remove_file(&partial)
}

/// Ends the name of a file that is not yet whole.
const PARTIAL_ENDING: &str = ".vaecert-partial";

/// Whether this is what a kill leaves of a file that [`write_atomically`] was writing.
#[must_use]
pub fn is_partial(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(PARTIAL_ENDING))
}

fn partial_name(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
    let mut name = name.to_owned();
    name.push(PARTIAL_ENDING);
    Ok(path.with_file_name(name))
}

/// Makes a rename survive a power failure, where the system can.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Windows cannot open folders; there the rename is as durable as it gets.
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn write_and_sync(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Keeps other processes out of `file` until it is closed. Whether that worked: false where another process holds it.
///
/// # Errors
/// Whatever the system says.
pub fn lock(file: &File) -> io::Result<bool> {
    held(file.try_lock())
}

/// Keeps processes that would [`lock`] `file` out until it is closed, but not others that read. Whether that worked.
///
/// # Errors
/// Whatever the system says.
pub fn lock_for_reading(file: &File) -> io::Result<bool> {
    held(file.try_lock_shared())
}

fn held(locked: Result<(), TryLockError>) -> io::Result<bool> {
    match locked {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Opens a regular file. Pipes and devices are refused: they have no size to check a header against, and may never end.
///
/// # Errors
/// Whatever the system says, and [`io::ErrorKind::InvalidInput`] for what is not a regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Asked before opening: opening a pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(path)
}

/// Every byte of a regular file.
///
/// # Errors
/// As [`open_regular`], and whatever reading gives.
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomically(&path, b"one").unwrap();
        check_writable(&path).unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_does_not_exist_is_an_error_before_any_work() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_writable(&folder.path().join("absent/a.txt")).is_err());
        assert!(check_writable(folder.path()).is_err());
        assert!(write_atomically(Path::new("/"), b"").is_err());
    }

    #[test]
    fn a_partial_file_is_known_by_its_name() {
        assert!(is_partial(&partial_name(Path::new("a/b.txt")).unwrap()));
        assert!(!is_partial(Path::new("a/b.txt")) && !is_partial(Path::new("/")));
    }

    #[test]
    fn bytes_print_as_two_digits_each() {
        assert_eq!(hexadecimal(&[0, 15, 255]), "000fff");
    }
}
