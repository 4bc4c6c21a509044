//! The draws of ‖Δ(x, 0)‖, drawn again from their stream.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sha2::{Digest, Sha256};

use super::matrix::Matrix;
use super::model::{Code, Model};
use super::network::Points;
use super::rounding::{norm, GUARD, UNIT};

/// Draws evaluated together, where layers are not so wide that fewer must do.
const BLOCK: usize = 64;
/// Most values of one layer for all draws evaluated together.
const LARGEST_BLOCK: usize = 1 << 22;
/// A distance this close to r, relatively, may have been counted otherwise by other arithmetic.
const NEAR: f64 = 1e-7;

/// How many draws are within r.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    /// Certainly.
    pub(super) certain: u64,
    /// Not certainly beyond it.
    pub(super) possible: u64,
    /// So close that other arithmetic may count them otherwise.
    pub(super) near: u64,
}

/// One input's distances ‖g(μ(x) + σ(x)∘η) − g(μ(x))‖.
pub(super) struct Distances<'a> {
    model: &'a Model,
    mean: &'a [f64],
    /// Bound of ‖μ̂ − μ(x)‖.
    mean_error: f64,
    /// Within the bounds of each σ(x)ᵢ, at most `std_error` from it.
    std: Vec<f64>,
    std_error: f64,
    largest_std: f64,
    /// g(μ(x)).
    centre: Points,
}

/// The generator named `name` under `seed`.
fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let key = Sha256::new().chain_update(b"vaecert stream 1\0").chain_update(seed.to_le_bytes());
    ChaCha8Rng::from_seed(key.chain_update(name.as_bytes()).finalize().into())
}

impl<'a> Distances<'a> {
    pub(super) fn new(model: &'a Model, code: &'a Code) -> Self {
        let (mean, mean_error) = (code.mean.0.as_slice(), code.mean.1);
        let values = Matrix { rows: 1, columns: mean.len(), entries: mean.to_vec() };
        let centre = model.decoder.forward(Points { values, errors: vec![mean_error] });
        let std = code.std.iter().map(|(low, high)| 0.5 * (low + high)).collect();
        let worst = |error: f64, (low, high): &(f64, f64)| if high - low <= error { error } else { high - low };
        let std_error = code.std.iter().fold(0.0, worst);
        let largest_std = code.std.iter().fold(0.0, |largest: f64, (_, high)| largest.max(*high));
        Self { model, mean, mean_error, std, std_error, largest_std, centre }
    }

    /// Calls `visit` with every distance of a stream and a bound of its error.
    fn each(&self, seed: u64, name: &str, draws: u64, mut visit: impl FnMut(f64, f64)) {
        let mut noise = StandardNormal.sample_iter(stream(seed, name));
        let block = (LARGEST_BLOCK / self.model.decoder.width().max(self.mean.len()).max(1)).clamp(1, BLOCK);
        let mut left = draws;
        while left > 0 {
            let rows = usize::try_from(left).map_or(block, |left| left.min(block));
            let noise: Vec<f64> = noise.by_ref().take(rows * self.mean.len()).collect();
            let points = self.model.decoder.forward(self.codes(rows, &noise));
            (0..rows).map(|i| self.distance(points.values.row(i), points.errors[i])).for_each(|(d, e)| visit(d, e));
            left -= rows as u64;
        }
    }

    /// z = μ + σ∘η: off by the error of μ, that of σ and one rounding times ‖η‖, and one rounding of ‖z‖.
    fn codes(&self, rows: usize, noise: &[f64]) -> Points {
        let dim = self.mean.len();
        let values = Matrix::new(rows, dim, |i, j| self.mean[j] + self.std[j] * noise[i * dim + j]);
        let scale = self.std_error + UNIT * self.largest_std;
        let error =
            |i: usize| self.mean_error + scale * norm(&noise[i * dim..(i + 1) * dim]) + UNIT * norm(values.row(i));
        let errors = (0..rows).map(|i| GUARD * error(i)).collect();
        Points { values, errors }
    }

    /// ‖y − g(μ)‖ and a bound of its error: both ends', and (n/2 + 4)u for differences, squares, sum and root.
    fn distance(&self, y: &[f64], error: f64) -> (f64, f64) {
        let squares = y.iter().zip(self.centre.values.row(0)).map(|(y, centre)| (y - centre) * (y - centre));
        let distance = squares.sum::<f64>().sqrt();
        let relative = (y.len() as f64 + 8.0) * UNIT;
        let underflow = (y.len() as f64 * f64::MIN_POSITIVE).sqrt();
        (distance, GUARD * (error + self.centre.errors[0] + relative * distance + underflow))
    }

    /// Counts the draws of a stream that are within r.
    pub(super) fn tally(&self, seed: u64, name: &str, draws: u64, r: f64) -> Tally {
        let mut tally = Tally::default();
        self.each(seed, name, draws, |d, e| {
            tally.certain += u64::from((d + e).next_up() <= r);
            // An error that is not a number leaves everything possible.
            tally.possible += u64::from((d - e).next_down() <= r || e.is_nan() || d.is_nan());
            tally.near += u64::from((d - r).abs() <= e.max(NEAR * r) || e.is_nan() || d.is_nan());
        });
        tally
    }

    /// How many draws of a stream are at most `high` when they are taken as small as possible, and how many are below
    /// `low` when they are taken as large as possible.
    pub(super) fn ranks(&self, seed: u64, name: &str, draws: u64, low: f64, high: f64) -> (u64, u64) {
        let (mut at_most, mut below) = (0, 0);
        self.each(seed, name, draws, |d, e| {
            at_most += u64::from((d - e).next_down() <= high);
            below += u64::from((d + e).next_up() < low);
        });
        (at_most, below)
    }
}

/// The smallest rank k, from 1, with k/n > q, the quotient rounded to the nearest double; n where no rank has that.
pub(super) fn quantile_rank(n: u64, q: f64) -> u64 {
    let (mut low, mut high) = (0, n);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if middle as f64 / n as f64 > q {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}
