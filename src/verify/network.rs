//! Layers one after the other, evaluated with bounds of their error.

use std::borrow::Cow;
use std::sync::Arc;

use super::activation::{Activation, ACTIVATION_UNITS};
use super::map::Map;
use super::matrix::{gram, underflow, Matrix};
use super::precise::Precise;
use super::rounding::{gamma, norm, raised, GUARD, TINY, UNIT};
use super::windows::{possible_width, volume, Windows};

/// Full matrices belong to layers at most so wide, and to inputs at most so wide if a layer is wider.
const NARROW: usize = 4096;
/// From the tail on, full matrices belong to layers with at most so many uncertain slopes, and lead to at most so many units.
const FEW: usize = 1024;
/// Inputs up to this width have a full matrix P.
const NARROW_INPUT: usize = 1024;
/// No matrix with more entries is written out.
pub(super) const LARGEST_MATRIX: usize = 1 << 26;

/// h = φ(W x + b), or φ of a maximum over windows.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) map: Map,
    /// One for each of equally many outputs in a row.
    bias: Vec<f64>,
    pub(super) activation: Activation,
    /// At least ‖W‖₂.
    pub(super) spectral: f64,
    /// At least ‖|W|‖₂.
    pub(super) absolute: f64,
    /// At least ‖b‖₂, each entry counted as often as it is added.
    pub(super) bias_norm: f64,
    /// A maximum over windows in two steps; none if the windows see more values than a layer can have.
    split: Option<Box<[Arc<Layer>; 2]>>,
}

/// Layers one after the other.
#[derive(Debug, Clone)]
pub(super) struct Network {
    pub(super) layers: Vec<Arc<Layer>>,
    /// The same with every maximum over windows in two steps.
    pub(super) steps: Vec<Applied>,
    /// Wider steps are treated without full matrices.
    pub(super) narrow: usize,
    /// So are the first steps behind them, as long as they have more uncertain slopes than this or lead to more units.
    pub(super) few: usize,
    /// If there are any, wider inputs as well.
    pub(super) narrow_input: usize,
    /// At least W₀W₀ᵀ of the first step, where a later one makes use of it and none is wide.
    pub(super) gram: Option<Arc<Matrix>>,
}

/// A layer's map with the activation that follows it here.
#[derive(Debug, Clone)]
pub(super) struct Applied {
    layer: Arc<Layer>,
    pub(super) activation: Activation,
}

impl std::ops::Deref for Applied {
    type Target = Layer;

    fn deref(&self) -> &Layer {
        &self.layer
    }
}

/// Points, one per row, and for each a bound of its Euclidean distance to what it stands for.
pub(super) struct Points {
    pub(super) values: Matrix,
    pub(super) errors: Vec<f64>,
}

/// The pre-activations of every step at one input, each with a bound of its coordinates' errors, which for the last one is a
/// bound of its Euclidean error.
pub(super) type Trace = Vec<(Vec<f64>, f64)>;

impl Points {
    /// Rows that are what they stand for.
    pub(super) fn exact(values: Matrix) -> Self {
        let errors = vec![0.0; values.rows];
        Self { values, errors }
    }

    /// Every coordinate times its factor, none of which is above `most`: the error grows so, and by one rounding.
    pub(super) fn scaled(mut self, factors: impl Iterator<Item = f64> + Clone, most: f64) -> Self {
        let lost = self.values.columns as f64 * TINY;
        for i in 0..self.values.rows {
            let row = self.values.row_mut(i);
            row.iter_mut().zip(factors.clone()).for_each(|(value, factor)| *value *= factor);
            self.errors[i] = GUARD * (most * self.errors[i] + UNIT * norm(self.values.row(i))) + lost;
        }
        self
    }
}

impl Layer {
    /// As many outputs as `bias` has entries, or a multiple of that.
    pub(super) fn new(map: Map, bias: Vec<f64>, activation: Activation) -> Self {
        let (spectral, absolute) = map.norms();
        let repeated = map.outputs() / bias.len().max(1);
        let bias_norm = if bias.is_empty() { 0.0 } else { raised(norm(&bias) * (repeated as f64).sqrt(), 2.0) };
        let split = if let Map::MaxPool(windows) = &map { Self::split(windows, activation) } else { None };
        Self { map, bias, activation, spectral, absolute, bias_norm, split }
    }

    /// What every window sees, copied, one window after the other; and for each window a sum, which is its maximum once each
    /// value is multiplied by its share (`shares.rs`).
    fn split(windows: &Windows, activation: Activation) -> Option<Box<[Arc<Self>; 2]>> {
        possible_width("what all windows see", windows.seen()).ok()?;
        let (places, ends) = windows.laid_out();
        let copies = Map::Gather { inputs: volume(&windows.input), index: places.into_iter().map(Some).collect() };
        let steps = [(copies, Activation::Identity), (Map::Sums { ends }, activation)];
        Some(Box::new(steps.map(|(map, activation)| Arc::new(Self::new(map, vec![], activation)))))
    }

    /// b of one output.
    pub(super) fn bias(&self, output: usize) -> f64 {
        let repeated = self.map.outputs() / self.bias.len().max(1);
        self.bias.get(output / repeated.max(1)).copied().unwrap_or(0.0)
    }

    /// W x + b: an error carried over grows by ‖W‖₂, and an entry meets γ_k(|W||x| + |b|), unless it is only copied.
    pub(super) fn affine(&self, points: &Points) -> Points {
        let mut values = self.map.apply(&points.values);
        let outputs = values.columns;
        if self.map.roundings() == 0 && self.bias.is_empty() {
            let errors = points.errors.iter().map(|error| GUARD * self.spectral * error).collect();
            return Points { values, errors };
        }
        let repeated = (outputs / self.bias.len().max(1)).max(1);
        for row in values.entries.chunks_exact_mut(outputs.max(1)) {
            for (values, bias) in row.chunks_exact_mut(repeated).zip(&self.bias) {
                values.iter_mut().for_each(|value| *value += bias);
            }
        }
        let relative = gamma(self.map.roundings() + 1);
        let lost = underflow(1, outputs, self.map.inputs() + 1);
        let error = |i: usize| {
            let size = self.absolute * norm(points.values.row(i)) + self.bias_norm;
            GUARD * (self.spectral * points.errors[i] + relative * size) + lost
        };
        let errors = (0..values.rows).map(error).collect();
        Points { values, errors }
    }

    /// φ of each coordinate: no slope of φ is above its steepest, and φ(a) is off by [`ACTIVATION_UNITS`].
    fn activated(&self, mut points: Points) -> Points {
        if self.activation == Activation::Identity {
            return points;
        }
        points.values.entries.iter_mut().for_each(|value| *value = self.activation.value(*value));
        let (lost, steepest) = (points.values.columns as f64 * TINY, self.activation.steepest());
        for (i, error) in points.errors.iter_mut().enumerate() {
            *error = GUARD * (steepest * *error + ACTIVATION_UNITS * UNIT * norm(points.values.row(i))) + lost;
        }
        points
    }

    /// Each row times W: as for [`Self::affine`].
    pub(super) fn pulled(&self, rows: &Points) -> Points {
        let values = self.map.pulled(&rows.values);
        let relative = gamma(self.map.roundings_pulled() + 1);
        let lost = underflow(1, self.map.inputs(), self.map.outputs());
        let error = |i: usize| {
            GUARD * (self.spectral * rows.errors[i] + relative * self.absolute * norm(rows.values.row(i))) + lost
        };
        let errors = (0..values.rows).map(error).collect();
        Points { values, errors }
    }

    /// W in full; none if it is too large.
    pub(super) fn matrix(&self) -> Option<Cow<'_, Matrix>> {
        let (rows, columns) = (self.map.outputs(), self.map.inputs());
        match &self.map {
            Map::Dense(weight) => Some(Cow::Borrowed(weight)),
            map if rows.checked_mul(columns)? <= LARGEST_MATRIX => {
                Some(Cow::Owned(map.rows(&(0..rows).collect::<Vec<_>>())))
            }
            _ => None,
        }
    }
}

impl Network {
    pub(super) fn new(layers: Vec<Arc<Layer>>) -> Self {
        let applied = |layer: &Arc<Layer>| Applied { layer: layer.clone(), activation: layer.activation };
        let mut steps: Vec<Applied> = Vec::with_capacity(layers.len());
        for layer in &layers {
            let Some([copies, sums]) = layer.split.as_deref() else {
                steps.push(applied(layer));
                continue;
            };
            let mut sums = applied(sums);
            // No activation falls: max φ(a) = φ(max a). After a ReLU all values of a window may be 0, and none leads.
            if let Some(front) = steps.last_mut().filter(|_| sums.activation == Activation::Identity) {
                std::mem::swap(&mut front.activation, &mut sums.activation);
            }
            steps.extend([applied(copies), sums]);
        }
        Self { layers, steps, narrow: NARROW, few: FEW, narrow_input: NARROW_INPUT, gram: None }
    }

    /// The network's values at every point.
    pub(super) fn forward(&self, points: Points) -> Points {
        self.layers.iter().fold(points, |points, layer| layer.activated(layer.affine(&points)))
    }

    /// The pre-activations at one exact point; the last layer has no activation, so its entry is the output. A value that a
    /// window sees is copied, so its error is at most that of all values in front.
    pub(super) fn trace(&self, input: &[f64]) -> Trace {
        let (mut points, mut trace) = (Precise::exact(input), Vec::<(Vec<f64>, f64)>::new());
        for layer in &self.layers {
            if let Some([copies, _]) = layer.split.as_deref() {
                let (entries, error) = points.rounded();
                let seen = copies.map.apply(&Matrix { rows: 1, columns: entries.len(), entries });
                trace.push((seen.entries, error));
            }
            let before = points.affine(layer);
            trace.push(before.rounded());
            points = before.activated(self.steps[trace.len() - 1].activation);
        }
        trace
    }

    /// Where the tail starts: the first step from which on no step is wide; one past the last if that is wide itself.
    pub(super) fn tail(&self) -> usize {
        let wide = |step: &Applied| step.map.outputs() > self.narrow;
        self.steps.iter().rposition(wide).map_or(0, |last| last + 1)
    }

    /// Makes what every check of the network's reach begins with; `shared` is what a network made of it before.
    pub(super) fn prepare(&mut self, shared: Option<&Self>) {
        let used = self.steps.len() > 1 && self.tail() == 0 && self.steps.iter().all(|step| step.map.is_linear());
        let Some(first) = self.steps.first().filter(|_| used) else { return };
        let same = |other: &&Self| other.steps.first().is_some_and(|step| Arc::ptr_eq(&step.layer, &first.layer));
        let made = shared.filter(same).and_then(|other| other.gram.clone());
        self.gram = made.or_else(|| first.matrix().map(|weight| Arc::new(gram(&weight))));
    }

    /// At least the Lipschitz constant: the product of all layers'.
    pub(super) fn lipschitz(&self) -> f64 {
        let constants = self.layers.iter().map(|layer| layer.spectral * layer.activation.steepest());
        raised(constants.product(), 2.0 * self.layers.len() as f64)
    }

    /// The widest layer, the input among them.
    pub(super) fn width(&self) -> usize {
        self.layers.iter().map(|layer| layer.map.inputs().max(layer.map.outputs())).max().unwrap_or(0)
    }
}
