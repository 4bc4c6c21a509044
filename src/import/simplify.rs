//! Folding: one operation into the layer before or after it, where that is exact over the real numbers.

use super::piece::{Diagonal, Piece};
use crate::model::activation::Activation;
use crate::model::layer::{product, Map, Windows};

/// No two matrices are multiplied that need more multiplications than this.
const MAX_MATRIX_PRODUCT: usize = 1 << 31;

/// Both activations, the second after the first, as one; none where that is not one of ours.
pub(super) fn composition(first: Activation, second: Activation) -> Option<Activation> {
    use Activation::{Clip, Identity, Relu, Sigmoid, Softplus};
    match (first, second) {
        (Identity, only) | (only, Identity) => Some(only),
        (Relu | Sigmoid | Softplus, Relu) => Some(first),
        (Clip { low, .. }, Relu) if low >= 0.0 => Some(first),
        (Relu, Clip { low, .. }) if low >= 0.0 => Some(second),
        _ => None,
    }
}

/// Appends h ∘ scale + shift, where the values have `shape`: into the weights of the last layer if it can take it.
pub(super) fn append_diagonal(pieces: &mut Vec<Piece>, by: Diagonal, shape: &[usize]) {
    let Some(last) = pieces.last_mut() else { return pieces.push(by.into_piece(shape)) };
    if scale_outputs(last, &by) {
        return;
    }
    let both = Diagonal::of(last).map(|first| first.then(&by));
    if both.is_some() {
        pieces.pop();
    }
    pieces.push(both.unwrap_or(by).into_piece(shape));
}

/// Appends a gather of `width` values: into the last layer if it can take it.
pub(super) fn append_gather(pieces: &mut Vec<Piece>, width: usize, index: &[Option<usize>]) {
    if is_identity(width, index) {
        return;
    }
    if !pieces.last_mut().is_some_and(|last| pick_outputs(last, index)) {
        return pieces.push(Piece::gather(width, index));
    }
    let changes_nothing =
        |piece: &Piece| piece.is_plain() && piece.index().is_some_and(|index| is_identity(piece.map.inputs(), &index));
    if pieces.last().is_some_and(changes_nothing) {
        pieces.pop();
    }
}

/// Changes `into` so that it also does what `before` does in front of it; false, and no change, where it cannot.
pub(super) fn absorb(before: &Piece, into: &mut Piece) -> bool {
    if !before.is_plain() {
        return false;
    }
    if let Some(by) = Diagonal::of(before) {
        return scale_inputs(into, &by);
    }
    match (before.map, into.map) {
        (Map::Dense { .. }, Map::Dense { .. }) => multiply(before, into),
        (Map::Gather { .. }, Map::Dense { .. }) => gather_columns(before, into),
        (Map::Gather { .. }, Map::Convolution(windows)) => {
            let padded = before.index().and_then(|index| pad(&windows, before.map.inputs(), &index));
            padded.is_some_and(|windows| {
                into.map = Map::Convolution(windows);
                true
            })
        }
        _ => false,
    }
}

fn is_identity(width: usize, index: &[Option<usize>]) -> bool {
    width == index.len() && index.iter().enumerate().all(|(i, &place)| place == Some(i))
}

/// Channels of the input and of the output of a map with weights; those of a dense layer are single values.
fn channels(map: &Map) -> Option<(usize, usize)> {
    match map {
        Map::Dense { inputs, outputs } => Some((*inputs, *outputs)),
        Map::Convolution(w) | Map::TransposedConvolution(w) => Some((w.input[0], w.output[0])),
        Map::Gather { .. } | Map::MaxPool(_) => None,
    }
}

/// The input channel and the output channel that the weight at `position` connects.
fn ends(map: &Map, position: usize) -> (usize, usize) {
    match map {
        Map::Dense { inputs, .. } => (position % inputs, position / inputs),
        Map::Convolution(w) => {
            let (output, input) = grouped(position / product(&w.kernel), w.output[0], w.input[0], w.groups);
            (input, output)
        }
        Map::TransposedConvolution(w) => grouped(position / product(&w.kernel), w.input[0], w.output[0], w.groups),
        Map::Gather { .. } | Map::MaxPool(_) => (0, 0),
    }
}

/// Row and column of the full matrix, of which `position` is a place in the blocks of its `groups`.
fn grouped(position: usize, rows: usize, columns: usize, groups: usize) -> (usize, usize) {
    let (rows_each, columns_each) = (rows / groups, columns / groups);
    let row = position / columns_each;
    (row, row / rows_each * columns_each + position % columns_each)
}

/// `by` after a layer, in its weights.
fn scale_outputs(last: &mut Piece, by: &Diagonal) -> bool {
    let by = channels(&last.map).filter(|_| last.is_plain()).and_then(|(_, outputs)| by.by_channel(outputs));
    let (Some(by), [weight, bias]) = (by, last.parameters.as_mut_slice()) else { return false };
    for (position, weight) in weight.iter_mut().enumerate() {
        *weight *= by.scale[ends(&last.map, position).1];
    }
    for (bias, (scale, shift)) in bias.iter_mut().zip(by.scale.iter().zip(&by.shift)) {
        *bias = *bias * scale + shift;
    }
    true
}

/// `by` in front of a layer, in its weights. A shift goes where every output sees the same of it.
fn scale_inputs(next: &mut Piece, by: &Diagonal) -> bool {
    let by = channels(&next.map).and_then(|(inputs, _)| by.by_channel(inputs));
    let sees_all = match &next.map {
        Map::Dense { .. } => true,
        Map::Convolution(windows) => stays_inside(windows),
        _ => false,
    };
    let by = by.filter(|by| sees_all || !by.shifts());
    let (Some(by), [weight, bias]) = (by, next.parameters.as_mut_slice()) else { return false };
    for (position, weight) in weight.iter_mut().enumerate() {
        let (input, output) = ends(&next.map, position);
        bias[output] += *weight * by.shift[input];
        *weight *= by.scale[input];
    }
    true
}

/// Whether no place of any window lies outside the image.
fn stays_inside(windows: &Windows) -> bool {
    (0..2).all(|axis| {
        let (last_window, last_offset) = (windows.output[axis + 1] - 1, windows.kernel[axis] - 1);
        windows.padding[axis] == 0 && windows.place(axis, last_window, last_offset).is_some()
    })
}

/// Keeps the outputs that `index` names. An activation does not mind, unless a zero would have to come out of it that it
/// does not give at 0.
fn pick_outputs(last: &mut Piece, index: &[Option<usize>]) -> bool {
    if index.contains(&None) && last.activation.value(0.0_f64) != 0.0 {
        return false;
    }
    match last.map {
        Map::Dense { inputs, outputs } => index.len() <= outputs && pick_rows(last, inputs, index),
        Map::Gather { inputs, .. } => last.index().is_some_and(|first| {
            let both: Vec<_> = index.iter().map(|place| place.and_then(|place| first[place])).collect();
            *last = Piece { activation: last.activation, ..Piece::gather(inputs, &both) };
            true
        }),
        Map::Convolution(windows) => pick_channels(last, windows, index),
        Map::TransposedConvolution(windows) => pick_channels(last, windows, index) || crop(last, windows, index),
        Map::MaxPool(_) => false,
    }
}

fn pick_rows(last: &mut Piece, inputs: usize, index: &[Option<usize>]) -> bool {
    let [weight, bias] = last.parameters.as_mut_slice() else { return false };
    let mut picked = Vec::with_capacity(index.len() * inputs);
    for place in index {
        match place {
            Some(row) => picked.extend_from_slice(&weight[row * inputs..(row + 1) * inputs]),
            None => picked.extend(std::iter::repeat_n(0.0, inputs)),
        }
    }
    *weight = picked;
    *bias = index.iter().map(|place| place.map_or(0.0, |row| bias[row])).collect();
    last.map = Map::Dense { inputs, outputs: index.len() };
    true
}

/// Keeps whole channels of a convolution whose channels all see each other.
fn pick_channels(last: &mut Piece, windows: Windows, index: &[Option<usize>]) -> bool {
    let picked = whole_blocks(index, windows.output[1] * windows.output[2]);
    let Some(picked) = picked.filter(|picked| windows.groups == 1 && picked.len() <= windows.output[0]) else {
        return false;
    };
    let [weight, bias] = last.parameters.as_mut_slice() else { return false };
    let windows_of_picked = Windows { output: [picked.len(), windows.output[1], windows.output[2]], ..windows };
    let (kernel, outputs) = (product(&windows.kernel), windows.output[0]);
    // A transposed convolution has its output channels in the second place, a convolution in the first.
    let (rows, each) = match last.map {
        Map::TransposedConvolution(_) => (windows.input[0], kernel),
        _ => (1, windows.input[0] * kernel),
    };
    let channel = |row: usize, channel: usize| (row * outputs + channel) * each..(row * outputs + channel + 1) * each;
    let picks = (0..rows).flat_map(|row| picked.iter().map(move |&picked| (row, picked)));
    *weight = picks.flat_map(|(row, picked)| weight[channel(row, picked)].iter().copied()).collect();
    *bias = picked.iter().map(|&picked| bias[picked]).collect();
    last.map = match last.map {
        Map::TransposedConvolution(_) => Map::TransposedConvolution(windows_of_picked),
        _ => Map::Convolution(windows_of_picked),
    };
    true
}

/// The numbers of the blocks of `size` places that make up `index`.
fn whole_blocks(index: &[Option<usize>], size: usize) -> Option<Vec<usize>> {
    if size == 0 || !index.len().is_multiple_of(size) {
        return None;
    }
    let block = |places: &[Option<usize>]| {
        let first = places[0].filter(|first| first.is_multiple_of(size))?;
        let in_order = places.iter().enumerate().all(|(i, &place)| place == Some(first + i));
        in_order.then_some(first / size)
    };
    index.chunks(size).map(block).collect()
}

/// Drops rows and columns at the rim of a transposed convolution's output.
fn crop(last: &mut Piece, windows: Windows, index: &[Option<usize>]) -> bool {
    let [channels, height, width] = windows.output;
    // The places of the smaller image within the larger one, read backwards, are zeros around an image.
    let Some([top, left, rows, columns]) = rectangle(index, channels, [height, width]) else { return false };
    let padding = [windows.padding[0] + top, windows.padding[1] + left];
    last.map = Map::TransposedConvolution(Windows { output: [channels, rows, columns], padding, ..windows });
    true
}

/// The rectangle \[top, left, rows, columns\] that `index` cuts out of every one of `channels` images of `size`.
fn rectangle(index: &[Option<usize>], channels: usize, size: [usize; 2]) -> Option<[usize; 4]> {
    let [height, width] = size;
    let first = (*index.first()?)?;
    let (top, left) = (first / width, first % width);
    let columns = (0..width - left).take_while(|&i| index.get(i) == Some(&Some(first + i))).count();
    let rows = index.len() / (channels * columns);
    let fits = index.len() == channels * rows * columns && top + rows <= height;
    let place = |i: usize| {
        let (channel, row, column) = (i / (rows * columns), i / columns % rows, i % columns);
        (channel * height + top + row) * width + left + column
    };
    (fits && index.iter().enumerate().all(|(i, &found)| found == Some(place(i)))).then_some([top, left, rows, columns])
}

/// The windows of a convolution that also do what the gather in front of it does: to put zeros around each channel.
fn pad(windows: &Windows, inputs: usize, index: &[Option<usize>]) -> Option<Windows> {
    let [channels, height, width] = windows.input;
    let first = index.iter().position(Option::is_some)?;
    let (top, left) = (first / width, first % width);
    let columns = (0..width - left).take_while(|i| index[first + i] == Some(*i)).count();
    let rows = inputs / (channels * columns.max(1));
    let expected = |i: usize| {
        let (channel, row, column) = (i / (height * width), i / width % height, i % width);
        let (row, column) = (row.checked_sub(top)?, column.checked_sub(left)?);
        (row < rows && column < columns).then_some((channel * rows + row) * columns + column)
    };
    let pads = inputs == channels * rows * columns && index.iter().enumerate().all(|(i, &place)| place == expected(i));
    let padding = [windows.padding[0] + top, windows.padding[1] + left];
    // Rows or columns cut off would be seen by no window and lost.
    let keeps_all = top + rows <= height && left + columns <= width;
    (pads && keeps_all).then_some(Windows { input: [channels, rows, columns], padding, ..*windows })
}

/// A gather in front of a dense layer, in the layer's columns, unless that would make the layer larger.
fn gather_columns(before: &Piece, into: &mut Piece) -> bool {
    let (Some(index), Map::Dense { inputs, outputs }) = (before.index(), into.map) else { return false };
    let columns = before.map.inputs();
    if columns > inputs {
        return false;
    }
    let mut weight = vec![0.0; outputs * columns];
    for (row, old) in weight.chunks_mut(columns).zip(into.parameters[0].chunks(inputs)) {
        for (place, old) in index.iter().zip(old) {
            if let Some(column) = place {
                row[*column] += old;
            }
        }
    }
    into.parameters[0] = weight;
    into.map = Map::Dense { inputs: columns, outputs };
    true
}

/// Two dense layers as one, where that has no more weights than the two.
fn multiply(before: &Piece, into: &mut Piece) -> bool {
    let (inputs, between, outputs) = (before.map.inputs(), into.map.inputs(), into.map.outputs());
    let is_smaller = product(&[inputs, outputs]) <= product(&[inputs + outputs, between]);
    let ([first, first_bias], [second, bias]) = (before.parameters.as_slice(), into.parameters.as_mut_slice()) else {
        return false;
    };
    if !is_smaller || product(&[inputs, between, outputs]) > MAX_MATRIX_PRODUCT {
        return false;
    }
    let mut weight = vec![0.0; inputs * outputs];
    for (row, (second, bias)) in weight.chunks_mut(inputs).zip(second.chunks(between).zip(bias.iter_mut())) {
        for (factor, (first, shift)) in second.iter().zip(first.chunks(inputs).zip(first_bias)) {
            *bias += factor * shift;
            row.iter_mut().zip(first).for_each(|(sum, first)| *sum += factor * first);
        }
    }
    *second = weight;
    into.map = Map::Dense { inputs, outputs };
    true
}
