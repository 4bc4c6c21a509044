//! The margin along one direction and over all directions.

use super::branch_and_bound::BranchAndBound;
use super::crossing::cross;
use super::evaluator::Evaluator;
use super::local_search::{Incumbent, LocalSearch};
use super::model::{LinearGaussian, Whitened};
use crate::bounds::{check_level, BoundError, ExactMargin};
use crate::linalg::{euclidean_norm, relative_rounding};
use crate::quantity::{LowerBound, Probability, Radius, UpperBound};
use crate::stats::Enclosure;
use nalgebra::DVector;

/// Relative width of the bracket along one direction, where the bounds of F allow it.
const ALONG_TOLERANCE: f64 = 1e-12;

/// Two numbers that enclose the margin over all directions, in input units (L2); both 0 where no perturbation is needed
/// to fail, both infinite where nothing fails.
#[derive(Debug, Clone, PartialEq)]
pub struct MarginBracket {
    /// Not above the margin.
    pub lower: LowerBound,
    /// Not below the margin.
    pub upper: UpperBound,
    /// A unit vector, `[d_x]`, along which `upper` is reached; zeros where `upper` is 0 or infinite.
    pub direction: DVector<f64>,
    /// How many probabilities were computed.
    pub evaluations: usize,
}

impl LinearGaussian<'_> {
    /// Encloses the smallest ρ with P(ρ·`direction`/‖`direction`‖) ≤ m, for a `direction` `[d_x]` that is not 0,
    /// `radius` r and `level` m; its own 1e-12 relative, as a rule.
    ///
    /// # Errors
    /// [`BoundError::Shape`]; [`BoundError::OutOfRange`] for a direction without a finite positive norm, a level below
    /// 1e-300 or a model whose scaled matrices leave [1e-60, 1e60]; [`BoundError::Linalg`].
    pub fn margin_along(
        &self,
        direction: &DVector<f64>,
        radius: Radius,
        level: Probability,
    ) -> Result<ExactMargin, BoundError> {
        let (expected, found) = (self.inputs(), direction.len());
        if expected != found {
            return Err(BoundError::Shape { what: "the direction", expected, found });
        }
        let level = check_level(level)?;
        let whitened = self.whitened(radius.get())?;
        let (lower, upper) = along(&whitened, direction, level, &mut Evaluator::default())?;
        Ok(ExactMargin { lower: LowerBound::new(lower)?, upper: UpperBound::new(upper)? })
    }

    /// Encloses P(δ) = P(‖Δ(x, δ)‖₂ ≤ r) for a `perturbation` δ, `[d_x]`, and `radius` r.
    ///
    /// # Errors
    /// [`BoundError::Shape`]; [`BoundError::OutOfRange`] as for [`margin_along`](Self::margin_along);
    /// [`BoundError::Linalg`] for entries that are not finite.
    pub fn probability(&self, perturbation: &DVector<f64>, radius: Radius) -> Result<Enclosure, BoundError> {
        let (expected, found) = (self.inputs(), perturbation.len());
        if expected != found {
            return Err(BoundError::Shape { what: "the perturbation", expected, found });
        }
        let norm = euclidean_norm(perturbation)?;
        let whitened = self.whitened(radius.get())?;
        // The bounds of the shifts are those of a unit vector.
        let unit = if norm > 0.0 { perturbation / norm } else { perturbation.clone() };
        let rounding = relative_rounding(found);
        let (low, high) = whitened.shifts(&unit);
        let scaled = |shifts: Vec<f64>, norm: f64| shifts.into_iter().map(|shift| shift * norm).collect::<Vec<_>>();
        let mut evaluator = Evaluator::default();
        let lower = evaluator.enclose(&whitened.high, &scaled(high, norm * (1.0 + rounding)))?.0;
        let upper = evaluator.enclose(&whitened.low, &scaled(low, norm * (1.0 - rounding)))?.1;
        Ok(Enclosure::between(lower, upper))
    }

    /// Encloses R = inf{‖δ‖₂ : P(δ) ≤ m} for `radius` r and `level` m. Stops where (upper − lower) ≤
    /// `tolerance`·upper, or after about `budget` evaluations of P; the bracket holds wherever it stops. One local search
    /// and the rays along the axes, some 30·d_z evaluations, are always done.
    ///
    /// # Errors
    /// As [`margin_along`](Self::margin_along), and [`BoundError::OutOfRange`] for a tolerance outside (0, 1).
    pub fn margin(
        &self,
        radius: Radius,
        level: Probability,
        tolerance: f64,
        budget: usize,
    ) -> Result<MarginBracket, BoundError> {
        if !(tolerance > 0.0 && tolerance < 1.0) {
            return Err(BoundError::OutOfRange { what: "the tolerance" });
        }
        let level = check_level(level)?;
        let whitened = self.whitened(radius.get())?;
        let mut evaluator = Evaluator::default();
        let rest = vec![0.0; whitened.high.len()];
        let at_zero = (evaluator.enclose(&whitened.high, &rest)?.0, evaluator.enclose(&whitened.low, &rest)?.1);
        let trivial = whitened.gain.norm() <= 0.0 || whitened.high.iter().all(|&value| value <= 0.0);
        let (lower, upper, direction) = if trivial || at_zero.1 <= level {
            let margin = |kept: bool| if kept { f64::INFINITY } else { 0.0 };
            (margin(at_zero.0 > level), margin(at_zero.1 > level), DVector::zeros(self.inputs()))
        } else {
            let local = LocalSearch { whitened: &whitened, level, at_zero: at_zero.0 };
            let mut incumbent = local.run(&mut evaluator, budget)?;
            let lower = if at_zero.0 > level {
                BranchAndBound::new(&local, &mut evaluator, &mut incumbent, tolerance)?.lower_bound(budget)?
            } else {
                0.0
            };
            let Incumbent { upper, direction, .. } = incumbent;
            (lower, upper, direction)
        };
        let (lower, upper) = (LowerBound::new(lower)?, UpperBound::new(upper)?);
        Ok(MarginBracket { lower, upper, direction, evaluations: evaluator.evaluations })
    }
}

/// The margin along a direction: `lower` is judged with λ and |u| rounded up, `upper` with both rounded down.
pub(super) fn along(
    whitened: &Whitened,
    direction: &DVector<f64>,
    level: f64,
    evaluator: &mut Evaluator,
) -> Result<(f64, f64), BoundError> {
    let largest = direction.amax();
    if !(largest.is_finite() && largest > 0.0) {
        return Err(BoundError::OutOfRange { what: "the direction's norm" });
    }
    let unit = (direction / largest).normalize();
    let (low, high) = whitened.shifts(&unit);
    let mut probe = |scale: f64| {
        let scaled = |shifts: &[f64]| shifts.iter().map(|shift| shift * scale).collect::<Vec<_>>();
        let lower = evaluator.enclose(&whitened.high, &scaled(&high))?.0;
        Ok((lower, evaluator.enclose(&whitened.low, &scaled(&low))?.1))
    };
    let at_zero = probe(0.0)?;
    let speed = high.iter().zip(&whitened.high).map(|(shift, value)| shift * shift * value).sum::<f64>().sqrt();
    if speed <= 0.0 {
        let margin = |kept: bool| if kept { f64::INFINITY } else { 0.0 };
        return Ok((margin(at_zero.0 > level), margin(at_zero.1 > level)));
    }
    let still = low.iter().zip(&whitened.low).all(|(shift, value)| shift * value <= 0.0);
    // Without a shift that is surely there, only the lower end has a place to be looked for.
    let farthest = if still { 1.0 / speed } else { f64::MAX };
    let found = cross(level, at_zero, 1.0 / speed, farthest, ALONG_TOLERANCE, &mut probe)?;
    // The unit vector's norm is 1 up to rounding.
    let rounding = relative_rounding(direction.len());
    Ok((found.inside() * (1.0 - rounding), found.outside * (1.0 + rounding)))
}
