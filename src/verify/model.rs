//! The model file, read anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::IgnoredAny;
use serde::Deserialize;

use super::activation::{softplus, Activation};
use super::kernels::Kernels;
use super::map::{Map, Shape};
use super::matrix::Matrix;
use super::network::{Layer, Network, Trace};
use super::report::{Rejection, Step};
use super::rounding::{lowered, raised, SYSTEM};
use super::secant::sigmoid;
use super::windows::possible_width;

/// Version of the layout that is read here.
const FORMAT: u32 = 2;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    #[serde(rename = "format")]
    _format: u32,
    architecture: Architecture,
    #[serde(default, rename = "training")]
    _training: IgnoredAny,
    sha256: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Architecture {
    input_shape: Vec<usize>,
    latent_dim: usize,
    trunk: Vec<LayerShape>,
    mean_head: Vec<LayerShape>,
    std_head: Vec<LayerShape>,
    std_link: StdLink,
    std_floor: f64,
    decoder: Vec<LayerShape>,
    likelihood: Likelihood,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerShape {
    map: Shape,
    activation: Activation,
}

/// From the head's output s to σ: exp(s/2) + τ or ln(1 + exp s) + τ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StdLink {
    HalfLogVariance,
    Softplus,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Likelihood {
    Bernoulli,
    Gaussian {
        #[serde(rename = "std")]
        _std: f64,
    },
}

/// A VAE: networks over the real numbers.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) input_dim: usize,
    pub(super) latent_dim: usize,
    pub(super) weights_sha256: String,
    /// x ↦ μ(x).
    pub(super) mean: Network,
    /// x ↦ s, from which σ(x) follows.
    pub(super) std: Network,
    /// z ↦ g(z).
    pub(super) decoder: Network,
    link: StdLink,
    floor: f64,
}

/// The code of one input.
pub(super) struct Code {
    /// μ(x), and how far it may be off in the Euclidean norm.
    pub(super) mean: (Vec<f64>, f64),
    /// Bounds of each σ(x)ᵢ.
    pub(super) std: Vec<(f64, f64)>,
    pub(super) mean_trace: Trace,
    pub(super) std_trace: Trace,
}

impl Model {
    /// Reads a model file.
    pub(super) fn read(file: &[u8]) -> Result<Self, Rejection> {
        let metadata = metadata(file)?;
        let architecture = metadata.architecture;
        let input_dim = architecture.input_shape.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis));
        let input_dim = input_dim.filter(|_| !architecture.input_shape.is_empty()).unwrap_or(0);
        let latent_dim = architecture.latent_dim;
        possible_width("the input's width", input_dim).map_err(refuse)?;
        possible_width("the latent size", latent_dim).map_err(refuse)?;
        if !(architecture.std_floor >= 0.0 && architecture.std_floor.is_finite()) {
            return Err(refuse(format!("the floor of σ is {}, expected at least 0", architecture.std_floor)));
        }
        let bernoulli = architecture.likelihood == Likelihood::Bernoulli;
        let code_source = architecture.trunk.last().map_or(input_dim, |layer| layer.map.widths().1);
        check_chain("encoder.trunk", &architecture.trunk, input_dim, None)?;
        check_chain("encoder.mean", &architecture.mean_head, code_source, Some((latent_dim, true)))?;
        check_chain("encoder.std", &architecture.std_head, code_source, Some((latent_dim, true)))?;
        check_chain("decoder", &architecture.decoder, latent_dim, Some((input_dim, bernoulli)))?;
        let tensors = SafeTensors::deserialize(file).map_err(|error| refuse(error.to_string()))?;
        let mut tensors: BTreeMap<String, TensorView<'_>> = tensors.tensors().into_iter().collect();
        let last = |layers: usize| move |i| if bernoulli && i + 1 == layers { Some(Activation::Sigmoid) } else { None };
        let mut read = |prefix, shapes: &[LayerShape], last: &dyn Fn(usize) -> Option<Activation>| {
            let layer = |(i, shape)| read_layer(&mut tensors, &format!("{prefix}.{i}"), shape, last(i)).map(Arc::new);
            shapes.iter().enumerate().map(layer).collect::<Result<Vec<_>, _>>()
        };
        let trunk = read("encoder.trunk", &architecture.trunk, &|_| None)?;
        let mean = read("encoder.mean", &architecture.mean_head, &|_| None)?;
        let std = read("encoder.std", &architecture.std_head, &|_| None)?;
        let decoder = read("decoder", &architecture.decoder, &last(architecture.decoder.len()))?;
        if let Some(name) = tensors.keys().next() {
            return Err(refuse(format!("tensor {name} belongs to no layer")));
        }
        let [mut mean, mut std] = [mean, std].map(|head| Network::new([trunk.clone(), head].concat()));
        mean.prepare(None);
        std.prepare(Some(&mean));
        Ok(Self {
            input_dim,
            latent_dim,
            weights_sha256: metadata.sha256,
            mean,
            std,
            decoder: Network::new(decoder),
            link: architecture.std_link,
            floor: architecture.std_floor,
        })
    }

    /// μ(x) and σ(x).
    pub(super) fn encode(&self, input: &[f32]) -> Code {
        let input: Vec<f64> = input.iter().map(|&value| f64::from(value)).collect();
        let (mean_trace, std_trace) = (self.mean.trace(&input), self.std.trace(&input));
        let mean = mean_trace.last().cloned().unwrap_or_default();
        let (outputs, error) = std_trace.last().cloned().unwrap_or_default();
        let std = outputs.iter().map(|&s| self.std(s, error)).collect();
        Code { mean, std, mean_trace, std_trace }
    }

    /// Bounds of σ for an s within `error` of this.
    fn std(&self, s: f64, error: f64) -> (f64, f64) {
        let (low, high) = ((s - error).next_down(), (s + error).next_up());
        let linked = |s: f64| match self.link {
            StdLink::HalfLogVariance => (0.5 * s).exp(),
            StdLink::Softplus => softplus(s),
        };
        let (low, high) = (lowered(linked(low), 2.0 * SYSTEM + 4.0), raised(linked(high), 2.0 * SYSTEM + 4.0));
        ((low + self.floor).next_down().max(0.0), (high + self.floor).next_up())
    }

    /// At least the slope of ln σ as a function of s, for s within `reach` of the value given: ½·e/(e + τ), e = exp(s/2),
    /// which rises with s, or s(s)/(softplus(s) + τ) with the sigmoid s, which is at most 1.
    pub(super) fn log_std_slope(&self, s: f64, reach: f64) -> f64 {
        let (low, high) = ((s - reach).next_down(), (s + reach).next_up());
        match self.link {
            StdLink::HalfLogVariance if self.floor <= 0.0 => 0.5,
            StdLink::HalfLogVariance => {
                let linked = raised((0.5 * high).exp(), SYSTEM);
                raised(0.5 * linked / (linked + self.floor), 3.0).min(0.5)
            }
            StdLink::Softplus => {
                let least = lowered(softplus(low), 2.0 * SYSTEM + 4.0);
                raised(sigmoid(high) / (least + self.floor), 2.0 * SYSTEM).min(1.0)
            }
        }
    }

    /// Which link leads to σ.
    pub(super) fn link(&self) -> StdLink {
        self.link
    }
}

fn refuse(reason: String) -> Rejection {
    Rejection { step: Step::Model, reason }
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// The version is looked at first: a file of another one is told from a malformed one.
fn metadata(file: &[u8]) -> Result<Metadata, Rejection> {
    let (_, header) = SafeTensors::read_metadata(file).map_err(|error| refuse(error.to_string()))?;
    let entry = header.metadata().as_ref().and_then(|entries| entries.get("vaecert"));
    let entry = entry.ok_or_else(|| refuse("no metadata entry \"vaecert\"".to_owned()))?;
    let malformed = |error: serde_json::Error| refuse(format!("metadata entry \"vaecert\": {error}"));
    match serde_json::from_str::<Version>(entry).map_err(malformed)?.format {
        FORMAT => serde_json::from_str(entry).map_err(malformed),
        found => Err(refuse(format!("model file format {found}, expected {FORMAT}"))),
    }
}

/// Whether layers can exist and fit each other. `end`: the width of the last one's output, and whether the last one must be
/// affine without an activation.
fn check_chain(prefix: &str, layers: &[LayerShape], from: usize, end: Option<(usize, bool)>) -> Result<(), Rejection> {
    let mut width = from;
    for (i, LayerShape { map, activation }) in layers.iter().enumerate() {
        map.check().map_err(|reason| refuse(format!("{prefix}, layer {i}: {reason}")))?;
        if !activation.is_possible() {
            return Err(refuse(format!("{prefix}, layer {i}: {activation:?} is impossible")));
        }
        let (inputs, outputs) = map.widths();
        if inputs != width {
            return Err(refuse(format!("{prefix}, layer {i}: takes {inputs} values, and {width} come in")));
        }
        width = outputs;
    }
    let Some((expected, affine)) = end else { return Ok(()) };
    let last = layers.last().ok_or_else(|| refuse(format!("{prefix} has no layers")))?;
    if width != expected {
        return Err(refuse(format!("{prefix} gives {width} values, expected {expected}")));
    }
    if affine && !(last.map.is_affine() && last.activation == Activation::Identity) {
        return Err(refuse(format!("{prefix} does not end in an affine layer without activation")));
    }
    Ok(())
}

/// One layer's parameters; `appended` takes the place of its activation.
fn read_layer(
    tensors: &mut BTreeMap<String, TensorView<'_>>,
    name: &str,
    shape: &LayerShape,
    appended: Option<Activation>,
) -> Result<Layer, Rejection> {
    let mut take = |tensor: &str, shape: &[usize]| take(tensors, &format!("{name}.{tensor}"), shape);
    let (map, bias) = match shape.map {
        Shape::Dense { inputs, outputs } => {
            let entries = take("weight", &[outputs, inputs])?;
            (Map::Dense(Matrix { rows: outputs, columns: inputs, entries }), take("bias", &[outputs])?)
        }
        Shape::Convolution(windows) => {
            let weight = take("weight", &Shape::kernel_shape(&windows, false))?;
            (Map::Convolution(Kernels::new(windows, &weight)), take("bias", &[windows.output[0]])?)
        }
        Shape::TransposedConvolution(windows) => {
            let weight = take("weight", &Shape::kernel_shape(&windows, true))?;
            (Map::Spread(Kernels::new(windows.transposed(), &weight)), take("bias", &[windows.output[0]])?)
        }
        Shape::Gather { inputs, outputs } => {
            let index = take("index", &[outputs])?;
            let index = index.into_iter().map(|value| place(value, inputs)).collect::<Option<Vec<_>>>();
            let bad = || refuse(format!("tensor {name}.index: expected whole numbers from -1 to {}", inputs - 1));
            (Map::Gather { inputs, index: index.ok_or_else(bad)? }, vec![])
        }
        Shape::MaxPool(windows) => (Map::MaxPool(windows), vec![]),
    };
    Ok(Layer::new(map, bias, appended.unwrap_or(shape.activation)))
}

/// What one entry of an index stands for: nothing for −1; none if it is no entry.
fn place(value: f64, inputs: usize) -> Option<Option<usize>> {
    let after = if value.fract().abs() > 0.0 { f64::NAN } else { value + 1.0 };
    // Whole numbers up to 2²² are exact; the cast saturates, and makes NaN 0.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = after as usize;
    (whole <= inputs && (whole as f64 - after).abs() <= 0.0).then_some(whole.checked_sub(1))
}

/// Removes one tensor and checks its type, shape and values.
fn take(tensors: &mut BTreeMap<String, TensorView<'_>>, name: &str, shape: &[usize]) -> Result<Vec<f64>, Rejection> {
    let view = tensors.remove(name).ok_or_else(|| refuse(format!("tensor {name} is missing")))?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        let found = format!("{:?} of shape {:?}", view.dtype(), view.shape());
        return Err(refuse(format!("tensor {name}: expected F32 of shape {shape:?}, found {found}")));
    }
    let bytes = view.data().as_chunks::<4>().0;
    let values: Vec<f64> = bytes.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes))).collect();
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(refuse(format!("tensor {name} holds a number that is not finite")))
    }
}
