//! A network in double precision with the norms that bound its rounding errors and its Lipschitz constant.
//!
//! What is bounded is the distance to the network over the real numbers with the same weights.

use std::sync::Arc;

use candle_core::Result;
use nalgebra::{DMatrix, DVector};

use super::jacobian::to_matrix;
use crate::linalg::{frobenius_upper, relative_rounding, rounded_up, spectral_norm_upper, EnclosedMatrix};
use crate::model::architecture::StdLink;
use crate::model::{Activation, Network, Vae};
use crate::stats::Enclosure;

/// One layer: h = φ(W h + b).
#[derive(Debug)]
pub struct RoundedLayer {
    /// W, `[out, in]`; exact.
    pub weight: DMatrix<f64>,
    /// b, `[out]`; exact.
    pub bias: DVector<f64>,
    /// φ.
    pub activation: Activation,
    /// A number not below ‖W‖₂.
    pub spectral: f64,
    /// A number not below ‖W‖_F.
    pub frobenius: f64,
    /// A number not below ‖b‖₂.
    pub bias_norm: f64,
}

/// Layers applied one after the other, and a bound of W₀W₀ᵀ of the first.
#[derive(Debug, Clone)]
pub struct RoundedNetwork {
    layers: Vec<Arc<RoundedLayer>>,
    /// At least W₀W₀ᵀ of the first layer in the Loewner order; shared by all inputs, and by the heads of one trunk.
    first_gram: Arc<DMatrix<f64>>,
}

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
    fn new(weight: DMatrix<f64>, bias: DVector<f64>, activation: Activation) -> Self {
        let spectral = spectral_norm_upper(&weight);
        let frobenius = frobenius_upper(&weight);
        let bias_norm = frobenius_upper(&DMatrix::from_column_slice(bias.len(), 1, bias.as_slice()));
        Self { weight, bias, activation, spectral, frobenius, bias_norm }
    }

    /// A bound of the error of W h + b, for an h of at most this norm with at most this error.
    fn affine_error(&self, norm: f64, error: f64) -> f64 {
        let rounding = relative_rounding(self.weight.ncols() + 1) * (self.frobenius * norm + self.bias_norm);
        rounded_up(self.spectral * error + rounding + self.weight.len() as f64 * f64::MIN_POSITIVE)
    }

    /// A bound of the error of φ(a) for activations of at most this norm, a having at most this error.
    fn activation_error(&self, norm: f64, error: f64) -> f64 {
        if self.activation == Activation::Identity {
            return error;
        }
        rounded_up(error + ACTIVATION_ERROR * norm + self.weight.nrows() as f64 * f64::MIN_POSITIVE)
    }

    /// A number not below φ's Lipschitz constant times ‖W‖₂.
    fn lipschitz(&self) -> f64 {
        let steepest = if self.activation == Activation::Sigmoid { 0.25 } else { 1.0 };
        rounded_up(steepest * self.spectral)
    }
}

impl RoundedNetwork {
    fn new(layers: Vec<Arc<RoundedLayer>>) -> Self {
        let first_gram = layers.first().map_or_else(
            || DMatrix::zeros(0, 0),
            |layer| {
                let weight = EnclosedMatrix::exact(layer.weight.clone());
                weight.times_transposed(&weight).loewner_upper()
            },
        );
        Self { layers, first_gram: Arc::new(first_gram) }
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
    #[must_use]
    pub fn first_gram(&self) -> &Arc<DMatrix<f64>> {
        &self.first_gram
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
        let mut hidden = DVector::from_iterator(input.len(), input.iter().map(|&value| f64::from(value)));
        let mut error = 0.0;
        let mut found = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            error = layer.affine_error(norm_upper(&hidden), error);
            let values = &layer.weight * &hidden + &layer.bias;
            found.push(RoundedVector { values: values.clone(), error });
            hidden = values.map(|value| layer.activation.value(value));
            error = layer.activation_error(norm_upper(&hidden), error);
        }
        found
    }

    /// A bound of the error ‖g̃(z) − g(z)‖₂ of a forward pass in double precision, in whatever order products are
    /// summed, for every computed z with ‖z‖₂ ≤ `norm` whose own error is at most `error`.
    #[must_use]
    pub fn forward_error(&self, norm: f64, error: f64) -> f64 {
        let (mut norm, mut error) = (norm, error);
        for layer in &self.layers {
            let affine = rounded_up(layer.spectral * norm + layer.bias_norm);
            error = layer.affine_error(norm, error);
            // |φ(a)| ≤ |a| + |φ(0)|, and |φ(0)| < 0.7; what was computed may be larger by its error.
            let at_zero = 0.7 * (layer.bias.len() as f64).sqrt();
            norm = rounded_up(affine + error + if layer.activation == Activation::Identity { 0.0 } else { at_zero });
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
        let mut std =
            RoundedNetwork { layers: with_head(&encoder.std_head)?, first_gram: Arc::clone(&mean.first_gram) };
        if trunk.is_empty() {
            std = RoundedNetwork::new(std.layers);
        }
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
        let outputs = self.decoder.layers().last().map_or(0, |layer| layer.bias.len());
        rounded_up(
            self.decoder.forward_error(size, error)
                + self.decoder.forward_error(undisturbed, reference.mean.error)
                + relative_rounding(outputs) * 2.0 * distance,
        )
    }
}

fn rounded_layers(network: &Network) -> Result<Vec<Arc<RoundedLayer>>> {
    let layer = |dense: &crate::model::network::Dense| {
        let bias = to_matrix(&dense.bias.unsqueeze(0)?)?.transpose().column(0).into_owned();
        Ok(Arc::new(RoundedLayer::new(to_matrix(&dense.weight)?, bias, dense.activation)))
    };
    network.layers().iter().map(layer).collect()
}

/// A number not below ‖v‖₂.
pub(crate) fn norm_upper(vector: &DVector<f64>) -> f64 {
    rounded_up(vector.norm() * (1.0 + relative_rounding(vector.len())) + vector.len() as f64 * f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::activation::ALL_ACTIVATIONS;
    use crate::model::architecture::{Architecture, HiddenLayer};
    use crate::seed::{standard_normal, Seed};
    use candle_core::{DType, Device, Tensor};

    fn vae(activation: Activation, link: StdLink) -> Vae {
        let hidden = vec![HiddenLayer { width: 7, activation }; 2];
        let mut architecture = Architecture::preset("digits", &[6]).unwrap();
        (architecture.trunk, architecture.decoder, architecture.std_link) = (hidden.clone(), hidden, link);
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
                let tolerance = rounded.distance_error(&code, &code, 1.0);
                assert!(tolerance > 0.0 && tolerance < 1e-9, "{tolerance}");
            }
        }
    }

    #[test]
    fn the_lipschitz_constant_of_a_diagonal_chain_is_the_product_of_its_norms() {
        let diagonal = |values: [f64; 2], activation| {
            let weight = DMatrix::from_diagonal(&DVector::from_vec(values.to_vec()));
            Arc::new(RoundedLayer::new(weight, DVector::zeros(2), activation))
        };
        let layers = vec![diagonal([3.0, 1.0], Activation::Relu), diagonal([0.5, 2.0], Activation::Sigmoid)];
        // 3 · 2 · 1/4, each norm too large by less than 1 %.
        let found = RoundedNetwork::new(layers).lipschitz();
        assert!((1.5..1.53).contains(&found), "{found}");
    }

    #[test]
    fn overflow_is_an_infinite_error_and_not_a_small_one() {
        let weight = DMatrix::from_element(2, 2, 1e200);
        let layer = || Arc::new(RoundedLayer::new(weight.clone(), DVector::zeros(2), Activation::Identity));
        let network = RoundedNetwork { layers: vec![layer(), layer()], first_gram: Arc::new(DMatrix::zeros(2, 2)) };
        assert!(!(network.pre_activations(&[1.0, 1.0])[1].error.is_finite()));
    }
}
