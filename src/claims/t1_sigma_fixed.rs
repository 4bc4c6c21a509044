//! T1-sigma-fixed: whether perturbations do their damage through μ rather than through σ, on a trained model.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{less, Experiment, Judgement, Obstacle, Trial};
use super::grid;
use crate::attack::{structured_directions, AttackKind, Constraint, Effort, Task, Threat, Victim};
use crate::data::{DataSource, Split};
use crate::model::{embedded, kernel, Vae};
use crate::quantity::Radius;
use crate::seed::{standard_normal, Seed};
use crate::sensitivity::{decoder_gram, encoder_jacobian};
use crate::stats::{clopper_pearson_lower, clopper_pearson_upper, Enclosure};

/// Digits of the test set and the norm of their perturbations.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttackedDigits {
    digits: Vec<usize>,
    norm: f64,
}

/// Over several inputs, the damage with only μ perturbed exceeds that with only σ perturbed more often than not.
pub(super) struct SigmaFixed;

/// Inputs per case: the claim is about their average, single ones may differ.
const INPUTS: usize = 12;
/// Draws compared per input.
const DRAWS: usize = 500;
const EFFORT: Effort = Effort { restarts: 2, steps: 20, draws: 16 };

impl Experiment for SigmaFixed {
    type Instance = AttackedDigits;

    fn instances(&self) -> BoxedStrategy<AttackedDigits> {
        let digits = prop::collection::vec(0..360usize, INPUTS);
        (digits, grid::one_of(&[0.5, 1.0, 0.25, 2.0, 0.125]))
            .prop_map(|(digits, norm)| AttackedDigits { digits, norm })
            .boxed()
    }

    fn judge(&self, instance: &AttackedDigits, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let AttackedDigits { digits, norm } = instance;
        let data = DataSource::digits().load(Split::Test, Seed(0))?;
        let row = |&digit: &usize| data.row(digit).ok_or_else(|| Obstacle(format!("digit {digit} of {}", data.len())));
        let inputs = digits.iter().map(row).collect::<Result<Vec<_>, _>>()?;
        if inputs.len() != INPUTS || !(*norm > 0.0 && *norm <= 100.0) {
            return Err(Obstacle(format!(
                "expected {INPUTS} digits and a norm above 0, at most 100, found {instance:?}"
            )));
        }
        judge_model(&embedded::digits()?.vae, &inputs, *norm, &format!("test digits {digits:?}"), trial)
    }
}

/// The claim on several inputs of a model in single precision.
fn judge_model(
    single: &Vae,
    inputs: &[&[f32]],
    norm: f64,
    shown: &str,
    trial: &Trial<'_>,
) -> Result<Judgement, Obstacle> {
    let double = single.converted(DType::F64, &Device::Cpu)?;
    let (mut wins, mut losses, mut means) = (0, 0, [0.0, 0.0]);
    for (i, input) in inputs.iter().enumerate() {
        let stream = format!("{}/{i}", trial.stream);
        let trial = Trial { stream: &stream, ..*trial };
        let attacked = strongest(single, &double, input, norm, &trial)?;
        let (through_mean, through_std) = compare(&double, input, &attacked, &trial)?;
        // Equal damage, as where the perturbation is lost in rounding, speaks for neither side.
        let count =
            |is: fn(&f64, &f64) -> bool| through_mean.iter().zip(&through_std).filter(|(a, b)| is(a, b)).count();
        wins += count(|a, b| a > b) as u64;
        losses += count(|a, b| a < b) as u64;
        for (mean, damages) in means.iter_mut().zip([&through_mean, &through_std]) {
            *mean += damages.iter().sum::<f64>() / (DRAWS * inputs.len()) as f64;
        }
    }
    // Draws of different inputs have different probabilities. The bounds hold for their mean all the same: the tails of
    // such a sum are no heavier than the binomial's (Hoeffding, 1956). Two bounds share what may go wrong.
    let draws = (DRAWS * inputs.len()) as u64;
    let each = trial.failure_probability.split(2);
    let lower = clopper_pearson_lower(wins, draws, each)?.get();
    let upper = clopper_pearson_upper(draws - losses, draws, each)?.get();
    let probability = Enclosure::between(lower, upper);
    let line = format!(
        "{shown}, ‖δ‖ = {norm}: mean damage through μ alone {:.4}, through σ alone {:.4}; the first is larger in {wins} of \
         {draws} draws",
        means[0], means[1]
    );
    let finding = less(Enclosure::exact(0.5), probability);
    Ok(Judgement::new(finding, line, &[("P(damage through μ > damage through σ)", probability)]))
}

/// The perturbed input with the largest mean damage that the max-damage attack finds when μ and σ both see it.
fn strongest(single: &Vae, double: &Vae, input: &[f32], norm: f64, trial: &Trial<'_>) -> Result<Vec<f32>, Obstacle> {
    let victim = Victim::new(single, input, Threat::Joint)?;
    let row = Tensor::from_slice(input, (1, input.len()), &Device::Cpu)?.to_dtype(DType::F64)?;
    let code = double.encoder().forward(&row)?;
    let std = nalgebra::DVector::from_vec(code.std.squeeze(0)?.to_vec1::<f64>()?);
    let gram = decoder_gram(double, &code.mean)?;
    let directions = structured_directions(&encoder_jacobian(double, &row)?, &std, &gram)?;
    let task = Task {
        victim: &victim,
        radius: Radius::new(1.0)?,
        constraint: Constraint { norm, pixel_box: None },
        directions: &directions,
        warm_start: None,
        gives_up_starts: false,
        effort: EFFORT,
    };
    let proposals = AttackKind::MaxDamage.attack().propose(&task, &mut trial.draws("attack"))?;
    let judge = Victim::new(double, input, Threat::Joint)?;
    let noise: Vec<f64> = standard_normal(&mut trial.draws("choice"), EFFORT.draws * judge.latent_dim());
    let mut best = None::<(f64, Vec<f32>)>;
    for candidate in &proposals.candidates {
        let damage: f64 = judge.distances(candidate.values(), &noise)?.iter().sum();
        if best.as_ref().is_none_or(|(largest, _)| damage > *largest) {
            best = Some((damage, candidate.values().to_vec()));
        }
    }
    best.map(|(_, values)| values).ok_or_else(|| Obstacle("the attack proposed nothing".to_owned()))
}

/// The damage with only μ, and with only σ, perturbed, on common draws.
fn compare(vae: &Vae, input: &[f32], attacked: &[f32], trial: &Trial<'_>) -> Result<(Vec<f64>, Vec<f64>), Obstacle> {
    let row = |values: &[f32]| Tensor::from_slice(values, (1, values.len()), &Device::Cpu)?.to_dtype(DType::F64);
    let (here, there) = (vae.encoder().forward(&row(input)?)?, vae.encoder().forward(&row(attacked)?)?);
    let reconstruction = vae.decoder_mean().forward(&here.mean)?;
    let latents = vae.architecture().latent_dim;
    let noise: Vec<f64> = standard_normal(&mut trial.draws("noise"), DRAWS * latents);
    let noise = Tensor::from_vec(noise, (DRAWS, latents), &Device::Cpu)?;
    let damage = |mean: &Tensor, std: &Tensor| -> Result<Vec<f64>, Obstacle> {
        let codes = noise.broadcast_mul(std)?.broadcast_add(mean)?;
        Ok(kernel::row_distances(&vae.decoder_mean().forward(&codes)?, &reconstruction)?)
    };
    Ok((damage(&there.mean, &here.std)?, damage(&here.mean, &there.std)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::claim::Finding;
    use crate::claims::theory::Stated;
    use crate::claims::truth::linear_vae::single;
    use crate::model::Architecture;
    use crate::quantity::Probability;

    /// μ(x) = ax, σ(x) = e^{cx}, g(z) = z, at the input 0.
    fn judged(mean_gain: f64, std_gain: f64) -> Judgement {
        let architecture = Architecture::preset("linear", &[1]).unwrap().with_latent_dim(1);
        let one = |value: f64, shape: &[usize]| single(vec![value], shape).unwrap();
        let parameters = [
            one(mean_gain, &[1, 1]),
            one(0.0, &[1]),
            one(2.0 * std_gain, &[1, 1]),
            one(0.0, &[1]),
            one(1.0, &[1, 1]),
            one(0.0, &[1]),
        ];
        let vae = Vae::from_parameters(architecture, &parameters).unwrap();
        let failure_probability = Probability::new(1e-6).unwrap();
        let trial = Trial { theory: &Stated, seed: Seed(0), stream: "test", failure_probability };
        judge_model(&vae, &[&[0.0]], 0.5, "by hand", &trial).unwrap()
    }

    #[test]
    fn damage_through_the_mean_agrees_and_through_sigma_alone_contradicts() {
        assert_eq!(judged(8.0, 0.1).finding, Finding::Agrees);
        // All the damage comes through σ: the damage through μ is that without any perturbation.
        let contradicted = judged(0.0, 1.0);
        assert_eq!(contradicted.finding, Finding::Contradicts, "{}", contradicted.line);
        // The same on every draw decides nothing.
        assert_eq!(judged(0.0, 0.0).finding, Finding::TooClose);
    }
}
