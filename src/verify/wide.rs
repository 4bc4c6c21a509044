//! The lemma of `reach.rs` for wide layers, without matrices as wide as they are.
//!
//! Instead of a matrix Q ≽ ÃÃᵀ there are the nominal rows A_l = W_l diag(c_{l−1}) W_{l−1} … diag(c_0) W_0, which can be
//! computed whenever they are wanted, a matrix P ≻ 0 as large as the input, and D ≥ 0, with Q = A P⁻¹Aᵀ + diag(D). At
//! first P = I and D = 0.
//!
//! **Step.** Let U be the units with w_j > 0 and λ_j = λ′_j + λ″_j with λ″_j > D_j (or λ″_j = 0 if D_j = 0) and λ′_j >
//! 0. If P′ = P − Σ_{j∈U} a_ja_jᵀ/λ′_j is positive definite, then for every W (W diag(s) Ã)(W diag(s) Ã)ᵀ ≼ A′P′⁻¹A′ᵀ +
//! W diag(d) Wᵀ with A′ = W diag(c) A, d_j = c_j²D_jq_j + λ_jw_j², q_j = 1/(1 − D_j/λ″_j); for j outside U, d_j =
//! c_j²D_j.
//!
//! *Proof.* The lemma's bound is R S Rᵀ + W_U diag(λw²) W_Uᵀ with R = W diag(c) and S = Q + Q_{:U}K⁻¹Q_{U:}. Let B = [A
//! P^{−½}, D^{½}], so that Q = BBᵀ, and T = Σ_U b_jb_jᵀ/λ_j for the rows b_j of B. By Woodbury's identity S = B(I −
//! T)⁻¹Bᵀ if T ≺ I, which is equivalent to K ≻ 0. As (x + y)² ≤ λ(x²/λ′ + y²/λ″), T ≼ diag(P^{−½}(Σ
//! a_ja_jᵀ/λ′_j)P^{−½}, D/λ″), the second block on U only. So I − T is at least the block matrix of P^{−½}P′P^{−½} and
//! 1 − D/λ″, which is positive definite, and S ≼ A P′⁻¹Aᵀ + diag(Dq). ∎
//!
//! λ″ = √(λD). W diag(d) Wᵀ ≼ diag(D) of the next layer by Schur's test
//! ([`Map::dominated`](super::map::Map::dominated)), where that is treated so as well.
//!
//! Where the input is wide too, P is a number p, and γ with AAᵀ ≼ diag(γ) stands for the rows: Σ a_ja_jᵀ/λ′_j ≼ max
//! γ_j/λ′_j, and the γ of the next layer comes from c²γ by the same test.
//!
//! **Rounding.** A smaller P, larger D and larger γ are on the safe side, and what was computed is taken as exact by
//! the next step. D, d, γ are sums of positive terms, rounded upwards. No number but 0 among d and γ is below
//! [`LEAST`].

use super::matrix::{dominating, roundings, underflow, Matrix};
use super::network::{Network, Points, LARGEST_MATRIX};
use super::norms::larger;
use super::rounding::{gamma, lowered, norm, raised, GUARD, TINY, UNIT};
use super::secant::Slope;
use super::whitening::{add_lower_square, too_small, Whitening};

/// d and γ are raised to this unless they are 0.
const LEAST: f64 = 1e-200;
/// Rows computed together, where layers are not so wide that fewer must do.
const ROWS: usize = 256;
/// Most values of one layer for all rows computed together.
const LARGEST_CHUNK: usize = 1 << 22;
/// Q of a wide layer, as P and D or as p, γ and D.
pub(super) struct Wide<'a> {
    network: &'a Network,
    slopes: &'a [Vec<Slope>],
    /// Factors of the rows of the last weight.
    scale: Option<&'a [f64]>,
    core: Core,
    /// D of the current layer; after a step d of that layer.
    pub(super) diagonal: Vec<f64>,
}

enum Core {
    /// P.
    Matrix(Matrix),
    /// p, and γ of the current layer.
    Number(f64, Vec<f64>),
}

/// What takes a row a to one with at least the squared length aᵀP⁻¹a.
enum Root {
    Matrix(Whitening),
    /// At least p^{−½}.
    Number(f64),
}

impl Root {
    fn apply(&self, rows: Points) -> Points {
        match self {
            Self::Matrix(whitening) => whitening.apply(&rows),
            Self::Number(factor) => rows.scaled(std::iter::repeat(*factor), *factor),
        }
    }
}

/// A bound of d or γ, out of the reach of underflow.
fn floored(value: f64) -> f64 {
    if value > 0.0 {
        value.max(LEAST)
    } else {
        value
    }
}

impl<'a> Wide<'a> {
    /// The state before the first layer's step.
    pub(super) fn new(network: &'a Network, slopes: &'a [Vec<Slope>], scale: Option<&'a [f64]>) -> Self {
        let (dim, width) = network.steps.first().map_or((0, 0), |layer| (layer.map.inputs(), layer.map.outputs()));
        let core = if dim <= network.narrow_input {
            Core::Matrix(Matrix::new(dim, dim, |i, j| f64::from(u8::from(i == j))))
        } else {
            let first = network.steps.first().map_or(vec![], |layer| layer.map.dominated(&vec![1.0; dim]));
            Core::Number(1.0, first.into_iter().map(floored).collect())
        };
        Self { network, slopes, scale, core, diagonal: vec![0.0; width] }
    }

    /// The step through the activation of layer `l`, with λ of each of its units that has one.
    pub(super) fn step(&mut self, l: usize, scalings: &[Option<f64>]) -> Result<(), String> {
        let slopes = &self.slopes[l];
        let (mut open, mut firsts) = (Vec::new(), Vec::new());
        for (j, slope) in slopes.iter().enumerate() {
            let (c, w, d) = (slope.centre, slope.half_width, self.diagonal[j]);
            let mut own = raised(c * c * d, 2.0);
            if w > 0.0 {
                let scaling = scalings[j].ok_or_else(|| format!("unit {j} has an uncertain slope and no scaling"))?;
                let (first, q) = split(scaling, d)
                    .ok_or_else(|| format!("unit {j}: the scaling {scaling:e} is too small where D is {d:e}"))?;
                open.push(j);
                firsts.push(first);
                own = raised(raised(own * q, 1.0) + scaling * w * w, 4.0);
            }
            self.diagonal[j] = if d > 0.0 || w > 0.0 || d.is_nan() { floored(own) } else { 0.0 };
        }
        if let Core::Number(p, gamma) = &mut self.core {
            let ratio = open.iter().zip(&firsts).map(|(&j, first)| raised(gamma[j] / first, 1.0));
            *p = (*p - ratio.fold(0.0, larger)).next_down();
            return if *p > 0.0 { Ok(()) } else { Err(too_small()) };
        }
        self.subtract(l, &open, &firsts)
    }

    /// P ← P − Σ a_ja_jᵀ/λ′_j, or less. With b_j = a_jf_j for f_j ≥ λ′_j^{−½}, each b̂_j off by η_j, Σ b̂b̂ᵀ is off by
    /// at most Σ(2‖b̂_j‖η_j + η_j²), its computation by γ_kΣ‖b̂_j‖², and the difference by u of the norms of both.
    fn subtract(&mut self, l: usize, open: &[usize], firsts: &[f64]) -> Result<(), String> {
        let Core::Matrix(p) = &self.core else { return Ok(()) };
        let dim = p.rows;
        let (mut sum, mut squares, mut error) = (Matrix::new(dim, dim, |_, _| 0.0), 0.0, 0.0);
        let chunk = self.chunk(l);
        for (units, firsts) in open.chunks(chunk).zip(firsts.chunks(chunk)) {
            let mut rows = self.rows(l, units);
            for (i, first) in firsts.iter().enumerate() {
                let f = raised(1.0 / first.sqrt(), 2.0);
                rows.values.row_mut(i).iter_mut().for_each(|value| *value *= f);
                let size = norm(rows.values.row(i));
                let off = GUARD * (f * rows.errors[i] + UNIT * size) + dim as f64 * TINY;
                error += 2.0 * size * off + off * off;
                squares += size * size;
            }
            add_lower_square(&mut sum, &rows.values.transposed());
        }
        let chunks = open.len().div_ceil(chunk);
        let relative = gamma(roundings(chunk.min(open.len())) + chunks);
        let error =
            GUARD * (error + relative * squares + UNIT * (p.norm() + squares)) + underflow(dim, dim, open.len() + 1);
        let p = Matrix::new(dim, dim, |i, j| {
            let entry = p.at(i, j) - sum.at(i.max(j), i.min(j));
            if i == j {
                (entry - error).next_down()
            } else {
                entry
            }
        });
        // Necessary, and quick; that P is positive definite is found out where it is used.
        let possible = (0..dim).all(|i| p.at(i, i) > 0.0);
        self.core = Core::Matrix(p);
        if possible {
            Ok(())
        } else {
            Err(too_small())
        }
    }

    fn root(&self) -> Result<Root, String> {
        Ok(match &self.core {
            Core::Matrix(p) => Root::Matrix(Whitening::new(p)?),
            Core::Number(p, _) => Root::Number(raised(1.0 / p.sqrt(), 2.0)),
        })
    }

    /// From layer `l` − 1 after its step to layer `l`, whose D is to be a diagonal.
    pub(super) fn advance(&mut self, l: usize) {
        let Some(layer) = self.network.steps.get(l) else { return };
        if let Core::Number(_, gamma) = &mut self.core {
            let passed = passed(gamma, &self.slopes[l - 1]);
            *gamma = layer.map.dominated(&passed).into_iter().map(floored).collect();
        }
        self.diagonal = layer.map.dominated(&self.diagonal).into_iter().map(floored).collect();
    }

    /// At least ρ√Q_jj for every unit of layer `l`, after the step of layer `l` − 1. Where P is a number, the rows of a
    /// narrow layer are computed all the same: γ is larger.
    pub(super) fn moves(&self, l: usize, rho: f64) -> Result<Vec<f64>, String> {
        let map = &self.network.steps[l].map;
        let own = map.squares(&self.diagonal);
        let nominal = match &self.core {
            Core::Number(p, gamma) if map.outputs() > self.network.narrow => {
                let sizes = map.squares(&passed(gamma, &self.slopes[l - 1]));
                sizes.into_iter().map(|size| raised(size / p, 1.0)).collect()
            }
            _ => self.nominal_squares(l, &self.root()?),
        };
        let moved = |(own, nominal): (f64, f64)| raised(rho * (own + nominal).sqrt(), 4.0);
        Ok(own.into_iter().zip(nominal).map(moved).collect())
    }

    /// At least a_jᵀP⁻¹a_j for every unit of layer `l`.
    fn nominal_squares(&self, l: usize, root: &Root) -> Vec<f64> {
        let units: Vec<usize> = (0..self.network.steps[l].map.outputs()).collect();
        let mut squares = Vec::with_capacity(units.len());
        for units in units.chunks(self.chunk(l)) {
            let found = root.apply(self.rows(l, units));
            for i in 0..units.len() {
                let size = raised(norm(found.values.row(i)) + found.errors[i], 1.0);
                squares.push(raised(size * size, 1.0));
            }
        }
        squares
    }

    /// Q of the narrow layer `l`, after the step of layer `l` − 1, as a full matrix: YYᵀ + W diag(d) Wᵀ, where ‖Y_i‖² ≥
    /// a_iᵀP⁻¹a_i and so on. Ŷ is off by y in the Frobenius norm, so ŶŶᵀ by 2‖Ŷ‖₂y + y²; either product is off by γ_k
    /// times the sum of the squares that its diagonal sums, and their sum by u of itself.
    pub(super) fn bound(&self, l: usize) -> Result<Matrix, String> {
        let layer = &self.network.steps[l];
        let map = &layer.map;
        let (width, units) = (map.outputs(), (0..map.outputs()).collect::<Vec<_>>());
        let dim = self.network.steps.first().map_or(0, |layer| layer.map.inputs());
        if width.checked_mul(dim).is_none_or(|entries| entries > LARGEST_MATRIX) {
            return Err(format!("{width} rows of {dim} values are too many for this checker"));
        }
        let root = self.root()?;
        let (mut y, mut errors) = (Matrix { rows: width, columns: dim, entries: Vec::new() }, Vec::new());
        let (mut own, mut size) = (Matrix { rows: width, columns: width, entries: Vec::new() }, 0.0);
        for units in units.chunks(self.chunk(l)) {
            let found = root.apply(self.rows(l, units));
            y.entries.extend(found.values.entries);
            errors.extend(found.errors);
            let (part, squares) = self.own(l, units);
            own.entries.extend(part.entries);
            size += squares;
        }
        let (y_norm, y_error) = (y.norm(), norm(&errors));
        let mut square = Matrix::new(width, width, |_, _| 0.0);
        add_lower_square(&mut square, &y);
        // Of W diag(d) Wᵀ either triangle is within the bound of the error, and so is their mean.
        let total =
            Matrix::new(width, width, |i, j| square.at(i.max(j), i.min(j)) + 0.5 * (own.at(i, j) + own.at(j, i)));
        let rounded = gamma(roundings(dim)) * y_norm * y_norm + gamma(map.roundings() + 6) * size;
        // ‖Ŷ‖₂² is at most the largest row sum of |ŶŶᵀ|.
        let sums = (0..width).map(|i| (0..width).map(|j| square.at(i.max(j), i.min(j)).abs()).sum::<f64>());
        let spectral = y_norm.min(raised((sums.fold(0.0, larger) + rounded).sqrt(), width as f64 + 2.0));
        let error = GUARD * (2.0 * spectral * y_error + y_error * y_error + rounded + 2.0 * UNIT * total.norm());
        let columns = map.inputs() + dim;
        let lost = underflow(width, width, columns + 4) * (1.0 + self.largest_scale()) * (1.0 + layer.absolute);
        Ok(dominating(&total, error + lost))
    }

    fn largest_scale(&self) -> f64 {
        self.scale.into_iter().flatten().copied().fold(1.0, larger)
    }

    /// Rows of W diag(d) Wᵀ, and at least the sum of their diagonal entries.
    fn own(&self, l: usize, units: &[usize]) -> (Matrix, f64) {
        let map = &self.network.steps[l].map;
        let rows = self.weight_rows(l, units);
        let (mut weighted, mut size) = (rows.clone(), 0.0);
        for i in 0..rows.rows {
            let row = weighted.row_mut(i);
            row.iter_mut().zip(&self.diagonal).for_each(|(value, d)| *value *= d);
            size += row.iter().zip(rows.row(i)).map(|(weighted, weight)| weighted * weight).sum::<f64>();
        }
        let mut found = map.apply(&weighted);
        if let Some(scale) = self.row_factors(l) {
            for row in found.entries.chunks_exact_mut(scale.len().max(1)) {
                row.iter_mut().zip(scale).for_each(|(value, scale)| *value *= scale);
            }
        }
        (found, raised(size, (rows.columns + rows.rows) as f64 + 4.0))
    }

    /// How many rows of layer `l` are computed together.
    fn chunk(&self, l: usize) -> usize {
        let maps = self.network.steps.iter().take(l + 1).map(|layer| &layer.map);
        let width = maps.map(|map| map.inputs().max(map.outputs())).max().unwrap_or(1);
        (LARGEST_CHUNK / width.max(1)).clamp(1, ROWS)
    }

    /// The factors of the rows of layer `l`, where it has any.
    fn row_factors(&self, l: usize) -> Option<&'a [f64]> {
        self.scale.filter(|_| l + 1 == self.network.steps.len())
    }

    /// Rows of the weight of layer `l`, the last one's times their factors, rounded.
    fn weight_rows(&self, l: usize, units: &[usize]) -> Matrix {
        let mut rows = self.network.steps[l].map.rows(units);
        if let Some(scale) = self.row_factors(l) {
            for (i, &unit) in units.iter().enumerate() {
                rows.row_mut(i).iter_mut().for_each(|value| *value *= scale[unit]);
            }
        }
        rows
    }

    /// Rows a_j of A_l, each with a bound of its error.
    fn rows(&self, l: usize, units: &[usize]) -> Points {
        let below = self.network.steps.iter().zip(self.slopes).take(l).rev();
        below.fold(Points::exact(self.weight_rows(l, units)), |rows, (layer, slopes)| {
            let most = slopes.iter().fold(0.0, |most: f64, slope| most.max(slope.centre.abs()));
            layer.pulled(&rows.scaled(slopes.iter().map(|slope| slope.centre), most))
        })
    }
}

/// λ′ and at least q, for λ″ = √(λD); none if λ is too small for that.
fn split(scaling: f64, d: f64) -> Option<(f64, f64)> {
    if d <= 0.0 {
        return Some((scaling, 1.0));
    }
    let second = (scaling * d).sqrt();
    let (first, ratio) = ((scaling - second).next_down(), raised(d / second, 1.0));
    let rest = lowered(1.0 - ratio, 1.0);
    (first > 0.0 && rest > 0.0).then(|| (first, raised(1.0 / rest, 1.0)))
}

/// c²γ, rounded upwards.
fn passed(gamma: &[f64], slopes: &[Slope]) -> Vec<f64> {
    let one = |(gamma, slope): (&f64, &Slope)| {
        let size = slope.centre * slope.centre * gamma;
        if slope.centre == 0.0 {
            0.0
        } else {
            floored(raised(size, 2.0))
        }
    };
    gamma.iter().zip(slopes).map(one).collect()
}
