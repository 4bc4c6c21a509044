//! Convolutions and their adjoints as products that read the image where it lies.
//!
//! An image is copied once, divided by the stride: pixels whose rows and columns leave the same remainders become a *plane*
//! of their own, with zeros around it. Then the places that one weight meets at all windows of a row stand side by side, and
//! rows follow each other at a fixed distance; so one weight meets a plane shifted by a fixed number of values, and all
//! windows are the columns of one product whose rows overlap. A few columns between the rows are computed in vain.
//!
//! An adjoint is the same with the roles exchanged: the pixels of each remainder are a convolution of the gradient with the
//! weights that reach them.
//!
//! Where small images would leave many of these columns unused, channels are the columns instead, and windows the rows: the
//! factor from the image is read where it lies, value by value, and what comes out is turned around.

use std::ops::Range;

use num_traits::Float;
use pulp::{Arch, Simd, WithSimd};

use super::layer::{product, Windows};
use super::product::{steps, Apart, Finish, Lanes, Packed, Panels, Pitched, Scattered, Tile, MOST_COLUMNS, ROWS};

/// Planes may hold so many times the values of input, output and weights together; an image lost in wide padding is left to
/// the plain way.
const MOST_PLANES: usize = 8;

/// To turn a value around takes as long as so many products.
const TURNING: usize = 96;

/// Which way a convolution is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the windows' input to their output.
    Forward,
    /// From a gradient at their output to one at their input.
    Adjoint,
}

/// One axis of the planes and what of them each part of the output meets.
#[derive(Debug)]
struct Axis {
    /// Pixels of the image that is read.
    image: usize,
    /// Remainders by which the image is divided.
    phases: usize,
    /// Values of a plane.
    length: usize,
    /// The pixel, among those of its remainder, with which planes begin.
    begin: i64,
    parts: Vec<Reach>,
}

/// The values of the output that start at `first` in steps of `step`, and where each place of a window meets them.
#[derive(Debug)]
struct Reach {
    first: usize,
    step: usize,
    count: usize,
    taps: Vec<Tap>,
}

/// A place of the kernel and the pixel that it meets at the first value of the output: its remainder, and its number among
/// the pixels of that remainder, below 0 in front of the image.
#[derive(Debug, Clone, Copy)]
struct Tap {
    place: usize,
    phase: usize,
    pixel: i64,
}

/// Sizes are far below the limits of either type.
fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// 0 for what is below it.
fn unsigned(value: i64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

impl Axis {
    fn new(windows: &Windows, axis: usize, direction: Direction) -> Self {
        let (input, output, stride) = (windows.input[axis + 1], windows.output[axis + 1], windows.stride[axis]);
        let places = || {
            let offset = |place: usize| signed(place * windows.dilation[axis]) - signed(windows.padding[axis]);
            (0..windows.kernel[axis]).map(move |place| (place, offset(place)))
        };
        let step = signed(stride);
        let parts: Vec<Reach> = match direction {
            Direction::Forward => {
                let tap = |(place, offset): (usize, i64)| Tap {
                    place,
                    phase: unsigned(offset.rem_euclid(step)),
                    pixel: offset.div_euclid(step),
                };
                vec![Reach { first: 0, step: 1, count: output, taps: places().map(tap).collect() }]
            }
            Direction::Adjoint => {
                let reach = |first: usize| {
                    let taps = places().filter_map(|(place, offset)| {
                        let distance = signed(first) - offset;
                        let meets = distance.rem_euclid(step) == 0;
                        meets.then_some(Tap { place, phase: 0, pixel: distance.div_euclid(step) })
                    });
                    Reach { first, step: stride, count: (input - first).div_ceil(stride), taps: taps.collect() }
                };
                (0..stride.min(input)).map(reach).collect()
            }
        };
        let (image, phases) = match direction {
            Direction::Forward => (input, stride),
            Direction::Adjoint => (output, 1),
        };
        let taps = || parts.iter().flat_map(|part| part.taps.iter().map(|tap| (tap.pixel, signed(part.count))));
        let begin = taps().map(|(pixel, _)| pixel).min().unwrap_or(0);
        let end = taps().map(|(pixel, count)| pixel + count).max().unwrap_or(0);
        Self { image, phases, length: unsigned(end - begin), begin, parts }
    }

    /// Where in its plane a weight first meets the image.
    fn start(&self, tap: &Tap) -> usize {
        unsigned(tap.pixel - self.begin)
    }

    /// The pixels of one remainder that lie within its plane: the first one, and the places of all of them.
    fn inside(&self, phase: usize) -> (usize, Range<usize>) {
        let pixels = self.image.saturating_sub(phase).div_ceil(self.phases);
        let place = |pixel: usize| unsigned(signed(pixel) - self.begin).min(self.length);
        let skipped = unsigned(self.begin);
        (skipped * self.phases + phase, place(skipped)..place(pixels.max(skipped)))
    }
}

/// A convolution with its weights, in one direction.
#[derive(Debug)]
pub(crate) struct Direct<T> {
    inputs: usize,
    outputs: usize,
    channels: usize,
    groups: usize,
    rows: Axis,
    columns: Axis,
    /// \[channels, height, width\] of the output.
    output: [usize; 3],
    fills: Vec<RowCopies>,
    parts: Vec<Part>,
    weights: Weights<T>,
}

/// A part of the output: a product per group.
#[derive(Debug)]
struct Part {
    /// Indices into the axes' parts.
    reach: [usize; 2],
    /// Where each window begins within a plane.
    windows: Vec<usize>,
    /// Where each of `depth` weights meets a group's planes at the first window.
    starts: Vec<usize>,
}

/// The weights of every part.
#[derive(Debug)]
enum Weights<T> {
    /// `[groups, output channels / groups, depth]`, left factors: windows are the columns of the products.
    Left(Vec<Vec<T>>),
    /// Per group `[depth, output channels / groups]`, right factors: channels are the columns.
    Right(Vec<Vec<Packed<T>>>),
}

impl<T: Lanes + Float> Direct<T> {
    /// `weight`: `[windows.output channels, windows.input channels / groups, kernel height, kernel width]`, row-major. None
    /// if the planes would be large beyond reason.
    pub(crate) fn new(windows: &Windows, weight: &[T], direction: Direction) -> Option<Self> {
        let (from, to) = match direction {
            Direction::Forward => (windows.input, windows.output),
            Direction::Adjoint => (windows.output, windows.input),
        };
        let (rows, columns) = (Axis::new(windows, 0, direction), Axis::new(windows, 1, direction));
        let planes = product(&[from[0], rows.phases, columns.phases, rows.length, columns.length]);
        let values = product(&from).saturating_add(product(&to)).saturating_add(weight.len());
        if planes > values.saturating_mul(MOST_PLANES) {
            return None;
        }
        let groups = windows.groups;
        let (group_from, group_to) = (from[0] / groups, to[0] / groups);
        let window_inputs = windows.input[0] / groups;
        let area = rows.length * columns.length;
        let (mut parts, mut weights) = (Vec::new(), Vec::new());
        for (y, row_reach) in rows.parts.iter().enumerate() {
            for (x, column_reach) in columns.parts.iter().enumerate() {
                let columns_of = &column_reach.taps;
                let taps = |channel: usize| {
                    row_reach
                        .taps
                        .iter()
                        .flat_map(move |row| columns_of.iter().map(move |column| (channel, row, column)))
                };
                let all: Vec<_> = (0..group_from).flat_map(taps).collect();
                let starts = all.iter().map(|&(channel, row, column)| {
                    let plane = (channel * rows.phases + row.phase) * columns.phases + column.phase;
                    plane * area + rows.start(row) * columns.length + columns.start(column)
                });
                let mut part_weights = Vec::with_capacity(to[0] * all.len());
                for group in 0..groups {
                    for out in 0..group_to {
                        part_weights.extend(all.iter().map(|&(channel, row, column)| {
                            let (first, second) = match direction {
                                Direction::Forward => (group * group_to + out, channel),
                                Direction::Adjoint => (group * group_from + channel, out),
                            };
                            let place = row.place * windows.kernel[1] + column.place;
                            weight[(first * window_inputs + second) * product(&windows.kernel) + place]
                        }));
                    }
                }
                let row = |row: usize| (0..column_reach.count).map(move |column| row * columns.length + column);
                let windows = (0..row_reach.count).flat_map(row).collect();
                parts.push(Part { reach: [y, x], windows, starts: starts.collect() });
                weights.push(part_weights);
            }
        }
        let (inputs, outputs) = (product(&from), product(&to));
        let fills = fills(&rows, &columns);
        let weights = Weights::Left(weights);
        let mut map =
            Self { inputs, outputs, channels: from[0], groups, rows, columns, output: to, fills, parts, weights };
        if map.is_cheaper_turned() {
            map.turn();
        }
        Some(map)
    }

    /// Whether products cost less with channels as their columns.
    fn is_cheaper_turned(&self) -> bool {
        let channels = self.output[0] / self.groups;
        let (mut as_it_is, mut turned) = (0, 0);
        for part in &self.parts {
            let (depth, windows) = (part.starts.len(), part.windows.len());
            as_it_is += depth * channels * Panels::of::<T>(part.places()).padded();
            turned += depth * windows * Panels::of::<T>(channels).padded() + TURNING * windows * channels;
        }
        turned < as_it_is
    }

    /// Makes channels the columns of the products.
    fn turn(&mut self) {
        let Weights::Left(parts) = &self.weights else { return };
        let channels = self.output[0] / self.groups;
        let pack = |(weights, part): (&Vec<T>, &Part)| {
            let depth = part.starts.len();
            let groups = weights.chunks_exact((channels * depth).max(1));
            groups.map(|weights| Packed::of_columns(weights, depth, channels)).collect()
        };
        self.weights = Weights::Right(parts.iter().zip(&self.parts).map(pack).collect());
    }

    /// The width of a row of the input.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// The width of a row of the output.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Row by row through `finish`: `[rows, inputs]` → `[rows, outputs]`.
    pub(crate) fn apply<F: Finish<T>>(&self, input: &[T], finish: &F) -> Vec<T> {
        let rows = input.len().checked_div(self.inputs).unwrap_or(0);
        let mut output = Vec::with_capacity(rows * self.outputs);
        Arch::new().dispatch(Apply { map: self, input, output: &mut output, finish });
        output
    }

    fn plane_values(&self) -> usize {
        product(&[self.channels, self.rows.phases, self.columns.phases, self.rows.length, self.columns.length])
    }
}

/// Which rows of a channel of the image go where in its planes: of each remainder of columns, (from, to) of every row.
fn fills(rows: &Axis, columns: &Axis) -> Vec<RowCopies> {
    let fill = |column_phase: usize| {
        let (first_column, column_places) = columns.inside(column_phase);
        let mut copies = RowCopies { rows: vec![], count: column_places.len() };
        for row_phase in 0..rows.phases {
            let (first_row, row_places) = rows.inside(row_phase);
            let plane = (row_phase * columns.phases + column_phase) * rows.length * columns.length;
            copies.rows.extend(row_places.enumerate().map(|(i, place)| {
                let from = (first_row + i * rows.phases) * columns.image + first_column;
                (from, plane + place * columns.length + column_places.start)
            }));
        }
        copies
    };
    (0..columns.phases).map(fill).filter(|copies| copies.count > 0).collect()
}

/// Rows of equally many values, as (from, to).
#[derive(Debug)]
struct RowCopies {
    rows: Vec<(usize, usize)>,
    count: usize,
}

impl RowCopies {
    /// Takes every `step`-th value of a row.
    #[inline(always)]
    fn gather<T: Lanes>(&self, from: &[T], step: usize, to: &mut [T]) {
        let Self { rows, count } = self;
        for &(source, target) in rows {
            let target = &mut to[target..][..*count];
            let source = &from[source..];
            match step {
                1 => copy_row(target, &source[..*count]),
                2 => copy_every_second(target, source),
                step => target.iter_mut().zip(source.iter().step_by(step)).for_each(|(to, &from)| *to = from),
            }
        }
    }
}

struct Apply<'a, T, F> {
    map: &'a Direct<T>,
    input: &'a [T],
    output: &'a mut Vec<T>,
    finish: &'a F,
}

impl<T: Lanes + Float, F: Finish<T>> WithSimd for Apply<'_, T, F> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { map, input, output, finish } = self;
        let mut planes = vec![T::zero(); map.plane_values() + MOST_COLUMNS];
        let mut sums = vec![T::zero(); map.parts.len() * map.sums_of_part()];
        let [channels, height, width] = map.output;
        let group_values = channels / map.groups * height * width;
        let plane_values = map.plane_values();
        let group_planes = plane_values / map.groups;
        // Every value is written for every image, which then leaves the nearest cache once.
        let mut row = vec![T::zero(); map.outputs];
        for (index, image) in input.chunks_exact(map.inputs).enumerate() {
            if plane_values > 0 {
                let channels = image.chunks_exact(map.rows.image * map.columns.image);
                for (image, planes) in channels.zip(planes.chunks_exact_mut(plane_values / map.channels)) {
                    map.fills.iter().for_each(|copies| copies.gather(image, map.columns.phases, planes));
                }
            }
            for (group, output) in row.chunks_exact_mut(group_values).enumerate() {
                let planes = &planes[group * group_planes..];
                match &map.weights {
                    Weights::Left(weights) => map.windows_at_once(simd, weights, group, planes, &mut sums, output),
                    Weights::Right(weights) => map.channels_at_once(simd, weights, group, planes, &mut sums, output),
                }
            }
            finish.finish(index, &mut row);
            output.extend_from_slice(&row);
        }
    }
}

impl Part {
    /// Places of a plane from the first window to the last.
    fn places(&self) -> usize {
        self.windows.last().map_or(0, |last| last + 1)
    }
}

impl<T: Lanes + Float> Direct<T> {
    /// Values that a part's products give before they are assembled.
    fn sums_of_part(&self) -> usize {
        let channels = Panels::of::<T>(self.output[0] / self.groups).padded();
        let of_part = |part: &Part| match self.weights {
            Weights::Left(_) => ROWS * Panels::of::<T>(part.places()).padded(),
            Weights::Right(_) => part.windows.len() * channels,
        };
        self.parts.iter().map(of_part).max().unwrap_or(0)
    }

    /// The output of a group, a few channels at a time: `sums` holds what each part gives, rows of the image at the pitch of
    /// its planes.
    #[inline(always)]
    fn windows_at_once<S: Simd>(
        &self,
        simd: S,
        weights: &[Vec<T>],
        group: usize,
        planes: &[T],
        sums: &mut [T],
        output: &mut [T],
    ) {
        let [channels, height, width] = self.output;
        let pitch = self.sums_of_part() / ROWS;
        for (block, images) in output.chunks_mut(ROWS * height * width).enumerate() {
            let first = group * channels / self.groups + block * ROWS;
            let count = images.len() / (height * width);
            for ((part, weights), sums) in self.parts.iter().zip(weights).zip(sums.chunks_exact_mut(ROWS * pitch)) {
                let depth = part.starts.len();
                // Nothing meets these values, which are 0.
                if depth == 0 {
                    continue;
                }
                let rows = Pitched { values: &weights[first * depth..], pitch: depth };
                for range in Panels::of::<T>(part.places()).ranges() {
                    let (panel, right, width) = (&planes[range.start..], &part.starts[..], range.len());
                    let tile = Tile { rows, count, left: Apart(1), reach: depth, panel, right, width, depth };
                    tile.multiply(simd, &mut sums[range.start..], pitch, false);
                }
            }
            for (channel, image) in images.chunks_exact_mut(height * width).enumerate() {
                self.assemble(&sums[channel * pitch..], ROWS * pitch, image);
            }
        }
    }

    /// The same, all channels of a window at a time.
    #[inline(always)]
    fn channels_at_once<S: Simd>(
        &self,
        simd: S,
        weights: &[Vec<Packed<T>>],
        group: usize,
        planes: &[T],
        sums: &mut [T],
        output: &mut [T],
    ) {
        let [channels, height, width] = self.output;
        let pitch = Panels::of::<T>(channels / self.groups).padded();
        let size = self.sums_of_part();
        for ((part, weights), sums) in self.parts.iter().zip(weights).zip(sums.chunks_exact_mut(size)) {
            let depth = part.starts.len();
            let Some(weights) = weights.get(group) else { continue };
            for (range, panel) in weights.panels() {
                let (right, width) = (Apart(range.len()), range.len());
                for steps in steps(depth) {
                    let first = steps.start;
                    let (left, panel) = (&part.starts[steps], &panel[first * width..]);
                    let reach = left.iter().max().map_or(0, |start| start + 1);
                    for (block, windows) in part.windows.chunks(ROWS).enumerate() {
                        let (rows, count) = (Scattered { values: planes, starts: windows }, windows.len());
                        let tile = Tile { rows, count, left, reach, panel, right, width, depth: left.len() };
                        tile.multiply(simd, &mut sums[block * ROWS * pitch + range.start..], pitch, first > 0);
                    }
                }
            }
        }
        for (channel, image) in output.chunks_exact_mut(height * width).enumerate() {
            for (part, sums) in self.parts.iter().zip(sums.chunks_exact(size)) {
                let (rows, columns) = (&self.rows.parts[part.reach[0]], &self.columns.parts[part.reach[1]]);
                for row in 0..rows.count {
                    let target = &mut image[(rows.first + row * rows.step) * width..][columns.first..width];
                    let sums = sums[row * columns.count * pitch + channel..].iter().step_by(pitch).take(columns.count);
                    target.iter_mut().step_by(columns.step).zip(sums).for_each(|(to, &from)| *to = from);
                }
            }
        }
    }

    /// One channel from the sums of all parts, which stand `pitch` apart.
    #[inline(always)]
    fn assemble(&self, sums: &[T], pitch: usize, image: &mut [T]) {
        let width = self.output[2];
        let column_parts = self.columns.parts.len();
        for (y, reach) in self.rows.parts.iter().enumerate() {
            for row in 0..reach.count {
                let target = &mut image[(reach.first + row * reach.step) * width..][..width];
                let part = |x: usize| &sums[(y * column_parts + x) * pitch + row * self.columns.length..];
                match &self.columns.parts[..] {
                    // As all strides of 2 have it, without strided stores.
                    [first, _] if first.step == 2 => interleave(target, part(0), part(1)),
                    parts => {
                        for (x, reach) in parts.iter().enumerate() {
                            let source = &part(x)[..reach.count];
                            match reach.step {
                                1 => copy_row(&mut target[reach.first..], source),
                                step => {
                                    let target = target[reach.first..].iter_mut().step_by(step);
                                    target.zip(source).for_each(|(to, &from)| *to = from);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A row of a few values: a call that moves memory costs more than what is moved.
#[inline(always)]
fn copy_row<T: Lanes>(target: &mut [T], source: &[T]) {
    match target.len() {
        16..32 => copy_both_ends::<T, 16>(target, source),
        8..16 => copy_both_ends::<T, 8>(target, source),
        4..8 => copy_both_ends::<T, 4>(target, source),
        _ => target.copy_from_slice(&source[..target.len()]),
    }
}

/// `N` values from either end, which may overlap.
#[inline(always)]
fn copy_both_ends<T: Lanes, const N: usize>(target: &mut [T], source: &[T]) {
    let last = target.len() - N;
    target[..N].copy_from_slice(&source[..N]);
    target[last..].copy_from_slice(&source[last..last + N]);
}

/// Values 0, 2, 4, … of the source.
#[inline(always)]
fn copy_every_second<T: Lanes>(target: &mut [T], source: &[T]) {
    /// Half as many as `M`.
    #[inline(always)]
    fn up_to<T: Lanes, const N: usize, const M: usize>(target: &mut [T], source: &[T]) {
        let last = target.len() - N;
        for start in [0, last] {
            let mut values = [source[0]; N];
            for (value, pair) in values.iter_mut().zip(source[2 * start..][..M].chunks_exact(2)) {
                *value = pair[0];
            }
            target[start..start + N].copy_from_slice(&values);
        }
    }
    match target.len() {
        8..16 if source.len() >= 2 * target.len() => up_to::<T, 8, 16>(target, source),
        4..8 if source.len() >= 2 * target.len() => up_to::<T, 4, 8>(target, source),
        _ => target.iter_mut().zip(source.iter().step_by(2)).for_each(|(to, &from)| *to = from),
    }
}

/// even₀, odd₀, even₁, … The sources may have more values than are taken.
#[inline(always)]
fn interleave<T: Lanes>(target: &mut [T], even: &[T], odd: &[T]) {
    /// `M` = 2`N` values from either end, which may overlap.
    #[inline(always)]
    fn up_to<T: Lanes, const N: usize, const M: usize>(target: &mut [T], even: &[T], odd: &[T]) {
        let last = target.len() - M;
        let (first, second) = match last % 2 {
            0 => (&even[last / 2..], &odd[last / 2..]),
            _ => (&odd[last / 2..], &even[last / 2 + 1..]),
        };
        for (start, first, second) in [(0, even, odd), (last, first, second)] {
            let mut values = [first[0]; M];
            for ((pair, &first), &second) in values.chunks_exact_mut(2).zip(&first[..N]).zip(&second[..N]) {
                pair[0] = first;
                pair[1] = second;
            }
            target[start..start + M].copy_from_slice(&values);
        }
    }
    match target.len() {
        16..32 => up_to::<T, 8, 16>(target, even, odd),
        8..16 => up_to::<T, 4, 8>(target, even, odd),
        _ => {
            for (i, value) in target.iter_mut().enumerate() {
                *value = if i % 2 == 0 { even[i / 2] } else { odd[i / 2] };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{standard_normal, Seed};
    use proptest::prelude::*;

    /// Leaves something in every value.
    struct Raise;

    impl Finish<f32> for Raise {
        fn finish(&self, _: usize, values: &mut [f32]) {
            values.iter_mut().for_each(|value| *value += 1.0);
        }
    }

    /// From an image of this height and one column more, with windows as high as wide.
    fn windows(
        channels: [usize; 2],
        height: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        groups: usize,
    ) -> Windows {
        let size = |length: usize| (length + 2 * padding - kernel) / stride + 1;
        Windows {
            input: [channels[0], height, height + 1],
            output: [channels[1], size(height), size(height + 1)],
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            padding: [padding; 2],
            groups,
        }
    }

    fn map(windows: &Windows, direction: Direction) -> Direct<f32> {
        let count = windows.output[0] * windows.input[0] / windows.groups * product(&windows.kernel);
        Direct::new(windows, &standard_normal(&mut Seed(0).stream("weights"), count), direction).unwrap()
    }

    #[test]
    fn channels_are_the_columns_where_small_images_have_many() {
        let is_turned = |channels, height, direction| {
            matches!(map(&windows(channels, height, 4, 2, 1, 1), direction).weights, Weights::Right(_))
        };
        assert!(is_turned([32, 64], 14, Direction::Forward));
        assert!(is_turned([128, 256], 8, Direction::Adjoint));
        assert!(!is_turned([1, 32], 28, Direction::Forward));
        assert!(!is_turned([16, 32], 64, Direction::Adjoint));
    }

    proptest! {
        #![proptest_config(crate::testing::seeded(100))]

        #[test]
        fn turned_products_and_images_alone_have_the_same_bits(
            (input, output, groups) in prop_oneof![Just((4, 6, 2)), Just((20, 20, 1)), Just((3, 70, 1)), Just((1, 1, 1))],
            height in 3..9usize,
            kernel in 1..4usize,
            stride in 1..4usize,
            padding in 0..2usize,
            direction in prop_oneof![Just(Direction::Forward), Just(Direction::Adjoint)],
        ) {
            let mut map = map(&windows([input, output], height, kernel, stride, padding.min(kernel - 1), groups), direction);
            let images: Vec<f32> = standard_normal(&mut Seed(1).stream("images"), 2 * map.inputs());
            if matches!(map.weights, Weights::Right(_)) {
                return Err(TestCaseError::reject("too large to be left as it is"));
            }
            let bits = |map: &Direct<f32>, images: &[f32]| -> Vec<u32> {
                map.apply(images, &Raise).into_iter().map(f32::to_bits).collect()
            };
            let as_it_is = bits(&map, &images);
            prop_assert!(as_it_is.iter().any(|value| *value != 1.0_f32.to_bits()));
            let alone = |map: &Direct<f32>| -> Vec<u32> {
                images.chunks(map.inputs()).flat_map(|image| bits(map, image)).collect()
            };
            prop_assert_eq!(&as_it_is, &alone(&map));
            map.turn();
            prop_assert_eq!(&as_it_is, &bits(&map, &images));
            prop_assert_eq!(&as_it_is, &alone(&map));
        }
    }
}
