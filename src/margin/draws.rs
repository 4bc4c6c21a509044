//! P(‖Δ‖₂ ≤ r) from draws: counts and their exact binomial bounds.
//!
//! Draws that decide anything are computed in double precision on the processor, whatever the attacks use. A draw whose
//! distance lies so close to r that rounding could put it on either side is counted on neither: it weakens a lower bound
//! and an upper bound alike.

use candle_core::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::Victim;
use crate::model::Vae;
use crate::quantity::{LowerBound, Probability, Radius, Threat, UpperBound};
use crate::seed::{standard_normal, Stream};
use crate::sensitivity::rounded_network::RoundedCode;
use crate::sensitivity::RoundedVae;
use crate::stats::{clopper_pearson_lower, clopper_pearson_upper, BinomialError};

/// Draws per batch of decodes; bounds memory.
pub(crate) const DRAWS_PER_BATCH: usize = 512;

/// Distances near r that are computed again more precisely: where there are more, doubles are no use for this network.
const MOST_SETTLED: usize = 100;

/// How many draws stayed within the radius, and how many left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrawCounts {
    /// Draws in all.
    pub draws: u64,
    /// Draws inside the radius by more than the tolerance.
    pub inside: u64,
    /// Draws outside the radius by more than the tolerance; distances that are not finite are on neither side.
    pub outside: u64,
}

impl DrawCounts {
    /// Counts distances against a radius; both, like the tolerance, in output units.
    #[must_use]
    pub fn of(distances: &[f64], radius: Radius, tolerance: f64) -> Self {
        let (low, high) = (radius.get() - tolerance, radius.get() + tolerance);
        let count = |is: &dyn Fn(f64) -> bool| distances.iter().filter(|&&d| is(d)).count() as u64;
        Self {
            draws: distances.len() as u64,
            inside: count(&|d| d <= low),
            outside: count(&|d| d >= high && d.is_finite()),
        }
    }

    /// Adds the counts of further draws.
    fn add(&mut self, other: Self) {
        self.draws += other.draws;
        self.inside += other.inside;
        self.outside += other.outside;
    }

    /// Clopper–Pearson lower bound of P(‖Δ‖ ≤ r), wrong with at most this probability.
    ///
    /// # Errors
    /// If there are no draws.
    pub fn probability_lower(
        &self,
        failure_probability: Probability,
    ) -> std::result::Result<LowerBound, BinomialError> {
        clopper_pearson_lower(self.inside, self.draws, failure_probability)
    }

    /// Clopper–Pearson upper bound of P(‖Δ‖ ≤ r), wrong with at most this probability.
    ///
    /// # Errors
    /// If there are no draws.
    pub fn probability_upper(
        &self,
        failure_probability: Probability,
    ) -> std::result::Result<UpperBound, BinomialError> {
        clopper_pearson_upper(self.draws - self.outside, self.draws, failure_probability)
    }
}

/// One input in double precision on the processor, with a bound of the error of every distance computed for it.
#[derive(Debug)]
pub struct Judge<'a> {
    victim: Victim<'a>,
    rounded: &'a RoundedVae,
    code: RoundedCode,
    threat: Threat,
}

impl<'a> Judge<'a> {
    /// A judge for `input` (d_x values). `vae` must be in double precision, and `rounded` made from it.
    ///
    /// # Errors
    /// If the input has another length than the model expects.
    pub fn new(vae: &'a Vae, rounded: &'a RoundedVae, input: &[f32], threat: Threat) -> Result<Self> {
        Ok(Self { victim: Victim::new(vae, input, threat)?, rounded, code: rounded.code(input), threat })
    }

    /// The input with its code and its undisturbed reconstruction.
    #[must_use]
    pub fn victim(&self) -> &Victim<'a> {
        &self.victim
    }

    /// The code of the input, with bounds of its error.
    #[must_use]
    pub fn code(&self) -> &RoundedCode {
        &self.code
    }

    /// How far a computed distance ‖Δ(x, δ; η)‖ of about `radius` may be from the true one, in output units: a bound of
    /// all rounding on the way, and twice as much for another order of summation elsewhere.
    #[must_use]
    pub fn tolerance(&self, attacked: &[f32], radius: Radius) -> f64 {
        2.0 * self.rounded.distance_error(&self.code, &self.attacked_code(attacked), 2.0 * radius.get())
    }

    fn attacked_code(&self, attacked: &[f32]) -> RoundedCode {
        let mut code = self.rounded.code(attacked);
        if self.threat == Threat::Mean {
            code.std.clone_from(&self.code.std);
        }
        code
    }

    /// [`DrawCounts`] of distances that [`sample_distances`] gave for `stream` from its start. Those that doubles cannot
    /// tell from r are computed again more precisely, so that hardly any counts for neither side.
    #[must_use]
    pub fn count_sampled(&self, attacked: &[f32], radius: Radius, distances: &[f64], mut stream: Stream) -> DrawCounts {
        let tolerance = self.tolerance(attacked, radius);
        let mut counts = DrawCounts::of(distances, radius, tolerance);
        let is_open = |distance: f64| {
            let DrawCounts { inside, outside, .. } = DrawCounts::of(&[distance], radius, tolerance);
            inside + outside == 0 && distance.is_finite()
        };
        let open = distances.iter().filter(|&&distance| is_open(distance)).count();
        if (1..=MOST_SETTLED).contains(&open) {
            let code = self.attacked_code(attacked);
            for &distance in distances {
                let noise: Vec<f64> = standard_normal(&mut stream, self.victim.latent_dim());
                if is_open(distance) {
                    let precise = self.rounded.precise_distance(&self.code, &code, &noise);
                    let settled = DrawCounts::of(&[precise.value], radius, 2.0 * precise.error);
                    counts.add(DrawCounts { draws: 0, ..settled });
                }
            }
        }
        counts
    }

    /// [`DrawCounts`] of `draws` fresh draws at a perturbed input.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn count(&self, attacked: &[f32], radius: Radius, draws: usize, stream: &mut Stream) -> Result<DrawCounts> {
        self.count_while(attacked, radius, draws, stream, |_| true)
    }

    /// [`DrawCounts`] of `draws` fresh draws at a perturbed input, or of fewer, if `goes_on` says no to what was counted
    /// until then.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn count_while(
        &self,
        attacked: &[f32],
        radius: Radius,
        draws: usize,
        stream: &mut Stream,
        goes_on: impl Fn(&DrawCounts) -> bool,
    ) -> Result<DrawCounts> {
        let tolerance = self.tolerance(attacked, radius);
        let mut counts = DrawCounts::default();
        for_each_batch(&self.victim, attacked, draws, stream, |batch| {
            counts.add(DrawCounts::of(&batch, radius, tolerance));
            goes_on(&counts)
        })?;
        Ok(counts)
    }
}

/// `draws` independent values of ‖Δ(x, δ; η)‖₂ for one perturbed input, in output units and in the stream's order.
///
/// # Errors
/// If a tensor operation fails.
pub fn sample_distances(victim: &Victim<'_>, attacked: &[f32], draws: usize, stream: &mut Stream) -> Result<Vec<f64>> {
    let mut distances = Vec::with_capacity(draws);
    for_each_batch(victim, attacked, draws, stream, |batch| {
        distances.extend(batch);
        true
    })?;
    Ok(distances)
}

/// Ends early where `take` says no.
fn for_each_batch(
    victim: &Victim<'_>,
    attacked: &[f32],
    draws: usize,
    stream: &mut Stream,
    mut take: impl FnMut(Vec<f64>) -> bool,
) -> Result<()> {
    for start in (0..draws).step_by(DRAWS_PER_BATCH) {
        let batch = DRAWS_PER_BATCH.min(draws - start);
        if !take(victim.distances::<f64>(attacked, &standard_normal(stream, batch * victim.latent_dim()))?) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_near_the_radius_and_draws_that_are_not_finite_count_for_neither_side() {
        let radius = Radius::new(1.0).unwrap();
        let distances = [0.5, 1.0, 1.0 - 1e-5, 1.0 + 1e-5, 1.5, f64::NAN, f64::INFINITY];
        assert_eq!(DrawCounts::of(&distances, radius, 1e-4), DrawCounts { draws: 7, inside: 1, outside: 1 });
    }

    #[test]
    fn draws_that_doubles_cannot_tell_from_the_radius_are_settled() {
        let vae = crate::model::embedded::digits().unwrap().vae;
        let vae = vae.converted(candle_core::DType::F64, &candle_core::Device::Cpu).unwrap();
        let rounded = RoundedVae::of(&vae).unwrap();
        let input = vec![0.25_f32; 64];
        let judge = Judge::new(&vae, &rounded, &input, Threat::Joint).unwrap();
        let stream = || crate::seed::Seed(3).stream("settled");
        let distances = sample_distances(judge.victim(), &input, 50, &mut stream()).unwrap();
        let tolerance = judge.tolerance(&input, Radius::new(distances[20]).unwrap());
        for (share, is_inside) in [(0.3, true), (-0.3, false)] {
            let radius = Radius::new(distances[20] + share * tolerance).unwrap();
            let counts = DrawCounts::of(&distances, radius, judge.tolerance(&input, radius));
            assert_eq!(counts.inside + counts.outside, 49);
            let settled = judge.count_sampled(&input, radius, &distances, stream());
            let inside = counts.inside + u64::from(is_inside);
            assert_eq!(settled, DrawCounts { draws: 50, inside, outside: 50 - inside });
        }
        let far = Radius::new(1e3).unwrap();
        assert_eq!(judge.count_sampled(&input, far, &distances, stream()).inside, 50);
    }

    #[test]
    fn what_counts_for_neither_side_weakens_both_bounds() {
        let tenth = Probability::new(0.1).unwrap();
        let sure = DrawCounts { draws: 100, inside: 60, outside: 40 };
        let unsure = DrawCounts { draws: 100, inside: 55, outside: 35 };
        assert!(unsure.probability_lower(tenth).unwrap() < sure.probability_lower(tenth).unwrap());
        assert!(unsure.probability_upper(tenth).unwrap() > sure.probability_upper(tenth).unwrap());
        assert!(DrawCounts::default().probability_lower(tenth).is_err());
    }
}
