//! Weights that lie in a file beside the model.
//!
//! A model is a stranger's file, and a location in it must not make this program read any other file: only plain files
//! inside the model's folder are opened, whatever symbolic links say.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::error::{ExternalFault, TensorFault};
use super::proto::TensorProto;

/// The `expected` bytes of a tensor of that `shape` whose values lie outside of the model.
///
/// # Errors
/// [`TensorFault::External`] for a location that must not or cannot be read, [`TensorFault::Length`] where the model
/// itself announces another length.
pub(super) fn bytes(
    tensor: &TensorProto,
    folder: Option<&Path>,
    shape: &[usize],
    expected: usize,
) -> Result<Vec<u8>, TensorFault> {
    let location = value(tensor, "location").ok_or(ExternalFault::NoLocation)?;
    let folder = folder.ok_or_else(|| ExternalFault::NoFolder { location: location.to_owned() })?;
    let offset = number(tensor, "offset")?.unwrap_or(0);
    let announced = number(tensor, "length")?;
    let length = expected as u64;
    if let Some(found) = announced.filter(|&found| found != length) {
        return Err(TensorFault::Length { shape: shape.to_vec(), expected, found, unit: "bytes" });
    }
    let path = resolve(location, folder)?;
    Ok(read(&path, offset, length)?)
}

fn value<'a>(tensor: &'a TensorProto, key: &str) -> Option<&'a str> {
    tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
}

fn number(tensor: &TensorProto, key: &'static str) -> Result<Option<u64>, ExternalFault> {
    let Some(text) = value(tensor, key) else { return Ok(None) };
    text.trim().parse().map(Some).map_err(|_| ExternalFault::BadNumber { key, found: text.to_owned() })
}

/// The file that a location means, inside the folder after all links are followed.
fn resolve(location: &str, folder: &Path) -> Result<PathBuf, ExternalFault> {
    let relative = Path::new(location);
    // A backslash or a drive letter is a plain character here and a way out of the folder elsewhere.
    if location.contains(['\\', ':']) || relative.has_root() {
        return Err(ExternalFault::Absolute { location: location.to_owned() });
    }
    for component in relative.components() {
        match component {
            Component::Normal(_) | Component::CurDir => {}
            Component::ParentDir => return Err(ExternalFault::ParentFolder { location: location.to_owned() }),
            Component::RootDir | Component::Prefix(_) => {
                return Err(ExternalFault::Absolute { location: location.to_owned() })
            }
        }
    }
    // The parent of a bare file name is the empty path, which stands for the current folder.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| ExternalFault::Io { path, source }
    };
    let inside = folder.canonicalize().map_err(io(folder))?;
    let path = folder.join(relative);
    let target = path.canonicalize().map_err(io(&path))?;
    if !target.starts_with(&inside) {
        return Err(ExternalFault::OutsideFolder { location: location.to_owned(), target });
    }
    if !target.is_file() {
        return Err(ExternalFault::NotAFile { path: target });
    }
    Ok(target)
}

fn read(path: &Path, offset: u64, length: u64) -> Result<Vec<u8>, ExternalFault> {
    let io = |source| ExternalFault::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let found = file.metadata().map_err(io)?.len();
    let end = offset.saturating_add(length);
    if end > found {
        return Err(ExternalFault::Truncated { path: path.to_owned(), end, found });
    }
    file.seek(SeekFrom::Start(offset)).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 != length {
        return Err(ExternalFault::Truncated { path: path.to_owned(), end, found });
    }
    Ok(bytes)
}
