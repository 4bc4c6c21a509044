//! Checking certificates, without any of the code that makes them.
//!
//! A certificate says for each input x that no perturbation of at most a certified radius lowers P(‖Δ‖ ≤ r) to the
//! level m or less. This module finds out whether that follows. It is the trusted base: whoever has read it need not
//! read the rest of the program. It shares nothing with the prover but the layout of the file ([`crate::certificate`])
//! and the types of its quantities; it reads the model file, draws the noise, evaluates the networks and bounds every
//! error anew.
//!
//! # The argument
//!
//! 1. k of n draws of ‖Δ(x, 0)‖ are within r, so P(‖Δ(x, 0)‖ ≤ r) ≥ p̲ (Clopper and Pearson).
//! 2. A perturbation moves the code by v standard deviations, and ‖v‖ is at most V̄ (`reach.rs`).
//! 3. So P(‖Δ(x, δ)‖ ≤ r) ≥ Φ(Φ⁻¹(p̲) − V̄), and if σ moves too, less by at most the total variation it causes.
//!
//! Or, without draws and for m ≤ 1/2 only, by global Lipschitz constants and the mean of ‖Δ‖².
//!
//! # Rounding
//!
//! Numbers are doubles. Every inequality that is asserted holds for the real numbers: bounds of errors are derived
//! where they are computed, summed upwards and added on the safe side. A NaN fails every comparison and so rejects.
//!
//! # Files, in the order in which they build on each other
//!
//! `rounding` · `matrix`: products, Cholesky factors, eigenvalues · `normal`: Φ · `binomial`: tails · `activation` ·
//! `secant`: slopes of activations · `windows` · `kernels`: convolutions · `map`: what a layer does first · `norms` ·
//! `precise`: one point in twice the precision · `network`: layers one after the other · `model`: the file · `draws`:
//! the noise · `shares`: slopes of maxima · `whitening`, `wide`: the lemma without full matrices · `reach`: the lemma ·
//! `checker`: the steps · `report`

mod activation;
mod binomial;
mod checker;
mod draws;
mod kernels;
mod map;
mod matrix;
mod model;
mod network;
mod normal;
mod norms;
mod precise;
mod reach;
mod report;
mod rounding;
mod secant;
mod shares;
#[cfg(test)]
mod tests;
mod whitening;
mod wide;
mod windows;
#[cfg(test)]
mod written;

pub use checker::{Checker, Data, Fresh};
pub use report::{Rejection, Report, Step, Verdict};

/// What a verified certificate still rests on, besides the text of this module and of the certificate's layout.
pub const TRUSTED: &[&str] = &[
    "The compiler, the standard library and the processor: doubles are IEEE 754, rounded to nearest; sums, products, quotients, roots and fused products are exact but for that rounding.",
    "The system's exp, ln, ln_1p, exp_m1, tanh and sinh are off by at most four units in the last place.",
    "The readers of the model file and of JSON (safetensors, serde, serde_json), and SHA-256 (sha2): no two files with the same hash.",
    "ChaCha8 (rand_chacha) and the ziggurat of rand_distr: their numbers are treated as independent exact standard normal draws.",
    "The seed was chosen independently of model and inputs: not by trying several and keeping the one that certifies most, and the model was not made with its draws in view; draws of your own with another seed test that.",
    "r of a quantile rule was not adjusted, within one part in 10⁹, with the estimation draws in view.",
    "The model and data files given to the checker are those that you care about; their names in the certificate are only names.",
    "The theorems used: Clopper and Pearson's interval, Neyman and Pearson's lemma for shifted normal laws, Hellinger's bound of the total variation, Kwapień's on median and mean, Schur's test, Collatz and Wielandt's bound, Woodbury's identity, and the error analysis of sums, products and Cholesky factors by Higham and Rump.",
];
