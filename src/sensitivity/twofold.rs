//! One forward pass in about twice the precision of doubles.
//!
//! A code's error counts many times over: a distance of reconstructions carries it multiplied by the norms of all layers of
//! the decoder. So codes, the pre-activations behind them, and distances that doubles cannot tell from r are computed with
//! unevaluated sums of two doubles (Dekker 1971; Ogita, Rump & Oishi 2005).

use nalgebra::DVector;

use super::rounded_map::{norm_upper, RoundedMap};
use super::rounded_network::RoundedLayer;
use crate::linalg::rounded_up;
use crate::model::Activation;

/// high + low.
#[derive(Debug, Clone, Copy)]
struct Twofold {
    high: f64,
    low: f64,
}

/// Unit of the relative error of one operation, with room.
const UNIT: f64 = 1.0 / (1_u128 << 102) as f64;

impl Twofold {
    const ZERO: Self = Self { high: 0.0, low: 0.0 };

    fn of_sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let part = high - a;
        Self { high, low: (a - (high - part)) + (b - part) }
    }

    /// self + w·h; the low parts lose what is below the unit squared.
    fn plus_product(self, weight: f64, value: Self) -> Self {
        let product = weight * value.high;
        let rest = weight.mul_add(value.high, -product) + weight * value.low;
        let sum = Self::of_sum(self.high, product);
        Self::of_sum(sum.high, sum.low + (self.low + rest))
    }

    fn activated(self, activation: Activation) -> Self {
        match activation {
            Activation::Identity => self,
            Activation::Relu if self.high > 0.0 => self,
            Activation::LeakyRelu { .. } if self.high > 0.0 => self,
            Activation::LeakyRelu { slope } => Self::ZERO.plus_product(slope, self),
            // Where the high part meets a limit, the low part decides.
            Activation::Clip { low, high }
                if (self.high, self.low) > (low, 0.0) && (self.high, self.low) < (high, 0.0) =>
            {
                self
            }
            Activation::Elu { .. } if self.high > 0.0 => self,
            _ => {
                let value = activation.value(self.high);
                Self { high: value, low: activation.slope_at_output(value) * self.low }
            }
        }
    }
}

/// A value after each map, `[width]` each, and a bound of its error in the 2-norm; `error` bounds that of `input`.
pub(crate) fn pre_activations(
    layers: &[impl AsRef<RoundedLayer>],
    input: &DVector<f64>,
    error: f64,
) -> Vec<(DVector<f64>, f64)> {
    let mut hidden: Vec<Twofold> = input.iter().map(|&high| Twofold { high, low: 0.0 }).collect();
    let mut error = error;
    let mut found = Vec::with_capacity(layers.len());
    for layer in layers {
        let RoundedLayer { map, activation, .. } = layer.as_ref();
        let before = norm_upper(&highs(&hidden));
        hidden = mapped(map, &hidden);
        let norms = map.norms();
        let operations = (norms.products + 8) as f64;
        let rounding = operations * operations * UNIT * (norms.absolute * before + norms.bias);
        // In a maximum, equal high parts may come with either low part, once per window.
        let rounding = if map.is_maximum() { f64::EPSILON * norms.spectral * before } else { rounding };
        let underflow = (map.outputs() * (norms.products + 1)) as f64 * f64::MIN_POSITIVE;
        error = rounded_up(norms.spectral * error + rounding + underflow);
        let values = highs(&hidden);
        // Dropping the low parts rounds every value once.
        found.push((values.clone(), rounded_up(error + f64::EPSILON * norm_upper(&values))));
        hidden.iter_mut().for_each(|value| *value = value.activated(*activation));
        error = rounded_up(activation.steepest() * error + activation_error(*activation, &highs(&hidden)));
    }
    found
}

fn highs(values: &[Twofold]) -> DVector<f64> {
    DVector::from_iterator(values.len(), values.iter().map(|value| value.high))
}

/// Functions of the system are as precise as doubles are; linear pieces are as precise as everything here.
fn activation_error(activation: Activation, values: &DVector<f64>) -> f64 {
    let relative = if activation.is_piecewise_linear() { 8.0 * UNIT } else { 8.0 * f64::EPSILON };
    rounded_up(relative * norm_upper(values) + values.len() as f64 * f64::MIN_POSITIVE)
}

fn mapped(map: &RoundedMap, input: &[Twofold]) -> Vec<Twofold> {
    if map.is_maximum() {
        return map.maxima(input, |value| value.high, Twofold::ZERO);
    }
    let mut output: Vec<Twofold> = map.bias().iter().map(|&high| Twofold { high, low: 0.0 }).collect();
    map.for_each_entry(|to, from, weight| output[to] = output[to].plus_product(weight, input[from]));
    output
}
