//! Draws of the damage without any perturbation, ‖Δ(x, 0)‖: those that choose r and those that estimate P(‖Δ‖ ≤ r).
//!
//! An audit and a certificate with the same seed use the same ones.

use crate::certificate::Header;
use crate::margin::{sample_distances, DrawCounts, Judge, RadiusRule};
use crate::quantity::{QuantityError, Radius};
use crate::seed::Seed;

/// Name of the stream that chooses an input's r, with `{input}` for its index.
pub(super) const SELECTION_STREAM: &str = "input/{input}/selection";
/// Name of the stream that estimates an input's probability, likewise.
pub(super) const ESTIMATION_STREAM: &str = "input/{input}/estimation";

/// Why r could not be chosen.
#[derive(Debug, thiserror::Error)]
pub(super) enum SelectionError {
    #[error("the radius: {0}")]
    Radius(#[from] QuantityError),
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// r of one input, from draws that serve no other purpose.
pub(super) fn select_radius(
    judge: &Judge<'_>,
    rule: RadiusRule,
    draws: usize,
    seed: Seed,
    input: usize,
) -> Result<Radius, SelectionError> {
    let draws = if matches!(rule, RadiusRule::Quantile(_)) { draws } else { 0 };
    let distances = undisturbed_distances(judge, draws, seed, SELECTION_STREAM, input)?;
    Ok(rule.radius(&distances)?)
}

/// Draws of ‖Δ(x, 0)‖ that serve the estimate and nothing else.
pub(super) fn estimation_distances(
    judge: &Judge<'_>,
    draws: usize,
    seed: Seed,
    input: usize,
) -> candle_core::Result<Vec<f64>> {
    undisturbed_distances(judge, draws, seed, ESTIMATION_STREAM, input)
}

/// How many of them are within r.
pub(super) fn estimation_counts(
    judge: &Judge<'_>,
    radius: Radius,
    distances: &[f64],
    seed: Seed,
    input: usize,
) -> DrawCounts {
    let stream = seed.stream(&Header::stream(ESTIMATION_STREAM, input));
    judge.count_sampled(judge.victim().input(), radius, distances, stream)
}

fn undisturbed_distances(
    judge: &Judge<'_>,
    draws: usize,
    seed: Seed,
    stream: &str,
    input: usize,
) -> candle_core::Result<Vec<f64>> {
    let mut stream = seed.stream(&Header::stream(stream, input));
    sample_distances(judge.victim(), judge.victim().input(), draws, &mut stream)
}
