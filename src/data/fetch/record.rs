//! `fetched.json`: what earlier fetches found, so that later ones must agree.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::catalogue::Entry;
use super::{FetchError, Fetched};
use crate::data::Split;
use crate::files;

const FILE_NAME: &str = "fetched.json";

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    dataset: String,
    repository: String,
    revision: String,
    splits: Vec<SplitRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SplitRecord {
    split: Split,
    items: usize,
    content_sha256: String,
    checked_against: String,
}

impl Record {
    /// What is recorded in `folder` about this data set; nothing where there is no record, or that of another one.
    pub(super) fn read(folder: &Path, entry: &Entry) -> Result<Self, FetchError> {
        let path = folder.join(FILE_NAME);
        let empty = Self {
            dataset: entry.name.to_owned(),
            repository: entry.repository.to_owned(),
            revision: entry.revision.to_owned(),
            splits: Vec::new(),
        };
        if !path.exists() {
            return Ok(empty);
        }
        let bytes = files::read_regular(&path);
        let read = bytes.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).map_err(Into::into));
        let record = read.map_err(|source| FetchError::Io { path, source })?;
        Ok(if record.dataset == empty.dataset { record } else { empty })
    }

    /// The hash recorded for a split.
    pub(super) fn content(&self, split: Split) -> Option<String> {
        self.splits.iter().find(|one| one.split == split).map(|one| one.content_sha256.clone())
    }

    /// Adds what is new; whether it was.
    pub(super) fn note(&mut self, fetched: &Fetched) -> bool {
        let is_new = self.content(fetched.split).is_none();
        if is_new {
            self.splits.push(SplitRecord {
                split: fetched.split,
                items: fetched.items,
                content_sha256: fetched.content_sha256.clone(),
                checked_against: fetched.checked.clone(),
            });
        }
        is_new
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), FetchError> {
        let path = folder.join(FILE_NAME);
        let written = serde_json::to_vec_pretty(self)
            .map_err(Into::into)
            .and_then(|bytes| files::write_atomically(&path, &[&bytes[..], b"\n"].concat()));
        written.map_err(|source| FetchError::Io { path, source })
    }
}
