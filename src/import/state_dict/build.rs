//! From a description and its tensors to the chains of an encoder and a decoder.

use std::collections::BTreeSet;
use std::fmt;

use super::description::{ActivationName, Description, Layer, LikelihoodName, Names, Pair, Sides, StdName};
use super::error::{DescriptionError, LayerProblem};
use super::tensors::{NamedTensor, Tensors};
use crate::import::assemble::{DecoderParts, EncoderParts, LikelihoodChoice};
use crate::import::sequence::Sequence;
use crate::model::architecture::StdLink;
use crate::model::layer::{product, LayerError, Windows, MAX_WIDTH};
use crate::spelling::nearest;

/// What a description says.
#[derive(Debug, Clone)]
pub struct Described {
    /// The encoder.
    pub encoder: EncoderParts,
    /// The decoder.
    pub decoder: DecoderParts,
    /// The likelihood asked for.
    pub likelihood: LikelihoodChoice,
    /// What the user should know: tensors that no layer uses.
    pub notes: Vec<String>,
}

/// Which layer of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPlace {
    /// `encoder.trunk`, `encoder.mean`, `encoder.std` or `decoder`.
    pub chain: &'static str,
    /// The layer, from 0.
    pub layer: usize,
    /// Its kind.
    pub kind: &'static str,
}

impl fmt::Display for LayerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, layer {} ({})", self.chain, self.layer, self.kind)
    }
}

/// Follows the description.
pub(super) fn build(description: &Description, tensors: &Tensors) -> Result<Described, DescriptionError> {
    let mut builder = Builder { tensors, used: BTreeSet::new() };
    let mut trunk = Sequence::new(&description.input_shape);
    builder.chain("encoder.trunk", &description.encoder.trunk, &mut trunk)?;
    let (mut mean, mut std) = (trunk.clone(), trunk);
    builder.chain("encoder.mean", &description.encoder.mean, &mut mean)?;
    builder.chain("encoder.std", &description.encoder.std, &mut std)?;
    let mut decoder = Sequence::new(&[description.latent_dim]);
    builder.chain("decoder", &description.decoder, &mut decoder)?;
    for (chain, found) in [("encoder.mean", mean.width()), ("encoder.std", std.width())] {
        if found != description.latent_dim {
            return Err(DescriptionError::LatentDim { chain, expected: description.latent_dim, found });
        }
    }
    let std_link = match description.std {
        StdName::LogVariance | StdName::LogStd => StdLink::HalfLogVariance,
        StdName::Softplus => StdLink::Softplus,
    };
    if description.std == StdName::LogStd {
        let doubled = std.scale_and_shift(&[2.0], &[0.0]);
        let place = LayerPlace { chain: "encoder.std", layer: description.encoder.std.len(), kind: "doubling" };
        doubled.map_err(|source| DescriptionError::Layer { place, source: source.into() })?;
    }
    let (input_shape, std_floor) = (description.input_shape.clone(), description.std_floor);
    let likelihood = match description.likelihood {
        LikelihoodName::Auto => LikelihoodChoice::Auto,
        LikelihoodName::Bernoulli => LikelihoodChoice::Bernoulli,
        LikelihoodName::Gaussian(std) => LikelihoodChoice::Gaussian { std },
    };
    Ok(Described {
        encoder: EncoderParts { input_shape, mean, std, std_link, std_floor },
        decoder: DecoderParts { decoder },
        likelihood,
        notes: builder.unused().into_iter().collect(),
    })
}

struct Builder<'a> {
    tensors: &'a Tensors,
    used: BTreeSet<String>,
}

impl<'a> Builder<'a> {
    fn chain(
        &mut self,
        chain: &'static str,
        layers: &[Layer],
        sequence: &mut Sequence,
    ) -> Result<(), DescriptionError> {
        for (layer, description) in layers.iter().enumerate() {
            self.append(description, sequence).map_err(|source| {
                let place = LayerPlace { chain, layer, kind: description.kind() };
                DescriptionError::Layer { place, source }
            })?;
        }
        Ok(())
    }

    fn append(&mut self, layer: &Layer, sequence: &mut Sequence) -> Result<(), LayerProblem> {
        match layer {
            Layer::Linear { tensors, weight, bias, activation } => {
                self.linear(&names(tensors, weight, bias), sequence)?;
                activate(*activation, sequence)
            }
            Layer::Conv2d { tensors, weight, bias, stride, padding, dilation, groups, activation } => {
                let geometry = Geometry::new(*stride, *padding, *dilation, *groups);
                self.convolution(&names(tensors, weight, bias), &geometry, sequence)?;
                activate(*activation, sequence)
            }
            Layer::ConvTranspose2d {
                tensors,
                weight,
                bias,
                stride,
                padding,
                output_padding,
                dilation,
                groups,
                activation,
            } => {
                let geometry = Geometry::new(*stride, *padding, *dilation, *groups);
                self.transposed(&names(tensors, weight, bias), &geometry, output_padding.get(), sequence)?;
                activate(*activation, sequence)
            }
            Layer::BatchNorm { tensors, eps, activation } => {
                self.batch_norm(tensors, *eps, sequence)?;
                activate(*activation, sequence)
            }
            Layer::MaxPool2d { kernel, stride, padding, dilation } => {
                let geometry = Geometry::new(stride.unwrap_or(*kernel), *padding, *dilation, 1);
                Ok(sequence.max_pool(geometry.pool(image(sequence)?, kernel.get())?)?)
            }
            Layer::AvgPool2d { kernel, stride, padding, count_include_pad } => {
                let geometry = Geometry::new(stride.unwrap_or(*kernel), *padding, Pair::Both(1), 1);
                Ok(sequence.average_pool(geometry.pool(image(sequence)?, kernel.get())?, *count_include_pad)?)
            }
            Layer::GlobalAvgPool2d {} => {
                let [channels, height, width] = image(sequence)?;
                let geometry = Geometry::new(Pair::Both(1), Sides::All(0), Pair::Both(1), 1);
                let windows = geometry.pool([channels, height, width], [height, width])?;
                Ok(sequence.average_pool(windows, true)?)
            }
            other => rearrange(other, sequence),
        }
    }

    fn tensor(&mut self, name: &str) -> Result<&'a NamedTensor, LayerProblem> {
        if let Some(tensor) = self.tensors.real.get(name) {
            self.used.insert(name.to_owned());
            return Ok(tensor);
        }
        Err(match self.tensors.others.get(name) {
            Some(found) => LayerProblem::Type { name: name.to_owned(), found: found.clone() },
            None => {
                let nearest = nearest(name, self.tensors.real.keys());
                LayerProblem::MissingTensor { name: name.to_owned(), nearest }
            }
        })
    }

    /// A tensor of one axis.
    fn vector(&mut self, name: &str, length: usize) -> Result<&'a [f64], LayerProblem> {
        let tensor = self.tensor(name)?;
        if tensor.shape != [length] {
            return Err(shape_problem(name, format!("[{length}]"), tensor));
        }
        Ok(&tensor.values)
    }

    /// The weight with its name, and the bias's name where there is one.
    fn weight(&mut self, names: &Names) -> Result<(String, &'a NamedTensor, Option<String>), LayerProblem> {
        let (weight, bias) = match (&names.tensors, &names.weight) {
            (Some(prefix), None) if names.bias.is_none() => {
                let bias = format!("{prefix}.bias");
                let exists = self.tensors.real.contains_key(&bias) || self.tensors.others.contains_key(&bias);
                (format!("{prefix}.weight"), exists.then_some(bias))
            }
            (None, Some(weight)) => (weight.clone(), names.bias.clone()),
            _ => return Err(LayerProblem::Names),
        };
        let tensor = self.tensor(&weight)?;
        Ok((weight, tensor, bias))
    }

    fn bias(&mut self, name: Option<String>, outputs: usize) -> Result<Vec<f64>, LayerProblem> {
        match name {
            Some(name) => Ok(self.vector(&name, outputs)?.to_vec()),
            None => Ok(vec![0.0; outputs]),
        }
    }

    fn linear(&mut self, names: &Names, sequence: &mut Sequence) -> Result<(), LayerProblem> {
        let (name, weight, bias) = self.weight(names)?;
        let width = sequence.width();
        match *weight.shape {
            [outputs, inputs] if inputs == width && outputs <= MAX_WIDTH => {
                let bias = self.bias(bias, outputs)?;
                Ok(sequence.dense(&weight.values, &bias)?)
            }
            _ => {
                let expected = format!("[outputs, {width}], since values of shape {:?} come in", sequence.shape());
                Err(shape_problem(&name, expected, weight))
            }
        }
    }

    fn convolution(&mut self, names: &Names, geometry: &Geometry, sequence: &mut Sequence) -> Result<(), LayerProblem> {
        let input = image(sequence)?;
        let (name, weight, bias) = self.weight(names)?;
        let inputs = geometry.inputs_of_a_group(input[0])?;
        match *weight.shape {
            [outputs, found, height, width] if found == inputs && outputs <= MAX_WIDTH => {
                let windows = geometry.sliding(input, outputs, [height, width])?;
                let bias = self.bias(bias, outputs)?;
                Ok(sequence.convolution(windows, &weight.values, &bias)?)
            }
            _ => Err(shape_problem(&name, format!("[outputs, {inputs}, height, width] for images {input:?}"), weight)),
        }
    }

    fn transposed(
        &mut self,
        names: &Names,
        geometry: &Geometry,
        output_padding: [usize; 2],
        sequence: &mut Sequence,
    ) -> Result<(), LayerProblem> {
        let input = image(sequence)?;
        let (name, weight, bias) = self.weight(names)?;
        geometry.inputs_of_a_group(input[0])?;
        match *weight.shape {
            [found, outputs, height, width]
                if found == input[0] && outputs.saturating_mul(geometry.groups) <= MAX_WIDTH =>
            {
                let outputs = outputs * geometry.groups;
                let windows = geometry.spreading(input, outputs, [height, width], output_padding)?;
                let bias = self.bias(bias, outputs)?;
                Ok(sequence.transposed_convolution(windows, &weight.values, &bias)?)
            }
            _ => {
                let expected = format!("[{}, outputs, height, width] for images {input:?}", input[0]);
                Err(shape_problem(&name, expected, weight))
            }
        }
    }

    /// (h − mean) / √(variance + eps) · weight + bias, per channel.
    fn batch_norm(&mut self, prefix: &str, eps: f64, sequence: &mut Sequence) -> Result<(), LayerProblem> {
        let channels = sequence.shape().first().copied().unwrap_or(0);
        let mean = self.vector(&format!("{prefix}.running_mean"), channels)?;
        let variance = self.vector(&format!("{prefix}.running_var"), channels)?;
        let mut scale: Vec<f64> = variance.iter().map(|variance| (variance + eps).sqrt().recip()).collect();
        if self.tensors.real.contains_key(&format!("{prefix}.weight")) {
            let weight = self.vector(&format!("{prefix}.weight"), channels)?;
            scale.iter_mut().zip(weight).for_each(|(scale, weight)| *scale *= weight);
        }
        let mut shift: Vec<f64> = scale.iter().zip(mean).map(|(scale, mean)| -scale * mean).collect();
        if self.tensors.real.contains_key(&format!("{prefix}.bias")) {
            let bias = self.vector(&format!("{prefix}.bias"), channels)?;
            shift.iter_mut().zip(bias).for_each(|(shift, bias)| *shift += bias);
        }
        Ok(sequence.scale_and_shift(&scale, &shift)?)
    }

    /// A note of the tensors that no layer uses. Counters of batches are nothing to use.
    fn unused(&self) -> Option<String> {
        let all = self.tensors.real.keys().chain(self.tensors.others.keys());
        let unused: Vec<_> = all
            .filter(|name| !self.used.contains(*name) && !name.ends_with("num_batches_tracked"))
            .map(String::as_str)
            .collect();
        (!unused.is_empty()).then(|| format!("no layer of the description uses the tensors {}", unused.join(", ")))
    }
}

/// How windows move.
struct Geometry {
    stride: [usize; 2],
    /// \[before, after\] of height and width.
    padding: [[usize; 2]; 2],
    dilation: [usize; 2],
    groups: usize,
}

impl Geometry {
    fn new(stride: Pair, padding: Sides, dilation: Pair, groups: usize) -> Self {
        Self { stride: stride.get(), padding: padding.get(), dilation: dilation.get(), groups }
    }

    fn inputs_of_a_group(&self, channels: usize) -> Result<usize, LayerProblem> {
        if self.groups == 0 || !channels.is_multiple_of(self.groups) {
            let (expected, found) = (format!("a divisor of the {channels} channels"), self.groups.to_string());
            return Err(LayerProblem::Setting { what: "groups", expected, found });
        }
        Ok(channels / self.groups)
    }

    fn windows(&self, input: [usize; 3], output: [usize; 3], kernel: [usize; 2]) -> Windows {
        let padding = self.padding.map(|[before, _]| before);
        Windows { input, output, kernel, stride: self.stride, dilation: self.dilation, padding, groups: self.groups }
    }

    /// Windows that slide over the image and see it whole with its padding.
    fn sliding(&self, input: [usize; 3], outputs: usize, kernel: [usize; 2]) -> Result<Windows, LayerProblem> {
        let side = |axis: usize| {
            let padded = self.padding[axis].iter().try_fold(input[axis + 1], |sum, &more| sum.checked_add(more))?;
            let reach = kernel[axis].checked_sub(1)?.checked_mul(self.dilation[axis])?;
            padded.checked_sub(reach)?.checked_sub(1)?.checked_div(self.stride[axis])?.checked_add(1)
        };
        match (side(0), side(1)) {
            (Some(height), Some(width)) => Ok(self.windows(input, [outputs, height, width], kernel)),
            _ => Err(self.misfit(input, kernel)),
        }
    }

    /// Windows of a transposed convolution.
    fn spreading(
        &self,
        input: [usize; 3],
        outputs: usize,
        kernel: [usize; 2],
        output_padding: [usize; 2],
    ) -> Result<Windows, LayerProblem> {
        let side = |axis: usize| {
            let spread = input[axis + 1].checked_sub(1)?.checked_mul(self.stride[axis])?;
            let reach = kernel[axis].checked_sub(1)?.checked_mul(self.dilation[axis])?;
            let whole = spread.checked_add(reach)?.checked_add(output_padding[axis])?.checked_add(1)?;
            self.padding[axis].iter().try_fold(whole, |rest, &less| rest.checked_sub(less)).filter(|&size| size > 0)
        };
        match (side(0), side(1)) {
            (Some(height), Some(width)) => Ok(self.windows(input, [outputs, height, width], kernel)),
            _ => Err(self.misfit(input, kernel)),
        }
    }

    /// Sliding windows that keep channels apart.
    fn pool(self, input: [usize; 3], kernel: [usize; 2]) -> Result<Windows, LayerProblem> {
        Self { groups: input[0], ..self }.sliding(input, input[0], kernel)
    }

    fn misfit(&self, input: [usize; 3], kernel: [usize; 2]) -> LayerProblem {
        let found = format!("{kernel:?} with stride {:?}, padding {:?}", self.stride, self.padding);
        LayerProblem::Setting { what: "the kernel", expected: format!("one that fits images {input:?}"), found }
    }
}

fn names(tensors: &Option<String>, weight: &Option<String>, bias: &Option<String>) -> Names {
    Names { tensors: tensors.clone(), weight: weight.clone(), bias: bias.clone() }
}

fn shape_problem(name: &str, expected: String, tensor: &NamedTensor) -> LayerProblem {
    LayerProblem::Shape { name: name.to_owned(), expected, found: tensor.shape.clone() }
}

fn image(sequence: &Sequence) -> Result<[usize; 3], LayerProblem> {
    sequence.shape().try_into().map_err(|_| LayerProblem::Image { found: sequence.shape().to_vec() })
}

fn activate(activation: Option<ActivationName>, sequence: &mut Sequence) -> Result<(), LayerProblem> {
    let Some(named) = activation else { return Ok(()) };
    match named.activation() {
        Some(activation) => sequence.activation(activation)?,
        None => sequence.selu()?,
    }
    Ok(())
}

/// Layers without tensors that leave values as they are, or move them, or change each alone.
fn rearrange(layer: &Layer, sequence: &mut Sequence) -> Result<(), LayerProblem> {
    let shape = sequence.shape().to_vec();
    match layer {
        Layer::Flatten {} => Ok(sequence.reshape(&[sequence.width()])?),
        Layer::Reshape { shape } => Ok(sequence.reshape(shape)?),
        Layer::Activation { activation } => activate(Some(*activation), sequence),
        Layer::Scale { factor, shift } => Ok(sequence.scale_and_shift(&[*factor], &[*shift])?),
        Layer::Upsample { scale } => {
            let [channels, height, width] = image(sequence)?;
            let [rows, columns] = scale.get();
            let output = vec![channels, height.saturating_mul(rows), width.saturating_mul(columns)];
            gather(sequence, output, |at| Some(vec![at[0], at[1] / rows, at[2] / columns]))
        }
        Layer::PixelShuffle { factor } => {
            let [channels, height, width] = image(sequence)?;
            let square = factor.saturating_mul(*factor);
            if square == 0 || !channels.is_multiple_of(square) {
                let expected = format!("a number whose square divides the {channels} channels");
                return Err(LayerProblem::Setting { what: "factor", expected, found: factor.to_string() });
            }
            let output = vec![channels / square, height.saturating_mul(*factor), width.saturating_mul(*factor)];
            gather(sequence, output, |at| {
                let channel = at[0] * square + at[1] % factor * factor + at[2] % factor;
                Some(vec![channel, at[1] / factor, at[2] / factor])
            })
        }
        Layer::ZeroPad2d { padding } => {
            let [channels, height, width] = image(sequence)?;
            let [[top, bottom], [left, right]] = padding.get();
            let sum = |sizes: [usize; 3]| sizes.iter().fold(0, |sum: usize, &size| sum.saturating_add(size));
            let output = vec![channels, sum([top, height, bottom]), sum([left, width, right])];
            gather(sequence, output, |at| {
                let (row, column) = (at[1].checked_sub(top)?, at[2].checked_sub(left)?);
                (row < height && column < width).then(|| vec![at[0], row, column])
            })
        }
        Layer::Slice { start, stop, step } => {
            let length = shape.first().copied().unwrap_or(0);
            let stop = stop.unwrap_or(length);
            if *step == 0 || *start >= stop || stop > length {
                let found = format!("{start}..{stop} in steps of {step}");
                return Err(LayerProblem::Setting {
                    what: "the slice",
                    expected: format!("within 0..{length}"),
                    found,
                });
            }
            let mut output = shape.clone();
            output[0] = (stop - start).div_ceil(*step);
            gather(sequence, output, |at| {
                let mut place = at.to_vec();
                place[0] = start + at[0] * step;
                Some(place)
            })
        }
        Layer::Permute { order } => {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            if !sorted.into_iter().eq(0..shape.len()) {
                let (expected, found) = (format!("every axis of {shape:?} once"), format!("{order:?}"));
                return Err(LayerProblem::Setting { what: "order", expected, found });
            }
            let output = order.iter().map(|&axis| shape[axis]).collect();
            gather(sequence, output, |at| {
                let mut place = vec![0; at.len()];
                order.iter().zip(at).for_each(|(&axis, &at)| place[axis] = at);
                Some(place)
            })
        }
        // Layers with windows or tensors are appended elsewhere.
        _ => Ok(()),
    }
}

/// Appends the gather whose output at a place is the value at `from(place)`, or 0.
fn gather(
    sequence: &mut Sequence,
    output: Vec<usize>,
    from: impl Fn(&[usize]) -> Option<Vec<usize>>,
) -> Result<(), LayerProblem> {
    let (input, count) = (sequence.shape().to_vec(), product(&output));
    if count > MAX_WIDTH {
        let what = "the width of a layer's output";
        return Err(LayerProblem::Sequence(LayerError::TooLarge { what, found: count, limit: MAX_WIDTH }.into()));
    }
    let place = |i: usize| {
        let mut rest = i;
        let mut at = vec![0; output.len()];
        for (at, &size) in at.iter_mut().zip(&output).rev() {
            *at = rest % size;
            rest /= size;
        }
        let from = from(&at)?;
        Some(from.iter().zip(&input).fold(0, |flat, (at, size)| flat * size + at))
    };
    let index: Vec<_> = (0..count).map(place).collect();
    Ok(sequence.gather(&index, &output)?)
}
