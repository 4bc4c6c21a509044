//! The model file, read anew, and its networks evaluated with bounds of their error.

use std::collections::BTreeMap;
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::IgnoredAny;
use serde::Deserialize;

use super::matrix::{gram, product, roundings, spectral_norm, underflow, Matrix};
use super::report::{Rejection, Step};
use super::rounding::{gamma, lowered, norm, raised, GUARD, SYSTEM, TINY, UNIT};
use super::secant::sigmoid;

/// Wider layers of an encoder cannot be checked by evidence, and norms of longer matrices are bounded crudely.
const LONGEST_SIDE: usize = 4096;
/// Relative error, in units u, of each activation at an exact argument: at most two system functions and two operations.
const ACTIVATION_UNITS: f64 = 2.0 * SYSTEM + 4.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    format: u32,
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
    trunk: Vec<HiddenLayer>,
    mean_head: Vec<HiddenLayer>,
    std_head: Vec<HiddenLayer>,
    std_link: StdLink,
    std_floor: f64,
    decoder: Vec<HiddenLayer>,
    likelihood: Likelihood,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HiddenLayer {
    width: usize,
    activation: Activation,
}

/// φ, applied to each coordinate.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Activation {
    Identity,
    Relu,
    LeakyRelu { slope: f64 },
    Elu,
    Softplus,
    Tanh,
    Sigmoid,
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

impl Activation {
    fn value(self, a: f64) -> f64 {
        match self {
            Self::Identity => a,
            Self::Relu => a.max(0.0),
            Self::LeakyRelu { slope } => a.max(0.0) + slope * a.min(0.0),
            Self::Elu => a.max(0.0) + a.min(0.0).exp_m1(),
            Self::Softplus => softplus(a),
            Self::Tanh => a.tanh(),
            Self::Sigmoid => sigmoid(a),
        }
    }

    /// At least every slope of φ.
    pub(super) fn lipschitz(self) -> f64 {
        match self {
            Self::Sigmoid => 0.25,
            _ => 1.0,
        }
    }
}

/// ln(1 + e^a), relative error at most 18u.
pub(super) fn softplus(a: f64) -> f64 {
    a.max(0.0) + (-a.abs()).exp().ln_1p()
}

/// h = φ(W x + b).
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) weight: Matrix,
    bias: Vec<f64>,
    pub(super) activation: Activation,
    /// At least ‖W‖₂.
    pub(super) spectral: f64,
    /// At least ‖W‖_F.
    frobenius: f64,
    /// At least ‖b‖₂.
    bias_norm: f64,
}

/// Layers one after the other.
#[derive(Debug, Clone)]
pub(super) struct Network {
    pub(super) layers: Vec<Arc<Layer>>,
    /// At least W₀W₀ᵀ of the first layer, where a later layer makes use of it and every width can be handled.
    pub(super) gram: Option<Arc<Matrix>>,
}

/// Points, one per row, and for each a bound of its Euclidean distance to what it stands for.
pub(super) struct Points {
    pub(super) values: Matrix,
    pub(super) errors: Vec<f64>,
}

/// The pre-activations of every layer at one input, each with a bound of its error, which also bounds every coordinate's.
pub(super) type Trace = Vec<(Vec<f64>, f64)>;

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

impl Layer {
    /// W x + b: an error carried over grows by ‖W‖₂, and an entry meets γ_k(|W||x| + |b|).
    fn affine(&self, points: &Points) -> Points {
        let mut values = product(&points.values, &self.weight);
        let (rows, inner) = (values.rows, self.weight.columns);
        for row in values.entries.chunks_exact_mut(self.weight.rows.max(1)) {
            row.iter_mut().zip(&self.bias).for_each(|(value, bias)| *value += bias);
        }
        let relative = gamma(roundings(inner) + 1);
        let lost = underflow(1, self.weight.rows, inner + 1);
        let error = |i: usize| {
            let size = self.frobenius * norm(points.values.row(i)) + self.bias_norm;
            GUARD * (self.spectral * points.errors[i] + relative * size) + lost
        };
        let errors = (0..rows).map(error).collect();
        Points { values, errors }
    }

    /// φ of each coordinate: every φ has slopes in [0, 1] and φ(a) is off by [`ACTIVATION_UNITS`].
    fn activated(&self, mut points: Points) -> Points {
        if self.activation == Activation::Identity {
            return points;
        }
        points.values.entries.iter_mut().for_each(|value| *value = self.activation.value(*value));
        let lost = points.values.columns as f64 * TINY;
        for (i, error) in points.errors.iter_mut().enumerate() {
            *error = GUARD * (*error + ACTIVATION_UNITS * UNIT * norm(points.values.row(i))) + lost;
        }
        points
    }
}

impl Network {
    fn new(layers: Vec<Arc<Layer>>) -> Self {
        Self { layers, gram: None }
    }

    /// The network's values at every point.
    pub(super) fn forward(&self, points: Points) -> Points {
        self.layers.iter().fold(points, |points, layer| layer.activated(layer.affine(&points)))
    }

    /// The pre-activations at one exact point; the last layer has no activation, so its entry is the output.
    fn trace(&self, input: &[f64]) -> Trace {
        let values = Matrix { rows: 1, columns: input.len(), entries: input.to_vec() };
        let (mut points, mut trace) = (Points { values, errors: vec![0.0] }, Vec::new());
        for layer in &self.layers {
            let before = layer.affine(&points);
            trace.push((before.values.entries.clone(), before.errors[0]));
            points = layer.activated(before);
        }
        trace
    }

    /// Whether matrices as wide as every layer can be handled.
    pub(super) fn is_narrow(&self) -> bool {
        self.layers.iter().all(|layer| layer.weight.rows <= LONGEST_SIDE)
    }

    /// At least the Lipschitz constant: the product of all layers'.
    pub(super) fn lipschitz(&self) -> f64 {
        let constants = self.layers.iter().map(|layer| layer.spectral * layer.activation.lipschitz());
        raised(constants.product(), 2.0 * self.layers.len() as f64)
    }

    /// The widest layer.
    pub(super) fn width(&self) -> usize {
        self.layers.iter().map(|layer| layer.weight.rows).max().unwrap_or(0)
    }
}

impl Model {
    /// Reads a model file.
    pub(super) fn read(file: &[u8]) -> Result<Self, Rejection> {
        let metadata = metadata(file)?;
        if metadata.format != 1 {
            return Err(refuse(format!("model file format {}, expected 1", metadata.format)));
        }
        let architecture = metadata.architecture;
        let input_dim = architecture.input_shape.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis));
        let input_dim = input_dim.filter(|&dim| dim > 0 && !architecture.input_shape.is_empty());
        let input_dim =
            input_dim.ok_or_else(|| refuse(format!("impossible input shape {:?}", architecture.input_shape)))?;
        if !(architecture.std_floor >= 0.0 && architecture.std_floor.is_finite()) {
            return Err(refuse(format!("the floor of σ is {}, expected at least 0", architecture.std_floor)));
        }
        let tensors = SafeTensors::deserialize(file).map_err(|error| refuse(error.to_string()))?;
        let mut tensors: BTreeMap<String, TensorView<'_>> = tensors.tensors().into_iter().collect();
        let code_source = architecture.trunk.last().map_or(input_dim, |layer| layer.width);
        let output = |width| Some(HiddenLayer { width, activation: Activation::Identity });
        let mut read = |prefix, from, hidden, last| read_layers(&mut tensors, prefix, from, hidden, last);
        let trunk = read("encoder.trunk", input_dim, architecture.trunk, None)?;
        let mean = read("encoder.mean", code_source, architecture.mean_head, output(architecture.latent_dim))?;
        let std = read("encoder.std", code_source, architecture.std_head, output(architecture.latent_dim))?;
        let last = match architecture.likelihood {
            Likelihood::Bernoulli => Activation::Sigmoid,
            Likelihood::Gaussian { .. } => Activation::Identity,
        };
        let output = Some(HiddenLayer { width: input_dim, activation: last });
        let decoder = read("decoder", architecture.latent_dim, architecture.decoder, output)?;
        if let Some(name) = tensors.keys().next() {
            return Err(refuse(format!("tensor {name} belongs to no layer")));
        }
        let [mean, std] = [mean, std].map(|head| Network::new([trunk.clone(), head].concat()));
        let mut model = Self {
            input_dim,
            latent_dim: architecture.latent_dim,
            weights_sha256: metadata.sha256,
            mean,
            std,
            decoder: Network::new(decoder),
            link: architecture.std_link,
            floor: architecture.std_floor,
        };
        model.add_grams(trunk.is_empty());
        Ok(model)
    }

    fn add_grams(&mut self, separate: bool) {
        let first = |network: &Network| {
            let wanted = network.layers.len() > 1 && network.is_narrow();
            network.layers.first().filter(|_| wanted).map(|layer| Arc::new(gram(&layer.weight)))
        };
        self.mean.gram = first(&self.mean);
        self.std.gram = if separate || self.mean.gram.is_none() { first(&self.std) } else { self.mean.gram.clone() };
        if !self.std.is_narrow() {
            self.std.gram = None;
        }
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

fn metadata(file: &[u8]) -> Result<Metadata, Rejection> {
    let (_, header) = SafeTensors::read_metadata(file).map_err(|error| refuse(error.to_string()))?;
    let entry = header.metadata().as_ref().and_then(|entries| entries.get("vaecert"));
    let entry = entry.ok_or_else(|| refuse("no metadata entry \"vaecert\"".to_owned()))?;
    serde_json::from_str(entry).map_err(|error| refuse(format!("metadata entry \"vaecert\": {error}")))
}

/// The layers of one network: the hidden ones, then the `last`.
fn read_layers(
    tensors: &mut BTreeMap<String, TensorView<'_>>,
    prefix: &str,
    from: usize,
    hidden: Vec<HiddenLayer>,
    last: Option<HiddenLayer>,
) -> Result<Vec<Arc<Layer>>, Rejection> {
    let (mut columns, mut layers) = (from, Vec::new());
    for (i, HiddenLayer { width, activation }) in hidden.into_iter().chain(last).enumerate() {
        if width == 0 || matches!(activation, Activation::LeakyRelu { slope } if !(0.0..=1.0).contains(&slope)) {
            return Err(refuse(format!("{prefix}, layer {i}: width {width} with {activation:?} is impossible")));
        }
        let entries = take(tensors, &format!("{prefix}.{i}.weight"), &[width, columns])?;
        let bias = take(tensors, &format!("{prefix}.{i}.bias"), &[width])?;
        let weight = Matrix { rows: width, columns, entries };
        let (spectral, frobenius, bias_norm) = (spectral_norm(&weight, LONGEST_SIDE), weight.norm(), norm(&bias));
        layers.push(Arc::new(Layer { weight, bias, activation, spectral, frobenius, bias_norm }));
        columns = width;
    }
    Ok(layers)
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
