//! The latent attack: move the code as far as possible in units of its own standard deviation.

use candle_core::Result;

use super::ascent::Objective;
use super::victim::ObjectiveGradient;
use super::Task;

/// ½‖S⁻¹(μ(x+δ) − μ(x))‖₂², without a unit. Looks at the encoder only.
#[derive(Debug, Clone, Copy)]
pub struct Latent;

impl Objective for Latent {
    fn evaluate(&self, task: &Task<'_>, attacked: &[f32], _noise: &[f32]) -> Result<ObjectiveGradient> {
        task.victim.latent_objective(attacked)
    }
}
