//! The random attack: perturbations drawn uniformly from the sphere.

use candle_core::Result;

use super::perturbation::{scaled, AttackedInput};
use super::{AscentNotes, Attack, Proposals, Task};
use crate::seed::{standard_normal, Stream};

/// Proposes as many uniform directions as a gradient attack would take steps.
#[derive(Debug, Clone, Copy)]
pub struct RandomDirections;

impl Attack for RandomDirections {
    fn propose(&self, task: &Task<'_>, stream: &mut Stream) -> Result<Proposals> {
        let input = task.victim.input();
        let directions = uniform_directions(stream, task.effort.steps.max(1), input.len());
        let attacked = |direction: &[f32]| {
            let perturbation: Vec<f32> = direction.iter().map(|&d| scaled(d, task.constraint.norm)).collect();
            AttackedInput::new(input, &perturbation, task.constraint)
        };
        Ok(Proposals {
            candidates: directions.chunks_exact(input.len()).map(attacked).collect(),
            notes: AscentNotes::default(),
        })
    }
}

/// `count` directions uniform on the unit sphere in `dim` dimensions, row-major `[count, dim]`.
pub(crate) fn uniform_directions(stream: &mut Stream, count: usize, dim: usize) -> Vec<f32> {
    let mut directions = standard_normal(stream, count * dim);
    for direction in directions.chunks_exact_mut(dim) {
        let norm = direction.iter().map(|d| f64::from(*d).powi(2)).sum::<f64>().sqrt();
        direction.iter_mut().for_each(|d| *d = scaled(*d, 1.0 / norm.max(f64::MIN_POSITIVE)));
    }
    directions
}
