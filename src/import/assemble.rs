//! From the chains of an encoder and a decoder to an architecture and its parameters.

use num_traits::ToPrimitive;

use super::error::ImportError;
use super::piece::{Diagonal, Piece};
use super::sequence::Sequence;
use crate::model::activation::Activation;
use crate::model::architecture::{Architecture, ArchitectureError, Likelihood, StdLink, MAX_PARAMETERS};
use crate::model::layer::{product, LayerShape, Map};

/// Standard deviation of a Gaussian likelihood that nobody has named.
const DEFAULT_LIKELIHOOD_STD: f64 = 1.0;

/// What an encoder file says.
#[derive(Debug, Clone)]
pub struct EncoderParts {
    /// Shape of one input.
    pub input_shape: Vec<usize>,
    /// From the input to the mean of the code.
    pub mean: Sequence,
    /// From the input to the value that becomes the standard deviation of the code.
    pub std: Sequence,
    /// How it becomes one.
    pub std_link: StdLink,
    /// Added to the standard deviation, at least 0.
    pub std_floor: f64,
}

/// What a decoder file says.
#[derive(Debug, Clone)]
pub struct DecoderParts {
    /// From the code to the reconstruction; it may end in a sigmoid.
    pub decoder: Sequence,
}

/// Which likelihood the decoder's output belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LikelihoodChoice {
    /// Bernoulli if the decoder ends in a sigmoid, otherwise Gaussian of standard deviation 1.
    Auto,
    /// Bernoulli. A decoder that does not end in a sigmoid gives logits.
    Bernoulli,
    /// Gaussian; a sigmoid at the end belongs to the decoder.
    Gaussian {
        /// Standard deviation of every coordinate, in input units.
        std: f64,
    },
}

/// A tensor: its name, its shape and its values, row-major.
pub type Parameter = (String, Vec<usize>, Vec<f32>);

/// A model ready to be built.
#[derive(Debug, Clone, PartialEq)]
pub struct Assembled {
    /// The layers.
    pub architecture: Architecture,
    /// The parameters in the order of [`Architecture::parameters`].
    pub tensors: Vec<Parameter>,
    /// What was decided on the way and the user should know.
    pub notes: Vec<String>,
}

/// Puts an encoder and a decoder together. The layers that mean and standard deviation share become the trunk.
///
/// # Errors
/// [`ImportError`]: chains that do not fit each other, weights beyond single precision, layers that cannot be built.
pub fn assemble(
    encoder: EncoderParts,
    decoder: DecoderParts,
    likelihood: LikelihoodChoice,
) -> Result<Assembled, ImportError> {
    check_widths(&encoder, &decoder)?;
    let latent_dim = encoder.mean.width();
    let mut notes = Vec::new();
    let (trunk, mut mean, mut std) = Sequence::split_common(&encoder.mean, &encoder.std);
    for head in [&mut mean, &mut std] {
        if !ends_affine(head) {
            head.push(identity_matrix(latent_dim)?);
        }
    }
    let mut decoder = decoder.decoder.finish();
    let likelihood = decide(likelihood, &mut decoder, &encoder.input_shape, &mut notes);
    let chains = [trunk, mean, std, decoder];
    let [trunk, mean_head, std_head, decoder] = chains.each_ref().map(|chain| layers(chain));
    let (std_link, std_floor, input_shape) = (encoder.std_link, encoder.std_floor, encoder.input_shape);
    let architecture =
        Architecture { input_shape, latent_dim, trunk, mean_head, std_head, std_link, std_floor, decoder, likelihood };
    architecture.check()?;
    let values = chains.into_iter().flatten().flat_map(|piece| piece.parameters);
    let tensors = architecture.parameters().into_iter().zip(values).map(rounded).collect::<Result<_, _>>()?;
    Ok(Assembled { architecture, tensors, notes })
}

fn check_widths(encoder: &EncoderParts, decoder: &DecoderParts) -> Result<(), ImportError> {
    let input_dim = product(&encoder.input_shape);
    for chain in [&encoder.mean, &encoder.std] {
        if product(chain.input_shape()) != input_dim {
            let (expected, found) = (encoder.input_shape.clone(), chain.input_shape().to_vec());
            return Err(ImportError::EncoderInput { expected, found });
        }
    }
    let (mean, std) = (encoder.mean.width(), encoder.std.width());
    if mean != std {
        return Err(ImportError::Heads { mean, std });
    }
    let found = product(decoder.decoder.input_shape());
    if found != mean {
        return Err(ImportError::DecoderInput { expected: mean, found });
    }
    if decoder.decoder.width() != input_dim {
        let (expected, found) = (encoder.input_shape.clone(), decoder.decoder.shape().to_vec());
        return Err(ImportError::DecoderOutput { expected, found });
    }
    Ok(())
}

/// The likelihood, and the decoder as that likelihood wants it: a Bernoulli one without its sigmoid.
fn decide(
    choice: LikelihoodChoice,
    decoder: &mut Vec<Piece>,
    input_shape: &[usize],
    notes: &mut Vec<String>,
) -> Likelihood {
    let likelihood = match choice {
        LikelihoodChoice::Gaussian { std } => Likelihood::Gaussian { std },
        LikelihoodChoice::Bernoulli => {
            if !remove_sigmoid(decoder) {
                notes.push("the decoder does not end in a sigmoid: its output is read as logits".to_owned());
            }
            Likelihood::Bernoulli
        }
        LikelihoodChoice::Auto if remove_sigmoid(decoder) => {
            notes.push("the decoder ends in a sigmoid: the likelihood is taken to be Bernoulli".to_owned());
            Likelihood::Bernoulli
        }
        LikelihoodChoice::Auto => {
            notes.push(format!(
                "the decoder does not end in a sigmoid: the likelihood is taken to be Gaussian with standard deviation \
                 {DEFAULT_LIKELIHOOD_STD}"
            ));
            Likelihood::Gaussian { std: DEFAULT_LIKELIHOOD_STD }
        }
    };
    let must_be_affine = likelihood == Likelihood::Bernoulli || decoder.is_empty();
    if must_be_affine && !ends_affine(decoder) {
        let values = product(input_shape);
        decoder.push(Diagonal { scale: vec![1.0; values], shift: vec![0.0; values] }.into_piece(input_shape));
    }
    likelihood
}

/// Whether the chain ended in a sigmoid, perhaps with its values in another order afterwards; now it does not.
fn remove_sigmoid(chain: &mut [Piece]) -> bool {
    let only_reorders = |piece: &Piece| {
        piece.activation == Activation::Identity && piece.index().is_some_and(|index| !index.contains(&None))
    };
    let last = match chain {
        [.., before, last] if only_reorders(last) => before,
        [.., last] => last,
        [] => return false,
    };
    let found = last.activation == Activation::Sigmoid;
    if found {
        last.activation = Activation::Identity;
    }
    found
}

fn ends_affine(chain: &[Piece]) -> bool {
    chain.last().is_some_and(|last| last.map.is_affine() && last.activation == Activation::Identity)
}

fn identity_matrix(size: usize) -> Result<Piece, ImportError> {
    let found = product(&[size, size]);
    if found > MAX_PARAMETERS {
        return Err(ArchitectureError::TooLarge { found }.into());
    }
    let mut weight = vec![0.0; found];
    weight.iter_mut().step_by(size + 1).for_each(|diagonal| *diagonal = 1.0);
    Ok(Piece::plain(Map::Dense { inputs: size, outputs: size }, vec![weight, vec![0.0; size]]))
}

fn layers(chain: &[Piece]) -> Vec<LayerShape> {
    chain.iter().map(Piece::layer).collect()
}

fn rounded(((name, shape), values): ((String, Vec<usize>), Vec<f64>)) -> Result<Parameter, ImportError> {
    let mut single = Vec::with_capacity(values.len());
    for (position, value) in values.into_iter().enumerate() {
        match value.to_f32().filter(|rounded| rounded.is_finite()) {
            Some(rounded) => single.push(rounded),
            None => return Err(ImportError::NotFinite { tensor: name, position, value }),
        }
    }
    Ok((name, shape, single))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layer::Windows;

    /// Shared layer, mean and standard deviation of width 2 from inputs of 3.
    fn encoder() -> EncoderParts {
        let mut mean = Sequence::new(&[3]);
        mean.dense(&[1.0; 12], &[0.0; 4]).unwrap();
        mean.activation(Activation::Relu).unwrap();
        let mut std = mean.clone();
        mean.dense(&[0.5; 8], &[1.0, 2.0]).unwrap();
        std.dense(&[0.25; 8], &[3.0, 4.0]).unwrap();
        EncoderParts { input_shape: vec![3], mean, std, std_link: StdLink::HalfLogVariance, std_floor: 0.0 }
    }

    fn decoder(last: Activation) -> DecoderParts {
        let mut decoder = Sequence::new(&[2]);
        decoder.dense(&[1.0; 6], &[0.1, 0.2, 0.3]).unwrap();
        decoder.activation(last).unwrap();
        DecoderParts { decoder }
    }

    #[test]
    fn the_shared_layers_become_the_trunk() {
        let model = assemble(encoder(), decoder(Activation::Sigmoid), LikelihoodChoice::Auto).unwrap();
        let names: Vec<_> = model.tensors.iter().map(|(name, shape, _)| (name.as_str(), shape.as_slice())).collect();
        assert_eq!(
            names,
            [
                ("encoder.trunk.0.weight", &[4, 3][..]),
                ("encoder.trunk.0.bias", &[4]),
                ("encoder.mean.0.weight", &[2, 4]),
                ("encoder.mean.0.bias", &[2]),
                ("encoder.std.0.weight", &[2, 4]),
                ("encoder.std.0.bias", &[2]),
                ("decoder.0.weight", &[3, 2]),
                ("decoder.0.bias", &[3]),
            ]
        );
        assert_eq!(model.tensors[5].2, [3.0, 4.0]);
        assert_eq!(model.tensors[7].2, [0.1, 0.2, 0.3]);
    }

    #[test]
    fn a_sigmoid_at_the_end_means_bernoulli_unless_told_otherwise() {
        let end = |activation, choice| {
            let model = assemble(encoder(), decoder(activation), choice).unwrap();
            let last = model.architecture.decoder.last().unwrap().activation;
            (model.architecture.likelihood, last, model.notes.len())
        };
        let (sigmoid, none) = (Activation::Sigmoid, Activation::Identity);
        let gaussian = LikelihoodChoice::Gaussian { std: 0.5 };
        assert_eq!(end(sigmoid, LikelihoodChoice::Auto), (Likelihood::Bernoulli, none, 1));
        assert_eq!(end(none, LikelihoodChoice::Auto), (Likelihood::Gaussian { std: 1.0 }, none, 1));
        assert_eq!(end(sigmoid, LikelihoodChoice::Bernoulli), (Likelihood::Bernoulli, none, 0));
        assert_eq!(end(none, LikelihoodChoice::Bernoulli), (Likelihood::Bernoulli, none, 1));
        assert_eq!(end(sigmoid, gaussian), (Likelihood::Gaussian { std: 0.5 }, sigmoid, 0));
    }

    #[test]
    fn a_sigmoid_is_found_in_front_of_a_new_order() {
        let mut parts = DecoderParts { decoder: Sequence::new(&[2]) };
        let image = [3, 1, 1];
        let windows = Windows {
            input: [2, 1, 1],
            output: image,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            padding: [0, 0],
            groups: 1,
        };
        parts.decoder.transposed_convolution(windows, &[1.0; 6], &[0.0; 3]).unwrap();
        parts.decoder.max_pool(Windows { input: image, groups: 3, ..windows }).unwrap();
        parts.decoder.activation(Activation::Sigmoid).unwrap();
        parts.decoder.gather(&[2, 1, 0].map(Some), &image).unwrap();
        let model = assemble(encoder(), parts, LikelihoodChoice::Auto).unwrap();
        assert_eq!(model.architecture.likelihood, Likelihood::Bernoulli);
        assert!(model.architecture.decoder.iter().all(|layer| layer.activation == Activation::Identity));
        assert_eq!(model.tensors.last().unwrap().2, [2.0, 1.0, 0.0]);
    }

    #[test]
    fn a_head_or_decoder_that_does_not_end_affine_gets_an_identity() {
        let mut curved = encoder();
        curved.mean.activation(Activation::Tanh).unwrap();
        let model = assemble(curved, decoder(Activation::Relu), LikelihoodChoice::Bernoulli).unwrap();
        assert_eq!(model.architecture.mean_head.len(), 2);
        assert_eq!(model.tensors[4], ("encoder.mean.1.weight".to_owned(), vec![2, 2], vec![1.0, 0.0, 0.0, 1.0]));
        assert_eq!(model.architecture.decoder.len(), 2);
        let mut equal = encoder();
        equal.std = equal.mean.clone();
        let model = assemble(equal, decoder(Activation::Identity), LikelihoodChoice::Auto).unwrap();
        assert_eq!([model.architecture.trunk.len(), model.architecture.std_head.len()], [2, 1]);
        let mut empty = encoder();
        empty.mean = Sequence::new(&[3]);
        empty.std = Sequence::new(&[3]);
        let nothing = DecoderParts { decoder: Sequence::new(&[3]) };
        assert!(assemble(empty, nothing, LikelihoodChoice::Auto).is_ok());
    }

    #[test]
    fn chains_that_do_not_fit_are_refused_with_both_sizes() {
        let refuse = |encoder, decoder| assemble(encoder, decoder, LikelihoodChoice::Auto).unwrap_err();
        let plain = || decoder(Activation::Identity);
        let mut wide = encoder();
        wide.std.dense(&[1.0; 6], &[0.0; 3]).unwrap();
        assert!(matches!(refuse(wide, plain()), ImportError::Heads { mean: 2, std: 3 }));
        let mut other = encoder();
        other.input_shape = vec![2, 2];
        assert!(matches!(refuse(other, plain()), ImportError::EncoderInput { .. }));
        let short = DecoderParts { decoder: Sequence::new(&[3]) };
        assert!(matches!(refuse(encoder(), short), ImportError::DecoderInput { expected: 2, found: 3 }));
        let narrow = DecoderParts { decoder: Sequence::new(&[2]) };
        let error = refuse(encoder(), narrow).to_string();
        assert_eq!(error, "the decoder gives values of shape [2], expected as many as the encoder takes: [3]");
    }

    #[test]
    fn what_single_precision_cannot_hold_and_what_cannot_be_built_is_refused() {
        let mut heavy = encoder();
        heavy.std.dense(&[1e40, 0.0, 0.0, 1.0], &[0.0; 2]).unwrap();
        let error = assemble(heavy, decoder(Activation::Identity), LikelihoodChoice::Auto).unwrap_err();
        assert!(
            matches!(error, ImportError::NotFinite { tensor, position: 0, .. } if tensor == "encoder.std.0.weight")
        );
        let negative = EncoderParts { std_floor: -1.0, ..encoder() };
        let error = assemble(negative, decoder(Activation::Identity), LikelihoodChoice::Auto).unwrap_err();
        assert!(matches!(error, ImportError::Architecture(ArchitectureError::StdFloor { .. })));
    }
}
