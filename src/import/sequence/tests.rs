use proptest::prelude::*;

use super::*;
use crate::import::testing::evaluate;

/// Rounding of double precision in chains of a few layers with weights of about 1.
const ROUNDING: f64 = 1e-9;

fn windows(input: [usize; 3], output: [usize; 3], kernel: usize, stride: usize, padding: usize) -> Windows {
    Windows {
        input,
        output,
        kernel: [kernel; 2],
        stride: [stride; 2],
        dilation: [1, 1],
        padding: [padding; 2],
        groups: 1,
    }
}

/// Numbers between −1 and 1 without a pattern.
fn numbers(count: usize, salt: usize) -> Vec<f64> {
    (0..count).map(|i| (((i + 1) * 7919 + salt * 104_729) as f64 * 0.618_033_988_749).fract() * 2.0 - 1.0).collect()
}

fn close(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= ROUNDING * (1.0 + a.abs()))
}

#[test]
fn the_naive_evaluation_agrees_with_values_by_hand() {
    let mut dense = Sequence::new(&[2]);
    dense.dense(&[1.0, 2.0, 3.0, 4.0], &[0.5, -0.5]).unwrap();
    assert_eq!(evaluate(dense.pieces(), &[1.0, 10.0]), [21.5, 42.5]);
    let mut convolution = Sequence::new(&[1, 2, 2]);
    let kernel = [1.0, 2.0, 3.0, 4.0];
    convolution.convolution(windows([1, 2, 2], [1, 2, 2], 2, 1, 1), &kernel, &[1.0]).unwrap();
    // Windows at (−1, −1), (−1, 0), (0, −1), (0, 0).
    assert_eq!(evaluate(convolution.pieces(), &[1.0, 2.0, 3.0, 4.0]), [5.0, 12.0, 15.0, 31.0]);
    let mut transposed = Sequence::new(&[1, 1, 2]);
    transposed.transposed_convolution(windows([1, 1, 2], [1, 2, 3], 2, 1, 0), &kernel, &[1.0]).unwrap();
    assert_eq!(evaluate(transposed.pieces(), &[10.0, 1.0]), [11.0, 22.0, 3.0, 31.0, 44.0, 5.0]);
    let mut maximum = Sequence::new(&[1, 2, 3]);
    maximum.max_pool(windows([1, 2, 3], [1, 1, 2], 2, 1, 0)).unwrap();
    assert_eq!(evaluate(maximum.pieces(), &[1.0, 5.0, 2.0, 0.0, 3.0, 9.0]), [5.0, 9.0]);
}

#[test]
fn batch_normalisation_disappears_in_the_weights() {
    let mut chain = Sequence::new(&[1, 3, 3]);
    chain.convolution(windows([1, 3, 3], [2, 2, 2], 2, 1, 0), &numbers(8, 0), &[1.0, 2.0]).unwrap();
    chain.scale_and_shift(&[2.0, -3.0], &[0.5, 0.25]).unwrap();
    assert_eq!(chain.pieces().len(), 1);
    assert_eq!(chain.pieces()[0].parameters[1], [2.5, -5.75]);
    assert_eq!(chain.pieces()[0].parameters[0][4], numbers(8, 0)[4] * -3.0);
}

#[test]
fn the_scale_of_selu_goes_into_the_layer_that_follows() {
    let mut chain = Sequence::new(&[2]);
    chain.dense(&[1.0, 0.0, 0.0, 1.0], &[0.0, 0.0]).unwrap();
    chain.selu().unwrap();
    assert_eq!(chain.pieces().len(), 2);
    chain.dense(&[1.0, -1.0], &[0.0]).unwrap();
    assert_eq!(chain.pieces().len(), 2);
    assert_eq!(chain.pieces()[1].parameters[0], [SELU_SCALE, -SELU_SCALE]);
    assert_eq!(chain.pieces()[0].activation, Activation::Elu { alpha: SELU_ALPHA });
}

#[test]
fn a_shift_in_front_of_padding_keeps_its_own_layer() {
    let mut chain = Sequence::new(&[1, 2, 2]);
    chain.scale_and_shift(&[2.0], &[1.0]).unwrap();
    let mut inside = chain.clone();
    inside.convolution(windows([1, 2, 2], [1, 1, 1], 2, 1, 0), &[1.0, 2.0, 3.0, 4.0], &[0.0]).unwrap();
    assert_eq!(inside.pieces().len(), 1);
    assert_eq!(inside.pieces()[0].parameters, [vec![2.0, 4.0, 6.0, 8.0], vec![10.0]]);
    chain.convolution(windows([1, 2, 2], [1, 3, 3], 2, 1, 1), &[1.0, 2.0, 3.0, 4.0], &[0.0]).unwrap();
    assert_eq!(chain.pieces().len(), 2);
}

#[test]
fn zeros_around_an_image_become_padding() {
    let mut chain = Sequence::new(&[2, 2, 3]);
    let place = |i: usize| {
        let (channel, row, column) = (i / 20, i / 5 % 4, i % 5);
        ((1..3).contains(&row) && column >= 2).then(|| channel * 6 + (row - 1) * 3 + column - 2)
    };
    chain.gather(&(0..40).map(place).collect::<Vec<_>>(), &[2, 4, 5]).unwrap();
    chain.convolution(windows([2, 4, 5], [1, 3, 4], 2, 1, 0), &numbers(8, 1), &[0.0]).unwrap();
    let expected = Windows { padding: [1, 2], ..windows([2, 2, 3], [1, 3, 4], 2, 1, 0) };
    assert_eq!(chain.pieces().len(), 1);
    assert_eq!(chain.pieces()[0].map, Map::Convolution(expected));
}

#[test]
fn rows_cut_off_a_transposed_convolution_become_its_padding() {
    let mut chain = Sequence::new(&[1, 2, 2]);
    chain.transposed_convolution(windows([1, 2, 2], [1, 5, 5], 3, 2, 0), &numbers(9, 2), &[0.5]).unwrap();
    chain.gather(&(0..16).map(|i| Some((i / 4 + 1) * 5 + i % 4)).collect::<Vec<_>>(), &[1, 4, 4]).unwrap();
    let expected = Windows { padding: [1, 0], ..windows([1, 2, 2], [1, 4, 4], 3, 2, 0) };
    assert_eq!(chain.pieces().len(), 1);
    assert_eq!(chain.pieces()[0].map, Map::TransposedConvolution(expected));
}

#[test]
fn interleaved_heads_of_one_dense_layer_become_two_layers() {
    let mut trunk = Sequence::new(&[3]);
    trunk.dense(&numbers(6, 3), &[0.0, 0.0]).unwrap();
    trunk.activation(Activation::Relu).unwrap();
    trunk.dense(&numbers(8, 4), &[1.0, 2.0, 3.0, 4.0]).unwrap();
    let (mut mean, mut std) = (trunk.clone(), trunk);
    mean.gather(&[Some(0), Some(2)], &[2]).unwrap();
    std.gather(&[Some(1), Some(3)], &[2]).unwrap();
    let (common, mean, std) = Sequence::split_common(&mean, &std);
    assert_eq!([common.len(), mean.len(), std.len()], [1, 1, 1]);
    assert_eq!(mean[0].parameters[1], [1.0, 3.0]);
    assert_eq!(std[0].parameters[1], [2.0, 4.0]);
}

#[test]
fn whole_channels_are_picked_from_a_transposed_convolution() {
    let mut chain = Sequence::new(&[2, 1, 1]);
    let weight = numbers(2 * 3 * 4, 5);
    chain.transposed_convolution(windows([2, 1, 1], [3, 2, 2], 2, 1, 0), &weight, &[1.0, 2.0, 3.0]).unwrap();
    chain.gather(&(8..12).chain(0..4).map(Some).collect::<Vec<_>>(), &[2, 2, 2]).unwrap();
    assert_eq!(chain.pieces().len(), 1);
    assert_eq!(chain.pieces()[0].parameters[1], [3.0, 1.0]);
    let expected: Vec<f64> = [8..12, 0..4, 20..24, 12..16].into_iter().flatten().map(|i: usize| weight[i]).collect();
    assert_eq!(chain.pieces()[0].parameters[0], expected);
}

#[test]
fn two_gathers_that_undo_each_other_leave_nothing() {
    let mut chain = Sequence::new(&[2, 2]);
    for _ in 0..2 {
        chain.gather(&[0, 2, 1, 3].map(Some), &[2, 2]).unwrap();
    }
    assert_eq!(chain.pieces(), []);
}

#[test]
fn a_zero_is_put_behind_an_activation_that_gives_another_value_at_zero() {
    for (activation, layers) in [(Activation::Sigmoid, 2), (Activation::Tanh, 1)] {
        let mut chain = Sequence::new(&[2]);
        chain.dense(&[1.0, 0.0, 0.0, 1.0], &[0.0, 0.0]).unwrap();
        chain.activation(activation).unwrap();
        chain.gather(&[None, Some(0)], &[2]).unwrap();
        assert_eq!(evaluate(chain.pieces(), &[0.5, 1.0]), [0.0, activation.value(0.5)]);
        assert_eq!(chain.pieces().len(), layers);
    }
}

#[test]
fn matrices_are_multiplied_only_where_that_saves_weights() {
    let mut narrow = Sequence::new(&[4]);
    narrow.dense(&numbers(4, 6), &[1.0]).unwrap();
    let mut wide = narrow.clone();
    narrow.dense(&numbers(4, 7), &[0.0; 4]).unwrap();
    assert_eq!(narrow.pieces().len(), 2);
    wide.dense(&[3.0], &[0.5]).unwrap();
    assert_eq!(wide.pieces().len(), 1);
    assert_eq!(wide.pieces()[0].parameters[1], [3.5]);
}

#[test]
fn a_mean_over_windows_counts_places_outside_only_if_told() {
    let depthwise = Windows { groups: 2, ..windows([2, 2, 2], [2, 2, 2], 2, 1, 1) };
    let input = [4.0, 8.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0];
    let mut counted = Sequence::new(&[2, 2, 2]);
    counted.average_pool(depthwise, true).unwrap();
    assert_eq!(evaluate(counted.pieces(), &input), [1.0, 3.0, 1.0, 3.0, 0.25, 0.5, 0.5, 1.0]);
    let mut inside = Sequence::new(&[2, 2, 2]);
    inside.average_pool(depthwise, false).unwrap();
    assert_eq!(evaluate(inside.pieces(), &input), [4.0, 6.0, 2.0, 3.0, 1.0, 1.0, 1.0, 1.0]);
}

#[test]
fn an_activation_without_a_layer_gets_one_that_changes_nothing() {
    let mut chain = Sequence::new(&[2, 1, 1]);
    chain.activation(Activation::Tanh).unwrap();
    chain.activation(Activation::Relu).unwrap();
    assert_eq!(chain.pieces().len(), 2);
    assert_eq!(evaluate(chain.pieces(), &[-1.0, 0.5]), [0.0, 0.5_f64.tanh()]);
    chain.activation(Activation::Clip { low: 0.0, high: 0.25 }).unwrap();
    assert_eq!(chain.pieces().len(), 2);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let mut chain = Sequence::new(&[1, 2, 3]);
    assert!(matches!(chain.reshape(&[7]), Err(SequenceError::Reshape { .. })));
    let weight = chain.dense(&[1.0; 11], &[0.0; 2]).unwrap_err();
    assert_eq!(weight.to_string(), "the weight of a dense layer has 11 values, expected 12");
    let other = chain.convolution(windows([1, 2, 2], [1, 1, 1], 2, 1, 0), &[1.0; 4], &[0.0]);
    assert!(matches!(other, Err(SequenceError::Inputs { expected: 4, found: 6, .. })));
    let bias = chain.convolution(windows([1, 2, 3], [1, 1, 1], 2, 1, 0), &[1.0; 4], &[0.0, 0.0]);
    assert!(matches!(bias, Err(SequenceError::Parameter { parameter: "bias", .. })));
    let blind = chain.max_pool(windows([1, 2, 3], [1, 1, 9], 2, 1, 0));
    assert!(matches!(blind, Err(SequenceError::Layer(LayerError::EmptyWindow { .. }))));
    assert!(matches!(chain.gather(&[Some(0)], &[2]), Err(SequenceError::IndexLength { .. })));
    let beyond = chain.gather(&[None, Some(6)], &[2]);
    assert_eq!(beyond, Err(SequenceError::Index { position: 1, found: 6, width: 6 }));
    assert!(matches!(chain.gather(&[], &[0]), Err(SequenceError::Layer(LayerError::Zero { .. }))));
    assert!(matches!(chain.scale_and_shift(&[1.0; 2], &[0.0]), Err(SequenceError::Scale { found: 2, .. })));
    let slope = chain.activation(Activation::LeakyRelu { slope: -1.0 });
    assert!(matches!(slope, Err(SequenceError::Layer(LayerError::Activation { .. }))));
    let mut huge = Sequence::new(&[usize::MAX, 2]);
    assert!(matches!(huge.scale_and_shift(&[2.0], &[0.0]), Err(SequenceError::Layer(LayerError::TooLarge { .. }))));
    assert!(huge.dense(&[1.0], &[0.0]).is_err());
    assert_eq!((chain.shape(), chain.pieces()), (&[1, 2, 3][..], &[][..]));
}

/// One operation on an image whose sides are even numbers of a few pixels or single pixels; what does not apply does nothing.
#[derive(Debug, Clone)]
enum Operation {
    Dense(usize),
    Convolution { kernel: usize, padding: usize, outputs: usize },
    Transposed { kernel: usize, stride: usize, padding: usize, outputs: usize },
    Depthwise,
    MaxPool,
    AveragePool(bool),
    Pad([usize; 4]),
    Crop([usize; 4]),
    Channels(usize),
    Permute,
    Scale { per_value: bool, shift: bool },
    Selu,
    Activation(Activation),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (1..6_usize).prop_map(Operation::Dense),
        (1..4_usize, 0..2_usize, 1..4_usize).prop_map(|(kernel, padding, outputs)| Operation::Convolution {
            kernel,
            padding,
            outputs
        }),
        (1..4_usize, 1..3_usize, 0..2_usize, 1..4_usize).prop_map(|(kernel, stride, padding, outputs)| {
            Operation::Transposed { kernel, stride, padding, outputs }
        }),
        Just(Operation::Depthwise),
        Just(Operation::MaxPool),
        any::<bool>().prop_map(Operation::AveragePool),
        [0..2_usize, 0..2_usize, 0..2_usize, 0..2_usize].prop_map(Operation::Pad),
        [0..2_usize, 0..2_usize, 0..2_usize, 0..2_usize].prop_map(Operation::Crop),
        (0..7_usize).prop_map(Operation::Channels),
        Just(Operation::Permute),
        any::<(bool, bool)>().prop_map(|(per_value, shift)| Operation::Scale { per_value, shift }),
        Just(Operation::Selu),
        prop::sample::select(&crate::model::activation::ALL_ACTIVATIONS[..]).prop_map(Operation::Activation),
    ]
}

/// Appends `operation` with weights drawn from `salt`.
fn apply(chain: &mut Sequence, operation: &Operation, salt: usize) -> Result<(), SequenceError> {
    let image: [usize; 3] = <[usize; 3]>::try_from(chain.shape()).unwrap_or([chain.width(), 1, 1]);
    let [channels, height, width] = image;
    let smallest = height.min(width);
    match *operation {
        Operation::Dense(outputs) => chain.dense(&numbers(outputs * chain.width(), salt), &numbers(outputs, salt + 1)),
        Operation::Convolution { kernel, padding, outputs } if smallest + 2 * padding >= kernel => {
            let [rows, columns] = [height, width].map(|size| size + 2 * padding - kernel + 1);
            let windows = windows(image, [outputs, rows, columns], kernel, 1, padding);
            let weight = numbers(outputs * channels * kernel * kernel, salt);
            chain.convolution(windows, &weight, &numbers(outputs, salt + 1))
        }
        Operation::Transposed { kernel, stride, padding, outputs } if kernel > 2 * padding => {
            let [rows, columns] = [height, width].map(|size| (size - 1) * stride + kernel - 2 * padding);
            let windows = windows(image, [outputs, rows, columns], kernel, stride, padding);
            let weight = numbers(outputs * channels * kernel * kernel, salt);
            chain.transposed_convolution(windows, &weight, &numbers(outputs, salt + 1))
        }
        Operation::Depthwise => {
            let windows = Windows { groups: channels, ..windows(image, image, 3, 1, 1) };
            chain.convolution(windows, &numbers(channels * 9, salt), &numbers(channels, salt + 1))
        }
        Operation::MaxPool | Operation::AveragePool(_) if smallest >= 2 => {
            let output = [channels, height / 2 + 1, width / 2 + 1];
            let windows = Windows { groups: channels, ..windows(image, output, 2, 2, 1) };
            let inside = Windows { output: [channels, height.div_ceil(2), width.div_ceil(2)], ..windows };
            match operation {
                Operation::AveragePool(outside_counts) => chain.average_pool(inside, *outside_counts),
                _ => chain.max_pool(inside),
            }
        }
        Operation::Pad([top, left, bottom, right]) => {
            let shape = [channels, top + height + bottom, left + width + right];
            let place = |channel: usize, row: usize, column: usize| {
                let (row, column) = (row.checked_sub(top)?, column.checked_sub(left)?);
                (row < height && column < width).then_some((channel * height + row) * width + column)
            };
            chain.gather(&places(shape, place), &shape)
        }
        Operation::Crop([top, left, bottom, right]) if smallest > 2 => {
            let shape = [channels, height - top - bottom, width - left - right];
            let place = |channel, row, column| Some((channel * height + top + row) * width + left + column);
            chain.gather(&places(shape, place), &shape)
        }
        Operation::Channels(pick) => {
            let shape = [channels.div_ceil(2), height, width];
            let place = |channel, row, column| Some(((channel + pick) % channels * height + row) * width + column);
            chain.gather(&places(shape, place), &shape)
        }
        Operation::Permute => {
            let index: Vec<_> =
                (0..chain.width()).rev().map(|i| (i % 5 != 1 || salt.is_multiple_of(2)).then_some(i)).collect();
            let shape = chain.shape().to_vec();
            chain.gather(&index, &shape)
        }
        Operation::Scale { per_value, shift } => {
            let count = if per_value { chain.width() } else { channels };
            let shift = if shift { numbers(count, salt + 1) } else { vec![0.0] };
            chain.scale_and_shift(&numbers(count, salt), &shift)
        }
        Operation::Selu => chain.selu(),
        Operation::Activation(activation) => chain.activation(activation),
        _ => Ok(()),
    }
}

fn places(shape: [usize; 3], place: impl Fn(usize, usize, usize) -> Option<usize>) -> Vec<Option<usize>> {
    let [channels, height, width] = shape;
    (0..channels * height * width).map(|i| place(i / (height * width), i / width % height, i % width)).collect()
}

proptest! {
    #![proptest_config(crate::testing::seeded(2000))]

    /// Each operation on a chain of its own has nothing to be folded into.
    #[test]
    fn a_folded_chain_computes_what_its_operations_compute_one_by_one(
        operations in prop::collection::vec(operation(), 1..9),
        channels in 1..4_usize,
        side in 1..5_usize,
    ) {
        let mut chain = Sequence::new(&[channels, side, side + 1]);
        let mut values = numbers(chain.width(), 11);
        let input = values.clone();
        for (salt, operation) in operations.iter().enumerate() {
            if chain.width() > 400 {
                break;
            }
            let mut alone = Sequence::new(chain.shape());
            apply(&mut alone, operation, 3 * salt).unwrap();
            apply(&mut chain, operation, 3 * salt).unwrap();
            values = evaluate(alone.pieces(), &values);
            prop_assert_eq!(alone.shape(), chain.shape());
        }
        let folded = evaluate(chain.pieces(), &input);
        prop_assert!(close(&folded, &values), "{:?}\n{:?}", folded, values);
        prop_assert!(chain.pieces().iter().all(|piece| piece.layer().check().is_ok()));
    }
}
