//! The β-VAE objective L_β(q) = E_q log p(x|z) − β KL(q‖p) and the tempered posterior q* ∝ p(z)·p(x|z)^e, e = 1/β, where
//! everything is a finite sum (discrete codes) or a closed form (linear-Gaussian models).

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::linear_vae::{matrix, vector};
use crate::claims::claim::{show, Obstacle};
use crate::claims::grid;
use crate::linalg::EnclosedCholesky;
use crate::stats::Enclosure;

/// Values of β between 1/100 and 100.
pub(crate) const BETAS: [f64; 13] = [1.0, 2.0, 0.5, 4.0, 0.25, 3.0, 10.0, 0.125, 100.0, 0.03125, 30.0, 0.01, 0.0625];

/// 2π.
pub(crate) const TAU: Enclosure = Enclosure { value: std::f64::consts::TAU, error: 3e-16 };

/// A state of a discrete code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// p(z) up to a factor, above 0.
    pub(crate) prior: f64,
    /// p(x|z), 0 or more.
    pub(crate) likelihood: f64,
    /// q(z) up to a factor, above 0.
    pub(crate) encoder: f64,
}

/// A code with finitely many states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Discrete {
    pub(crate) states: Vec<State>,
}

fn normalised(weights: impl Iterator<Item = f64> + Clone) -> Vec<Enclosure> {
    let total: Enclosure = weights.clone().map(Enclosure::exact).sum();
    weights.map(|weight| Enclosure::exact(weight) / total).collect()
}

/// Weights that may be 0 count as up to this: far from the ends of double precision, and nothing in a sum.
const NEGLIGIBLE: f64 = 1e-200;

/// KL(q‖p) = Σ q ln(q/p) for p > 0, with 0 ln 0 = 0.
pub(crate) fn divergence(q: &[Enclosure], p: &[Enclosure]) -> Enclosure {
    let term = |(q, p): (&Enclosure, &Enclosure)| {
        let (largest, reach) = (Enclosure::exact(q.upper().max(NEGLIGIBLE)), p.lower() / std::f64::consts::E);
        if q.lower() > 0.0 {
            *q * (*q / *p).ln()
        } else if q.upper() <= 0.0 {
            Enclosure::exact(0.0)
        } else if largest.value < reach {
            // From 0 on, q ln(q/p) falls until q = p/e.
            Enclosure::between((largest * (largest / *p).ln()).lower(), 0.0)
        } else {
            Enclosure::UNKNOWN
        }
    };
    q.iter().zip(p).map(term).sum()
}

impl Discrete {
    /// Up to five states; `likelihoods` are drawn from.
    pub(crate) fn strategy(likelihoods: &[f64]) -> BoxedStrategy<Self> {
        let state = (grid::positive(), grid::one_of(likelihoods), grid::positive())
            .prop_map(|(prior, likelihood, encoder)| State { prior, likelihood, encoder });
        prop::collection::vec(state, 1..=5).prop_map(|states| Self { states }).boxed()
    }

    pub(crate) fn check(&self) -> Result<(), Obstacle> {
        let positive = |value: f64| value > 0.0 && value <= grid::LARGEST;
        let sensible = |state: &State| {
            positive(state.prior) && positive(state.encoder) && (0.0..=grid::LARGEST).contains(&state.likelihood)
        };
        if !(1..=64).contains(&self.states.len()) || !self.states.iter().all(sensible) {
            return Err(Obstacle(
                "up to 64 states need a prior and an encoder weight above 0 and a likelihood of 0 or more".to_owned(),
            ));
        }
        Ok(())
    }

    pub(crate) fn prior(&self) -> Vec<Enclosure> {
        normalised(self.states.iter().map(|state| state.prior))
    }

    /// q.
    pub(crate) fn encoder(&self) -> Vec<Enclosure> {
        normalised(self.states.iter().map(|state| state.encoder))
    }

    /// ln p(x|z) per state; only for likelihoods above 0.
    pub(crate) fn log_likelihood(&self) -> Vec<Enclosure> {
        self.states.iter().map(|state| Enclosure::exact(state.likelihood).ln()).collect()
    }

    /// ln Z = ln Σ p·l^e and q* = p·l^e/Z. A state of likelihood 0 gets none of it.
    pub(crate) fn tempered(&self, exponent: Enclosure) -> (Enclosure, Vec<Enclosure>) {
        // Relative to the largest likelihood, so that nothing over- or underflows that matters.
        let largest = Enclosure::exact(self.states.iter().map(|state| state.likelihood).fold(0.0, f64::max)).ln();
        let power = |state: &State| {
            if state.likelihood > 0.0 {
                (exponent * (Enclosure::exact(state.likelihood).ln() - largest)).exp()
            } else {
                Enclosure::exact(0.0)
            }
        };
        let weights: Vec<Enclosure> = self.states.iter().zip(self.prior()).map(|(state, p)| p * power(state)).collect();
        let total: Enclosure = weights.iter().copied().sum();
        (total.ln() + exponent * largest, weights.into_iter().map(|weight| weight / total).collect())
    }

    /// L_β(q) for likelihoods above 0.
    pub(crate) fn objective(&self, q: &[Enclosure], beta: f64) -> Enclosure {
        let likelihood: Enclosure = q.iter().zip(self.log_likelihood()).map(|(q, l)| *q * l).sum();
        likelihood - divergence(q, &self.prior()) * beta
    }

    fn list(&self, field: fn(&State) -> f64) -> String {
        show(&self.states.iter().map(field).collect::<Vec<_>>())
    }

    pub(crate) fn show_likelihood(&self) -> String {
        format!("prior ∝ {}, p(x|z) = {}", self.list(|state| state.prior), self.list(|state| state.likelihood))
    }

    pub(crate) fn show(&self) -> String {
        format!("{}, q ∝ {}", self.show_likelihood(), self.list(|state| state.encoder))
    }
}

/// A latent coordinate of a linear-Gaussian model and of a Gaussian q = N(m, LLᵀ).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GaussianLatent {
    /// Its column of W.
    pub(crate) decoder: Vec<f64>,
    /// Its entry of m.
    pub(crate) mean: f64,
    /// Its row of L: entries left of the diagonal, then the diagonal, which is above 0.
    pub(crate) factor: Vec<f64>,
}

/// p(x|z) = N(Wz, s²I), a standard normal prior, an input and a q.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GaussianModel {
    pub(crate) latents: Vec<GaussianLatent>,
    pub(crate) input: Vec<f64>,
    /// s.
    pub(crate) likelihood_std: f64,
}

/// The tempered posterior N(m*, Λ⁻¹) of a linear-Gaussian model.
pub(crate) struct GaussianPosterior {
    precision: Vec<Vec<Enclosure>>,
    factor: EnclosedCholesky,
    mean: Vec<Enclosure>,
    /// h = e·Wᵀx/s², with Λm* = h.
    pull: Vec<Enclosure>,
    /// hᵀΛ⁻¹h.
    pulled: Enclosure,
    pub(crate) log_normaliser: Enclosure,
}

/// Most outputs and latent coordinates drawn.
const OUTPUTS: usize = 4;
const LATENTS: usize = 10;

fn dot(a: &[Enclosure], b: &[Enclosure]) -> Enclosure {
    a.iter().zip(b).map(|(a, b)| *a * *b).sum()
}

fn square(a: &[Enclosure]) -> Enclosure {
    a.iter().map(|entry| entry.squared()).sum()
}

fn exact(entries: &[f64]) -> Vec<Enclosure> {
    entries.iter().copied().map(Enclosure::exact).collect()
}

impl GaussianModel {
    pub(crate) fn strategy() -> BoxedStrategy<Self> {
        let latent = (grid::vector(OUTPUTS), grid::any(), grid::vector(LATENTS - 1), grid::positive()).prop_map(
            |(decoder, mean, mut factor, diagonal)| {
                factor.push(diagonal);
                GaussianLatent { decoder, mean, factor }
            },
        );
        let std = grid::one_of(&[1.0, 0.5, 2.0, 0.25]);
        (1..=OUTPUTS, prop::collection::vec(latent, 1..=LATENTS), grid::vector(OUTPUTS), std)
            .prop_map(|(outputs, mut latents, mut input, likelihood_std)| {
                input.truncate(outputs);
                for (i, latent) in latents.iter_mut().enumerate() {
                    latent.decoder.truncate(outputs);
                    latent.factor.drain(..LATENTS - 1 - i);
                }
                Self { latents, input, likelihood_std }
            })
            .boxed()
    }

    pub(crate) fn check(&self) -> Result<(), Obstacle> {
        let columns: Vec<&[f64]> = self.latents.iter().map(|latent| latent.decoder.as_slice()).collect();
        let decoder = matrix("the decoder", &columns)?;
        vector("the input", &self.input, decoder.ncols())?;
        for (i, latent) in self.latents.iter().enumerate() {
            let row = vector("a row of q's factor", &latent.factor, i + 1)?;
            if row[i] <= 0.0 || !latent.mean.is_finite() || latent.mean.abs() > grid::LARGEST {
                return Err(Obstacle("q needs finite means and a factor with a positive diagonal".to_owned()));
            }
        }
        if !(self.likelihood_std > 0.0 && self.likelihood_std <= grid::LARGEST) {
            return Err(Obstacle(format!(
                "the likelihood's standard deviation {} is not above 0",
                self.likelihood_std
            )));
        }
        Ok(())
    }

    fn variance(&self) -> Enclosure {
        Enclosure::exact(self.likelihood_std).squared()
    }

    fn dim(&self) -> f64 {
        self.latents.len() as f64
    }

    /// Row i of W.
    fn decoder_row(&self, output: usize) -> Vec<Enclosure> {
        self.latents.iter().map(|latent| Enclosure::exact(latent.decoder[output])).collect()
    }

    /// −(d_x/2) ln(2πs²) − (‖x − W`mean`‖² + `spread`)/(2s²): E log p(x|z) for a code with this mean, and `spread` the
    /// trace of W Cov Wᵀ.
    fn expected_log_likelihood(&self, mean: &[Enclosure], spread: Enclosure) -> Enclosure {
        let residual: Enclosure = self
            .input
            .iter()
            .enumerate()
            .map(|(i, x)| (Enclosure::exact(*x) - dot(&self.decoder_row(i), mean)).squared())
            .sum();
        let constant = (TAU * self.variance()).ln() * (0.5 * self.input.len() as f64);
        -constant - (residual + spread) / (self.variance() * 2.0)
    }

    fn q_mean(&self) -> Vec<Enclosure> {
        self.latents.iter().map(|latent| Enclosure::exact(latent.mean)).collect()
    }

    /// ln det of q's covariance.
    fn q_log_determinant(&self) -> Enclosure {
        self.latents.iter().enumerate().map(|(i, latent)| Enclosure::exact(latent.factor[i]).ln() * 2.0).sum()
    }

    /// Column k of L.
    fn factor_column(&self, k: usize) -> Vec<Enclosure> {
        let entry = |latent: &GaussianLatent| Enclosure::exact(latent.factor.get(k).copied().unwrap_or(0.0));
        self.latents.iter().map(entry).collect()
    }

    /// L_β(q) in closed form.
    pub(crate) fn objective(&self, beta: f64) -> Enclosure {
        let columns: Vec<Vec<Enclosure>> = (0..self.latents.len()).map(|k| self.factor_column(k)).collect();
        let spread: Enclosure = (0..self.input.len())
            .map(|i| {
                let row = self.decoder_row(i);
                columns.iter().map(|column| dot(&row, column).squared()).sum()
            })
            .sum();
        let mean = self.q_mean();
        let trace: Enclosure = columns.iter().map(|column| square(column)).sum();
        let divergence = (trace + square(&mean) - self.dim() - self.q_log_determinant()) * 0.5;
        self.expected_log_likelihood(&mean, spread) - divergence * beta
    }

    /// q* for an exponent of the likelihood; an obstacle where rounding hides that Λ is positive definite.
    pub(crate) fn posterior(&self, exponent: Enclosure) -> Result<GaussianPosterior, Obstacle> {
        let (size, power) = (self.latents.len(), exponent / self.variance());
        let columns: Vec<Vec<Enclosure>> = self.latents.iter().map(|latent| exact(&latent.decoder)).collect();
        let entry = |i: usize, j: usize| dot(&columns[i], &columns[j]) * power + if i == j { 1.0 } else { 0.0 };
        let precision: Vec<Vec<Enclosure>> = (0..size).map(|i| (0..size).map(|j| entry(i, j)).collect()).collect();
        let factor = EnclosedCholesky::new(size, |i, j| precision[i][j])
            .ok_or_else(|| Obstacle("q*'s precision is not certainly positive definite".to_owned()))?;
        let input = exact(&self.input);
        let pull: Vec<Enclosure> = columns.iter().map(|column| dot(column, &input) * power).collect();
        let constant = (TAU * self.variance()).ln() * (0.5 * self.input.len() as f64);
        let pulled = square(&factor.forward(&pull));
        let log_normaliser =
            -(constant * exponent) - square(&input) * power * 0.5 + (pulled - factor.log_determinant()) * 0.5;
        Ok(GaussianPosterior { mean: factor.solve(&pull), pull, pulled, precision, factor, log_normaliser })
    }

    /// KL(q‖q*).
    pub(crate) fn divergence_from(&self, posterior: &GaussianPosterior) -> Enclosure {
        let quadratic = |v: &[Enclosure]| -> Enclosure {
            posterior.precision.iter().zip(v).map(|(row, entry)| dot(row, v) * *entry).sum()
        };
        let trace: Enclosure = (0..self.latents.len()).map(|k| quadratic(&self.factor_column(k))).sum();
        let determinants = self.q_log_determinant() + posterior.factor.log_determinant();
        // (m − m*)ᵀΛ(m − m*) with Λm* = h, so that the error of m* is not multiplied by Λ.
        let mean = self.q_mean();
        let distance = quadratic(&mean) - dot(&mean, &posterior.pull) * 2.0 + posterior.pulled;
        (trace + distance - self.dim() - determinants) * 0.5
    }

    /// L_β(q*).
    pub(crate) fn objective_at(&self, posterior: &GaussianPosterior, beta: f64) -> Enclosure {
        let spread: Enclosure =
            (0..self.input.len()).map(|i| square(&posterior.factor.forward(&self.decoder_row(i)))).sum();
        self.expected_log_likelihood(&posterior.mean, spread) - self.divergence_from_prior(posterior) * beta
    }

    /// KL(q*‖p).
    pub(crate) fn divergence_from_prior(&self, posterior: &GaussianPosterior) -> Enclosure {
        let trace: Enclosure = (0..self.latents.len()).map(|i| posterior.variance(i)).sum();
        (trace + square(&posterior.mean) - self.dim() + posterior.factor.log_determinant()) * 0.5
    }

    /// sup_z ln p(x|z) − E_p ln p(x|z), from above: the supremum with W onto.
    pub(crate) fn log_likelihood_drop(&self) -> Enclosure {
        let spread: Enclosure = (0..self.input.len()).map(|i| square(&self.decoder_row(i))).sum();
        let zero = vec![Enclosure::exact(0.0); self.latents.len()];
        let supremum = -((TAU * self.variance()).ln() * (0.5 * self.input.len() as f64));
        supremum - self.expected_log_likelihood(&zero, spread)
    }

    pub(crate) fn show(&self) -> String {
        let columns: Vec<String> = self.latents.iter().map(|latent| show(&latent.decoder)).collect();
        let means: Vec<f64> = self.latents.iter().map(|latent| latent.mean).collect();
        let factors: Vec<String> = self.latents.iter().map(|latent| show(&latent.factor)).collect();
        format!(
            "columns of W = {}, x = {}, s = {}, q: mean {}, factor {}",
            columns.join("; "),
            show(&self.input),
            self.likelihood_std,
            show(&means),
            factors.join("; ")
        )
    }
}

impl GaussianPosterior {
    /// The variance of coordinate i under q*.
    pub(crate) fn variance(&self, coordinate: usize) -> Enclosure {
        let unit: Vec<Enclosure> =
            (0..self.precision.len()).map(|i| Enclosure::exact(if i == coordinate { 1.0 } else { 0.0 })).collect();
        square(&self.factor.forward(&unit))
    }

    /// vᵀΛ⁻¹v.
    pub(crate) fn variance_along(&self, direction: &[f64]) -> Enclosure {
        square(&self.factor.forward(&exact(direction)))
    }

    /// 1/Λ_ii, the variance of coordinate i in the best q of independent coordinates.
    pub(crate) fn independent_variance(&self, coordinate: usize) -> Enclosure {
        Enclosure::exact(1.0) / self.precision[coordinate][coordinate]
    }

    /// m*.
    pub(crate) fn mean(&self) -> &[Enclosure] {
        &self.mean
    }

    /// ln det Λ.
    pub(crate) fn log_determinant(&self) -> Enclosure {
        self.factor.log_determinant()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(enclosure: Enclosure, truth: f64) -> bool {
        enclosure.lower() <= truth + 1e-15 && truth - 1e-15 <= enclosure.upper() && enclosure.error < 1e-12
    }

    #[test]
    fn two_states_found_by_hand() {
        // prior ½, ½, likelihoods 4, 1, β = 2: l^½ = 2, 1, Z = 3/2, q* = 2/3, 1/3.
        let state = |likelihood, encoder| State { prior: 1.0, likelihood, encoder };
        let model = Discrete { states: vec![state(4.0, 3.0), state(1.0, 1.0)] };
        let (log_z, posterior) = model.tempered(Enclosure::exact(0.5));
        assert!(holds(log_z, 1.5f64.ln()) && holds(posterior[0], 2.0 / 3.0) && holds(posterior[1], 1.0 / 3.0));
        // q = ¾, ¼: L = ¾ ln 4 − 2(¾ ln 1.5 + ¼ ln 0.5).
        let objective = model.objective(&model.encoder(), 2.0);
        assert!(holds(objective, 0.75 * 4f64.ln() - 2.0 * (0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln())));
        assert!(Discrete { states: vec![state(1.0, 0.0)] }.check().is_err());
        // A weight that may be 0 adds next to nothing.
        let nearly_zero = Enclosure { value: 1e-40, error: 1e-39 };
        let entropy = divergence(&[Enclosure::exact(1.0), nearly_zero], &[Enclosure::exact(0.5); 2]);
        assert!(holds(entropy, 2f64.ln()), "{entropy:?}");
        // A state of likelihood 0 keeps nothing.
        let (_, posterior) =
            Discrete { states: vec![state(1.0, 1.0), state(0.0, 1.0)] }.tempered(Enclosure::exact(0.5));
        assert_eq!(posterior[1].value, 0.0);
    }

    #[test]
    fn one_gaussian_coordinate_found_by_hand() {
        // W = 1, x = 2, s = 1, β = 1: Λ = 2, m* = 1, Z = N(2; 0, 2) = e^−1/√(4π).
        let latent = GaussianLatent { decoder: vec![1.0], mean: 0.0, factor: vec![1.0] };
        let model = GaussianModel { latents: vec![latent], input: vec![2.0], likelihood_std: 1.0 };
        let posterior = model.posterior(Enclosure::exact(1.0)).unwrap();
        assert!(holds(posterior.mean()[0], 1.0) && holds(posterior.variance(0), 0.5));
        assert!(holds(posterior.log_normaliser, -1.0 - 0.5 * (2.0 * std::f64::consts::TAU).ln()));
        // q = p: L = E log p(x|z) = −½ ln 2π − (4 + 1)/2, KL(q‖q*) = ½(2 + 2 − 1 − ln 2).
        assert!(holds(model.objective(1.0), -0.5 * std::f64::consts::TAU.ln() - 2.5));
        assert!(holds(model.divergence_from(&posterior), 0.5 * (3.0 - 2f64.ln())));
        // sup − E_p = 5/2.
        assert!(holds(model.log_likelihood_drop(), 2.5));
        assert!(holds(model.objective_at(&posterior, 1.0), posterior.log_normaliser.value));
        assert!(holds(posterior.independent_variance(0), 0.5) && holds(posterior.variance_along(&[2.0]), 2.0));
    }

    #[test]
    fn shapes_that_make_no_sense_are_refused() {
        let latent = |factor: &[f64]| GaussianLatent { decoder: vec![1.0], mean: 0.0, factor: factor.to_vec() };
        let model =
            |factor: &[f64]| GaussianModel { latents: vec![latent(factor)], input: vec![1.0], likelihood_std: 1.0 };
        assert!(model(&[1.0]).check().is_ok());
        assert!(model(&[0.0]).check().is_err() && model(&[1.0, 1.0]).check().is_err() && model(&[]).check().is_err());
        assert!(GaussianModel { likelihood_std: 0.0, ..model(&[1.0]) }.check().is_err());
        assert!(GaussianModel { input: vec![1.0, 2.0], ..model(&[1.0]) }.check().is_err());
    }
}
