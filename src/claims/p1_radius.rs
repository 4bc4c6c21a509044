//! P1-necessary, P1-sufficient, P1-envelope and P1-exact: which r Proposition 1 needs, on linear decoders, where the
//! Gamma sum is the exact distribution of ‖Δ(x, 0)‖², and on curved ones as σ shrinks.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{all, at_most, equal, less, show, Experiment, Finding, Judgement, Obstacle, Trial};
use super::grid;
use super::truth::linear_vae::{vector, LinearVae, Sizes};
use crate::bounds::FirstOrderDamage;
use crate::quantity::{Probability, Radius};
use crate::stats::normal;
use crate::stats::quadratic_form::QuadraticForm;
use crate::stats::Enclosure;

/// Decoders with up to four latent coordinates and outputs.
const SIZES: Sizes = Sizes { inputs: 1, outputs: 4, latents: 4 };
/// The level of the paper.
const HALF: Enclosure = Enclosure::exact(0.5);

/// A decoder that is not 0, with its radius and P(‖Δ(x, 0)‖ ≤ r).
struct Unperturbed {
    radius: Radius,
    probability: Enclosure,
    trace: Enclosure,
}

impl Unperturbed {
    fn of(instance: &LinearVae) -> Result<Option<Self>, Obstacle> {
        let Some(radius) = instance.radius() else { return Ok(None) };
        let probability = instance.probability_unperturbed(radius)?;
        Ok(Some(Self { radius, probability, trace: instance.trace() }))
    }

    fn judgement(&self, instance: &LinearVae, finding: Finding, more: &[(&str, Enclosure)]) -> Judgement {
        let line = format!(
            "{}, r = {}·√(Tr Σ): P(‖Δ‖ ≤ r) = {:.4}, r = {:.4}",
            instance.show_decoder(),
            instance.radius_factor,
            self.probability.value,
            self.radius.get(),
        );
        let numbers =
            [("Tr Σ", self.trace), ("r", Enclosure::exact(self.radius.get())), ("P(‖Δ(x,0)‖ ≤ r)", self.probability)];
        let mut judgement = Judgement::new(finding, line, &[&numbers, more].concat());
        if let Some((name, value)) = more.first() {
            judgement.line += &format!(", {name} = {:.4}", value.value);
        }
        judgement
    }
}

/// P(‖Δ‖ ≤ r) > 1/2 needs r > √(2 Tr Σ).
pub(super) struct Necessary;

impl Experiment for Necessary {
    type Instance = LinearVae;

    fn instances(&self) -> BoxedStrategy<LinearVae> {
        LinearVae::strategy(SIZES, 0.0)
    }

    fn judge(&self, instance: &LinearVae, _: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let Some(case) = Unperturbed::of(instance)? else { return Ok(Judgement::vacuous("Σ = 0")) };
        let printed = (case.trace * 2.0).sqrt();
        let too_small = less(Enclosure::exact(case.radius.get()), printed);
        let kept = less(HALF, case.probability);
        let finding = match (kept, too_small) {
            (Finding::Agrees, Finding::Agrees) => Finding::Contradicts,
            (Finding::Contradicts, _) | (_, Finding::Contradicts) => Finding::Agrees,
            _ => Finding::TooClose,
        };
        Ok(case.judgement(instance, finding, &[("√(2 Tr Σ)", printed)]))
    }
}

/// r ≥ √(Tr Σ) gives P(‖Δ‖ ≤ r) > 1/2.
pub(super) struct Sufficient;

impl Experiment for Sufficient {
    type Instance = LinearVae;

    fn instances(&self) -> BoxedStrategy<LinearVae> {
        LinearVae::strategy(SIZES, 0.5)
    }

    fn judge(&self, instance: &LinearVae, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let Some(case) = Unperturbed::of(instance)? else { return Ok(Judgement::vacuous("Σ = 0")) };
        let sufficient = (case.trace * trial.theory.sufficient_share()).sqrt();
        if at_most(sufficient, Enclosure::exact(case.radius.get())) != Finding::Agrees {
            return Ok(Judgement::vacuous("r is below √(Tr Σ)"));
        }
        let finding = less(HALF, case.probability);
        Ok(case.judgement(instance, finding, &[("sufficient r", sufficient)]))
    }
}

/// 0.4549 Tr Σ ≤ median ≤ Tr Σ·median(χ²ₙ)/n, both attained.
pub(super) struct Envelope;

impl Experiment for Envelope {
    type Instance = Vec<f64>;

    fn instances(&self) -> BoxedStrategy<Vec<f64>> {
        let eigenvalue = prop_oneof![4 => grid::positive(), 1 => grid::one_of(&[0.015_625, 100.0, 0.000_976_562_5])];
        prop::collection::vec(eigenvalue, 1..=8).boxed()
    }

    fn judge(&self, eigenvalues: &Vec<f64>, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        vector("the eigenvalues", eigenvalues, eigenvalues.len())?;
        if eigenvalues.iter().any(|eigenvalue| *eigenvalue <= 0.0) {
            return Err(Obstacle("eigenvalues must be above 0".to_owned()));
        }
        let count = eigenvalues.len() as f64;
        let trace: Enclosure = eigenvalues.iter().copied().map(Enclosure::exact).sum();
        let share = median(eigenvalues)? / trace;
        let equal_share = median(&vec![1.0; eigenvalues.len()])? / count;
        // One eigenvalue beside others that all but vanish: the share at the left end.
        let mut lopsided = vec![1e-14; eigenvalues.len()];
        lopsided[0] = 1.0;
        let lopsided = median(&lopsided)?;
        let necessary = trial.theory.necessary_share();
        let finding = all([
            at_most(necessary, share),
            at_most(share, equal_share),
            less(equal_share, Enclosure::exact(1.0)),
            equal(lopsided, necessary, Enclosure::exact(1e-6)),
        ]);
        let line = format!("λ = {}: median/Tr Σ = {:.6}", show(eigenvalues), share.value);
        let numbers = [
            ("median(Q)/Tr Σ", share),
            ("median(χ²₁)", necessary),
            ("median(χ²ₙ)/n", equal_share),
            ("median(Q) for one λ = 1 and the others 1e-14", lopsided),
        ];
        Ok(Judgement::new(finding, line, &numbers))
    }
}

fn median(eigenvalues: &[f64]) -> Result<Enclosure, Obstacle> {
    Ok(QuadraticForm::central(eigenvalues)?.quantile(Probability::HALF)?.enclosure)
}

/// A decoder for which r* is exact, or exact to first order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Decoder {
    /// g(z) = Wz.
    Linear(LinearVae),
    /// g(z) = wz + kz² with one latent coordinate, at the code 0.
    Curved(Curved),
}

/// w, k and σ of a curved decoder.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Curved {
    slope: Vec<f64>,
    curvature: Vec<f64>,
    std: f64,
}

/// P(‖Δ‖ ≤ r*) = 1/2 at r* = √median of the Gamma sum: exactly for linear decoders, to first order for curved ones.
pub(super) struct Exact;

impl Experiment for Exact {
    type Instance = Decoder;

    fn instances(&self) -> BoxedStrategy<Decoder> {
        let stds: Vec<f64> = (4..14).map(|halvings| 0.5f64.powi(halvings)).collect();
        let curved = (grid::vector(2), grid::vector(2), grid::one_of(&stds))
            .prop_map(|(slope, curvature, std)| Decoder::Curved(Curved { slope, curvature, std }));
        prop_oneof![LinearVae::strategy(SIZES, 0.5).prop_map(Decoder::Linear), curved].boxed()
    }

    fn judge(&self, instance: &Decoder, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        match instance {
            Decoder::Linear(model) => judge_linear(model, trial),
            Decoder::Curved(model) => judge_curved(model, trial),
        }
    }
}

/// The eigenvalues that the Gamma sum's scales stand for.
fn scaled(eigenvalues: &[f64], trial: &Trial<'_>) -> Vec<f64> {
    eigenvalues.iter().map(|&eigenvalue| 0.5 * trial.theory.gamma_scale(eigenvalue)).collect()
}

fn judge_linear(model: &LinearVae, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
    let decoder = model.decoder()?;
    let damage = FirstOrderDamage::new(&decoder.tr_mul(&decoder), &model.std())?;
    if damage.eigenvalues()[0] <= 0.0 {
        return Ok(Judgement::vacuous("Σ = 0"));
    }
    let exact = median(&scaled(damage.eigenvalues(), trial))?.sqrt();
    // P(‖Δ‖ ≤ r) from W and σ by a route that shares no eigenvalue with the one above.
    let at = |radius: f64| model.probability_unperturbed(Radius::new(radius)?);
    let probability = Enclosure::between(at(exact.lower())?.lower(), at(exact.upper())?.upper());
    let finding = equal(probability, HALF, Enclosure::exact(1e-9));
    let line = format!("{}: r* = {:.6}, P(‖Δ‖ ≤ r*) = {:.6}", model.show_decoder(), exact.value, probability.value);
    Ok(Judgement::new(finding, line, &[("r*", exact), ("P(‖Δ(x,0)‖ ≤ r*)", probability)]))
}

fn judge_curved(model: &Curved, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
    let slope = vector("the slope", &model.slope, 2)?;
    let curvature = vector("the curvature", &model.curvature, 2)?;
    if !(model.std > 0.0 && model.std <= grid::LARGEST) {
        return Err(Obstacle(format!("the standard deviation {} is not above 0", model.std)));
    }
    let (slope_norm, curvature_norm) = (slope.norm(), curvature.norm());
    if slope_norm <= 0.0 || curvature_norm <= 0.0 {
        return Ok(Judgement::vacuous("the slope or the curvature is 0"));
    }
    let eigenvalue = (model.std * slope_norm).powi(2);
    let exact = median(&scaled(&[eigenvalue], trial))?.sqrt();
    // ‖Δ‖² = σ²η²(‖w‖² + 2(w·k)ση + ‖k‖²σ²η²).
    let bend = model.std * curvature_norm / slope_norm;
    let Some(bound) = first_order_deviation(bend) else {
        return Ok(Judgement::vacuous("σ is too large for the bound of first order"));
    };
    let cosine = slope.dot(&curvature) / (slope_norm * curvature_norm);
    let half_width = exact.value / (model.std * slope_norm);
    let probability = bent_probability(half_width, bend, cosine);
    let deviation = (probability - HALF).abs();
    let finding = at_most(deviation, Enclosure::exact(bound));
    let line = format!(
        "g(z) = {}z + {}z², σ = {}: |P(‖Δ‖ ≤ r*) − 1/2| = {:.2e}, bound {bound:.2e}",
        show(&model.slope),
        show(&model.curvature),
        model.std,
        deviation.value
    );
    Ok(Judgement::new(finding, line, &[("r*", exact), ("P(‖Δ(x,0)‖ ≤ r*)", probability)]))
}

/// What P(‖Δ‖ ≤ r*) can differ from 1/2 by, for q = σ‖k‖/‖w‖ = `bend` (`proofs/P1-exact.md`): 2φ(t)q·u₁² + 2Φ(−1/(2q))
/// with t = Φ⁻¹(3/4) and u₁ = 2t/(1 + √(1 − 4qt)); none for qt > 1/4.
fn first_order_deviation(bend: f64) -> Option<f64> {
    let quartile = normal::quantile(0.75);
    let discriminant = 1.0 - 4.0 * bend * quartile;
    let farthest = 2.0 * quartile / (1.0 + discriminant.max(0.0).sqrt());
    let bound = 2.0 * normal::density(quartile) * bend * farthest * farthest + 2.0 * normal::survival(0.5 / bend);
    (discriminant >= 0.0).then_some(bound)
}

/// P(u²(1 + 2cqu + q²u²) ≤ t²) for standard normal u, q = `bend`, c = `cosine`, t = `half_width`.
fn bent_probability(half_width: f64, bend: f64, cosine: f64) -> Enclosure {
    // With |c| ≤ 1, u(1 + 2cqu + q²u²)^½ grows in u near 0; ends by bisection, then the part beyond 1/(2q) as error.
    let size = |u: f64| u * u * (1.0 + 2.0 * cosine * bend * u + bend * bend * u * u);
    let end = |sign: f64| {
        let (mut low, mut high) = (0.0, 0.5 / bend);
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            if size(sign * middle) <= half_width * half_width {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    };
    let inside = |u: f64| 0.5 - normal::survival(u);
    let value = inside(end(1.0)) + inside(end(-1.0));
    Enclosure { value, error: 1e-12 + 2.0 * normal::survival(0.5 / bend) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::theory::Stated;
    use crate::seed::Seed;

    const TRIAL: Trial<'static> =
        Trial { theory: &Stated, seed: Seed(0), stream: "test", failure_probability: Probability::HALF };

    fn model(columns: &[&[f64]], radius_factor: f64) -> LinearVae {
        use crate::claims::truth::linear_vae::Latent;
        let latent = |decoder: &&[f64]| Latent { encoder: vec![1.0], std: 1.0, decoder: decoder.to_vec() };
        LinearVae { latents: columns.iter().map(latent).collect(), radius_factor }
    }

    #[test]
    fn half_the_printed_radius_keeps_one_coordinate() {
        // P(|N| ≤ √½) = erf(1/2) = 0.5205.
        let judged = Necessary.judge(&model(&[&[1.0]], 0.5f64.sqrt()), &TRIAL).unwrap();
        assert_eq!(judged.finding, Finding::Contradicts);
        assert!((judged.numbers[2].value - 0.520_499_877_8).abs() < 1e-9, "{judged:?}");
        assert_eq!(Necessary.judge(&model(&[&[1.0]], 0.5), &TRIAL).unwrap().finding, Finding::Agrees);
        assert_eq!(Necessary.judge(&model(&[&[1.0]], 2.0), &TRIAL).unwrap().finding, Finding::Agrees);
        assert_eq!(Necessary.judge(&model(&[&[0.0]], 1.0), &TRIAL).unwrap().finding, Finding::Vacuous);
    }

    #[test]
    fn a_radius_below_the_sufficient_one_says_nothing() {
        let judge = |factor| Sufficient.judge(&model(&[&[1.0, 0.0], &[0.0, 1.0]], factor), &TRIAL).unwrap().finding;
        assert_eq!((judge(1.0), judge(0.9375)), (Finding::Agrees, Finding::Vacuous));
    }

    #[test]
    fn the_bound_of_first_order_and_the_bent_probability_have_the_values_of_the_proof() {
        // From the page, by 30-digit arithmetic: K(0.1) = 0.0336, P = 0.50355 for c = ±1 and 0.49903 for c = 0.
        assert!((first_order_deviation(0.1).unwrap() - 0.0336).abs() < 5e-5);
        assert!(first_order_deviation(0.371).is_none());
        let quartile = normal::quantile(0.75);
        for (cosine, truth) in [(1.0, 0.503_55), (-1.0, 0.503_55), (0.0, 0.499_03)] {
            assert!((bent_probability(quartile, 0.1, cosine).value - truth).abs() < 5e-6, "{cosine}");
        }
    }

    #[test]
    fn a_threshold_that_is_off_contradicts() {
        struct HalfTheScale;
        impl crate::claims::theory::Theory for HalfTheScale {
            fn gamma_scale(&self, eigenvalue: f64) -> f64 {
                eigenvalue
            }
        }
        let trial = Trial { theory: &HalfTheScale, ..TRIAL };
        let linear = Decoder::Linear(model(&[&[1.0]], 1.0));
        let curved = Decoder::Curved(Curved { slope: vec![1.0, 0.0], curvature: vec![0.0, 1.0], std: 0.015_625 });
        for decoder in [linear, curved] {
            assert_eq!(Exact.judge(&decoder, &TRIAL).unwrap().finding, Finding::Agrees);
            assert_eq!(Exact.judge(&decoder, &trial).unwrap().finding, Finding::Contradicts);
        }
    }
}
