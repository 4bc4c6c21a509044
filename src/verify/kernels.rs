//! Convolutions and their adjoints, as products of matrices: windows are laid out as rows, a bounded number at a time.

use std::ops::Range;

use super::matrix::{product, roundings, Matrix};
use super::windows::{volume, Windows};

/// Most numbers in the windows that are laid out together, where not even four windows are more.
const LAID_OUT: usize = 1 << 17;

/// The weights of a convolution from an image (`windows.input`) to another one (`windows.output`).
#[derive(Debug)]
pub(super) struct Kernels {
    pub(super) windows: Windows,
    /// For each group \[output channels of the group, input channels of the group × kernel\].
    groups: Vec<Matrix>,
    /// Their transposes.
    turned: Vec<Matrix>,
}

/// Some windows of each of some images.
struct Block {
    images: Range<usize>,
    places: Range<usize>,
}

impl Block {
    fn len(&self) -> usize {
        self.images.len() * self.places.len()
    }
}

/// All `places` of all `images`, at most `limit` at a time.
fn blocks(images: usize, places: usize, limit: usize) -> Vec<Block> {
    let (some_images, some_places) = (limit.div_euclid(places).max(1), limit.min(places));
    let cut = |total: usize, step: usize| (0..total).step_by(step).map(move |from| from..(from + step).min(total));
    let within =
        |images: Range<usize>| cut(places, some_places).map(move |p| Block { images: images.clone(), places: p });
    cut(images, some_images).flat_map(within).collect()
}

impl Kernels {
    /// `weight` is \[output channels, input channels of one group, kernel height, kernel width\], row-major.
    pub(super) fn new(windows: Windows, weight: &[f64]) -> Self {
        let (rows, columns) = (windows.output[0] / windows.groups, Self::seen(&windows));
        let group = |entries: &[f64]| Matrix { rows, columns, entries: entries.to_vec() };
        let groups: Vec<Matrix> = weight.chunks_exact((rows * columns).max(1)).map(group).collect();
        let turned = groups.iter().map(Matrix::transposed).collect();
        Self { windows, groups, turned }
    }

    /// How many numbers one window sees.
    fn seen(windows: &Windows) -> usize {
        windows.input[0] / windows.groups * volume(&windows.kernel)
    }

    /// How many windows are laid out together.
    fn limit(&self) -> usize {
        (LAID_OUT / Self::seen(&self.windows).max(1)).max(4)
    }

    /// How many roundings a term of one entry of [`Self::convolved`] meets.
    pub(super) fn roundings(&self) -> usize {
        roundings(Self::seen(&self.windows))
    }

    /// How many roundings a term of one entry of [`Self::spread`] meets: in a product and in a sum over the kernel.
    pub(super) fn roundings_spread(&self) -> usize {
        roundings(self.windows.output[0] / self.windows.groups) + volume(&self.windows.kernel)
    }

    /// The convolution of each row, without a bias.
    pub(super) fn convolved(&self, images: &Matrix) -> Matrix {
        let places = self.windows.places();
        let width = volume(&self.windows.output);
        let mut out = Matrix { rows: images.rows, columns: width, entries: vec![0.0; images.rows * width] };
        for block in blocks(images.rows, places, self.limit()) {
            for (g, group) in self.groups.iter().enumerate() {
                let found = product(group, &self.laid_out(images, g, &block));
                for o in 0..group.rows {
                    let start = (g * group.rows + o) * places + block.places.start;
                    let values = found.row(o).chunks_exact(block.places.len());
                    for (image, values) in block.images.clone().zip(values) {
                        out.row_mut(image)[start..start + values.len()].copy_from_slice(values);
                    }
                }
            }
        }
        out
    }

    /// What the windows of a block see of one group's channels, a row per window.
    fn laid_out(&self, images: &Matrix, group: usize, block: &Block) -> Matrix {
        let w = &self.windows;
        let ([_, height, width], columns) = (w.input, Self::seen(w));
        let first = group * (w.input[0] / w.groups) * height * width;
        let mut rows = Matrix { rows: block.len(), columns, entries: vec![0.0; block.len() * columns] };
        let windows = block.images.clone().flat_map(|image| block.places.clone().map(move |place| (image, place)));
        for (row, (image, place)) in rows.entries.chunks_exact_mut(columns).zip(windows) {
            let (y, x) = (place / w.output[2], place % w.output[2]);
            let channels = images.row(image)[first..].chunks_exact(height * width);
            for (seen, channel) in row.chunks_exact_mut(volume(&w.kernel)).zip(channels) {
                for (ky, seen) in seen.chunks_exact_mut(w.kernel[1]).enumerate() {
                    let Some(line) = w.place(0, y, ky).map(|at| &channel[at * width..(at + 1) * width]) else {
                        continue;
                    };
                    for (kx, seen) in seen.iter_mut().enumerate() {
                        *seen = w.place(1, x, kx).map_or(0.0, |at| line[at]);
                    }
                }
            }
        }
        rows
    }

    /// The adjoint of the convolution at each row: every value is spread over what its window sees.
    pub(super) fn spread(&self, images: &Matrix) -> Matrix {
        let (places, width) = (self.windows.places(), volume(&self.windows.input));
        let mut out = Matrix { rows: images.rows, columns: width, entries: vec![0.0; images.rows * width] };
        for block in blocks(images.rows, places, self.limit()) {
            for (g, turned) in self.turned.iter().enumerate() {
                let channels = turned.columns;
                let mut values =
                    Matrix { rows: block.len(), columns: channels, entries: vec![0.0; block.len() * channels] };
                for (i, image) in block.images.clone().enumerate() {
                    for o in 0..channels {
                        let start = (g * channels + o) * places + block.places.start;
                        let from = &images.row(image)[start..start + block.places.len()];
                        for (t, value) in from.iter().enumerate() {
                            values.entries[(i * block.places.len() + t) * channels + o] = *value;
                        }
                    }
                }
                self.collect(&product(turned, &values), g, &block, &mut out);
            }
        }
        out
    }

    /// Adds to `out` what the windows of a block give to one group's channels; a row of `given` per place of a window.
    fn collect(&self, given: &Matrix, group: usize, block: &Block, out: &mut Matrix) {
        let w = &self.windows;
        let ([_, height, width], [kernel_height, kernel_width]) = (w.input, w.kernel);
        let first = group * (w.input[0] / w.groups);
        for seen in 0..given.rows {
            let (i, ky, kx) =
                (seen / (kernel_height * kernel_width), seen / kernel_width % kernel_height, seen % kernel_width);
            let start = (first + i) * height * width;
            let values = given.row(seen).chunks_exact(block.places.len());
            for (image, values) in block.images.clone().zip(values) {
                let channel = &mut out.row_mut(image)[start..start + height * width];
                let (mut place, mut rest) = (block.places.start, values);
                while !rest.is_empty() {
                    // The rest of one row of windows.
                    let (y, x) = (place / w.output[2], place % w.output[2]);
                    let (line, others) = rest.split_at((w.output[2] - x).min(rest.len()));
                    if let Some(row) = w.place(0, y, ky) {
                        self.add_line(&mut channel[row * width..(row + 1) * width], line, x, kx);
                    }
                    (place, rest) = (place + line.len(), others);
                }
            }
        }
    }

    /// Adds to a row of an image what place `kx` of neighbouring windows from `x` on gives to it.
    fn add_line(&self, row: &mut [f64], values: &[f64], x: usize, kx: usize) {
        let (stride, padding) = (self.windows.stride[1], self.windows.padding[1]);
        let start = x * stride + kx * self.windows.dilation[1];
        // Windows that see this place left of the image.
        let before = padding.saturating_sub(start).div_ceil(stride).min(values.len());
        let seen = row.iter_mut().skip((start + before * stride).saturating_sub(padding)).step_by(stride);
        seen.zip(&values[before..]).for_each(|(place, value)| *place += value);
    }

    /// Calls `visit` with the place and the weight of everything that one value of the convolution sees.
    pub(super) fn visit(&self, row: usize, mut visit: impl FnMut(usize, f64)) {
        let w = &self.windows;
        let ([_, height, width], [_, rows, columns]) = (w.input, w.output);
        let (o, y, x) = (row / (rows * columns), row / columns % rows, row % columns);
        let (per_group, seen) = (w.output[0] / w.groups, w.input[0] / w.groups);
        let weights = self.groups[o / per_group].row(o % per_group);
        for ky in 0..w.kernel[0] {
            let Some(at_y) = w.place(0, y, ky) else { continue };
            for kx in 0..w.kernel[1] {
                let Some(at_x) = w.place(1, x, kx) else { continue };
                for i in 0..seen {
                    let channel = o / per_group * seen + i;
                    visit((channel * height + at_y) * width + at_x, weights[(i * w.kernel[0] + ky) * w.kernel[1] + kx]);
                }
            }
        }
    }

    /// The same for one value of the adjoint.
    pub(super) fn visit_spread(&self, row: usize, mut visit: impl FnMut(usize, f64)) {
        let w = &self.windows;
        let ([_, height, width], [_, rows, columns]) = (w.input, w.output);
        let (channel, y, x) = (row / (height * width), row / width % height, row % width);
        let (per_group, seen) = (w.output[0] / w.groups, w.input[0] / w.groups);
        let (group, i) = (channel / seen, channel % seen);
        for ky in 0..w.kernel[0] {
            let Some(at_y) = w.window(0, y, ky) else { continue };
            for kx in 0..w.kernel[1] {
                let Some(at_x) = w.window(1, x, kx) else { continue };
                let weights = self.turned[group].row((i * w.kernel[0] + ky) * w.kernel[1] + kx);
                for (o, weight) in weights.iter().enumerate() {
                    visit(((group * per_group + o) * rows + at_y) * columns + at_x, *weight);
                }
            }
        }
    }
}
