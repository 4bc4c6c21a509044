//! Numbers that a reader can redo by hand: multiples of 1/8, the simplest first, so that shrinking ends at 0, 1 or 2.
//!
//! As they have few binary digits, sums and products of several of them are exact in double precision.

use proptest::prelude::*;
use proptest::sample::select;

/// The largest number drawn, in eighths.
const LARGEST_EIGHTHS: i32 = 24;
/// No instance has numbers beyond this; it bounds what a file may ask to be computed with.
pub(crate) const LARGEST: f64 = 1e6;

/// Multiples of 1/8 up to 3 in size, sorted by denominator, then size, then sign.
fn eighths() -> Vec<f64> {
    let denominator = |k: i32| [1, 2, 4, 8].into_iter().find(|d| k % (8 / d) == 0).unwrap_or(8);
    let mut numbers: Vec<i32> = (-LARGEST_EIGHTHS..=LARGEST_EIGHTHS).collect();
    numbers.sort_by_key(|&k| (denominator(k), k.abs(), k < 0));
    numbers.into_iter().map(|k| f64::from(k) / 8.0).collect()
}

/// From −3 to 3.
pub(crate) fn any() -> impl Strategy<Value = f64> + Clone {
    select(eighths())
}

/// From 1/8 to 3; shrinks to 1.
pub(crate) fn positive() -> impl Strategy<Value = f64> + Clone {
    select(eighths().into_iter().filter(|number| *number > 0.0).collect::<Vec<_>>())
}

/// One of these, the first being the simplest.
pub(crate) fn one_of(numbers: &[f64]) -> impl Strategy<Value = f64> + Clone {
    select(numbers.to_vec())
}

/// From 1 to `largest` elements, often just one or two: counterexamples that start small end smallest.
pub(crate) fn several<T: Clone + std::fmt::Debug + 'static>(
    element: impl Strategy<Value = T> + Clone + 'static,
    largest: usize,
) -> impl Strategy<Value = Vec<T>> {
    let few = prop::collection::vec(element.clone(), 1..=largest.min(2));
    prop_oneof![1 => few, 2 => prop::collection::vec(element, 1..=largest)]
}

/// `count` numbers from −3 to 3.
pub(crate) fn vector(count: usize) -> impl Strategy<Value = Vec<f64>> + Clone {
    prop::collection::vec(any(), count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simplest_numbers_come_first() {
        let numbers = eighths();
        assert_eq!(numbers[..9], [0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5]);
        assert_eq!(numbers.len(), 49);
    }
}
