//! Several arrays in one file, saved by `numpy.savez` or `numpy.savez_compressed`.
//!
//! A `.npz` file is a zip archive with one `.npy` file per array, stored or deflated. Nothing is extracted to the disk, so
//! the names of its entries are names and never paths. An entry is decompressed only when the size in its own header is the
//! one that the archive gives, is one that so many compressed bytes can hold, and is not beyond what is supported.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use super::array::{Array, MAX_VALUES};
use super::file::{self, size};
use super::npy::{self, Header, HEADER_WITHIN};
use super::DataError;

type Archive = ZipArchive<BufReader<File>>;

const SUFFIX: &str = ".npy";
/// Deflate makes at most 1032 bytes of one; a few more are in the last block.
const MAX_RATIO: u64 = 1032;

/// Reads the array called `wanted`, or the only one.
pub(super) fn load(path: &Path, wanted: Option<&str>) -> Result<Array, DataError> {
    let reader = BufReader::new(file::open(path)?);
    let mut archive = ZipArchive::new(reader).map_err(|error| bad_archive(path, &error))?;
    let names: Vec<(usize, String)> =
        (0..archive.len()).filter_map(|index| Some((index, array_name(&archive, index)?))).collect();
    let index = match (wanted, names.as_slice()) {
        (None, [(only, _)]) => Some(*only),
        (None, _) => None,
        (Some(wanted), _) => names.iter().find(|(_, name)| name == wanted).map(|(index, _)| *index),
    };
    if let Some(index) = index {
        return load_entry(&mut archive, index, path);
    }
    let arrays = names.iter().map(|(index, name)| describe(&mut archive, *index, name, path)).collect();
    Err(match wanted {
        Some(found) => DataError::NoSuchArray { path: path.to_owned(), found: found.to_owned(), arrays },
        None if names.is_empty() => DataError::NoSuchArray { path: path.to_owned(), found: "*.npy".to_owned(), arrays },
        None => DataError::SeveralArrays { path: path.to_owned(), arrays },
    })
}

/// What numpy calls the array of an entry; none if it is no array.
fn array_name(archive: &Archive, index: usize) -> Option<String> {
    let name = archive.name_for_index(index)?.ok()?;
    name.strip_suffix(SUFFIX).map(str::to_owned)
}

fn load_entry(archive: &mut Archive, index: usize, path: &Path) -> Result<Array, DataError> {
    let name = array_name(archive, index).unwrap_or_default();
    let place = PathBuf::from(format!("{}:{name}", path.display()));
    let mut entry = archive.by_index(index).map_err(|error| bad_archive(&place, &error))?;
    let (declared, compressed) = (entry.size(), entry.compressed_size());
    let unreadable = |source| DataError::Io { path: place.clone(), source };

    let mut bytes = Vec::new();
    entry.by_ref().take(size(HEADER_WITHIN)).read_to_end(&mut bytes).map_err(unreadable)?;
    let expected = Header::read(&bytes, &place)?.file_bytes;
    if declared < expected {
        return Err(DataError::Truncated { path: place, expected, found: declared });
    }
    if declared > expected {
        return Err(DataError::TrailingBytes { path: place, expected, found: declared });
    }
    let limit = size(MAX_VALUES).saturating_mul(8).min(compressed.saturating_add(1).saturating_mul(MAX_RATIO));
    if expected > limit {
        let reason =
            format!("it announces {expected} bytes, and its {compressed} compressed ones hold at most {limit}");
        return Err(DataError::BadArchive { path: place, reason });
    }
    // One byte more shows whether the entry goes on, and the end is where its checksum is compared.
    let rest = expected.saturating_add(1).saturating_sub(size(bytes.len()));
    entry.take(rest).read_to_end(&mut bytes).map_err(unreadable)?;
    npy::parse(&bytes, &place)
}

/// `x_train u1 [60000, 28, 28]`
fn describe(archive: &mut Archive, index: usize, name: &str, path: &Path) -> String {
    let mut start = Vec::new();
    let read =
        archive.by_index(index).ok().and_then(|entry| entry.take(size(HEADER_WITHIN)).read_to_end(&mut start).ok());
    match read.map(|_| Header::read(&start, path)) {
        Some(Ok(header)) => format!("{name} {} {:?}", header.element, header.shape),
        Some(Err(DataError::WrongType { found, .. })) => format!("{name} (of type {found}, which is not read)"),
        _ => format!("{name} (not readable)"),
    }
}

fn bad_archive(path: &Path, error: &zip::result::ZipError) -> DataError {
    DataError::BadArchive { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests;
