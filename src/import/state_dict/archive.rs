//! The zip archives that `torch.save` writes: entries stored as they are, never compressed.
//!
//! Entries are slices of the file, so that no size a file claims is ever allocated.

use std::collections::BTreeMap;

use flate2::Crc;

use super::error::TensorFileError;

/// What a zip archive with at least one entry starts with.
pub(super) const MAGIC: [u8; 4] = *b"PK\x03\x04";
const DIRECTORY_MAGIC: [u8; 4] = *b"PK\x01\x02";
const END_MAGIC: [u8; 4] = *b"PK\x05\x06";
const LOCAL_BYTES: usize = 30;
const DIRECTORY_BYTES: usize = 46;
const END_BYTES: usize = 22;
/// A comment after the end record has at most this many bytes.
const MAX_COMMENT: usize = 1 << 16;
/// Stands where the true number is too large for its field.
const ELSEWHERE: usize = 0xffff_ffff;

/// Entries by name.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    entries: BTreeMap<String, &'a [u8]>,
}

/// One line of the directory.
struct Line {
    name: String,
    encrypted: bool,
    method: usize,
    checksum: usize,
    stored: usize,
    size: usize,
    start: usize,
}

impl<'a> Archive<'a> {
    /// Reads the directory and checks every entry against the file.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, TensorFileError> {
        let lines = directory(bytes)?;
        // Said before anything about the entries of a program, some of which are compressed.
        if lines.iter().any(|line| line.name.ends_with("/constants.pkl")) {
            return Err(TensorFileError::TorchScript);
        }
        let found = lines.iter().map(|line| entry(bytes, line)).collect::<Result<Vec<_>, _>>()?;
        let mut ranges: Vec<_> =
            lines.iter().zip(&found).map(|(line, (from, contents))| (line.start, from + contents.len())).collect();
        ranges.sort_unstable();
        if ranges.windows(2).any(|pair| pair[0].1 > pair[1].0) {
            return Err(broken("two entries overlap".to_owned()));
        }
        let mut entries = BTreeMap::new();
        for (line, (_, contents)) in lines.into_iter().zip(found) {
            // Only now, when no byte can be read twice.
            let mut checksum = Crc::new();
            checksum.update(contents);
            if usize::try_from(checksum.sum()) != Ok(line.checksum) {
                return Err(broken(format!("the entry {:?} does not have its checksum", line.name)));
            }
            if entries.contains_key(&line.name) {
                return Err(broken(format!("two entries are called {:?}", line.name)));
            }
            entries.insert(line.name, contents);
        }
        Ok(Self { entries })
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.entries.get(name).copied()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }
}

fn broken(reason: String) -> TensorFileError {
    TensorFileError::Archive { reason }
}

fn number(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(size)?)?;
    field.iter().rev().try_fold(0_usize, |value, &byte| value.checked_mul(256)?.checked_add(usize::from(byte)))
}

fn directory(bytes: &[u8]) -> Result<Vec<Line>, TensorFileError> {
    let first = bytes.len().saturating_sub(END_BYTES + MAX_COMMENT);
    let end = (first..bytes.len().saturating_sub(END_BYTES - 1))
        .rev()
        .find(|&at| bytes[at..].starts_with(&END_MAGIC))
        .ok_or_else(|| broken("its end is missing, so it was cut short".to_owned()))?;
    let cut = || broken("its directory is cut short".to_owned());
    let count = number(bytes, end + 10, 2).ok_or_else(cut)?;
    let mut at = number(bytes, end + 16, 4).ok_or_else(cut)?;
    if count == 0xffff || at == ELSEWHERE {
        return Err(TensorFileError::TooLarge);
    }
    let mut lines = Vec::new();
    for _ in 0..count {
        let (line, next) = directory_line(bytes, at).ok_or_else(cut)?;
        lines.push(line);
        at = next;
    }
    Ok(lines)
}

fn directory_line(bytes: &[u8], at: usize) -> Option<(Line, usize)> {
    if !bytes.get(at..)?.starts_with(&DIRECTORY_MAGIC) {
        return None;
    }
    let field = |offset: usize, size: usize| number(bytes, at + offset, size);
    let (name, extra, comment) = (field(28, 2)?, field(30, 2)?, field(32, 2)?);
    let text = bytes.get(at + DIRECTORY_BYTES..at + DIRECTORY_BYTES + name)?;
    let line = Line {
        name: String::from_utf8(text.to_vec()).ok()?,
        encrypted: field(8, 2)? & 1 == 1,
        method: field(10, 2)?,
        checksum: field(16, 4)?,
        stored: field(20, 4)?,
        size: field(24, 4)?,
        start: field(42, 4)?,
    };
    Some((line, at + DIRECTORY_BYTES + name + extra + comment))
}

/// Where the contents of an entry start, and the contents.
fn entry<'a>(bytes: &'a [u8], line: &Line) -> Result<(usize, &'a [u8]), TensorFileError> {
    let name = &line.name;
    if name.starts_with('/') || name.contains('\\') || name.split('/').any(|part| part == "..") {
        return Err(broken(format!("the name {name:?} leads out of the archive")));
    }
    if [line.stored, line.size, line.start].contains(&ELSEWHERE) {
        return Err(TensorFileError::TooLarge);
    }
    if line.encrypted || line.method != 0 || line.stored != line.size {
        return Err(TensorFileError::Compressed { entry: name.clone() });
    }
    let cut = || broken(format!("the entry {name:?} lies outside the file"));
    let local = bytes.get(line.start..).filter(|local| local.starts_with(&MAGIC)).ok_or_else(cut)?;
    let (name_bytes, extra) = (number(local, 26, 2).ok_or_else(cut)?, number(local, 28, 2).ok_or_else(cut)?);
    let from = line.start + LOCAL_BYTES + name_bytes + extra;
    let contents = from.checked_add(line.size).and_then(|to| bytes.get(from..to)).ok_or_else(cut)?;
    Ok((from, contents))
}
