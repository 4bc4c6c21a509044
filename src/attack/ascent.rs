//! Projected gradient ascent on a ball, over many starts at once.

use candle_core::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::perturbation::{project, scaled, AttackedInput};
use super::random::uniform_directions;
use super::victim::ObjectiveGradient;
use super::{Attack, Proposals, Task};
use crate::seed::{standard_normal, Stream};

/// First step, as a fraction of the ball's radius; steps shrink linearly to [`LAST_STEP`].
const FIRST_STEP: f64 = 0.5;
/// Last step, as a fraction of the ball's radius.
const LAST_STEP: f64 = 0.02;

/// After each such share of the steps, the better half of the starts goes on, as long as more than [`LEAST_STARTS`] do.
const HALVING: f64 = 0.2;
/// So many starts go on to the end.
const LEAST_STARTS: usize = 2;

/// What an attack maximises.
pub trait Objective: Sync {
    /// Values and gradients at perturbed inputs (row-major `[rows, d_x]`). `noise` is row-major `[draws, d_z]`, the same
    /// throughout one optimisation.
    ///
    /// # Errors
    /// If a tensor operation fails.
    fn evaluate(&self, task: &Task<'_>, attacked: &[f32], noise: &[f32]) -> Result<ObjectiveGradient>;
}

/// What went wrong during an ascent, counted in steps of single starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AscentNotes {
    /// The gradient was exactly 0: the attack is blind there (saturated or dead units), not the model robust.
    pub zero_gradients: u64,
    /// The objective or its gradient was not a number.
    pub non_finite: u64,
}

impl AscentNotes {
    /// Adds another ascent's counts.
    pub fn add(&mut self, other: Self) {
        self.zero_gradients += other.zero_gradients;
        self.non_finite += other.non_finite;
    }
}

/// Projected gradient ascent on an objective: normalised steps of shrinking length, all starts in one batch, the same
/// draws throughout (an objective that redraws its noise fights itself). Starts that fall behind are left where they are if the
/// task says so (successive halving; Jamieson & Talwalkar, AISTATS 2016). Each start's best iterate is proposed.
#[derive(Debug, Clone, Copy)]
pub struct GradientAscent<O>(
    /// What to maximise.
    pub O,
);

impl<O: Objective> Attack for GradientAscent<O> {
    fn propose(&self, task: &Task<'_>, stream: &mut Stream) -> Result<Proposals> {
        let dim = task.victim.input().len();
        let mut state = Ascent::new(task, starts(task, stream), dim);
        let noise = standard_normal(stream, task.effort.draws * task.victim.latent_dim());
        for step in 0..=task.effort.steps {
            if task.gives_up_starts && halves_before(step, task.effort.steps) {
                state.keep_better_half();
            }
            let evaluation = self.0.evaluate(task, &state.attacked(), &noise)?;
            let directions = state.record(&evaluation);
            if step < task.effort.steps {
                let progress = step as f64 / task.effort.steps.max(2).saturating_sub(1) as f64;
                state.step(&directions, (FIRST_STEP + (LAST_STEP - FIRST_STEP) * progress) * task.constraint.norm);
            }
        }
        Ok(state.proposals())
    }
}

/// Whether the number of starts is halved before this step.
fn halves_before(step: usize, steps: usize) -> bool {
    let halvings = |step: usize| (step as f64 / (HALVING * steps.max(1) as f64)).floor();
    step > 0 && step < steps && halvings(step) > halvings(step - 1)
}

/// Perturbations to start from, row-major `[starts, d_x]`: the warm one, the structured directions, random ones.
fn starts(task: &Task<'_>, stream: &mut Stream) -> Vec<f32> {
    let input = task.victim.input();
    let mut starts = Vec::new();
    if let Some(warm) = task.warm_start {
        let norm = warm.norm().get();
        let scale = if norm > 0.0 { task.constraint.norm / norm } else { 0.0 };
        starts.extend(warm.values().iter().zip(input).map(|(a, x)| scaled(a - x, scale)));
    }
    let random = uniform_directions(stream, task.effort.restarts, input.len());
    let directions = task.directions.iter().flatten().chain(&random);
    starts.extend(directions.map(|&d| scaled(d, task.constraint.norm)));
    starts
}

/// The state of all starts.
struct Ascent<'a> {
    task: &'a Task<'a>,
    dim: usize,
    /// The starts that go on, ascending.
    active: Vec<usize>,
    /// Where those are.
    current: Vec<f32>,
    /// The best iterates of all starts.
    best: Vec<f32>,
    best_values: Vec<f64>,
    notes: AscentNotes,
}

impl<'a> Ascent<'a> {
    fn new(task: &'a Task<'a>, mut current: Vec<f32>, dim: usize) -> Self {
        for perturbation in current.chunks_exact_mut(dim) {
            project(perturbation, task.victim.input(), task.constraint);
        }
        let starts = current.len() / dim;
        let best_values = vec![f64::NEG_INFINITY; starts];
        let active = (0..starts).collect();
        Self { task, dim, active, best: current.clone(), current, best_values, notes: AscentNotes::default() }
    }

    /// Goes on with the starts of the better half, at least [`LEAST_STARTS`], by the best value that each has seen.
    fn keep_better_half(&mut self) {
        let kept = self.active.len().div_ceil(2).max(LEAST_STARTS).min(self.active.len());
        let mut places: Vec<usize> = (0..self.active.len()).collect();
        places.sort_by(|&a, &b| self.best_values[self.active[b]].total_cmp(&self.best_values[self.active[a]]));
        places.truncate(kept);
        places.sort_unstable();
        let row = |&place: &usize| &self.current[place * self.dim..(place + 1) * self.dim];
        self.current = places.iter().flat_map(row).copied().collect();
        self.active = places.into_iter().map(|place| self.active[place]).collect();
    }

    /// x + δ of every start that goes on.
    fn attacked(&self) -> Vec<f32> {
        let input = self.task.victim.input();
        self.current.iter().enumerate().map(|(i, d)| input[i % self.dim] + d).collect()
    }

    /// Keeps improved iterates and returns the unit gradient of every start that goes on (0 where there is none).
    fn record(&mut self, evaluation: &ObjectiveGradient) -> Vec<f32> {
        let mut directions = Vec::with_capacity(self.current.len());
        let gradients = evaluation.gradient.chunks_exact(self.dim);
        let current = self.current.chunks_exact(self.dim);
        for (((&start, &value), gradient), current) in
            self.active.iter().zip(&evaluation.values).zip(gradients).zip(current)
        {
            if value > self.best_values[start] {
                self.best_values[start] = value;
                self.best[start * self.dim..(start + 1) * self.dim].copy_from_slice(current);
            }
            let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let usable = norm.is_finite() && value.is_finite();
            self.notes.non_finite += u64::from(!usable);
            self.notes.zero_gradients += u64::from(usable && norm == 0.0);
            let scale = if usable && norm > 0.0 { 1.0 / norm } else { 0.0 };
            directions.extend(gradient.iter().map(|&g| if usable { scaled(g, scale) } else { 0.0 }));
        }
        directions
    }

    fn step(&mut self, directions: &[f32], length: f64) {
        for (d, &direction) in self.current.iter_mut().zip(directions) {
            *d += scaled(direction, length);
        }
        for perturbation in self.current.chunks_exact_mut(self.dim) {
            project(perturbation, self.task.victim.input(), self.task.constraint);
        }
    }

    fn proposals(self) -> Proposals {
        let input = self.task.victim.input();
        let attacked = |perturbation| AttackedInput::new(input, perturbation, self.task.constraint);
        Proposals { candidates: self.best.chunks_exact(self.dim).map(attacked).collect(), notes: self.notes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_halved_four_times_at_equal_distances() {
        let halvings = |steps: usize| (0..=steps).filter(|&step| halves_before(step, steps)).collect::<Vec<_>>();
        assert_eq!(halvings(50), [10, 20, 30, 40]);
        assert_eq!(halvings(5), [1, 2, 3, 4]);
        assert_eq!((halvings(1), halvings(0)), (vec![], vec![]));
        assert_eq!(halvings(3), [1, 2]);
    }
}
