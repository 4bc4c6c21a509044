//! Convolutions and their adjoints as products that read the image where it lies.
//!
//! An image is copied once, divided by the stride: pixels whose rows and columns leave the same remainders become a *plane*
//! of their own, with zeros around it. Then the places that one weight meets at all windows of a row stand side by side, and
//! rows follow each other at a fixed distance; so one weight meets a plane shifted by a fixed number of values, and all
//! windows are the columns of one product whose rows overlap. A few columns between the rows are computed in vain.
//!
//! An adjoint is the same with the roles exchanged: the pixels of each remainder are a convolution of the gradient with the
//! weights that reach them.

use std::ops::Range;

use num_traits::Float;
use pulp::{Arch, Simd, WithSimd};

use super::layer::{product, Windows};
use super::product::{product_of_tile, Finish, Lanes, Left, Panels, MOST_COLUMNS, ROWS};

/// Planes may hold so many times the values of input, output and weights together; an image lost in wide padding is left to
/// the plain way.
const MOST_PLANES: usize = 8;

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
    parts: Vec<Part<T>>,
}

/// A part of the output: a product per group.
#[derive(Debug)]
struct Part<T> {
    /// Indices into the axes' parts.
    reach: [usize; 2],
    /// `[groups, output channels / groups, depth]`.
    weights: Vec<T>,
    /// Where each of `depth` weights meets a group's planes.
    starts: Vec<usize>,
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
        let mut parts = Vec::new();
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
                let mut weights = Vec::with_capacity(to[0] * all.len());
                for group in 0..groups {
                    for out in 0..group_to {
                        weights.extend(all.iter().map(|&(channel, row, column)| {
                            let (first, second) = match direction {
                                Direction::Forward => (group * group_to + out, channel),
                                Direction::Adjoint => (group * group_from + channel, out),
                            };
                            let place = row.place * windows.kernel[1] + column.place;
                            weight[(first * window_inputs + second) * product(&windows.kernel) + place]
                        }));
                    }
                }
                parts.push(Part { reach: [y, x], weights, starts: starts.collect() });
            }
        }
        let (inputs, outputs) = (product(&from), product(&to));
        let fills = fills(&rows, &columns);
        Some(Self { inputs, outputs, channels: from[0], groups, rows, columns, output: to, fills, parts })
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
        let mut output = vec![T::zero(); rows * self.outputs];
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
    output: &'a mut [T],
    finish: &'a F,
}

impl<T: Lanes + Float, F: Finish<T>> WithSimd for Apply<'_, T, F> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { map, input, output, finish } = self;
        let mut planes = vec![T::zero(); map.plane_values() + MOST_COLUMNS];
        // For a few channels, what each part gives, rows of the image at the pitch of its planes.
        let pitch = map.parts.iter().map(|part| Panels::of::<T>(map.places(part)).padded()).max().unwrap_or(0);
        let mut sums = vec![T::zero(); map.parts.len() * ROWS * pitch];
        let [channels, height, width] = map.output;
        let group_channels = channels / map.groups;
        let plane_values = map.plane_values();
        let group_planes = plane_values / map.groups;
        let images = input.chunks_exact(map.inputs).zip(output.chunks_exact_mut(map.outputs));
        for (index, (image, output)) in images.enumerate() {
            if plane_values > 0 {
                let channels = image.chunks_exact(map.rows.image * map.columns.image);
                for (image, planes) in channels.zip(planes.chunks_exact_mut(plane_values / map.channels)) {
                    map.fills.iter().for_each(|copies| copies.gather(image, map.columns.phases, planes));
                }
            }
            for (group, output) in output.chunks_exact_mut(group_channels * height * width).enumerate() {
                let planes = &planes[group * group_planes..];
                for (block, images) in output.chunks_mut(ROWS * height * width).enumerate() {
                    let first = group * group_channels + block * ROWS;
                    let count = images.len() / (height * width);
                    for (part, sums) in map.parts.iter().zip(sums.chunks_exact_mut(ROWS * pitch)) {
                        let depth = part.starts.len();
                        // Nothing meets these values, which are 0.
                        if depth == 0 {
                            continue;
                        }
                        let weights = &part.weights[first * depth..][..count * depth];
                        for range in Panels::of::<T>(map.places(part)).ranges() {
                            let (panel, sums) = (&planes[range.start..], &mut sums[range.start..]);
                            let left = Left { values: weights, pitch: depth, rows: count };
                            product_of_tile(simd, left, panel, range.len(), &part.starts, sums, pitch, false);
                        }
                    }
                    for (channel, image) in images.chunks_exact_mut(height * width).enumerate() {
                        map.assemble(&sums[channel * pitch..], ROWS * pitch, image);
                    }
                }
            }
            finish.finish(index, 0..map.outputs, output);
        }
    }
}

impl<T: Lanes> Direct<T> {
    /// Columns of a part's product.
    fn places(&self, part: &Part<T>) -> usize {
        let (rows, columns) = (&self.rows.parts[part.reach[0]], &self.columns.parts[part.reach[1]]);
        (rows.count - 1) * self.columns.length + columns.count
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
