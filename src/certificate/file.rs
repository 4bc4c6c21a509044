//! Reading and writing certificates.

use std::io::{BufRead, Read};

use serde::de::DeserializeOwned;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::schema::{Entry, Header, FORMAT};
use crate::files::hexadecimal;

/// A longer line is no certificate's.
const LONGEST_LINE: usize = 1 << 28;
/// The byte with which a line begins that is not yet part of the file: what a kill in the middle of an append leaves.
pub(crate) const UNCOMMITTED: u8 = 0;

/// Why a file is no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Nothing in it.
    #[error("the file is empty; expected a header line")]
    Empty,
    /// The last line has no end.
    #[error("line {line} has no end: the file was cut off")]
    Truncated {
        /// The line, from 1.
        line: usize,
    },
    /// A line is longer than any that is written.
    #[error("line {line} has more than {LONGEST_LINE} bytes")]
    TooLong {
        /// The line, from 1.
        line: usize,
    },
    /// The layout is of another version.
    #[error("certificate format {found}, expected {FORMAT}; use the version of vaecert that wrote it")]
    Version {
        /// The version found.
        found: u64,
    },
    /// A line cannot be understood: no JSON, a field missing or unknown, a number out of its range.
    #[error("line {line}, column {column}: {reason}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// The column, from 1; 0 where the line as a whole is meant.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// A line holds the right values in bytes that are not the canonical ones.
    #[error("line {line} is not in canonical form: first difference at byte {at}")]
    NotCanonical {
        /// The line, from 1.
        line: usize,
        /// The first byte that differs, from 0.
        at: usize,
    },
    /// An entry belongs to another header.
    #[error("line {line}: the entry belongs to run {found}, this header is {expected}")]
    OtherRun {
        /// The line, from 1.
        line: usize,
        /// The hash of this header.
        expected: String,
        /// The hash in the entry.
        found: String,
    },
    /// An input has two entries.
    #[error("line {line}: a second entry of input {input}")]
    Duplicate {
        /// The line, from 1.
        line: usize,
        /// The input.
        input: usize,
    },
    /// Entries are not those of the header's inputs in order.
    #[error("line {line}: an entry of input {found}, expected input {expected}")]
    Order {
        /// The line, from 1.
        line: usize,
        /// The input that should come here.
        expected: usize,
        /// The input found.
        found: usize,
    },
    /// The system refuses to read on.
    #[error("line {line} cannot be read: {reason}")]
    Unreadable {
        /// The line, from 1.
        line: usize,
        /// What the system says.
        reason: String,
    },
    /// More entries than the header announces.
    #[error("line {line}: the header announces {inputs} inputs, and here is one more")]
    TooMany {
        /// The line, from 1.
        line: usize,
        /// The number announced.
        inputs: usize,
    },
}

/// A certificate that was read: every line canonical, entries in order and of this run.
#[derive(Debug, Clone, PartialEq)]
pub struct CertificateFile {
    /// The first line.
    pub header: Header,
    /// SHA-256 of the first line without its end, in hexadecimal.
    pub run: String,
    /// The entries of the inputs in `header.range()`, in order; fewer where the run was interrupted.
    pub entries: Vec<Entry>,
    /// Bytes of header and entries; what follows was being written when the run was interrupted.
    pub length: usize,
}

/// The canonical line of a header or an entry, with its end.
///
/// # Errors
/// If a value has no JSON form, such as a scaling that is not finite.
pub fn encode(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

impl CertificateFile {
    /// Reads a certificate from the bytes of its file.
    ///
    /// # Errors
    /// The first [`CertificateError`] from the top.
    pub fn parse(bytes: &[u8]) -> Result<Self, CertificateError> {
        let mut reader = CertificateReader::new(bytes)?;
        let mut entries = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            entries.push(entry);
        }
        let CertificateReader { header, run, length, .. } = reader;
        // Every line was read from `bytes`, so their length fits.
        Ok(Self { header, run, entries, length: usize::try_from(length).unwrap_or(bytes.len()) })
    }
}

/// A certificate read entry by entry, with the checks of [`CertificateFile`].
#[derive(Debug)]
pub struct CertificateReader<R> {
    lines: R,
    header: Header,
    run: String,
    entries: usize,
    length: u64,
}

impl<R: BufRead> CertificateReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`CertificateError`] where there is none.
    pub fn new(mut lines: R) -> Result<Self, CertificateError> {
        let first = next_line(&mut lines, 1)?.ok_or(CertificateError::Empty)?;
        let text = whole(&first, 1)?;
        check_version(text)?;
        let header: Header = decode(text, 1)?;
        let run = sha256(text);
        Ok(Self { lines, header, run, entries: 0, length: first.len() as u64 })
    }

    /// The first line.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Entries read so far.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Bytes of the header and of the entries read so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The next entry; none after the last one.
    ///
    /// # Errors
    /// The [`CertificateError`] of its line.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, CertificateError> {
        let line = self.entries + 2;
        let Some(bytes) = next_line(&mut self.lines, line)?.filter(|bytes| bytes.first() != Some(&UNCOMMITTED)) else {
            return Ok(None);
        };
        let entry: Entry = decode(whole(&bytes, line)?, line)?;
        check_place(&self.header, &self.run, self.entries, &entry, line)?;
        self.entries += 1;
        self.length += bytes.len() as u64;
        Ok(Some(entry))
    }
}

/// The next line with its end, if it has one; at most one byte more than the longest line has.
fn next_line(lines: &mut impl BufRead, line: usize) -> Result<Option<Vec<u8>>, CertificateError> {
    let mut bytes = Vec::new();
    let read = lines.by_ref().take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut bytes);
    read.map_err(|error| CertificateError::Unreadable { line, reason: error.to_string() })?;
    Ok((!bytes.is_empty()).then_some(bytes))
}

/// A line without its end.
fn whole(bytes: &[u8], line: usize) -> Result<&[u8], CertificateError> {
    if bytes.len() > LONGEST_LINE {
        return Err(CertificateError::TooLong { line });
    }
    bytes.strip_suffix(b"\n").ok_or(CertificateError::Truncated { line })
}

/// The version comes first: a later layout is told from a malformed one.
fn check_version(text: &[u8]) -> Result<(), CertificateError> {
    let value: serde_json::Value = serde_json::from_slice(text).map_err(|error| malformed(1, &error))?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(found) if found != u64::from(FORMAT) => Err(CertificateError::Version { found }),
        _ => Ok(()),
    }
}

fn malformed(line: usize, error: &serde_json::Error) -> CertificateError {
    CertificateError::Malformed { line, column: error.column(), reason: error.to_string() }
}

fn decode<T: DeserializeOwned + Serialize>(text: &[u8], line: usize) -> Result<T, CertificateError> {
    let value: T = serde_json::from_slice(text).map_err(|error| malformed(line, &error))?;
    let canonical = serde_json::to_vec(&value).map_err(|error| malformed(line, &error))?;
    if canonical != text {
        let at = canonical.iter().zip(text).take_while(|(a, b)| a == b).count();
        return Err(CertificateError::NotCanonical { line, at });
    }
    Ok(value)
}

/// Whether an entry after `before` others belongs there.
fn check_place(header: &Header, run: &str, before: usize, entry: &Entry, line: usize) -> Result<(), CertificateError> {
    if entry.run != run {
        return Err(CertificateError::OtherRun { line, expected: run.to_owned(), found: entry.run.clone() });
    }
    let range = header.range();
    let expected = range.start.saturating_add(before);
    if (range.start..expected).contains(&entry.input) {
        return Err(CertificateError::Duplicate { line, input: entry.input });
    }
    if before >= range.len() {
        return Err(CertificateError::TooMany { line, inputs: range.len() });
    }
    if entry.input != expected {
        return Err(CertificateError::Order { line, expected, found: entry.input });
    }
    Ok(())
}
