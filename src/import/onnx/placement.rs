//! Index maps: where each element of a rearranged tensor comes from.
//!
//! Slices, transposes, padding, nearest neighbours and the like move elements and change none. Each is one list of
//! sources, which serves constants and values of the network alike.

use super::error::NodeFault;

/// Most axes of a value.
pub(super) const MAX_AXES: usize = 32;

/// Most elements of a value that is rearranged or computed; an index map takes two words for each.
const MAX_PLACED: usize = 1 << 25;

/// Element i of a tensor of this shape is element `index[i]` of another, or 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placement {
    pub(super) shape: Vec<usize>,
    pub(super) index: Vec<Option<usize>>,
}

/// The number of elements of a tensor of that shape, if it can be held.
///
/// # Errors
/// [`NodeFault::TooLarge`].
pub(super) fn elements(shape: &[usize]) -> Result<usize, NodeFault> {
    // A size of 0 must not hide sizes whose product is beyond all limits.
    let product = shape.iter().fold(1_usize, |product, &size| product.saturating_mul(size.max(1)));
    if product > MAX_PLACED {
        return Err(NodeFault::TooLarge { what: "the number of elements of a value", limit: MAX_PLACED });
    }
    Ok(if shape.contains(&0) { 0 } else { product })
}

/// Distance between neighbours along each axis, row-major.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

impl Placement {
    /// Along every axis apart from the others: `sources[axis][i]` is the place along that axis that i comes from, or
    /// none.
    ///
    /// # Errors
    /// [`NodeFault::TooLarge`].
    pub(super) fn axiswise(shape: &[usize], sources: &[Vec<Option<usize>>]) -> Result<Self, NodeFault> {
        let out: Vec<usize> = sources.iter().map(Vec::len).collect();
        let mut index = Vec::with_capacity(elements(&out)?);
        index.push(Some(0));
        // Axis by axis, so that the work is that of the result and not times its rank.
        for (sources, stride) in sources.iter().zip(strides(shape)) {
            let mut finer = Vec::with_capacity(index.len().saturating_mul(sources.len()));
            for start in &index {
                finer.extend(sources.iter().map(|source| start.zip(*source).map(|(start, s)| start + s * stride)));
            }
            index = finer;
        }
        Ok(Self { shape: out, index })
    }

    /// Axis i of the result is axis `order[i]`.
    ///
    /// # Errors
    /// [`NodeFault::TooLarge`].
    pub(super) fn transpose(shape: &[usize], order: &[usize]) -> Result<Self, NodeFault> {
        let out: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
        let strides = strides(shape);
        let mut index = Vec::with_capacity(elements(&out)?);
        index.push(Some(0));
        for (&axis, &size) in order.iter().zip(&out) {
            let stride = strides[axis];
            let mut finer = Vec::with_capacity(index.len().saturating_mul(size));
            for start in &index {
                finer.extend((0..size).map(|place| start.map(|start: usize| start + place * stride)));
            }
            index = finer;
        }
        Ok(Self { shape: out, index })
    }

    /// Numpy's broadcasting to a shape of at least that rank; none where it does not fit.
    pub(super) fn broadcast(shape: &[usize], target: &[usize]) -> Result<Option<Self>, NodeFault> {
        let Some(missing) = target.len().checked_sub(shape.len()) else { return Ok(None) };
        let full: Vec<usize> = std::iter::repeat_n(1, missing).chain(shape.iter().copied()).collect();
        elements(target)?;
        let mut sources = Vec::with_capacity(target.len());
        for (&size, &wanted) in full.iter().zip(target) {
            sources.push(match size {
                _ if size == wanted => identity(size),
                1 => vec![Some(0); wanted],
                _ => return Ok(None),
            });
        }
        Self::axiswise(&full, &sources).map(Some)
    }

    /// The rearranged elements, `empty` where there is no source.
    pub(super) fn apply<T: Copy>(&self, values: &[T], empty: T) -> Vec<T> {
        self.index.iter().map(|source| source.map_or(empty, |source| values[source])).collect()
    }

    /// First `before`, then this.
    pub(super) fn after(&self, before: &[Option<usize>]) -> Vec<Option<usize>> {
        self.index.iter().map(|source| source.and_then(|source| before[source])).collect()
    }

    /// Whether every element stays where it is, of `width` in all.
    pub(super) fn is_identity(&self, width: usize) -> bool {
        self.index.len() == width && self.index.iter().enumerate().all(|(place, source)| *source == Some(place))
    }
}

/// Every place of an axis comes from itself.
pub(super) fn identity(size: usize) -> Vec<Option<usize>> {
    (0..size).map(Some).collect()
}

/// The shape that both broadcast to, by numpy's rules; none where they do not fit.
pub(super) fn common_shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y => Some(x),
            (1, other) | (other, 1) => Some(other),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transpose_is_its_definition() {
        let placement = Placement::transpose(&[2, 3], &[1, 0]).unwrap();
        assert_eq!(placement.shape, [3, 2]);
        assert_eq!(placement.apply(&[0, 1, 2, 3, 4, 5], 9), [0, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn axes_are_rearranged_apart_and_none_gives_the_empty_value() {
        let sources = [vec![Some(1), None], vec![Some(2), Some(0)]];
        let placement = Placement::axiswise(&[2, 3], &sources).unwrap();
        assert_eq!(placement.apply(&[0, 1, 2, 3, 4, 5], 9), [5, 3, 9, 9]);
    }

    #[test]
    fn broadcasting_follows_numpy() {
        assert_eq!(common_shape(&[3, 1], &[4]), Some(vec![3, 4]));
        assert_eq!(common_shape(&[3], &[4]), None);
        let placement = Placement::broadcast(&[2, 1], &[3, 2, 2]).unwrap().unwrap();
        assert_eq!(placement.apply(&[7, 8], 0), [7, 7, 8, 8, 7, 7, 8, 8, 7, 7, 8, 8]);
        assert_eq!(Placement::broadcast(&[2], &[3]).unwrap(), None);
    }

    #[test]
    fn absurd_shapes_are_refused_before_anything_is_allocated() {
        let huge = Placement::broadcast(&[1], &[1 << 40, 1 << 40]);
        assert!(matches!(huge, Err(NodeFault::TooLarge { .. })), "{huge:?}");
    }
}
