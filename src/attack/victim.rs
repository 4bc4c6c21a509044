//! One input under attack: how far its reconstruction moves, and the gradient of that.

use candle_core::{DType, Result, Tensor, WithDType};

use crate::model::kernel;
use crate::model::vae::Code;
use crate::model::Vae;
use crate::quantity::Threat;

/// An input with its code and its undisturbed reconstruction.
#[derive(Debug)]
pub struct Victim<'a> {
    vae: &'a Vae,
    threat: Threat,
    input: Vec<f32>,
    code: Code,
    reconstruction: Tensor,
}

/// A batch of objective values with the gradient of their sum.
#[derive(Debug)]
pub struct ObjectiveGradient {
    /// One value per perturbed input.
    pub values: Vec<f64>,
    /// Row-major `[rows, d_x]`.
    pub gradient: Vec<f32>,
}

impl<'a> Victim<'a> {
    /// Encodes and reconstructs `input` (d_x values), in the precision of `vae`.
    ///
    /// # Errors
    /// If the input has another length than the model expects.
    pub fn new(vae: &'a Vae, input: &[f32], threat: Threat) -> Result<Self> {
        let tensor = Tensor::from_slice(input, (1, input.len()), &vae.device())?.to_dtype(vae.dtype())?;
        let code = vae.encoder().forward(&tensor)?;
        let reconstruction = vae.decoder_mean().forward(&code.mean)?;
        Ok(Self { vae, threat, input: input.to_vec(), code, reconstruction })
    }

    /// x, d_x values.
    #[must_use]
    pub fn input(&self) -> &[f32] {
        &self.input
    }

    /// d_z.
    #[must_use]
    pub fn latent_dim(&self) -> usize {
        self.vae.architecture().latent_dim
    }

    /// ‖Δ‖₂ for every perturbed input and every draw: row-major `[rows, draws]`, in output units. `attacked`: row-major
    /// `[rows, d_x]`; `noise` (η): row-major `[draws, d_z]`, the same draws for every input.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn distances<T: WithDType>(&self, attacked: &[f32], noise: &[T]) -> Result<Vec<f64>> {
        let (mean, std) = self.attacked_code(&self.rows(attacked, self.input.len())?)?;
        let latents = latents(&mean, &std, &self.rows(noise, self.latent_dim())?)?;
        let rows = latents.dim(0)?;
        let mut distances = Vec::with_capacity(rows);
        let decoder = self.vae.decoder_mean();
        let rows_at_once = decoder.rows_at_once();
        for start in (0..rows).step_by(rows_at_once) {
            let block = latents.narrow(0, start, rows_at_once.min(rows - start))?;
            let points = decoder.forward(&block)?;
            distances.extend(kernel::row_distances(&points, &self.reconstruction)?);
        }
        Ok(distances)
    }

    /// Values and gradient of an objective that is, for every perturbed input, the mean over draws of
    /// `objective(‖Δ‖)`; `objective` returns its value and its derivative.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn distance_objective(
        &self,
        attacked: &[f32],
        noise: &[f32],
        objective: impl Fn(f64) -> (f64, f64),
    ) -> Result<ObjectiveGradient> {
        let encoder = self.vae.encoder();
        let trace = encoder.trace(&self.rows(attacked, self.input.len())?)?;
        let (rows, latent_dim) = trace.code.mean.dims2()?;
        let noise = self.rows(noise, latent_dim)?;
        let draws = noise.dim(0)?;
        let std = self.effective_std(&trace.code.std)?;
        let latents = latents(&trace.code.mean, &std, &noise)?;
        let mut values = vec![0.0; rows];
        let mut gradients = Vec::new();
        let decoder = self.vae.decoder_mean();
        let rows_at_once = decoder.rows_at_once();
        for start in (0..rows * draws).step_by(rows_at_once) {
            let block = latents.narrow(0, start, rows_at_once.min(rows * draws - start))?;
            let decoded = decoder.trace(&block)?;
            let distances = kernel::row_distances(decoded.output(), &self.reconstruction)?;
            let mut scales = Vec::with_capacity(distances.len());
            for (i, &distance) in distances.iter().enumerate() {
                let (value, derivative) = objective(distance);
                values[(start + i) / draws] += value / draws as f64;
                // The gradient of a norm is undefined at 0; nothing is gained by moving from there.
                scales.push(if distance > 0.0 { derivative / (distance * draws as f64) } else { 0.0 });
            }
            let gradient = kernel::scaled_differences(decoded.output(), &self.reconstruction, &scales)?;
            gradients.push(decoder.pull_back(&decoded, gradient)?);
        }
        let latent_gradient = Tensor::cat(&gradients, 0)?.reshape((rows, draws, latent_dim))?;
        let mean_gradient = latent_gradient.sum(1)?;
        let std_gradient = match self.threat {
            Threat::Mean => None,
            Threat::Joint => Some(latent_gradient.broadcast_mul(&noise.unsqueeze(0)?)?.sum(1)?),
        };
        let gradient = encoder.pull_back(&trace, mean_gradient, std_gradient)?;
        Ok(ObjectiveGradient { values, gradient: to_values(&gradient)? })
    }

    /// Values and gradient of ½‖S⁻¹(μ(x+δ) − μ(x))‖² for every perturbed input.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn latent_objective(&self, attacked: &[f32]) -> Result<ObjectiveGradient> {
        let encoder = self.vae.encoder();
        let trace = encoder.trace(&self.rows(attacked, self.input.len())?)?;
        let whitened = trace.code.mean.broadcast_sub(&self.code.mean)?.broadcast_div(&self.code.std)?;
        let values = (whitened.sqr()?.sum(1)? * 0.5)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        let gradient = encoder.pull_back(&trace, whitened.broadcast_div(&self.code.std)?, None)?;
        Ok(ObjectiveGradient { values, gradient: to_values(&gradient)? })
    }

    fn rows<T: WithDType>(&self, values: &[T], width: usize) -> Result<Tensor> {
        Tensor::from_slice(values, (values.len() / width, width), &self.vae.device())?.to_dtype(self.vae.dtype())
    }

    fn attacked_code(&self, attacked: &Tensor) -> Result<(Tensor, Tensor)> {
        match self.threat {
            Threat::Mean => {
                let mean = self.vae.encoder().mean(attacked)?;
                let std = self.code.std.broadcast_as(mean.shape())?;
                Ok((mean, std))
            }
            Threat::Joint => {
                let code = self.vae.encoder().forward(attacked)?;
                Ok((code.mean, code.std))
            }
        }
    }

    fn effective_std(&self, attacked_std: &Tensor) -> Result<Tensor> {
        match self.threat {
            Threat::Mean => self.code.std.broadcast_as(attacked_std.shape()),
            Threat::Joint => Ok(attacked_std.clone()),
        }
    }
}

/// mean_i + std_i ∘ noise_k as row i·draws + k: [rows · draws, d_z].
fn latents(mean: &Tensor, std: &Tensor, noise: &Tensor) -> Result<Tensor> {
    let (rows, latent_dim) = mean.dims2()?;
    let draws = noise.dim(0)?;
    let spread = std.unsqueeze(1)?.broadcast_mul(&noise.unsqueeze(0)?)?;
    spread.broadcast_add(&mean.unsqueeze(1)?)?.reshape((rows * draws, latent_dim))
}

fn to_values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()
}
