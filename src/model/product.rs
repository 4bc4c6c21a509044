//! Products of matrices in the widest vectors of the processor, into which bias, activation or slopes are folded.
//!
//! The left factor is row-major; the right one lies in *panels* of a few vectors' width, one behind the other, so that it
//! is read from front to back. The sums of a few rows in one panel stay in registers for [`DEPTH`] steps at a time, and a
//! group of rows takes these steps before the next ones, so that the part of the panel is still in the nearest cache.
//!
//! What is 0 in all rows of a group, as are units that are off and the gradients in front of them, is left out: neighbouring
//! rows often are draws or perturbations of the same input.
//!
//! **Order.** Every value is a sum over k = 0, 1, … in this order, in fused products, whatever the other rows, the number of
//! rows and the width of the vectors; so it is the same bits alone or in a batch, and on every processor that has fused
//! products. One that has none (none made since 2013) rounds products, too.

use std::borrow::Cow;
use std::ops::Range;

use num_traits::Float;
use pulp::{Arch, Simd, WithSimd};

/// A panel is up to [`UNITS`] times as wide as this, which no processor's vectors exceed.
const UNIT_BYTES: usize = 64;
/// As many accumulators as fit the 32 registers of AVX-512, with room for a row of the panel.
const UNITS: usize = 4;
/// Rows of a tile.
pub(crate) const ROWS: usize = 6;
/// Rows that meet one part of a panel after the other, and rows of such a part: together they stay in the nearest cache.
const GROUP: usize = 8 * ROWS;
const DEPTH: usize = 128;
/// With fewer columns, looking for what can be left out costs more than it saves.
const LEAST_COLUMNS: usize = 64;
/// Nothing is left out but this share, one in so many, or more.
const LEAST_SKIPPED: usize = 8;
/// No panel has more columns.
pub(crate) const MOST_COLUMNS: usize = UNITS * UNIT_BYTES / size_of::<f32>();

/// A number type of which vectors are made.
pub(crate) trait Lanes: Copy + 'static {
    /// As many as the processor's vectors hold.
    type Vector<S: Simd>: Copy;
    /// Numbers in a unit.
    const UNIT: usize = UNIT_BYTES / size_of::<Self>();
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    /// a · b + c, rounded once where the processor can.
    fn multiply_add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;
    fn vectors<S: Simd>(values: &[Self]) -> &[Self::Vector<S>];
    fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [Self::Vector<S>];
}

macro_rules! lanes {
    ($t:ident, $vector:ident, $splat:ident, $multiply_add:ident, $vectors:ident, $vectors_mut:ident) => {
        impl Lanes for $t {
            type Vector<S: Simd> = S::$vector;
            #[inline(always)]
            fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
                simd.$splat(value)
            }
            #[inline(always)]
            fn multiply_add<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                simd.$multiply_add(a, b, c)
            }
            #[inline(always)]
            fn vectors<S: Simd>(values: &[Self]) -> &[S::$vector] {
                S::$vectors(values).0
            }
            #[inline(always)]
            fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [S::$vector] {
                S::$vectors_mut(values).0
            }
        }
    };
}

lanes!(f32, f32s, splat_f32s, mul_add_e_f32s, as_simd_f32s, as_mut_simd_f32s);
lanes!(f64, f64s, splat_f64s, mul_add_e_f64s, as_simd_f64s, as_mut_simd_f64s);

/// Columns divided into panels of nearly equal width, each a whole number of units; the last unit may hang over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panels {
    columns: usize,
    unit: usize,
}

impl Panels {
    pub(crate) fn of<T: Lanes>(columns: usize) -> Self {
        Self { columns, unit: T::UNIT }
    }

    fn units(self) -> usize {
        self.columns.div_ceil(self.unit)
    }

    /// The columns of all panels together, those that hang over included.
    pub(crate) fn padded(self) -> usize {
        self.units() * self.unit
    }

    /// The columns of each panel, those that hang over included.
    pub(crate) fn ranges(self) -> impl Iterator<Item = Range<usize>> {
        let (units, unit) = (self.units(), self.unit);
        let panels = units.div_ceil(UNITS);
        (0..panels).map(move |i| units * i / panels * unit..units * (i + 1) / panels * unit)
    }
}

/// A right factor that is used many times, in panels.
#[derive(Debug)]
pub(crate) struct Packed<T> {
    values: Vec<T>,
    /// Where the first panel begins, so that vectors lie in single lines of the cache.
    start: usize,
    depth: usize,
    columns: usize,
    /// Whether 0 times any value is 0.
    is_finite: bool,
}

impl<T: Lanes + Float> Packed<T> {
    /// A row-major matrix `[depth, columns]`.
    pub(crate) fn of_rows(matrix: &[T], depth: usize, columns: usize) -> Self {
        let row = |row: usize, used: Range<usize>, values: &mut Vec<T>| {
            values.extend_from_slice(&matrix[row * columns..][used]);
        };
        Self::new(depth, columns, row)
    }

    /// The transpose of a row-major matrix `[columns, depth]`.
    pub(crate) fn of_columns(matrix: &[T], depth: usize, columns: usize) -> Self {
        let row = |row: usize, used: Range<usize>, values: &mut Vec<T>| {
            values.extend(matrix[used.start * depth + row..].iter().step_by(depth).take(used.len()));
        };
        Self::new(depth, columns, row)
    }

    /// `extend` adds a row's values in a range of columns.
    fn new(depth: usize, columns: usize, extend: impl Fn(usize, Range<usize>, &mut Vec<T>)) -> Self {
        let panels = Panels::of::<T>(columns);
        let mut values: Vec<T> = Vec::with_capacity(depth * panels.units() * T::UNIT + T::UNIT);
        let start = values.as_ptr().align_offset(UNIT_BYTES).min(T::UNIT);
        values.resize(start, T::zero());
        for range in panels.ranges() {
            for row in 0..depth {
                extend(row, range.start..range.end.min(columns), &mut values);
                values.resize(values.len() + range.end.saturating_sub(columns), T::zero());
            }
        }
        let is_finite = values.iter().all(|value| value.is_finite());
        Self { values, start, depth, columns, is_finite }
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    fn panels(&self) -> impl Iterator<Item = (Range<usize>, &[T])> {
        Panels::of::<T>(self.columns).ranges().map(|range| {
            let start = self.start + range.start * self.depth;
            (range.clone(), &self.values[start..start + range.len() * self.depth])
        })
    }
}

/// What becomes of the sums of a row in a range of columns.
pub(crate) trait Finish<T> {
    fn finish(&self, row: usize, columns: Range<usize>, values: &mut [T]);
}

/// left · right, row by row through `finish`. `left`: `[rows, depth]`, row-major. Returns `[rows, columns]`.
pub(crate) fn multiply<T, F>(left: &[T], right: &Packed<T>, finish: &F) -> Vec<T>
where
    T: Lanes + Float,
    F: Finish<T>,
{
    let rows = left.len().checked_div(right.depth).unwrap_or(0);
    let mut output = vec![T::zero(); rows * right.columns];
    Arch::new().dispatch(Multiply { left, right, output: &mut output, finish });
    output
}

struct Multiply<'a, T, F> {
    left: &'a [T],
    right: &'a Packed<T>,
    output: &'a mut [T],
    finish: &'a F,
}

impl<T: Lanes + Float, F: Finish<T>> WithSimd for Multiply<'_, T, F> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, right, output, finish } = self;
        let (depth, columns) = (right.depth, right.columns);
        let skips = right.is_finite && columns >= LEAST_COLUMNS;
        let groups: Vec<Group<T>> = left.chunks(GROUP * depth).map(|rows| Group::of(rows, depth, skips)).collect();
        let mut sums = [T::zero(); GROUP * MOST_COLUMNS];
        let mut starts = Vec::with_capacity(depth);
        for (range, panel) in right.panels() {
            let width = range.len();
            let used = range.start..range.end.min(columns);
            for (index, group) in groups.iter().enumerate() {
                starts.clear();
                starts.extend(group.kept.iter().map(|k| k * width));
                let pitch = starts.len();
                for first in (0..pitch.max(1)).step_by(DEPTH) {
                    let starts = &starts[first..pitch.min(first + DEPTH)];
                    for row in (0..group.rows).step_by(ROWS) {
                        let values = &group.values[row * pitch + first..];
                        let left = Left { values, pitch, rows: ROWS.min(group.rows - row) };
                        let sums = &mut sums[row * MOST_COLUMNS..];
                        product_of_tile(simd, left, panel, width, starts, sums, MOST_COLUMNS, first > 0);
                    }
                }
                for (row, sums) in (index * GROUP..).zip(sums.chunks_exact(MOST_COLUMNS).take(group.rows)) {
                    let values = &mut output[row * columns..][used.clone()];
                    values.copy_from_slice(&sums[..used.len()]);
                    finish.finish(row, used.clone(), values);
                }
            }
        }
    }
}

/// Rows of a left factor, perhaps without columns in which all of them are 0.
struct Group<'a, T: Copy> {
    rows: usize,
    /// `[rows, kept]`.
    values: Cow<'a, [T]>,
    /// The columns that are left.
    kept: Vec<usize>,
}

impl<'a, T: Lanes + Float> Group<'a, T> {
    /// `values`: `[rows, depth]`.
    #[inline(always)]
    fn of(values: &'a [T], depth: usize, skips: bool) -> Self {
        let rows = values.len() / depth;
        let all = || Self { rows, values: Cow::Borrowed(values), kept: (0..depth).collect() };
        if !skips {
            return all();
        }
        let mut sizes = vec![T::zero(); depth];
        for rows in values.chunks(ROWS * depth) {
            for row in rows.chunks_exact(depth) {
                sizes.iter_mut().zip(row).for_each(|(size, value)| *size = *size + value.abs());
            }
            if sizes.iter().filter(|size| size.is_zero()).count() * LEAST_SKIPPED < depth {
                return all();
            }
        }
        let kept: Vec<usize> = (0..depth).filter(|&k| !sizes[k].is_zero()).collect();
        let mut left = Vec::with_capacity(rows * kept.len());
        values.chunks_exact(depth).for_each(|row| left.extend(kept.iter().map(|&k| row[k])));
        Self { rows, values: Cow::Owned(left), kept }
    }
}

/// The rows of a left factor, or the same columns of some of them.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a, T> {
    pub(crate) values: &'a [T],
    /// From the beginning of a row to that of the next.
    pub(crate) pitch: usize,
    /// Rows, up to [`ROWS`].
    pub(crate) rows: usize,
}

/// left · panel for a panel of `width` columns, a whole number of units, whose row k begins at `panel[starts[k]]`; row i of
/// the result begins at `sums[i · pitch]`. It is added to what is there, if `adds`.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // Three matrices and how they lie.
pub(crate) fn product_of_tile<T: Lanes + Float, S: Simd>(
    simd: S,
    left: Left<T>,
    panel: &[T],
    width: usize,
    starts: &[usize],
    sums: &mut [T],
    pitch: usize,
    adds: bool,
) {
    let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
    let most = if S::REGISTER_COUNT >= 32 { UNITS } else { UNITS / 2 };
    let mut column = 0;
    while column < width {
        let vectors = ((width - column) / lanes).min(most);
        let (panel, sums) = (&panel[column..], &mut sums[column..]);
        match vectors {
            4.. => product_of_strip::<T, S, 4>(simd, left, panel, starts, sums, pitch, adds),
            3 => product_of_strip::<T, S, 3>(simd, left, panel, starts, sums, pitch, adds),
            2 => product_of_strip::<T, S, 2>(simd, left, panel, starts, sums, pitch, adds),
            _ => product_of_strip::<T, S, 1>(simd, left, panel, starts, sums, pitch, adds),
        }
        column += vectors.max(1) * lanes;
    }
}

#[inline(always)]
fn product_of_strip<T: Lanes + Float, S: Simd, const VECTORS: usize>(
    simd: S,
    left: Left<T>,
    panel: &[T],
    starts: &[usize],
    sums: &mut [T],
    pitch: usize,
    adds: bool,
) {
    let mut row = 0;
    while row < left.rows {
        let rest = Left { values: &left.values[row * left.pitch..], rows: left.rows - row, ..left };
        let sums = &mut sums[row * pitch..];
        row += match rest.rows {
            ROWS.. => product_of_block::<T, S, ROWS, VECTORS>(simd, rest, panel, starts, sums, pitch, adds),
            2.. => product_of_block::<T, S, 2, VECTORS>(simd, rest, panel, starts, sums, pitch, adds),
            _ => product_of_block::<T, S, 1, VECTORS>(simd, rest, panel, starts, sums, pitch, adds),
        };
    }
}

/// `COUNT` rows in `VECTORS` vectors, all of whose sums are in registers. Returns the number of rows.
///
/// Plain loops: where whole arrays are copied, the compiler keeps the sums in memory.
#[inline(always)]
#[allow(clippy::needless_range_loop, clippy::manual_memcpy)]
fn product_of_block<T: Lanes + Float, S: Simd, const COUNT: usize, const VECTORS: usize>(
    simd: S,
    left: Left<T>,
    panel: &[T],
    starts: &[usize],
    sums: &mut [T],
    pitch: usize,
    adds: bool,
) -> usize {
    let width = VECTORS * (size_of::<T::Vector<S>>() / size_of::<T>());
    let mut rows: [&[T]; COUNT] = [&[]; COUNT];
    for (i, row) in rows.iter_mut().enumerate() {
        *row = &left.values[i * left.pitch..][..starts.len()];
    }
    let mut totals = [[T::splat(simd, T::zero()); VECTORS]; COUNT];
    if adds {
        for i in 0..COUNT {
            let sums = &T::vectors::<S>(&sums[i * pitch..i * pitch + width])[..VECTORS];
            for v in 0..VECTORS {
                totals[i][v] = sums[v];
            }
        }
    }
    for k in 0..starts.len() {
        let right = &T::vectors::<S>(&panel[starts[k]..][..width])[..VECTORS];
        for i in 0..COUNT {
            let factor = T::splat(simd, rows[i][k]);
            for v in 0..VECTORS {
                totals[i][v] = T::multiply_add(simd, factor, right[v], totals[i][v]);
            }
        }
    }
    for i in 0..COUNT {
        let sums = &mut T::vectors_mut::<S>(&mut sums[i * pitch..i * pitch + width])[..VECTORS];
        for v in 0..VECTORS {
            sums[v] = totals[i][v];
        }
    }
    COUNT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{standard_normal, Seed};
    use proptest::prelude::*;

    struct Plain;

    impl<T> Finish<T> for Plain {
        fn finish(&self, _: usize, _: Range<usize>, _: &mut [T]) {}
    }

    fn draws(name: &str, seed: u64, count: usize) -> Vec<f32> {
        standard_normal(&mut Seed(seed).stream(name), count)
    }

    #[test]
    fn columns_are_divided_into_panels_of_nearly_equal_width() {
        let widths = |columns| Panels::of::<f32>(columns).ranges().map(|range| range.len() / 16).collect::<Vec<_>>();
        assert_eq!(
            [widths(1), widths(64), widths(65), widths(400)],
            [vec![1], vec![4], vec![2, 3], vec![3, 4, 3, 4, 3, 4, 4]]
        );
        assert_eq!(Panels::of::<f64>(65).padded(), 72);
    }

    proptest! {
        #![proptest_config(crate::testing::seeded(100))]

        /// Sums in order, fused, whatever the vectors and the other rows.
        #[test]
        fn products_are_sums_in_order_on_every_processor(
            rows in prop_oneof![0..15usize, GROUP - 2..GROUP + 9],
            depth in prop_oneof![1..40usize, DEPTH - 1..2 * DEPTH + 5],
            columns in 1..150usize,
            seed in 0..1000u64,
        ) {
            let (left, right) = (draws("left", seed, rows * depth), draws("right", seed, depth * columns));
            let packed = Packed::of_rows(&right, depth, columns);
            let found = multiply(&left, &packed, &Plain);
            let transposed: Vec<f64> = (0..columns * depth).map(|i| f64::from(right[i % depth * columns + i / depth])).collect();
            let double = Packed::of_columns(&transposed, depth, columns);
            let in_double = multiply(&left.iter().map(|&v| f64::from(v)).collect::<Vec<_>>(), &double, &Plain);
            let mut plainly = vec![0.0; rows * columns];
            pulp::Scalar::new().vectorize(Multiply { left: &left, right: &packed, output: &mut plainly, finish: &Plain });
            for i in 0..rows {
                let row = &left[i * depth..][..depth];
                let alone = multiply(row, &packed, &Plain);
                for j in 0..columns {
                    let column = || (0..depth).map(|k| right[k * columns + j]);
                    let at = i * columns + j;
                    let in_order = row.iter().zip(column()).fold(0.0_f32, |sum, (&a, b)| a.mul_add(b, sum));
                    let size: f32 = row.iter().zip(column()).map(|(a, b)| (a * b).abs()).sum();
                    let error = f64::from(size * f32::EPSILON) * depth as f64;
                    prop_assert!((in_double[at] - f64::from(in_order)).abs() <= error);
                    prop_assert!((in_double[at] - f64::from(plainly[at])).abs() <= error);
                    prop_assert_eq!(found[at].to_bits(), alone[j].to_bits());
                    if has_fused_products() {
                        prop_assert_eq!(found[at].to_bits(), in_order.to_bits());
                    }
                }
            }
        }
    }

    fn has_fused_products() -> bool {
        #[cfg(target_arch = "x86_64")]
        return std::arch::is_x86_feature_detected!("fma");
        #[cfg(not(target_arch = "x86_64"))]
        return cfg!(target_arch = "aarch64");
    }
}
