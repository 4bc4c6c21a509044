//! The exceedance attack: maximise a smoothed probability that the reconstruction leaves the radius.
//!
//! r-robustness fails when P(‖Δ‖ > r) is large, not when the mean distance is; a few very distant draws raise the
//! mean without breaking anything. Replacing the indicator of ‖Δ‖ > r by a logistic curve makes it differentiable.

use candle_core::Result;

use super::ascent::Objective;
use super::victim::ObjectiveGradient;
use super::Task;
use crate::model::Activation;

/// Width of the logistic curve as a fraction of r.
const SMOOTHING: f64 = 0.1;

/// Mean over draws of sigmoid((‖Δ‖ − r) / (0.1 r)).
#[derive(Debug, Clone, Copy)]
pub struct Exceedance;

impl Objective for Exceedance {
    fn evaluate(&self, task: &Task<'_>, attacked: &[f32], noise: &[f32]) -> Result<ObjectiveGradient> {
        let radius = task.radius.get();
        let width = SMOOTHING * radius;
        task.victim.distance_objective(attacked, noise, |distance| {
            let value = Activation::Sigmoid.value((distance - radius) / width);
            (value, Activation::Sigmoid.slope_at_output(value) / width)
        })
    }
}
