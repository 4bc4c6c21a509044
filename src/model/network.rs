//! A feed-forward network as an explicit list of layers: forwards, tangents, gradients.

use candle_core::{Result, Tensor};

use super::activation::Activation;
use super::kernel;

/// One layer: h = φ(W x + b).
#[derive(Debug, Clone)]
pub struct Dense {
    /// W, `[out, in]`.
    pub weight: Tensor,
    /// b, `[out]`.
    pub bias: Tensor,
    /// φ.
    pub activation: Activation,
}

impl Dense {
    /// Width of the input.
    ///
    /// # Errors
    /// If the weight is not a matrix.
    pub fn input_dim(&self) -> Result<usize> {
        self.weight.dim(1)
    }
}

/// Layers applied one after the other. No layer at all is the identity.
#[derive(Debug, Clone, Default)]
pub struct Network {
    layers: Vec<Dense>,
}

/// What a forward pass leaves for tangents and gradients: the input and the output of every layer, each `[rows, width]`.
#[derive(Debug, Clone)]
pub struct Trace {
    values: Vec<Tensor>,
}

/// The gradients of one layer, with the shapes of its weight and bias.
#[derive(Debug, Clone)]
pub struct DenseGradient {
    /// ∂/∂W, `[out, in]`.
    pub weight: Tensor,
    /// ∂/∂b, `[out]`.
    pub bias: Tensor,
}

impl Trace {
    /// The network's output, `[rows, out]`.
    #[must_use]
    pub fn output(&self) -> &Tensor {
        &self.values[self.values.len() - 1]
    }

    /// The output of layer `index` (from 0), `[rows, width]`.
    #[must_use]
    pub fn layer_output(&self, index: usize) -> &Tensor {
        &self.values[index + 1]
    }

    /// The same single row `rows` times over, so that many directions can be pushed through one point at once.
    ///
    /// # Errors
    /// If the trace has more than one row.
    pub fn repeat(&self, rows: usize) -> Result<Self> {
        let repeat = |value: &Tensor| value.broadcast_as((rows, value.dim(1)?))?.contiguous();
        Ok(Self { values: self.values.iter().map(repeat).collect::<Result<_>>()? })
    }
}

impl Network {
    /// A network of these layers, in order. Shapes are the caller's to check (see [`super::architecture`]).
    #[must_use]
    pub fn new(layers: Vec<Dense>) -> Self {
        Self { layers }
    }

    /// The layers, in order.
    #[must_use]
    pub fn layers(&self) -> &[Dense] {
        &self.layers
    }

    /// The output for a batch: `[rows, in]` → `[rows, out]`.
    ///
    /// # Errors
    /// If shapes, types or devices disagree.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut value = input.clone();
        for layer in &self.layers {
            value = kernel::dense(&value, &layer.weight, &layer.bias, layer.activation)?;
        }
        Ok(value)
    }

    /// [`Network::forward`], keeping what [`Network::tangent`] and [`Network::pull_back`] need.
    ///
    /// # Errors
    /// If shapes, types or devices disagree.
    pub fn trace(&self, input: &Tensor) -> Result<Trace> {
        let mut values = Vec::with_capacity(self.layers.len() + 1);
        values.push(input.clone());
        for (i, layer) in self.layers.iter().enumerate() {
            values.push(kernel::dense(&values[i], &layer.weight, &layer.bias, layer.activation)?);
        }
        Ok(Trace { values })
    }

    /// Directional derivatives: row i is the derivative at row i of the trace along row i of `tangent`.
    /// `[rows, in]` → `[rows, out]`.
    ///
    /// # Errors
    /// If shapes, types or devices disagree.
    pub fn tangent(&self, trace: &Trace, tangent: &Tensor) -> Result<Tensor> {
        let mut tangent = tangent.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            tangent = kernel::dense_tangent(&tangent, &layer.weight, trace.layer_output(i), layer.activation)?;
        }
        Ok(tangent)
    }

    /// The gradient with respect to the input of Σ `gradient` ∘ output: `[rows, out]` → `[rows, in]`. Nothing is spent on
    /// the weights. `gradient` must share its memory with nobody: it may be overwritten.
    ///
    /// # Errors
    /// If shapes, types or devices disagree.
    pub fn pull_back(&self, trace: &Trace, gradient: Tensor) -> Result<Tensor> {
        let mut gradient = gradient;
        for (i, layer) in self.layers.iter().enumerate().rev() {
            gradient = kernel::times_slope(gradient, trace.layer_output(i), layer.activation)?;
            gradient = kernel::input_gradient(&gradient, &layer.weight)?;
        }
        Ok(gradient)
    }

    /// The gradients with respect to every layer's parameters (first layer first), summed over rows, and, where
    /// `input_wanted`, with respect to the input. `gradient` must share its memory with nobody.
    ///
    /// # Errors
    /// If shapes, types or devices disagree.
    pub fn pull_back_parameters(
        &self,
        trace: &Trace,
        gradient: Tensor,
        input_wanted: bool,
    ) -> Result<(Option<Tensor>, Vec<DenseGradient>)> {
        let mut gradient = gradient;
        let mut gradients = Vec::with_capacity(self.layers.len());
        for (i, layer) in self.layers.iter().enumerate().rev() {
            gradient = kernel::times_slope(gradient, trace.layer_output(i), layer.activation)?;
            let (weight, bias) = kernel::parameter_gradients(&gradient, &trace.values[i])?;
            gradients.push(DenseGradient { weight, bias });
            if i > 0 || input_wanted {
                gradient = kernel::input_gradient(&gradient, &layer.weight)?;
            }
        }
        gradients.reverse();
        Ok((input_wanted.then_some(gradient), gradients))
    }

    /// Whether no layer has an activation.
    #[must_use]
    pub fn is_affine(&self) -> bool {
        self.layers.iter().all(|layer| layer.activation == Activation::Identity)
    }

    /// The same network with another activation after its last layer; weights are shared, not copied.
    #[must_use]
    pub fn with_output_activation(&self, activation: Activation) -> Self {
        let mut layers = self.layers.clone();
        if let Some(last) = layers.last_mut() {
            last.activation = activation;
        }
        Self { layers }
    }
}
