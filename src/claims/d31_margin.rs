//! D31-iff and D31-infimum: what the margin of equation (3) says about single perturbations, on linear-Gaussian VAEs.

use nalgebra::DVector;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{all, at_most, less, show, Experiment, Finding, Judgement, Obstacle, Trial};
use super::truth::linear_vae::{show_latents, vector, LinearVae, Sizes};
use crate::bounds::MarginBracket;
use crate::quantity::{Probability, Radius};
use crate::stats::Enclosure;

/// Small models: the margin over all directions is enclosed for each.
const SIZES: Sizes = Sizes { inputs: 3, outputs: 2, latents: 2 };
/// Relative width of the margin's bracket, and probabilities spent on it.
const TOLERANCE: f64 = 1e-3;
const BUDGET: usize = 2_000;
/// The level of the paper.
const HALF: Enclosure = Enclosure::exact(0.5);

/// A model and a perturbation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Perturbed {
    model: LinearVae,
    perturbation: Vec<f64>,
}

/// A model whose input is robust when nothing is perturbed, and its margin.
struct Case {
    radius: Radius,
    perturbation: DVector<f64>,
    margin: MarginBracket,
}

fn instances() -> BoxedStrategy<Perturbed> {
    LinearVae::with_perturbation(SIZES, 0.75)
        .prop_map(|(model, perturbation)| Perturbed { model, perturbation })
        .boxed()
}

impl Perturbed {
    /// None where P(0) is not above the level or nothing ever fails.
    fn case(&self) -> Result<Option<Case>, Obstacle> {
        let Some(radius) = self.model.radius() else { return Ok(None) };
        let inputs = self.model.encoder()?.ncols();
        let perturbation = vector("the perturbation", &self.perturbation, inputs)?;
        let margin = self.model.with(|model| Ok(model.margin(radius, Probability::HALF, TOLERANCE, BUDGET)?))?;
        let bracketed = margin.lower.get() > 0.0 && margin.upper.get().is_finite();
        Ok(bracketed.then_some(Case { radius, perturbation, margin }))
    }

    fn probability(&self, perturbation: &DVector<f64>, radius: Radius) -> Result<Enclosure, Obstacle> {
        self.model.with(|model| Ok(model.probability(perturbation, radius)?))
    }
}

/// ‖δ‖ < R(x) if and only if P(‖Δ(x, δ)‖ ≤ r) > 1/2.
pub(super) struct Equivalence;

impl Experiment for Equivalence {
    type Instance = Perturbed;

    fn instances(&self) -> BoxedStrategy<Perturbed> {
        instances()
    }

    fn judge(&self, instance: &Perturbed, _: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let Some(case) = instance.case()? else { return Ok(Judgement::vacuous("R(x) is 0 or infinite")) };
        let norm = case.perturbation.norm();
        let size = Enclosure { value: norm, error: 1e-14 * norm };
        let margin = Enclosure::between(case.margin.lower.get(), case.margin.upper.get());
        let probability = instance.probability(&case.perturbation, case.radius)?;
        let (inside, robust) = (less(size, margin), less(HALF, probability));
        let finding = match (inside, robust) {
            (Finding::TooClose, _) | (_, Finding::TooClose) => Finding::TooClose,
            (inside, robust) if inside == robust => Finding::Agrees,
            _ => Finding::Contradicts,
        };
        let line = format!(
            "{}, r = {}·√(Tr Σ), δ = {}: R = {:.3}, ‖δ‖ = {:.3}, yet P(‖Δ(x,δ)‖ ≤ r) = {:.4}",
            show_latents(&instance.model.latents),
            instance.model.radius_factor,
            show(&instance.perturbation),
            margin.value,
            norm,
            probability.value
        );
        Ok(Judgement::new(finding, line, &[("R(x)", margin), ("‖δ‖", size), ("P(‖Δ(x,δ)‖ ≤ r)", probability)]))
    }
}

/// Below R = inf{‖δ‖ : P ≤ 1/2} every δ is harmless, and at R one is not.
pub(super) struct Infimum;

impl Experiment for Infimum {
    type Instance = Perturbed;

    fn instances(&self) -> BoxedStrategy<Perturbed> {
        instances()
    }

    fn judge(&self, instance: &Perturbed, _: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let Some(case) = instance.case()? else { return Ok(Judgement::vacuous("R(x) is 0 or infinite")) };
        let norm = case.perturbation.norm();
        if norm <= 0.0 {
            return Ok(Judgement::vacuous("δ = 0"));
        }
        // Inside, in the drawn direction; and just outside, in the worst.
        let within = &case.perturbation * (case.margin.lower.get() * (1.0 - 1e-12) / norm);
        let worst = &case.margin.direction * (case.margin.upper.get() * (1.0 + 1e-12));
        let harmless = instance.probability(&within, case.radius)?;
        let harmful = instance.probability(&worst, case.radius)?;
        let margin = Enclosure::between(case.margin.lower.get(), case.margin.upper.get());
        // P falls to 1/2 at R itself: equality occurs on both sides.
        let (fails, holds) = (at_most(harmful, HALF), at_most(HALF, harmless));
        let line = format!(
            "{}, r = {}·√(Tr Σ): R = {:.4}, P = {:.6} inside along {}, P = {:.6} at R",
            show_latents(&instance.model.latents),
            instance.model.radius_factor,
            margin.value,
            harmless.value,
            show(&instance.perturbation),
            harmful.value
        );
        let numbers = [("R(x)", margin), ("P inside R", harmless), ("P at R", harmful)];
        Ok(Judgement::new(all([fails, holds]), line, &numbers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::theory::Stated;
    use crate::claims::truth::linear_vae::Latent;
    use crate::seed::Seed;

    fn found(perturbation: &[f64]) -> (Judgement, Finding) {
        // A = [1, 0], σ = W = 1 and r = 1: R = 0.93327, along the first coordinate.
        let latent = Latent { encoder: vec![1.0, 0.0], std: 1.0, decoder: vec![1.0] };
        let model = LinearVae { latents: vec![latent], radius_factor: 1.0 };
        let instance = Perturbed { model, perturbation: perturbation.to_vec() };
        let trial = Trial { theory: &Stated, seed: Seed(0), stream: "test", failure_probability: Probability::HALF };
        let equivalence = Equivalence.judge(&instance, &trial).unwrap();
        (equivalence, Infimum.judge(&instance, &trial).unwrap().finding)
    }

    #[test]
    fn a_perturbation_that_the_code_ignores_is_harmless_beyond_the_margin() {
        let (judged, infimum) = found(&[0.0, 1.0]);
        assert_eq!((judged.finding, infimum), (Finding::Contradicts, Finding::Agrees));
        let margin = &judged.numbers[0];
        assert!((margin.value - 0.933_271).abs() <= margin.error + 1e-6, "{margin}");
        assert!((judged.numbers[2].value - 0.682_689_492).abs() < 1e-8);
        assert_eq!(found(&[1.0, 0.0]).0.finding, Finding::Agrees);
        assert_eq!(found(&[0.5, 0.5]).0.finding, Finding::Agrees);
        assert_eq!(found(&[0.0, 0.0]).1, Finding::Vacuous);
    }
}
