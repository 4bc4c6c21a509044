//! First derivatives of encoder and decoder at one input, in double precision.

use candle_core::{DType, Device, Result, Tensor};
use nalgebra::DMatrix;

use crate::model::{Network, Vae};

/// J = ∂μ/∂x at `input`, `[d_z, d_x]`: [`network_jacobian`] of the encoder's mean. `vae` must be in double precision.
///
/// # Errors
/// If shapes, types or devices disagree.
pub fn encoder_jacobian(vae: &Vae, input: &Tensor) -> Result<DMatrix<f64>> {
    network_jacobian(&vae.encoder().mean_network(), input)
}

/// The Jacobian of a `network` at `input` ([1, in]), `[out, in]`, by as many gradients as there are outputs, pulled back
/// at once. `network` must be in double precision. Exact up to rounding wherever it is differentiable and no activation
/// is saturated to the last digit; at a kink, the left derivative.
///
/// # Errors
/// If shapes, types or devices disagree.
pub fn network_jacobian(network: &Network, input: &Tensor) -> Result<DMatrix<f64>> {
    let trace = network.trace(input)?;
    let outputs = trace.output().dim(1)?;
    let trace = trace.repeat(outputs)?;
    to_matrix(&network.pull_back(&trace, Tensor::eye(outputs, DType::F64, input.device())?)?)
}

/// J_gᵀ J_g at `latent` ([1, d_z]) where J_g = ∂g/∂z: `[d_z, d_z]`, by d_z tangents pushed forward at once. No
/// d_x × d_x matrix is formed. `vae` must be in double precision.
///
/// # Errors
/// If shapes, types or devices disagree.
pub fn decoder_gram(vae: &Vae, latent: &Tensor) -> Result<DMatrix<f64>> {
    let tangents = decoder_tangents(vae, latent)?;
    to_matrix(&tangents.matmul(&tangents.t()?)?)
}

/// J_g = ∂g/∂z at `latent` ([1, d_z]), `[d_x, d_z]`, by d_z tangents pushed forward at once. `vae` must be in double
/// precision.
///
/// # Errors
/// If shapes, types or devices disagree.
pub fn decoder_jacobian(vae: &Vae, latent: &Tensor) -> Result<DMatrix<f64>> {
    Ok(to_matrix(&decoder_tangents(vae, latent)?)?.transpose())
}

/// ∂g/∂z_i as row i, `[d_z, d_x]`.
fn decoder_tangents(vae: &Vae, latent: &Tensor) -> Result<Tensor> {
    let network = vae.decoder_mean();
    let latent_dim = vae.architecture().latent_dim;
    let trace = network.trace(latent)?.repeat(latent_dim)?;
    network.tangent(&trace, &Tensor::eye(latent_dim, DType::F64, latent.device())?)
}

/// A `[rows, columns]` tensor as a double-precision matrix.
pub(crate) fn to_matrix(tensor: &Tensor) -> Result<DMatrix<f64>> {
    let (rows, columns) = tensor.dims2()?;
    let values = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    Ok(DMatrix::from_row_slice(rows, columns, &values))
}
