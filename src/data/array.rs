//! What a reader returns: the numbers of a file before any preprocessing.

use std::ops::Range;

use super::Dataset;

/// Most values in a data set: 4 GiB of `f32`. Compressed files of a few bytes can announce, and hold, any number.
pub(super) const MAX_VALUES: usize = 1 << 30;
/// The brightest of 8 bits.
pub(super) const PIXEL_FULL_SCALE: f64 = 255.0;

/// A row-major array `[n, ...]`. Readers make sure that the values fill the shape.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    /// For messages and reports.
    pub(super) name: String,
    /// At least two axes, the first of which counts the items.
    pub(super) shape: Vec<usize>,
    /// As the file gives them; whole numbers are kept as they are.
    pub(super) values: Vec<f32>,
    /// What values are divided by where no scale is given: 255 for bytes, 1 for numbers with a fraction.
    pub(super) full_scale: f64,
}

impl Array {
    /// The axes of one item.
    pub(super) fn item_shape(&self) -> Vec<usize> {
        self.shape.iter().skip(1).copied().collect()
    }

    /// The items in `range`, which the caller knows to be there.
    pub(super) fn take(mut self, range: Range<usize>) -> Self {
        let dim: usize = self.item_shape().iter().product();
        self.values = self.values.into_iter().skip(range.start * dim).take(range.len() * dim).collect();
        if let Some(count) = self.shape.first_mut() {
            *count = range.len();
        }
        self
    }

    /// The data set without any preprocessing but the default scale.
    #[cfg(test)]
    pub(super) fn dataset(self) -> Result<Dataset, super::DataError> {
        super::Preprocessing::default().apply(self)
    }
}

impl From<Dataset> for Array {
    fn from(dataset: Dataset) -> Self {
        let shape = std::iter::once(dataset.len()).chain(dataset.item_shape().iter().copied()).collect();
        Self { name: dataset.name().to_owned(), shape, values: dataset.values().to_vec(), full_scale: 1.0 }
    }
}
