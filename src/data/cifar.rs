//! The binary version of CIFAR-10.
//!
//! Each file is a run of 3073-byte records: a label 0 to 9, then 32 x 32 red, green and blue pixels, one colour
//! plane after the other. Items have shape `[3, 32, 32]`; the labels are checked and dropped.

use std::path::Path;

use super::array::{Array, PIXEL_FULL_SCALE};
use super::file::{self, size};
use super::{DataError, Split};

const TRAIN_FILES: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
const TEST_FILES: [&str; 1] = ["test_batch.bin"];
const ITEM_VALUES: usize = 3 * 32 * 32;
pub(super) const RECORD_BYTES: usize = 1 + ITEM_VALUES;
const LAST_LABEL: u8 = 9;

/// The names of a split's files, in order.
pub(super) fn file_names(split: Split) -> &'static [&'static str] {
    match split {
        Split::Train => &TRAIN_FILES,
        Split::Test => &TEST_FILES,
    }
}

/// Reads the five training batches in order, or the test batch, from `directory`.
pub(super) fn load(directory: &Path, split: Split) -> Result<Array, DataError> {
    let mut values = Vec::new();
    for file_name in file_names(split) {
        let path = directory.join(file_name);
        append(&file::read(&path)?, &path, &mut values)?;
    }
    Ok(array(directory, values))
}

/// Reads the records of one file.
pub(super) fn load_file(path: &Path) -> Result<Array, DataError> {
    parse(&file::read(path)?, path)
}

/// The array of the records in `bytes`; `path` names it and serves messages.
pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Array, DataError> {
    let mut values = Vec::new();
    append(bytes, path, &mut values)?;
    Ok(array(path, values))
}

/// The array of whole records' pixels.
fn array(path: &Path, values: Vec<f32>) -> Array {
    let shape = vec![values.len() / ITEM_VALUES, 3, 32, 32];
    Array { name: path.display().to_string(), shape, values, full_scale: PIXEL_FULL_SCALE }
}

/// Adds the pixels of every record in `bytes`; `path` only serves messages.
fn append(bytes: &[u8], path: &Path, values: &mut Vec<f32>) -> Result<(), DataError> {
    let expected = bytes.len().div_ceil(RECORD_BYTES).max(1).saturating_mul(RECORD_BYTES);
    if bytes.len() != expected {
        return Err(DataError::Truncated { path: path.to_owned(), expected: size(expected), found: size(bytes.len()) });
    }
    values.reserve(bytes.len());
    for (item, record) in bytes.chunks_exact(RECORD_BYTES).enumerate() {
        let Some((&label, pixels)) = record.split_first() else { continue };
        if label > LAST_LABEL {
            return Err(DataError::BadLabel { path: path.to_owned(), item, found: label });
        }
        values.extend(pixels.iter().copied().map(f32::from));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A record whose first red, green and blue pixels are 51, 102 and 255, the others 0.
    fn record(label: u8) -> Vec<u8> {
        let mut record = vec![0; RECORD_BYTES];
        record[0] = label;
        record[1] = 51;
        record[1 + 1024] = 102;
        record[1 + 2048] = 255;
        record
    }

    fn pixels(bytes: &[u8]) -> Result<Vec<f32>, DataError> {
        let mut values = Vec::new();
        append(bytes, Path::new("batch"), &mut values).map(|()| values)
    }

    #[test]
    fn known_pixels_lie_in_their_colour_planes() {
        let values = pixels(&[record(0), record(9)].concat()).unwrap();
        assert_eq!(values.len(), 2 * 3072);
        for item in values.chunks(3072) {
            assert_eq!((item[0], item[1024], item[2048]), (51.0, 102.0, 255.0));
            assert_eq!(item.iter().filter(|&&value| value > 0.0).count(), 3);
        }
    }

    #[test]
    fn the_training_batches_are_read_in_order_and_the_test_batch_apart() {
        let directory = tempfile::tempdir().unwrap();
        for (index, file_name) in TRAIN_FILES.iter().chain(&TEST_FILES).enumerate() {
            let mut bytes = record(3);
            bytes[RECORD_BYTES - 1] = u8::try_from(index).unwrap();
            std::fs::write(directory.path().join(file_name), bytes).unwrap();
        }
        let train = load(directory.path(), Split::Train).unwrap().dataset().unwrap();
        assert_eq!(train.item_shape(), [3, 32, 32]);
        let last: Vec<f32> = (0..train.len()).map(|item| train.row(item).unwrap()[3071] * 255.0).collect();
        assert_eq!(last, [0.0, 1.0, 2.0, 3.0, 4.0]);
        let test = load(directory.path(), Split::Test).unwrap().dataset().unwrap();
        assert_eq!((test.len(), test.values()[3071]), (1, 5.0 / 255.0));
        let by_path = load_file(&directory.path().join("test_batch.bin")).unwrap().dataset().unwrap();
        assert_eq!(by_path.values(), test.values());
    }

    #[test]
    fn a_partial_record_and_an_empty_file_are_rejected() {
        let error = pixels(&vec![0; RECORD_BYTES + 1]).unwrap_err();
        assert!(matches!(error, DataError::Truncated { expected: 6146, found: 3074, .. }));
        assert!(matches!(pixels(&[]), Err(DataError::Truncated { expected: 3073, found: 0, .. })));
    }

    #[test]
    fn a_label_above_nine_is_rejected_with_its_place() {
        let error = pixels(&[record(9), record(10)].concat()).unwrap_err();
        assert!(matches!(error, DataError::BadLabel { item: 1, found: 10, .. }));
    }

    #[test]
    fn a_missing_batch_is_rejected() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(TRAIN_FILES[0]), record(1)).unwrap();
        let error = load(directory.path(), Split::Train).unwrap_err();
        assert!(matches!(error, DataError::Io { path, .. } if path.ends_with("data_batch_2.bin")));
    }

    proptest! {
        #![proptest_config(crate::testing::seeded(256))]

        #[test]
        fn random_bytes_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..64), fill: u8) {
            let _ = pixels(&tail);
            let mut bytes = vec![fill; RECORD_BYTES];
            bytes[..tail.len()].copy_from_slice(&tail);
            let _ = pixels(&bytes);
        }
    }
}
