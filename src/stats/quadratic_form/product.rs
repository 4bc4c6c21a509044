//! The integrand at the nodes: products of many complex factors, their square root on the right branch.

use super::contour::{Node, ROUNDING};
use super::scaled;
use super::tilt::{Factor, Shift, Tilt};
use std::f64::consts::{LN_2, PI};

/// Nodes taken through the factors together.
pub(super) const LANES: usize = 4;
/// Factors multiplied before the product is brought back into range; each lies within 2^±60.
const BLOCK: usize = 8;
/// Multiplicities up to this enter the product one by one, higher ones as a logarithm.
const LOW_MULTIPLICITY: u32 = 4;

/// The factors of a tilt, sorted by how they are multiplied.
pub(super) struct Factors {
    /// κ of κ > 0 and |κ| of κ < 0, each as often as its multiplicity says.
    positive: Vec<f64>,
    negative: Vec<f64>,
    /// Those with a high multiplicity.
    high: Vec<Factor>,
    /// n.
    count: f64,
    /// ½Σm|κ|.
    weight: f64,
}

/// Σηκv²/(1 − κv) at a node.
#[derive(Debug, Clone, Copy)]
struct Shifted {
    real: f64,
    imaginary: f64,
    /// The sum of the sizes of all real and imaginary parts.
    size: f64,
}

/// A complex number far from the range of doubles that knows its continuous argument.
#[derive(Debug, Clone, Copy)]
struct Turned {
    real: f64,
    imaginary: f64,
    /// Of a power of two.
    exponent: i64,
    /// How often the argument went down through a multiple of π.
    crossings: i64,
}

impl Factors {
    pub(super) fn new(tilt: &Tilt) -> Self {
        let mut factors = Self {
            positive: Vec::with_capacity(tilt.factors.len()),
            negative: Vec::new(),
            high: Vec::new(),
            count: 0.0,
            weight: 0.0,
        };
        for factor in &tilt.factors {
            let multiplicity = f64::from(factor.multiplicity);
            factors.count += multiplicity;
            factors.weight += 0.5 * multiplicity * factor.kappa.abs();
            if factor.multiplicity > LOW_MULTIPLICITY {
                factors.high.push(*factor);
                continue;
            }
            let list = if factor.kappa > 0.0 { &mut factors.positive } else { &mut factors.negative };
            list.extend((0..factor.multiplicity).map(|_| factor.kappa.abs()));
        }
        factors
    }

    /// f at the nodes, each with a bound on its relative error.
    ///
    /// In units of 2⁻⁵³: the parts of v are within a = 20 + x, as x is rounded too; so a factor 1 − κv, with
    /// |κv|/|1 − κv| ≤ √2·min(|κv|, 1) on the contour, is within (a + 3)√2·min(|κv|, 1) + 1 and its product within 2.3
    /// more, of which the root takes half.
    /// Whatever enters through the exponential costs its size times its relative error. The standard library's
    /// functions are taken to be within two units in the last place.
    pub(super) fn integrand(&self, tilt: &Tilt, nodes: &[Node; LANES], pole: bool) -> [((f64, f64), f64); LANES] {
        let right = product(&self.positive, nodes, 1.0);
        let left = product(&self.negative, nodes, -1.0);
        let shifted = shifted(&tilt.shifts, nodes);
        std::array::from_fn(|lane| {
            let (node, shifted) = (nodes[lane], shifted[lane]);
            let (right_log, right_argument) = right[lane].logarithm();
            // The left product is the conjugate of what it stands for.
            let (left_log, left_argument) = left[lane].logarithm();
            let (high_log, high_argument, high_size) = self.high_logarithm(&node);
            let (square_real, square_imaginary) = node.square();
            let log = shifted.real + 0.5 * tilt.variance * square_real
                - tilt.slope * node.real
                - 0.5 * (right_log + left_log + high_log);
            let angle = shifted.imaginary + 0.5 * tilt.variance * square_imaginary
                - tilt.slope * node.imaginary
                - 0.5 * (right_argument - left_argument + high_argument);
            let modulus = log.exp();
            let (sine, cosine) = angle.sin_cos();
            let mut value = (modulus * cosine, modulus * sine);
            if pole {
                // 1/(1 + v/c).
                let (a, b) = (1.0 + node.real / tilt.c, node.imaginary / tilt.c);
                let square = a * a + b * b;
                value = ((value.0 * a + value.1 * b) / square, (value.1 * a - value.0 * b) / square);
            }
            let products = right_log.abs() + left_log.abs() + right_argument.abs() + left_argument.abs();
            let exponents = products + high_size + 2.0 * tilt.slope.abs() * node.size;
            let squares = shifted.size + tilt.variance * node.size * node.size;
            let reach = (self.weight * node.size).min(0.5 * self.count);
            let place = 20.0 + node.x;
            let roundings = 4.0 * place
                + 1.7 * self.count
                + 1.5 * (place + 3.0) * reach
                + (8.0 + place) * exponents
                + (50.0 + 4.0 * place) * squares
                + 50.0;
            (node.times_speed(value), roundings * ROUNDING + tilt.slope_error * node.size)
        })
    }

    /// Σm·ln(1 − κv) over the high multiplicities: real part, imaginary part, and the sizes of all of them. The
    /// principal values are the right ones, and add up.
    fn high_logarithm(&self, node: &Node) -> (f64, f64, f64) {
        self.high.iter().fold((0.0, 0.0, 0.0), |(real, imaginary, size), Factor { kappa, multiplicity }| {
            let (a, b) = (1.0 - kappa * node.real, -(kappa * node.imaginary));
            let multiplicity = f64::from(*multiplicity);
            let (log, argument) = (0.5 * multiplicity * (a * a + b * b).ln(), multiplicity * b.atan2(a));
            (real + log, imaginary + argument, size + log.abs() + argument.abs())
        })
    }
}

fn shifted(shifts: &[Shift], nodes: &[Node; LANES]) -> [Shifted; LANES] {
    let squares = nodes.map(|node| node.square());
    let mut sums = [Shifted { real: 0.0, imaginary: 0.0, size: 0.0 }; LANES];
    for Shift { kappa, eta } in shifts {
        for lane in 0..LANES {
            let (a, b) = (1.0 - kappa * nodes[lane].real, -(kappa * nodes[lane].imaginary));
            let scale = eta * kappa / (a * a + b * b);
            let real = scale * (squares[lane].0 * a + squares[lane].1 * b);
            let imaginary = scale * (squares[lane].1 * a - squares[lane].0 * b);
            sums[lane].real += real;
            sums[lane].imaginary += imaginary;
            sums[lane].size += real.abs() + imaginary.abs();
        }
    }
    sums
}

/// Π(1 − κv') at every node, v' = v for `sign` 1 and −v̄ for −1; the argument of a factor lies in (−π, 0].
fn product(kappas: &[f64], nodes: &[Node; LANES], sign: f64) -> [Turned; LANES] {
    let real_v = nodes.map(|node| sign * node.real);
    let imaginary_v = nodes.map(|node| node.imaginary);
    // The imaginary part starts at −0: the argument comes from above.
    let (mut real, mut imaginary) = ([1.0f64; LANES], [-0.0f64; LANES]);
    let (mut exponents, mut crossings) = ([0i64; LANES], [0i64; LANES]);
    for block in kappas.chunks(BLOCK) {
        for &kappa in block {
            for lane in 0..LANES {
                let (a, b) = (1.0 - kappa * real_v[lane], -(kappa * imaginary_v[lane]));
                let new_real = real[lane] * a - imaginary[lane] * b;
                let new_imaginary = real[lane] * b + imaginary[lane] * a;
                crossings[lane] += crossing(real[lane], imaginary[lane], new_real, new_imaginary);
                (real[lane], imaginary[lane]) = (new_real, new_imaginary);
            }
        }
        for lane in 0..LANES {
            let exponent = scaled::exponent(real[lane].abs().max(imaginary[lane].abs()));
            let scale = scaled::ldexp(1.0, -exponent);
            real[lane] *= scale;
            imaginary[lane] *= scale;
            exponents[lane] += exponent;
        }
    }
    std::array::from_fn(|lane| Turned {
        real: real[lane],
        imaginary: imaginary[lane],
        exponent: exponents[lane],
        crossings: crossings[lane],
    })
}

/// 1 where the argument went down through a multiple of π, −1 where rounding took it up through one, else 0.
///
/// A step goes down by less than π, or up by rounding; it goes through a multiple of π if the imaginary part
/// changes its sign. Upwards that happens near the positive real axis from below or near the negative one from
/// above, and the real part keeps its sign; a downward step of less than π cannot start and end like that.
#[inline]
fn crossing(real: f64, imaginary: f64, new_real: f64, new_imaginary: f64) -> i64 {
    let negative = |x: f64| i64::from(x.is_sign_negative());
    let (r, i, s, j) = (negative(real), negative(imaginary), negative(new_real), negative(new_imaginary));
    let crossed = i ^ j;
    let upward = crossed & (r ^ s ^ 1) & (i ^ r);
    crossed - 2 * upward
}

impl Turned {
    /// ln|·| and the continuous argument, at most 0.
    fn logarithm(self) -> (f64, f64) {
        let square = self.real * self.real + self.imaginary * self.imaginary;
        let turns = (self.crossings + 1) >> 1;
        let argument = self.imaginary.atan2(self.real) - 2.0 * PI * turns as f64;
        (0.5 * square.ln() + self.exponent as f64 * LN_2, argument)
    }
}
