//! One layer of a chain under construction, with its weights.

use num_traits::ToPrimitive;

use crate::model::activation::Activation;
use crate::model::layer::{LayerShape, Map, Windows};

/// A layer and its parameters. Weights are kept in double precision and rounded once, at the end.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// The part in front of the activation.
    pub map: Map,
    /// φ.
    pub activation: Activation,
    /// The parameter tensors, row-major, as [`Map::parameters`] orders them.
    pub parameters: Vec<Vec<f64>>,
}

impl Piece {
    /// The layer without its parameters.
    #[must_use]
    pub fn layer(&self) -> LayerShape {
        LayerShape { map: self.map, activation: self.activation }
    }

    /// A map without activation.
    pub(super) fn plain(map: Map, parameters: Vec<Vec<f64>>) -> Self {
        Self { map, activation: Activation::Identity, parameters }
    }

    /// Output i is input `index[i]`, or 0.
    pub(super) fn gather(inputs: usize, index: &[Option<usize>]) -> Self {
        let numbers = index.iter().map(|place| place.map_or(-1.0, |place| place as f64)).collect();
        Self::plain(Map::Gather { inputs, outputs: index.len() }, vec![numbers])
    }

    /// The index of a [`Map::Gather`]; none for any other map.
    pub(super) fn index(&self) -> Option<Vec<Option<usize>>> {
        match (&self.map, self.parameters.as_slice()) {
            (Map::Gather { .. }, [index]) => Some(index.iter().map(ToPrimitive::to_usize).collect()),
            _ => None,
        }
    }

    /// Whether the activation is the identity.
    pub(super) fn is_plain(&self) -> bool {
        self.activation == Activation::Identity
    }
}

/// h ↦ h ∘ scale + shift, value by value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Diagonal {
    pub(super) scale: Vec<f64>,
    pub(super) shift: Vec<f64>,
}

impl Diagonal {
    /// The map of a piece that scales and shifts each channel and has no activation; none for any other piece.
    pub(super) fn of(piece: &Piece) -> Option<Self> {
        let (Map::Convolution(windows), true, [scale, shift]) =
            (piece.map, piece.is_plain(), piece.parameters.as_slice())
        else {
            return None;
        };
        let area = windows.input[1] * windows.input[2];
        let spread = |values: &[f64]| values.iter().flat_map(|&value| std::iter::repeat_n(value, area)).collect();
        let keeps_every_value = windows.input == windows.output
            && windows.groups == windows.input[0]
            && windows.kernel == [1, 1]
            && windows.stride == [1, 1]
            && windows.padding == [0, 0];
        keeps_every_value.then(|| Self { scale: spread(scale), shift: spread(shift) })
    }

    /// This map, then `next`.
    pub(super) fn then(&self, next: &Self) -> Self {
        let scale = self.scale.iter().zip(&next.scale).map(|(first, second)| first * second).collect();
        let shifted = self.shift.iter().zip(next.scale.iter().zip(&next.shift));
        Self { scale, shift: shifted.map(|(shift, (scale, more))| shift * scale + more).collect() }
    }

    pub(super) fn is_identity(&self) -> bool {
        self.scale.iter().all(|scale| scale.total_cmp(&1.0).is_eq()) && !self.shifts()
    }

    /// Whether any value is shifted.
    pub(super) fn shifts(&self) -> bool {
        self.shift.iter().any(|&shift| shift != 0.0)
    }

    /// One scale and one shift per channel, where every value of a channel has the same.
    pub(super) fn by_channel(&self, channels: usize) -> Option<Self> {
        Some(Self { scale: constants(&self.scale, channels)?, shift: constants(&self.shift, channels)? })
    }

    /// A 1×1 convolution in which no channel sees another: of the channels of `shape` where that is enough, otherwise of
    /// as many channels as there are values.
    pub(super) fn into_piece(self, shape: &[usize]) -> Piece {
        let values = self.scale.len();
        let channels = shape.first().copied().unwrap_or(1);
        let (image, each) = match (self.by_channel(channels), shape) {
            (Some(each), &[channels, height, width]) => ([channels, height, width], each),
            (Some(each), _) => ([channels, 1, values / channels.max(1)], each),
            (None, _) => ([values, 1, 1], self),
        };
        let windows = Windows {
            input: image,
            output: image,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            padding: [0, 0],
            groups: image[0],
        };
        Piece::plain(Map::Convolution(windows), vec![each.scale, each.shift])
    }
}

/// The value of each of `channels` equal parts, where it is the same throughout the part.
fn constants(values: &[f64], channels: usize) -> Option<Vec<f64>> {
    if channels == 0 || !values.len().is_multiple_of(channels) || values.is_empty() {
        return None;
    }
    values
        .chunks(values.len() / channels)
        .map(|part| part.iter().all(|value| value.total_cmp(&part[0]).is_eq()).then(|| part[0]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagonal(scale: &[f64], shift: &[f64]) -> Diagonal {
        Diagonal { scale: scale.to_vec(), shift: shift.to_vec() }
    }

    #[test]
    fn a_diagonal_map_survives_the_way_into_a_piece_and_back() {
        let by_channel = diagonal(&[2.0, 2.0, 3.0, 3.0], &[0.0, 0.0, 1.0, 1.0]);
        let piece = by_channel.clone().into_piece(&[2, 1, 2]);
        assert_eq!(piece.parameters, [[2.0, 3.0], [0.0, 1.0]]);
        assert_eq!(Diagonal::of(&piece), Some(by_channel));
        let by_value = diagonal(&[2.0, 3.0, 4.0, 5.0], &[0.0; 4]);
        let piece = by_value.clone().into_piece(&[2, 1, 2]);
        assert!(matches!(piece.map, Map::Convolution(Windows { input: [4, 1, 1], groups: 4, .. })));
        assert_eq!(Diagonal::of(&piece), Some(by_value));
    }

    #[test]
    fn diagonal_maps_compose_in_order() {
        let both = diagonal(&[2.0], &[1.0]).then(&diagonal(&[10.0], &[-3.0]));
        assert_eq!(both, diagonal(&[20.0], &[7.0]));
    }

    #[test]
    fn a_piece_with_an_activation_or_a_larger_window_is_not_diagonal() {
        let mut piece = diagonal(&[2.0, 3.0], &[0.0, 0.0]).into_piece(&[2]);
        piece.activation = Activation::Relu;
        assert_eq!(Diagonal::of(&piece), None);
        piece.activation = Activation::Identity;
        if let Map::Convolution(windows) = &mut piece.map {
            windows.stride = [2, 2];
        }
        assert_eq!(Diagonal::of(&piece), None);
    }

    #[test]
    fn an_index_reads_back_with_its_zeros() {
        let index = vec![Some(2), None, Some(0)];
        assert_eq!(Piece::gather(3, &index).index(), Some(index));
        assert_eq!(diagonal(&[1.0], &[0.0]).into_piece(&[1]).index(), None);
    }
}
