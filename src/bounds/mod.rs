//! Radii: the first-order ladder of Theorem 1, certificates that drop nothing, the Gamma sum of Proposition 1, and the
//! exact margin where everything is linear.
//!
//! The ladder drops the theorem's O(ε), so its rungs are [`Estimate`](crate::quantity::Estimate)s and never
//! lower bounds. The linear-Gaussian case is the yardstick: there the ladder must lie below the exact margin.

use crate::linalg::LinalgError;
use crate::quantity::{Probability, QuantityError};
use crate::stats::quadratic_form::QuadraticFormError;

mod a_priori;
mod certified;
mod linear_gaussian;
mod linear_margin;
mod proposition1;
mod shifted_normal;
mod theorem1;

pub use a_priori::{a_priori_radius, LipschitzConstants};
pub use certified::{CertificationProblem, CertifiedRadii, CertifiedRadius, StdMovement};
pub use linear_gaussian::{one_dimensional_margin, one_dimensional_probability, ExactMargin};
pub use linear_margin::{LinearGaussian, MarginBracket};
pub use proposition1::{FirstOrderDamage, Proposition1};
pub use shifted_normal::{ProbabilityInside, PROBABILITY_RELATIVE_ERROR};
pub use theorem1::{first_order_ladder, FirstOrderLadder, LadderOutcome};

/// Inputs that have no radius.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BoundError {
    /// A standard deviation is not a finite number above 0.
    #[error("standard deviation {index} is {value}; it must be a finite number above 0")]
    StandardDeviation {
        /// Latent coordinate, from 0.
        index: usize,
        /// The value.
        value: f64,
    },
    /// Two inputs do not belong to the same network.
    #[error("{what} has {found} entries where {expected} are needed")]
    Shape {
        /// The input that does not fit.
        what: &'static str,
        /// Entries needed.
        expected: usize,
        /// Entries found.
        found: usize,
    },
    /// A lower bound of a probability exceeds 1.
    #[error("{0} is no lower bound of a probability")]
    ProbabilityLower(f64),
    /// A ratio of the inputs exceeds the range of double precision.
    #[error("{what} is beyond the range of double precision")]
    OutOfRange {
        /// The ratio.
        what: &'static str,
    },
    /// A norm cannot be computed.
    #[error(transparent)]
    Linalg(#[from] LinalgError),
    /// The distribution of the Gamma sum cannot be computed.
    #[error("the first-order distribution of the damage: {0}")]
    QuadraticForm(#[from] QuadraticFormError),
    /// A result came out as no quantity at all; a defect of this module.
    #[error("the computed radius is invalid: {0}")]
    Quantity(#[from] QuantityError),
}

/// Fails unless `std` is a finite number above 0.
fn check_std(index: usize, value: f64) -> Result<(), BoundError> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(BoundError::StandardDeviation { index, value })
    }
}

/// The level m, unless it is so small that probabilities near it lose digits.
fn check_level(level: Probability) -> Result<f64, BoundError> {
    if level.get() < 1e-300 {
        return Err(BoundError::OutOfRange { what: "the level" });
    }
    Ok(level.get())
}
