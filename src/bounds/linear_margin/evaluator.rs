//! F(λ, u) = P(Σ λ_i (N_i + u_i)² ≤ 1), counted.

use crate::bounds::BoundError;
use crate::stats::quadratic_form::{QuadraticForm, QuadraticFormError};

/// Computes F and counts how often.
#[derive(Debug, Default)]
pub(super) struct Evaluator {
    pub(super) evaluations: usize,
}

impl Evaluator {
    /// `(lower, upper)` of F(λ, u) for `eigenvalues` λ ≥ 0 and `shifts` u; (0, 1) where F is out of reach.
    ///
    /// # Errors
    /// [`BoundError::QuadraticForm`] for eigenvalues that are not finite.
    pub(super) fn enclose(&mut self, eigenvalues: &[f64], shifts: &[f64]) -> Result<(f64, f64), BoundError> {
        if eigenvalues.iter().all(|&eigenvalue| eigenvalue <= 0.0) {
            return Ok((1.0, 1.0));
        }
        self.evaluations += 1;
        match QuadraticForm::new(eigenvalues, shifts, 0.0).and_then(|form| form.cdf(1.0)) {
            Ok(cdf) => Ok((cdf.lower().clamp(0.0, 1.0), cdf.upper().clamp(0.0, 1.0))),
            Err(
                QuadraticFormError::NotConverged { .. }
                | QuadraticFormError::Shift { .. }
                | QuadraticFormError::NotFinite { what: "shift", .. }
                | QuadraticFormError::Spread,
            ) => Ok((0.0, 1.0)),
            Err(error) => Err(error.into()),
        }
    }

    /// Estimates of −∂F/∂(u_i²) for every i. With Q = Σ λ_j (N_j + u_j)², a Poisson(u_i²/2) mixture in the
    /// degrees of freedom of coordinate i, the derivative is ½(P(Q + λ_i χ²₂ ≤ 1) − P(Q ≤ 1)).
    pub(super) fn descent(&mut self, eigenvalues: &[f64], shifts: &[f64]) -> Result<Vec<f64>, BoundError> {
        let (lower, upper) = self.enclose(eigenvalues, shifts)?;
        let here = 0.5 * (lower + upper);
        let (mut longer, mut shifts) = (eigenvalues.to_vec(), shifts.to_vec());
        longer.extend([0.0, 0.0]);
        shifts.extend([0.0, 0.0]);
        let last = eigenvalues.len();
        let mut slopes = Vec::with_capacity(last);
        for &eigenvalue in eigenvalues {
            (longer[last], longer[last + 1]) = (eigenvalue, eigenvalue);
            let (lower, upper) = self.enclose(&longer, &shifts)?;
            slopes.push((0.5 * (here - 0.5 * (lower + upper))).max(0.0));
        }
        Ok(slopes)
    }
}
