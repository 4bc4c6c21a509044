//! Maps that are not full matrices, on batches.
//!
//! On the CPU convolutions go the way of [`super::direct`]. Otherwise a convolution's input is spread out so that each window
//! becomes a column, `[rows, window, windows]`, and multiplied by the weight from the left; its adjoint multiplies by the
//! transpose and adds the places up again. A row's arithmetic does not depend on the other rows, and no more than [`SPREAD`]
//! values are spread out at a time.

use std::sync::{Arc, OnceLock};

use candle_core::{bail, Device, Result, Tensor};

use super::activation::Activation;
use super::direct::Direction;
use super::kernel::{self, on_cpu, Combine, FrozenMap, Real, Then};
use super::layer::{product, Map, Windows};

/// Values spread out at a time: a few megabytes.
const SPREAD: usize = 1 << 20;
/// Stands for a place outside the input, whose value is 0; candle's own functions know it, too.
const OUTSIDE: u32 = u32::MAX;

/// Where a map reads its input.
#[derive(Debug, Clone)]
pub(crate) enum Places {
    /// Windows of a convolution, which leads from `windows.input` to `windows.output`.
    Convolution(Spread),
    /// The adjoint of this convolution.
    Transposed(Spread),
    /// One place per output.
    Gather(Index),
    /// The maximum over `kernel` places per output.
    MaxPool { index: Index, kernel: usize },
}

/// A convolution's windows and what follows from them.
#[derive(Debug, Clone)]
pub(crate) struct Spread {
    windows: Windows,
    /// The weights, laid out for the CPU; none if they may change.
    frozen: Option<Arc<FrozenMap>>,
    /// Per group `[input channels / groups · kernel, windows]`; made when first used.
    groups: Arc<OnceLock<Vec<Index>>>,
    /// The bias once per output of the layer, `[outputs]`.
    bias: Tensor,
}

/// Places of a row of `width` values.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    width: usize,
    places: Arc<Vec<u32>>,
    /// The same for another device than the CPU.
    on_device: Option<Tensor>,
}

impl Places {
    /// What a map needs; none for a dense one.
    pub(crate) fn of(map: &Map, parameters: &[Tensor]) -> Result<Option<Self>> {
        Ok(Some(match (map, parameters) {
            (Map::Dense { .. }, _) => return Ok(None),
            (Map::Convolution(windows), [_, bias]) => Self::Convolution(Spread::new(*windows, bias, &windows.output)?),
            (Map::TransposedConvolution(windows), [_, bias]) => {
                Self::Transposed(Spread::new(windows.transposed(), bias, &windows.output)?)
            }
            (Map::Gather { inputs, .. }, [index]) => Self::Gather(Index::of_tensor(*inputs, index)?),
            (Map::MaxPool(windows), _) => {
                let mut places = Vec::with_capacity(map.products());
                for channel in 0..windows.output[0] {
                    each_window(windows, |window| {
                        each_offset(windows, |offset| places.push(flat(windows, channel, window, offset)));
                    });
                }
                let index = Index::new(product(&windows.input), places, &Device::Cpu)?;
                Self::MaxPool { index, kernel: product(&windows.kernel) }
            }
            _ => bail!("a parameter is missing"),
        }))
    }

    /// The same for weights that change in place.
    pub(crate) fn in_training(&self) -> Self {
        let mut places = self.clone();
        if let Self::Convolution(spread) | Self::Transposed(spread) = &mut places {
            spread.frozen = None;
        }
        places
    }

    /// φ(map(x)): `[rows, in]` → `[rows, out]`.
    pub(crate) fn forward(&self, input: &Tensor, parameters: &[Tensor], activation: Activation) -> Result<Tensor> {
        match self {
            Self::Convolution(spread) | Self::Transposed(spread) => {
                self.linear(input, input, parameters, Then::Activate(&spread.bias, activation))
            }
            Self::Gather(_) | Self::MaxPool { .. } => {
                kernel::activate(&self.linear(input, input, parameters, Then::Nothing)?, activation)
            }
        }
    }

    /// The map's derivative at `input` along `tangent`, then what follows; for all but a maximum, which is its own
    /// derivative along its input, the map without its bias.
    pub(crate) fn linear(&self, tangent: &Tensor, input: &Tensor, parameters: &[Tensor], then: Then) -> Result<Tensor> {
        match self {
            Self::Convolution(spread) => spread.apply(tangent, &parameters[0], Direction::Forward, then),
            Self::Transposed(spread) => spread.apply(tangent, &parameters[0], Direction::Adjoint, then),
            Self::Gather(index) => then.apply(index.select(tangent)?),
            Self::MaxPool { index, kernel } => then.apply(index.on_host(tangent, input, |tangent, input| {
                on_cpu(tangent, input, Winners { index, kernel: *kernel })
            })?),
        }
    }

    /// See [`super::network::Layer::gaps`].
    pub(crate) fn gaps(&self, rows: &Tensor, input: &Tensor) -> Result<Option<Tensor>> {
        let Self::MaxPool { index, kernel } = self else { return Ok(None) };
        index.on_host(rows, input, |rows, input| on_cpu(rows, input, Gaps { index, kernel: *kernel })).map(Some)
    }

    /// The adjoint of [`Places::linear`]: `[rows, out]` → `[rows, in]`; then what follows.
    pub(crate) fn adjoint(
        &self,
        gradient: &Tensor,
        input: &Tensor,
        parameters: &[Tensor],
        then: Then,
    ) -> Result<Tensor> {
        match self {
            Self::Convolution(spread) => spread.apply(gradient, &parameters[0], Direction::Adjoint, then),
            Self::Transposed(spread) => spread.apply(gradient, &parameters[0], Direction::Forward, then),
            Self::Gather(index) => then.apply(index.accumulate(gradient)?),
            Self::MaxPool { index, kernel } => then.apply(index.on_host(gradient, input, |gradient, input| {
                on_cpu(gradient, input, ToWinners { index, kernel: *kernel })
            })?),
        }
    }
}

fn each_window(windows: &Windows, mut visit: impl FnMut([usize; 2])) {
    for row in 0..windows.output[1] {
        for column in 0..windows.output[2] {
            visit([row, column]);
        }
    }
}

fn each_offset(windows: &Windows, mut visit: impl FnMut([usize; 2])) {
    for row in 0..windows.kernel[0] {
        for column in 0..windows.kernel[1] {
            visit([row, column]);
        }
    }
}

/// The flat index that a place of a window has within the input.
fn flat(windows: &Windows, channel: usize, window: [usize; 2], offset: [usize; 2]) -> u32 {
    let place = |axis| windows.place(axis, window[axis], offset[axis]);
    let [_, height, width] = windows.input;
    match (place(0), place(1)) {
        (Some(row), Some(column)) => u32::try_from((channel * height + row) * width + column).unwrap_or(OUTSIDE),
        _ => OUTSIDE,
    }
}

impl Spread {
    fn new(windows: Windows, bias: &Tensor, output: &[usize; 3]) -> Result<Self> {
        let area = output[1] * output[2];
        let bias = bias.unsqueeze(1)?.broadcast_as((output[0], area))?.flatten_all()?.contiguous()?;
        Ok(Self { windows, frozen: Some(Arc::default()), groups: Arc::default(), bias })
    }

    fn groups(&self) -> Result<&[Index]> {
        if self.groups.get().is_none() {
            let windows = &self.windows;
            let channels = windows.input[0] / windows.groups;
            let groups = (0..windows.groups).map(|group| {
                let mut places = Vec::new();
                for channel in group * channels..(group + 1) * channels {
                    each_offset(windows, |offset| {
                        each_window(windows, |window| places.push(flat(windows, channel, window, offset)));
                    });
                }
                Index::new(product(&windows.input), places, self.bias.device())
            });
            // Another thread's are the same.
            _ = self.groups.set(groups.collect::<Result<_>>()?);
        }
        Ok(self.groups.get().map_or(&[], Vec::as_slice))
    }

    /// The convolution without its bias, or its adjoint; then what follows.
    fn apply(&self, input: &Tensor, weight: &Tensor, direction: Direction, then: Then) -> Result<Tensor> {
        if let Some(frozen) = &self.frozen {
            if let Some(output) = frozen.apply(input, weight, Some(&self.windows), direction, then)? {
                return Ok(output);
            }
        }
        then.apply(match direction {
            Direction::Forward => self.forward(input, weight)?,
            Direction::Adjoint => self.backward(input, weight)?,
        })
    }

    /// The number of windows, and for each group the weight `[output channels / groups, window]`.
    fn weights(&self, weight: &Tensor) -> Result<(usize, Tensor)> {
        let Windows { output: [channels, height, width], groups, .. } = self.windows;
        Ok((height * width, weight.reshape((groups, channels / groups, ()))?))
    }

    /// A few rows at a time.
    fn in_parts(&self, rows: &Tensor, part: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let count = rows.dim(0)?;
        let spread = self.groups()?.first().map_or(1, |index| index.places.len()).max(1);
        let size = (SPREAD / spread).max(1);
        if count <= size {
            return part(rows);
        }
        let parts = (0..count).step_by(size).map(|start| part(&rows.narrow(0, start, size.min(count - start))?));
        Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)
    }

    /// The convolution without its bias: `[rows, in]` → `[rows, out]`.
    fn forward(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (windows, weights) = self.weights(weight)?;
        let (_, channels, window) = weights.dims3()?;
        self.in_parts(input, |input| {
            let rows = input.dim(0)?;
            let group = |(index, group): (&Index, usize)| {
                let columns = index.select(input)?.reshape((rows, window, windows))?;
                weights.narrow(0, group, 1)?.broadcast_as((rows, channels, window))?.matmul(&columns)
            };
            let groups = self.groups()?.iter().zip(0..).map(group).collect::<Result<Vec<_>>>()?;
            joined(groups)?.reshape((rows, ()))
        })
    }

    /// The adjoint of [`Spread::forward`]: `[rows, out]` → `[rows, in]`.
    fn backward(&self, gradient: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (windows, weights) = self.weights(weight)?;
        let (groups, channels, window) = weights.dims3()?;
        let weights = weights.transpose(1, 2)?.contiguous()?;
        self.in_parts(gradient, |gradient| {
            let rows = gradient.dim(0)?;
            let gradient = gradient.reshape((rows, groups, channels, windows))?;
            let mut sum: Option<Tensor> = None;
            for (group, index) in self.groups()?.iter().enumerate() {
                let gradient = gradient.narrow(1, group, 1)?.squeeze(1)?.contiguous()?;
                let columns = weights.narrow(0, group, 1)?.broadcast_as((rows, window, channels))?.matmul(&gradient)?;
                let part = index.accumulate(&columns.reshape((rows, ()))?)?;
                sum = Some(match sum {
                    None => part,
                    Some(sum) => (sum + part)?,
                });
            }
            sum.map_or_else(|| bail!("a convolution has at least one group"), Ok)
        })
    }
}

/// Groups one after the other along the channels.
fn joined(mut groups: Vec<Tensor>) -> Result<Tensor> {
    match groups.len() {
        1 => Ok(groups.remove(0)),
        _ => Tensor::cat(&groups, 1),
    }
}

impl Index {
    fn new(width: usize, places: Vec<u32>, device: &Device) -> Result<Self> {
        if let Some(place) = places.iter().find(|&&place| place != OUTSIDE && place as usize >= width) {
            bail!("index {place} is outside an input of {width} values");
        }
        let on_device = match device {
            Device::Cpu => None,
            device => Some(Tensor::from_slice(&places, places.len(), device)?),
        };
        Ok(Self { width, places: Arc::new(places), on_device })
    }

    /// From a parameter tensor: whole numbers, −1 for a place outside.
    fn of_tensor(width: usize, index: &Tensor) -> Result<Self> {
        let values = index.to_device(&Device::Cpu)?.to_dtype(candle_core::DType::F64)?.to_vec1::<f64>()?;
        let place = |&value: &f64| match value {
            -1.0 => Ok(OUTSIDE),
            // In range, so the conversion is exact.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            value if value >= 0.0 && value < f64::from(OUTSIDE) && value.fract() == 0.0 => Ok(value as u32),
            value => bail!("index {value} is neither a whole number of at least 0 nor -1"),
        };
        Self::new(width, values.iter().map(place).collect::<Result<_>>()?, index.device())
    }

    /// `[rows, width]` → `[rows, places]`; 0 outside.
    fn select(&self, rows: &Tensor) -> Result<Tensor> {
        if rows.dim(1)? != self.width {
            bail!("rows of {} values where {} were expected", rows.dim(1)?, self.width);
        }
        match &self.on_device {
            None => on_cpu(rows, rows, Select(self)),
            Some(index) => rows.contiguous()?.index_select(index, 1),
        }
    }

    /// The adjoint of [`Index::select`]: `[rows, places]` → `[rows, width]`.
    fn accumulate(&self, selected: &Tensor) -> Result<Tensor> {
        match &self.on_device {
            None => on_cpu(selected, selected, Accumulate(self)),
            Some(index) => {
                let zeros = Tensor::zeros((selected.dim(0)?, self.width), selected.dtype(), selected.device())?;
                zeros.index_add(index, &selected.contiguous()?, 1)
            }
        }
    }

    /// Runs on the CPU, wherever the tensors are.
    fn on_host(&self, a: &Tensor, b: &Tensor, run: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<Tensor> {
        run(&a.to_device(&Device::Cpu)?, &b.to_device(&Device::Cpu)?)?.to_device(a.device())
    }

    /// For every output of a row, the place of its largest value; the first of equals, NaN before all.
    fn winners<'a, T: Real>(&'a self, row: &'a [T], kernel: usize) -> impl Iterator<Item = usize> + 'a {
        self.places.chunks_exact(kernel).map(|window| {
            let mut best: Option<usize> = None;
            for place in window.iter().filter(|&&place| place != OUTSIDE).map(|&place| place as usize) {
                let better =
                    best.is_none_or(|best| row[place] > row[best] || (row[place].is_nan() && !row[best].is_nan()));
                if better {
                    best = Some(place);
                }
            }
            best.unwrap_or(0)
        })
    }
}

struct Select<'a>(&'a Index);

impl Combine for Select<'_> {
    type Output = Tensor;
    fn combine<T: Real>(self, rows: &[T], _: &[T]) -> Result<Tensor> {
        let Index { width, places, .. } = self.0;
        let mut selected = Vec::with_capacity(rows.len() / width.max(&1) * places.len());
        for row in rows.chunks_exact(*width) {
            selected.extend(places.iter().map(|&place| row.get(place as usize).copied().unwrap_or_else(T::zero)));
        }
        Tensor::from_vec(selected, (rows.len() / width, places.len()), &Device::Cpu)
    }
}

struct Accumulate<'a>(&'a Index);

impl Combine for Accumulate<'_> {
    type Output = Tensor;
    fn combine<T: Real>(self, selected: &[T], _: &[T]) -> Result<Tensor> {
        let Index { width, places, .. } = self.0;
        let rows = selected.len() / places.len();
        let mut sums = vec![T::zero(); rows * width];
        for (sums, selected) in sums.chunks_exact_mut(*width).zip(selected.chunks_exact(places.len())) {
            for (&place, &value) in places.iter().zip(selected) {
                if let Some(sum) = sums.get_mut(place as usize) {
                    *sum += value;
                }
            }
        }
        Tensor::from_vec(sums, (rows, *width), &Device::Cpu)
    }
}

/// The tangent at each output's winner.
struct Winners<'a> {
    index: &'a Index,
    kernel: usize,
}

impl Combine for Winners<'_> {
    type Output = Tensor;
    fn combine<T: Real>(self, tangents: &[T], inputs: &[T]) -> Result<Tensor> {
        let width = self.index.width;
        let mut selected = Vec::new();
        for (tangent, input) in tangents.chunks_exact(width).zip(inputs.chunks_exact(width)) {
            selected.extend(self.index.winners(input, self.kernel).map(|place| tangent[place]));
        }
        let rows = tangents.len() / width;
        Tensor::from_vec(selected, (rows, self.index.places.len() / self.kernel), &Device::Cpu)
    }
}

/// Every place of a window minus its winner.
struct Gaps<'a> {
    index: &'a Index,
    kernel: usize,
}

impl Combine for Gaps<'_> {
    type Output = Tensor;
    fn combine<T: Real>(self, rows: &[T], inputs: &[T]) -> Result<Tensor> {
        let (width, places) = (self.index.width, &self.index.places);
        let mut gaps = Vec::with_capacity(rows.len() / width * places.len());
        for (row, input) in rows.chunks_exact(width).zip(inputs.chunks_exact(width)) {
            for (window, winner) in places.chunks_exact(self.kernel).zip(self.index.winners(input, self.kernel)) {
                gaps.extend(
                    window.iter().map(|&place| row.get(place as usize).map_or(T::zero(), |&v| v - row[winner])),
                );
            }
        }
        Tensor::from_vec(gaps, (rows.len() / width, places.len()), &Device::Cpu)
    }
}

/// The gradient added to each output's winner.
struct ToWinners<'a> {
    index: &'a Index,
    kernel: usize,
}

impl Combine for ToWinners<'_> {
    type Output = Tensor;
    fn combine<T: Real>(self, gradients: &[T], inputs: &[T]) -> Result<Tensor> {
        let (width, outputs) = (self.index.width, self.index.places.len() / self.kernel);
        let rows = inputs.len() / width;
        let mut sums = vec![T::zero(); inputs.len()];
        let all = sums.chunks_exact_mut(width).zip(inputs.chunks_exact(width)).zip(gradients.chunks_exact(outputs));
        for ((sums, input), gradient) in all {
            for (place, &value) in self.index.winners(input, self.kernel).zip(gradient) {
                sums[place] += value;
            }
        }
        Tensor::from_vec(sums, (rows, width), &Device::Cpu)
    }
}
