//! From an input to a saved perturbation of it and beyond: P(‖Δ‖ ≤ r) along the ray (the paper's figure 5), and what the
//! decoder makes of both ends.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::InputRecord;
use super::replay::{Replay, ReplayError, StoredPerturbation};
use crate::attack::{AttackedInput, PixelBox};
use crate::margin::{DrawCounts, Judge};
use crate::quantity::{LowerBound, UpperBound};
use crate::stats::BinomialError;

/// Fresh draws at one point of a ray.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RayPoint {
    /// Share of the saved perturbation.
    pub fraction: f64,
    /// ‖δ‖₂ there, rounded up, input units.
    pub norm_upper: UpperBound,
    /// The draws.
    pub counts: DrawCounts,
    /// P(‖Δ‖ ≤ r) is at least this.
    pub probability_lower: LowerBound,
    /// P(‖Δ‖ ≤ r) is at most this.
    pub probability_upper: UpperBound,
}

/// An input, the perturbed input, and the reconstruction of each; d_x values each.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconstructions {
    /// g(μ(x)).
    pub of_input: Vec<f32>,
    /// g(μ(x + δ)).
    pub of_attacked: Vec<f32>,
}

impl Replay<'_> {
    /// P(‖Δ‖ ≤ r) at x + `fraction` · δ for the perturbation δ that `record` claims, on draws that nothing else has used:
    /// those of the stream `report/INPUT/FRACTION`. Where the run has a box, x + fraction · δ is brought into it.
    ///
    /// # Errors
    /// If the perturbation's file is missing or altered, or belongs to another input or record.
    pub fn ray_point(&self, folder: &Path, record: &InputRecord, fraction: f64) -> Result<RayPoint, ReplayError> {
        let stored = self.stored(folder, record)?;
        let wrong = |error: BinomialError| ReplayError::Content { path: stored.path.clone(), what: error.to_string() };
        let pixel_box = self.identity.plan.search.pixel_box;
        let attacked = at_fraction(&stored.input, &stored.attacked, fraction, pixel_box);
        let judge = Judge::new(&self.vae, &self.rounded, &stored.input, self.identity.plan.threat)?;
        let mut stream = self.seed.stream(&format!("report/{}/{fraction}", record.input));
        let counts = judge.count(attacked.values(), stored.radius, self.draws, &mut stream)?;
        Ok(RayPoint {
            fraction,
            norm_upper: attacked.norm(),
            counts,
            probability_lower: counts.probability_lower(self.failure_probability).map_err(wrong)?,
            probability_upper: counts.probability_upper(self.failure_probability).map_err(wrong)?,
        })
    }

    /// What the decoder makes of the code's mean, without and with the perturbation; double precision, rounded once.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn reconstructions(&self, stored: &StoredPerturbation) -> Result<Reconstructions, ReplayError> {
        let of = |input: &[f32]| {
            let input = Tensor::from_slice(input, (1, input.len()), &Device::Cpu)?.to_dtype(DType::F64)?;
            let points = self.vae.decoder_mean().forward(&self.vae.encoder().mean(&input)?)?;
            points.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()
        };
        Ok(Reconstructions { of_input: of(&stored.input)?, of_attacked: of(stored.attacked.values())? })
    }

    /// The axes of one input.
    #[must_use]
    pub fn input_shape(&self) -> &[usize] {
        &self.vae.architecture().input_shape
    }
}

/// x + `fraction` · δ in single precision; the ends of a saved perturbation are kept to the bit.
fn at_fraction(input: &[f32], attacked: &AttackedInput, fraction: f64, pixel_box: Option<PixelBox>) -> AttackedInput {
    if fraction.total_cmp(&1.0).is_eq() {
        return attacked.clone();
    }
    let point = |(x, delta): (&f32, f64)| {
        // Sums beyond single precision become infinite, and their draws count for neither side.
        #[allow(clippy::cast_possible_truncation)]
        let value = (f64::from(*x) + fraction * delta) as f32;
        pixel_box.map_or(value, |PixelBox { low, high }| value.clamp(low, high))
    };
    let values = input.iter().zip(attacked.perturbation(input)).map(point).collect();
    AttackedInput::from_values(input, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_a_ray_are_shares_of_the_perturbation_and_stay_in_the_box() {
        let input = [0.5, 0.25];
        let attacked = AttackedInput::from_values(&input, vec![0.75, 0.25]);
        let at = |fraction, pixel_box| at_fraction(&input, &attacked, fraction, pixel_box).values().to_vec();
        assert_eq!(at(0.0, None), input);
        assert_eq!(at(0.5, None), [0.625, 0.25]);
        assert_eq!(at(1.0, None), [0.75, 0.25]);
        assert_eq!(at(3.0, None), [1.25, 0.25]);
        assert_eq!(at(3.0, Some(PixelBox { low: 0.0, high: 1.0 })), [1.0, 0.25]);
        assert!((at_fraction(&input, &attacked, 2.0, None).norm().get() - 0.5).abs() < 1e-12);
    }
}
