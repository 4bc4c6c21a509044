//! What a VAE is made of, before any weight exists: layer widths, activations, likelihood; and the named presets.

use serde::{Deserialize, Serialize};

use super::activation::Activation;
use super::layer::{product, LayerError, LayerShape, Map, MAX_WIDTH};
use crate::spelling::did_you_mean;

/// How the standard-deviation head's output s becomes a standard deviation, before the floor is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StdLink {
    /// s is the log-variance: exp(s / 2).
    HalfLogVariance,
    /// log(1 + exp s).
    Softplus,
}

/// The decoder's likelihood p(x | z).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Likelihood {
    /// Independent Bernoulli pixels; the decoder network gives logits, the reconstruction is their sigmoid.
    Bernoulli,
    /// Independent Gaussian coordinates; the decoder network gives the mean, which is the reconstruction.
    Gaussian {
        /// Standard deviation of every coordinate, in input units; above 0.
        std: f64,
    },
}

/// The shape of a VAE: trunk → (mean head, standard-deviation head) → code → decoder.
///
/// Each is a chain of layers. Both heads end in an affine layer without activation and give d_z values, the decoder gives
/// d_x: under a Bernoulli likelihood logits, from a last layer without activation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Shape of one input, e.g. [28, 28]; inputs are flattened row-major to d_x values.
    pub input_shape: Vec<usize>,
    /// d_z.
    pub latent_dim: usize,
    /// Layers shared by both heads.
    pub trunk: Vec<LayerShape>,
    /// Layers of the mean head alone.
    pub mean_head: Vec<LayerShape>,
    /// Layers of the standard-deviation head alone.
    pub std_head: Vec<LayerShape>,
    /// From the standard-deviation head's output to a standard deviation.
    pub std_link: StdLink,
    /// τ, added to the linked value: no standard deviation is ever below it. At least 0.
    pub std_floor: f64,
    /// Layers of the decoder.
    pub decoder: Vec<LayerShape>,
    /// p(x | z).
    pub likelihood: Likelihood,
}

/// An architecture that cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchitectureError {
    /// No preset has this name.
    #[error("no architecture is called {found:?}; {}known: {}", did_you_mean(found, &PRESET_NAMES), PRESET_NAMES.join(", "))]
    UnknownPreset {
        /// The name asked for.
        found: String,
    },
    /// A width, a shape or the latent size is 0.
    #[error("{place} of the architecture is 0; every width must be at least 1")]
    ZeroWidth {
        /// Which part.
        place: &'static str,
    },
    /// A width is beyond anything this program handles.
    #[error("{place} of the architecture is {found}; at most {MAX_WIDTH} is supported")]
    TooWide {
        /// Which part.
        place: &'static str,
        /// The width found.
        found: usize,
    },
    /// More weights than a training run could hold.
    #[error("the architecture has {found} weights and biases; at most {MAX_PARAMETERS} are supported")]
    TooLarge {
        /// The number found.
        found: usize,
    },
    /// The floor of the standard deviation is negative or not a number.
    #[error("the floor of the standard deviation must be a finite number of at least 0, found {found}")]
    StdFloor {
        /// The floor found.
        found: f64,
    },
    /// The likelihood's standard deviation is not a positive number.
    #[error("the standard deviation of a Gaussian likelihood must be a finite number above 0, found {found}")]
    LikelihoodStd {
        /// The value found.
        found: f64,
    },
    /// A layer is impossible.
    #[error("{network}, layer {layer}: {source}")]
    Layer {
        /// Which chain: `encoder.trunk`, `encoder.mean`, `encoder.std` or `decoder`.
        network: &'static str,
        /// The layer, from 0.
        layer: usize,
        /// What is wrong with it.
        source: LayerError,
    },
    /// A chain does not fit what comes before or after it.
    #[error("{network}, layer {layer}: takes {expected} values, but {found} come in")]
    Width {
        /// Which chain.
        network: &'static str,
        /// The layer, from 0.
        layer: usize,
        /// What the layer takes.
        expected: usize,
        /// What it gets.
        found: usize,
    },
    /// A chain gives the wrong number of values.
    #[error("{network} gives {found} values, expected {expected}")]
    OutputWidth {
        /// Which chain.
        network: &'static str,
        /// What is needed.
        expected: usize,
        /// What it gives.
        found: usize,
    },
    /// A chain's last layer is not of the required kind.
    #[error("{network} must end in an affine layer without activation")]
    OutputLayer {
        /// Which chain.
        network: &'static str,
    },
}

/// Names accepted by [`Architecture::preset`].
pub const PRESET_NAMES: [&str; 4] = ["digits", "paper-mnist", "paper-cifar", "linear"];

/// Upper limit of the number of weights and biases: with gradients and moments a few gigabytes.
pub const MAX_PARAMETERS: usize = 1 << 27;

/// Latent size of the `linear` preset where none is asked for.
const LINEAR_LATENT_DIM: usize = 2;

impl Architecture {
    /// A named architecture for inputs of `input_shape`, Bernoulli except `linear`, without a floor:
    /// * `digits`: 64 ReLU units, d_z = 8, decoder 64; small enough to train in seconds;
    /// * `paper-mnist`: 784-400 shared, 400-20 per head, decoder 20-400-400-784, ReLU;
    /// * `paper-cifar`: four shared layers of 400, d_z = 64, decoder with four of 400, ReLU;
    /// * `linear`: no hidden layer and a Gaussian likelihood of unit variance, d_z = 2: the linear-Gaussian VAE.
    ///
    /// # Errors
    /// [`ArchitectureError::UnknownPreset`], and [`ArchitectureError::ZeroWidth`] for an empty shape.
    pub fn preset(name: &str, input_shape: &[usize]) -> Result<Self, ArchitectureError> {
        let relu = |widths: &[usize]| -> Vec<(usize, Activation)> {
            widths.iter().map(|&width| (width, Activation::Relu)).collect()
        };
        let (latent_dim, trunk, decoder, likelihood) = match name {
            "digits" => (8, relu(&[64]), relu(&[64]), Likelihood::Bernoulli),
            "paper-mnist" => (20, relu(&[400]), relu(&[400, 400]), Likelihood::Bernoulli),
            "paper-cifar" => (64, relu(&[400; 4]), relu(&[400; 4]), Likelihood::Bernoulli),
            "linear" => (LINEAR_LATENT_DIM, vec![], vec![], Likelihood::Gaussian { std: 1.0 }),
            _ => return Err(ArchitectureError::UnknownPreset { found: name.to_owned() }),
        };
        let architecture = Self::of_dense_layers(input_shape, latent_dim, [&trunk, &[], &[], &decoder], likelihood);
        architecture.check()?;
        Ok(architecture)
    }

    /// Dense layers throughout, the log-variance from the standard-deviation head and no floor. `hidden`: width and
    /// activation of the hidden layers of trunk, mean head, standard-deviation head and decoder; heads and decoder get one
    /// more affine layer of the width they must produce.
    #[must_use]
    pub fn of_dense_layers(
        input_shape: &[usize],
        latent_dim: usize,
        hidden: [&[(usize, Activation)]; 4],
        likelihood: Likelihood,
    ) -> Self {
        let input_dim = product(input_shape);
        let chain = |inputs: usize, hidden: &[(usize, Activation)], outputs: Option<usize>| {
            let mut layers = Vec::with_capacity(hidden.len() + 1);
            let mut width = inputs;
            let last = outputs.map(|outputs| (outputs, Activation::Identity));
            for (outputs, activation) in hidden.iter().copied().chain(last) {
                layers.push(LayerShape::dense(width, outputs, activation));
                width = outputs;
            }
            layers
        };
        let [trunk, mean_head, std_head, decoder] = hidden;
        let code_source = trunk.last().map_or(input_dim, |&(width, _)| width);
        Self {
            input_shape: input_shape.to_vec(),
            latent_dim,
            trunk: chain(input_dim, trunk, None),
            mean_head: chain(code_source, mean_head, Some(latent_dim)),
            std_head: chain(code_source, std_head, Some(latent_dim)),
            std_link: StdLink::HalfLogVariance,
            std_floor: 0.0,
            decoder: chain(latent_dim, decoder, Some(input_dim)),
            likelihood,
        }
    }

    /// d_x, the number of values of one input.
    #[must_use]
    pub fn input_dim(&self) -> usize {
        self.input_shape.iter().product()
    }

    /// Refuses what cannot be built.
    ///
    /// # Errors
    /// The first [`ArchitectureError`] found.
    pub fn check(&self) -> Result<(), ArchitectureError> {
        let input_dim = self.input_shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        check_width("the input shape", if self.input_shape.is_empty() { 0 } else { input_dim.unwrap_or(usize::MAX) })?;
        check_width("the latent size", self.latent_dim)?;
        self.check_chains()?;
        if !(self.std_floor.is_finite() && self.std_floor >= 0.0) {
            return Err(ArchitectureError::StdFloor { found: self.std_floor });
        }
        let found = self.parameter_count();
        if found > MAX_PARAMETERS {
            return Err(ArchitectureError::TooLarge { found });
        }
        match self.likelihood {
            Likelihood::Gaussian { std } if !(std.is_finite() && std > 0.0) => {
                Err(ArchitectureError::LikelihoodStd { found: std })
            }
            _ => Ok(()),
        }
    }

    /// The same with another latent size, for dense layers.
    #[must_use]
    pub fn with_latent_dim(mut self, latent_dim: usize) -> Self {
        self.latent_dim = latent_dim;
        for head in [&mut self.mean_head, &mut self.std_head] {
            if let Some(Map::Dense { outputs, .. }) = head.last_mut().map(|layer| &mut layer.map) {
                *outputs = latent_dim;
            }
        }
        if let Some(Map::Dense { inputs, .. }) = self.decoder.first_mut().map(|layer| &mut layer.map) {
            *inputs = latent_dim;
        }
        self
    }

    /// The same with other hidden layers, as in [`Architecture::of_dense_layers`].
    #[must_use]
    pub fn with_hidden(self, hidden: [&[(usize, Activation)]; 4]) -> Self {
        let dense = Self::of_dense_layers(&self.input_shape, self.latent_dim, hidden, self.likelihood);
        Self { std_link: self.std_link, std_floor: self.std_floor, ..dense }
    }

    fn check_chains(&self) -> Result<(), ArchitectureError> {
        let code_source = self.trunk.last().map_or(self.input_dim(), |layer| layer.map.outputs());
        let ends = [
            (self.input_dim(), None),
            (code_source, Some(self.latent_dim)),
            (code_source, Some(self.latent_dim)),
            (self.latent_dim, Some(self.input_dim())),
        ];
        for ((network, layers), (inputs, outputs)) in self.networks().into_iter().zip(ends) {
            let mut found = inputs;
            for (layer, shape) in layers.iter().enumerate() {
                shape.check().map_err(|source| ArchitectureError::Layer { network, layer, source })?;
                let expected = shape.map.inputs();
                if expected != found {
                    return Err(ArchitectureError::Width { network, layer, expected, found });
                }
                found = shape.map.outputs();
            }
            let Some(expected) = outputs else { continue };
            if found != expected || layers.is_empty() {
                return Err(ArchitectureError::OutputWidth { network, expected, found });
            }
            let must_be_affine = network != "decoder" || self.likelihood == Likelihood::Bernoulli;
            let last = layers.last().filter(|last| last.map.is_affine() && last.activation == Activation::Identity);
            if must_be_affine && last.is_none() {
                return Err(ArchitectureError::OutputLayer { network });
            }
        }
        Ok(())
    }

    /// The chains of layers in a fixed order, each with the prefix of its tensors' names.
    #[must_use]
    pub fn networks(&self) -> [(&'static str, &[LayerShape]); 4] {
        [
            ("encoder.trunk", &self.trunk),
            ("encoder.mean", &self.mean_head),
            ("encoder.std", &self.std_head),
            ("decoder", &self.decoder),
        ]
    }

    /// Every parameter tensor, in a fixed order: (name, shape).
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut parameters = Vec::new();
        for (prefix, layers) in self.networks() {
            for (i, layer) in layers.iter().enumerate() {
                for (name, shape) in layer.map.parameters() {
                    parameters.push((format!("{prefix}.{i}.{name}"), shape));
                }
            }
        }
        parameters
    }

    /// The number of weights and biases; the largest number where it does not fit.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|(_, shape)| product(shape)).fold(0, usize::saturating_add)
    }
}

fn check_width(place: &'static str, found: usize) -> Result<(), ArchitectureError> {
    match found {
        0 => Err(ArchitectureError::ZeroWidth { place }),
        width if width > MAX_WIDTH => Err(ArchitectureError::TooWide { place, found }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mnist_preset_has_the_shapes_of_the_paper() {
        let architecture = Architecture::preset("paper-mnist", &[28, 28]).unwrap();
        let shapes: Vec<_> =
            architecture.parameters().into_iter().filter(|(name, _)| name.ends_with("weight")).collect();
        let expected = [
            ("encoder.trunk.0.weight", vec![400, 784]),
            ("encoder.mean.0.weight", vec![20, 400]),
            ("encoder.std.0.weight", vec![20, 400]),
            ("decoder.0.weight", vec![400, 20]),
            ("decoder.1.weight", vec![400, 400]),
            ("decoder.2.weight", vec![784, 400]),
        ];
        assert_eq!(shapes, expected.map(|(name, shape)| (name.to_owned(), shape)));
    }

    #[test]
    fn the_linear_preset_has_heads_on_the_input_itself() {
        let architecture = Architecture::preset("linear", &[3]).unwrap();
        let affine = |inputs, outputs| LayerShape::dense(inputs, outputs, Activation::Identity);
        assert_eq!(architecture.networks()[0].1, []);
        assert_eq!(architecture.networks()[1].1, [affine(3, 2)]);
        assert_eq!(architecture.networks()[3].1, [affine(2, 3)]);
    }

    #[test]
    fn what_cannot_be_built_is_refused() {
        let base = Architecture::preset("digits", &[8, 8]).unwrap();
        let unknown = Architecture::preset("resnet", &[8, 8]);
        assert_eq!(unknown, Err(ArchitectureError::UnknownPreset { found: "resnet".to_owned() }));
        assert_eq!(Architecture::preset("digits", &[]), Err(ArchitectureError::ZeroWidth { place: "the input shape" }));
        let wide = Architecture { input_shape: vec![usize::MAX, 2], ..base.clone() };
        assert!(matches!(wide.check(), Err(ArchitectureError::TooWide { .. })));
        let heavy = base.clone().with_latent_dim(4_000_000);
        assert!(matches!(heavy.check(), Err(ArchitectureError::TooLarge { .. })));
        assert!(Architecture { std_floor: f64::NAN, ..base.clone() }.check().is_err());
        assert!(Architecture { likelihood: Likelihood::Gaussian { std: 0.0 }, ..base.clone() }.check().is_err());
        let mut leaky = base.clone();
        leaky.trunk[0].activation = Activation::LeakyRelu { slope: 1.5 };
        assert!(matches!(leaky.check(), Err(ArchitectureError::Layer { network: "encoder.trunk", layer: 0, .. })));
        let mut misfit = base.clone();
        misfit.decoder[1] = LayerShape::dense(65, 64, Activation::Identity);
        let expected = ArchitectureError::Width { network: "decoder", layer: 1, expected: 65, found: 64 };
        assert_eq!(misfit.check(), Err(expected));
        let mut curved = base;
        curved.mean_head[0].activation = Activation::Tanh;
        assert_eq!(curved.check(), Err(ArchitectureError::OutputLayer { network: "encoder.mean" }));
    }
}
