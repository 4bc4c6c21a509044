//! The β-VAE objective: reconstruction plus β times the divergence from the prior, per batch, with its gradients.
//!
//! Minimised is −ELBO_β = E_q[−log p(x|z)] + β KL(q(z|x) ‖ N(0, I)), the expectation by one reparametrised draw
//! z = μ + σ∘ε per input.

use candle_core::{DType, Result, Tensor};

use super::architecture::Likelihood;
use super::kernel;
use super::network::DenseGradient;
use super::vae::{Code, Vae};

/// The two terms of the objective, summed over a batch, in nats.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ObjectiveTerms {
    /// Σ −log p(x | z), normalisation constants included.
    pub reconstruction: f64,
    /// Σ KL(q(z|x) ‖ p(z)), without β.
    pub divergence: f64,
}

impl ObjectiveTerms {
    /// reconstruction + β · divergence.
    #[must_use]
    pub fn total(self, beta: f64) -> f64 {
        self.reconstruction + beta * self.divergence
    }
}

/// The objective's terms for a batch and the gradients of their β-weighted sum with respect to every parameter, in the
/// order of [`super::architecture::Architecture::parameters`]. `input`: `[rows, d_x]`; `noise` (ε): `[rows, d_z]`.
///
/// # Errors
/// If shapes, types or devices disagree.
pub fn objective_gradients(
    vae: &Vae,
    input: &Tensor,
    noise: &Tensor,
    beta: f64,
) -> Result<(ObjectiveTerms, Vec<Tensor>)> {
    let encoder = vae.encoder();
    let trace = encoder.trace(input)?;
    let Code { mean, std } = &trace.code;
    let decoder_trace = vae.decoder().trace(&(mean + std.mul(noise)?)?)?;
    let (reconstruction, output_gradient) = reconstruction_loss(vae, decoder_trace.output(), input)?;
    let terms = ObjectiveTerms { reconstruction, divergence: divergence(&trace.code)? };

    let (latent_gradient, decoder) = vae.decoder().pull_back_parameters(&decoder_trace, output_gradient, true)?;
    let Some(latent_gradient) = latent_gradient else { candle_core::bail!("the decoder gave no latent gradient") };
    // ∂KL/∂μ = μ and ∂KL/∂σ = σ − 1/σ.
    let mean_gradient = ((mean * beta)? + &latent_gradient)?;
    let std_gradient = (((std - std.recip()?)? * beta)? + latent_gradient.mul(noise)?)?;
    let head_gradient = encoder.std_output_gradient(&std_gradient, &trace)?;

    let trunk_wanted = !encoder.trunk.layers().is_empty();
    let (from_mean, mean_head) =
        encoder.mean_head.pull_back_parameters(&trace.mean_head, mean_gradient, trunk_wanted)?;
    let (from_std, std_head) = encoder.std_head.pull_back_parameters(&trace.std_head, head_gradient, trunk_wanted)?;
    let trunk = match (from_mean, from_std) {
        (Some(from_mean), Some(from_std)) => {
            encoder.trunk.pull_back_parameters(&trace.trunk, (from_mean + from_std)?, false)?.1
        }
        _ => vec![],
    };
    let flatten = |DenseGradient { weight, bias }| [weight, bias];
    Ok((terms, trunk.into_iter().chain(mean_head).chain(std_head).chain(decoder).flat_map(flatten).collect()))
}

/// The objective's terms alone; arguments as in [`objective_gradients`].
///
/// # Errors
/// If shapes, types or devices disagree.
pub fn objective(vae: &Vae, input: &Tensor, noise: &Tensor) -> Result<ObjectiveTerms> {
    let code = vae.encoder().forward(input)?;
    let output = vae.decoder().forward(&(&code.mean + code.std.mul(noise)?)?)?;
    Ok(ObjectiveTerms { reconstruction: reconstruction_loss(vae, &output, input)?.0, divergence: divergence(&code)? })
}

/// −log p(x | decoder output) summed over the batch, and its gradient with respect to the output.
fn reconstruction_loss(vae: &Vae, output: &Tensor, input: &Tensor) -> Result<(f64, Tensor)> {
    match vae.architecture().likelihood {
        Likelihood::Bernoulli => kernel::bernoulli_loss(output, input),
        Likelihood::Gaussian { std } => {
            let (half_squares, gradient) = kernel::gaussian_loss(output, input, std * std)?;
            let constant = 0.5 * (std::f64::consts::TAU * std * std).ln() * output.elem_count() as f64;
            Ok((half_squares + constant, gradient))
        }
    }
}

/// KL(N(μ, σ²) ‖ N(0, I)) = Σ ½(μ² + σ² − 1) − log σ.
fn divergence(code: &Code) -> Result<f64> {
    let (mean, std) = (code.mean.to_dtype(DType::F64)?, code.std.to_dtype(DType::F64)?);
    let squares = ((mean.sqr()? + std.sqr()?)? - 1.0)?;
    ((squares * 0.5)? - std.log()?)?.sum_all()?.to_scalar::<f64>()
}
