//! The 8 x 8 handwritten digits that are part of the program.
//!
//! The 1797 images of the test half of UCI's Optical Recognition of Handwritten Digits, values 0 to 16 divided
//! by 16. The split is fixed: images 0 to 1436 in the file's order are for training, 1437 to 1796 for testing.
//! The file is not shuffled; nothing of the tail is seen in training.

use std::ops::Range;
use std::path::Path;

use super::array::Array;
use super::{idx, DataError, Split};

static IMAGES: &[u8] = include_bytes!("../../fixtures/data/digits-8x8/digits-images-idx3-ubyte");
const TRAIN: Range<usize> = 0..1437;
const TEST: Range<usize> = 1437..1797;
/// The brightest value in the file.
const FULL_SCALE: f64 = 16.0;

/// Items of shape `[8, 8]` with values 0 to 16: 1437 to train on, 360 to test on.
pub(super) fn load(split: Split) -> Result<Array, DataError> {
    let all = idx::read(IMAGES, Path::new("the embedded digits"), FULL_SCALE)?;
    Ok(all.take(match split {
        Split::Train => TRAIN,
        Split::Test => TEST,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;

    fn dataset(split: Split) -> Dataset {
        load(split).unwrap().dataset().unwrap()
    }

    #[test]
    fn the_split_covers_every_image_once() {
        let train = dataset(Split::Train);
        let test = dataset(Split::Test);
        assert_eq!((train.len(), test.len()), (1437, 360));
        assert_eq!((train.item_shape(), train.dim()), (&[8, 8][..], 64));
        let all = idx::read(IMAGES, Path::new("all"), FULL_SCALE).unwrap().dataset().unwrap();
        assert_eq!([train.values(), test.values()].concat(), all.values());
    }

    #[test]
    fn the_first_image_is_the_published_zero() {
        // The first row of scikit-learn's load_digits().images[0].
        let train = dataset(Split::Train);
        let row: Vec<f32> = [0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0].iter().map(|value| value / 16.0).collect();
        assert_eq!(&train.row(0).unwrap()[..8], row);
    }

    #[test]
    fn values_fill_the_unit_interval() {
        for split in [Split::Train, Split::Test] {
            let data = dataset(split);
            let largest = data.values().iter().copied().fold(0.0, f32::max);
            assert!((largest - 1.0).abs() < f32::EPSILON, "{largest}");
            assert!(data.values().iter().all(|value| (0.0..=1.0).contains(value)));
        }
    }
}
