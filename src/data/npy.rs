//! Arrays saved by `numpy.save`.
//!
//! A `.npy` file holds one array of shape `[n, ...]`: `n` items of the remaining shape. Elements may be `f4`, `f8`
//! or `u1`, in either byte order and in C or Fortran order. `u1` counts as pixels, whose default scale is 1/255; an `f8`
//! beyond the range of `f32` counts as not finite.
//!
//! The header is a Python literal. [`check_header`] admits only what plain arrays need before `npyz` parses it,
//! because that parser overflows on large shapes and takes exponential time on nested brackets.

use std::path::Path;

use npyz::{DType, NpyFile, NpyHeader, Order};

use super::array::{Array, PIXEL_FULL_SCALE};
use super::file::{self, size};
use super::DataError;

const MAGIC: &[u8] = b"\x93NUMPY";
/// numpy writes about 100 bytes for the arrays read here.
const MAX_HEADER_BYTES: usize = 10_000;
/// The start of a file in which the header of every array read here ends.
pub(super) const HEADER_WITHIN: usize = 12 + MAX_HEADER_BYTES;

/// Reads the whole array in `path`.
pub(super) fn load(path: &Path) -> Result<Array, DataError> {
    parse(&file::read(path)?, path)
}

/// Reads the bytes of a `.npy` file; `path` names the array and serves messages.
pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Array, DataError> {
    let Header { inner, data_start, element_bytes, shape, file_bytes: expected, .. } = Header::read(bytes, path)?;
    let name = path.display().to_string();
    if shape.len() < 2 {
        return Err(DataError::Shape { name, expected: "[n, ...] with at least two axes", found: shape });
    }
    let found = size(bytes.len());
    if found < expected {
        return Err(DataError::Truncated { path: path.to_owned(), expected, found });
    }
    if found > expected {
        return Err(DataError::TrailingBytes { path: path.to_owned(), expected, found });
    }

    let order = inner.order();
    let array = NpyFile::with_header(inner, bytes.get(data_start..).unwrap_or_default());
    let values = match element_bytes {
        4 => array.into_vec::<f32>(),
        // Rounds to nearest; what does not fit becomes infinite, which `Dataset::new` rejects.
        #[allow(clippy::cast_possible_truncation)]
        8 => array.into_vec::<f64>().map(|values| values.into_iter().map(|value| value as f32).collect()),
        _ => array.into_vec::<u8>().map(|values| values.into_iter().map(f32::from).collect()),
    };
    let values = values.map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    let values = match order {
        Order::C => values,
        Order::Fortran => row_major(&values, &shape),
    };
    let full_scale = if element_bytes == 1 { PIXEL_FULL_SCALE } else { 1.0 };
    Ok(Array { name, shape, values, full_scale })
}

/// What stands before the data.
pub(super) struct Header {
    inner: NpyHeader,
    data_start: usize,
    /// 1, 4 or 8.
    element_bytes: u64,
    /// As numpy writes it: `f4`, `f8` or `u1`.
    pub(super) element: String,
    /// Every axis.
    pub(super) shape: Vec<usize>,
    /// Length of a whole file with this header.
    pub(super) file_bytes: u64,
}

impl Header {
    /// Understands the header at the start of `bytes`; `path` serves messages.
    pub(super) fn read(bytes: &[u8], path: &Path) -> Result<Self, DataError> {
        let bad_header = |reason: String| DataError::BadHeader { path: path.to_owned(), reason };
        let data_start = check_header(bytes, path)?;
        let inner = NpyHeader::from_reader(bytes).map_err(|error| bad_header(error.to_string()))?;
        let wrong_type = |found| DataError::WrongType { path: path.to_owned(), found };
        let DType::Plain(element) = inner.dtype() else { return Err(wrong_type(inner.dtype().descr())) };
        let element = element.to_string();
        let element_bytes = match element.get(1..) {
            Some("f4") => 4,
            Some("f8") => 8,
            Some("u1") => 1,
            _ => return Err(wrong_type(element)),
        };
        let shape = inner.shape().iter().map(|&axis| usize::try_from(axis)).collect::<Result<Vec<_>, _>>();
        let shape = shape.map_err(|error| bad_header(error.to_string()))?;
        // `check_header` made sure that eight times the product fits.
        let file_bytes = size(data_start).saturating_add(inner.len().saturating_mul(element_bytes));
        Ok(Self { data_start, element_bytes, element: element.split_at(1).1.to_owned(), shape, file_bytes, inner })
    }
}

/// Where the data start, if the header is whole and as simple as that of a plain array: printable text without
/// escapes, one brace and one parenthesis, the latter around decimal numbers whose product is that of an array
/// with fewer than 2^64 bytes.
fn check_header(bytes: &[u8], path: &Path) -> Result<usize, DataError> {
    let bad_header = |reason: &str| DataError::BadHeader { path: path.to_owned(), reason: reason.to_owned() };
    let truncated =
        |expected| DataError::Truncated { path: path.to_owned(), expected: size(expected), found: size(bytes.len()) };
    if !bytes.starts_with(MAGIC) {
        let found = bytes.iter().copied().take(MAGIC.len()).collect();
        return Err(DataError::WrongMagic { path: path.to_owned(), expected: MAGIC, found });
    }
    let (text_start, text_bytes) = match bytes.get(MAGIC.len()..) {
        Some(&[1, 0, a, b, ..]) => (10, usize::from(u16::from_le_bytes([a, b]))),
        Some(&[2 | 3, 0, a, b, c, d, ..]) => {
            (12, usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX))
        }
        Some(&[1..=3, 0, ..] | &[] | &[_]) | None => return Err(truncated(12)),
        Some(_) => return Err(bad_header("its format version is not 1.0, 2.0 or 3.0")),
    };
    if text_bytes > MAX_HEADER_BYTES {
        return Err(bad_header("it is longer than 10000 bytes"));
    }
    let data_start = text_start + text_bytes;
    let text = bytes.get(text_start..data_start).ok_or_else(|| truncated(data_start))?;
    let Some(text) = std::str::from_utf8(text).ok().filter(|text| {
        text.bytes().all(|byte| byte != b'\\' && (byte.is_ascii_graphic() || byte.is_ascii_whitespace()))
    }) else {
        return Err(bad_header("it is not plain text"));
    };
    if text.matches(['{', '(', '[']).count() > 2 {
        return Err(DataError::WrongType { path: path.to_owned(), found: text.trim().to_owned() });
    }
    let Some((shape, _)) = text.split_once('(').and_then(|(_, rest)| rest.split_once(')')) else {
        return Err(bad_header("it has no shape in parentheses"));
    };
    let mut product = 8_u64;
    for axis in shape.split(',').map(str::trim).filter(|axis| !axis.is_empty()) {
        let axis = Some(axis).filter(|axis| axis.bytes().all(|byte| byte.is_ascii_digit()));
        let axis = axis.and_then(|axis| axis.parse::<u64>().ok());
        // Zeros are skipped because npyz also multiplies the axes on either side of one.
        let next = axis.and_then(|axis| product.checked_mul(axis.max(1)));
        product = next.ok_or_else(|| bad_header("its shape does not describe an array that fits any memory"))?;
    }
    Ok(data_start)
}

/// Reorders `values`, stored with the first index running fastest, so that the last one does.
fn row_major(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let mut reordered = vec![0.0; values.len()];
    let mut index = vec![0_usize; shape.len()];
    for &value in values {
        // The place of `index` when its last entry runs fastest.
        let place = index.iter().zip(shape).fold(0, |place, (&i, &axis)| place * axis + i);
        if let Some(slot) = reordered.get_mut(place) {
            *slot = value;
        }
        for (i, &axis) in index.iter_mut().zip(shape) {
            *i += 1;
            if *i < axis {
                break;
            }
            *i = 0;
        }
    }
    reordered
}

#[cfg(test)]
mod tests;
