//! Public data sets, brought into the form that the loaders read, and checked.
//!
//! The hub keeps them as parquet files of PNG images. What is written are idx files (MNIST, Fashion-MNIST) or binary
//! batches (CIFAR-10), and `fetched.json`, which says what was found. MNIST and Fashion-MNIST are checked pixel by pixel:
//! the hash of each split must be the one computed from the original files, whatever the container. For CIFAR-10 the hub's
//! file must have the SHA-256 published for its revision, which says nothing about the original archive.

mod catalogue;
mod download;
mod error;
mod record;
mod rows;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use catalogue::Fetchable;
pub use error::FetchError;

use super::array::{Array, PIXEL_FULL_SCALE};
use super::{cifar, idx, Preprocessing, Split};
use crate::files;
use crate::progress::Progress;
use catalogue::{Container, Entry, Part};
use record::Record;

/// The hub.
pub const DEFAULT_BASE_URL: &str = "https://huggingface.co";

const THROWN_AWAY: &str = "the download was thrown away; run the command again, or check --base-url";
const LEFT: &str = "nothing was changed; move the files away or choose another --out";

/// Where files are fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// The hub or a mirror with its paths.
    Http(String),
    /// A folder that holds the finished files, or the parquet files under their names in the repository.
    Folder(PathBuf),
}

impl Base {
    /// `http://…` and `https://…` are servers, `file://…` and all else are folders.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.starts_with("http://") || text.starts_with("https://") {
            return Self::Http(text.trim_end_matches('/').to_owned());
        }
        Self::Folder(text.strip_prefix("file://").unwrap_or(text).into())
    }
}

/// One split that is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Which one.
    pub split: Split,
    /// Its items.
    pub items: usize,
    /// [`Dataset::sha256`](super::Dataset::sha256) of it.
    pub content_sha256: String,
    /// Whether it was there before.
    pub was_there: bool,
    /// What it was checked against, in words.
    pub checked: String,
}

/// Sees to it that both splits of `what` are in the folder `out`, which is made if need be. Splits that are there and
/// right are left alone; downloads that broke off are continued.
///
/// # Errors
/// Any [`FetchError`]; what is complete and right by then stays.
pub fn fetch(
    what: Fetchable,
    out: &Path,
    base: &Base,
    progress: &mut dyn Progress,
) -> Result<Vec<Fetched>, FetchError> {
    fetch_entry(&what.entry(), out, base, progress)
}

fn fetch_entry(
    entry: &Entry,
    out: &Path,
    base: &Base,
    progress: &mut dyn Progress,
) -> Result<Vec<Fetched>, FetchError> {
    std::fs::create_dir_all(out).map_err(|source| FetchError::Io { path: out.to_owned(), source })?;
    let mut record = Record::read(out, entry)?;
    let mut fetched = Vec::new();
    for split in [Split::Train, Split::Test] {
        let job = Job { entry, part: entry.part(split), split, out };
        let known = record.content(split);
        let one = match job.present(known.as_deref())? {
            Some(one) => one,
            None => job.obtain(base, known.as_deref(), progress)?,
        };
        if record.note(&one) {
            record.write(out)?;
        }
        fetched.push(one);
    }
    Ok(fetched)
}

/// One split to see to.
struct Job<'a> {
    entry: &'a Entry,
    part: &'a Part,
    split: Split,
    out: &'a Path,
}

impl Job<'_> {
    /// The split, if its files are in the output folder; an error if they hold something else.
    fn present(&self, known: Option<&str>) -> Result<Option<Fetched>, FetchError> {
        let Some(array) = self.load(self.out)? else { return Ok(None) };
        let place = self.out.display().to_string();
        self.judge(array, &place, known, LEFT, None, true).map(Some)
    }

    /// The split's array from finished files in `folder`; none unless all of them are there.
    fn load(&self, folder: &Path) -> Result<Option<Array>, FetchError> {
        if self.finished(folder).is_none() {
            return Ok(None);
        }
        Ok(Some(match self.entry.container {
            Container::Idx => idx::load(folder, idx::file_name(self.split), PIXEL_FULL_SCALE)?,
            Container::Cifar => cifar::load(folder, self.split)?,
        }))
    }

    /// Paths of the finished files in `folder`, if all are there.
    fn finished(&self, folder: &Path) -> Option<Vec<PathBuf>> {
        let there = |name: &str| {
            let gzipped = (self.entry.container == Container::Idx).then(|| folder.join(format!("{name}.gz")));
            Some(folder.join(name)).into_iter().chain(gzipped).find(|path| path.is_file())
        };
        self.file_names().iter().map(|name| there(name)).collect()
    }

    fn file_names(&self) -> Vec<&'static str> {
        match self.entry.container {
            Container::Idx => vec![idx::file_name(self.split)],
            Container::Cifar => cifar::file_names(self.split).to_vec(),
        }
    }

    fn obtain(&self, base: &Base, known: Option<&str>, progress: &mut dyn Progress) -> Result<Fetched, FetchError> {
        match base {
            Base::Folder(folder) => self.copy_or_convert(folder, known),
            Base::Http(base) => self.download(base, known, progress),
        }
    }

    fn copy_or_convert(&self, folder: &Path, known: Option<&str>) -> Result<Fetched, FetchError> {
        if let (Some(paths), Some(array)) = (self.finished(folder), self.load(folder)?) {
            let fetched = self.judge(array, &folder.display().to_string(), known, "nothing was copied", None, false)?;
            for path in paths {
                let bytes =
                    files::read_regular(&path).map_err(|source| FetchError::Io { path: path.clone(), source })?;
                self.write(&self.out.join(path.file_name().unwrap_or_default()), &bytes)?;
            }
            return Ok(fetched);
        }
        let name = Path::new(self.part.file).file_name().unwrap_or_default();
        let candidates = [folder.join(self.part.file), folder.join(name)];
        match candidates.iter().find(|path| path.is_file()) {
            Some(path) => self.convert(path, None, known, "nothing was written"),
            None => {
                let names = self.file_names().into_iter().map(str::to_owned).chain([self.part.file.to_owned()]);
                Err(FetchError::NotInFolder { path: folder.to_owned(), wanted: names.collect() })
            }
        }
    }

    fn download(&self, base: &str, known: Option<&str>, progress: &mut dyn Progress) -> Result<Fetched, FetchError> {
        let Entry { name, repository, revision, .. } = self.entry;
        let url = format!("{base}/datasets/{repository}/resolve/{revision}/{}", self.part.file);
        let partial = self.out.join(format!("{name}-{}.parquet.part", self.split));
        let stated = download::download(&url, &partial, progress)?;
        let outcome = self.convert(&partial, stated.as_deref(), known, THROWN_AWAY);
        // Right, it is not needed any more; wrong, it must not be continued.
        if matches!(outcome, Ok(_) | Err(FetchError::Checksum { .. } | FetchError::BadRows { .. })) {
            let removed = std::fs::remove_file(&partial);
            removed.map_err(|source| FetchError::Io { path: partial.clone(), source })?;
        }
        outcome.map_err(|error| match error {
            FetchError::BadRows { path, reason } => {
                FetchError::BadRows { path, reason: format!("{reason} ({THROWN_AWAY})") }
            }
            other => other,
        })
    }

    /// Checks a parquet file, converts it, checks the result and writes it.
    fn convert(
        &self,
        path: &Path,
        stated: Option<&str>,
        known: Option<&str>,
        consequence: &'static str,
    ) -> Result<Fetched, FetchError> {
        let found = file_sha256(path).map_err(|source| FetchError::Io { path: path.to_owned(), source })?;
        let expectations = [(self.part.file_sha256, "published for the hub's file"), (stated, "stated by the server")];
        for (expected, of) in expectations {
            if let Some(expected) = expected.filter(|expected| *expected != found) {
                let place = path.display().to_string();
                return Err(FetchError::Checksum { place, expected: expected.to_owned(), found, of, consequence });
            }
        }
        let bytes = rows::convert(path, self.entry.container)?;
        let array = match self.entry.container {
            Container::Idx => idx::read(&bytes[..], path, PIXEL_FULL_SCALE)?,
            Container::Cifar => cifar::parse(&bytes, path)?,
        };
        let checked = match (self.part.file_sha256, stated) {
            (Some(_), _) => Some("the SHA-256 published for the hub's file"),
            (None, Some(_)) => Some("the SHA-256 that the server states"),
            (None, None) => None,
        };
        let fetched = self.judge(array, &path.display().to_string(), known, consequence, checked, false)?;
        self.write_all(&bytes)?;
        Ok(fetched)
    }

    /// Compares the content with what it must be.
    fn judge(
        &self,
        array: Array,
        place: &str,
        known: Option<&str>,
        consequence: &'static str,
        checked: Option<&str>,
        was_there: bool,
    ) -> Result<Fetched, FetchError> {
        let dataset = Preprocessing::default().apply(array)?;
        let found = dataset.sha256();
        let of_pixels = "of the pixels of the original data set";
        let of_record = "of the pixels, recorded in fetched.json by an earlier fetch";
        for (expected, of) in [(self.part.content_sha256, of_pixels), (known, of_record)] {
            if let Some(expected) = expected.filter(|expected| *expected != found) {
                let (place, expected) = (place.to_owned(), expected.to_owned());
                return Err(FetchError::Checksum { place, expected, found, of, consequence });
            }
        }
        let checked = match (self.part.content_sha256, checked, known) {
            (Some(_), ..) => "the pixels of the original data set",
            (None, Some(checked), _) => checked,
            (None, None, Some(_)) => "fetched.json of an earlier fetch",
            (None, None, None) => "nothing: the original's hash is not known for files of this form",
        };
        let (items, checked) = (dataset.len(), checked.to_owned());
        Ok(Fetched { split: self.split, items, content_sha256: found, was_there, checked })
    }

    /// Writes the finished files of the split.
    fn write_all(&self, bytes: &[u8]) -> Result<(), FetchError> {
        let names = self.file_names();
        let records = bytes.len() / cifar::RECORD_BYTES;
        let per_file = match self.entry.container {
            Container::Idx => bytes.len(),
            Container::Cifar => records.div_ceil(names.len().max(1)) * cifar::RECORD_BYTES,
        };
        for (name, chunk) in names.iter().zip(bytes.chunks(per_file.max(1))) {
            self.write(&self.out.join(name), chunk)?;
        }
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), FetchError> {
        files::write_atomically(path, bytes).map_err(|source| FetchError::Io { path: path.to_owned(), source })
    }
}

fn file_sha256(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path)?;
    let mut chunk = vec![0; 1 << 16];
    loop {
        match io::Read::read(&mut file, &mut chunk)? {
            0 => return Ok(files::hexadecimal(&hasher.finalize())),
            count => hasher.update(chunk.get(..count).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests;
