//! How robust is a variational autoencoder (VAE), and does the theory that says so hold?
//!
//! The theory is *Towards a Theoretical Understanding of the Robustness of Variational Autoencoders* (Camuto,
//! Willetts, Roberts, Holmes & Rainforth, AISTATS 2021), called *the paper* throughout. A VAE encodes an input x as
//! a Gaussian N(μ(x), σ(x)²) and decodes a draw z of it as the reconstruction g(z). Perturb the input by δ: the
//! reconstruction moves by Δ(x, δ) = g(μ(x+δ) + σ∘η) − g(μ(x)), η ~ N(0, I). It is *r-robust* there if
//! P(‖Δ‖₂ ≤ r) > m, with m = 1/2 in the paper. The *margin* R(x) is the smallest norm at which that can fail:
//! R(x) = inf{‖δ‖₂ : P(‖Δ(x, δ)‖₂ ≤ r) ≤ m}.
//!
//! An audit brackets R(x) input by input. From above by *refutations*: perturbations found by attacks that break
//! robustness on draws never used before, so that R(x) is at most their norm except with a stated probability. From
//! below by *certificates*, which hold for the network over the real numbers and drop nothing, and beside them by what
//! Theorem 1 promises to first order: *estimates*, never certificates, because the theorem drops a term of unknown size.
//! A certificate above a refutation, and under the threat `mean`, which is the theorem's, an estimate above one, is raised
//! as an alarm. Certificates come with evidence that [`verify`] re-checks without trusting what made them.
//!
//! Some of the paper's statements are false as printed. [`claims`] finds out which, on random problems whose truth is
//! known, and says what is true instead; a page per claim, `proofs/<id>.md`, proves it.
//!
//! # Notation
//!
//! | symbol | identifier | shape, unit |
//! |---|---|---|
//! | x, δ | `input`, `perturbation` | \[d_x\], input units (images: pixels scaled to \[0, 1\]) |
//! | x + δ | `attacked` | \[d_x\], input units |
//! | η | `noise` | \[d_z\], standard normal |
//! | μ(x), σ(x) | `code.mean`, `code.std` | \[d_z\]; σ is a standard deviation, above 0 |
//! | S = diag σ(x) | `encoder_std` | \[d_z\] |
//! | g(z) | `decoder_mean` | \[d_x\]; the mean of p(x given z): the sigmoid of the logits if that is Bernoulli |
//! | J = ∂μ/∂x | `encoder_jacobian` | \[d_z, d_x\] |
//! | J_gᵀJ_g, J_g = ∂g/∂z | `decoder_gram` | \[d_z, d_z\] |
//! | Σ = J_gS²J_gᵀ | `FirstOrderDamage` | \[d_x, d_x\], never formed: its eigenvalues λ are those of S J_gᵀJ_g S |
//! | Q = Σλᵢηᵢ² | `QuadraticForm` | ‖Δ(x, 0)‖² to first order, output units squared |
//! | r\* | `Proposition1::exact` | √ of Q's m-quantile, output units |
//! | r | `radius` | L2 distance of reconstructions, output units |
//! | m | `level` | probability |
//! | β | `beta` | weight of the divergence in training |
//! | τ | `std_floor` | code units; added to σ |
//!
//! Threat models: `mean` (only μ sees the perturbation; the one Theorem 1 is about) and `joint` (σ sees it too).
//!
//! # Modules, in the order in which they build on each other
//!
//! * [`quantity`]: lower bounds, upper bounds and estimates as types that never mix · [`seed`]: named random streams ·
//!   [`progress`] · [`files`]: writes that survive a kill · [`spelling`], `markdown` · [`threads`]: results that do not depend
//!   on their number · [`allowance`]: limits of time and draws
//! * [`stats`]: binomial bounds, order statistics, the normal distribution, quadratic forms in normal variables, arithmetic
//!   with error bounds · [`linalg`]: norms, singular vectors, eigenvalues, enclosed where a proof needs it
//! * [`certificate`]: what a certificate claims and its evidence, as a file; read and written, never computed
//! * [`data`]: where inputs come from
//! * [`model`]: layers, networks, the VAE, its training, its file
//! * [`import`]: models made elsewhere: ONNX files, and state dicts with a description, become layers of this program
//! * [`sensitivity`]: how far the code can move: Jacobians, the linear region, the slope-interval bound
//! * [`bounds`]: Theorem 1 and its sharper forms; certified radii; the Gamma sum of Proposition 1; the exact margin of a
//!   linear-Gaussian VAE
//! * [`attack`]: perturbations that may break robustness
//! * [`margin`]: r, P(‖Δ‖ ≤ r) and the smallest refuted norm
//! * [`audit`]: all of it for one input, for many, and the summary; replaying what a run saved; writing certificates
//! * [`policy`]: what a continuous-integration job requires of a model, judged on an audit · [`baseline`]: two audits compared,
//!   input by input
//! * [`report`]: a run as a page, a comment, a table or a picture
//! * [`claims`]: the theory itself on trial: the paper's statements, searched for minimal counterexamples
//! * [`verify`]: certificates checked, without any of the code that makes them
//! * [`cli`]: the command line

// Tests compare figures that must be exact: hand-computed, or the same bytes twice.
#![cfg_attr(test, allow(clippy::float_cmp))]

pub mod allowance;
pub mod attack;
pub mod audit;
pub mod baseline;
pub mod bounds;
pub mod certificate;
pub mod claims;
pub mod cli;
pub mod data;
pub mod files;
pub mod import;
pub mod linalg;
pub mod margin;
mod markdown;
pub mod model;
pub mod policy;
pub mod progress;
pub mod quantity;
pub mod report;
pub mod seed;
pub mod sensitivity;
pub mod spelling;
pub mod stats;
#[cfg(test)]
mod testing;
pub mod threads;
pub mod verify;
