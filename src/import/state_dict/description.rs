//! The description of a model's layers, as a TOML file has it.
//!
//! Layers and settings are named as PyTorch names them. Where the tensors come from, `tensors = "prefix"` says for all of a
//! layer at once, `weight` and `bias` one by one.

use serde::Deserialize;

use crate::model::activation::Activation;

/// A VAE: how its tensors make an encoder and a decoder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    /// Shape of one input, without batch axis.
    pub(super) input_shape: Vec<usize>,
    pub(super) latent_dim: usize,
    #[serde(default)]
    pub(super) likelihood: LikelihoodName,
    pub(super) std: StdName,
    #[serde(default)]
    pub(super) std_floor: f64,
    pub(super) encoder: EncoderDescription,
    pub(super) decoder: Vec<Layer>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EncoderDescription {
    /// Layers shared by both heads.
    #[serde(default)]
    pub(super) trunk: Vec<Layer>,
    pub(super) mean: Vec<Layer>,
    pub(super) std: Vec<Layer>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LikelihoodName {
    #[default]
    Auto,
    Bernoulli,
    Gaussian(f64),
}

/// What the standard-deviation head gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StdName {
    LogVariance,
    LogStd,
    Softplus,
}

/// Which tensors a layer has.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) tensors: Option<String>,
    pub(super) weight: Option<String>,
    pub(super) bias: Option<String>,
}

/// One layer.
#[derive(Debug, Deserialize)]
#[serde(tag = "layer", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Layer {
    Linear {
        tensors: Option<String>,
        weight: Option<String>,
        bias: Option<String>,
        activation: Option<ActivationName>,
    },
    Conv2d {
        tensors: Option<String>,
        weight: Option<String>,
        bias: Option<String>,
        #[serde(default = "one")]
        stride: Pair,
        #[serde(default = "zero")]
        padding: Sides,
        #[serde(default = "one")]
        dilation: Pair,
        #[serde(default = "one_group")]
        groups: usize,
        activation: Option<ActivationName>,
    },
    ConvTranspose2d {
        tensors: Option<String>,
        weight: Option<String>,
        bias: Option<String>,
        #[serde(default = "one")]
        stride: Pair,
        #[serde(default = "zero")]
        padding: Sides,
        #[serde(default = "none")]
        output_padding: Pair,
        #[serde(default = "one")]
        dilation: Pair,
        #[serde(default = "one_group")]
        groups: usize,
        activation: Option<ActivationName>,
    },
    BatchNorm {
        tensors: String,
        #[serde(default = "batch_norm_eps")]
        eps: f64,
        activation: Option<ActivationName>,
    },
    Flatten {},
    #[serde(alias = "view")]
    Reshape {
        shape: Vec<usize>,
    },
    MaxPool2d {
        kernel: Pair,
        stride: Option<Pair>,
        #[serde(default = "zero")]
        padding: Sides,
        #[serde(default = "one")]
        dilation: Pair,
    },
    AvgPool2d {
        kernel: Pair,
        stride: Option<Pair>,
        #[serde(default = "zero")]
        padding: Sides,
        #[serde(default = "yes")]
        count_include_pad: bool,
    },
    #[serde(alias = "adaptive_avg_pool2d")]
    GlobalAvgPool2d {},
    /// Nearest neighbours.
    Upsample {
        scale: Pair,
    },
    PixelShuffle {
        factor: usize,
    },
    ZeroPad2d {
        padding: Sides,
    },
    /// Values `start`, `start + step`, … below `stop` along the first axis.
    Slice {
        #[serde(default)]
        start: usize,
        stop: Option<usize>,
        #[serde(default = "one_group")]
        step: usize,
    },
    Activation {
        activation: ActivationName,
    },
    /// h · factor + shift.
    Scale {
        #[serde(default = "unity")]
        factor: f64,
        #[serde(default)]
        shift: f64,
    },
    /// Axes in their new order, from 0, without the batch axis.
    Permute {
        order: Vec<usize>,
    },
}

impl Layer {
    /// The kind, as the file names it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Linear { .. } => "linear",
            Self::Conv2d { .. } => "conv2d",
            Self::ConvTranspose2d { .. } => "conv_transpose2d",
            Self::BatchNorm { .. } => "batch_norm",
            Self::Flatten {} => "flatten",
            Self::Reshape { .. } => "reshape",
            Self::MaxPool2d { .. } => "max_pool2d",
            Self::AvgPool2d { .. } => "avg_pool2d",
            Self::GlobalAvgPool2d {} => "global_avg_pool2d",
            Self::Upsample { .. } => "upsample",
            Self::PixelShuffle { .. } => "pixel_shuffle",
            Self::ZeroPad2d { .. } => "zero_pad2d",
            Self::Slice { .. } => "slice",
            Self::Activation { .. } => "activation",
            Self::Scale { .. } => "scale",
            Self::Permute { .. } => "permute",
        }
    }
}

/// One number for both axes, or \[height, width\].
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "expected a whole number or [height, width]")]
pub(super) enum Pair {
    Both(usize),
    Each([usize; 2]),
}

impl Pair {
    pub(super) fn get(self) -> [usize; 2] {
        match self {
            Self::Both(size) => [size; 2],
            Self::Each(sizes) => sizes,
        }
    }
}

/// One number for all sides, \[height, width\], or \[top, bottom, left, right\].
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "expected a whole number, [height, width] or [top, bottom, left, right]")]
pub(super) enum Sides {
    All(usize),
    Each([usize; 2]),
    Four([usize; 4]),
}

impl Sides {
    /// \[before, after\] of height and width.
    pub(super) fn get(self) -> [[usize; 2]; 2] {
        match self {
            Self::All(size) => [[size; 2]; 2],
            Self::Each([height, width]) => [[height; 2], [width; 2]],
            Self::Four([top, bottom, left, right]) => [[top, bottom], [left, right]],
        }
    }
}

/// A name alone, or a name with its constant.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(
    untagged,
    expecting = "expected relu, leaky_relu, elu, selu, softplus, tanh, sigmoid, hardtanh, relu6, { leaky_relu = slope }, \
                 { elu = alpha } or { clip = [low, high] }"
)]
pub(super) enum ActivationName {
    Named(NamedActivation),
    Set(SetActivation),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NamedActivation {
    Relu,
    LeakyRelu,
    Elu,
    Selu,
    Softplus,
    Tanh,
    Sigmoid,
    Hardtanh,
    Relu6,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SetActivation {
    LeakyRelu(f64),
    Elu(f64),
    #[serde(alias = "hardtanh")]
    Clip([f64; 2]),
}

impl ActivationName {
    /// The activation with PyTorch's constants where none is given; none for SELU, which is more than an activation.
    pub(super) fn activation(self) -> Option<Activation> {
        Some(match self {
            Self::Named(NamedActivation::Relu) => Activation::Relu,
            Self::Named(NamedActivation::LeakyRelu) => Activation::LeakyRelu { slope: 0.01 },
            Self::Named(NamedActivation::Elu) => Activation::Elu { alpha: 1.0 },
            Self::Named(NamedActivation::Selu) => return None,
            Self::Named(NamedActivation::Softplus) => Activation::Softplus,
            Self::Named(NamedActivation::Tanh) => Activation::Tanh,
            Self::Named(NamedActivation::Sigmoid) => Activation::Sigmoid,
            Self::Named(NamedActivation::Hardtanh) => Activation::Clip { low: -1.0, high: 1.0 },
            Self::Named(NamedActivation::Relu6) => Activation::Clip { low: 0.0, high: 6.0 },
            Self::Set(SetActivation::LeakyRelu(slope)) => Activation::LeakyRelu { slope },
            Self::Set(SetActivation::Elu(alpha)) => Activation::Elu { alpha },
            Self::Set(SetActivation::Clip([low, high])) => Activation::Clip { low, high },
        })
    }
}

fn one() -> Pair {
    Pair::Both(1)
}

fn none() -> Pair {
    Pair::Both(0)
}

fn zero() -> Sides {
    Sides::All(0)
}

fn one_group() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn unity() -> f64 {
    1.0
}

/// PyTorch's default.
fn batch_norm_eps() -> f64 {
    1e-5
}
