//! Attacks: ways to look for a perturbation that breaks the reconstruction.
//!
//! An attack proposes perturbations; whether one breaks robustness is decided elsewhere, on draws it has never seen
//! ([`crate::margin`]). An attack that fails proves nothing.

mod ascent;
mod exceedance;
mod latent;
mod max_damage;
mod perturbation;
mod random;
mod starts;
mod victim;

use std::fmt;
use std::str::FromStr;

use candle_core::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use ascent::{AscentNotes, GradientAscent};
pub use exceedance::Exceedance;
pub use latent::Latent;
pub use max_damage::MaxDamage;
pub(crate) use perturbation::scaled;
pub use perturbation::{AttackedInput, Constraint, PixelBox};
pub use random::RandomDirections;
pub use starts::structured_directions;
pub use victim::Victim;

use random::uniform_directions;

use crate::quantity::Radius;
pub use crate::quantity::Threat;
use crate::seed::Stream;
use crate::spelling::did_you_mean;

/// What every attack is told about its task.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// The input, its code and its reconstruction.
    pub victim: &'a Victim<'a>,
    /// The distance between reconstructions that counts as broken, in output units.
    pub radius: Radius,
    /// The ball (and box) in which perturbations must lie.
    pub constraint: Constraint,
    /// Unit directions worth trying first, each of length d_x.
    pub directions: &'a [Vec<f32>],
    /// The best perturbation known, from a search at another norm.
    pub warm_start: Option<&'a AttackedInput>,
    /// Whether starts that fall behind are given up on the way; the paper's algorithms carry every one to its end.
    pub gives_up_starts: bool,
    /// How much work to spend.
    pub effort: Effort,
}

/// How much work an attack spends on one norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Effort {
    /// Random starts, beside the structured ones and the warm one; also the number of random directions.
    pub restarts: usize,
    /// Gradient steps.
    pub steps: usize,
    /// Draws of the code that share one optimisation (common random numbers).
    pub draws: usize,
}

/// What an attack found at one norm.
#[derive(Debug, Clone, Default)]
pub struct Proposals {
    /// Perturbed inputs inside the constraint, in no particular order.
    pub candidates: Vec<AttackedInput>,
    /// What went wrong on the way.
    pub notes: AscentNotes,
}

/// A way to look for harmful perturbations.
pub trait Attack: Sync {
    /// Perturbed inputs within the task's constraint, chosen with randomness from `stream` alone.
    ///
    /// # Errors
    /// If a tensor operation fails.
    fn propose(&self, task: &Task<'_>, stream: &mut Stream) -> Result<Proposals>;
}

/// The attacks by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttackKind {
    /// Uniform directions on the sphere.
    Random,
    /// Maximises the mean distance E‖Δ‖ (the paper's equation 5).
    MaxDamage,
    /// Maximises a smoothed P(‖Δ‖ > r).
    Exceedance,
    /// Maximises the code's whitened shift ‖S⁻¹(μ(x+δ) − μ(x))‖; never looks at the decoder.
    Latent,
}

impl AttackKind {
    /// All attacks, strongest first.
    pub const ALL: [Self; 4] = [Self::Exceedance, Self::MaxDamage, Self::Latent, Self::Random];

    /// The attack itself.
    #[must_use]
    pub fn attack(self) -> Box<dyn Attack> {
        match self {
            Self::Random => Box::new(RandomDirections),
            Self::MaxDamage => Box::new(GradientAscent(MaxDamage)),
            Self::Exceedance => Box::new(GradientAscent(Exceedance)),
            Self::Latent => Box::new(GradientAscent(Latent)),
        }
    }

    /// The directions this attack tries first: the structured ones, except that random attacks know nothing of the model
    /// and draw their own, one per restart. Unit vectors of length `dim`.
    #[must_use]
    pub fn directions(self, structured: &[Vec<f32>], effort: Effort, stream: &mut Stream, dim: usize) -> Vec<Vec<f32>> {
        match self {
            Self::Random => {
                let random = uniform_directions(stream, effort.restarts.max(1), dim);
                random.chunks_exact(dim).map(<[f32]>::to_vec).collect()
            }
            _ => structured.to_vec(),
        }
    }

    /// How many candidates the attack proposes at one norm, without a warm start, given this many directions.
    #[must_use]
    pub fn proposals(self, directions: usize, effort: Effort) -> usize {
        match self {
            Self::Random => effort.steps.max(1),
            _ => (effort.restarts + directions).max(1),
        }
    }

    /// The name on the command line and in results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::MaxDamage => "max-damage",
            Self::Exceedance => "exceedance",
            Self::Latent => "latent",
        }
    }
}

impl fmt::Display for AttackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Not an attack's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown attack {found:?}; {}known: random, max-damage, exceedance, latent", did_you_mean(found, &AttackKind::ALL.map(AttackKind::name)))]
pub struct UnknownAttack {
    /// The text found.
    pub found: String,
}

impl FromStr for AttackKind {
    type Err = UnknownAttack;
    fn from_str(text: &str) -> std::result::Result<Self, UnknownAttack> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| UnknownAttack { found: text.to_owned() })
    }
}

#[cfg(test)]
mod tests;
