//! The ball around an input on which the encoder's mean is affine.
//!
//! With piecewise-linear activations μ is affine as long as no hidden unit's pre-activation a changes sign. Inside the
//! region a is itself affine in the input, so a unit keeps its sign within the distance |a| / ‖∇a‖₂, and all units
//! within the smallest such distance. There the O(ε) that Theorem 1 drops is exactly 0 (`proofs/T1-relu-local.md`).

use candle_core::{Result, Tensor};

use super::jacobian::to_matrix;
use crate::model::{kernel, Network};

/// ρ_lin = min over hidden units with a kink of |a(x)| / ‖∇ₓa(x)‖₂, in input units. Infinite for an affine network;
/// 0 as soon as one activation is curved. Computed in double precision without a bound on its rounding error.
/// `network` in double precision; `input` [1, d_x].
///
/// # Errors
/// If shapes, types or devices disagree.
pub fn linear_region_radius(network: &Network, input: &Tensor) -> Result<f64> {
    if network.layers().iter().any(|layer| !layer.activation.is_piecewise_linear()) {
        return Ok(0.0);
    }
    let mut value = input.clone();
    // Row i of the tangents is the derivative of the layer's input along the i-th coordinate of x: [d_x, width].
    let mut tangents: Option<Tensor> = None;
    let mut radius = f64::INFINITY;
    for layer in network.layers() {
        let pre_activation = value.matmul(&layer.weight.t()?)?.broadcast_add(&layer.bias)?;
        let slopes = match &tangents {
            // A copy: the next lines overwrite it.
            None => layer.weight.t()?.contiguous()?.copy()?,
            Some(tangents) => tangents.matmul(&layer.weight.t()?)?,
        };
        if layer.activation.has_kink() {
            radius = radius.min(smallest_distance(&pre_activation, &slopes)?);
        }
        value = kernel::activate(&pre_activation, layer.activation)?;
        let outputs = value.broadcast_as(slopes.shape())?;
        tangents = Some(kernel::times_slope(slopes, &outputs, layer.activation)?);
    }
    Ok(radius)
}

/// min |a_j| / ‖column j of `gradients`‖; units whose gradient vanishes never change sign, NaN gives 0.
fn smallest_distance(pre_activation: &Tensor, gradients: &Tensor) -> Result<f64> {
    let (values, gradients) = (to_matrix(pre_activation)?, to_matrix(gradients)?);
    let mut smallest = f64::INFINITY;
    for (a, gradient) in values.iter().zip(gradients.column_iter()) {
        let norm = gradient.norm();
        let distance = if norm > 0.0 { a.abs() / norm } else { f64::INFINITY };
        if norm.is_nan() || distance.is_nan() {
            return Ok(0.0);
        }
        smallest = smallest.min(distance);
    }
    Ok(smallest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::network::Dense;
    use crate::model::Activation;
    use candle_core::Device;

    fn dense(weight: &[&[f64]], bias: &[f64], activation: Activation) -> Dense {
        let flat: Vec<f64> = weight.iter().flat_map(|row| row.iter().copied()).collect();
        let shape = (weight.len(), weight[0].len());
        Dense {
            weight: Tensor::from_vec(flat, shape, &Device::Cpu).unwrap(),
            bias: Tensor::new(bias, &Device::Cpu).unwrap(),
            activation,
        }
    }

    fn at(values: &[f64]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap().unsqueeze(0).unwrap()
    }

    #[test]
    fn one_hidden_unit_has_its_kink_at_a_known_distance() {
        // a = 3x + 4y − 5, so the kink lies at distance |a| / 5.
        let hidden = dense(&[&[3.0, 4.0]], &[-5.0], Activation::Relu);
        let network = Network::new(vec![hidden, dense(&[&[1.0]], &[0.0], Activation::Identity)]);
        assert!((linear_region_radius(&network, &at(&[0.0, 0.0])).unwrap() - 1.0).abs() < 1e-14);
        assert!((linear_region_radius(&network, &at(&[3.0, 4.0])).unwrap() - 4.0).abs() < 1e-14);
    }

    #[test]
    fn a_second_layer_counts_through_the_active_units_of_the_first() {
        // At (2, −1) only the first unit is active: second pre-activation 2·x − 1 with gradient (2, 0).
        let first = dense(&[&[1.0, 0.0], &[0.0, 1.0]], &[0.0, 0.0], Activation::Relu);
        let second = dense(&[&[2.0, 7.0]], &[-1.0], Activation::Relu);
        let network = Network::new(vec![first, second, dense(&[&[1.0]], &[0.0], Activation::Identity)]);
        // Distances: 2 and 1 in the first layer, 3/2 in the second.
        assert!((linear_region_radius(&network, &at(&[2.0, -1.0])).unwrap() - 1.0).abs() < 1e-14);
        assert!((linear_region_radius(&network, &at(&[2.0, -9.0])).unwrap() - 1.5).abs() < 1e-14);
    }

    #[test]
    fn an_affine_network_has_no_end_and_a_curved_one_no_region() {
        let affine = Network::new(vec![dense(&[&[1.0, 2.0]], &[0.0], Activation::Identity)]);
        assert!(linear_region_radius(&affine, &at(&[1.0, 1.0])).unwrap().is_infinite());
        let curved = Network::new(vec![dense(&[&[1.0, 2.0]], &[0.0], Activation::Tanh)]);
        assert_eq!(linear_region_radius(&curved, &at(&[1.0, 1.0])).unwrap(), 0.0);
    }

    #[test]
    fn an_overflowing_network_has_no_region() {
        let first = dense(&[&[1e300, 1e300]], &[0.0], Activation::Relu);
        let second = dense(&[&[1e300]], &[0.0], Activation::Relu);
        let network = Network::new(vec![first, second]);
        assert_eq!(linear_region_radius(&network, &at(&[1.0, -1.0 + 1e-9])).unwrap(), 0.0);
    }
}
