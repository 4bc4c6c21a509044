//! A variational autoencoder: encoder (mean and standard deviation of a Gaussian code) and decoder.

use candle_core::{DType, Device, Result, Tensor};

use super::activation::Activation;
use super::architecture::{Architecture, Likelihood, StdLink};
use super::kernel;
use super::layer::{LayerShape, Map};
use super::network::{Layer, Network, Trace};
use crate::seed::Seed;
use rand::RngExt;

/// The encoder's answer for a batch.
#[derive(Debug, Clone)]
pub struct Code {
    /// μ(x), `[rows, d_z]`.
    pub mean: Tensor,
    /// σ(x), `[rows, d_z]`; above 0 unless it underflows.
    pub std: Tensor,
}

/// What an encoder's forward pass leaves for gradients.
#[derive(Debug, Clone)]
pub struct EncoderTrace {
    pub(crate) trunk: Trace,
    pub(crate) mean_head: Trace,
    pub(crate) std_head: Trace,
    /// μ and σ.
    pub code: Code,
}

/// x ↦ (μ(x), σ(x)): a shared trunk and two heads; σ = link(head) + floor.
#[derive(Debug, Clone)]
pub struct Encoder {
    pub(crate) trunk: Network,
    pub(crate) mean_head: Network,
    pub(crate) std_head: Network,
    std_link: StdLink,
    std_floor: f64,
}

/// A VAE whose tensors share one precision and one device.
#[derive(Debug, Clone)]
pub struct Vae {
    architecture: Architecture,
    encoder: Encoder,
    /// Logits for a Bernoulli likelihood, the mean for a Gaussian one.
    decoder: Network,
    /// The reconstruction: [`Vae::decoder`] followed by the sigmoid where the likelihood is Bernoulli.
    decoder_mean: Network,
}

impl Encoder {
    /// μ and σ for a batch `[rows, d_x]`.
    ///
    /// # Errors
    /// If shapes, types or devices disagree.
    pub fn forward(&self, input: &Tensor) -> Result<Code> {
        let hidden = self.trunk.forward(input)?;
        Ok(Code { mean: self.mean_head.forward(&hidden)?, std: self.std(&self.std_head.forward(&hidden)?)? })
    }

    /// μ alone, `[rows, d_z]`.
    ///
    /// # Errors
    /// If shapes, types or devices disagree.
    pub fn mean(&self, input: &Tensor) -> Result<Tensor> {
        self.mean_head.forward(&self.trunk.forward(input)?)
    }

    /// [`Encoder::forward`], keeping what gradients need.
    ///
    /// # Errors
    /// If shapes, types or devices disagree.
    pub fn trace(&self, input: &Tensor) -> Result<EncoderTrace> {
        let trunk = self.trunk.trace(input)?;
        let mean_head = self.mean_head.trace(trunk.output())?;
        let std_head = self.std_head.trace(trunk.output())?;
        let code = Code { mean: mean_head.output().clone(), std: self.std(std_head.output())? };
        Ok(EncoderTrace { trunk, mean_head, std_head, code })
    }

    /// The gradient with respect to the input of Σ `mean_gradient` ∘ μ + Σ `std_gradient` ∘ σ; `[rows, d_z]` each
    /// (σ may be left out) → `[rows, d_x]`. The gradients must share their memory with nobody.
    ///
    /// # Errors
    /// If shapes, types or devices disagree.
    pub fn pull_back(
        &self,
        trace: &EncoderTrace,
        mean_gradient: Tensor,
        std_gradient: Option<Tensor>,
    ) -> Result<Tensor> {
        let mut hidden = self.mean_head.pull_back(&trace.mean_head, mean_gradient)?;
        if let Some(std_gradient) = std_gradient {
            let head = self.std_output_gradient(&std_gradient, trace)?;
            hidden = (hidden + self.std_head.pull_back(&trace.std_head, head)?)?;
        }
        self.trunk.pull_back(&trace.trunk, hidden)
    }

    /// From a gradient with respect to σ to one with respect to the standard-deviation head's output.
    pub(crate) fn std_output_gradient(&self, std_gradient: &Tensor, trace: &EncoderTrace) -> Result<Tensor> {
        let head = trace.std_head.output();
        let slope = match self.std_link {
            StdLink::HalfLogVariance => ((head * 0.5)?.exp()? * 0.5)?,
            StdLink::Softplus => kernel::activate(head, Activation::Sigmoid)?,
        };
        std_gradient.mul(&slope)
    }

    fn std(&self, head: &Tensor) -> Result<Tensor> {
        let linked = match self.std_link {
            StdLink::HalfLogVariance => (head * 0.5)?.exp()?,
            StdLink::Softplus => kernel::activate(head, Activation::Softplus)?,
        };
        linked + self.std_floor
    }

    /// Trunk and mean head in a row: the network x ↦ μ(x).
    #[must_use]
    pub fn mean_network(&self) -> Network {
        Network::new([self.trunk.layers(), self.mean_head.layers()].concat())
    }
}

impl Vae {
    /// Builds a VAE from its parameter tensors, in the order of [`Architecture::parameters`]. Their values must stay as
    /// they are: they are laid out for products once.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape than the architecture says.
    pub fn from_parameters(architecture: Architecture, parameters: &[Tensor]) -> Result<Self> {
        let shapes = architecture.parameters();
        if shapes.len() != parameters.len() {
            candle_core::bail!("expected {} parameter tensors, found {}", shapes.len(), parameters.len());
        }
        for ((name, shape), tensor) in shapes.iter().zip(parameters) {
            if tensor.dims() != shape.as_slice() {
                candle_core::bail!("{name}: expected shape {shape:?}, found {:?}", tensor.dims());
            }
        }
        let mut remaining = parameters;
        let mut networks = Vec::with_capacity(4);
        for (_, layers) in architecture.networks() {
            let layer = |shape: &LayerShape| {
                let (own, rest) = remaining.split_at(shape.map.parameters().len());
                remaining = rest;
                Layer::new(*shape, own.to_vec())
            };
            networks.push(Network::new(layers.iter().map(layer).collect::<Result<_>>()?));
        }
        let mut networks = networks.into_iter();
        let mut next = || networks.next().unwrap_or_default();
        let (trunk, mean_head, std_head, decoder) = (next(), next(), next(), next());
        let encoder =
            Encoder { trunk, mean_head, std_head, std_link: architecture.std_link, std_floor: architecture.std_floor };
        let decoder_mean = match architecture.likelihood {
            Likelihood::Bernoulli => decoder.with_output_activation(Activation::Sigmoid),
            Likelihood::Gaussian { .. } => decoder.clone(),
        };
        Ok(Self { architecture, encoder, decoder, decoder_mean })
    }

    /// A freshly initialised VAE of dense layers, single precision: every weight and bias uniform on ±1/√(input width),
    /// from the streams `train/init/<tensor>`.
    ///
    /// # Errors
    /// If the device refuses the tensors, or a layer is not dense.
    pub fn initialised(architecture: Architecture, seed: Seed, device: &Device) -> Result<Self> {
        let layers = architecture.networks().map(|(_, layers)| layers);
        if !layers.iter().copied().flatten().all(|layer| matches!(layer.map, Map::Dense { .. })) {
            candle_core::bail!("only dense layers are initialised here");
        }
        let mut parameters: Vec<Tensor> = Vec::new();
        let mut bound = 1.0_f32;
        for (name, shape) in architecture.parameters() {
            if let [_, input] = shape[..] {
                bound = 1.0 / (input as f32).sqrt();
            }
            let mut stream = seed.stream(&format!("train/init/{name}"));
            let values: Vec<f32> =
                (0..shape.iter().product()).map(|_| bound * (2.0 * stream.random::<f32>() - 1.0)).collect();
            parameters.push(Tensor::from_vec(values, shape, device)?);
        }
        Self::from_parameters(architecture, &parameters)
    }

    /// The same model, for weights that change in place.
    pub(crate) fn in_training(self) -> Self {
        let Self { architecture, encoder, decoder, decoder_mean } = self;
        let encoder = Encoder {
            trunk: encoder.trunk.in_training(),
            mean_head: encoder.mean_head.in_training(),
            std_head: encoder.std_head.in_training(),
            ..encoder
        };
        Self { architecture, encoder, decoder: decoder.in_training(), decoder_mean: decoder_mean.in_training() }
    }

    /// The parameter tensors, in the order of [`Architecture::parameters`]; they share memory with the model.
    #[must_use]
    pub fn parameters(&self) -> Vec<Tensor> {
        self.networks()
            .iter()
            .flat_map(|network| network.layers())
            .flat_map(|layer| layer.parameters.iter().cloned())
            .collect()
    }

    fn networks(&self) -> [&Network; 4] {
        [&self.encoder.trunk, &self.encoder.mean_head, &self.encoder.std_head, &self.decoder]
    }

    /// What the model is made of.
    #[must_use]
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// x ↦ (μ(x), σ(x)).
    #[must_use]
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// z ↦ the likelihood's parameters (logits or mean), `[rows, d_z]` → `[rows, d_x]`.
    #[must_use]
    pub fn decoder(&self) -> &Network {
        &self.decoder
    }

    /// z ↦ g(z), the mean of p(x | z): the reconstruction. `[rows, d_z]` → `[rows, d_x]`.
    #[must_use]
    pub fn decoder_mean(&self) -> &Network {
        &self.decoder_mean
    }

    /// The device that holds the weights.
    #[must_use]
    pub fn device(&self) -> Device {
        self.first_parameter().map_or(Device::Cpu, |weight| weight.device().clone())
    }

    /// The precision of the weights.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.first_parameter().map_or(DType::F32, Tensor::dtype)
    }

    fn first_parameter(&self) -> Option<&Tensor> {
        self.networks().iter().flat_map(|network| network.layers()).find_map(|layer| layer.parameters.first())
    }

    /// A copy in another precision and on another device.
    ///
    /// # Errors
    /// If the device refuses the copy.
    pub fn converted(&self, dtype: DType, device: &Device) -> Result<Self> {
        let parameters: Vec<Tensor> = self
            .parameters()
            .iter() // candle shares memory where neither changes, and training updates weights in place.
            .map(|tensor| tensor.to_device(device)?.to_dtype(dtype)?.copy())
            .collect::<Result<_>>()?;
        Self::from_parameters(self.architecture.clone(), &parameters)
    }
}
