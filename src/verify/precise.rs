//! A network at one point in about twice the precision of doubles.
//!
//! The error of a code is multiplied by the norms of all layers of the encoder and of the decoder behind it, which is
//! too much for plain doubles where there are many layers. A value here is hi + lo with |lo| ≤ u|hi|.

use super::activation::{Activation, ACTIVATION_UNITS};
use super::map::Map;
use super::network::Layer;
use super::rounding::{gamma, norm, GUARD, TINY, UNIT};

/// Multiplied by this a double falls apart into two of 26 bits.
const SPLITTER: f64 = 134_217_729.0;

/// Values hi + lo and a bound of the Euclidean distance to what they stand for.
pub(super) struct Precise {
    pub(super) values: Vec<(f64, f64)>,
    pub(super) error: f64,
}

/// a + b = sum + rest, exactly (Knuth).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// Two numbers of at most 26 bits with this sum (Dekker, Veltkamp).
fn halves(value: f64) -> (f64, f64) {
    let scaled = SPLITTER * value;
    let high = scaled - (scaled - value);
    (high, value - high)
}

/// The product, as a number and its rounding.
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let (product, (a_high, a_low), (b_high, b_low)) = (a * b, halves(a), halves(b));
    (product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low))
}

impl Precise {
    pub(super) fn exact(values: &[f64]) -> Self {
        Self { values: values.iter().map(|&value| (value, 0.0)).collect(), error: 0.0 }
    }

    /// At least the Euclidean norm of the values.
    fn norm(&self) -> f64 {
        GUARD * norm(&self.values.iter().map(|value| value.0).collect::<Vec<_>>())
    }

    /// The values as doubles, and a bound of their error.
    pub(super) fn rounded(&self) -> (Vec<f64>, f64) {
        let lost = norm(&self.values.iter().map(|value| value.1).collect::<Vec<_>>());
        (self.values.iter().map(|value| value.0).collect(), GUARD * (self.error + lost))
    }

    /// W x + b. Weights have 24 bits, so their products with half a double are exact, and so is every sum together with
    /// what it loses. With n terms, those losses and the products with lo are at most (2n + 1)u(|W||x| + |b|) in all,
    /// and adding them up is off by γ_{3n} of that.
    pub(super) fn affine(&self, layer: &Layer) -> Self {
        let map = &layer.map;
        if let Map::MaxPool(windows) = map {
            let values = windows.maxima(&self.values, (f64::NEG_INFINITY, 0.0), |a, b| if above(a, b) { a } else { b });
            return Self { values, error: GUARD * layer.spectral * self.error };
        }
        let split: Vec<(f64, f64)> = self.values.iter().map(|value| halves(value.0)).collect();
        let (mut values, mut most) = (Vec::with_capacity(map.outputs()), 0_usize);
        for row in 0..map.outputs() {
            let (mut sum, mut rest, mut terms) = (layer.bias(row), 0.0, 0);
            map.visit(row, |k, weight| {
                for half in [split[k].0, split[k].1] {
                    let (next, lost) = two_sum(sum, weight * half);
                    sum = next;
                    rest += lost;
                }
                rest += weight * self.values[k].1;
                terms += 1;
            });
            values.push(two_sum(sum, rest));
            most = most.max(terms);
        }
        let size = layer.absolute * self.norm() + layer.bias_norm;
        let relative = gamma(3 * most + 2) * (2.0 * most as f64 + 2.0) * UNIT;
        let lost = (map.outputs() as f64) * (3.0 * most as f64 + 1.0) * TINY;
        let error = GUARD * (layer.spectral * self.error + GUARD * relative * size) + lost;
        Self { values, error }
    }

    /// φ of each value. Where φ is not made of straight pieces, it is taken at hi, which is off by lo times its
    /// steepest slope, and as a double.
    pub(super) fn activated(self, activation: Activation) -> Self {
        let zero = (0.0, 0.0);
        let values = self.values.iter().map(|&(hi, lo)| match activation {
            Activation::Identity => (hi, lo),
            Activation::Relu | Activation::LeakyRelu { .. } | Activation::Elu { .. } if hi > 0.0 => (hi, lo),
            Activation::Relu if hi <= 0.0 => zero,
            Activation::LeakyRelu { slope } => {
                let (product, rest) = two_product(slope, hi);
                two_sum(product, rest + slope * lo)
            }
            Activation::Clip { low, .. } if hi < low => (low, 0.0),
            Activation::Clip { high, .. } if hi > high => (high, 0.0),
            Activation::Clip { .. } => (hi, lo),
            _ => (activation.value(hi), 0.0),
        });
        let values: Vec<(f64, f64)> = values.collect();
        let (size, steepest) = (self.norm(), activation.steepest());
        let found = Self { values, error: 0.0 };
        let relative = match activation {
            Activation::Identity | Activation::Relu | Activation::Clip { .. } => 0.0,
            Activation::LeakyRelu { .. } => 8.0 * UNIT * UNIT * size,
            _ => UNIT * (ACTIVATION_UNITS * found.norm() + steepest * size),
        };
        let lost = found.values.len() as f64 * 8.0 * TINY;
        Self { error: GUARD * (steepest * self.error + relative) + lost, ..found }
    }
}

/// Whether hi + lo of the first is the larger one, or no number.
fn above(a: (f64, f64), b: (f64, f64)) -> bool {
    a.0.is_nan() || a.0 > b.0 || (a.0 >= b.0 && a.1 > b.1)
}
