//! The ball around an input on which the encoder's mean is affine.
//!
//! With piecewise-linear activations μ is affine as long as no hidden unit's pre-activation a changes sign. Inside the
//! region a is itself affine in the input, so a unit keeps its sign within the distance |a| / ‖∇a‖₂, and all units
//! within the smallest such distance. There the O(ε) that Theorem 1 drops is exactly 0 (`proofs/T1-relu-local.md`).

use candle_core::{Result, Tensor};

use crate::model::kernel::{self, Then};
use crate::model::network::Layer;
use crate::model::Network;

/// Coordinates of the input whose tangents are pushed forward at a time.
const COORDINATES: usize = 64;

/// ρ_lin = min over hidden units with a kink of |a(x) − kink| / ‖∇ₓa(x)‖₂, in input units; in a maximum, over the places
/// of a window that are not the largest, of the gap likewise. Infinite for an affine network; 0 as soon as one activation
/// is curved. Computed in double precision without a bound on its rounding error. `network` in double precision; `input`
/// [1, d_x]. Memory: 64 rows of the widest layer at a time.
///
/// # Errors
/// If shapes, types or devices disagree.
pub fn linear_region_radius(network: &Network, input: &Tensor) -> Result<f64> {
    if network.layers().iter().any(|layer| !layer.activation().is_piecewise_linear()) {
        return Ok(0.0);
    }
    let trace = network.trace(input)?;
    let mut switches = Vec::new();
    for (i, layer) in network.layers().iter().enumerate() {
        switches.extend(Switches::of(layer, i, trace.layer_input(i))?);
    }
    let coordinates = if switches.is_empty() { 0 } else { input.dim(1)? };
    let rows = COORDINATES.min(coordinates).max(1);
    let trace = trace.repeat(rows)?;
    for start in (0..coordinates).step_by(rows) {
        // In the end rows may be left over, which are 0 and add nothing.
        let mut unit_rows = vec![0.0; rows * coordinates];
        for (row, coordinate) in (start..coordinates.min(start + rows)).enumerate() {
            unit_rows[row * coordinates + coordinate] = 1.0;
        }
        let mut tangents = Tensor::from_vec(unit_rows, (rows, coordinates), input.device())?;
        for (i, layer) in network.layers().iter().enumerate() {
            let pre_activations = layer.linear(&tangents, trace.layer_input(i), Then::Nothing)?;
            for switches in switches.iter_mut().filter(|switches| switches.layer == i) {
                switches.add(layer, &tangents, &pre_activations, trace.layer_input(i))?;
            }
            tangents = kernel::times_slope(pre_activations, trace.layer_output(i), layer.activation())?;
        }
    }
    Ok(switches.iter().map(Switches::smallest_distance).fold(f64::INFINITY, f64::min))
}

/// Numbers whose sign decides between two affine pieces of one layer.
struct Switches {
    layer: usize,
    /// Whether they are the gaps of a maximum, or pre-activations from a kink.
    is_maximum: bool,
    values: Vec<f64>,
    /// Squared norm of each one's gradient, as far as it is known.
    gradient_squares: Vec<f64>,
}

impl Switches {
    fn of(layer: &Layer, index: usize, input: &Tensor) -> Result<Vec<Self>> {
        let new = |is_maximum, values: Vec<f64>| {
            let gradient_squares = vec![0.0; values.len()];
            Self { layer: index, is_maximum, values, gradient_squares }
        };
        let mut found = Vec::new();
        if let Some(gaps) = layer.gaps(input, input)? {
            found.push(new(true, gaps.squeeze(0)?.to_vec1()?));
        }
        let kinks = layer.activation().kinks();
        if !kinks.is_empty() {
            let pre_activation: Vec<f64> = layer.pre_activation(input)?.squeeze(0)?.to_vec1()?;
            found.extend(kinks.iter().map(|kink| new(false, pre_activation.iter().map(|a| a - kink).collect())));
        }
        Ok(found)
    }

    fn add(&mut self, layer: &Layer, tangents: &Tensor, pre_activations: &Tensor, input: &Tensor) -> Result<()> {
        let rows = match layer.gaps(tangents, input)? {
            Some(gaps) if self.is_maximum => gaps,
            _ => pre_activations.clone(),
        };
        let squares: Vec<f64> = rows.sqr()?.sum(0)?.to_vec1()?;
        self.gradient_squares.iter_mut().zip(squares).for_each(|(sum, square)| *sum += square);
        Ok(())
    }

    /// min |value| / ‖gradient‖; numbers whose gradient vanishes never change sign, NaN gives 0.
    fn smallest_distance(&self) -> f64 {
        let mut smallest = f64::INFINITY;
        for (value, square) in self.values.iter().zip(&self.gradient_squares) {
            let norm = square.sqrt();
            let distance = if norm > 0.0 { value.abs() / norm } else { f64::INFINITY };
            if norm.is_nan() || distance.is_nan() {
                return 0.0;
            }
            smallest = smallest.min(distance);
        }
        smallest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Activation;
    use candle_core::Device;

    fn dense(weight: &[&[f64]], bias: &[f64], activation: Activation) -> Layer {
        let flat: Vec<f64> = weight.iter().flat_map(|row| row.iter().copied()).collect();
        let shape = (weight.len(), weight[0].len());
        let weight = Tensor::from_vec(flat, shape, &Device::Cpu).unwrap();
        Layer::dense(weight, Tensor::new(bias, &Device::Cpu).unwrap(), activation).unwrap()
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
