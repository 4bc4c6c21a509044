//! A feed-forward network as an explicit list of layers: forwards, tangents, gradients.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::activation::Activation;
use super::direct::Direction;
use super::kernel::{self, FrozenMap, Slopes, Then};
use super::layer::{LayerShape, Map};
use super::places::Places;
use super::product::GROUP;

/// Values of a layer's output that stay in cache, and limits of the rows at once.
const CACHED_VALUES: usize = 1 << 17;
const LEAST_ROWS: usize = 16;
const MOST_ROWS: usize = 512;

/// One layer with its parameters: h = φ(map(x)).
#[derive(Debug, Clone)]
pub struct Layer {
    /// Map and activation.
    pub shape: LayerShape,
    /// In the order of [`Map::parameters`]. Their values must stay as they are: they are laid out for products once.
    pub parameters: Vec<Tensor>,
    /// Where the map reads its input, for maps that are not dense.
    places: Option<Places>,
    /// The weights of a dense layer, laid out for products; none if they may change.
    frozen: Option<Arc<FrozenMap>>,
}

impl Layer {
    /// A layer; the shapes of its parameters are checked, their values are not, except that indices must lie within the
    /// input.
    ///
    /// # Errors
    /// If a parameter is missing or has another shape, or an index is out of range.
    pub fn new(shape: LayerShape, parameters: Vec<Tensor>) -> Result<Self> {
        let expected = shape.map.parameters();
        if expected.len() != parameters.len() {
            candle_core::bail!("expected {} parameter tensors, found {}", expected.len(), parameters.len());
        }
        for ((name, expected), tensor) in expected.iter().zip(&parameters) {
            if tensor.dims() != expected.as_slice() {
                candle_core::bail!("{name}: expected shape {expected:?}, found {:?}", tensor.dims());
            }
        }
        let places = Places::of(&shape.map, &parameters)?;
        Ok(Self { shape, parameters, places, frozen: Some(Arc::default()) })
    }

    /// A dense layer h = φ(W x + b): `weight` `[out, in]`, `bias` `[out]`.
    ///
    /// # Errors
    /// If the shapes do not fit each other.
    pub fn dense(weight: Tensor, bias: Tensor, activation: Activation) -> Result<Self> {
        let (outputs, inputs) = weight.dims2()?;
        Self::new(LayerShape::dense(inputs, outputs, activation), vec![weight, bias])
    }

    /// φ.
    #[must_use]
    pub fn activation(&self) -> Activation {
        self.shape.activation
    }

    /// The map's output without the activation: `[rows, in]` → `[rows, out]`.
    ///
    /// # Errors
    /// If shapes, types or devices disagree.
    pub fn pre_activation(&self, input: &Tensor) -> Result<Tensor> {
        self.applied(input, Activation::Identity)
    }

    /// For a maximum over windows: `rows` at every place of every window minus `rows` at the place that is largest in
    /// `input`, `[rows, outputs · places]`; 0 outside the image. None for other maps.
    pub(crate) fn gaps(&self, rows: &Tensor, input: &Tensor) -> Result<Option<Tensor>> {
        self.places.as_ref().map_or(Ok(None), |places| places.gaps(rows, input))
    }

    /// The layer's output: `[rows, in]` → `[rows, out]`.
    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.applied(input, self.shape.activation)
    }

    fn applied(&self, input: &Tensor, activation: Activation) -> Result<Tensor> {
        match (&self.places, &self.parameters[..]) {
            (None, [_, bias]) => self.product(input, Direction::Forward, Then::Activate(bias, activation)),
            (Some(places), parameters) => places.forward(input, parameters, activation),
            (None, _) => candle_core::bail!("a dense layer has a weight and a bias"),
        }
    }

    /// The map's derivative at `input` along `tangent`, without the activation; then what follows.
    pub(crate) fn linear(&self, tangent: &Tensor, input: &Tensor, then: Then) -> Result<Tensor> {
        match &self.places {
            None => self.product(tangent, Direction::Forward, then),
            Some(places) => places.linear(tangent, input, &self.parameters, then),
        }
    }

    /// The adjoint of [`Layer::linear`]: `[rows, out]` → `[rows, in]`; then what follows.
    pub(crate) fn adjoint(&self, gradient: &Tensor, input: &Tensor, then: Then) -> Result<Tensor> {
        match &self.places {
            None => self.product(gradient, Direction::Adjoint, then),
            Some(places) => places.adjoint(gradient, input, &self.parameters, then),
        }
    }

    /// A product with a dense layer's weight.
    fn product(&self, input: &Tensor, direction: Direction, then: Then) -> Result<Tensor> {
        let weight = &self.parameters[0];
        if let Some(frozen) = &self.frozen {
            if let Some(output) = frozen.apply(input, weight, None, direction, then)? {
                return Ok(output);
            }
        }
        match direction {
            Direction::Forward => then.apply(input.matmul(&weight.t()?)?),
            Direction::Adjoint => then.apply(input.matmul(weight)?),
        }
    }

    /// The same layer for weights that change in place.
    pub(crate) fn in_training(&self) -> Self {
        Self { frozen: None, places: self.places.as_ref().map(Places::in_training), ..self.clone() }
    }
}

/// Layers applied one after the other. No layer at all is the identity.
#[derive(Debug, Clone, Default)]
pub struct Network {
    layers: Vec<Layer>,
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

    /// The input of layer `index` (from 0), `[rows, width]`.
    #[must_use]
    pub fn layer_input(&self, index: usize) -> &Tensor {
        &self.values[index]
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
    /// A network of these layers, in order. That each fits the next is the caller's to check (see
    /// [`super::architecture`]).
    #[must_use]
    pub fn new(layers: Vec<Layer>) -> Self {
        Self { layers }
    }

    /// The layers, in order.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Rows to compute at once where there are many: enough for fast products, and on the CPU few enough to stay in cache.
    pub(crate) fn rows_at_once(&self) -> usize {
        if !self.layers.iter().flat_map(|layer| &layer.parameters).all(kernel::is_cpu) {
            return MOST_ROWS;
        }
        let widest = self.layers.iter().map(|layer| layer.shape.map.outputs()).max().unwrap_or(1);
        match CACHED_VALUES / widest {
            // Without a rest of a few rows.
            rows @ GROUP.. => (rows - rows % GROUP).min(MOST_ROWS),
            rows => rows.max(LEAST_ROWS),
        }
    }

    /// The output for a batch: `[rows, in]` → `[rows, out]`.
    ///
    /// # Errors
    /// If shapes, types or devices disagree.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut value = input.clone();
        for layer in &self.layers {
            value = layer.forward(&value)?;
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
            values.push(layer.forward(&values[i])?);
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
            tangent = layer.linear(&tangent, trace.layer_input(i), Then::Slopes(self.slopes(trace, i)))?;
        }
        Ok(tangent)
    }

    /// The gradient with respect to the input of Σ `gradient` ∘ output: `[rows, out]` → `[rows, in]`. Nothing is spent on
    /// the weights. `gradient` must share its memory with nobody: it may be overwritten.
    ///
    /// # Errors
    /// If shapes, types or devices disagree.
    pub fn pull_back(&self, trace: &Trace, gradient: Tensor) -> Result<Tensor> {
        let Some(last) = self.layers.len().checked_sub(1) else { return Ok(gradient) };
        let mut gradient = Then::Slopes(self.slopes(trace, last)).apply(gradient)?;
        for (i, layer) in self.layers.iter().enumerate().rev() {
            gradient = layer.adjoint(&gradient, trace.layer_input(i), self.slopes_in_front(trace, i))?;
        }
        Ok(gradient)
    }

    fn slopes<'a>(&self, trace: &'a Trace, layer: usize) -> Slopes<'a> {
        Slopes { output: trace.layer_output(layer), activation: self.layers[layer].activation() }
    }

    /// What a gradient meets in front of a layer.
    fn slopes_in_front<'a>(&self, trace: &'a Trace, layer: usize) -> Then<'a> {
        layer.checked_sub(1).map_or(Then::Nothing, |before| Then::Slopes(self.slopes(trace, before)))
    }

    /// The gradients with respect to every layer's parameters (first layer first), summed over rows, and, where
    /// `input_wanted`, with respect to the input. `gradient` must share its memory with nobody.
    ///
    /// # Errors
    /// If shapes, types or devices disagree, or a layer is not dense: no other is trained here.
    pub fn pull_back_parameters(
        &self,
        trace: &Trace,
        gradient: Tensor,
        input_wanted: bool,
    ) -> Result<(Option<Tensor>, Vec<DenseGradient>)> {
        let mut gradient = match self.layers.len().checked_sub(1) {
            Some(last) => Then::Slopes(self.slopes(trace, last)).apply(gradient)?,
            None => gradient,
        };
        let mut gradients = Vec::with_capacity(self.layers.len());
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let Map::Dense { .. } = layer.shape.map else { candle_core::bail!("only dense layers are trained here") };
            let (weight, bias) = kernel::parameter_gradients(&gradient, &trace.values[i])?;
            gradients.push(DenseGradient { weight, bias });
            if i > 0 || input_wanted {
                gradient = layer.adjoint(&gradient, trace.layer_input(i), self.slopes_in_front(trace, i))?;
            }
        }
        gradients.reverse();
        Ok((input_wanted.then_some(gradient), gradients))
    }

    /// Whether every layer is an affine map without activation.
    #[must_use]
    pub fn is_affine(&self) -> bool {
        self.layers.iter().all(|layer| layer.shape.map.is_affine() && layer.activation() == Activation::Identity)
    }

    /// The same network, for weights that change in place.
    pub(crate) fn in_training(&self) -> Self {
        Self { layers: self.layers.iter().map(Layer::in_training).collect() }
    }

    /// The same network with another activation after its last layer; weights are shared, not copied.
    #[must_use]
    pub fn with_output_activation(&self, activation: Activation) -> Self {
        let mut layers = self.layers.clone();
        if let Some(last) = layers.last_mut() {
            last.shape.activation = activation;
        }
        Self { layers }
    }
}
