//! Latent codes that are not Gaussian: a likelihood l(z) = Σ w_k exp(−‖z − m_k‖²/(2s²)) in one or two dimensions, with
//! integrals by the trapezoid rule whose error is bounded (`proofs/T2-posterior.md`).
//!
//! In the strip |Im z_i| ≤ s²/D, D the modes' spread in coordinate i, l does not vanish, so that l^e and log l are
//! analytic there and the rule converges geometrically with a known constant.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::tempered::TAU;
use crate::claims::claim::{show, Obstacle};
use crate::claims::grid;
use crate::stats::normal::{density, survival};
use crate::stats::Enclosure;

/// A summand of the likelihood, with one entry of q per coordinate in the first modes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mode {
    /// m_k, one entry per dimension.
    pub(crate) position: Vec<f64>,
    /// w_k, above 0.
    pub(crate) weight: f64,
}

/// A likelihood with several modes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mixture {
    pub(crate) modes: Vec<Mode>,
    /// s.
    pub(crate) width: f64,
}

/// A Gaussian with independent coordinates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Independent {
    pub(crate) mean: Vec<f64>,
    pub(crate) std: Vec<f64>,
}

/// Integrals are cut off this many standard deviations from the centre of what decays as a Gaussian.
const REACH: f64 = 14.0;
/// The exponential e^{2πa/h} of the error bound exceeds what else is in it by this: 1e-15 in one dimension, and 1e-11 in
/// two, where nodes are dear.
const LOG_ACCURACY: [f64; 2] = [35.0, 26.0];
/// Terms differ in phase by at most this many radians in the strip, and then ln cos of it.
const LARGEST_PHASE: f64 = 1.0;
const LOG_COSINE: f64 = 0.616;
/// More nodes than this are not spent.
const MAX_NODES: f64 = 4e6;

/// A majorant c + d‖x‖² of an integrand beside the weight, anywhere in the strip.
#[derive(Debug, Clone, Copy)]
struct Majorant {
    constant: f64,
    square: f64,
}

/// What is integrated against: φ(z)·l(z)^e, or the density of q.
enum Weight<'a> {
    /// e.
    Tempered(f64),
    Encoder(&'a Independent),
}

/// Sums at one grid: Σwg, Σw|g|-like rounding, ΣwG, each in blocks so that rounding stays small.
#[derive(Default, Clone, Copy)]
struct Sums {
    value: f64,
    rounding: f64,
    majorant: f64,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.value += other.value;
        self.rounding += other.rounding;
        self.majorant += other.majorant;
    }
}

impl Mixture {
    /// Up to four modes in `dimensions` coordinates at multiples of 1/2 up to `farthest`, with a width from `widths`.
    pub(crate) fn strategy(dimensions: usize, farthest: f64, widths: &[f64]) -> BoxedStrategy<Self> {
        let mut places: Vec<f64> = (0..=32).map(|k| f64::from(k) * 0.5).filter(|place| *place <= farthest).collect();
        places = places.iter().flat_map(|place| [*place, -place]).collect();
        places.sort_by_key(|place| (place.fract() != 0.0, (place.abs() * 2.0).to_bits(), *place < 0.0));
        let place = grid::one_of(&places);
        let mode = (prop::collection::vec(place, dimensions), grid::one_of(&[1.0, 2.0, 0.5, 3.0]))
            .prop_map(|(position, weight)| Mode { position, weight });
        (prop::collection::vec(mode, 1..=4), grid::one_of(widths))
            .prop_map(|(modes, width)| Self { modes, width })
            .boxed()
    }

    pub(crate) fn check(&self) -> Result<(), Obstacle> {
        let dimensions = self.dimensions();
        let sensible = |mode: &Mode| {
            mode.position.len() == dimensions
                && mode.position.iter().all(|place| place.abs() <= 20.0)
                && (1e-3..=1e3).contains(&mode.weight)
        };
        if !(1..=2).contains(&dimensions) || self.modes.len() > 16 || !self.modes.iter().all(sensible) {
            return Err(Obstacle(
                "modes need one or two coordinates up to 20 and weights between 1e-3 and 1e3".to_owned(),
            ));
        }
        if !(0.05..=20.0).contains(&self.width) {
            return Err(Obstacle(format!("the width {} is not between 0.05 and 20", self.width)));
        }
        Ok(())
    }

    /// Refuses more than one dimension, for claims about one variance.
    pub(crate) fn check_line(&self) -> Result<(), Obstacle> {
        self.check()?;
        match self.dimensions() {
            1 => Ok(()),
            found => Err(Obstacle(format!("modes have {found} coordinates where 1 is needed"))),
        }
    }

    /// 1 or 2.
    pub(crate) fn dimensions(&self) -> usize {
        self.modes.first().map_or(0, |mode| mode.position.len())
    }

    /// ln l(z), by the largest term and the others relative to it.
    fn log_likelihood(&self, point: &[f64]) -> f64 {
        let exponent = |mode: &Mode| {
            let distance: f64 = mode.position.iter().zip(point).map(|(m, x)| (x - m) * (x - m)).sum();
            -0.5 * distance / (self.width * self.width)
        };
        let largest = self.modes.iter().map(exponent).fold(f64::NEG_INFINITY, f64::max);
        largest + self.modes.iter().map(|mode| mode.weight * (exponent(mode) - largest).exp()).sum::<f64>().ln()
    }

    /// Half the height of the strip in a coordinate; infinite where all modes agree in it.
    fn strip(&self, coordinate: usize) -> f64 {
        let places = self.modes.iter().map(|mode| mode.position[coordinate]);
        let (low, high) = places.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), m| (low.min(m), high.max(m)));
        if high > low {
            LARGEST_PHASE * self.width * self.width / (high - low)
        } else {
            f64::INFINITY
        }
    }

    /// The largest ‖m_k‖.
    fn farthest(&self) -> f64 {
        let norm = |mode: &Mode| mode.position.iter().map(|m| m * m).sum::<f64>().sqrt();
        self.modes.iter().map(norm).fold(0.0, f64::max)
    }

    /// |log l| in the strip of half-height `height`.
    fn log_likelihood_majorant(&self, height: f64) -> Majorant {
        let squared = self.width * self.width;
        let total: f64 = self.modes.iter().map(|mode| mode.weight).sum();
        let farthest = self.farthest();
        let spread = (height * height + 2.0 * farthest * farthest) / squared;
        Majorant { constant: total.ln().abs() + LARGEST_PHASE + LOG_COSINE + spread, square: 2.0 / squared }
    }

    /// ln Z = ln ∫φ·l^e, and under q* = φ·l^e/Z the means of log l and of the first coordinate and its square.
    pub(crate) fn tempered(&self, exponent: f64) -> Result<Tempered, Obstacle> {
        let weight = Weight::Tempered(exponent);
        let integral = |integrand: &dyn Fn(&[f64]) -> f64, majorant: &dyn Fn(f64) -> Majorant| {
            self.integral(&weight, integrand, majorant)
        };
        let normaliser = integral(&|_| 1.0, &|_| Majorant { constant: 1.0, square: 0.0 })?;
        let log_likelihood =
            integral(&|point| self.log_likelihood(point), &|height| self.log_likelihood_majorant(height))?;
        // |x| ≤ 1 + x².
        let mean = integral(&|point| point[0], &|_| Majorant { constant: 1.0, square: 1.0 })?;
        let square = integral(&|point| point[0] * point[0], &|_| Majorant { constant: 0.0, square: 1.0 })?;
        Ok(Tempered {
            log_normaliser: normaliser.ln() + self.reference(&weight),
            log_likelihood: log_likelihood / normaliser,
            mean: mean / normaliser,
            square: square / normaliser,
        })
    }

    /// E_q log l.
    pub(crate) fn expected_log_likelihood(&self, q: &Independent) -> Result<Enclosure, Obstacle> {
        self.integral(&Weight::Encoder(q), &|point| self.log_likelihood(point), &|height| {
            self.log_likelihood_majorant(height)
        })
    }

    /// E_q[log q − log φ − e·log l], which is KL(q‖q*) − ln Z.
    pub(crate) fn divergence_without_normaliser(&self, q: &Independent, exponent: f64) -> Result<Enclosure, Obstacle> {
        let integrand = |point: &[f64]| {
            let ratio: f64 = (point.iter().zip(&q.mean).zip(&q.std))
                .map(|((x, mean), std)| 0.5 * x * x - 0.5 * ((x - mean) / std).powi(2) - std.ln())
                .sum();
            ratio - exponent * self.log_likelihood(point)
        };
        let majorant = |height: f64| {
            let likelihood = self.log_likelihood_majorant(height);
            let mut total = Majorant { constant: exponent * likelihood.constant, square: exponent * likelihood.square };
            for (mean, std) in q.mean.iter().zip(&q.std) {
                // |x + iy − m|² ≤ 2x² + 2m² + y².
                let precision = 1.0 / (std * std);
                total.constant +=
                    std.ln().abs() + 0.5 * height * height + precision * (mean * mean + 0.5 * height * height);
                total.square += 0.5 + precision;
            }
            total
        };
        self.integral(&Weight::Encoder(q), &integrand, &majorant)
    }

    /// ∫ e^{−reference}·weight·integrand over the plane or the line, with a bound of discretisation, truncation and
    /// rounding; that of 1/β in the exponent is within the rounding counted for the logarithm of the weight.
    fn integral(
        &self,
        weight: &Weight<'_>,
        integrand: &dyn Fn(&[f64]) -> f64,
        majorant: &dyn Fn(f64) -> Majorant,
    ) -> Result<Enclosure, Obstacle> {
        let dimensions = self.dimensions();
        let log_accuracy = LOG_ACCURACY[dimensions - 1];
        let (mut steps, mut heights, mut defects) = (vec![], vec![], vec![]);
        for coordinate in 0..dimensions {
            // |weight(x + iy)| ≤ e^{growth·y²}·weight(x).
            let growth = match weight {
                Weight::Tempered(exponent) => 0.5 * (1.0 + exponent / (self.width * self.width)),
                Weight::Encoder(q) => 0.5 / (q.std[coordinate] * q.std[coordinate]),
            };
            let height = self.strip(coordinate).min((log_accuracy / growth).sqrt());
            let grown = growth * height * height;
            let step = short(std::f64::consts::TAU * height / (log_accuracy + grown));
            steps.push(step);
            heights.push(height);
            defects.push(2.0 * grown.exp() / (std::f64::consts::TAU * height / step).exp_m1());
        }
        let height = heights.iter().copied().fold(0.0, f64::max);
        let Majorant { constant, square } = majorant(height);
        // So that the majorant is at most doubled in the strip itself.
        let majorant = Majorant { constant: constant + square * height * height, square };
        let defect = match defects[..] {
            [one] => one,
            _ => defects[0] * (1.0 + 2.0 * defects[1]) + defects[1],
        };
        let centre = |coordinate: usize| match weight {
            Weight::Tempered(_) => (0.0, 1.0),
            Weight::Encoder(q) => (q.mean[coordinate], q.std[coordinate]),
        };
        let needed: f64 = (0..dimensions).map(|c| 2.0 * REACH * centre(c).1 / steps[c] + 4.0).product();
        if needed.is_nan() || needed > MAX_NODES {
            return Err(Obstacle(format!("the integrals need {needed:.0} nodes, more than {MAX_NODES:.0}")));
        }
        let nodes: Vec<Vec<f64>> = (0..dimensions).map(|c| grid_points(centre(c), steps[c])).collect();
        let reference = self.reference(weight);
        let at = |point: &[f64]| {
            let (log_weight, size) = self.log_weight(weight, point);
            let size = size + reference.abs();
            let (weight, value) = ((log_weight - reference).exp(), integrand(point));
            let bound = majorant.constant + majorant.square * point.iter().map(|x| x * x).sum::<f64>();
            let units = value.abs() * (8.0 + 8.0 * size) + 16.0 * bound;
            Sums { value: weight * value, rounding: f64::EPSILON * units * weight, majorant: weight * bound }
        };
        let sums = match &nodes[..] {
            [line] => blocks(line, |x| at(&[*x])),
            [first, second] => blocks(first, |x| blocks(second, |y| at(&[*x, *y]))),
            _ => return Err(Obstacle("the code has more than two dimensions".to_owned())),
        };
        let cell: f64 = steps.iter().product();
        let (value, mass) = (cell * sums.value, cell * sums.majorant);
        let longest = nodes.iter().map(Vec::len).max().unwrap_or(0) as f64;
        let summation = f64::EPSILON * (600.0 + longest / 64.0);
        let tail = self.tail(weight, &steps, majorant, reference);
        // ∫wG ≤ its own sum/(1 − 2·defect), the majorant being doubled at most in the strip.
        let mass = (mass + tail) / (1.0 - 2.0 * defect);
        let error = defect * mass + tail + cell * sums.rounding + summation * mass;
        Ok(Enclosure { value, error: error * (1.0 + 1e-10) })
    }

    /// About the largest logarithm of the weight: integrals are taken relative to it, so that neither they nor their
    /// error bounds underflow. 0 for a density.
    fn reference(&self, weight: &Weight<'_>) -> f64 {
        let Weight::Tempered(exponent) = weight else { return 0.0 };
        // Where a single mode would have its posterior mean.
        let pull = exponent / (exponent + self.width * self.width);
        let at = |mode: &Mode| {
            let point: Vec<f64> = mode.position.iter().map(|m| m * pull).collect();
            self.log_weight(weight, &point).0
        };
        self.modes.iter().map(at).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The logarithm of the weight, and the sizes of what it is a sum of: its rounding is a few units of that.
    fn log_weight(&self, weight: &Weight<'_>, point: &[f64]) -> (f64, f64) {
        let constant = -0.5 * TAU.value.ln() * point.len() as f64;
        match weight {
            Weight::Tempered(exponent) => {
                let prior = constant - 0.5 * point.iter().map(|x| x * x).sum::<f64>();
                let likelihood = if *exponent > 0.0 { self.log_likelihood(point) } else { 0.0 };
                // The largest term's exponent and the logarithm of the rest differ from ln l by less than ln 10⁵.
                (prior + exponent * likelihood, prior.abs() + exponent * (likelihood.abs() + 24.0))
            }
            Weight::Encoder(q) => {
                let standardised = || point.iter().zip(&q.mean).zip(&q.std);
                let square = |((x, mean), std): ((&f64, &f64), &f64)| 0.5 * ((x - mean) / std).powi(2);
                let squares: f64 = standardised().map(square).sum();
                let logarithms: f64 = q.std.iter().map(|std| std.ln()).sum();
                let sizes: f64 = q.std.iter().map(|std| std.ln().abs()).sum();
                (constant - squares - logarithms, constant.abs() + squares + sizes)
            }
        }
    }

    /// What lies beyond the nodes, in the integral or in the infinite sum: by the Gaussian factor and the largest value
    /// of l out there.
    fn tail(&self, weight: &Weight<'_>, steps: &[f64], majorant: Majorant, reference: f64) -> f64 {
        let mut total = 0.0;
        for (coordinate, step) in steps.iter().enumerate() {
            let (mean, std, cap) = match weight {
                Weight::Tempered(exponent) => {
                    let gap = |mode: &Mode| (REACH - mode.position[coordinate].abs()).max(0.0) / self.width;
                    let largest: f64 =
                        self.modes.iter().map(|mode| mode.weight * (-0.5 * gap(mode).powi(2)).exp()).sum();
                    // A power of something that may exceed 1 only where modes lie out there.
                    let power = if *exponent > 0.0 { exponent * largest.ln() } else { 0.0 };
                    (0.0, 1.0, (power - reference).exp())
                }
                Weight::Encoder(q) => (q.mean[coordinate], q.std[coordinate], 1.0),
            };
            let from = REACH - 3.0 * step / std;
            let (mass, second) = (survival(from), survival(from) + from * density(from));
            // In x = mean + std·u with x² ≤ 2mean² + 2std²u²; the other coordinate has at most this second moment.
            let other = match weight {
                Weight::Tempered(_) => 1.0,
                Weight::Encoder(q) => (0..q.std.len()).map(|i| q.mean[i] * q.mean[i] + q.std[i] * q.std[i]).sum(),
            };
            let flat = majorant.constant + majorant.square * (2.0 * mean * mean + other);
            total += 4.0 * cap * (flat * mass + 2.0 * majorant.square * std * std * second);
        }
        total
    }

    pub(crate) fn show(&self) -> String {
        let positions: Vec<String> = self.modes.iter().map(|mode| show(&mode.position)).collect();
        let weights: Vec<f64> = self.modes.iter().map(|mode| mode.weight).collect();
        let (positions, weights) = (positions.join("; "), show(&weights));
        format!("p(x|z) ∝ Σ w·exp(−‖z − m‖²/(2s²)), m = {positions}, w = {weights}, s = {}", self.width)
    }
}

/// Rounded down to 23 binary digits, so that its multiples are exact.
fn short(step: f64) -> f64 {
    f64::from_bits(step.to_bits() & !((1 << 30) - 1))
}

/// The multiples of a [`short`] `step` within [`REACH`] standard deviations of the mean, and one more on each side.
fn grid_points((mean, std): (f64, f64), step: f64) -> Vec<f64> {
    // The caller has refused counts beyond MAX_NODES.
    #[allow(clippy::cast_possible_truncation)]
    let [first, last] =
        [(mean - REACH * std) / step - 1.0, (mean + REACH * std) / step + 1.0].map(|end| end.round() as i64);
    (first..=last).map(|k| k as f64 * step).collect()
}

/// Σ over the nodes, in blocks.
fn blocks(nodes: &[f64], at: impl Fn(&f64) -> Sums) -> Sums {
    let mut total = Sums::default();
    for block in nodes.chunks(64) {
        let mut sum = Sums::default();
        block.iter().for_each(|node| sum.add(at(node)));
        total.add(sum);
    }
    total
}

/// A tempered posterior in numbers.
pub(crate) struct Tempered {
    pub(crate) log_normaliser: Enclosure,
    /// E log l.
    pub(crate) log_likelihood: Enclosure,
    mean: Enclosure,
    square: Enclosure,
}

impl Tempered {
    /// The variance of the first coordinate.
    pub(crate) fn variance(&self) -> Enclosure {
        self.square - self.mean.squared()
    }
}

impl Independent {
    pub(crate) fn strategy(dimensions: usize) -> BoxedStrategy<Self> {
        let stds = prop::collection::vec(grid::one_of(&[1.0, 0.5, 2.0, 0.25]), dimensions);
        (grid::vector(dimensions), stds).prop_map(|(mean, std)| Self { mean, std }).boxed()
    }

    pub(crate) fn check(&self, dimensions: usize) -> Result<(), Obstacle> {
        let sensible = self.mean.len() == dimensions
            && self.std.len() == dimensions
            && self.mean.iter().all(|mean| mean.abs() <= 20.0)
            && self.std.iter().all(|std| (0.05..=20.0).contains(std));
        if sensible {
            Ok(())
        } else {
            Err(Obstacle("q needs a mean up to 20 and a deviation between 0.05 and 20 per coordinate".to_owned()))
        }
    }

    /// KL(q‖N(0, I)).
    pub(crate) fn divergence_from_prior(&self) -> Enclosure {
        let coordinates = self.mean.iter().zip(&self.std).map(|(mean, std)| {
            let (mean, std) = (Enclosure::exact(*mean), Enclosure::exact(*std));
            (mean.squared() + std.squared() - 1.0) * 0.5 - std.ln()
        });
        coordinates.sum()
    }

    pub(crate) fn show(&self) -> String {
        format!("q: mean {}, deviation {}", show(&self.mean), show(&self.std))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeded;

    fn mixture(modes: &[(&[f64], f64)], width: f64) -> Mixture {
        let mode = |(position, weight): &(&[f64], f64)| Mode { position: position.to_vec(), weight: *weight };
        Mixture { modes: modes.iter().map(mode).collect(), width }
    }

    fn holds(enclosure: Enclosure, truth: f64, widest: f64) -> bool {
        enclosure.lower() <= truth && truth <= enclosure.upper() && enclosure.error < widest
    }

    #[test]
    fn one_mode_is_a_gaussian_in_closed_form() {
        // φ·exp(−e(z − 2)²/2): precision 1 + e, mean 2e/(1 + e), ln Z = −½ ln(1 + e) − 2e/(1 + e).
        let model = mixture(&[(&[2.0], 1.0)], 1.0);
        for exponent in [1.0, 0.25, 100.0, 0.01] {
            let found = model.tempered(exponent).unwrap();
            let log_z = -0.5 * f64::ln_1p(exponent) - 2.0 * exponent / (1.0 + exponent);
            let variance = 1.0 / (1.0 + exponent);
            let mean = 2.0 * exponent * variance;
            assert!(holds(found.log_normaliser, log_z, 1e-10), "{exponent}: {:?} {log_z}", found.log_normaliser);
            assert!(holds(found.variance(), variance, 1e-8), "{exponent}: {:?} {variance}", found.variance());
            let log_likelihood = -0.5 * ((mean - 2.0).powi(2) + variance);
            assert!(holds(found.log_likelihood, log_likelihood, 1e-8), "{exponent}: {:?}", found.log_likelihood);
        }
    }

    #[test]
    fn likelihoods_far_below_the_smallest_double_lose_nothing() {
        // Weight 1e-3 to the power 107: Z = 10^−321/√108 is subnormal.
        let model = mixture(&[(&[0.0], 1e-3)], 1.0);
        let found = model.tempered(107.0).unwrap();
        assert!(
            holds(found.log_normaliser, 107.0 * 1e-3f64.ln() - 0.5 * 108f64.ln(), 1e-9),
            "{:?}",
            found.log_normaliser
        );
        assert!(holds(found.variance(), 1.0 / 108.0, 1e-9), "{:?}", found.variance());
        // And with no power at all, the prior, though l vanishes far out.
        let prior = mixture(&[(&[1.0], 1.0)], 0.25).tempered(0.0).unwrap();
        assert!(holds(prior.log_normaliser, 0.0, 1e-10) && holds(prior.variance(), 1.0, 1e-10));
    }

    #[test]
    fn two_modes_have_the_variance_found_by_hand() {
        // s = 1, modes ±4: at β = 1 two Gaussians of variance ½ at ±2, together 4.5; E log l and Z as E_p of cosh.
        let model = mixture(&[(&[4.0], 1.0), (&[-4.0], 1.0)], 1.0);
        let found = model.tempered(1.0).unwrap();
        assert!(holds(found.variance(), 4.5, 1e-9), "{:?}", found.variance());
        // Z = 2·N(4; 0, 2)·√2π.
        assert!(holds(found.log_normaliser, 2f64.ln() - 0.5 * 2f64.ln() - 4.0, 1e-11), "{:?}", found.log_normaliser);
    }

    #[test]
    fn two_dimensions_are_products_where_the_modes_are_one() {
        let plane = mixture(&[(&[1.0, -0.5], 2.0)], 1.0);
        let lines = [mixture(&[(&[1.0], 2.0)], 1.0), mixture(&[(&[-0.5], 1.0)], 1.0)];
        let [first, second] = lines.each_ref().map(|line| line.tempered(0.5).unwrap().log_normaliser.value);
        let found = plane.tempered(0.5).unwrap();
        assert!(holds(found.log_normaliser, first + second, 1e-7), "{:?}", found.log_normaliser);
        let q = Independent { mean: vec![0.5, 1.0], std: vec![0.5, 2.0] };
        // E_q of −½((z₁ − 1)² + (z₂ + ½)²) + ln 2.
        let truth = 2f64.ln() - 0.5 * (0.25 + 0.25 + 2.25 + 4.0);
        let expected = plane.expected_log_likelihood(&q).unwrap();
        assert!(holds(expected, truth, 1e-7), "{expected:?} {truth}");
        // KL(q‖q*) directly and through its closed form.
        let direct = plane.divergence_without_normaliser(&q, 0.5).unwrap();
        let closed = q.divergence_from_prior() - Enclosure::exact(truth) * 0.5;
        assert!(holds(direct, closed.value, 1e-6), "{direct:?} {closed:?}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(mixture(&[(&[0.0], 0.0)], 1.0).check().is_err());
        assert!(mixture(&[(&[0.0], 1.0), (&[0.0, 1.0], 1.0)], 1.0).check().is_err());
        assert!(mixture(&[(&[0.0, 0.0, 0.0], 1.0)], 1.0).check().is_err());
        assert!(mixture(&[(&[0.0], 1.0)], 0.0).check().is_err());
        assert!(mixture(&[], 1.0).check().is_err());
        assert!(Independent { mean: vec![0.0], std: vec![0.0] }.check(1).is_err());
        let slow = mixture(&[(&[20.0, 20.0], 1.0), (&[-20.0, -20.0], 1.0)], 0.05);
        assert!(
            slow.check().is_ok()
                && slow.tempered(1.0).is_err_and(|Obstacle(reason)| reason.contains("nodes, more than"))
        );
    }

    proptest! {
        #![proptest_config(seeded(24))]

        #[test]
        fn tempering_once_is_exact_for_any_mixture(model in Mixture::strategy(1, 4.0, &[1.0, 0.5, 2.0, 0.25])) {
            // At e = 1 the posterior is a mixture of Gaussians: weights w exp(−m²/(2(1 + s²))), means m/(1 + s²).
            let squared = model.width * model.width;
            let variance = squared / (1.0 + squared);
            let terms: Vec<(f64, f64)> = model.modes.iter().map(|mode| {
                let m = mode.position[0];
                (mode.weight * (-0.5 * m * m / (1.0 + squared)).exp(), m / (1.0 + squared))
            }).collect();
            let total: f64 = terms.iter().map(|(weight, _)| weight).sum();
            let moment = |power: i32| terms.iter().map(|(weight, mean)| weight * mean.powi(power)).sum::<f64>() / total;
            let found = model.tempered(1.0).unwrap();
            let log_z = (total * variance.sqrt()).ln();
            prop_assert!((found.log_normaliser.value - log_z).abs() <= found.log_normaliser.error + 1e-14);
            let truth = variance + moment(2) - moment(1).powi(2);
            prop_assert!((found.variance().value - truth).abs() <= found.variance().error + 1e-13);
            prop_assert!(found.variance().error < 1e-7, "{:?}", found.variance());
        }
    }
}
