//! A certificate file for many inputs: written entry by entry, continued after an interruption.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tracing::info;

use super::certificates::JudgedModel;
use super::certify::{allowance, certify_within, CertifyError};
use crate::allowance::Spent;
use crate::certificate::{encode, sha256, CertificateError, CertificateReader, Entry, Header, UNCOMMITTED};
use crate::data::Dataset;
use crate::files;
use crate::threads::Workers;

/// What to do about a file that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExistingCertificate {
    /// Refuse.
    Refuse,
    /// Keep its entries and go on; refuse if there is none.
    Resume,
    /// Keep its entries and go on; start anew if there is none.
    ResumeOrStart,
    /// Start anew.
    Overwrite,
}

/// A certificate file, opened for appending.
#[derive(Debug)]
pub struct CertificateWriter {
    path: PathBuf,
    file: File,
    header: Header,
    run: String,
    finished: usize,
    end: u64,
}

impl CertificateWriter {
    /// Opens the file before any work and keeps other processes out.
    ///
    /// # Errors
    /// [`CertifyError`] where the file cannot be written, is in use, or holds what `existing` does not allow.
    pub fn open(path: &Path, header: Header, existing: ExistingCertificate) -> Result<Self, CertifyError> {
        let failed = |source| CertifyError::Io { path: path.to_owned(), source };
        let there = path.exists();
        match existing {
            ExistingCertificate::Refuse if there => return Err(CertifyError::Exists { path: path.to_owned() }),
            ExistingCertificate::Resume if !there => {
                return Err(CertifyError::NothingToResume { path: path.to_owned() })
            }
            _ => {}
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let line = encode(&header)?;
        let run = sha256(line.strip_suffix(b"\n").unwrap_or(&line));
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
        if !files::lock(&file).map_err(failed)? {
            return Err(CertifyError::InUse { path: path.to_owned() });
        }
        // Read under the lock: whoever held it may have added entries.
        let resumed = match existing {
            ExistingCertificate::Resume | ExistingCertificate::ResumeOrStart => read(path, &header)?,
            ExistingCertificate::Refuse | ExistingCertificate::Overwrite => None,
        };
        let mut writer = Self { path: path.to_owned(), file, header, run, finished: 0, end: 0 };
        match resumed {
            Some(kept) => {
                (writer.end, writer.finished) = (kept.end, kept.entries);
                writer.file.set_len(writer.end).map_err(failed)?;
            }
            None => {
                writer.file.set_len(0).map_err(failed)?;
                writer.append(&line)?;
            }
        }
        Ok(writer)
    }

    /// Entries that were there when the file was opened.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.finished
    }

    /// Appends an entry, tied to this file's header.
    ///
    /// # Errors
    /// If it cannot be written; what was finished before stays.
    pub fn append_entry(&mut self, entry: Entry) -> Result<(), CertifyError> {
        self.append(&encode(&Entry { run: self.run.clone(), ..entry })?)
    }

    /// Appends a line so that a kill at any moment leaves it either whole or not part of the file: everything but its
    /// first byte is written and flushed to the disk behind a byte that marks what follows as unfinished, and then that
    /// byte is replaced.
    fn append(&mut self, line: &[u8]) -> Result<(), CertifyError> {
        let (end, file) = (self.end, &mut self.file);
        let write = |file: &mut File| -> io::Result<()> {
            let mut unfinished = line.to_vec();
            if let Some(first) = unfinished.first_mut() {
                *first = UNCOMMITTED;
            }
            file.seek(SeekFrom::Start(end))?;
            file.write_all(&unfinished)?;
            file.sync_data()?;
            file.seek(SeekFrom::Start(end))?;
            file.write_all(line.get(..1).unwrap_or_default())?;
            file.sync_data()
        };
        write(file).map_err(|source| CertifyError::Io { path: self.path.clone(), source })?;
        self.end += line.len() as u64;
        Ok(())
    }

    /// Certifies every input that the file does not hold yet, appends its entry as it finishes and hands it to `sink`,
    /// which first receives the entries that were there already. Holds no entry longer than it takes to write it. Inputs
    /// that are not finished at the moment `ends` are left to a resumed run. Returns how many those are.
    ///
    /// # Errors
    /// If something cannot be written; what was finished before stays.
    pub fn run(
        &mut self,
        workers: &Workers,
        model: &JudgedModel,
        dataset: &Dataset,
        ends: Option<Instant>,
        mut sink: impl FnMut(&Entry) -> io::Result<()>,
    ) -> Result<usize, CertifyError> {
        if self.finished > 0 {
            let mut there = open_reader(&self.path)?;
            for _ in 0..self.finished {
                let entry = there.next_entry().map_err(|source| malformed(&self.path, source))?;
                entry.iter().try_for_each(&mut sink).map_err(CertifyError::Output)?;
            }
        }
        let header = self.header.clone();
        let run = self.run.clone();
        let remaining: Vec<usize> = header.range().skip(self.finished).collect();
        let work = |&index: &usize| {
            let allowance = allowance(&header, ends);
            let input = dataset.row(index).unwrap_or_default();
            let begin = Instant::now();
            let entry = certify_within(model, &header, &run, input, index, &allowance);
            let certified = entry.claim.as_ref().map_or("0", |claim| claim.certified_radius.decimal.as_str());
            info!(input = index, outcome = ?entry.outcome, certified, time = ?begin.elapsed(), "certified");
            (allowance.was_spent() != Some(Spent::RunTime)).then_some(entry)
        };
        let mut left = remaining.len();
        let stopped = workers.stream(&remaining, work, |entry| {
            let Some(entry) = entry else { return Err(None) };
            self.append(&encode(&entry).map_err(CertifyError::Encoding).map_err(Some)?).map_err(Some)?;
            left -= 1;
            sink(&entry).map_err(|error| Some(CertifyError::Output(error)))
        });
        match stopped {
            Err(Some(error)) => Err(error),
            Ok(()) | Err(None) => Ok(left),
        }
    }
}

/// What of a certificate is kept.
struct Kept {
    entries: usize,
    /// Bytes of the header and of these entries.
    end: u64,
}

/// Opens a certificate and reads its header.
pub(super) fn open_reader(path: &Path) -> Result<CertificateReader<BufReader<File>>, CertifyError> {
    let file = files::open_regular(path).map_err(|source| CertifyError::Io { path: path.to_owned(), source })?;
    CertificateReader::new(BufReader::new(file)).map_err(|source| malformed(path, source))
}

pub(super) fn malformed(path: &Path, source: CertificateError) -> CertifyError {
    CertifyError::Malformed { path: path.to_owned(), source }
}

/// What of the certificate that is there is kept, if it has this header; none where not even a header was finished.
fn read(path: &Path, header: &Header) -> Result<Option<Kept>, CertifyError> {
    let failed = |source| CertifyError::Io { path: path.to_owned(), source };
    let mut first = [UNCOMMITTED];
    // An empty file leaves the byte as it is.
    let _ = files::open_regular(path).map_err(failed)?.read(&mut first).map_err(failed)?;
    if first == [UNCOMMITTED] {
        return Ok(None);
    }
    let mut reader = open_reader(path)?;
    if reader.header() != header {
        return Err(CertifyError::OtherRun { path: path.to_owned() });
    }
    while reader.next_entry().map_err(|source| malformed(path, source))?.is_some() {}
    Ok(Some(Kept { entries: reader.entries(), end: reader.length() }))
}
