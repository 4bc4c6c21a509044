//! Windows that slide over an image: which places they see, and whether they can exist.

use serde::Deserialize;

/// Upper limit of any width.
const MAX_WIDTH: usize = 1 << 22;

/// Windows over an image; arrays are \[channels, height, width\] or \[height, width\].
///
/// Window q of an axis sees the input's places q·stride + k·dilation − padding for k below the kernel's size, as far as
/// they exist. Channels are divided into groups that do not see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Windows {
    pub(super) input: [usize; 3],
    pub(super) output: [usize; 3],
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) padding: [usize; 2],
    pub(super) groups: usize,
}

/// A product of sizes; the largest number where it does not fit.
pub(super) fn volume(sizes: &[usize]) -> usize {
    sizes.iter().fold(1, |product: usize, &size| product.saturating_mul(size))
}

/// `what` must be at least 1 and at most `limit`.
pub(super) fn within(what: &str, found: usize, limit: usize) -> Result<(), String> {
    if (1..=limit).contains(&found) {
        Ok(())
    } else {
        Err(format!("{what} is {found}, expected 1 to {limit}"))
    }
}

/// A width must be at least 1 and at most 2²².
pub(super) fn possible_width(what: &str, found: usize) -> Result<(), String> {
    within(what, found, MAX_WIDTH)
}

impl Windows {
    /// The same windows with the roles of input and output exchanged.
    pub(super) fn transposed(&self) -> Self {
        Self { input: self.output, output: self.input, ..*self }
    }

    /// The input's row (axis 0) or column (axis 1) that place `offset` of `window` sees; none outside the image.
    pub(super) fn place(&self, axis: usize, window: usize, offset: usize) -> Option<usize> {
        let place = (window * self.stride[axis] + offset * self.dilation[axis]).checked_sub(self.padding[axis])?;
        (place < self.input[axis + 1]).then_some(place)
    }

    /// The window whose place `offset` is this `place` of the input; none if there is none.
    pub(super) fn window(&self, axis: usize, place: usize, offset: usize) -> Option<usize> {
        let start = (place + self.padding[axis]).checked_sub(offset * self.dilation[axis])?;
        let window = start / self.stride[axis];
        (start.is_multiple_of(self.stride[axis]) && window < self.output[axis + 1]).then_some(window)
    }

    /// Height times width of the output.
    pub(super) fn places(&self) -> usize {
        volume(&self.output[1..])
    }

    /// Sizes that can exist; the widths of input and output were checked.
    pub(super) fn check(&self) -> Result<(), String> {
        for axis in 0..2 {
            possible_width("the kernel", self.kernel[axis])?;
            possible_width("the stride", self.stride[axis])?;
            possible_width("the dilation", self.dilation[axis])?;
            possible_width("the padding plus 1", self.padding[axis].saturating_add(1))?;
        }
        possible_width("the number of groups", self.groups)?;
        let [inputs, outputs, groups] = [self.input[0], self.output[0], self.groups];
        if inputs.is_multiple_of(groups) && outputs.is_multiple_of(groups) {
            Ok(())
        } else {
            Err(format!("{inputs} and {outputs} channels cannot be divided into {groups} groups"))
        }
    }

    /// What a maximum needs beside that: channels apart, and something to see for every window.
    pub(super) fn check_maximum(&self) -> Result<(), String> {
        let [inputs, outputs, groups] = [self.input[0], self.output[0], self.groups];
        if inputs != outputs || inputs != groups {
            return Err(format!(
                "a maximum of {inputs} channels into {outputs} in {groups} groups: all must be the same"
            ));
        }
        for axis in 0..2 {
            let sees = |window| (0..self.kernel[axis]).any(|offset| self.place(axis, window, offset).is_some());
            if let Some(window) = (0..self.output[axis + 1]).find(|&window| !sees(window)) {
                return Err(format!("window {window} of a maximum, along axis {axis}, sees nothing"));
            }
        }
        Ok(())
    }

    /// The largest number of windows that see one place: a window sees a place at most once.
    pub(super) fn sharing(&self) -> usize {
        let along = |axis: usize| {
            let mut seen = vec![0_usize; self.input[axis + 1]];
            for window in 0..self.output[axis + 1] {
                for place in (0..self.kernel[axis]).filter_map(|offset| self.place(axis, window, offset)) {
                    seen[place] += 1;
                }
            }
            seen.into_iter().max().unwrap_or(0)
        };
        along(0).saturating_mul(along(1))
    }

    /// How many places all windows see together, each window's counted on their own.
    pub(super) fn seen(&self) -> usize {
        let along = |axis: usize| {
            let count = |window| (0..self.kernel[axis]).filter(|&k| self.place(axis, window, k).is_some()).count();
            (0..self.output[axis + 1]).map(count).sum()
        };
        volume(&[self.output[0], along(0), along(1)])
    }

    /// The places that the windows of a maximum see, window by window in the order of the outputs and row by row within
    /// each, and for each window how many places it and those before it see.
    pub(super) fn laid_out(&self) -> (Vec<usize>, Vec<usize>) {
        let ([_, height, width], [channels, rows, columns]) = (self.input, self.output);
        let (mut places, mut ends) = (Vec::with_capacity(self.seen()), Vec::with_capacity(volume(&self.output)));
        let windows = (0..channels).flat_map(|c| (0..rows).flat_map(move |y| (0..columns).map(move |x| (c, y, x))));
        for (channel, y, x) in windows {
            for line in (0..self.kernel[0]).filter_map(|ky| self.place(0, y, ky)) {
                let seen = (0..self.kernel[1]).filter_map(|kx| self.place(1, x, kx));
                places.extend(seen.map(|at| (channel * height + line) * width + at));
            }
            ends.push(places.len());
        }
        (places, ends)
    }

    /// The larger value of every window, channel by channel, by `larger`, which must keep what is no number; `least` is
    /// below everything.
    pub(super) fn maxima<T: Copy>(&self, image: &[T], least: T, larger: impl Fn(T, T) -> T) -> Vec<T> {
        let ([_, height, width], [channels, rows, columns]) = (self.input, self.output);
        let mut out = Vec::with_capacity(channels * rows * columns);
        for channel in image.chunks_exact(height * width) {
            for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                let mut most = least;
                for line in (0..self.kernel[0]).filter_map(|ky| self.place(0, y, ky)) {
                    for at in (0..self.kernel[1]).filter_map(|kx| self.place(1, x, kx)) {
                        most = larger(channel[line * width + at], most);
                    }
                }
                out.push(most);
            }
        }
        out
    }
}
