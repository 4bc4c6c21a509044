//! How good Proposition 1's linearisation of the decoder is, and that it becomes exact as σ → 0.
//!
//! With σ scaled by s, r is chosen so that the first-order P(‖sJ_gSη‖ ≤ r) has a given value, and the decoder itself is
//! sampled at that r. The same η serve the decoder, its tangent and every s, so the difference of the two probabilities
//! is the mean of a difference of indicators, which vanishes with s and has little noise. Draws of the tangent alone
//! check the Gamma sum.

use candle_core::{DType, Device, Tensor};
use nalgebra::{DMatrix, DVector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Threat, Victim};
use crate::bounds::{BoundError, FirstOrderDamage};
use crate::margin::draws::DRAWS_PER_BATCH;
use crate::model::Vae;
use crate::quantity::Probability;
use crate::seed::{standard_normal, Seed};
use crate::sensitivity::decoder_gram;
use crate::stats;

/// Most draws for one input.
const MAX_DRAWS: usize = 100_000_000;

/// What to compute at every input.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearizationPlan {
    /// Factors s of σ, finite and above 0.
    pub scales: Vec<f64>,
    /// First-order probabilities that choose r.
    pub probabilities: Vec<Probability>,
    /// Draws of η per input.
    pub draws: usize,
    /// Seed of the draws.
    pub seed: Seed,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinearizationError {
    /// A factor of σ makes no sense.
    #[error("a factor of σ must be a finite number above 0, found {0}")]
    Scale(f64),
    /// There is nothing to compute.
    #[error("at least one {0} is needed")]
    Nothing(&'static str),
    /// Too few or too many draws.
    #[error("the number of draws must lie between 2 and {MAX_DRAWS}, found {0}")]
    Draws(usize),
    /// Σ = 0: nothing to compare.
    #[error("input {input}: the decoder does not depend on its code there")]
    NoDamage {
        /// The input.
        input: usize,
    },
    /// The Gamma sum cannot be computed.
    #[error("input {input}: {source}")]
    Bound {
        /// The input.
        input: usize,
        /// Why.
        source: BoundError,
    },
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// The decoder against its tangent at one input, one factor of σ and one r.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearizationPoint {
    /// s.
    pub scale: f64,
    /// P(‖sJ_gSη‖ ≤ r), exact by the choice of r.
    pub first_order: Probability,
    /// r, output units.
    pub radius: f64,
    /// Share of draws with ‖sJ_gSη‖ ≤ r.
    pub tangent_share: f64,
    /// Share of draws with ‖Δ(x, 0)‖ ≤ r.
    pub decoder_share: f64,
    /// The latter less the former.
    pub difference: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// All points of one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputLinearization {
    /// Index within the split.
    pub input: usize,
    /// By scale, then by probability, as in the plan.
    pub points: Vec<LinearizationPoint>,
}

/// One factor of σ and one first-order probability over all inputs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearizationRow {
    /// s.
    pub scale: f64,
    /// First-order P(‖Δ‖ ≤ r).
    pub first_order: Probability,
    /// Inputs.
    pub inputs: usize,
    /// Share of all tangent draws inside.
    pub tangent_share: f64,
    /// Share of all decoder draws inside.
    pub decoder_share: f64,
    /// Mean over inputs of decoder less tangent.
    pub mean_difference: f64,
    /// Its standard error from the draws.
    pub standard_error: f64,
    /// Root mean square over inputs of decoder less tangent, the draws' noise taken out; 0 where it is all noise.
    pub rms_difference: f64,
}

impl LinearizationPlan {
    /// Finds what makes no sense.
    ///
    /// # Errors
    /// [`LinearizationError::Nothing`], [`Scale`](LinearizationError::Scale), [`Draws`](LinearizationError::Draws).
    pub fn check(&self) -> Result<(), LinearizationError> {
        if self.scales.is_empty() {
            return Err(LinearizationError::Nothing("factor of σ"));
        }
        if self.probabilities.is_empty() {
            return Err(LinearizationError::Nothing("probability"));
        }
        if let Some(&scale) = self.scales.iter().find(|scale| !(scale.is_finite() && **scale > 0.0)) {
            return Err(LinearizationError::Scale(scale));
        }
        if !(2..=MAX_DRAWS).contains(&self.draws) {
            return Err(LinearizationError::Draws(self.draws));
        }
        Ok(())
    }

    /// Compares decoder and tangent at `values` (x, d_x numbers), input `input` of the data. `vae` must be in double
    /// precision on the processor. The draws come from a stream named after the input.
    ///
    /// # Errors
    /// [`LinearizationError`].
    pub fn compare(&self, vae: &Vae, values: &[f32], input: usize) -> Result<InputLinearization, LinearizationError> {
        self.check()?;
        let bound = |source| LinearizationError::Bound { input, source };
        let tensor = Tensor::from_slice(values, (1, values.len()), &Device::Cpu)?.to_dtype(DType::F64)?;
        let code = vae.encoder().forward(&tensor)?;
        let std = DVector::from_vec(code.std.squeeze(0)?.to_vec1::<f64>()?);
        let damage = FirstOrderDamage::new(&decoder_gram(vae, &code.mean)?, &std).map_err(bound)?;
        let mut radii = Vec::with_capacity(self.probabilities.len());
        for &probability in &self.probabilities {
            let radius = damage.radius(probability).map_err(bound)?.get();
            if radius <= 0.0 {
                return Err(LinearizationError::NoDamage { input });
            }
            radii.push(radius);
        }
        let tallies = self.tallies(&Victim::new(vae, values, Threat::Mean)?, damage.scaled_gram(), &radii, input)?;
        let points =
            self.scales.iter().flat_map(|&scale| radii.iter().zip(&self.probabilities).map(move |at| (scale, at)));
        let points = points.zip(tallies).map(|((scale, (radius, &first_order)), tally)| {
            let Tally { tangent, decoder, gained, lost } = tally;
            let draws = self.draws as f64;
            let difference = (gained - lost) / draws;
            let variance = (gained + lost) / draws - difference * difference;
            LinearizationPoint {
                scale,
                first_order,
                radius: scale * radius,
                tangent_share: tangent / draws,
                decoder_share: decoder / draws,
                difference,
                standard_error: (variance.max(0.0) / draws).sqrt(),
            }
        });
        Ok(InputLinearization { input, points: points.collect() })
    }

    /// Counts draws for every scale and radius. `radii` are those for s = 1; to first order they scale with s.
    fn tallies(
        &self,
        victim: &Victim<'_>,
        scaled_gram: &DMatrix<f64>,
        radii: &[f64],
        input: usize,
    ) -> candle_core::Result<Vec<Tally>> {
        let mut stream = self.seed.stream(&format!("input/{input}/linearization"));
        let mut tallies = vec![Tally::default(); self.scales.len() * radii.len()];
        for start in (0..self.draws).step_by(DRAWS_PER_BATCH) {
            let draws = DRAWS_PER_BATCH.min(self.draws - start);
            let noise: Vec<f64> = standard_normal(&mut stream, draws * victim.latent_dim());
            let eta = DMatrix::from_column_slice(victim.latent_dim(), draws, &noise);
            let tangents: Vec<f64> =
                (scaled_gram * &eta).component_mul(&eta).row_sum().iter().map(|q| q.max(0.0).sqrt()).collect();
            for (&scale, tallies) in self.scales.iter().zip(tallies.chunks_mut(radii.len())) {
                // ‖g(μ + S(sη)) − g(μ)‖.
                let scaled: Vec<f64> = noise.iter().map(|value| scale * value).collect();
                let distances = victim.distances(victim.input(), &scaled)?;
                for (tally, radius) in tallies.iter_mut().zip(radii) {
                    for (distance, tangent) in distances.iter().zip(&tangents) {
                        tally.add(*tangent <= *radius, *distance <= scale * radius);
                    }
                }
            }
        }
        Ok(tallies)
    }

    /// The comparison over all inputs, by probability and then by scale.
    #[must_use]
    pub fn rows(&self, inputs: &[InputLinearization]) -> Vec<LinearizationRow> {
        let cells = (0..self.probabilities.len()).flat_map(|probability| {
            (0..self.scales.len()).map(move |scale| scale * self.probabilities.len() + probability)
        });
        cells
            .filter_map(|cell| row(inputs.iter().filter_map(|input| input.points.get(cell).copied()).collect()))
            .collect()
    }

    /// The exponent a of |difference| ∝ s^a for a first-order probability: the slope of ln(root mean square difference)
    /// in ln s by least squares. None where fewer than two scales show a difference.
    #[must_use]
    pub fn rate(rows: &[LinearizationRow], first_order: Probability) -> Option<f64> {
        let seen = rows.iter().filter(|row| row.first_order == first_order && row.rms_difference > 0.0);
        let (x, y): (Vec<f64>, Vec<f64>) = seen.map(|row| (row.scale.ln(), row.rms_difference.ln())).unzip();
        stats::least_squares_line(&x, &y).ok().map(|line| line.slope)
    }
}

fn row(points: Vec<LinearizationPoint>) -> Option<LinearizationRow> {
    let first = points.first()?;
    let mean = |value: fn(&LinearizationPoint) -> f64| points.iter().map(value).sum::<f64>() / points.len() as f64;
    let noise = mean(|point| point.standard_error.powi(2));
    Some(LinearizationRow {
        scale: first.scale,
        first_order: first.first_order,
        inputs: points.len(),
        tangent_share: mean(|point| point.tangent_share),
        decoder_share: mean(|point| point.decoder_share),
        mean_difference: mean(|point| point.difference),
        standard_error: (noise / points.len() as f64).sqrt(),
        rms_difference: (mean(|point| point.difference.powi(2)) - noise).max(0.0).sqrt(),
    })
}

/// Draws inside.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    tangent: f64,
    decoder: f64,
    /// Inside for the decoder only, and for the tangent only.
    gained: f64,
    lost: f64,
}

impl Tally {
    fn add(&mut self, tangent: bool, decoder: bool) {
        self.tangent += f64::from(u8::from(tangent));
        self.decoder += f64::from(u8::from(decoder));
        self.gained += f64::from(u8::from(decoder && !tangent));
        self.lost += f64::from(u8::from(tangent && !decoder));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Architecture;

    fn plan() -> LinearizationPlan {
        LinearizationPlan {
            scales: vec![1.0, 0.5],
            probabilities: vec![Probability::new(0.3).unwrap(), Probability::HALF],
            draws: 3000,
            seed: Seed(0),
        }
    }

    fn linear(decoder: &[f32]) -> Vae {
        let architecture = Architecture::preset("linear", &[3]).unwrap().with_latent_dim(2);
        let tensor = |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
        let parameters = [
            tensor(&[1.0, 0.0, 0.5, 0.0, 1.0, -0.5], &[2, 3]),
            tensor(&[0.0; 2], &[2]),
            tensor(&[0.0; 6], &[2, 3]),
            tensor(&[0.0, -1.0], &[2]),
            tensor(decoder, &[3, 2]),
            tensor(&[0.0; 3], &[3]),
        ];
        Vae::from_parameters(architecture, &parameters).unwrap().converted(DType::F64, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_linear_decoder_is_its_own_tangent() {
        let found = plan().compare(&linear(&[1.0, 0.2, 0.0, 1.0, 0.3, -1.0]), &[0.1, 0.2, 0.3], 7).unwrap();
        assert_eq!(found.points.len(), 4);
        for point in &found.points {
            // A draw within rounding of r may be counted differently.
            assert!(point.difference.abs() <= 1.0 / 3000.0, "{point:?}");
            let expected = point.first_order.get();
            assert!((point.tangent_share - expected).abs() < 5.0 * (0.25f64 / 3000.0).sqrt(), "{point:?}");
        }
        // r is proportional to the factor of σ.
        assert!((found.points[0].radius - 2.0 * found.points[2].radius).abs() < 1e-12);
        let rows = plan().rows(&[found]);
        assert_eq!(rows.iter().map(|row| row.scale).collect::<Vec<_>>(), [1.0, 0.5, 1.0, 0.5]);
    }

    #[test]
    fn rates_are_slopes_of_logarithms() {
        let row = |scale: f64, rms_difference: f64| LinearizationRow {
            scale,
            first_order: Probability::HALF,
            inputs: 1,
            tangent_share: 0.5,
            decoder_share: 0.5,
            mean_difference: 0.0,
            standard_error: 0.0,
            rms_difference,
        };
        let rows = [row(1.0, 0.16), row(0.5, 0.04), row(0.25, 0.01)];
        assert!((LinearizationPlan::rate(&rows, Probability::HALF).unwrap() - 2.0).abs() < 1e-12);
        assert_eq!(LinearizationPlan::rate(&[row(1.0, 0.1), row(0.5, 0.0)], Probability::HALF), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let vae = linear(&[0.0; 6]);
        assert!(matches!(plan().compare(&vae, &[0.0; 3], 4), Err(LinearizationError::NoDamage { input: 4 })));
        let broken = |change: fn(&mut LinearizationPlan)| {
            let mut plan = plan();
            change(&mut plan);
            plan.check().unwrap_err()
        };
        assert!(matches!(broken(|plan| plan.scales = vec![]), LinearizationError::Nothing(_)));
        assert!(matches!(broken(|plan| plan.probabilities.clear()), LinearizationError::Nothing(_)));
        assert!(matches!(broken(|plan| plan.scales[0] = f64::INFINITY), LinearizationError::Scale(_)));
        assert!(matches!(broken(|plan| plan.draws = 1), LinearizationError::Draws(1)));
    }
}
