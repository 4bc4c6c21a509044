//! A run's folder, written so that a kill at any moment leaves nothing that a resumed run does not put right.
//!
//! It holds `run.json` (what the run is), `inputs.jsonl` (one record per finished input, in order), `perturbations/` (the
//! smallest refuting perturbation of each input) and, once finished, `summary.json`. The order of writing: an input's
//! perturbation before its record, all records before the summary; when a run starts anew, what is left of an old one goes
//! before the new `run.json` comes.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::input::AuditedInput;
use super::record::InputRecord;
use super::run::{RunError, RunFile, RunIdentity};
use super::summary::Summary;
use crate::files;
use crate::model::file::{self, NamedValues};

/// What the run is.
pub const RUN_FILE: &str = "run.json";
/// One record per line.
pub const INPUTS_FILE: &str = "inputs.jsonl";
/// The summary of a finished run.
pub const SUMMARY_FILE: &str = "summary.json";
/// A report's page, where nobody says where it goes.
pub const REPORT_PAGE_FILE: &str = "report.html";
/// A report's picture, likewise.
pub const REPORT_PICTURE_FILE: &str = "report.png";
/// The smallest refuting perturbations.
pub const PERTURBATIONS_FOLDER: &str = "perturbations";
const PERTURBATION_EXTENSION: &str = "safetensors";
/// A longer line is no record.
const LONGEST_LINE: u64 = 1 << 24;

/// A run's folder, opened for appending.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    finished: usize,
    inputs: File,
    /// Bytes of whole records.
    end: u64,
}

/// What to do about a run that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse.
    Refuse,
    /// Keep its finished inputs and go on; refuse if there is none.
    Resume,
    /// Keep the finished inputs of an interrupted one; start anew if there is none or it is complete.
    ResumeInterrupted,
    /// Start anew.
    Overwrite,
}

impl RunFolder {
    /// Opens `path` for this run, before any work, and keeps other processes out: creates the folder, or takes over what
    /// is there.
    ///
    /// # Errors
    /// If the folder cannot be written, is in use, or holds what `existing` does not allow.
    pub fn open(path: &Path, run: &RunFile, existing: Existing) -> Result<Self, RunError> {
        let unwritable = |source| RunError::Io { path: path.to_owned(), source };
        match existing {
            Existing::Refuse if holds_files(path) => return Err(RunError::Exists { path: path.to_owned() }),
            Existing::Resume if !holds_run(path) && !was_just_begun(path) => {
                return Err(RunError::NothingToResume { path: path.to_owned() })
            }
            _ => {}
        }
        std::fs::create_dir_all(path.join(PERTURBATIONS_FOLDER)).map_err(unwritable)?;
        let inputs = OpenOptions::new().append(true).create(true).open(path.join(INPUTS_FILE)).map_err(unwritable)?;
        if !files::lock(&inputs).map_err(unwritable)? {
            return Err(RunError::InUse { path: path.to_owned() });
        }
        // Read under the lock: whoever held it may have added records.
        let kept = match existing {
            Existing::Resume | Existing::ResumeInterrupted if holds_run(path) => finished_inputs(path, run)?,
            _ => Kept::default(),
        };
        let complete = kept.records == run.identity.range().len() && path.join(SUMMARY_FILE).exists();
        let mut folder = Self { path: path.to_owned(), finished: kept.records, inputs, end: kept.end };
        if kept.records == 0 || (complete && existing == Existing::ResumeInterrupted) {
            (folder.finished, folder.end) = (0, 0);
            folder.start_anew(run).map_err(unwritable)?;
        } else {
            folder.cut_off(complete).map_err(unwritable)?;
        }
        Ok(folder)
    }

    /// Inputs that were finished when the folder was opened.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.finished
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what another run left and writes what this one is. Until `run.json` is replaced, there are no records, so
    /// that what an old one says about them does no harm.
    fn start_anew(&self, run: &RunFile) -> io::Result<()> {
        remove_if_there(&self.path.join(SUMMARY_FILE))?;
        self.inputs.set_len(0)?;
        // Before the new identity can be on the disk, or old records might be taken for its own.
        self.inputs.sync_all()?;
        for report in [REPORT_PAGE_FILE, REPORT_PICTURE_FILE] {
            remove_if_there(&self.path.join(report))?;
        }
        for entry in std::fs::read_dir(self.path.join(PERTURBATIONS_FOLDER))? {
            let path = entry?.path();
            if is_perturbation(&path) {
                std::fs::remove_file(path)?;
            }
        }
        let mut json = serde_json::to_vec_pretty(run)?;
        json.push(b'\n');
        files::write_atomically(&self.path.join(RUN_FILE), &json)
    }

    /// Cuts off what is no whole record with its perturbation; then the summary, if any, is no longer that of the records.
    fn cut_off(&self, complete: bool) -> io::Result<()> {
        if !complete {
            remove_if_there(&self.path.join(SUMMARY_FILE))?;
        }
        self.inputs.set_len(self.end)
    }

    /// Writes an audited input down.
    ///
    /// # Errors
    /// If it cannot be written; what was written before stays.
    pub fn append(&mut self, audited: &AuditedInput, input: &[f32]) -> Result<(), RunError> {
        let record = &audited.record;
        let bytes = match &audited.attacked {
            Some(attacked) => {
                let tensors: [NamedValues; 2] = [
                    ("attacked".to_owned(), vec![input.len()], attacked.values().to_vec()),
                    ("input".to_owned(), vec![input.len()], input.to_vec()),
                ];
                Some(file::to_safetensors(record, &tensors)?)
            }
            None => None,
        };
        self.append_record(record, bytes.as_deref())
    }

    /// Writes a record down: first the file of its perturbation, if it claims one, then the line that refers to it.
    ///
    /// # Errors
    /// If it cannot be written; what was written before stays.
    pub fn append_record(&mut self, record: &InputRecord, perturbation: Option<&[u8]>) -> Result<(), RunError> {
        let path = perturbation_path(&self.path, record.input);
        let written = match perturbation {
            Some(bytes) => files::write_atomically(&path, bytes),
            // A kill may have left one that is not claimed this time.
            None => remove_if_there(&path),
        };
        written.map_err(|source| RunError::Io { path, source })?;
        let mut write = || -> io::Result<u64> {
            let mut line = serde_json::to_vec(record)?;
            line.push(b'\n');
            self.inputs.write_all(&line)?;
            self.inputs.sync_data()?;
            Ok(line.len() as u64)
        };
        match write() {
            Ok(length) => self.end += length,
            Err(source) => {
                // A full disk leaves half a line; without it, readers see whole ones only. The first error counts.
                let _ = self.inputs.set_len(self.end);
                return Err(RunError::Io { path: self.path.join(INPUTS_FILE), source });
            }
        }
        Ok(())
    }

    /// Writes the summary of all records, which makes the run a finished one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(&mut self, summary: &Summary) -> Result<(), RunError> {
        let path = self.path.join(SUMMARY_FILE);
        let write = || {
            let mut json = serde_json::to_vec_pretty(summary)?;
            json.push(b'\n');
            files::write_atomically(&path, &json)
        };
        write().map_err(|source| RunError::Io { path: path.clone(), source })
    }
}

fn holds_run(path: &Path) -> bool {
    path.join(RUN_FILE).exists()
}

/// Whether a run, or something else that a run would replace, is there.
fn holds_files(path: &Path) -> bool {
    let there = [RUN_FILE, INPUTS_FILE, SUMMARY_FILE, PERTURBATIONS_FOLDER].iter().any(|name| path.join(name).exists());
    there && !was_just_begun(path)
}

/// Whether the folder is what a kill leaves before `run.json` is written: an empty list of inputs, an empty folder of
/// perturbations, and nothing else that is whole.
fn was_just_begun(path: &Path) -> bool {
    let is_empty = |path: &Path| {
        let no_bytes = std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.len() == 0);
        no_bytes || std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
    };
    let is_expected = |entry: std::fs::DirEntry| {
        let (name, path) = (entry.file_name(), entry.path());
        files::is_partial(&path) || (name == INPUTS_FILE || name == PERTURBATIONS_FOLDER) && is_empty(&path)
    };
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(is_expected)))
}

pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A perturbation, or what a kill left of one.
fn is_perturbation(path: &Path) -> bool {
    let is_whole = path.extension().is_some_and(|extension| extension == PERTURBATION_EXTENSION);
    is_whole || files::is_partial(path)
}

/// Where a run keeps the perturbation of an input.
#[must_use]
pub fn perturbation_path(folder: &Path, input: usize) -> PathBuf {
    folder.join(PERTURBATIONS_FOLDER).join(format!("{input:06}.{PERTURBATION_EXTENSION}"))
}

/// Reads `run.json`.
///
/// # Errors
/// If it is missing or malformed, or says what no run does.
pub fn read_run_file(folder: &Path) -> Result<RunFile, RunError> {
    let path = folder.join(RUN_FILE);
    let text = files::read_regular(&path).map_err(|source| RunError::Unreadable { path: path.clone(), source })?;
    let malformed = |source: serde_json::Error| RunError::Malformed { path: path.clone(), line: source.line(), source };
    let run: RunFile = serde_json::from_slice(&text).map_err(malformed)?;
    match run.contradiction() {
        Some(what) => Err(RunError::Senseless { path, what }),
        None => Ok(run),
    }
}

/// Reads all records of a run at once; [`Records`] reads one after the other.
///
/// # Errors
/// As those of [`Records`].
pub fn read_records(folder: &Path, identity: &RunIdentity) -> Result<Vec<InputRecord>, RunError> {
    Records::open(folder, identity)?.collect()
}

/// The records of a run, read one after the other. A last line without its end is what a killed run leaves; it is not
/// counted.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    lines: BufReader<File>,
    range: Range<usize>,
    read: usize,
    end: u64,
}

impl Records {
    /// Opens the records of the run in `folder`.
    ///
    /// # Errors
    /// If the file is missing or cannot be read.
    pub fn open(folder: &Path, identity: &RunIdentity) -> Result<Self, RunError> {
        let path = folder.join(INPUTS_FILE);
        let file = files::open_regular(&path).map_err(|source| RunError::Unreadable { path: path.clone(), source })?;
        Ok(Self { path, lines: BufReader::new(file), range: identity.range(), read: 0, end: 0 })
    }

    /// The next record; none after the last whole line.
    fn read_one(&mut self) -> Result<Option<InputRecord>, RunError> {
        let mut bytes = Vec::new();
        let read = self.lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes);
        read.map_err(|source| RunError::Unreadable { path: self.path.clone(), source })?;
        let line = self.read + 1;
        if !bytes.ends_with(b"\n") {
            return match bytes.len() as u64 {
                LONGEST_LINE => Err(RunError::TooLong { path: self.path.clone(), line }),
                _ => Ok(None),
            };
        }
        let malformed = |source| RunError::Malformed { path: self.path.clone(), line, source };
        let record: InputRecord = serde_json::from_slice(&bytes).map_err(malformed)?;
        let expected = self.range.start.saturating_add(self.read);
        if record.input != expected || !self.range.contains(&expected) {
            return Err(RunError::Order { path: self.path.clone(), line, expected, found: record.input });
        }
        self.read += 1;
        self.end += bytes.len() as u64;
        Ok(Some(record))
    }
}

impl Iterator for Records {
    type Item = Result<InputRecord, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_one().transpose()
    }
}

/// The bytes of the perturbation that a record claims; none where it claims none.
///
/// # Errors
/// If the file is missing, damaged, or was written with another record.
pub fn claimed_perturbation(folder: &Path, record: &InputRecord) -> Result<Option<Vec<u8>>, RunError> {
    if record.best_attack.is_none() {
        return Ok(None);
    }
    let path = perturbation_path(folder, record.input);
    let bytes = files::read_regular(&path).map_err(|source| RunError::Unreadable { path: path.clone(), source })?;
    let text = file::read_metadata(&bytes, &path)?;
    let stored: InputRecord =
        serde_json::from_str(&text).map_err(|source| RunError::Malformed { path: path.clone(), line: 1, source })?;
    file::read_tensors(&bytes, &path)?;
    if stored == *record {
        Ok(Some(bytes))
    } else {
        Err(RunError::OtherRecord { path })
    }
}

/// What of a run is kept.
#[derive(Debug, Default)]
struct Kept {
    records: usize,
    /// Bytes of their lines.
    end: u64,
}

/// The finished records of the run that is there: whole lines, up to the first whose perturbation is lost, damaged or
/// another record's.
fn finished_inputs(folder: &Path, run: &RunFile) -> Result<Kept, RunError> {
    let there = read_run_file(folder)?;
    if let Some(what) = there.identity.difference(&run.identity) {
        return Err(RunError::OtherRun { path: folder.to_owned(), what });
    }
    let mut kept = Kept::default();
    let mut records = Records::open(folder, &there.identity)?;
    while let Some(record) = records.read_one()? {
        match claimed_perturbation(folder, &record) {
            Ok(_) => {}
            // Not lost, only out of reach now.
            Err(RunError::Unreadable { path, source }) if source.kind() != io::ErrorKind::NotFound => {
                return Err(RunError::Unreadable { path, source });
            }
            Err(_) => break,
        }
        kept = Kept { records: records.read, end: records.end };
    }
    Ok(kept)
}
