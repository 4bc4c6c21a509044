//! A bound of the second derivatives of F in the energies ρ_i = λ_i u_i².
//!
//! F is the distribution function of Q = Σ λ_i(N_i + u_i)² at 1, and ρ_i enters Q as a Poisson(u_i²/2) number of
//! exponential variables E_i of mean 2λ_i on top of λ_iχ²₁. Hence ∂²F/∂ρ_i∂ρ_j = f′(1), f the density of
//! Q + E_i + E_j, and along ζ, by Fourier inversion with κ(θ) = Σ ζ_i/(1 − 2iθλ_i) and q the characteristic
//! function of Q,
//!
//! |ζᵀ(∇²F)ζ| = |(1/2π) ∫ θ κ(θ)² q(θ) e^{−iθ} dθ| ≤ (1/π) ∫₀^∞ θ |κ(θ)|² |q(θ)| dθ,
//!
//! |q(θ)| = Π(1 + xλ_i²)^{−1/4} · exp(−½ Σ xλ_iρ_i/(1 + xλ_i²)) with x = 4θ². Its exponent is linear in ρ, so over a
//! simplex of energies |q| is largest at a vertex. What is left is a positive semidefinite form in ζ, and since
//! Re 1/((1 − 2iθa)(1 + 2iθb)) = (a/(1 + a²x) + b/(1 + b²x))/(a + b), with dθ θ = dx/8,
//!
//! ζᵀHζ = Σ_ij ζ_iζ_j (L_i + L_j)/(8π(λ_i + λ_j)),  L_i = ∫₀^∞ max_vertices |q| · λ_i/(1 + λ_i²x) dx.
//!
//! max|q| falls with x, so its value at the left end of a panel, times the panel's exact integral of the rest,
//! bounds L_i from above. Beyond the last panel 1/(1 − iy) = i/y + R with |R| ≤ 1/y² gives
//! |κ|² ≤ (2/x)(Σζ_i/λ_i)² + (2n/x²)Σζ_i²/λ_i⁴, which is again a form, with a diagonal part.

use nalgebra::{DMatrix, DVector, DVectorView};

/// Ratio of neighbouring panel ends in x. Nearer to 1 costs time and makes the bound hardly smaller.
const PANEL_RATIO: f64 = 1.25;
/// The panels end where xλ² reaches this for the smallest λ, and start where it is one over this for the largest.
const PANEL_RANGE: f64 = 1e4;

const CENTRE_STEPS: usize = 30;

/// One panel [x, 1.25x].
struct Panel {
    /// |q| at the left end without shifts.
    central: f64,
    /// ½xλ_i/(1 + xλ_i²) at the left end.
    decay: Vec<f64>,
    /// ∫ λ_i/(1 + λ_i²x) dx over the panel.
    integral: Vec<f64>,
    /// What comes on top of the diagonal of 8πH, but for |q|.
    diagonal: Vec<f64>,
}

/// The panels for one set of λ_i > 0.
pub(super) struct Curvature {
    eigenvalues: Vec<f64>,
    panels: Vec<Panel>,
}

impl Curvature {
    pub(super) fn new(eigenvalues: &[f64]) -> Self {
        let largest = eigenvalues.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let smallest = eigenvalues.iter().copied().fold(largest, f64::min).max(1e-20 * largest);
        let end = PANEL_RANGE / (smallest * smallest);
        let mut panels = Vec::new();
        let (mut left, mut right) = (0.0, 1.0 / (PANEL_RANGE * largest * largest));
        loop {
            panels.push(panel(eigenvalues, left, right));
            (left, right) = (right, PANEL_RATIO * right);
            if left >= end {
                break;
            }
        }
        // |q| falls at least like x^{−1/4}, up to a factor (1 + 1/(λ²x))^{1/4} < 1.025 for the largest λ.
        // ∫x^{−5/4} from `left` is 4·left^{−1/4} and ∫x^{−9/4} is 0.8·left^{−5/4}.
        let mut tail = panel(eigenvalues, left, left);
        tail.integral = eigenvalues.iter().map(|eigenvalue| 8.2 / eigenvalue).collect();
        let count = eigenvalues.len() as f64;
        tail.diagonal = eigenvalues.iter().map(|a| 1.64 * count / (a * (a * left)) / a / a).collect();
        panels.push(tail);
        Self { eigenvalues: eigenvalues.to_vec(), panels }
    }

    /// The edges of the simplex of the `vertices` (columns, energies), measured by H there.
    pub(super) fn edges(&self, vertices: &DMatrix<f64>) -> Edges {
        let (weights, diagonal) = self.weights(vertices);
        let size = weights.len();
        let form = DMatrix::from_fn(size, size, |i, j| {
            let shared = (weights[i] + weights[j]) / (self.eigenvalues[i] + self.eigenvalues[j]);
            (shared + if i == j { diagonal[i] } else { 0.0 }) / (8.0 * std::f64::consts::PI)
        });
        let product = vertices.tr_mul(&(&form * vertices));
        let squared = DMatrix::from_fn(vertices.ncols(), vertices.ncols(), |j, l| {
            ((product[(j, j)] - product[(j, l)]) + (product[(l, l)] - product[(l, j)])).max(0.0)
        });
        // H is positive semidefinite, so |H_ij| ≤ √(H_iiH_jj) and relative errors of its entries and of the sums,
        // all below 1e-12, move a squared length by at most this.
        let size_of = |v: DVectorView<'_, f64>| v.iter().enumerate().map(|(i, z)| z * form[(i, i)].sqrt()).sum::<f64>();
        let largest = vertices.column_iter().map(size_of).fold(0.0, f64::max);
        // A NaN on the way must not pass for a short edge.
        let known = form.iter().chain(product.iter()).all(|entry| entry.is_finite());
        Edges { squared, error: if known { 4e-12 * largest * largest } else { f64::INFINITY } }
    }

    /// L_i for every i, and the diagonal part of 8πH.
    fn weights(&self, vertices: &DMatrix<f64>) -> (Vec<f64>, Vec<f64>) {
        let mut weights = vec![0.0; self.eigenvalues.len()];
        let mut diagonal = weights.clone();
        for panel in &self.panels {
            let exponent = vertices
                .column_iter()
                .map(|vertex| vertex.iter().zip(&panel.decay).map(|(rho, decay)| rho * decay).sum::<f64>())
                .fold(f64::INFINITY, f64::min);
            let characteristic = panel.central * (-exponent * (1.0 - 1e-12)).exp();
            for (weight, integral) in weights.iter_mut().zip(&panel.integral) {
                *weight += characteristic * integral;
            }
            for (total, part) in diagonal.iter_mut().zip(&panel.diagonal) {
                *total += characteristic * part;
            }
        }
        (weights, diagonal)
    }
}

/// The edges of a simplex in the norm of H.
pub(super) struct Edges {
    /// Their squared lengths as computed.
    squared: DMatrix<f64>,
    /// A bound of the error of each.
    error: f64,
}

impl Edges {
    /// The positions of the ends of the longest edge; equal for a single vertex.
    pub(super) fn longest(&self) -> (usize, usize) {
        let mut longest = (0, 0);
        for j in 0..self.squared.nrows() {
            for l in j + 1..self.squared.ncols() {
                if longest.0 == longest.1 || self.squared[(j, l)] > self.squared[longest] {
                    longest = (j, l);
                }
            }
        }
        longest
    }

    /// A bound of ½·Σα_j(v_j − ρ̄)ᵀH(v_j − ρ̄) over all ρ̄ = Σα_jv_j, which is how far F may fall below the
    /// interpolation between the vertices: half the squared radius of a ball around all of them.
    ///
    /// The squared distance of a centre Σα_jv_j to v_j is Σ_lα_lK_jl − ½Σα_lα_kK_lk for squared lengths K. The centre
    /// moves towards the farthest vertex in shrinking steps (Bădoiu and Clarkson, 2003); any centre is valid.
    pub(super) fn greatest_drop(&self) -> f64 {
        let count = self.squared.ncols();
        let mut shares = DVector::from_element(count, 1.0 / count as f64);
        let mut least = f64::INFINITY;
        for step in 0..CENTRE_STEPS {
            let mean = &self.squared * &shares;
            let farthest = mean.imax();
            least = least.min(mean[farthest] - 0.5 * shares.dot(&mean));
            let share = 1.0 / (step + count + 1) as f64;
            shares *= 1.0 - share;
            shares[farthest] += share;
        }
        if count == 1 {
            0.0
        } else {
            0.5 * (least.max(0.0) * (1.0 + 1e-12) + 1.5 * self.error)
        }
    }
}

fn panel(eigenvalues: &[f64], left: f64, right: f64) -> Panel {
    // ln(1 + a²x)/a between the ends, as one logarithm so that nothing cancels.
    let integral = |a: &f64| (a * (a * (right - left)) / (1.0 + a * (a * left))).ln_1p() / a;
    Panel {
        central: (-0.25 * eigenvalues.iter().map(|a| (a * (a * left)).ln_1p()).sum::<f64>()).exp(),
        decay: eigenvalues.iter().map(|a| 0.5 * left * a / (1.0 + a * (a * left))).collect(),
        integral: eigenvalues.iter().map(integral).collect(),
        diagonal: vec![],
    }
}
