//! A layer's map in double precision with what bounds its norm and its rounding errors.
//!
//! A dense map is a matrix. Any other is held as windows of inputs, one per place of a convolution's output, which a small
//! matrix multiplies; the adjoint of a convolution uses the same windows backwards. No map is unrolled to a full matrix
//! unless somebody asks for it.

use std::sync::Arc;

use candle_core::Result;
use nalgebra::{DMatrix, DVector};

use super::jacobian::to_matrix;
use crate::linalg::{frobenius_upper, relative_rounding, rounded_up, spectral_norm_upper, EnclosedMatrix};
use crate::model::layer::{Map, Windows};
use crate::model::network::Layer;

/// One group of channels of a convolution-like map, which leads from `inputs` to the channels `outputs`.
#[derive(Debug, Clone)]
struct Group {
    /// The inputs of each window, one column per window: `[window, windows]`; [`OUTSIDE`] where there is none.
    places: Arc<DMatrix<u32>>,
    /// `[outputs per window, window]`.
    weight: DMatrix<f64>,
    /// Its transpose.
    transposed: DMatrix<f64>,
}

impl Group {
    fn new(places: Arc<DMatrix<u32>>, weight: DMatrix<f64>) -> Self {
        Self { places, transposed: weight.transpose(), weight }
    }
}

/// Rows that are formed at a time.
const ROWS: usize = 128;
/// Side of the blocks in which a matrix is transposed: a few lines of the cache each way.
const BLOCK: usize = 16;
/// Stands for a place outside the input.
const OUTSIDE: u32 = u32::MAX;

/// Whether W or its transpose is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forwards,
    Backwards,
}

/// An affine map y = W x + b, exact; or the maximum over windows.
#[derive(Debug, Clone)]
pub struct RoundedMap {
    inputs: usize,
    outputs: usize,
    /// W itself where it is held as a matrix.
    matrix: Option<Arc<EnclosedMatrix>>,
    /// W otherwise, in groups.
    groups: Vec<Group>,
    /// Whether the groups lead backwards.
    is_adjoint: bool,
    /// Whether the windows' largest values are the output.
    is_maximum: bool,
    bias: DVector<f64>,
    norms: MapNorms,
}

/// Numbers not below norms of a map.
#[derive(Debug, Clone, Copy)]
pub struct MapNorms {
    /// ‖W‖₂; for a maximum its Lipschitz constant.
    pub spectral: f64,
    /// ‖ |W| ‖₂, so that ‖ |W||x| ‖₂ is at most this times ‖x‖₂.
    pub absolute: f64,
    /// ‖b‖₂.
    pub bias: f64,
    /// The largest number of products in an output.
    pub products: usize,
    /// The same in an input, for the transposed map.
    pub transposed_products: usize,
}

impl RoundedMap {
    /// Of a layer whose parameters are representable in double precision.
    ///
    /// # Errors
    /// If a tensor cannot be read.
    pub fn of(layer: &Layer) -> Result<Self> {
        let row = |index: usize| -> Result<DVector<f64>> {
            Ok(to_matrix(&layer.parameters[index].unsqueeze(0)?)?.transpose().column(0).into_owned())
        };
        match layer.shape.map {
            Map::Dense { .. } => Ok(Self::dense(to_matrix(&layer.parameters[0])?, row(1)?)),
            Map::Convolution(windows) => Ok(Self::convolution(&windows, &weight_rows(layer)?, &row(1)?, false)),
            Map::TransposedConvolution(windows) => {
                Ok(Self::convolution(&windows.transposed(), &weight_rows(layer)?, &row(1)?, true))
            }
            Map::Gather { inputs, outputs } => {
                // Whole numbers in range or −1: the layer checked them when it was made.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let place = |value: f64| if value >= 0.0 { value as u32 } else { OUTSIDE };
                let places = Arc::new(DMatrix::from_iterator(1, outputs, row(0)?.iter().map(|&value| place(value))));
                let group = Group::new(places, DMatrix::from_element(1, 1, 1.0));
                Ok(Self::in_groups([inputs, outputs], vec![group], false, DVector::zeros(outputs)))
            }
            Map::MaxPool(windows) => {
                let ones = DMatrix::from_element(windows.output[0], windows.kernel[0] * windows.kernel[1], 1.0);
                let mut map = Self::convolution(&windows, &ones, &DVector::zeros(windows.output[0]), false);
                // |max a − max b| ≤ max |a − b|, and an input is in so many windows at most.
                let lipschitz = rounded_up((map.norms.transposed_products as f64).sqrt());
                map.is_maximum = true;
                map.norms = MapNorms { spectral: lipschitz, absolute: 0.0, products: 0, ..map.norms };
                Ok(map)
            }
        }
    }

    /// Given by a full matrix `[outputs, inputs]`.
    #[must_use]
    pub fn dense(weight: DMatrix<f64>, bias: DVector<f64>) -> Self {
        let norms = MapNorms {
            spectral: spectral_norm_upper(&weight),
            absolute: frobenius_upper(&weight),
            bias: norm_upper(&bias),
            products: weight.ncols(),
            transposed_products: weight.nrows(),
        };
        let (outputs, inputs) = weight.shape();
        Self {
            inputs,
            outputs,
            matrix: Some(Arc::new(EnclosedMatrix::exact(weight))),
            groups: vec![],
            is_adjoint: false,
            is_maximum: false,
            bias,
            norms,
        }
    }

    /// `flat`: the weight, a row per output channel.
    fn convolution(windows: &Windows, flat: &DMatrix<f64>, bias: &DVector<f64>, is_adjoint: bool) -> Self {
        let Windows { input, output, groups, .. } = *windows;
        let (seen, made) = (input[0] / groups, output[0] / groups);
        let area = output[1] * output[2];
        let group = |group: usize| {
            let mut places = Vec::with_capacity(flat.ncols() * area);
            for row in 0..output[1] {
                for column in 0..output[2] {
                    for channel in group * seen..(group + 1) * seen {
                        places.extend(window_places(windows, channel, [row, column]));
                    }
                }
            }
            let places = Arc::new(DMatrix::from_vec(flat.ncols(), area, places));
            Group::new(places, flat.rows(group * made, made).into_owned())
        };
        let groups = (0..groups).map(group).collect();
        let ends = [input.iter().product(), output.iter().product()];
        let (ends, image) = if is_adjoint { ([ends[1], ends[0]], input) } else { (ends, output) };
        let area = image[1] * image[2];
        let bias = DVector::from_fn(image[0] * area, |i, _| bias[i / area]);
        Self::in_groups(ends, groups, is_adjoint, bias)
    }

    fn in_groups(ends: [usize; 2], groups: Vec<Group>, is_adjoint: bool, bias: DVector<f64>) -> Self {
        let bias_norm = norm_upper(&bias);
        let unknown = MapNorms { spectral: 0.0, absolute: 0.0, bias: bias_norm, products: 0, transposed_products: 0 };
        let [inputs, outputs] = ends;
        let mut map =
            Self { inputs, outputs, matrix: None, groups, is_adjoint, is_maximum: false, bias, norms: unknown };
        let sums = |map: &Self| {
            let ones = |length| DVector::from_element(length, 1.0);
            [map.times(&ones(inputs)).max(), map.transposed_times(&ones(outputs)).max()]
        };
        // Numbers of places are whole and below 2³².
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let [products, transposed_products] = sums(&map.mapped(|_| 1.0)).map(|count| count as usize);
        // ‖M‖₂² ≤ ‖M‖₁‖M‖_∞ for M = |W|.
        let [rows, columns] = sums(&map.mapped(f64::abs));
        let rounding = 1.0 + relative_rounding(products) + relative_rounding(transposed_products);
        let interpolated = rounded_up((rows * columns).sqrt() * rounding);
        // Every window is multiplied by K, and the windows' squares add up to at most so many times the input's.
        let windows = |change: fn(f64) -> f64| {
            let largest = map.groups.iter().zip(map.overlaps()).map(|(group, overlap)| {
                spectral_norm_upper(&group.weight.map(change)) * rounded_up((overlap as f64).sqrt())
            });
            rounded_up(largest.fold(0.0, f64::max)).min(interpolated)
        };
        let (spectral, absolute) = (windows(|weight| weight), windows(f64::abs));
        map.norms = MapNorms { spectral, absolute, products, transposed_products, ..unknown };
        map
    }

    /// For each group, in how many windows an input is at most.
    fn overlaps(&self) -> Vec<usize> {
        let overlap = |group: &Group| {
            let mut counts = vec![0_usize; self.inputs.max(self.outputs)];
            for place in &*group.places {
                if let Some(count) = counts.get_mut(*place as usize) {
                    *count += 1;
                }
            }
            counts.into_iter().max().unwrap_or(0)
        };
        self.groups.iter().map(overlap).collect()
    }

    /// Width of the input.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Width of the output.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// b, `[outputs]`.
    #[must_use]
    pub fn bias(&self) -> &DVector<f64> {
        &self.bias
    }

    /// Visits every entry of W: (output, input, weight).
    pub(crate) fn for_each_entry(&self, mut visit: impl FnMut(usize, usize, f64)) {
        if let Some(matrix) = &self.matrix {
            for (input, column) in matrix.value.column_iter().enumerate() {
                column.iter().enumerate().for_each(|(output, &weight)| visit(output, input, weight));
            }
        }
        let mut first = 0;
        for Group { places, weight, .. } in &self.groups {
            for channel in 0..weight.nrows() {
                for (window, column) in places.column_iter().enumerate() {
                    let made = (first + channel) * places.ncols() + window;
                    for (&place, &weight) in column.iter().zip(&weight.row(channel)) {
                        match (place, self.is_adjoint) {
                            (OUTSIDE, _) => {}
                            (place, false) => visit(made, place as usize, weight),
                            (place, true) => visit(place as usize, made, weight),
                        }
                    }
                }
            }
            first += weight.nrows();
        }
    }

    /// Norms of the map.
    #[must_use]
    pub fn norms(&self) -> &MapNorms {
        &self.norms
    }

    /// Whether this is a maximum over windows, so that no other method but [`RoundedMap::forward`] makes sense.
    #[must_use]
    pub fn is_maximum(&self) -> bool {
        self.is_maximum
    }

    /// W x + b, or the maximum over windows: `[inputs]` → `[outputs]`.
    #[must_use]
    pub fn forward(&self, input: &DVector<f64>) -> DVector<f64> {
        if !self.is_maximum {
            return self.times(input) + &self.bias;
        }
        DVector::from_vec(self.maxima(input.as_slice(), |&value| value, f64::NAN))
    }

    /// For every window the value with the largest key; not a number counts as larger than all, `none` fills an empty one.
    pub(crate) fn maxima<T: Copy>(&self, input: &[T], key: impl Fn(&T) -> f64, none: T) -> Vec<T> {
        let better = |best: T, value: T| {
            let (known, new) = (key(&best), key(&value));
            if known.is_nan() || new <= known {
                best
            } else {
                value
            }
        };
        let largest = |window: &[u32]| {
            window.iter().filter_map(|&place| input.get(place as usize)).copied().reduce(better).unwrap_or(none)
        };
        let windows = self.groups.iter().flat_map(|group| group.places.as_slice().chunks_exact(group.places.nrows()));
        windows.map(largest).collect()
    }

    /// The maximum over windows in two steps: the places of all windows one after the other, with where each window ends
    /// among them; and the sum over each window.
    pub(crate) fn windows_and_sums(&self) -> (Self, Vec<usize>, Self) {
        let mut seen = Vec::new();
        let mut ends = Vec::with_capacity(self.outputs);
        for window in self.groups.iter().flat_map(|group| group.places.column_iter()) {
            seen.extend(window.iter().copied().filter(|&place| place != OUTSIDE));
            ends.push(seen.len());
        }
        let starts = || std::iter::once(0).chain(ends.iter().copied());
        let longest = starts().zip(&ends).map(|(start, end)| end - start).max().unwrap_or(0);
        let mut summed = Vec::with_capacity(longest * ends.len());
        for (start, &end) in starts().zip(&ends) {
            // Places are fewer than 2³².
            summed.extend((start..end).map(|place| u32::try_from(place).unwrap_or(OUTSIDE)));
            summed.resize(summed.len() + longest - (end - start), OUTSIDE);
        }
        let map = |ends: [usize; 2], length: usize, places: Vec<u32>| {
            let places = Arc::new(DMatrix::from_vec(length, ends[1], places));
            let group = Group::new(places, DMatrix::from_element(1, length, 1.0));
            Self::in_groups(ends, vec![group], false, DVector::zeros(ends[1]))
        };
        let copies = map([self.inputs, seen.len()], 1, seen);
        let sums = map([copies.outputs, self.outputs], longest, summed);
        (copies, ends, sums)
    }

    /// The map without bias whose weights are `change` of this one's: absolute values, squares. Its norms are unknown.
    pub(crate) fn mapped(&self, change: impl Fn(f64) -> f64) -> Self {
        let groups = self.groups.iter();
        let groups = groups.map(|group| Group::new(Arc::clone(&group.places), group.weight.map(&change)));
        Self {
            matrix: self.matrix.as_ref().map(|matrix| Arc::new(EnclosedMatrix::exact(matrix.value.map(&change)))),
            groups: groups.collect(),
            bias: DVector::zeros(self.outputs),
            ..*self
        }
    }

    /// W x.
    pub(crate) fn times(&self, input: &DVector<f64>) -> DVector<f64> {
        match &self.matrix {
            Some(matrix) => &matrix.value * input,
            None => self.images(input.as_slice(), Direction::Forwards).column(0).into_owned(),
        }
    }

    /// Wᵀ y.
    pub(crate) fn transposed_times(&self, output: &DVector<f64>) -> DVector<f64> {
        match &self.matrix {
            Some(matrix) => matrix.value.tr_mul(output),
            None => self.images(output.as_slice(), Direction::Backwards).column(0).into_owned(),
        }
    }

    /// F W: `[rows, outputs]` → `[rows, inputs]`.
    pub(crate) fn rows_times(&self, rows: &DMatrix<f64>) -> DMatrix<f64> {
        match &self.matrix {
            Some(matrix) => rows * &matrix.value,
            None => transposed(&self.images(transposed(rows).as_slice(), Direction::Backwards)),
        }
    }

    /// Wᵀ Y: `[outputs, columns]` → `[inputs, columns]`; what [`RoundedMap::rows_times`] makes of Yᵀ, transposed.
    pub(crate) fn pulled(&self, columns: &DMatrix<f64>) -> DMatrix<f64> {
        match &self.matrix {
            Some(matrix) => transposed(&(transposed(columns) * &matrix.value)),
            None => self.images(columns.as_slice(), Direction::Backwards),
        }
    }

    /// F Wᵀ: `[rows, inputs]` → `[rows, outputs]`.
    pub(crate) fn rows_times_transposed(&self, rows: &DMatrix<f64>) -> DMatrix<f64> {
        match &self.matrix {
            Some(matrix) => rows * matrix.value.transpose(),
            None => transposed(&self.images(transposed(rows).as_slice(), Direction::Forwards)),
        }
    }

    /// W, or Wᵀ, times columns that lie one after the other.
    fn images(&self, columns: &[f64], direction: Direction) -> DMatrix<f64> {
        let [from, to] = match direction {
            Direction::Forwards => [self.inputs, self.outputs],
            Direction::Backwards => [self.outputs, self.inputs],
        };
        let mut images = DMatrix::zeros(to, columns.len() / from.max(1));
        for (column, image) in columns.chunks_exact(from.max(1)).zip(images.as_mut_slice().chunks_exact_mut(to.max(1)))
        {
            if (direction == Direction::Forwards) == self.is_adjoint {
                self.scatter(column, image);
            } else {
                self.gather(column, image);
            }
        }
        images
    }

    /// Each window's inputs times the weight, channel after channel, as images are.
    fn gather(&self, column: &[f64], image: &mut [f64]) {
        let mut made = 0;
        for Group { places, weight, .. } in &self.groups {
            let seen = places.map(|place| column.get(place as usize).copied().unwrap_or(0.0));
            let values = (weight * seen).transpose();
            image[made..made + values.len()].copy_from_slice(values.as_slice());
            made += values.len();
        }
    }

    /// The adjoint of [`RoundedMap::gather`], added to `image`. Windows of which nothing comes are left out: behind a
    /// convolution a row of a derivative has few that are not.
    fn scatter(&self, column: &[f64], image: &mut [f64]) {
        let mut read = 0;
        for Group { places, weight, transposed } in &self.groups {
            let (channels, windows) = (weight.nrows(), places.ncols());
            let values = &column[read..read + channels * windows];
            read += channels * windows;
            let (mut active, mut is_active) = (Vec::new(), vec![false; windows]);
            for channel in values.chunks_exact(windows.max(1)) {
                for (window, _) in channel.iter().enumerate().filter(|(_, &value)| value != 0.0) {
                    if !std::mem::replace(&mut is_active[window], true) {
                        active.push(window);
                    }
                }
            }
            let values = DMatrix::from_fn(channels, active.len(), |i, j| values[i * windows + active[j]]);
            for (column, &window) in (transposed * values).column_iter().zip(&active) {
                for (&place, value) in places.column(window).iter().zip(&column) {
                    if let Some(sum) = image.get_mut(place as usize) {
                        *sum += value;
                    }
                }
            }
        }
    }

    /// Whether the map is held as windows of its inputs, so that a row has few entries.
    pub(crate) fn has_windows(&self) -> bool {
        self.matrix.is_none() && !self.is_adjoint
    }

    /// The entries of row `unit` of W, for a map that [has windows](Self::has_windows): (input, weight).
    pub(crate) fn window_entries(&self, unit: usize) -> Vec<(usize, f64)> {
        let mut unit = unit;
        for Group { places, weight, .. } in &self.groups {
            let made = weight.nrows() * places.ncols();
            if unit < made {
                let (channel, window) = (unit / places.ncols(), unit % places.ncols());
                let weights = weight.row(channel);
                let entries = places.column(window).into_iter().zip(&weights);
                let inside = entries.filter(|(&place, _)| place != OUTSIDE);
                return inside.map(|(&place, &weight)| (place as usize, weight)).collect();
            }
            unit -= made;
        }
        vec![]
    }

    /// These rows of W, `[units, inputs]`.
    pub(crate) fn rows(&self, units: &[usize]) -> DMatrix<f64> {
        if let Some(matrix) = &self.matrix {
            return matrix.value.select_rows(units);
        }
        if self.has_windows() {
            return transposed(&self.rows_as_columns(units));
        }
        let mut unit_rows = DMatrix::zeros(units.len(), self.outputs);
        for (i, &unit) in units.iter().enumerate() {
            unit_rows[(i, unit)] = 1.0;
        }
        self.rows_times(&unit_rows)
    }

    /// These rows of W as columns, `[inputs, units]`.
    pub(crate) fn rows_as_columns(&self, units: &[usize]) -> DMatrix<f64> {
        if !self.has_windows() {
            return transposed(&self.rows(units));
        }
        let mut columns = DMatrix::zeros(self.inputs, units.len());
        for (i, &unit) in units.iter().enumerate() {
            for (place, weight) in self.window_entries(unit) {
                columns[(place, i)] += weight;
            }
        }
        columns
    }

    /// W Wᵀ, a few rows at a time.
    pub(crate) fn gram(&self) -> EnclosedMatrix {
        if let Some(matrix) = &self.matrix {
            return matrix.times_transposed(matrix);
        }
        let mut value = DMatrix::zeros(self.outputs, self.outputs);
        let units: Vec<usize> = (0..self.outputs).collect();
        for units in units.chunks(ROWS) {
            let rows = self.rows_times_transposed(&self.rows(units));
            value.rows_mut(units[0], units.len()).copy_from(&rows);
        }
        // ‖ |W||W|ᵀ ‖_F is at most its trace.
        let ones = DVector::from_element(self.inputs, 1.0);
        let trace = self.mapped(|weight| weight * weight).times(&ones).sum();
        let error = rounded_up(relative_rounding(self.norms.products + self.outputs + 4) * trace);
        EnclosedMatrix { value, error }
    }

    /// W as a full matrix.
    pub(crate) fn unrolled(&self) -> Arc<EnclosedMatrix> {
        let unroll = || EnclosedMatrix::exact(self.rows(&(0..self.outputs).collect::<Vec<_>>()));
        self.matrix.clone().unwrap_or_else(|| Arc::new(unroll()))
    }
}

/// A convolution's weight, a row per output channel of the convolution.
fn weight_rows(layer: &Layer) -> Result<DMatrix<f64>> {
    let weight = &layer.parameters[0];
    to_matrix(&weight.reshape((weight.dim(0)?, ()))?)
}

/// The inputs that one window sees of one channel.
fn window_places(windows: &Windows, channel: usize, window: [usize; 2]) -> Vec<u32> {
    let [_, height, width] = windows.input;
    let mut places = Vec::with_capacity(windows.kernel[0] * windows.kernel[1]);
    for row in 0..windows.kernel[0] {
        for column in 0..windows.kernel[1] {
            let place = windows.place(0, window[0], row).zip(windows.place(1, window[1], column));
            let flat = place.and_then(|(row, column)| u32::try_from((channel * height + row) * width + column).ok());
            places.push(flat.unwrap_or(OUTSIDE));
        }
    }
    places
}

/// Mᵀ, block by block, so that neither matrix is walked across its memory.
pub(crate) fn transposed(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    let (rows, columns) = matrix.shape();
    let mut result = DMatrix::zeros(columns, rows);
    let (from, to) = (matrix.as_slice(), result.as_mut_slice());
    for first_column in (0..columns).step_by(BLOCK) {
        for first_row in (0..rows).step_by(BLOCK) {
            for row in first_row..(first_row + BLOCK).min(rows) {
                for column in first_column..(first_column + BLOCK).min(columns) {
                    to[row * columns + column] = from[column * rows + row];
                }
            }
        }
    }
    result
}

/// A number not below ‖v‖₂.
pub(crate) fn norm_upper(vector: &DVector<f64>) -> f64 {
    rounded_up(vector.norm() * (1.0 + relative_rounding(vector.len())) + vector.len() as f64 * f64::MIN_POSITIVE)
}
