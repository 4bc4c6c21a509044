//! How far a network's output can move: the heart of the certificate.
//!
//! Within ‖δ‖ ≤ ρ every pre-activation of layer l moves by Δa_l = Ãδ with Ã = W_l diag(s_{l−1}) W_{l−1} … diag(s_0) W_0,
//! where s_j are secant slopes that depend on δ, each within a range [c − w, c + w] known from how far its own
//! pre-activation can move. A matrix Q ≽ ÃÃᵀ for every such Ã bounds those moves: |Δa_{l,j}| ≤ ρ√Q_jj.
//!
//! A maximum over windows counts as two layers: one copies what the windows see, and its slopes are the shares in which
//! the places of a window lead (`shares.rs`); the other one adds up each window, and takes over the activation in front of
//! the maximum if it has none itself.
//!
//! **Lemma.** Let ÃÃᵀ ≼ Q and |s_j − c_j| ≤ w_j, U = {j : w_j > 0}, Λ = diag(λ_j) on U and K = Λ − Q_UU ≻ 0. Then for
//! every W, with R = W diag(c), N = (RQ)_{:U}:
//! (W diag(s) Ã)(W diag(s) Ã)ᵀ ≼ RQRᵀ + NK⁻¹Nᵀ + Σ_{j∈U} λ_j w_j² W_{:j}W_{:j}ᵀ.
//!
//! *Proof.* For any y let p_j = (s_j − c_j)(Wᵀy)_j, which is 0 outside U. Then
//! (Rᵀy + p)ᵀQ(Rᵀy + p) = yᵀRQRᵀy + (2pᵀNᵀy − pᵀKp) + pᵀΛp; the bracket is at most yᵀNK⁻¹Nᵀy, and
//! |p_j| ≤ w_j|(Wᵀy)_j|. ∎

use std::borrow::Cow;

use super::map::Map;
use super::matrix::{
    dominating, factor, factor_error, gram, largest_eigenvalue, product, roundings, solve, underflow, Matrix,
};
use super::network::{Network, Trace};
use super::report::{Rejection, Step};
use super::rounding::{gamma, norm, raised, GUARD, TINY, UNIT};
use super::secant::{slope, Slope};
use super::shares::shares;
use super::wide::Wide;
use crate::certificate::{LayerScalings, NetworkEvidence};

/// How far a network's output moves.
pub(super) struct Reach {
    /// Q of the output, for the last weight as it was scaled.
    pub(super) gram: Matrix,
    /// At least how much farther the output moves because that weight was rounded.
    rounding: f64,
}

impl Reach {
    /// At least ρ√λ_max(Q), how far the output moves in the Euclidean norm.
    pub(super) fn distance(&self, rho: f64) -> f64 {
        raised(rooted(largest_eigenvalue(&self.gram), rho) + self.rounding, 0.0)
    }

    /// At least ρ√Q_jj, how far each output moves.
    pub(super) fn moves(&self, rho: f64) -> Vec<f64> {
        moves(&self.gram, rho).into_iter().map(|t| raised(t + self.rounding, 0.0)).collect()
    }
}

/// At least ρ√q.
fn rooted(q: f64, rho: f64) -> f64 {
    raised(rho * q.sqrt(), 2.0)
}

fn moves(gram: &Matrix, rho: f64) -> Vec<f64> {
    (0..gram.rows).map(|j| rooted(gram.at(j, j), rho)).collect()
}

fn refuse(reason: String) -> Rejection {
    Rejection { step: Step::Evidence, reason }
}

/// The layers' slopes as far as they are known, and where evidence leads next.
struct Climb<'a> {
    network: &'a Network,
    rho: f64,
    /// Factors of the rows of the last weight.
    scale: Option<&'a [f64]>,
    slopes: Vec<Vec<Slope>>,
}

/// Bounds the moves of a network's output for ‖δ‖ ≤ ρ, each row of the last weight times its factor in `scale`.
///
/// Layers before the tail of the network are treated without full matrices (`wide.rs`), and so are the first ones of the tail
/// if that is not all of it and they have many uncertain slopes or lead to many units: full matrices would cost minutes.
pub(super) fn reach(
    network: &Network,
    trace: &Trace,
    rho: f64,
    evidence: &NetworkEvidence,
    scale: Option<&[f64]>,
) -> Result<Reach, Rejection> {
    let (hidden, chains) = (network.steps.len().saturating_sub(1), &evidence.chains);
    if chains.len() != hidden {
        return Err(refuse(format!("{} chains, expected {hidden}", chains.len())));
    }
    if network.steps.iter().any(|step| !step.map.is_linear()) {
        return Err(refuse("the windows of a maximum see too many values for this checker".to_owned()));
    }
    if network.tail() > hidden {
        return Err(refuse(format!("the output has more than {} values", network.narrow)));
    }
    let mut climb = Climb { network, rho, scale, slopes: Vec::with_capacity(hidden) };
    if hidden == 0 {
        let last = climb.weight(0).map_err(refuse)?;
        return Ok(Reach { rounding: climb.rounding(last.norm(), rho), gram: gram(&last) });
    }
    let mut reached = climb.first();
    let mut bound = Matrix::new(0, 0, |_, _| 0.0);
    for (i, chain) in chains.iter().enumerate() {
        let slopes = climb.slopes(i, &trace[i], &reached).map_err(|reason| refuse(format!("layer {i}: {reason}")))?;
        climb.slopes.push(slopes);
        if chain.len() != i + 1 {
            return Err(refuse(format!("chain {i}: scalings of {} layers, expected {}", chain.len(), i + 1)));
        }
        match climb.chain(chain).map_err(|reason| refuse(format!("chain {i}, {reason}")))? {
            Reached::Moves(moves) => reached = moves,
            Reached::Bound(matrix) if i + 1 < hidden => reached = moves(&matrix, rho),
            Reached::Bound(matrix) => bound = matrix,
        }
    }
    let outputs = climb.slopes.last().into_iter().flatten().zip(&reached);
    let moved = raised(norm(&outputs.map(|(slope, t)| slope.largest * t).collect::<Vec<f64>>()), 2.0);
    let size = if scale.is_some() { climb.weight(hidden).map_err(refuse)?.norm() } else { 0.0 };
    Ok(Reach { rounding: climb.rounding(size, moved), gram: bound })
}

/// Where a chain leads: to a layer of which only the moves are wanted, or to Q.
enum Reached {
    Moves(Vec<f64>),
    Bound(Matrix),
}

impl Climb<'_> {
    /// How far each unit of the first layer moves: row by row, which is sharper than the diagonal of a matrix with one bound
    /// for its error.
    fn first(&self) -> Vec<f64> {
        let Some(layer) = self.network.steps.first() else { return vec![] };
        let row = |j| {
            let mut row = Vec::new();
            layer.map.visit(j, |_, weight| row.push(weight));
            raised(self.rho * norm(&row), 2.0)
        };
        (0..layer.map.outputs()).map(row).collect()
    }

    /// The ranges of the slopes of layer `i`, whose units move by at most `reached`.
    fn slopes(&self, i: usize, (anchors, error): &(Vec<f64>, f64), reached: &[f64]) -> Result<Vec<Slope>, String> {
        if let Some(Map::Sums { ends }) = self.network.steps.get(i + 1).map(|step| &step.map) {
            return shares(ends, anchors, *error, reached);
        }
        let activation = self.network.steps[i].activation;
        Ok(anchors.iter().zip(reached).map(|(&a, &t)| slope(activation, a, *error, t)).collect())
    }

    /// The first layer in the tail, and before the chain's end, for which Q is wanted in full.
    fn full(&self, end: usize) -> Option<usize> {
        let open = |l: usize| self.slopes[l].iter().filter(|slope| slope.half_width > 0.0).count();
        let next = |l: usize| self.network.steps.get(l + 1).map_or(0, |step| step.map.outputs());
        (self.network.tail()..end).find(|&l| open(l) <= self.network.few && next(l) <= self.network.few)
    }

    /// From the first layer through as many as the chain has scalings for.
    fn chain(&self, chain: &[LayerScalings]) -> Result<Reached, String> {
        let place = |l: usize| move |reason| format!("layer {l}: {reason}");
        let scalings = |l: usize| by_unit(&chain[l], self.slopes[l].len()).map_err(place(l));
        let (mut bound, from) = if self.network.tail() == 0 {
            let gram = self.network.gram.as_deref().ok_or("the first layer's matrix is too large for this checker")?;
            (gram.clone(), 0)
        } else {
            let full = self.full(chain.len());
            let target = full.unwrap_or(chain.len());
            let mut wide = Wide::new(self.network, &self.slopes, self.scale);
            for l in 0..target {
                wide.step(l, &scalings(l)?).map_err(place(l))?;
                if l + 1 < target {
                    wide.advance(l + 1);
                }
            }
            if full.is_none() && target + 1 < self.network.steps.len() {
                return Ok(Reached::Moves(wide.moves(target, self.rho).map_err(place(target - 1))?));
            }
            (wide.bound(target).map_err(place(target - 1))?, target)
        };
        for l in from..chain.len() {
            let weight = self.weight(l + 1)?;
            bound = through(&weight, &bound, &self.slopes[l], &scalings(l)?).map_err(place(l))?;
        }
        Ok(Reached::Bound(bound))
    }

    /// The weight of a layer in full, the last one's rows times their factors.
    fn weight(&self, layer: usize) -> Result<Cow<'_, Matrix>, String> {
        let weight = self.network.steps.get(layer).and_then(|layer| layer.matrix());
        let weight = weight.ok_or("the layer's matrix is too large for this checker")?;
        Ok(match self.scale {
            Some(scale) if layer + 1 == self.network.steps.len() => {
                Cow::Owned(Matrix::new(weight.rows, weight.columns, |i, j| scale[i] * weight.at(i, j)))
            }
            _ => weight,
        })
    }

    /// What it costs that the last weight's rows, of this Frobenius norm, were rounded when they were scaled: u of that norm
    /// times the move of what the weight is applied to.
    fn rounding(&self, size: f64, moved: f64) -> f64 {
        if self.scale.is_some() {
            GUARD * (UNIT * size * moved + TINY)
        } else {
            0.0
        }
    }
}

/// λ of every unit of a layer that has one.
fn by_unit(scalings: &LayerScalings, width: usize) -> Result<Vec<Option<f64>>, String> {
    let LayerScalings { units, scalings } = scalings;
    if units.len() != scalings.len() {
        return Err(format!("{} scalings for {} units", scalings.len(), units.len()));
    }
    if !units.is_sorted_by(|a, b| a < b) {
        return Err("units are not in ascending order".to_owned());
    }
    let mut all = vec![None; width];
    for (&unit, &scaling) in units.iter().zip(scalings) {
        let place = all.get_mut(unit).ok_or_else(|| format!("unit {unit} of a layer of width {width}"))?;
        if !(scaling > 0.0 && scaling.is_finite()) {
            return Err(format!("the scaling of unit {unit} is {scaling}, expected a finite number above 0"));
        }
        *place = Some(scaling);
    }
    Ok(all)
}

/// The lemma, with every rounding added to the diagonal.
///
/// With exact inputs W, Q, c, w, λ, Frobenius norms ‖·‖ and k the roundings of a product:
/// * R̂ is off by u‖R̂‖ and P̂ ≈ RQ by p = γ_{k+1}‖R̂‖‖Q‖;
/// * K and N are scaled to DKD and ND, D being the powers of two next to λ^{−1/2}, which changes nothing in NK⁻¹Nᵀ and
///   rounds nothing; N̂, columns of P̂D, is off by n = γ_{k+1}‖R̂‖‖Q_{:U}D‖;
/// * K is rounded downwards on the diagonal, which raises NK⁻¹Nᵀ; K ≽ κI is proved by a factorisation of K − 2κI;
/// * for any B and F = N − BK: NK⁻¹Nᵀ = NBᵀ + BFᵀ + FK⁻¹Fᵀ, so N̂B̂ᵀ is off by n‖B̂‖ + f‖B̂‖ + f²/κ where f ≥ ‖F‖;
/// * Ĝ, the columns w√λ·W, is off by u‖Ĝ‖ once w√λ is rounded up;
/// * one product [P̂ N̂ Ĝ][R̂ B̂ Ĝ]ᵀ is off by γ_k(‖P̂‖‖R̂‖ + ‖N̂‖‖B̂‖ + ‖Ĝ‖²), and two roundings more pay for R̂ and Ĝ.
pub(super) fn through(
    weight: &Matrix,
    q: &Matrix,
    slopes: &[Slope],
    scalings: &[Option<f64>],
) -> Result<Matrix, String> {
    let open: Vec<usize> = (0..slopes.len()).filter(|&j| slopes[j].half_width > 0.0).collect();
    let missing = |j: usize| format!("unit {j} has an uncertain slope and no scaling");
    let lambda: Vec<f64> = open.iter().map(|&j| scalings[j].ok_or_else(|| missing(j))).collect::<Result<_, _>>()?;
    let r = Matrix::new(weight.rows, weight.columns, |i, j| weight.at(i, j) * slopes[j].centre);
    let p = product(&r, q);
    let scale: Vec<f64> = lambda.iter().map(|scaling| power_of_two(1.0 / scaling.sqrt())).collect();
    let scaled = |matrix: &Matrix| Matrix::new(matrix.rows, open.len(), |i, j| matrix.at(i, open[j]) * scale[j]);
    let n = scaled(&p);
    let lost = underflow(weight.rows, weight.columns, weight.columns + 2 * open.len() + 2);
    let relative = GUARD * gamma(roundings(q.columns) + 1) * r.norm();
    let p_error = relative * q.norm() + lost;
    let n_error = relative * scaled(q).norm() + lost * scale.iter().fold(1.0, |most, scale| scale.max(most));
    let (b, b_error) = quotient(&n, n_error, |i, j| {
        let entry = q.at(open[i], open[j]);
        scale[i] * scale[j] * if i == j { (lambda[i] - entry).next_down() } else { -entry }
    })?;
    let widths: Vec<f64> =
        open.iter().zip(&lambda).map(|(&j, scaling)| raised(scaling.sqrt() * slopes[j].half_width, 2.0)).collect();
    let g = Matrix::new(weight.rows, open.len(), |i, j| weight.at(i, open[j]) * widths[j]);
    let (left, right) = (Matrix::beside(&[&p, &n, &g]), Matrix::beside(&[&r, &b, &g]));
    let sizes = p.norm() * r.norm() + n.norm() * b.norm() + g.norm() * g.norm();
    let rounding = gamma(roundings(left.columns) + 2) * sizes + underflow(left.rows, left.rows, left.columns);
    let lost = lost * (r.norm() + g.norm() + 1.0);
    Ok(dominating(&product(&left, &right), GUARD * (p_error * r.norm() + b_error + rounding) + lost))
}

/// The power of two next below a positive number.
fn power_of_two(value: f64) -> f64 {
    f64::from_bits(value.to_bits() & f64::INFINITY.to_bits())
}

/// B ≈ NK⁻¹ and a bound of the Frobenius norm of NK⁻¹Nᵀ − N̂B̂ᵀ made symmetric, where N̂ is off by `n_error`.
fn quotient(n: &Matrix, n_error: f64, k: impl Fn(usize, usize) -> f64) -> Result<(Matrix, f64), String> {
    let size = n.columns;
    if size == 0 {
        return Ok((n.clone(), 0.0));
    }
    let indefinite = || "Λ − Q of the uncertain units is not certainly positive definite".to_owned();
    let least = factor_error(size, (0..size).map(|i| k(i, i)).sum());
    factor(size, |i, j| if i == j { k(i, i) - 2.0 * least } else { k(i, j) }).ok_or_else(indefinite)?;
    let lower = factor(size, &k).ok_or_else(indefinite)?;
    let k = Matrix::new(size, size, &k);
    let b = solve(&lower, n.clone());
    let back = product(&b, &k);
    let residual = Matrix::new(n.rows, size, |i, j| n.at(i, j) - back.at(i, j)).norm();
    // Scaled entries that underflow are off by less than TINY.
    let relative = gamma(roundings(size) + 1) * k.norm() + size as f64 * TINY;
    let rounding = relative * b.norm() + underflow(n.rows, size, size + 1);
    let f = GUARD * (residual + rounding + n_error);
    Ok((b.clone(), GUARD * ((n_error + f) * b.norm() + f * (f / least)) + TINY))
}
