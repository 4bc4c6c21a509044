//! Products of matrices in the widest vectors of the processor, into which bias, activation or slopes are folded.
//!
//! The left factor is row-major; the right one lies in *panels* of a few vectors' width, one behind the other, so that it
//! is read from front to back. The sums of a few rows in one panel stay in registers for up to [`DEPTH`] steps at a time, and a
//! group of rows takes these steps before the next ones, so that the part of the panel is still in the nearest cache.
//!
//! What is 0 in all rows of a group, as are units that are off and the gradients in front of them, is left out: neighbouring
//! rows often are draws or perturbations of the same input.
//!
//! **Order.** Every value is a sum over k = 0, 1, … in this order, in fused products, whatever the other rows, the number of
//! rows and the width of the vectors; so it is the same bits alone or in a batch, and on every processor that has fused
//! products. One that has none (none made since 2013) rounds products, too. What is left out changes at most the sign of a 0.

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
pub(crate) const GROUP: usize = 8 * ROWS;
const DEPTH: usize = 144;
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

    pub(crate) fn panels(&self) -> impl Iterator<Item = (Range<usize>, &[T])> {
        Panels::of::<T>(self.columns).ranges().map(|range| {
            let start = self.start + range.start * self.depth;
            (range.clone(), &self.values[start..start + range.len() * self.depth])
        })
    }
}

/// What becomes of the sums of a row.
pub(crate) trait Finish<T> {
    fn finish(&self, row: usize, values: &mut [T]);
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
        // Loops, not chains of adapters, which would be compiled apart from them and for no vectors.
        let mut groups: Vec<Group<T>> = Vec::with_capacity(left.len().div_ceil(GROUP * depth));
        for rows in left.chunks(GROUP * depth) {
            groups.push(Group::of(rows, depth, skips));
        }
        // Sums of columns that hang over.
        let mut apart = [T::zero(); GROUP * MOST_COLUMNS];
        let mut starts = Vec::with_capacity(depth);
        for (range, panel) in right.panels() {
            let width = range.len();
            let hangs_over = range.end > columns;
            for (group, output) in groups.iter().zip(output.chunks_mut(GROUP * columns)) {
                starts.clear();
                starts.extend(group.kept.iter().map(|k| k * width));
                let pitch = starts.len();
                let (sums, line) =
                    if hangs_over { (&mut apart[..], MOST_COLUMNS) } else { (&mut output[range.start..], columns) };
                for steps in steps(pitch) {
                    let (first, starts) = (steps.start, &starts[steps]);
                    for row in (0..group.rows).step_by(ROWS) {
                        let rows = Pitched { values: &group.values[row * pitch + first..], pitch };
                        let (count, left, depth) = (ROWS.min(group.rows - row), Apart(1), starts.len());
                        let tile = Tile { rows, count, left, reach: depth, panel, right: starts, width, depth };
                        tile.multiply(simd, &mut sums[row * line..], line, first > 0);
                    }
                }
                if hangs_over {
                    for (row, sums) in output.chunks_exact_mut(columns).zip(apart.chunks_exact(MOST_COLUMNS)) {
                        row[range.start..].copy_from_slice(&sums[..columns - range.start]);
                    }
                }
            }
        }
        for (row, values) in output.chunks_exact_mut(columns).enumerate() {
            finish.finish(row, values);
        }
    }
}

/// All steps in nearly equal parts of [`DEPTH`] at most; one part if there are none.
pub(crate) fn steps(depth: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = depth.div_ceil(DEPTH).max(1);
    (0..parts).map(move |i| depth * i / parts..depth * (i + 1) / parts)
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

/// Where the k-th terms of all sums are, k = 0, 1, …
pub(crate) trait Terms: Copy {
    fn place(self, k: usize) -> usize;
}

/// So far apart.
#[derive(Clone, Copy)]
pub(crate) struct Apart(pub(crate) usize);

impl Terms for Apart {
    #[inline(always)]
    fn place(self, k: usize) -> usize {
        k * self.0
    }
}

impl Terms for &[usize] {
    #[inline(always)]
    fn place(self, k: usize) -> usize {
        self[k]
    }
}

/// Where the rows of a left factor begin.
pub(crate) trait Rows<'a, T>: Copy {
    fn row(self, i: usize) -> &'a [T];
}

/// Rows of a row-major matrix.
#[derive(Clone, Copy)]
pub(crate) struct Pitched<'a, T> {
    pub(crate) values: &'a [T],
    /// From the beginning of a row to that of the next.
    pub(crate) pitch: usize,
}

impl<'a, T: Copy> Rows<'a, T> for Pitched<'a, T> {
    #[inline(always)]
    fn row(self, i: usize) -> &'a [T] {
        &self.values[i * self.pitch..]
    }
}

/// Rows anywhere.
#[derive(Clone, Copy)]
pub(crate) struct Scattered<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) starts: &'a [usize],
}

impl<'a, T: Copy> Rows<'a, T> for Scattered<'a, T> {
    #[inline(always)]
    fn row(self, i: usize) -> &'a [T] {
        &self.values[self.starts[i]..]
    }
}

/// Two factors: up to [`ROWS`] rows, and a panel of a whole number of units.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'a, T, W, L, R> {
    /// The k-th value of row i is `rows.row(i)[left(k)]`.
    pub(crate) rows: W,
    /// Number of rows.
    pub(crate) count: usize,
    pub(crate) left: L,
    /// Values of a row, from the beginning on, that are read.
    pub(crate) reach: usize,
    /// The k-th row is `panel[right(k)..][..width]`.
    pub(crate) panel: &'a [T],
    pub(crate) right: R,
    pub(crate) width: usize,
    /// Number of terms.
    pub(crate) depth: usize,
}

impl<'a, T: Lanes + Float, W: Rows<'a, T>, L: Terms, R: Terms> Tile<'a, T, W, L, R> {
    /// The product; row i begins at `sums[i · pitch]`. It is added to what is there, if `adds`.
    #[inline(always)]
    pub(crate) fn multiply<S: Simd>(self, simd: S, sums: &mut [T], pitch: usize, adds: bool) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let most = if S::REGISTER_COUNT >= 32 { UNITS } else { UNITS / 2 };
        let mut column = 0;
        while column < self.width {
            let vectors = ((self.width - column) / lanes).min(most);
            let (strip, sums) = (Self { panel: &self.panel[column..], ..self }, &mut sums[column..]);
            match vectors {
                4.. => strip.multiply_strip::<S, 4>(simd, sums, pitch, adds),
                3 => strip.multiply_strip::<S, 3>(simd, sums, pitch, adds),
                2 => strip.multiply_strip::<S, 2>(simd, sums, pitch, adds),
                _ => strip.multiply_strip::<S, 1>(simd, sums, pitch, adds),
            }
            column += vectors.max(1) * lanes;
        }
    }

    #[inline(always)]
    fn multiply_strip<S: Simd, const VECTORS: usize>(self, simd: S, sums: &mut [T], pitch: usize, adds: bool) {
        let mut row = 0;
        while row < self.count {
            let sums = &mut sums[row * pitch..];
            row += match self.count - row {
                ROWS.. => self.multiply_block::<S, ROWS, VECTORS>(simd, row, sums, pitch, adds),
                2.. => self.multiply_block::<S, 2, VECTORS>(simd, row, sums, pitch, adds),
                _ => self.multiply_block::<S, 1, VECTORS>(simd, row, sums, pitch, adds),
            };
        }
    }

    /// `COUNT` rows from `first` on in `VECTORS` vectors, all of whose sums are in registers. Returns the number of rows.
    ///
    /// Plain loops: where whole arrays are copied, the compiler keeps the sums in memory.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, clippy::manual_memcpy)]
    fn multiply_block<S: Simd, const COUNT: usize, const VECTORS: usize>(
        self,
        simd: S,
        first: usize,
        sums: &mut [T],
        pitch: usize,
        adds: bool,
    ) -> usize {
        let width = VECTORS * (size_of::<T::Vector<S>>() / size_of::<T>());
        let mut rows: [&[T]; COUNT] = [&[]; COUNT];
        for i in 0..COUNT {
            rows[i] = &self.rows.row(first + i)[..self.reach];
        }
        let mut totals = [[T::splat(simd, T::zero()); VECTORS]; COUNT];
        if adds {
            for i in 0..COUNT {
                let sums = &T::vectors::<S>(&sums[i * pitch..][..width])[..VECTORS];
                for v in 0..VECTORS {
                    totals[i][v] = sums[v];
                }
            }
        }
        for k in 0..self.depth {
            let right = &T::vectors::<S>(&self.panel[self.right.place(k)..][..width])[..VECTORS];
            let left = self.left.place(k);
            for i in 0..COUNT {
                let factor = T::splat(simd, rows[i][left]);
                for v in 0..VECTORS {
                    totals[i][v] = T::multiply_add(simd, factor, right[v], totals[i][v]);
                }
            }
        }
        for i in 0..COUNT {
            let sums = &mut T::vectors_mut::<S>(&mut sums[i * pitch..][..width])[..VECTORS];
            for v in 0..VECTORS {
                sums[v] = totals[i][v];
            }
        }
        COUNT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{standard_normal, Seed};
    use proptest::prelude::*;

    struct Plain;

    impl<T> Finish<T> for Plain {
        fn finish(&self, _: usize, _: &mut [T]) {}
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
            zeros in 0..5usize,
            seed in 0..1000u64,
        ) {
            let (mut left, right) = (draws("left", seed, rows * depth), draws("right", seed, depth * columns));
            // Of either sign, in all rows.
            for (i, value) in left.iter_mut().enumerate() {
                if i % depth * 7 % 4 < zeros {
                    *value *= 0.0;
                }
            }
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

    #[test]
    fn nothing_is_left_out_in_front_of_values_that_are_not_finite() {
        let mut right = vec![1.0_f32; 8 * LEAST_COLUMNS];
        right[LEAST_COLUMNS + 3] = f32::INFINITY;
        let left = [1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let found = multiply(&left, &Packed::of_rows(&right, 8, LEAST_COLUMNS), &Plain);
        assert!(found[3].is_nan() && found.iter().enumerate().all(|(i, &value)| i == 3 || value == 7.0), "{found:?}");
    }

    #[test]
    fn columns_of_zeros_are_left_out_and_only_these() {
        let kept = |values: &[f32], depth| {
            let Group { kept, values, .. } = Group::of(values, depth, true);
            (kept, values.into_owned())
        };
        assert_eq!(
            kept(&[0.0, 1.0, -0.0, 2.0, 3.0, 0.0, 0.0, 0.0], 4),
            (vec![0, 1, 3], vec![0.0, 1.0, 2.0, 3.0, 0.0, 0.0])
        );
        assert_eq!(kept(&[0.0, 0.0], 2), (vec![], vec![]));
    }

    fn has_fused_products() -> bool {
        #[cfg(target_arch = "x86_64")]
        return std::arch::is_x86_feature_detected!("fma");
        #[cfg(not(target_arch = "x86_64"))]
        return cfg!(target_arch = "aarch64");
    }
}
