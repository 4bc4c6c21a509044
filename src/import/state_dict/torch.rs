//! The tensors in a file of `torch.save`.

use super::archive::Archive;
use super::error::TensorFileError;
use super::pickle::{self, Pickle, Storage, Value};
use super::tensors::{Format, NamedTensor, Tensors, MAX_NUMBERS};

/// Dictionaries within dictionaries go no deeper.
const MAX_DEPTH: usize = 32;
/// Longest name of a tensor.
const MAX_NAME: usize = 1024;
/// Most entries of all dictionaries together, each counted as often as it is reached.
const MAX_ENTRIES: usize = 1 << 18;
/// What a file of PyTorch before version 1.6 starts with: a pickle of a fixed number.
const LEGACY_START: [u8; 14] = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    bytes.starts_with(&LEGACY_START)
}

/// Reads every tensor; the names of nested dictionaries are joined by dots.
pub(super) fn read(bytes: &[u8]) -> Result<Tensors, TensorFileError> {
    let archive = Archive::read(bytes)?;
    let missing = |entry: &str| TensorFileError::MissingEntry { entry: entry.to_owned() };
    let root = archive.names().find_map(|name| name.strip_suffix("data.pkl").filter(|root| !root.contains("/data/")));
    let root = root.ok_or_else(|| missing("data.pkl"))?.to_owned();
    match archive.get(&format!("{root}byteorder")) {
        None | Some(b"little") => {}
        Some(other) => return Err(TensorFileError::ByteOrder { found: String::from_utf8_lossy(other).into_owned() }),
    }
    let pickle = pickle::read(archive.get(&format!("{root}data.pkl")).unwrap_or_default())?;
    let mut walk =
        Walk { archive: &archive, root, pickle: &pickle, entries: 0, numbers: 0, tensors: Tensors::default() };
    walk.visit("", pickle.root, 0)?;
    if walk.tensors.real.is_empty() {
        return Err(TensorFileError::NoTensors);
    }
    Ok(walk.tensors)
}

struct Walk<'a> {
    archive: &'a Archive<'a>,
    root: String,
    pickle: &'a Pickle,
    entries: usize,
    numbers: usize,
    tensors: Tensors,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, name: &str, value: usize, depth: usize) -> Result<(), TensorFileError> {
        let pickle: &'a Pickle = self.pickle;
        match &pickle.values[value] {
            Value::Dictionary(entries) => {
                for &(key, value) in entries {
                    let key = match &pickle.values[key] {
                        Value::Text(key) => key.clone(),
                        Value::Number(key) => key.to_string(),
                        _ => continue,
                    };
                    self.enter(name, &key, value, depth)?;
                }
            }
            Value::Sequence(items) => {
                for (i, &item) in items.iter().enumerate() {
                    self.enter(name, &i.to_string(), item, depth)?;
                }
            }
            Value::Tensor { storage, offset, shape, strides } if !name.is_empty() => {
                if let Value::Storage { kind, key, numbers } = &pickle.values[*storage] {
                    return match kind {
                        Storage::Other(kind) => {
                            self.tensors.others.insert(name.to_owned(), kind.clone());
                            Ok(())
                        }
                        Storage::Real(format) => self.tensor(name, *format, (key, *numbers), *offset, shape, strides),
                    };
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn enter(&mut self, name: &str, key: &str, value: usize, depth: usize) -> Result<(), TensorFileError> {
        self.entries += 1;
        if depth >= MAX_DEPTH || self.entries > MAX_ENTRIES || name.len() + key.len() > MAX_NAME {
            let reason = "dictionaries within dictionaries do not end, or names are too long";
            return Err(TensorFileError::Pickle { reason, position: 0 });
        }
        let joined = if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        self.visit(&joined, value, depth + 1)
    }

    fn tensor(
        &mut self,
        name: &str,
        format: Format,
        (key, numbers): (&str, usize),
        offset: usize,
        shape: &[usize],
        strides: &[usize],
    ) -> Result<(), TensorFileError> {
        let bad = |reason: String| TensorFileError::Tensor { name: name.to_owned(), reason };
        let entry = format!("{}data/{key}", self.root);
        let bytes = self.archive.get(&entry).ok_or(TensorFileError::MissingEntry { entry })?;
        if numbers.checked_mul(format.size()).is_none_or(|needed| needed > bytes.len()) {
            return Err(bad(format!("its storage has {} bytes, too few for {numbers} numbers", bytes.len())));
        }
        let count = shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
        self.numbers = count.map_or(usize::MAX, |count| self.numbers.saturating_add(count));
        if self.numbers > MAX_NUMBERS {
            return Err(TensorFileError::TooLarge);
        }
        let reaches = shape
            .iter()
            .zip(strides)
            .try_fold(offset, |last, (size, stride)| last.checked_add(size.saturating_sub(1).checked_mul(*stride)?));
        if count != Some(0) && reaches.is_none_or(|last| last >= numbers) {
            return Err(bad(format!("its shape {shape:?} reaches beyond the {numbers} numbers stored for it")));
        }
        let places = if count == Some(0) { vec![] } else { places(offset, shape, strides) };
        let values = places.into_iter().map(|place| format.decode(&bytes[place * format.size()..])).collect();
        match self.tensors.real.insert(name.to_owned(), NamedTensor { shape: shape.to_vec(), values }) {
            None => Ok(()),
            Some(_) => Err(bad("another tensor has the same name".to_owned())),
        }
    }
}

/// Where the numbers of a tensor lie in its storage, row-major.
fn places(offset: usize, shape: &[usize], strides: &[usize]) -> Vec<usize> {
    shape.iter().zip(strides).fold(vec![offset], |places, (&size, &stride)| {
        places.iter().flat_map(|&place| (0..size).map(move |i| place + i * stride)).collect()
    })
}
