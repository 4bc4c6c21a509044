//! A network in double precision with the norms that bound its rounding errors and its Lipschitz constant.
//!
//! What is bounded is the distance to the network over the real numbers with the same weights.

use std::sync::{Arc, OnceLock};

use candle_core::Result;
use nalgebra::{DMatrix, DVector};

use super::rounded_map::{norm_upper, MapNorms, RoundedMap};
use super::twofold;
use super::wide::LARGEST_METRIC;
use crate::linalg::{relative_rounding, rounded_up, EnclosedMatrix};
use crate::model::architecture::StdLink;
use crate::model::network::Layer;
use crate::model::{Activation, Network, Vae};
use crate::stats::Enclosure;

/// One layer: h = φ(map(h)).
#[derive(Debug)]
pub struct RoundedLayer {
    /// The map.
    pub map: RoundedMap,
    /// φ.
    pub activation: Activation,
    /// Where each window ends among the outputs, if these are the places of windows whose maximum is taken next.
    pub(crate) windows: Vec<usize>,
}

/// Layers applied one after the other.
#[derive(Debug, Clone)]
pub struct RoundedNetwork {
    layers: Vec<Arc<RoundedLayer>>,
    /// [`NARROW`], [`super::wide::LARGEST_METRIC`] and [`MOST_BEHIND_WIDE`]; smaller in tests.
    limits: [usize; 3],
    /// What a bound of the output's move needs, made when the first one is asked for: a decoder never is.
    full: OnceLock<FullMatrices>,
    /// See [`RoundedNetwork::steps`]; none where there is no maximum.
    steps: OnceLock<Option<Box<RoundedNetwork>>>,
}

/// Matrices that all inputs share.
#[derive(Debug, Clone)]
struct FullMatrices {
    /// At least W₀W₀ᵀ of the first layer in the Loewner order. Empty where the first layer is wide or the only one.
    first_gram: Arc<DMatrix<f64>>,
    /// Of the narrow layers after the first of them, and of an only layer; empty for others.
    weights: Vec<Arc<EnclosedMatrix>>,
}

/// Layers up to this width are treated with full matrices, wider ones never.
pub(crate) const NARROW: usize = 4096;

/// A narrow layer behind a wide one is treated with full matrices if at most so many of its slopes are uncertain and the
/// next layer has at most so many units.
const MOST_BEHIND_WIDE: usize = 1024;

/// A vector known up to `error` in the 2-norm, which also bounds the error of each of its entries.
#[derive(Debug, Clone)]
pub struct RoundedVector {
    /// As computed.
    pub values: DVector<f64>,
    /// ‖truth − values‖₂ is at most this.
    pub error: f64,
}

/// The code of one input with bounds of its error.
#[derive(Debug, Clone)]
pub struct RoundedCode {
    /// μ(x), `[d_z]`.
    pub mean: RoundedVector,
    /// σ(x), `[d_z]`, entry by entry.
    pub std: Vec<Enclosure>,
}

/// The networks of a VAE. The trunk is shared.
#[derive(Debug, Clone)]
pub struct RoundedVae {
    /// x ↦ μ(x).
    pub mean: RoundedNetwork,
    /// x ↦ the standard-deviation head's output.
    pub std: RoundedNetwork,
    /// z ↦ g(z).
    pub decoder: RoundedNetwork,
    /// From the head's output to a standard deviation.
    pub std_link: StdLink,
    /// τ.
    pub std_floor: f64,
}

/// No draw of the standard normal is larger: the tail of the ziggurat ends at 3.66 − ln(2⁻⁵³)/3.65.
const LARGEST_DRAW: f64 = 16.0;
/// Error of an activation as a share of its value: eight units in the last place, four for each function of the system.
const ACTIVATION_ERROR: f64 = 8.0 * f64::EPSILON;

impl RoundedVector {
    /// Of a network without layers, which no architecture has.
    fn unknown() -> Self {
        Self { values: DVector::zeros(0), error: f64::INFINITY }
    }
}

impl RoundedLayer {
    /// A layer that is no window's copy.
    pub(crate) fn new(map: RoundedMap, activation: Activation) -> Self {
        Self { map, activation, windows: vec![] }
    }

    /// φ of what the map made.
    fn activated(&self, vector: &RoundedVector) -> RoundedVector {
        let values = vector.values.map(|value| self.activation.value(value));
        let error = self.activation_error(norm_upper(&values), vector.error);
        RoundedVector { values, error }
    }

    /// A bound of the error of the map's output, for an h of at most this norm with at most this error.
    fn map_error(&self, norm: f64, error: f64) -> f64 {
        let MapNorms { spectral, absolute, bias, products, .. } = *self.map.norms();
        let rounding = relative_rounding(products + 1) * (absolute * norm + bias);
        let underflow = (self.map.outputs() * products.max(1)) as f64 * f64::MIN_POSITIVE;
        rounded_up(spectral * error + rounding + underflow)
    }

    /// A bound of the error of φ(a) for activations of at most this norm, a having at most this error.
    fn activation_error(&self, norm: f64, error: f64) -> f64 {
        if self.activation == Activation::Identity {
            return error;
        }
        let carried = self.activation.steepest() * error;
        rounded_up(carried + ACTIVATION_ERROR * norm + self.map.outputs() as f64 * f64::MIN_POSITIVE)
    }

    /// A number not below φ's Lipschitz constant times ‖W‖₂.
    fn lipschitz(&self) -> f64 {
        rounded_up(self.activation.steepest() * self.map.norms().spectral)
    }
}

impl RoundedNetwork {
    fn new(layers: Vec<Arc<RoundedLayer>>) -> Self {
        Self::with_limits(layers, [NARROW, LARGEST_METRIC, MOST_BEHIND_WIDE])
    }

    fn with_limits(layers: Vec<Arc<RoundedLayer>>, limits: [usize; 3]) -> Self {
        Self { layers, limits, full: OnceLock::new(), steps: OnceLock::new() }
    }

    fn full(&self) -> &FullMatrices {
        self.full.get_or_init(|| {
            let (count, tail) = (self.layers.len(), self.tail_start());
            let none = || DMatrix::zeros(0, 0);
            let weight = |(index, layer): (usize, &Arc<RoundedLayer>)| {
                if index > tail || count == 1 {
                    layer.map.unrolled()
                } else {
                    Arc::new(EnclosedMatrix::exact(none()))
                }
            };
            let first = self.layers.first().filter(|_| tail == 0 && count > 1);
            FullMatrices {
                first_gram: Arc::new(first.map_or_else(none, |layer| layer.map.gram().loewner_upper())),
                weights: self.layers.iter().enumerate().map(weight).collect(),
            }
        })
    }

    /// The same with other limits for full matrices: of layers, of P, and behind a wide layer.
    #[cfg(test)]
    pub(crate) fn limited(&self, limits: [usize; 3]) -> Self {
        Self::with_limits(self.layers.clone(), limits)
    }

    /// Whether P of the wide layers is a full matrix.
    pub(crate) fn has_full_metric(&self) -> bool {
        self.layers.first().is_some_and(|layer| layer.map.inputs() <= self.limits[1])
    }

    /// The third limit.
    pub(crate) fn most_behind_wide(&self) -> usize {
        self.limits[2]
    }

    /// Full matrices of the narrow layers after the first of them, and of an only layer; empty for others.
    pub(crate) fn weights(&self) -> &[Arc<EnclosedMatrix>] {
        &self.full().weights
    }

    /// The first layer from which on every layer is narrow: the number of layers in front of it that must be treated
    /// without full matrices. The number of all layers where the output is wide.
    #[must_use]
    pub fn tail_start(&self) -> usize {
        let wide = |layer: &Arc<RoundedLayer>| layer.map.outputs() > self.limits[0];
        self.layers.iter().rposition(wide).map_or(0, |last| last + 1)
    }

    /// The same network with every maximum in two layers: the places of its windows, and their sums. Only the bound of the
    /// output's move makes sense of the former, whose slopes are shares of a window. An activation in front of a maximum
    /// without one is applied behind it: none of them falls.
    pub(crate) fn steps(&self) -> &Self {
        let split = || {
            if !self.layers.iter().any(|layer| layer.map.is_maximum()) {
                return None;
            }
            let mut layers = Vec::with_capacity(self.layers.len() + 1);
            for layer in &self.layers {
                if !layer.map.is_maximum() {
                    layers.push(Arc::clone(layer));
                    continue;
                }
                let mut activation = layer.activation;
                if let Some(front) = layers.last_mut().filter(|_| activation == Activation::Identity) {
                    activation = front.activation;
                    *front = Arc::new(RoundedLayer::new(front.map.clone(), Activation::Identity));
                }
                let (copies, windows, sums) = layer.map.windows_and_sums();
                layers.push(Arc::new(RoundedLayer { map: copies, activation: Activation::Identity, windows }));
                layers.push(Arc::new(RoundedLayer::new(sums, activation)));
            }
            Some(Box::new(Self::with_limits(layers, self.limits)))
        };
        self.steps.get_or_init(split).as_deref().unwrap_or(self)
    }

    /// What every layer of [`RoundedNetwork::steps`] makes of `input`, before its activation.
    pub(crate) fn step_values(&self, input: &[f32]) -> Vec<RoundedVector> {
        let values = self.pre_activations(input);
        let steps = &self.steps().layers;
        let mut found: Vec<RoundedVector> = Vec::with_capacity(steps.len());
        for (layer, value) in self.layers.iter().zip(values) {
            if !layer.map.is_maximum() {
                found.push(value);
                continue;
            }
            let front = match (found.last(), found.len().checked_sub(1)) {
                (Some(front), Some(index)) => steps[index].activated(front),
                _ => RoundedVector { values: as_doubles(input), error: 0.0 },
            };
            // An entry's error is at most that of the vector it is copied from.
            found.push(RoundedVector { values: steps[found.len()].map.forward(&front.values), error: front.error });
            let error = rounded_up(layer.map.norms().spectral * front.error);
            found.push(RoundedVector { values: layer.map.forward(&front.values), error });
        }
        found
    }

    /// Converts a network, whose weights must be representable in double precision.
    ///
    /// # Errors
    /// If a tensor cannot be read.
    pub fn of(network: &Network) -> Result<Self> {
        Ok(Self::new(rounded_layers(network)?))
    }

    /// The layers, in order.
    #[must_use]
    pub fn layers(&self) -> &[Arc<RoundedLayer>] {
        &self.layers
    }

    /// At least W₀W₀ᵀ of the first layer in the Loewner order.
    pub(crate) fn first_gram(&self) -> Arc<DMatrix<f64>> {
        Arc::clone(&self.full().first_gram)
    }

    /// A number not below the Lipschitz constant of the network, from the norms of its layers alone.
    #[must_use]
    pub fn lipschitz(&self) -> f64 {
        self.layers.iter().fold(1.0, |product, layer| rounded_up(product * layer.lipschitz()))
    }

    /// The pre-activations of every layer at `input`, `[in]`, which is exact. The heads' last layers have no activation,
    /// so that the last one is the output.
    #[must_use]
    pub fn pre_activations(&self, input: &[f32]) -> Vec<RoundedVector> {
        let found = twofold::pre_activations(&self.layers, &as_doubles(input), 0.0);
        found.into_iter().map(|(values, error)| RoundedVector { values, error }).collect()
    }

    /// The output at `input`, whose error is at most `error`, computed more precisely than in doubles up to the last
    /// activation.
    fn precise_output(&self, input: &DVector<f64>, error: f64) -> RoundedVector {
        let last = twofold::pre_activations(&self.layers, input, error).pop();
        let (Some((values, error)), Some(layer)) = (last, self.layers.last()) else { return RoundedVector::unknown() };
        layer.activated(&RoundedVector { values, error })
    }

    /// A bound of the error ‖g̃(z) − g(z)‖₂ of a forward pass in double precision, in whatever order products are
    /// summed, for every computed z with ‖z‖₂ ≤ `norm` whose own error is at most `error`.
    #[must_use]
    pub fn forward_error(&self, norm: f64, error: f64) -> f64 {
        let (mut norm, mut error) = (norm, error);
        for layer in &self.layers {
            let MapNorms { spectral, bias, .. } = *layer.map.norms();
            let affine = rounded_up(spectral * norm + bias);
            error = layer.map_error(norm, error);
            // |φ(a)| ≤ φ's steepest slope times |a| + |φ(0)|; what was computed may be larger by its error.
            let at_zero = layer.activation.value(0.0_f64).abs().next_up() * (layer.map.outputs() as f64).sqrt();
            norm = rounded_up(layer.activation.steepest().max(1.0) * (affine + error) + at_zero);
            error = layer.activation_error(norm, error);
        }
        error
    }
}

impl RoundedVae {
    /// Converts the networks of `vae`.
    ///
    /// # Errors
    /// If a tensor cannot be read.
    pub fn of(vae: &Vae) -> Result<Self> {
        let encoder = vae.encoder();
        let trunk = rounded_layers(&encoder.trunk)?;
        let with_head =
            |head: &Network| -> Result<Vec<Arc<RoundedLayer>>> { Ok([trunk.clone(), rounded_layers(head)?].concat()) };
        let mean = RoundedNetwork::new(with_head(&encoder.mean_head)?);
        let std = RoundedNetwork::new(with_head(&encoder.std_head)?);
        let decoder = RoundedNetwork::of(vae.decoder_mean())?;
        let architecture = vae.architecture();
        Ok(Self { mean, std, decoder, std_link: architecture.std_link, std_floor: architecture.std_floor })
    }

    /// μ(x) and σ(x) at `input`, `[d_x]`.
    #[must_use]
    pub fn code(&self, input: &[f32]) -> RoundedCode {
        let output =
            |network: &RoundedNetwork| network.pre_activations(input).pop().unwrap_or_else(RoundedVector::unknown);
        let head = output(&self.std);
        let std = head.values.iter().map(|&value| self.standard_deviation(Enclosure { value, error: head.error }));
        RoundedCode { mean: output(&self.mean), std: std.collect() }
    }

    fn standard_deviation(&self, head: Enclosure) -> Enclosure {
        let linked = match self.std_link {
            StdLink::HalfLogVariance => (head * 0.5).exp(),
            StdLink::Softplus if head.value > 0.0 => head + ((-head).exp() + 1.0).ln(),
            StdLink::Softplus => (head.exp() + 1.0).ln(),
        };
        linked + self.std_floor
    }

    /// ‖g(μ + σ∘η) − g(μ(x))‖ for the code `attacked`, one draw η of the standard normal, and the code `reference` of x; in
    /// output units, with a bound of its error, which is far below that of doubles.
    #[must_use]
    pub fn precise_distance(&self, reference: &RoundedCode, attacked: &RoundedCode, noise: &[f64]) -> Enclosure {
        let noise = DVector::from_column_slice(noise);
        let std = DVector::from_iterator(attacked.std.len(), attacked.std.iter().map(|std| std.value));
        let latent = &attacked.mean.values + std.component_mul(&noise);
        let std_error = attacked.std.iter().map(|std| std.error).fold(0.0, f64::max);
        let size = norm_upper(&attacked.mean.values) + norm_upper(&std.component_mul(&noise));
        let error = attacked.mean.error + std_error * norm_upper(&noise) + 4.0 * f64::EPSILON * size;
        let point = self.decoder.precise_output(&latent, rounded_up(error));
        let undisturbed = self.decoder.precise_output(&reference.mean.values, reference.mean.error);
        let distance = (&point.values - &undisturbed.values).norm();
        let rounding = relative_rounding(point.values.len() + 2) * distance;
        Enclosure { value: distance, error: rounded_up(point.error + undisturbed.error + rounding) }
    }

    /// A bound of the error of a distance ‖g(z) − g(μ(x))‖ of at most about `distance`, computed in double precision
    /// for any draw z of the code `attacked` and the code `reference` of x; output units. Whatever order products are
    /// summed in; draws of the standard normal are at most 16 in size.
    #[must_use]
    pub fn distance_error(&self, reference: &RoundedCode, attacked: &RoundedCode, distance: f64) -> f64 {
        let draw = LARGEST_DRAW * (attacked.std.len() as f64).sqrt();
        let largest_std = attacked.std.iter().map(|std| std.upper()).fold(0.0, f64::max);
        let std_error = attacked.std.iter().map(|std| std.error + 8.0 * f64::EPSILON * std.value).fold(0.0, f64::max);
        let mean = norm_upper(&attacked.mean.values) + attacked.mean.error;
        let size = rounded_up(mean + largest_std * draw);
        let error = rounded_up(attacked.mean.error + std_error * draw + 4.0 * f64::EPSILON * size);
        let undisturbed = norm_upper(&reference.mean.values) + reference.mean.error;
        let outputs = self.decoder.layers().last().map_or(0, |layer| layer.map.outputs());
        rounded_up(
            self.decoder.forward_error(size, error)
                + self.decoder.forward_error(undisturbed, reference.mean.error)
                + relative_rounding(outputs) * 2.0 * distance,
        )
    }
}

fn as_doubles(input: &[f32]) -> DVector<f64> {
    DVector::from_iterator(input.len(), input.iter().map(|&value| f64::from(value)))
}

fn rounded_layers(network: &Network) -> Result<Vec<Arc<RoundedLayer>>> {
    let layer = |layer: &Layer| Ok(Arc::new(RoundedLayer::new(RoundedMap::of(layer)?, layer.activation())));
    network.layers().iter().map(layer).collect()
}

#[cfg(test)]
mod tests {
    use super::super::jacobian::to_matrix;
    use super::*;
    use crate::model::activation::ALL_ACTIVATIONS;
    use crate::model::architecture::{Architecture, Likelihood};
    use crate::seed::{standard_normal, Seed};
    use candle_core::{DType, Device, Tensor};

    fn vae(activation: Activation, link: StdLink) -> Vae {
        let hidden = [(7, activation); 2];
        let mut architecture =
            Architecture::of_dense_layers(&[6], 8, [&hidden, &[], &[], &hidden], Likelihood::Bernoulli);
        architecture.std_link = link;
        let vae = Vae::initialised(architecture, Seed(5), &Device::Cpu).unwrap();
        vae.converted(DType::F64, &Device::Cpu).unwrap()
    }

    #[test]
    fn code_and_decoder_agree_with_another_order_of_summation_within_their_errors() {
        let input: Vec<f32> = standard_normal(&mut Seed(1).stream("rounded"), 6);
        let row = Tensor::from_slice(&input, (1, 6), &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
        for activation in ALL_ACTIVATIONS {
            for link in [StdLink::HalfLogVariance, StdLink::Softplus] {
                let vae = vae(activation, link);
                let rounded = RoundedVae::of(&vae).unwrap();
                let (code, other) = (rounded.code(&input), vae.encoder().forward(&row).unwrap());
                let mean = other.mean.squeeze(0).unwrap().to_vec1::<f64>().unwrap();
                let std = other.std.squeeze(0).unwrap().to_vec1::<f64>().unwrap();
                assert!(code.mean.error < 1e-12 && code.mean.error > 0.0);
                for i in 0..mean.len() {
                    assert!((mean[i] - code.mean.values[i]).abs() <= 2.0 * code.mean.error);
                    let slack = code.std[i].error + 1e-15;
                    assert!((code.std[i].lower() - slack..=code.std[i].upper() + slack).contains(&std[i]));
                }
                let noise: Vec<f64> = standard_normal(&mut Seed(2).stream("noise"), mean.len());
                let precise = rounded.precise_distance(&code, &code, &noise);
                let z: Vec<f64> = mean.iter().zip(&std).zip(&noise).map(|((m, s), n)| m + s * n).collect();
                let points = Tensor::from_vec([z, mean.clone()].concat(), (2, mean.len()), &Device::Cpu).unwrap();
                let points = to_matrix(&vae.decoder_mean().forward(&points).unwrap()).unwrap();
                let distance = (points.row(0) - points.row(1)).norm();
                assert!((precise.value - distance).abs() <= rounded.distance_error(&code, &code, 1.0) + precise.error);
                assert!(precise.error > 0.0 && precise.error < 1e-13, "{}", precise.error);
                let tolerance = rounded.distance_error(&code, &code, 1.0);
                assert!(tolerance > 0.0 && tolerance < 1e-9, "{tolerance}");
            }
        }
    }

    #[test]
    fn the_lipschitz_constant_of_a_diagonal_chain_is_the_product_of_its_norms() {
        let diagonal = |values: [f64; 2], activation| {
            let weight = DMatrix::from_diagonal(&DVector::from_vec(values.to_vec()));
            Arc::new(RoundedLayer::new(RoundedMap::dense(weight, DVector::zeros(2)), activation))
        };
        let layers = vec![diagonal([3.0, 1.0], Activation::Relu), diagonal([0.5, 2.0], Activation::Sigmoid)];
        // 3 · 2 · 1/4, each norm too large by less than 1 %.
        let found = RoundedNetwork::new(layers).lipschitz();
        assert!((1.5..1.53).contains(&found), "{found}");
    }

    #[test]
    fn overflow_is_an_infinite_error_and_not_a_small_one() {
        let weight = DMatrix::from_element(2, 2, 1e200);
        let map = || RoundedMap::dense(weight.clone(), DVector::zeros(2));
        let layer = || Arc::new(RoundedLayer::new(map(), Activation::Identity));
        let network = RoundedNetwork::new(vec![layer(), layer()]);
        assert!(!(network.pre_activations(&[1.0, 1.0])[1].error.is_finite()));
    }
}
