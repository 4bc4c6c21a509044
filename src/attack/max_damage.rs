//! The max-damage attack: maximise E_η‖Δ(x, δ; η)‖₂ (the paper's equation 5).

use candle_core::Result;

use super::ascent::Objective;
use super::victim::ObjectiveGradient;
use super::Task;

/// Mean distance between the attacked and the undisturbed reconstruction, in output units.
#[derive(Debug, Clone, Copy)]
pub struct MaxDamage;

impl Objective for MaxDamage {
    fn evaluate(&self, task: &Task<'_>, attacked: &[f32], noise: &[f32]) -> Result<ObjectiveGradient> {
        task.victim.distance_objective(attacked, noise, |distance| (distance, 1.0))
    }
}
