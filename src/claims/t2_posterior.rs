//! T2-posterior and T2-identity: the tempered posterior maximises the β-VAE objective, because L_β(q) = β ln Z_β −
//! β KL(q‖q*) for every q.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{at_most, equal, Experiment, Judgement, Obstacle, Trial, ATTAINED_TOLERANCE};
use super::grid;
use super::truth::mixture::{Independent, Mixture};
use super::truth::tempered::{divergence, Discrete, GaussianModel, BETAS};
use crate::stats::Enclosure;

/// A likelihood, a q and β.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tempered {
    beta: f64,
    code: Code,
}

/// What kind of code.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Code {
    /// Finitely many states.
    Discrete(Discrete),
    /// A linear-Gaussian model with up to ten coordinates.
    Gaussian(GaussianModel),
    /// A likelihood with several modes in one or two dimensions.
    Mixture { likelihood: Mixture, q: Independent },
}

/// The objective at q and at q*, and the two parts of the identity.
struct Values {
    at_q: Enclosure,
    at_optimum: Enclosure,
    log_normaliser: Enclosure,
    divergence: Enclosure,
    /// How accurately both sides of the identity can be had, as a share of their size.
    identity_tolerance: f64,
    shown: String,
}

/// The identity's tolerance in closed form, and with integrals in one or two dimensions.
const CLOSED_FORM: f64 = 1e-10;
const BY_QUADRATURE: f64 = 1e-6;

/// Widths of likelihoods in one and two dimensions; narrow ones need more nodes.
const LINE_WIDTHS: [f64; 4] = [1.0, 0.5, 2.0, 0.25];
const PLANE_WIDTHS: [f64; 2] = [1.0, 2.0];

fn instances() -> BoxedStrategy<Tempered> {
    let likelihoods: Vec<f64> = (1..=24).map(|k| f64::from(k) / 8.0).collect();
    let mixture = |dimensions, farthest, widths: &[f64]| {
        (Mixture::strategy(dimensions, farthest, widths), Independent::strategy(dimensions))
            .prop_map(|(likelihood, q)| Code::Mixture { likelihood, q })
    };
    let code = prop_oneof![
        4 => Discrete::strategy(&likelihoods).prop_map(Code::Discrete),
        4 => GaussianModel::strategy().prop_map(Code::Gaussian),
        3 => mixture(1, 4.0, &LINE_WIDTHS),
        1 => mixture(2, 1.5, &PLANE_WIDTHS),
    ];
    (grid::one_of(&BETAS), code).prop_map(|(beta, code)| Tempered { beta, code }).boxed()
}

/// β, which must lie where the methods are meant for.
pub(super) fn check_beta(beta: f64) -> Result<(), Obstacle> {
    if (1e-3..=1e6).contains(&beta) {
        Ok(())
    } else {
        Err(Obstacle(format!("β is {beta}, not between 0.001 and 1000000")))
    }
}

/// Two values of β, the first the smaller.
pub(super) fn check_betas((first, second): (f64, f64)) -> Result<(), Obstacle> {
    check_beta(first)?;
    check_beta(second)?;
    if first < second {
        Ok(())
    } else {
        Err(Obstacle(format!("the first β must be the smaller, found {first} and {second}")))
    }
}

impl Code {
    fn has_zero_likelihood(&self) -> bool {
        matches!(self, Self::Discrete(model) if model.states.iter().any(|state| state.likelihood == 0.0))
    }
}

impl Tempered {
    /// None where a likelihood is 0.
    fn values(&self, trial: &Trial<'_>) -> Result<Option<Values>, Obstacle> {
        Ok(if self.code.has_zero_likelihood() { None } else { Some(self.positive_values(trial)?) })
    }

    fn positive_values(&self, trial: &Trial<'_>) -> Result<Values, Obstacle> {
        let beta = self.beta;
        check_beta(beta)?;
        let exponent = trial.theory.likelihood_exponent(beta);
        match &self.code {
            Code::Discrete(model) => {
                model.check()?;
                let (log_normaliser, posterior) = model.tempered(exponent);
                let q = model.encoder();
                Ok(Values {
                    at_q: model.objective(&q, beta),
                    at_optimum: model.objective(&posterior, beta),
                    log_normaliser,
                    divergence: divergence(&q, &posterior),
                    identity_tolerance: CLOSED_FORM,
                    shown: model.show(),
                })
            }
            Code::Gaussian(model) => {
                model.check()?;
                let posterior = model.posterior(exponent)?;
                Ok(Values {
                    at_q: model.objective(beta),
                    at_optimum: model.objective_at(&posterior, beta),
                    log_normaliser: posterior.log_normaliser,
                    divergence: model.divergence_from(&posterior),
                    identity_tolerance: CLOSED_FORM,
                    shown: model.show(),
                })
            }
            Code::Mixture { likelihood, q } => {
                likelihood.check()?;
                q.check(likelihood.dimensions())?;
                let power = exponent.value;
                let posterior = likelihood.tempered(power)?;
                let at_q = likelihood.expected_log_likelihood(q)? - q.divergence_from_prior() * beta;
                // KL(q*‖p) = e·E log l − ln Z under q*.
                let prior_divergence = posterior.log_likelihood * exponent - posterior.log_normaliser;
                Ok(Values {
                    at_q,
                    at_optimum: posterior.log_likelihood - prior_divergence * beta,
                    log_normaliser: posterior.log_normaliser,
                    divergence: likelihood.divergence_without_normaliser(q, power)? + posterior.log_normaliser,
                    identity_tolerance: BY_QUADRATURE,
                    shown: format!("{}, {}", likelihood.show(), q.show()),
                })
            }
        }
    }
}

/// L_β(q) ≤ L_β(q*).
pub(super) struct Optimal;

impl Experiment for Optimal {
    type Instance = Tempered;

    fn instances(&self) -> BoxedStrategy<Tempered> {
        instances()
    }

    fn judge(&self, instance: &Tempered, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let Some(values) = instance.values(trial)? else { return Ok(Judgement::vacuous("a likelihood is 0")) };
        // In nats; where both are 0, as for a single state, rounding must not decide.
        let finding = at_most(values.at_q, values.at_optimum + ATTAINED_TOLERANCE);
        let line = format!(
            "β = {}, {}: L(q) = {:.6}, L(q*) = {:.6}",
            instance.beta, values.shown, values.at_q.value, values.at_optimum.value
        );
        Ok(Judgement::new(finding, line, &[("L_β(q)", values.at_q), ("L_β(q*)", values.at_optimum)]))
    }
}

/// L_β(q) = β ln Z_β − β KL(q‖q*).
pub(super) struct Identity;

impl Experiment for Identity {
    type Instance = Tempered;

    fn instances(&self) -> BoxedStrategy<Tempered> {
        instances()
    }

    fn judge(&self, instance: &Tempered, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let Some(values) = instance.values(trial)? else { return Ok(Judgement::vacuous("a likelihood is 0")) };
        let right = (values.log_normaliser - values.divergence) * instance.beta;
        // Relative to L itself, and to 1 where L happens to vanish.
        let size = values.at_q.abs().max(Enclosure::exact(1.0));
        let finding = match &instance.code {
            // Integrals are relative to what was integrated, which for small β is large beside L.
            Code::Mixture { .. } => {
                let size = size + (values.log_normaliser.abs() + values.divergence.abs()) * instance.beta;
                equal(values.at_q, right, size * values.identity_tolerance)
            }
            _ => equal(values.at_q, right, size * values.identity_tolerance),
        };
        let line = format!(
            "β = {}, {}: L(q) = {:.6}, β ln Z − β KL(q‖q*) = {:.6}",
            instance.beta, values.shown, values.at_q.value, right.value
        );
        let numbers = [
            ("L_β(q)", values.at_q),
            ("ln Z_β", values.log_normaliser),
            ("KL(q‖q*)", values.divergence),
            ("β ln Z_β − β KL(q‖q*)", right),
        ];
        Ok(Judgement::new(finding, line, &numbers))
    }
}
