//! What a VAE is made of, before any weight exists: layer widths, activations, likelihood; and the named presets.

use serde::{Deserialize, Serialize};

use super::activation::Activation;

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

/// A hidden layer: how wide, and what follows the affine map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HiddenLayer {
    /// Number of units.
    pub width: usize,
    /// Activation of each.
    pub activation: Activation,
}

/// The shape of a VAE: trunk → (mean head, standard-deviation head) → code → decoder.
///
/// Heads and decoder end in one more affine layer (without activation) of the width they must produce.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Shape of one input, e.g. [28, 28]; inputs are flattened row-major to d_x values.
    pub input_shape: Vec<usize>,
    /// d_z.
    pub latent_dim: usize,
    /// Hidden layers shared by both heads.
    pub trunk: Vec<HiddenLayer>,
    /// Hidden layers of the mean head alone.
    pub mean_head: Vec<HiddenLayer>,
    /// Hidden layers of the standard-deviation head alone.
    pub std_head: Vec<HiddenLayer>,
    /// From the standard-deviation head's output to a standard deviation.
    pub std_link: StdLink,
    /// τ, added to the linked value: no standard deviation is ever below it. At least 0.
    pub std_floor: f64,
    /// Hidden layers of the decoder.
    pub decoder: Vec<HiddenLayer>,
    /// p(x | z).
    pub likelihood: Likelihood,
}

/// One dense layer's widths and activation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerShape {
    /// Width of the input.
    pub input: usize,
    /// Width of the output.
    pub output: usize,
    /// What follows the affine map.
    pub activation: Activation,
}

/// An architecture that cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchitectureError {
    /// No preset has this name.
    #[error("no architecture is called {found:?}; known: {}", PRESET_NAMES.join(", "))]
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
    /// A leaky ReLU's slope is outside [0, 1].
    #[error("the slope of a leaky ReLU must lie in [0, 1], found {found}")]
    LeakySlope {
        /// The slope found.
        found: f64,
    },
}

/// Names accepted by [`Architecture::preset`].
pub const PRESET_NAMES: [&str; 4] = ["digits", "paper-mnist", "paper-cifar", "linear"];

/// Upper limit of any width, so that a malformed file cannot ask for unbounded memory.
pub const MAX_WIDTH: usize = 1 << 22;

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
        let relu = |widths: &[usize]| -> Vec<HiddenLayer> {
            widths.iter().map(|&width| HiddenLayer { width, activation: Activation::Relu }).collect()
        };
        let (latent_dim, trunk, decoder, likelihood) = match name {
            "digits" => (8, relu(&[64]), relu(&[64]), Likelihood::Bernoulli),
            "paper-mnist" => (20, relu(&[400]), relu(&[400, 400]), Likelihood::Bernoulli),
            "paper-cifar" => (64, relu(&[400; 4]), relu(&[400; 4]), Likelihood::Bernoulli),
            "linear" => (LINEAR_LATENT_DIM, vec![], vec![], Likelihood::Gaussian { std: 1.0 }),
            _ => return Err(ArchitectureError::UnknownPreset { found: name.to_owned() }),
        };
        let architecture = Self {
            input_shape: input_shape.to_vec(),
            latent_dim,
            trunk,
            mean_head: vec![],
            std_head: vec![],
            std_link: StdLink::HalfLogVariance,
            std_floor: 0.0,
            decoder,
            likelihood,
        };
        architecture.check()?;
        Ok(architecture)
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
        for (place, layers) in self.hidden_layers() {
            for layer in layers {
                check_width(place, layer.width)?;
                if let Activation::LeakyRelu { slope } = layer.activation {
                    if !(0.0..=1.0).contains(&slope) {
                        return Err(ArchitectureError::LeakySlope { found: slope });
                    }
                }
            }
        }
        if !(self.std_floor.is_finite() && self.std_floor >= 0.0) {
            return Err(ArchitectureError::StdFloor { found: self.std_floor });
        }
        let sizes =
            self.parameters().into_iter().map(|(_, shape)| shape.iter().fold(1, |n: usize, &s| n.saturating_mul(s)));
        let found = sizes.fold(0, usize::saturating_add);
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

    /// Every dense layer in a fixed order: trunk, mean head, standard-deviation head, decoder, each with the prefix of
    /// its tensors' names.
    #[must_use]
    pub fn dense_layers(&self) -> [(&'static str, Vec<LayerShape>); 4] {
        let code_source = self.trunk.last().map_or(self.input_dim(), |layer| layer.width);
        let with_output = |start: usize, hidden: &[HiddenLayer], output: Option<usize>| {
            let mut shapes = Vec::with_capacity(hidden.len() + 1);
            let mut width = start;
            for layer in hidden {
                shapes.push(LayerShape { input: width, output: layer.width, activation: layer.activation });
                width = layer.width;
            }
            if let Some(output) = output {
                shapes.push(LayerShape { input: width, output, activation: Activation::Identity });
            }
            shapes
        };
        [
            ("encoder.trunk", with_output(self.input_dim(), &self.trunk, None)),
            ("encoder.mean", with_output(code_source, &self.mean_head, Some(self.latent_dim))),
            ("encoder.std", with_output(code_source, &self.std_head, Some(self.latent_dim))),
            ("decoder", with_output(self.latent_dim, &self.decoder, Some(self.input_dim()))),
        ]
    }

    /// Every parameter tensor, in a fixed order: (name, shape).
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut parameters = Vec::new();
        for (prefix, layers) in self.dense_layers() {
            for (i, LayerShape { input, output, .. }) in layers.into_iter().enumerate() {
                parameters.push((format!("{prefix}.{i}.weight"), vec![output, input]));
                parameters.push((format!("{prefix}.{i}.bias"), vec![output]));
            }
        }
        parameters
    }

    fn hidden_layers(&self) -> [(&'static str, &[HiddenLayer]); 4] {
        [
            ("a width of the trunk", &self.trunk),
            ("a width of the mean head", &self.mean_head),
            ("a width of the standard-deviation head", &self.std_head),
            ("a width of the decoder", &self.decoder),
        ]
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
        let affine = |input, output| LayerShape { input, output, activation: Activation::Identity };
        assert_eq!(architecture.dense_layers()[0].1, vec![]);
        assert_eq!(architecture.dense_layers()[1].1, vec![affine(3, 2)]);
        assert_eq!(architecture.dense_layers()[3].1, vec![affine(2, 3)]);
    }

    #[test]
    fn what_cannot_be_built_is_refused() {
        let base = Architecture::preset("digits", &[8, 8]).unwrap();
        let unknown = Architecture::preset("resnet", &[8, 8]);
        assert_eq!(unknown, Err(ArchitectureError::UnknownPreset { found: "resnet".to_owned() }));
        assert_eq!(Architecture::preset("digits", &[]), Err(ArchitectureError::ZeroWidth { place: "the input shape" }));
        let wide = Architecture { input_shape: vec![usize::MAX, 2], ..base.clone() };
        assert!(matches!(wide.check(), Err(ArchitectureError::TooWide { .. })));
        let heavy = Architecture { latent_dim: 4_000_000, ..base.clone() };
        assert!(matches!(heavy.check(), Err(ArchitectureError::TooLarge { .. })));
        assert!(Architecture { std_floor: f64::NAN, ..base.clone() }.check().is_err());
        assert!(Architecture { likelihood: Likelihood::Gaussian { std: 0.0 }, ..base.clone() }.check().is_err());
        let leaky = HiddenLayer { width: 3, activation: Activation::LeakyRelu { slope: 1.5 } };
        assert_eq!(
            Architecture { trunk: vec![leaky], ..base }.check(),
            Err(ArchitectureError::LeakySlope { found: 1.5 })
        );
    }
}
