//! The margin of a linear-Gaussian VAE with any number of latent coordinates, enclosed between two bounds.
//!
//! Encoder mean μ(x) = Ax + a with constant std σ (S = diag σ), decoder g(z) = Wz + b. The damage of a perturbation δ is
//! Δ = W(Aδ + Sη), η ~ N(0, I), so ‖Δ‖₂² is a non-central quadratic form and P(δ) = P(‖Δ‖₂ ≤ r) is computed with a bound
//! on its error. It falls along every ray (Anderson, 1955), so the margin along a direction is found by bisection; over
//! all directions a local search bounds it from above (`local_search`) and a branch and bound from below
//! (`branch_and_bound`). Both hold for the real-arithmetic model with these matrices: roundings of the
//! eigendecomposition and of everything after it are counted (`model`).

mod branch_and_bound;
mod crossing;
mod curvature;
mod evaluator;
mod local_search;
mod margin;
mod model;
#[cfg(test)]
mod tests;

pub use margin::MarginBracket;
pub use model::LinearGaussian;
