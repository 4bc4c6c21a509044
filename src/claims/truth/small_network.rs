//! Small networks with any activations, evaluated and differentiated by loops of their own.

use candle_core::{DType, Device, Tensor};
use nalgebra::DMatrix;
use proptest::prelude::*;
use proptest::sample::select;
use serde::{Deserialize, Serialize};

use super::linear_vae::matrix;
use super::relu::{check_fit, double, layer_parts, vector_tensor, Unit, BIASES};
use crate::claims::claim::{show, Obstacle};
use crate::claims::grid;
use crate::model::network::{Layer, Network};
use crate::model::Activation;

/// Hidden units with one activation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HiddenUnits {
    pub(crate) activation: Activation,
    pub(crate) units: Vec<Unit>,
}

/// Hidden layers, then a linear output.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SmallNetwork {
    pub(crate) hidden: Vec<HiddenUnits>,
    /// One row per output.
    pub(crate) output: Vec<Vec<f64>>,
}

/// Most layers before the output.
const MOST_HIDDEN: usize = 4;
/// Weights: with few binary digits, and so small that signals neither grow nor fade through five layers.
const WEIGHTS: [f64; 13] = [1.0, -1.0, 0.0, 0.5, -0.5, 0.25, -0.25, 0.75, -0.75, 0.125, -0.125, 1.5, -1.5];
const ACTIVATIONS: [Activation; 7] = [
    Activation::Relu,
    Activation::Identity,
    Activation::LeakyRelu { slope: 0.25 },
    Activation::Elu { alpha: 1.0 },
    Activation::Softplus,
    Activation::Tanh,
    Activation::Sigmoid,
];
/// |φ(a)| ≤ |a| + this: softplus has φ(0) = ln 2.
const LARGEST_AT_ZERO: f64 = 0.7;
/// Roundings that an activation counts for.
const ACTIVATION_OPERATIONS: usize = 8;

impl SmallNetwork {
    /// Networks of up to five layers in all, each of up to `width` units, with up to `width` inputs and outputs.
    pub(crate) fn strategy(width: usize) -> impl Strategy<Value = (usize, Self)> {
        let weights = prop::collection::vec(grid::one_of(&WEIGHTS), width);
        let unit = (weights.clone(), grid::one_of(&BIASES)).prop_map(|(weights, bias)| Unit { weights, bias });
        let units = grid::several(unit, width);
        let layer =
            (select(ACTIVATIONS.to_vec()), units).prop_map(|(activation, units)| HiddenUnits { activation, units });
        (1..=width, prop::collection::vec(layer, 0..=MOST_HIDDEN), grid::several(weights, width)).prop_map(
            |(inputs, mut hidden, mut output)| {
                let mut previous = inputs;
                for layer in &mut hidden {
                    layer.units.iter_mut().for_each(|unit| unit.weights.truncate(previous));
                    previous = layer.units.len();
                }
                output.iter_mut().for_each(|row| row.truncate(previous));
                (inputs, Self { hidden, output })
            },
        )
    }

    /// Refuses what a drawn instance never has, for `inputs` inputs.
    pub(crate) fn check(&self, inputs: usize) -> Result<(), Obstacle> {
        if self.hidden.len() > MOST_HIDDEN {
            return Err(Obstacle(format!("more than {MOST_HIDDEN} hidden layers")));
        }
        let mut width = inputs;
        for layer in &self.hidden {
            if let Activation::LeakyRelu { slope } = layer.activation {
                if !(0.0..=1.0).contains(&slope) {
                    return Err(Obstacle(format!("the slope {slope} is not between 0 and 1")));
                }
            }
            check_fit(layer_parts(&layer.units)?.0.ncols(), width)?;
            width = layer.units.len();
        }
        check_fit(self.output_matrix()?.ncols(), width)
    }

    pub(crate) fn output_matrix(&self) -> Result<DMatrix<f64>, Obstacle> {
        matrix("the output", &self.output.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// The outputs of every layer at `input`, the network's own last.
    pub(crate) fn forward(&self, input: &[f64]) -> Vec<Vec<f64>> {
        let mut values: Vec<Vec<f64>> = Vec::with_capacity(self.hidden.len() + 1);
        for layer in &self.hidden {
            let previous = values.last().map_or(input, Vec::as_slice);
            let apply = |unit: &Unit| layer.activation.value(dot(&unit.weights, previous) + unit.bias);
            let next = layer.units.iter().map(apply).collect();
            values.push(next);
        }
        let previous = values.last().map_or(input, Vec::as_slice);
        let output = self.output.iter().map(|row| dot(row, previous)).collect();
        values.push(output);
        values
    }

    /// Slopes of the hidden layers from the outputs of [`SmallNetwork::forward`].
    pub(crate) fn slopes(&self, values: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let slopes = |(layer, values): (&HiddenUnits, &Vec<f64>)| {
            values.iter().map(|value| layer.activation.slope_at_output(*value)).collect()
        };
        self.hidden.iter().zip(values).map(slopes).collect()
    }

    /// The product of `row` and the derivative of the output by the input, for these slopes of the hidden layers.
    pub(crate) fn pull_back(&self, row: &[f64], slopes: &[Vec<f64>], inputs: usize) -> Vec<f64> {
        let mut rows: Vec<&[f64]> = self.output.iter().map(Vec::as_slice).collect();
        let mut carried = row.to_vec();
        for (layer, slopes) in self.hidden.iter().zip(slopes).rev() {
            carried = combine(&carried, &rows, layer.units.len());
            carried.iter_mut().zip(slopes).for_each(|(entry, slope)| *entry *= slope);
            rows = layer.units.iter().map(|unit| unit.weights.as_slice()).collect();
        }
        combine(&carried, &rows, inputs)
    }

    /// The derivative for these slopes, each output divided by its entry of `scale`: `[out, inputs]`.
    pub(crate) fn derivative(&self, slopes: &[Vec<f64>], scale: &[f64], inputs: usize) -> DMatrix<f64> {
        let mut derivative = DMatrix::zeros(scale.len(), inputs);
        for (i, scale) in scale.iter().enumerate() {
            let mut unit = vec![0.0; self.output.len()];
            unit[i] = scale.recip();
            let row = self.pull_back(&unit, slopes, inputs);
            derivative.row_mut(i).iter_mut().zip(row).for_each(|(entry, value)| *entry = value);
        }
        derivative
    }

    /// A bound on the rounding of every entry of the output at inputs of at most this size, themselves rounded once.
    pub(crate) fn rounding(&self, size: f64) -> f64 {
        let (mut magnitude, mut operations) = (size, 2);
        let norm = |weights: &[f64]| weights.iter().map(|weight| weight.abs()).sum::<f64>();
        for layer in &self.hidden {
            let largest = |unit: &Unit| norm(&unit.weights) * magnitude + unit.bias.abs() + LARGEST_AT_ZERO;
            magnitude = layer.units.iter().map(largest).fold(0.0, f64::max);
            operations += ACTIVATION_OPERATIONS + layer.units.first().map_or(0, |unit| unit.weights.len()) + 3;
        }
        let magnitude = self.output.iter().map(|row| norm(row) * magnitude).fold(0.0, f64::max);
        operations += self.output.first().map_or(0, Vec::len) + 3;
        operations as f64 * f64::EPSILON * magnitude
    }

    /// The product of all layers' Frobenius norms.
    pub(crate) fn product_of_norms(&self) -> f64 {
        let square = |row: &[f64]| row.iter().map(|weight| weight * weight).sum::<f64>();
        let layer = |layer: &HiddenUnits| layer.units.iter().map(|unit| square(&unit.weights)).sum::<f64>();
        let output: f64 = self.output.iter().map(|row| square(row)).sum();
        (self.hidden.iter().map(layer).product::<f64>() * output).sqrt()
    }

    /// Every choice of slopes that kinks allow, if all activations are affine in pieces and at most `most` units have a
    /// kink; else none.
    pub(crate) fn patterns(&self, most: usize) -> Vec<Vec<Vec<f64>>> {
        let is_kinked = |layer: &&HiddenUnits| !layer.activation.kinks().is_empty();
        let kinks: usize = self.hidden.iter().filter(is_kinked).map(|layer| layer.units.len()).sum();
        if kinks > most || self.hidden.iter().any(|layer| !layer.activation.is_piecewise_linear()) {
            return vec![];
        }
        let pattern = |bits: usize| {
            let mut place = 0;
            let mut slope = |activation: Activation| {
                if activation.kinks().is_empty() {
                    return 1.0;
                }
                place += 1;
                activation.slope_at_output(if bits >> (place - 1) & 1 == 1 { 1.0 } else { -1.0 })
            };
            let mut layer = |layer: &HiddenUnits| layer.units.iter().map(|_| slope(layer.activation)).collect();
            self.hidden.iter().map(&mut layer).collect()
        };
        (0..1_usize << kinks).map(pattern).collect()
    }

    /// The same as layers of the program's own.
    pub(crate) fn network(&self) -> Result<Network, Obstacle> {
        let mut layers = Vec::new();
        for HiddenUnits { activation, units } in &self.hidden {
            let (weights, biases) = layer_parts(units)?;
            layers.push(Layer::dense(double(&weights)?, vector_tensor(&biases)?, *activation)?);
        }
        let output = self.output_matrix()?;
        let zeros = Tensor::zeros(output.nrows(), DType::F64, &Device::Cpu)?;
        layers.push(Layer::dense(double(&output)?, zeros, Activation::Identity)?);
        Ok(Network::new(layers))
    }

    /// `x → Relu([1, −1]·h + 0.5) → 2·h`, layer by layer.
    pub(crate) fn show(&self) -> String {
        let layer = |layer: &HiddenUnits| {
            let unit = |unit: &Unit| {
                let sign = if unit.bias < 0.0 { '−' } else { '+' };
                format!("{:?}({}·h {sign} {})", layer.activation, show(&unit.weights), unit.bias.abs())
            };
            layer.units.iter().map(unit).collect::<Vec<_>>().join(", ") + " → "
        };
        let output = self.output.iter().map(|row| show(row)).collect::<Vec<_>>().join("; ");
        format!("x → {}{output}·h", self.hidden.iter().map(layer).collect::<String>())
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Σ factor·row.
fn combine(factors: &[f64], rows: &[&[f64]], length: usize) -> Vec<f64> {
    let mut sum = vec![0.0; length];
    for (factor, row) in factors.iter().zip(rows) {
        sum.iter_mut().zip(*row).for_each(|(sum, entry)| *sum += factor * entry);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensitivity::network_jacobian;
    use crate::testing::seeded;

    proptest! {
        #![proptest_config(seeded(64))]

        #[test]
        fn the_programs_layers_compute_the_same((inputs, network) in SmallNetwork::strategy(5)) {
            network.check(inputs).unwrap();
            let input: Vec<f64> = (0..inputs).map(|i| 0.3 - i as f64).collect();
            let values = network.forward(&input);
            let tensor = Tensor::from_slice(&input, (1, inputs), &Device::Cpu).unwrap();
            let layers = network.network().unwrap();
            let found = layers.forward(&tensor).unwrap().squeeze(0).unwrap().to_vec1::<f64>().unwrap();
            for (found, expected) in found.iter().zip(values.last().unwrap()) {
                prop_assert!((found - expected).abs() <= 2.0 * network.rounding(inputs as f64), "{found} {expected}");
            }
            let ones = vec![1.0; network.output.len()];
            let derivative = network.derivative(&network.slopes(&values), &ones, inputs);
            let expected = network_jacobian(&layers, &tensor).unwrap();
            prop_assert!((derivative - expected).amax() <= 1e-12 * (1.0 + network.product_of_norms()));
        }
    }

    #[test]
    fn a_layer_of_two_kinks_has_four_patterns() {
        let unit = || Unit { weights: vec![1.0], bias: 0.0 };
        let network = SmallNetwork {
            hidden: vec![HiddenUnits {
                activation: Activation::LeakyRelu { slope: 0.25 },
                units: vec![unit(), unit()],
            }],
            output: vec![vec![1.0, 2.0]],
        };
        let gains: Vec<f64> =
            network.patterns(2).iter().map(|slopes| network.derivative(slopes, &[0.5], 1)[(0, 0)]).collect();
        assert_eq!(gains, [1.5, 3.0, 4.5, 6.0]);
        assert!(network.patterns(1).is_empty());
        assert!(network.check(2).unwrap_err().0.contains("expects 1 numbers and gets 2"));
    }
}
