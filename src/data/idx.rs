//! Image files in the idx format of MNIST, plain or gzipped.
//!
//! Sixteen header bytes (the magic `00 00 08 03`, then the number of images, rows and columns, each a big-endian
//! `u32`) and one `u8` per pixel, row by row. Memory grows with the bytes that are really there, never with what
//! the header claims, and decompression stops one byte after the claimed size.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::array::{Array, MAX_VALUES};
use super::file::{open, size};
use super::{DataError, Split};

/// Unsigned bytes (08) in three dimensions (03).
const MAGIC: [u8; 4] = [0x00, 0x00, 0x08, 0x03];
const HEADER_BYTES: u64 = 16;
/// What every gzip file starts with.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What MNIST calls the images of a split.
pub(super) fn file_name(split: Split) -> &'static str {
    match split {
        Split::Train => "train-images-idx3-ubyte",
        Split::Test => "t10k-images-idx3-ubyte",
    }
}

/// Reads `file_name`, or else `file_name` with `.gz` added, from `directory`.
pub(super) fn load(directory: &Path, file_name: &str, full_scale: f64) -> Result<Array, DataError> {
    load_file(&find(directory, file_name)?, full_scale)
}

/// Reads the file at `path`. Items have shape `[rows, columns]`, their brightest pixel is `full_scale`. Whether to
/// decompress is decided by the contents, not by the name.
pub(super) fn load_file(path: &Path, full_scale: f64) -> Result<Array, DataError> {
    let mut reader = BufReader::new(open(path)?);
    let start = reader.fill_buf().map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    if start.starts_with(&GZIP_MAGIC) {
        read(MultiGzDecoder::new(reader), path, full_scale)
    } else {
        read(reader, path, full_scale)
    }
}

/// Reads a decompressed idx file to its end; `path` names the array and serves messages.
pub(super) fn read(mut reader: impl Read, path: &Path, full_scale: f64) -> Result<Array, DataError> {
    let mut header = Vec::new();
    read_up_to(&mut reader, HEADER_BYTES, &mut header, path)?;
    if !header.starts_with(&MAGIC) {
        header.truncate(MAGIC.len());
        return Err(DataError::WrongMagic { path: path.to_owned(), expected: &MAGIC, found: header });
    }
    let sizes: Vec<u32> =
        header.chunks_exact(4).filter_map(|field| field.try_into().ok()).map(u32::from_be_bytes).collect();
    let &[_, count, rows, columns] = sizes.as_slice() else {
        return Err(DataError::Truncated { path: path.to_owned(), expected: HEADER_BYTES, found: size(header.len()) });
    };
    // Two factors cannot overflow; three can, and no file is that long.
    let pixel_bytes = (u64::from(rows) * u64::from(columns)).saturating_mul(u64::from(count));
    let expected = pixel_bytes.saturating_add(HEADER_BYTES);
    if pixel_bytes > size(MAX_VALUES) {
        return Err(DataError::BadHeader {
            path: path.to_owned(),
            reason: format!("it announces {pixel_bytes} pixels, more than the {MAX_VALUES} supported"),
        });
    }

    let mut pixels = Vec::new();
    read_up_to(&mut reader, pixel_bytes.saturating_add(1), &mut pixels, path)?;
    let found = size(pixels.len()) + HEADER_BYTES;
    if found < expected {
        return Err(DataError::Truncated { path: path.to_owned(), expected, found });
    }
    if found > expected {
        return Err(DataError::TrailingBytes { path: path.to_owned(), expected, found });
    }
    let shape = [count, rows, columns].iter().map(|&axis| axis as usize).collect();
    let values = pixels.into_iter().map(f32::from).collect();
    Ok(Array { name: path.display().to_string(), shape, values, full_scale })
}

/// Appends at most `limit` bytes to `into`. A gzip stream that breaks off counts as ended.
fn read_up_to(reader: &mut impl Read, limit: u64, into: &mut Vec<u8>, path: &Path) -> Result<(), DataError> {
    match reader.take(limit).read_to_end(into) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Err(source) => Err(DataError::Io { path: path.to_owned(), source }),
    }
}

fn find(directory: &Path, file_name: &str) -> Result<PathBuf, DataError> {
    let path = directory.join(file_name);
    let compressed = directory.join(format!("{file_name}.gz"));
    if path.exists() {
        Ok(path)
    } else if compressed.exists() {
        Ok(compressed)
    } else {
        Err(DataError::MissingFile { path, compressed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;
    use flate2::write::GzEncoder;
    use flate2::Compression;
    use proptest::prelude::*;
    use std::io::Write;

    /// Two images of 1 x 3 pixels.
    const TINY: [u8; 22] = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 51, 255, 102, 0, 204];

    fn parse(bytes: &[u8]) -> Result<Dataset, DataError> {
        read(bytes, Path::new("tiny"), 255.0)?.dataset()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn load_as(file_name: &str, bytes: &[u8]) -> Result<Dataset, DataError> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(file_name), bytes).unwrap();
        load(directory.path(), "images", 255.0)?.dataset()
    }

    #[test]
    fn known_pixels_are_scaled_to_the_unit_interval() {
        let data = parse(&TINY).unwrap();
        assert_eq!(data.item_shape(), [1, 3]);
        assert_eq!(data.row(0), Some(&[0.0, 0.2, 1.0][..]));
        assert_eq!(data.row(1), Some(&[0.4, 0.0, 0.8][..]));
        assert_eq!(
            read(&TINY[..], Path::new("tiny"), 51.0).unwrap().dataset().unwrap().row(0),
            Some(&[0.0, 1.0, 5.0][..])
        );
    }

    #[test]
    fn gzip_is_recognised_by_its_contents_whatever_the_name() {
        let expected = parse(&TINY).unwrap().sha256();
        assert_eq!(load_as("images", &TINY).unwrap().sha256(), expected);
        assert_eq!(load_as("images.gz", &gzip(&TINY)).unwrap().sha256(), expected);
        assert_eq!(load_as("images", &gzip(&TINY)).unwrap().sha256(), expected);
        assert_eq!(load_as("images.gz", &TINY).unwrap().sha256(), expected);
    }

    #[test]
    fn the_plain_file_is_preferred() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("images"), TINY).unwrap();
        std::fs::write(directory.path().join("images.gz"), b"not an image file").unwrap();
        assert!(load(directory.path(), "images", 255.0).is_ok());
    }

    #[test]
    fn an_absent_file_is_rejected_with_both_names() {
        let error = load(Path::new("/absent"), "images", 255.0).unwrap_err();
        assert!(matches!(error, DataError::MissingFile { path, compressed }
            if path.ends_with("images") && compressed.ends_with("images.gz")));
    }

    #[test]
    fn a_label_file_is_rejected_by_its_magic() {
        let error = parse(&[0, 0, 8, 1, 0, 0, 0, 2, 7, 2]).unwrap_err();
        assert!(matches!(error, DataError::WrongMagic { found, .. } if found == [0, 0, 8, 1]));
        assert!(matches!(parse(b""), Err(DataError::WrongMagic { found, .. }) if found.is_empty()));
    }

    #[test]
    fn a_truncated_idx_file_is_rejected() {
        assert!(matches!(parse(&TINY[..10]), Err(DataError::Truncated { expected: 16, found: 10, .. })));
        assert!(matches!(parse(&TINY[..21]), Err(DataError::Truncated { expected: 22, found: 21, .. })));
        let broken_off = &gzip(&TINY)[..20];
        assert!(matches!(load_as("images.gz", broken_off), Err(DataError::Truncated { .. })));
    }

    #[test]
    fn a_length_field_beyond_any_memory_is_rejected_without_allocating() {
        let mut bytes = TINY;
        bytes[4..16].fill(0xff);
        assert!(matches!(parse(&bytes), Err(DataError::BadHeader { .. })));
        assert!(matches!(load_as("images", &gzip(&bytes)), Err(DataError::BadHeader { .. })));
    }

    #[test]
    fn trailing_bytes_are_rejected_and_decompression_stops_at_the_first() {
        let mut bytes = TINY.to_vec();
        bytes.extend(vec![0; 1 << 20]);
        assert!(matches!(parse(&bytes), Err(DataError::TrailingBytes { expected: 22, found: 23, .. })));
        let error = load_as("images.gz", &gzip(&bytes)).unwrap_err();
        assert!(matches!(error, DataError::TrailingBytes { expected: 22, found: 23, .. }));
    }

    #[test]
    fn a_gzip_file_with_a_wrong_checksum_is_rejected() {
        let mut bytes = gzip(&TINY);
        let checksum = bytes.len() - 8;
        bytes[checksum] ^= 1;
        assert!(matches!(load_as("images.gz", &bytes), Err(DataError::Io { .. })));
    }

    #[test]
    fn no_images_and_images_without_pixels_are_rejected() {
        let header = |count: u8, rows: u8| [0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, rows, 0, 0, 0, 3];
        assert!(matches!(parse(&header(0, 1)), Err(DataError::Empty { .. })));
        assert!(matches!(parse(&header(2, 0)), Err(DataError::Shape { found, .. }) if found == [0, 3]));
    }

    proptest! {
        #![proptest_config(crate::testing::seeded(256))]

        #[test]
        fn written_images_read_back(count in 1..5_u8, rows in 1..6_u8, columns in 1..6_u8, salt: u8) {
            let total = usize::from(count) * usize::from(rows) * usize::from(columns);
            let pixels: Vec<u8> = (0..=u8::MAX).cycle().map(|i| i.wrapping_mul(37) ^ salt).take(total).collect();
            let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, rows, 0, 0, 0, columns];
            bytes.extend(&pixels);
            let data = parse(&bytes).unwrap();
            prop_assert_eq!(data.len(), usize::from(count));
            prop_assert_eq!(data.item_shape(), [usize::from(rows), usize::from(columns)]);
            let expected: Vec<f32> = pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
            prop_assert_eq!(data.values(), expected);
        }

        #[test]
        fn random_bytes_never_panic(tail: Vec<u8>, flip in 0..22_usize, with: u8) {
            let _ = parse(&tail);
            let _ = parse(&[&MAGIC[..], &tail].concat());
            let _ = MultiGzDecoder::new(&tail[..]).read_to_end(&mut Vec::new());
            let mut bytes = TINY;
            bytes[flip] = with;
            let _ = parse(&bytes);
        }
    }
}
