//! The slope-interval lemma for layers too wide for full matrices, such as those of a convolution.
//!
//! A wide layer's Q is kept as A P⁻¹ Aᵀ + diag(D): A = W_l diag(c_{l−1}) ⋯ diag(c_0) W_0 is the nominal derivative, never
//! formed as a whole, P a symmetric positive definite matrix of the size of the input, and D what cannot be expressed by
//! them. With λ = λ′ + λ″ split so that λ″ = √(λD), the lemma becomes
//!
//! P ← P − Σ_{j∈U} a_j a_jᵀ / λ′_j, d = c² ∘ D ∘ q + λ ∘ w², Q_{l+1} ≼ A_{l+1} P⁻¹ A_{l+1}ᵀ + W_{l+1} diag(d) W_{l+1}ᵀ,
//!
//! where q_j = √λ_j / (√λ_j − √D_j) on U and 1 elsewhere; the last term is bounded by a diagonal again where the next layer
//! is treated so, too (Schur's test). Where not even P can be held, it is a multiple of the identity and A Aᵀ is bounded by a
//! diagonal. Proof: `proofs/C-slope-interval.md`.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use nalgebra::{DMatrix, DVector, RowDVector};

use super::rounded_map::{transposed, RoundedMap};
use super::rounded_network::RoundedNetwork;
use super::slope_interval::{scaled_columns, scalings_of, ReachError, Slopes};
use crate::certificate::LayerScalings;
use crate::linalg::{add_gram, frobenius_upper, relative_rounding, rounded_up, times_upper, EnclosedMatrix};

/// P is a full matrix for inputs up to this width.
pub(crate) const LARGEST_METRIC: usize = 1024;
/// Rows of A that are formed at a time.
const ROWS: usize = 128;
/// Rows of A that go through the layers together.
const TOGETHER: usize = 16;
/// Entries of the vector of Schur's test below this share of the largest are raised to it.
const LEAST_SHARE: f64 = 1e-6;
/// λ must exceed D by this factor.
const LEAST_SPLIT: f64 = 1.001;
/// How much larger than needed a first scaling is, so that several layers find room in P.
const ROOM_FOR_LAYERS: f64 = 3.0;
/// Relative rounding of λ′ and of the factor q: a few thousand times that of their parts, as λ may be as close to D as that.
const SPLIT_ROUNDING: f64 = 1e-11;
/// Blocks of [`inverse_root`] up to this size are factored directly.
const BLOCK: usize = 48;

/// Q of a wide layer.
#[derive(Debug)]
pub(crate) struct WideShape {
    metric: Metric,
    /// c of the layers in front of this one.
    centres: Vec<DVector<f64>>,
    /// D, `[width]`.
    excess: DVector<f64>,
    /// d of the layer in front: W diag(d) Wᵀ is what D bounds. None at the first layer.
    incoming: Option<DVector<f64>>,
    /// G, once somebody asked for it.
    root: OnceLock<Option<MetricRoot>>,
    /// The diagonal of Q, likewise.
    squares: OnceLock<DVector<f64>>,
}

/// P.
#[derive(Debug, Clone)]
enum Metric {
    Identity,
    /// The truth is at least `matrix` − `lost`·I in the Loewner order.
    Full {
        matrix: DMatrix<f64>,
        lost: f64,
    },
    /// A multiple of the identity; γ with A Aᵀ ≼ diag(γ); c² ∘ γ of the layer in front.
    Multiple {
        value: f64,
        gram: DVector<f64>,
        behind: DVector<f64>,
    },
}

/// G with P⁻¹ ≼ `factor` · G Gᵀ; the identity where there is none.
#[derive(Debug)]
pub(crate) struct MetricRoot {
    root: Option<DMatrix<f64>>,
    /// At least ‖G‖₂.
    norm: f64,
    factor: f64,
}

/// What the search for scalings needs of one application of the lemma.
#[derive(Debug, Clone)]
pub(crate) struct WideStep {
    /// U, ascending.
    pub(crate) uncertain: Vec<usize>,
    /// λ′ of each.
    pub(crate) split: Vec<f64>,
    /// The next layer's Q.
    pub(crate) next: Arc<WideShape>,
}

/// A sum of `terms` non-negative terms, each of a few factors, rounded up.
fn sum_up(sums: DVector<f64>, terms: usize) -> DVector<f64> {
    sums.map(|sum| rounded_up(sum * (1.0 + relative_rounding(terms + 4))))
}

/// W ∘ W times a vector of non-negative numbers, rounded up: the diagonal of W diag(d) Wᵀ.
fn squares_times(map: &RoundedMap, vector: &DVector<f64>) -> DVector<f64> {
    sum_up(map.mapped(|weight| weight * weight).times(vector), map.norms().products)
}

/// A diagonal matrix at least W diag(d) Wᵀ in the Loewner order: v⁻¹ ∘ (|W|(d ∘ |W|ᵀv)) for any v > 0 (Schur's test), here
/// the root of the diagonal.
fn diagonal_bound(map: &RoundedMap, vector: &DVector<f64>) -> DVector<f64> {
    let mut test = squares_times(map, vector).map(f64::sqrt);
    let least = (LEAST_SHARE * test.max()).max(f64::MIN_POSITIVE.sqrt());
    test.apply(|entry| *entry = entry.max(least));
    let absolute = map.mapped(f64::abs);
    let sums = absolute.times(&absolute.transposed_times(&test).component_mul(vector)).component_div(&test);
    sum_up(sums, map.norms().products + map.norms().transposed_products)
}

impl WideShape {
    /// Q₀ = W₀W₀ᵀ.
    pub(crate) fn first(network: &RoundedNetwork) -> Self {
        let map = &network.layers()[0].map;
        let metric = if network.has_full_metric() {
            Metric::Identity
        } else {
            let behind = DVector::from_element(map.inputs(), 1.0);
            Metric::Multiple { value: 1.0, gram: diagonal_bound(map, &behind), behind }
        };
        let excess = DVector::zeros(map.outputs());
        Self { metric, centres: vec![], excess, incoming: None, root: OnceLock::new(), squares: OnceLock::new() }
    }

    /// The layer whose Q this is.
    fn layer(&self) -> usize {
        self.centres.len()
    }

    /// D, `[width]`.
    pub(crate) fn excess(&self) -> &DVector<f64> {
        &self.excess
    }

    /// The diagonal of Q, rounded up: `[width]`.
    pub(crate) fn reach_squares(&self, network: &RoundedNetwork) -> Result<&DVector<f64>, ReachError> {
        if self.squares.get().is_none() {
            // Only the first of several is kept, and all are equal.
            let _ = self.squares.set(self.found_squares(network)?);
        }
        self.squares.get().ok_or(ReachError::NonFinite { layer: self.layer() })
    }

    fn found_squares(&self, network: &RoundedNetwork) -> Result<DVector<f64>, ReachError> {
        let layer = self.layer();
        let map = &network.layers()[layer].map;
        let nominal = match &self.metric {
            _ if layer == 0 => squares_times(map, &DVector::from_element(map.inputs(), 1.0)),
            Metric::Multiple { value, behind, .. } => squares_times(map, behind) / *value,
            Metric::Identity | Metric::Full { .. } => {
                let root = self.root()?;
                let mut squares = Vec::with_capacity(map.outputs());
                let units: Vec<usize> = (0..map.outputs()).collect();
                for units in units.chunks(ROWS) {
                    let rows = self.nominal_rows(network, units);
                    squares.extend(root.squares(&EnclosedMatrix { value: transposed(&rows.value), ..rows }));
                }
                DVector::from_vec(squares)
            }
        };
        let squares = match &self.incoming {
            None => nominal,
            Some(incoming) => nominal + squares_times(map, incoming),
        };
        Ok(squares.map(rounded_up))
    }

    /// G, if P is certainly positive definite.
    pub(crate) fn root(&self) -> Result<&MetricRoot, ReachError> {
        let root = self.root.get_or_init(|| match &self.metric {
            Metric::Identity => Some(MetricRoot { root: None, norm: 1.0, factor: 1.0 }),
            Metric::Multiple { value, .. } => {
                Some(MetricRoot { root: None, norm: 1.0, factor: rounded_up(value.recip()) })
            }
            Metric::Full { matrix, lost } => MetricRoot::new(matrix, *lost),
        });
        root.as_ref().ok_or(ReachError::Scalings { layer: self.layer().saturating_sub(1) })
    }

    /// Numbers s with A_U A_Uᵀ v + Dv ≤ s for these v ≥ 0, entry by entry and with every sign dropped, times
    /// [`ROOM_FOR_LAYERS`]: with λ = s/v, one layer leaves most of P.
    pub(crate) fn dominating_sums(&self, network: &RoundedNetwork, weights: &DVector<f64>) -> DVector<f64> {
        let mut gram = DVector::from_element(network.layers()[0].map.inputs(), 1.0);
        for (layer, centres) in network.layers().iter().zip(&self.centres) {
            gram = squared_times(centres, &diagonal_bound(&layer.map, &gram));
        }
        let absolute = network.layers()[self.layer()].map.mapped(f64::abs);
        let sums = absolute.times(&absolute.transposed_times(weights).component_mul(&gram));
        ROOM_FOR_LAYERS * (sums + self.excess.component_mul(weights))
    }

    /// The lemma for this layer.
    pub(crate) fn step(
        &self,
        network: &RoundedNetwork,
        slopes: &Slopes,
        scalings: &LayerScalings,
    ) -> Result<WideStep, ReachError> {
        let layer = self.layer();
        let Slopes { centres, half_widths, .. } = slopes;
        let uncertain = slopes.uncertain();
        let lambda = scalings_of(layer, &uncertain, scalings)?;
        let mut spread = squared_times(centres, &self.excess);
        let mut split = Vec::with_capacity(uncertain.len());
        for (&unit, &lambda) in uncertain.iter().zip(&lambda) {
            let excess = self.excess[unit];
            if !(lambda.is_finite() && lambda > 0.0 && lambda >= LEAST_SPLIT * excess) {
                return Err(ReachError::Scalings { layer });
            }
            split.push((lambda - (lambda * excess).sqrt()) * (1.0 - SPLIT_ROUNDING));
            let growth = lambda.sqrt() / (lambda.sqrt() - excess.sqrt()) * (1.0 + SPLIT_ROUNDING);
            spread[unit] = rounded_up(spread[unit] * growth + lambda * half_widths[unit] * half_widths[unit]);
        }
        let mut metric = self.reduced(network, &uncertain, &split)?;
        // Only hidden layers are asked for a step, so that there is a next one.
        let following = &network.layers()[layer + 1].map;
        if let Metric::Multiple { gram, behind, .. } = &mut metric {
            *behind = squared_times(centres, gram);
            *gram = diagonal_bound(following, behind);
        }
        let excess = diagonal_bound(following, &spread);
        let centres = self.centres.iter().chain([centres]).cloned().collect();
        let next =
            Self { metric, centres, excess, incoming: Some(spread), root: OnceLock::new(), squares: OnceLock::new() };
        Ok(WideStep { uncertain, split, next: Arc::new(next) })
    }

    /// P − Σ a_j a_jᵀ / λ′_j.
    fn reduced(&self, network: &RoundedNetwork, uncertain: &[usize], split: &[f64]) -> Result<Metric, ReachError> {
        let layer = self.layer();
        if uncertain.is_empty() {
            return Ok(self.metric.clone());
        }
        if let Metric::Multiple { value, gram, behind } = &self.metric {
            let largest = uncertain.iter().zip(split).map(|(&unit, split)| gram[unit] / split).fold(0.0, f64::max);
            let value = (value - rounded_up(largest)).next_down();
            let metric = Metric::Multiple { value, gram: gram.clone(), behind: behind.clone() };
            return if value > 0.0 { Ok(metric) } else { Err(ReachError::Scalings { layer }) };
        }
        let inputs = network.layers()[0].map.inputs();
        let (mut matrix, mut lost) = match &self.metric {
            Metric::Full { matrix, lost } => (matrix.clone(), *lost),
            _ => (DMatrix::identity(inputs, inputs), 0.0),
        };
        lost += self.subtract(network, uncertain, split, &mut matrix);
        if !lost.is_finite() {
            return Err(ReachError::NonFinite { layer });
        }
        Ok(Metric::Full { matrix, lost })
    }

    /// X W_l for the rows X of `nominal` and for these units, one below the other: what [`WideShape::form`] takes.
    pub(crate) fn rows(&self, network: &RoundedNetwork, nominal: &EnclosedMatrix, units: &[usize]) -> EnclosedMatrix {
        let map = &network.layers()[self.layer()].map;
        let above = pulled(map, &transposed(&nominal.value), nominal.error);
        let below = map.rows(units);
        let mut value = DMatrix::zeros(above.value.ncols() + units.len(), map.inputs());
        value.rows_mut(0, above.value.ncols()).copy_from(&transposed(&above.value));
        value.rows_mut(above.value.ncols(), units.len()).copy_from(&below);
        EnclosedMatrix { value, error: above.error }
    }

    /// At least X Q Xᵀ in the Loewner order, given X W_l.
    pub(crate) fn form(&self, network: &RoundedNetwork, rows: &EnclosedMatrix) -> Result<DMatrix<f64>, ReachError> {
        let root = self.root()?;
        let part = |range: Range<usize>| transposed(&rows.value.rows_range(range).into_owned());
        let nominal = self.nominal(network, rows.value.nrows(), rows.error, part);
        let mut nominal = EnclosedMatrix { value: transposed(&nominal.value), ..nominal };
        if let Some(root) = &root.root {
            nominal = nominal.times_upper(root);
        }
        let mut form = nominal.gram();
        form.value *= root.factor;
        form.error = rounded_up(form.error * root.factor + f64::EPSILON * frobenius_upper(&form.value));
        if let Some(incoming) = &self.incoming {
            let spread = scaled_columns(&rows.value, rows.error, &incoming.map(|entry| rounded_up(entry.sqrt())));
            form = form.plus(&spread.gram());
        }
        if !(form.error.is_finite() && frobenius_upper(&form.value).is_finite()) {
            return Err(ReachError::NonFinite { layer: self.layer() });
        }
        Ok(form.loewner_upper())
    }

    /// (X A)ᵀ, given parts of (X W_l)ᵀ known up to `error` in all: a few columns at a time, so that what lies between stays in
    /// the cache.
    fn nominal(
        &self,
        network: &RoundedNetwork,
        columns: usize,
        error: f64,
        part: impl Fn(Range<usize>) -> DMatrix<f64>,
    ) -> EnclosedMatrix {
        let layers =
            || self.centres.iter().enumerate().rev().map(|(below, centres)| (&network.layers()[below].map, centres));
        // What was known up to an error before is so behind the maps, and what the parts lose adds up as squares.
        let grown = |error: f64, (map, centres): (&RoundedMap, &DVector<f64>)| {
            rounded_up(map.norms().spectral * centres.amax() * error)
        };
        let carried = layers().fold(error, grown);
        let mut value = DMatrix::zeros(network.layers()[0].map.inputs(), columns);
        let mut squares = 0.0;
        for first in (0..columns).step_by(TOGETHER) {
            let range = first..(first + TOGETHER).min(columns);
            let mut part = EnclosedMatrix::exact(part(range.clone()));
            for (map, centres) in layers() {
                part.value.column_iter_mut().for_each(|mut column| column.component_mul_assign(centres));
                let scaled = EnclosedMatrix::rounded_once(part.value);
                let error = rounded_up(scaled.error + part.error * centres.amax());
                part = pulled(map, &scaled.value, error);
            }
            value.columns_mut(first, range.len()).copy_from(&part.value);
            squares = rounded_up(squares + part.error * part.error);
        }
        EnclosedMatrix { value, error: rounded_up(carried + rounded_up(squares.sqrt())) }
    }

    /// Rows of A, as columns.
    fn nominal_rows(&self, network: &RoundedNetwork, units: &[usize]) -> EnclosedMatrix {
        let map = &network.layers()[self.layer()].map;
        self.nominal(network, units.len(), 0.0, |range| map.rows_as_columns(&units[range]))
    }

    /// Subtracts Σ a_j a_jᵀ / λ′_j and returns a bound of the error in the Frobenius norm.
    fn subtract(&self, network: &RoundedNetwork, units: &[usize], split: &[f64], matrix: &mut DMatrix<f64>) -> f64 {
        let map = &network.layers()[self.layer()].map;
        let (mut trace, mut carried, mut additions) = (0.0, 0.0, 1);
        if self.layer() == 0 && map.has_windows() {
            for (&unit, &split) in units.iter().zip(split) {
                let entries = map.window_entries(unit);
                for &(j, b) in &entries {
                    for &(i, a) in &entries {
                        matrix[(i, j)] -= a * b / split;
                    }
                }
                trace += entries.iter().map(|(_, a)| a * a).sum::<f64>() / split;
            }
            additions += map.norms().transposed_products;
        } else {
            for (units, split) in units.chunks(ROWS).zip(split.chunks(ROWS)) {
                let rows = self.nominal_rows(network, units);
                let roots = DVector::from_iterator(split.len(), split.iter().map(|split| split.sqrt().recip()));
                let scaled = scaled_columns(&rows.value, rows.error, &roots);
                let norm = frobenius_upper(&scaled.value);
                trace += norm * norm;
                carried += scaled.error * (2.0 * norm + scaled.error);
                add_gram(-1.0, &scaled.value, matrix);
                additions += 1;
            }
            additions += ROWS;
        }
        // Terms are rounded a few times each, and every entry meets so many additions.
        let size = trace * (1.0 + relative_rounding(units.len() + map.inputs())) + (matrix.nrows() as f64).sqrt();
        rounded_up(carried + relative_rounding(additions + 8) * size)
    }
}

/// Wᵀ Y for a Y known up to `error`.
fn pulled(map: &RoundedMap, columns: &DMatrix<f64>, error: f64) -> EnclosedMatrix {
    let norms = map.norms();
    let rounding = relative_rounding(norms.transposed_products + 1) * norms.absolute * frobenius_upper(columns);
    let underflow = (columns.ncols() * map.inputs()) as f64 * f64::MIN_POSITIVE;
    EnclosedMatrix { value: map.pulled(columns), error: rounded_up(norms.spectral * error + rounding + underflow) }
}

/// v² ∘ u for u ≥ 0, rounded up.
fn squared_times(factors: &DVector<f64>, vector: &DVector<f64>) -> DVector<f64> {
    factors.zip_map(vector, |factor, entry| if entry > 0.0 { rounded_up(factor * factor * entry) } else { 0.0 })
}

impl MetricRoot {
    /// If I − GᵀPG is small, P is positive definite and P⁻¹ = G (GᵀPG)⁻¹ Gᵀ.
    fn new(matrix: &DMatrix<f64>, lost: f64) -> Option<Self> {
        let root = inverse_root(matrix.clone())?;
        let square = |sums: f64| sums * (1.0 + relative_rounding(root.nrows()));
        let [rows, columns] = [&root, &root.transpose()]
            .map(|matrix| matrix.column_iter().map(|column| square(column.lp_norm(1))).fold(0.0, f64::max));
        let norm = rounded_up((rows * columns).sqrt());
        // GᵀPG = (PG)ᵀG.
        let half = EnclosedMatrix::exact(matrix.clone()).times_upper(&root);
        let half = EnclosedMatrix { value: half.value.transpose(), error: half.error };
        let product = half.times_upper(&root);
        let mut rest = product.value;
        for i in 0..rest.nrows() {
            rest[(i, i)] -= 1.0;
        }
        let rounding = f64::EPSILON * (rest.nrows() as f64).sqrt();
        let gap = rounded_up(frobenius_upper(&rest) + product.error + rounding + lost * norm * norm);
        (gap < 0.5).then(|| Self { root: Some(root), norm, factor: rounded_up((1.0 - gap).recip()) })
    }

    /// Numbers not below a P⁻¹ aᵀ for every row a.
    fn squares(&self, rows: &EnclosedMatrix) -> Vec<f64> {
        let products = self.root.as_ref().map(|root| times_upper(&rows.value, root));
        let products = products.as_ref().unwrap_or(&rows.value);
        let size = self.root.as_ref().map_or(0.0, frobenius_upper);
        let rounding = relative_rounding(rows.value.ncols() + 2);
        let square = |(row, product): (RowDVector<f64>, RowDVector<f64>)| {
            let norm = product.norm() * (1.0 + rounding) + rounding * row.norm() * size + rows.error * self.norm;
            rounded_up(self.factor * norm * norm)
        };
        let pairs =
            rows.value.row_iter().map(|row| row.into_owned()).zip(products.row_iter().map(|row| row.into_owned()));
        pairs.map(square).collect()
    }

    /// About F P⁻¹ for the rows of F.
    pub(crate) fn solve(&self, rows: &DMatrix<f64>) -> DMatrix<f64> {
        match &self.root {
            None => rows * self.factor,
            Some(root) => rows * root * root.transpose(),
        }
    }
}

/// G, upper triangular, with GᵀPG about the identity, from the blocks of P; none where P is not positive definite.
fn inverse_root(matrix: DMatrix<f64>) -> Option<DMatrix<f64>> {
    let size = matrix.nrows();
    if size <= BLOCK {
        return Some(matrix.cholesky()?.l().try_inverse()?.transpose());
    }
    let half = size / 2;
    let upper = inverse_root(matrix.view((0, 0), (half, half)).into_owned())?;
    let coupling = matrix.view((0, half), (half, size - half)).into_owned();
    let solved = &upper * (upper.transpose() * &coupling);
    let rest = matrix.view((half, half), (size - half, size - half)) - coupling.transpose() * &solved;
    let lower = inverse_root(rest)?;
    let mut root = DMatrix::zeros(size, size);
    root.view_mut((0, 0), (half, half)).copy_from(&upper);
    root.view_mut((0, half), (half, size - half)).copy_from(&-(solved * &lower));
    root.view_mut((half, half), (size - half, size - half)).copy_from(&lower);
    Some(root)
}
