//! Q-contour: two independent algorithms for quadratic forms in normal variables, against each other.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{show, Experiment, Finding, Judgement, Obstacle, Trial};
use super::grid;
use super::truth::linear_vae::vector;
use crate::stats::quadratic_form::{QuadraticForm, QuadraticFormError};

/// Q = Σλ(U + b)² + σZ and a point.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FormAndPoint {
    eigenvalues: Vec<f64>,
    shifts: Vec<f64>,
    sigma: f64,
    point: f64,
}

/// Both algorithms' enclosures of P(Q ≤ q) overlap.
pub(super) struct TwoAlgorithms;

impl Experiment for TwoAlgorithms {
    type Instance = FormAndPoint;

    fn instances(&self) -> BoxedStrategy<FormAndPoint> {
        let sigma = prop_oneof![3 => Just(0.0), 1 => grid::positive()];
        let terms = prop::collection::vec((grid::any(), grid::any()), 1..=8);
        let point = prop_oneof![grid::any(), (1..=400i32).prop_map(|k| f64::from(k) / 8.0)];
        (terms, sigma, point, any::<bool>())
            .prop_map(|(terms, sigma, point, definite)| {
                let eigenvalue = |(eigenvalue, _): &(f64, f64)| if definite { eigenvalue.abs() } else { *eigenvalue };
                FormAndPoint {
                    eigenvalues: terms.iter().map(eigenvalue).collect(),
                    shifts: terms.iter().map(|(_, shift)| *shift).collect(),
                    sigma,
                    point,
                }
            })
            .boxed()
    }

    fn judge(&self, instance: &FormAndPoint, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let FormAndPoint { eigenvalues, shifts, sigma, point } = instance;
        vector("the eigenvalues", eigenvalues, eigenvalues.len())?;
        if eigenvalues.iter().all(|eigenvalue| *eigenvalue == 0.0) && *sigma == 0.0 {
            return Ok(Judgement::vacuous("the form is constant"));
        }
        // The first takes the sum as one of Gamma variables, by their scales.
        let by_scale: Vec<f64> = eigenvalues.iter().map(|&value| 0.5 * trial.theory.gamma_scale(value)).collect();
        let first = QuadraticForm::new(&by_scale, shifts, *sigma)?.tails(*point)?;
        let second = match QuadraticForm::new(eigenvalues, shifts, *sigma)?.cross_check(*point) {
            Ok(second) => second,
            // The second algorithm knows its reach; beyond it there is nothing to compare.
            Err(QuadraticFormError::NotConverged { .. }) => {
                return Ok(Judgement::vacuous("the second algorithm does not reach this far"))
            }
            Err(error) => return Err(error.into()),
        };
        let parts = [(first.cdf, second.cdf), (first.survival, second.survival)];
        let apart = parts.iter().any(|(a, b)| a.lower() > b.upper() || b.lower() > a.upper());
        let finding = if apart { Finding::Contradicts } else { Finding::Agrees };
        let line = format!(
            "λ = {}, b = {}, σ = {sigma}, q = {point}: P(Q ≤ q) = {:.12} and {:.12}",
            show(eigenvalues),
            show(shifts),
            first.cdf.value,
            second.cdf.value
        );
        let numbers = [("P(Q ≤ q), hyperbola", first.cdf), ("P(Q ≤ q), second algorithm", second.cdf)];
        Ok(Judgement::new(finding, line, &numbers))
    }
}
