//! T1-eq22 and T1-eq22-reversed: how a shift of the code bounds the perturbation behind it.

use nalgebra::DMatrix;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{all, at_most, equal, show, Experiment, Finding, Judgement, Obstacle, Trial, ATTAINED_TOLERANCE};
use super::grid;
use super::truth::linear_vae::{matrix, vector};
use crate::linalg::{top_right_singular_vector, EnclosedCholesky};
use crate::stats::Enclosure;

/// J and δ.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JacobianAndPerturbation {
    /// One row per latent coordinate.
    jacobian: Vec<Vec<f64>>,
    perturbation: Vec<f64>,
}

/// ‖δ‖, ‖Jδ‖ and ‖J‖₂.
struct Norms {
    jacobian: DMatrix<f64>,
    operator: Enclosure,
    perturbation: Enclosure,
    code: Enclosure,
}

/// Most inputs and latent coordinates.
const LARGEST: usize = 4;

fn instances() -> BoxedStrategy<JacobianAndPerturbation> {
    (1..=LARGEST, prop::collection::vec(grid::vector(LARGEST), 1..=LARGEST), grid::vector(LARGEST))
        .prop_map(|(inputs, mut jacobian, mut perturbation)| {
            jacobian.iter_mut().for_each(|row| row.truncate(inputs));
            perturbation.truncate(inputs);
            JacobianAndPerturbation { jacobian, perturbation }
        })
        .boxed()
}

fn norm(entries: impl IntoIterator<Item = Enclosure>) -> Enclosure {
    entries.into_iter().map(Enclosure::squared).sum::<Enclosure>().sqrt()
}

/// ‖Mv‖.
fn image_norm(matrix: &DMatrix<f64>, vector: &[f64]) -> Enclosure {
    norm(matrix.row_iter().map(|row| Enclosure::dot(row, vector)))
}

impl JacobianAndPerturbation {
    /// None where J = 0.
    fn norms(&self, trial: &Trial<'_>) -> Result<Option<Norms>, Obstacle> {
        let rows: Vec<&[f64]> = self.jacobian.iter().map(Vec::as_slice).collect();
        let jacobian = matrix("the Jacobian", &rows)?;
        let perturbation = vector("the perturbation", &self.perturbation, jacobian.ncols())?;
        if jacobian.iter().all(|entry| *entry == 0.0) {
            return Ok(None);
        }
        let operator = trial.theory.operator_norm(&jacobian)?;
        let code = image_norm(&jacobian, perturbation.as_slice());
        let perturbation = norm(perturbation.iter().copied().map(Enclosure::exact));
        Ok(Some(Norms { jacobian, operator, perturbation, code }))
    }

    fn judgement(&self, norms: &Norms, finding: Finding) -> Judgement {
        let quotient = norms.code / norms.operator;
        let rows: Vec<String> = self.jacobian.iter().map(|row| show(row)).collect();
        let line = format!(
            "J = {}, δ = {}: ‖δ‖ = {:.4}, ‖Jδ‖/‖J‖ = {:.4}",
            rows.join("; "),
            show(&self.perturbation),
            norms.perturbation.value,
            quotient.value
        );
        let numbers =
            [("‖δ‖", norms.perturbation), ("‖Jδ‖", norms.code), ("‖J‖₂", norms.operator), ("‖Jδ‖/‖J‖₂", quotient)];
        Judgement::new(finding, line, &numbers)
    }
}

/// ‖δ‖ ≤ ‖Jδ‖/‖J‖.
pub(super) struct AsPrinted;

impl Experiment for AsPrinted {
    type Instance = JacobianAndPerturbation;

    fn instances(&self) -> BoxedStrategy<JacobianAndPerturbation> {
        instances()
    }

    fn judge(&self, instance: &JacobianAndPerturbation, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let Some(norms) = instance.norms(trial)? else { return Ok(Judgement::vacuous("J = 0")) };
        let finding = at_most(norms.perturbation * norms.operator, norms.code);
        Ok(instance.judgement(&norms, finding))
    }
}

/// ‖δ‖ ≥ ‖Jδ‖/‖J‖₂, and no smaller constant will do.
pub(super) struct Reversed;

impl Experiment for Reversed {
    type Instance = JacobianAndPerturbation;

    fn instances(&self) -> BoxedStrategy<JacobianAndPerturbation> {
        instances()
    }

    fn judge(&self, instance: &JacobianAndPerturbation, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let Some(norms) = instance.norms(trial)? else { return Ok(Judgement::vacuous("J = 0")) };
        // A bound for every δ at once: ‖J‖²I − JᵀJ is positive definite with any more than ‖J‖ in its place.
        let roomy = (norms.operator * (1.0 + ATTAINED_TOLERANCE)).squared();
        let columns = norms.jacobian.ncols();
        let gap = EnclosedCholesky::new(columns, |i, j| {
            let product = Enclosure::dot(norms.jacobian.column(i), norms.jacobian.column(j));
            if i == j {
                roomy - product
            } else {
                -product
            }
        });
        let everywhere = if gap.is_some() { Finding::Agrees } else { Finding::TooClose };
        // The direction that attains it.
        let top = top_right_singular_vector(&norms.jacobian)?;
        let stretch = image_norm(&norms.jacobian, top.as_slice()) / norm(top.iter().copied().map(Enclosure::exact));
        let finding = all([
            at_most(norms.code, norms.perturbation * norms.operator),
            equal(stretch, norms.operator, norms.operator * ATTAINED_TOLERANCE),
            everywhere,
        ]);
        Ok(instance.judgement(&norms, finding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::theory::{Stated, Theory};
    use crate::linalg::{frobenius_norm, LinalgError};
    use crate::quantity::Probability;
    use crate::seed::Seed;

    fn trial(theory: &dyn Theory) -> Trial<'_> {
        Trial { theory, seed: Seed(0), stream: "test", failure_probability: Probability::HALF }
    }

    fn instance(jacobian: &[&[f64]], perturbation: &[f64]) -> JacobianAndPerturbation {
        let jacobian = jacobian.iter().map(|row| row.to_vec()).collect();
        JacobianAndPerturbation { jacobian, perturbation: perturbation.to_vec() }
    }

    fn findings(jacobian: &[&[f64]], perturbation: &[f64], theory: &dyn Theory) -> (Finding, Finding) {
        let (instance, trial) = (instance(jacobian, perturbation), trial(theory));
        (AsPrinted.judge(&instance, &trial).unwrap().finding, Reversed.judge(&instance, &trial).unwrap().finding)
    }

    #[test]
    fn a_direction_that_the_code_ignores_refutes_the_printed_inequality() {
        assert_eq!(findings(&[&[1.0, 0.0]], &[0.0, 1.0], &Stated), (Finding::Contradicts, Finding::Agrees));
        // Along the top direction both sides are equal.
        assert_eq!(findings(&[&[3.0, 4.0]], &[3.0, 4.0], &Stated), (Finding::Agrees, Finding::Agrees));
        assert_eq!(findings(&[&[0.0, 0.0]], &[1.0, 0.0], &Stated), (Finding::Vacuous, Finding::Vacuous));
    }

    struct Frobenius;
    impl Theory for Frobenius {
        fn operator_norm(&self, matrix: &DMatrix<f64>) -> Result<Enclosure, LinalgError> {
            let value = frobenius_norm(matrix)?;
            Ok(Enclosure { value, error: 1e-14 * value })
        }
    }

    #[test]
    fn the_frobenius_norm_is_not_the_smallest_constant_unless_the_rank_is_one() {
        let found = |jacobian: &[&[f64]]| findings(jacobian, &[1.0, 0.0], &Frobenius).1;
        assert_eq!(found(&[&[1.0, 0.0], &[0.0, 1.0]]), Finding::Contradicts);
        assert_eq!(found(&[&[1.0, 2.0]]), Finding::Agrees);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let judge = |jacobian: &[&[f64]], perturbation: &[f64]| {
            AsPrinted.judge(&instance(jacobian, perturbation), &trial(&Stated))
        };
        assert!(judge(&[&[1.0, 2.0], &[1.0]], &[1.0, 1.0]).is_err());
        assert!(judge(&[&[1.0, 2.0]], &[1.0]).is_err() && judge(&[], &[]).is_err());
    }
}
