//! Activation functions: value, slope, and whether they are piecewise linear.

use num_traits::Float;
use serde::{Deserialize, Serialize};

use super::elementary::Elementary;

/// An elementwise function φ applied after an affine map.
///
/// Each is monotone, so its slope can be recovered from its output; a backward pass needs no other memory. SELU is
/// [`Activation::Elu`] with α = 1.6733 and its scale in the next layer's weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// φ(a) = a.
    Identity,
    /// φ(a) = max(a, 0); slope 0 at 0.
    Relu,
    /// φ(a) = a above 0, `slope`·a below; `slope` in [0, 1].
    LeakyRelu {
        /// Slope below 0.
        slope: f64,
    },
    /// φ(a) = a above 0, `alpha`·(exp(a) − 1) below.
    Elu {
        /// α, above 0 and at most 2. At 0 the slope jumps from α to 1.
        alpha: f64,
    },
    /// φ(a) = log(1 + exp a), evaluated without overflow.
    Softplus,
    /// φ(a) = tanh a.
    Tanh,
    /// φ(a) = 1 / (1 + exp(−a)), evaluated without overflow.
    Sigmoid,
    /// φ(a) = a between `low` and `high`, the nearer of the two elsewhere; slope 0 at both.
    Clip {
        /// Smallest value.
        low: f64,
        /// Largest value, above `low`.
        high: f64,
    },
}

impl Activation {
    /// φ(a).
    #[inline(always)]
    pub fn value<T: Elementary>(self, a: T) -> T {
        let (zero, one) = (T::zero(), T::one());
        match self {
            Self::Identity => a,
            Self::Relu => a.max(zero),
            Self::LeakyRelu { slope } => {
                if a > zero {
                    a
                } else {
                    a * constant(slope)
                }
            }
            Self::Elu { alpha } => {
                if a > zero {
                    a
                } else {
                    constant::<T>(alpha) * a.exp_m1_of_negative()
                }
            }
            Self::Softplus => a.max(zero) + (-a.abs()).exp_of_negative().ln_1p_of_fraction(),
            Self::Tanh => a.tanh_of_any(),
            Self::Sigmoid => {
                let e = (-a.abs()).exp_of_negative();
                if a >= zero {
                    one / (one + e)
                } else {
                    e / (one + e)
                }
            }
            // A comparison, so that NaN stays NaN.
            Self::Clip { low, high } => {
                let (low, high) = (constant(low), constant(high));
                if a <= low {
                    low
                } else if a >= high {
                    high
                } else {
                    a
                }
            }
        }
    }

    /// φ′(a) as a function of the output h = φ(a). At a kink: the slope of the left side.
    #[inline(always)]
    pub fn slope_at_output<T: Elementary>(self, h: T) -> T {
        let (zero, one) = (T::zero(), T::one());
        match self {
            Self::Identity => one,
            Self::Relu => {
                if h > zero {
                    one
                } else {
                    zero
                }
            }
            Self::LeakyRelu { slope } => {
                if h > zero {
                    one
                } else {
                    constant(slope)
                }
            }
            Self::Elu { alpha } => {
                if h > zero {
                    one
                } else {
                    h + constant(alpha)
                }
            }
            Self::Softplus => -(-h).exp_m1_of_negative(),
            Self::Tanh => one - h * h,
            Self::Sigmoid => h * (one - h),
            Self::Clip { low, high } => {
                if h <= constant(low) || h >= constant(high) {
                    zero
                } else {
                    one
                }
            }
        }
    }

    /// No slope of φ is above this.
    #[must_use]
    pub fn steepest(self) -> f64 {
        match self {
            Self::Sigmoid => 0.25,
            Self::Elu { alpha } => alpha.max(1.0),
            _ => 1.0,
        }
    }

    /// What the activation's constants must be, where they are not.
    pub(crate) fn check(self) -> Result<(), &'static str> {
        match self {
            Self::LeakyRelu { slope } if !(0.0..=1.0).contains(&slope) => Err("the slope must lie in [0, 1]"),
            Self::Elu { alpha } if !(alpha > 0.0 && alpha <= 2.0) => Err("alpha must be above 0 and at most 2"),
            Self::Clip { low, high } if !(low < high && low.is_finite() && high.is_finite()) => {
                Err("the limits must be finite and the lower one below the upper one")
            }
            _ => Ok(()),
        }
    }

    /// Whether φ is made of straight pieces, so that a network of such functions is affine near almost every input.
    #[must_use]
    pub fn is_piecewise_linear(self) -> bool {
        matches!(self, Self::Identity | Self::Relu | Self::LeakyRelu { .. } | Self::Clip { .. })
    }

    /// Where φ has kinks.
    #[must_use]
    pub fn kinks(self) -> Vec<f64> {
        match self {
            Self::Relu => vec![0.0],
            Self::LeakyRelu { slope } if slope < 1.0 => vec![0.0],
            Self::Elu { alpha } if (alpha - 1.0).abs() > 0.0 => vec![0.0],
            Self::Clip { low, high } => vec![low, high],
            _ => vec![],
        }
    }
}

/// A model constant in the precision of the computation.
#[inline(always)]
pub(crate) fn constant<T: Float>(value: f64) -> T {
    T::from(value).unwrap_or_else(T::nan)
}

#[cfg(test)]
pub(crate) const ALL_ACTIVATIONS: [Activation; 9] = [
    Activation::Identity,
    Activation::Relu,
    Activation::LeakyRelu { slope: 0.1 },
    Activation::Elu { alpha: 1.0 },
    Activation::Elu { alpha: 1.6733 },
    Activation::Softplus,
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::Clip { low: -0.5, high: 1.5 },
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_match_hand_computed_ones() {
        assert_eq!(Activation::Relu.value(-2.0_f64), 0.0);
        assert_eq!(Activation::LeakyRelu { slope: 0.1 }.value(-2.0_f64), -0.2);
        assert!((Activation::Softplus.value(0.0_f64) - 2.0_f64.ln()).abs() < 1e-15);
        assert!((Activation::Elu { alpha: 1.0 }.value(-1.0_f64) - (1.0_f64.exp().recip() - 1.0)).abs() < 1e-15);
        assert_eq!(Activation::Sigmoid.value(0.0_f64), 0.5);
    }

    #[test]
    fn nothing_overflows_at_extreme_arguments() {
        for activation in ALL_ACTIVATIONS {
            for a in [-1e30_f32, -200.0, 200.0, 1e30] {
                let h = activation.value(a);
                assert!(h.is_finite(), "{activation:?} at {a}");
                assert!(activation.slope_at_output(h).is_finite(), "{activation:?} at {a}");
            }
        }
    }

    #[test]
    fn the_slope_of_relu_at_its_kink_is_zero() {
        assert_eq!(Activation::Relu.slope_at_output(Activation::Relu.value(0.0_f32)), 0.0);
    }

    proptest! {
        #![proptest_config(crate::testing::seeded(256))]

        #[test]
        fn slopes_agree_with_central_differences(a in -6.0..6.0f64, which in 0..ALL_ACTIVATIONS.len()) {
            let activation = ALL_ACTIVATIONS[which];
            let step = 1e-5;
            prop_assume!(activation.kinks().iter().all(|kink| (a - kink).abs() > step));
            let difference = (activation.value(a + step) - activation.value(a - step)) / (2.0 * step);
            let slope = activation.slope_at_output(activation.value(a));
            // Truncation error step² · φ‴/6 plus cancellation 1e-16/step.
            prop_assert!((slope - difference).abs() < 1e-9, "{activation:?}: {slope} against {difference}");
        }
    }
}
