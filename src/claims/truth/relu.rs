//! Small networks with piecewise-linear activations, written so that a kink can be put near the input.

use candle_core::{DType, Device, Tensor};
use nalgebra::DVector;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::linear_vae::{matrix, vector};
use crate::claims::claim::{show, Obstacle};
use crate::claims::grid;
use crate::model::network::{Layer, Network};
use crate::model::Activation;

/// A hidden unit: φ(weights·h + bias).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unit {
    pub(crate) weights: Vec<f64>,
    pub(crate) bias: f64,
}

/// x ↦ output·h_L + …, hidden layers of leaky rectifiers max(a, 0) + slope·min(a, 0), the output affine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReluNetwork {
    /// 0 for ReLU.
    pub(crate) slope: f64,
    pub(crate) hidden: Vec<Vec<Unit>>,
    /// One row per output.
    pub(crate) output: Vec<Vec<f64>>,
}

/// A value and how large the numbers were that it is a sum of.
pub(crate) struct Evaluated {
    pub(crate) value: DVector<f64>,
    magnitude: f64,
    /// Operations on the way to an entry.
    operations: usize,
}

impl Evaluated {
    /// A bound on the rounding of every entry of `value`.
    pub(crate) fn rounding(&self) -> f64 {
        // Twice half a unit per operation, for the terms of second order.
        self.operations as f64 * f64::EPSILON * self.magnitude
    }
}

/// Biases among which kinks lie near the input 0.
pub(super) const BIASES: [f64; 12] = [0.125, -0.125, 0.0625, -0.0625, 0.25, -0.25, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0];

impl ReluNetwork {
    /// Networks of up to two hidden layers with up to `width` units, `inputs` inputs and up to `outputs` outputs.
    pub(crate) fn strategy(inputs: usize, width: usize, outputs: usize) -> impl Strategy<Value = (usize, Self)> {
        let widest = width.max(inputs);
        let unit = (grid::vector(widest), grid::one_of(&BIASES)).prop_map(|(weights, bias)| Unit { weights, bias });
        let layer = prop::collection::vec(unit, 1..=width);
        (
            1..=inputs,
            grid::one_of(&[0.0, 0.125, 0.5]),
            prop::collection::vec(layer, 1..=2),
            prop::collection::vec(grid::vector(width), 1..=outputs),
        )
            .prop_map(|(inputs, slope, mut hidden, mut output)| {
                let mut previous = inputs;
                for layer in &mut hidden {
                    layer.iter_mut().for_each(|unit| unit.weights.truncate(previous));
                    previous = layer.len();
                }
                output.iter_mut().for_each(|row| row.truncate(previous));
                (inputs, Self { slope, hidden, output })
            })
    }

    /// The output at `input`, by loops of its own.
    pub(crate) fn evaluate(&self, input: &DVector<f64>) -> Result<Evaluated, Obstacle> {
        let (mut value, mut magnitude, mut operations) = (input.clone(), input.abs(), 0);
        for layer in &self.hidden {
            let (weights, biases) = layer_parts(layer)?;
            check_fit(weights.ncols(), value.len())?;
            operations += weights.ncols() + 3;
            let sums = &weights * &value + &biases;
            magnitude = weights.abs() * magnitude + biases.abs();
            value = sums.map(|a| if a > 0.0 { a } else { self.slope * a });
        }
        let output = self.output()?;
        check_fit(output.ncols(), value.len())?;
        let magnitude = (output.abs() * magnitude).amax();
        operations += output.ncols() + 3;
        Ok(Evaluated { value: output * value, magnitude, operations })
    }

    fn output(&self) -> Result<nalgebra::DMatrix<f64>, Obstacle> {
        let rows: Vec<&[f64]> = self.output.iter().map(Vec::as_slice).collect();
        matrix("the output", &rows)
    }

    /// The same as layers of the program's own.
    pub(crate) fn network(&self) -> Result<Network, Obstacle> {
        let activation = if self.slope > 0.0 { Activation::LeakyRelu { slope: self.slope } } else { Activation::Relu };
        let mut layers = Vec::new();
        for layer in &self.hidden {
            let (weights, biases) = layer_parts(layer)?;
            layers.push(Layer::dense(double(&weights)?, vector_tensor(&biases)?, activation)?);
        }
        let output = self.output()?;
        let zeros = Tensor::zeros(output.nrows(), DType::F64, &Device::Cpu)?;
        layers.push(Layer::dense(double(&output)?, zeros, Activation::Identity)?);
        Ok(Network::new(layers))
    }

    /// Refuses what a drawn instance never has, for `inputs` inputs.
    pub(crate) fn check(&self, inputs: usize) -> Result<(), Obstacle> {
        if !(0.0..=1.0).contains(&self.slope) {
            return Err(Obstacle(format!("the slope {} is not between 0 and 1", self.slope)));
        }
        if self.hidden.len() > 4 {
            return Err(Obstacle("more than four hidden layers".to_owned()));
        }
        self.evaluate(&DVector::zeros(inputs)).map(drop)
    }

    /// `h = x → φ(1·h − 0.125) → 2·h, …`, layer by layer.
    pub(crate) fn show(&self) -> String {
        let unit = |unit: &Unit| {
            let sign = if unit.bias < 0.0 { '−' } else { '+' };
            format!("φ({}·h {sign} {})", show(&unit.weights), unit.bias.abs())
        };
        let layer = |units: &Vec<Unit>| units.iter().map(unit).collect::<Vec<_>>().join(", ");
        let hidden = self.hidden.iter().map(layer).collect::<Vec<_>>().join(" → ");
        let output = self.output.iter().map(|row| show(row)).collect::<Vec<_>>().join("; ");
        format!("h = x → {hidden} → {output}·h, φ with slope {} below 0", self.slope)
    }
}

pub(super) fn check_fit(expected: usize, found: usize) -> Result<(), Obstacle> {
    if expected == found {
        Ok(())
    } else {
        Err(Obstacle(format!("a layer expects {expected} numbers and gets {found}")))
    }
}

pub(super) fn layer_parts(layer: &[Unit]) -> Result<(nalgebra::DMatrix<f64>, DVector<f64>), Obstacle> {
    let rows: Vec<&[f64]> = layer.iter().map(|unit| unit.weights.as_slice()).collect();
    let biases: Vec<f64> = layer.iter().map(|unit| unit.bias).collect();
    Ok((matrix("a hidden layer", &rows)?, vector("the biases", &biases, layer.len())?))
}

/// A matrix as a double-precision tensor.
pub(crate) fn double(matrix: &nalgebra::DMatrix<f64>) -> Result<Tensor, Obstacle> {
    let values: Vec<f64> = matrix.row_iter().flat_map(|row| row.iter().copied().collect::<Vec<_>>()).collect();
    Ok(Tensor::from_vec(values, matrix.shape(), &Device::Cpu)?)
}

pub(super) fn vector_tensor(vector: &DVector<f64>) -> Result<Tensor, Obstacle> {
    Ok(Tensor::from_slice(vector.as_slice(), vector.len(), &Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeded;

    #[test]
    fn two_layers_found_by_hand() {
        // h₁ = φ(2·3 − 1) = 5, φ(−3 + 1) = −1 with slope 1/2; h₂ = φ(5 − (−1) − 2) = 4; output 3·4.
        let unit = |weights: &[f64], bias| Unit { weights: weights.to_vec(), bias };
        let network = ReluNetwork {
            slope: 0.5,
            hidden: vec![vec![unit(&[2.0], -1.0), unit(&[-1.0], 1.0)], vec![unit(&[1.0, -1.0], -2.0)]],
            output: vec![vec![3.0]],
        };
        let found = network.evaluate(&DVector::from_element(1, 3.0)).unwrap();
        assert_eq!(found.value.as_slice(), [12.0]);
        assert!(found.rounding() < 1e-11);
        assert_eq!(
            network.show(),
            "h = x → φ(2·h − 1), φ(-1·h + 1) → φ([1, -1]·h − 2) → 3·h, φ with slope 0.5 below 0"
        );
        assert!(network.check(2).unwrap_err().0.contains("expects 1 numbers and gets 2"));
        assert!(ReluNetwork { slope: 2.0, ..network }.check(1).is_err());
    }

    proptest! {
        #![proptest_config(seeded(48))]

        #[test]
        fn the_programs_layers_compute_the_same((inputs, network) in ReluNetwork::strategy(3, 4, 2)) {
            let input = DVector::from_fn(inputs, |i, _| 0.5 - i as f64);
            let expected = network.evaluate(&input).unwrap();
            let tensor = Tensor::from_slice(input.as_slice(), (1, inputs), &Device::Cpu).unwrap();
            let found = network.network().unwrap().forward(&tensor).unwrap().squeeze(0).unwrap().to_vec1::<f64>().unwrap();
            prop_assert_eq!(found.as_slice(), expected.value.as_slice());
        }
    }
}
