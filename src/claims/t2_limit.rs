//! T2-limit and T2-limit-support: whether the tempered posterior becomes the prior as β grows.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{at_most, less, Experiment, Judgement, Obstacle, Trial, ATTAINED_TOLERANCE};
use super::grid;
use super::t2_posterior::check_beta;
use super::truth::mixture::Mixture;
use super::truth::tempered::{divergence, Discrete, GaussianModel, BETAS};
use crate::stats::Enclosure;

/// Total variation distance of q* and the prior tends to 0.
pub(super) struct Limit;

/// β at which the limit is judged. Likelihoods above 0 whose logarithms differ by at most ω leave a distance of at most
/// (e^{ω/β} − 1)/2 there (`proofs/T2-limit.md`); what exceeds that does not vanish.
const LARGE_BETA: f64 = 1e6;
/// Room for rounding.
const ROUNDING: f64 = 1e-12;

impl Experiment for Limit {
    type Instance = Discrete;

    fn instances(&self) -> BoxedStrategy<Discrete> {
        Discrete::strategy(&[1.0, 2.0, 0.5, 0.0, 3.0, 0.125, 0.000_976_562_5])
    }

    fn judge(&self, model: &Discrete, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        model.check()?;
        if model.states.iter().all(|state| state.likelihood == 0.0) {
            return Ok(Judgement::vacuous("Z_β = 0"));
        }
        let (_, posterior) = model.tempered(trial.theory.likelihood_exponent(LARGE_BETA));
        let gaps = posterior.iter().zip(model.prior()).map(|(q, p)| (*q - p).abs());
        let distance = gaps.sum::<Enclosure>() * 0.5;
        let positive = model.states.iter().map(|state| state.likelihood).filter(|likelihood| *likelihood > 0.0);
        let smallest = positive.clone().fold(f64::INFINITY, f64::min);
        let span = Enclosure::exact(positive.fold(0.0, f64::max)).ln() - Enclosure::exact(smallest).ln();
        let vanishing = ((span / LARGE_BETA).exp() - 1.0) * 0.5 + ROUNDING;
        let line = format!(
            "{}: distance of q* from the prior {:.2e} at β = {LARGE_BETA}, of which {:.2e} may vanish",
            model.show_likelihood(),
            distance.value,
            vanishing.value
        );
        let numbers = [("total variation distance at β = 1000000", distance), ("what may vanish of it", vanishing)];
        Ok(Judgement::new(less(distance, vanishing), line, &numbers))
    }
}

/// A likelihood that vanishes nowhere, and β.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Supported {
    beta: f64,
    code: Code,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Code {
    Discrete(Discrete),
    Gaussian(GaussianModel),
    Mixture(Mixture),
}

/// KL(q*‖p) ≤ (sup ln p(x|z) − E_p ln p(x|z))/β.
pub(super) struct SupportedLimit;

impl Experiment for SupportedLimit {
    type Instance = Supported;

    fn instances(&self) -> BoxedStrategy<Supported> {
        let code = prop_oneof![
            Discrete::strategy(&[1.0, 2.0, 0.5, 3.0, 0.125, 0.000_976_562_5]).prop_map(Code::Discrete),
            GaussianModel::strategy().prop_map(Code::Gaussian),
            Mixture::strategy(1, 4.0, &[1.0, 0.5, 2.0]).prop_map(Code::Mixture),
        ];
        let betas = [&BETAS[..], &[1e3, 1e4]].concat();
        (grid::one_of(&betas), code).prop_map(|(beta, code)| Supported { beta, code }).boxed()
    }

    fn judge(&self, instance: &Supported, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        check_beta(instance.beta)?;
        let exponent = trial.theory.likelihood_exponent(instance.beta);
        let (found, drop, shown) = match &instance.code {
            Code::Discrete(model) => {
                model.check()?;
                if model.states.iter().any(|state| state.likelihood == 0.0) {
                    return Ok(Judgement::vacuous("a likelihood is 0"));
                }
                let (_, posterior) = model.tempered(exponent);
                let logarithms = model.log_likelihood();
                let largest = logarithms.iter().copied().reduce(Enclosure::max).unwrap_or(Enclosure::UNKNOWN);
                let mean: Enclosure = model.prior().into_iter().zip(&logarithms).map(|(p, l)| p * *l).sum();
                (divergence(&posterior, &model.prior()), largest - mean, model.show())
            }
            Code::Gaussian(model) => {
                model.check()?;
                let posterior = model.posterior(exponent)?;
                (model.divergence_from_prior(&posterior), model.log_likelihood_drop(), model.show())
            }
            Code::Mixture(model) => {
                model.check_line()?;
                let power = exponent.value;
                let posterior = model.tempered(power)?;
                let found = posterior.log_likelihood * exponent - posterior.log_normaliser;
                // ln l is at most ln Σw.
                let largest = model.modes.iter().map(|mode| Enclosure::exact(mode.weight)).sum::<Enclosure>().ln();
                (found, largest - model.tempered(0.0)?.log_likelihood, model.show())
            }
        };
        let bound = drop / instance.beta;
        let line = format!("β = {}, {shown}: KL(q*‖p) = {:.3e}, bound {:.3e}", instance.beta, found.value, bound.value);
        // Where the likelihood is constant both sides are 0 up to rounding.
        let finding = at_most(found, bound + ATTAINED_TOLERANCE);
        Ok(Judgement::new(finding, line, &[("KL(q*‖p)", found), ("(sup − E_p) ln p(x|z) / β", bound)]))
    }
}
