//! A validated array of inputs.

use std::fmt;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::DataError;
use crate::files::hexadecimal;

/// Which part of a source: the part a model may learn from, or the part kept away from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// The items a model is trained on.
    Train,
    /// Items a model has not been trained on.
    Test,
}

impl fmt::Display for Split {
    /// `train` or `test`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Train => "train",
            Self::Test => "test",
        })
    }
}

/// At least one item, all of one shape, every value a finite `f32`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    name: String,
    item_shape: Vec<usize>,
    /// Product of `item_shape`, at least 1.
    dim: usize,
    /// Row-major `[n, dim]`.
    values: Vec<f32>,
}

impl Dataset {
    /// Takes `values`, a row-major `[n, d]` array where `d` is the product of `item_shape`. `name` is only for
    /// people: it appears in messages and reports.
    ///
    /// # Errors
    /// [`DataError::Shape`] if `item_shape` has no axis, a zero, or a product beyond `usize`;
    /// [`DataError::Empty`] without values; [`DataError::Length`] if they do not fill whole items;
    /// [`DataError::NonFinite`] with the first place of a value that is infinite or not a number.
    pub fn new(name: impl Into<String>, item_shape: Vec<usize>, values: Vec<f32>) -> Result<Self, DataError> {
        let name = name.into();
        let product = item_shape.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis));
        let dim = match product {
            Some(dim) if dim > 0 && !item_shape.is_empty() => dim,
            _ => {
                let expected = "at least one axis per item and none of length 0";
                return Err(DataError::Shape { name, expected, found: item_shape });
            }
        };
        if values.is_empty() {
            return Err(DataError::Empty { name });
        }
        if !values.len().is_multiple_of(dim) {
            return Err(DataError::Length { name, dim, found: values.len() });
        }
        if let Some((at, &value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(DataError::NonFinite { name, item: at / dim, coordinate: at % dim, value });
        }
        Ok(Self { name, item_shape, dim, values })
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of items `n`, at least 1.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Always false: a data set has at least one item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Values per item `d`, at least 1.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The axes of one item, e.g. `[28, 28]` or `[3, 32, 32]`; their product is [`Self::dim`].
    #[must_use]
    pub fn item_shape(&self) -> &[usize] {
        &self.item_shape
    }

    /// Item `index` flattened, of length [`Self::dim`]; `None` from [`Self::len`] on.
    #[must_use]
    pub fn row(&self, index: usize) -> Option<&[f32]> {
        let start = index.checked_mul(self.dim)?;
        self.values.get(start..start.checked_add(self.dim)?)
    }

    /// Every value, row-major `[n, d]`.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// A copy of the items in `range`, under the same name.
    ///
    /// # Errors
    /// [`DataError::Empty`] if the range holds no item; [`DataError::OutOfRange`] if it reaches past the end.
    pub fn take(&self, range: Range<usize>) -> Result<Self, DataError> {
        let Range { start, end } = range;
        let name = self.name.clone();
        if end > self.len() {
            return Err(DataError::OutOfRange { name, start, end, len: self.len() });
        }
        // `end` is at most the length, so neither product exceeds the number of values.
        match self.values.get(start.min(end) * self.dim..end * self.dim) {
            Some(values) if !values.is_empty() => {
                Ok(Self { name, item_shape: self.item_shape.clone(), dim: self.dim, values: values.to_vec() })
            }
            _ => Err(DataError::Empty { name }),
        }
    }

    /// SHA-256 of the contents in hexadecimal; the name does not count. Hashed are, little-endian: the number of
    /// axes of an item and each axis as `u64`, then every value as `f32`.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        for axis in std::iter::once(self.item_shape.len()).chain(self.item_shape.iter().copied()) {
            hasher.update((axis as u64).to_le_bytes());
        }
        for value in &self.values {
            hasher.update(value.to_le_bytes());
        }
        hexadecimal(&hasher.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs() -> Dataset {
        Dataset::new("pairs", vec![2], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap()
    }

    #[test]
    fn rows_are_consecutive_runs_of_values() {
        let data = pairs();
        assert_eq!((data.len(), data.dim(), data.is_empty()), (3, 2, false));
        assert_eq!(data.row(1), Some(&[2.0, 3.0][..]));
        assert_eq!(data.row(3), None);
        assert_eq!(data.row(usize::MAX), None);
    }

    #[test]
    fn take_copies_the_items_of_a_range() {
        assert_eq!(pairs().take(1..3).unwrap().values(), [2.0, 3.0, 4.0, 5.0]);
        assert!(matches!(pairs().take(2..2), Err(DataError::Empty { .. })));
        // A range written backwards holds nothing.
        #[allow(clippy::reversed_empty_ranges)]
        let backwards = pairs().take(2..1);
        assert!(matches!(backwards, Err(DataError::Empty { .. })));
        assert!(matches!(pairs().take(1..4), Err(DataError::OutOfRange { start: 1, end: 4, len: 3, .. })));
    }

    #[test]
    fn a_shape_without_values_per_item_is_rejected() {
        for shape in [vec![], vec![0], vec![2, 0], vec![usize::MAX, 2]] {
            let error = Dataset::new("bad", shape.clone(), vec![1.0; 4]).unwrap_err();
            assert!(matches!(error, DataError::Shape { found, .. } if found == shape));
        }
    }

    #[test]
    fn a_data_set_without_values_is_rejected() {
        assert!(matches!(Dataset::new("bad", vec![2], vec![]), Err(DataError::Empty { .. })));
    }

    #[test]
    fn a_partial_item_is_rejected() {
        let error = Dataset::new("bad", vec![2, 2], vec![0.0; 6]).unwrap_err();
        assert!(matches!(error, DataError::Length { dim: 4, found: 6, .. }));
    }

    #[test]
    fn a_value_that_is_not_finite_is_rejected_with_its_place() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = Dataset::new("bad", vec![2], vec![0.0, 0.0, 0.0, value]).unwrap_err();
            assert!(matches!(error, DataError::NonFinite { item: 1, coordinate: 1, .. }), "{error}");
        }
    }

    #[test]
    fn the_hash_is_the_one_computed_outside() {
        // python3: sha256(pack('<QQ', 1, 2) + pack('<6f', 0, 1, 2, 3, 4, 5))
        assert_eq!(pairs().sha256(), "8355dcf595d51a97b30e90e597ab3e50b19b2e5a8affa8824285b40159db4c21");
    }

    #[test]
    fn the_hash_depends_on_values_and_shape_but_not_on_the_name() {
        let values = pairs().values().to_vec();
        let hash = |name: &str, shape: &[usize], values: &[f32]| {
            Dataset::new(name, shape.to_vec(), values.to_vec()).unwrap().sha256()
        };
        assert_eq!(hash("other", &[2], &values), pairs().sha256());
        assert_ne!(hash("pairs", &[3], &values), pairs().sha256());
        assert_ne!(hash("pairs", &[2, 1], &values), pairs().sha256());
        assert_ne!(hash("pairs", &[2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.5]), pairs().sha256());
    }
}
