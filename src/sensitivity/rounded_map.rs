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
/// Stands for a place outside the input.
const OUTSIDE: u32 = u32::MAX;

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
            None => self.rows_times_transposed(&row_of(input)).row(0).transpose(),
        }
    }

    /// Wᵀ y.
    pub(crate) fn transposed_times(&self, output: &DVector<f64>) -> DVector<f64> {
        match &self.matrix {
            Some(matrix) => matrix.value.tr_mul(output),
            None => self.rows_times(&row_of(output)).row(0).transpose(),
        }
    }

    /// F W: `[rows, outputs]` → `[rows, inputs]`.
    pub(crate) fn rows_times(&self, rows: &DMatrix<f64>) -> DMatrix<f64> {
        match &self.matrix {
            Some(matrix) => rows * &matrix.value,
            None if self.is_adjoint => self.gathered(rows),
            None => self.scattered(rows),
        }
    }

    /// F Wᵀ: `[rows, inputs]` → `[rows, outputs]`.
    pub(crate) fn rows_times_transposed(&self, rows: &DMatrix<f64>) -> DMatrix<f64> {
        match &self.matrix {
            Some(matrix) => rows * matrix.value.transpose(),
            None if self.is_adjoint => self.scattered(rows),
            None => self.gathered(rows),
        }
    }

    /// Each window's inputs times the weight.
    fn gathered(&self, rows: &DMatrix<f64>) -> DMatrix<f64> {
        let width = if self.is_adjoint { self.inputs } else { self.outputs };
        let mut result = DMatrix::zeros(rows.nrows(), width);
        for (i, row) in rows.row_iter().enumerate() {
            let row: Vec<f64> = row.iter().copied().collect();
            let mut made = 0;
            for Group { places, weight, .. } in &self.groups {
                let columns = places.map(|place| row.get(place as usize).copied().unwrap_or(0.0));
                // Channel after channel, as images are.
                let values = (weight * columns).transpose();
                let mut target = result.view_mut((i, made), (1, values.len()));
                target.iter_mut().zip(&values).for_each(|(target, value)| *target = *value);
                made += values.len();
            }
        }
        result
    }

    /// The adjoint of [`RoundedMap::gathered`].
    fn scattered(&self, rows: &DMatrix<f64>) -> DMatrix<f64> {
        let width = if self.is_adjoint { self.outputs } else { self.inputs };
        let mut result = DMatrix::zeros(rows.nrows(), width);
        for (i, row) in rows.row_iter().enumerate() {
            let row: Vec<f64> = row.iter().copied().collect();
            let mut sums = vec![0.0; width];
            let mut read = 0;
            for Group { places, weight, transposed } in &self.groups {
                let (channels, windows) = (weight.nrows(), places.ncols());
                let values = DMatrix::from_row_slice(channels, windows, &row[read..read + channels * windows]);
                read += channels * windows;
                for (&place, value) in places.iter().zip(&(transposed * values)) {
                    if let Some(sum) = sums.get_mut(place as usize) {
                        *sum += value;
                    }
                }
            }
            result.row_mut(i).iter_mut().zip(sums).for_each(|(target, sum)| *target = sum);
        }
        result
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
        let mut rows = DMatrix::zeros(units.len(), self.inputs);
        if self.has_windows() {
            for (i, &unit) in units.iter().enumerate() {
                for (place, weight) in self.window_entries(unit) {
                    rows[(i, place)] += weight;
                }
            }
            return rows;
        }
        let mut unit_rows = DMatrix::zeros(units.len(), self.outputs);
        for (i, &unit) in units.iter().enumerate() {
            unit_rows[(i, unit)] = 1.0;
        }
        self.rows_times(&unit_rows)
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

fn row_of(vector: &DVector<f64>) -> DMatrix<f64> {
    DMatrix::from_row_slice(1, vector.len(), vector.as_slice())
}

/// A number not below ‖v‖₂.
pub(crate) fn norm_upper(vector: &DVector<f64>) -> f64 {
    rounded_up(vector.norm() * (1.0 + relative_rounding(vector.len())) + vector.len() as f64 * f64::MIN_POSITIVE)
}
