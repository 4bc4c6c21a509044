//! Activations: their values, with a bound of the error, and how steep they can be.

use serde::Deserialize;

use super::rounding::SYSTEM;
use super::secant::sigmoid;

/// Relative error, in units u, of each activation at an exact argument: at most two system functions and two operations.
pub(super) const ACTIVATION_UNITS: f64 = 2.0 * SYSTEM + 4.0;

/// φ, applied to each coordinate.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Activation {
    Identity,
    Relu,
    LeakyRelu {
        slope: f64,
    },
    /// a above 0, α(eᵃ − 1) below.
    Elu {
        alpha: f64,
    },
    Softplus,
    Tanh,
    Sigmoid,
    /// a between `low` and `high`, the nearer of both elsewhere.
    Clip {
        low: f64,
        high: f64,
    },
}

impl Activation {
    pub(super) fn value(self, a: f64) -> f64 {
        if a.is_nan() {
            return a;
        }
        match self {
            Self::Identity => a,
            Self::Relu => a.max(0.0),
            Self::LeakyRelu { slope } => a.max(0.0) + slope * a.min(0.0),
            Self::Elu { alpha } => a.max(0.0) + alpha * a.min(0.0).exp_m1(),
            Self::Softplus => softplus(a),
            Self::Tanh => a.tanh(),
            Self::Sigmoid => sigmoid(a),
            Self::Clip { low, high } => a.max(low).min(high),
        }
    }

    /// At least every slope of φ; none is below 0.
    pub(super) fn steepest(self) -> f64 {
        match self {
            Self::Sigmoid => 0.25,
            Self::Elu { alpha } => alpha.max(1.0),
            _ => 1.0,
        }
    }

    /// Whether the constants are those of an activation.
    pub(super) fn is_possible(self) -> bool {
        match self {
            Self::LeakyRelu { slope } => (0.0..=1.0).contains(&slope),
            Self::Elu { alpha } => alpha > 0.0 && alpha <= 2.0,
            Self::Clip { low, high } => low < high && low.is_finite() && high.is_finite(),
            _ => true,
        }
    }
}

/// ln(1 + e^a), relative error at most 18u.
pub(super) fn softplus(a: f64) -> f64 {
    a.max(0.0) + (-a.abs()).exp().ln_1p()
}
