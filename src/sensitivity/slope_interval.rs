//! How far a network's output can move when its input moves by at most ρ: the slope-interval bound.
//!
//! Between x and x + δ every hidden unit changes by Δh = sΔa with a secant slope s in a known range c ± w. So
//! Δa_l = Ã_lδ with Ã₀ = W₀ and Ã_{l+1} = W_{l+1} diag(s) Ã_l, and symmetric Q_l with Ã_lÃ_lᵀ ≼ Q_l bound every
//! direction of every layer at once: unit j moves by at most t_j = ρ√(Q_l)_jj, which gives the next slopes their range.
//! From layer to layer, for any scalings λ > 0 of the units with w > 0 (the set U) for which K = Λ − Q_UU is positive
//! definite, and with R = W_{l+1} diag(c), N = (R Q_l)_{:U}:
//!
//! Q_{l+1} = R Q_l Rᵀ + N K⁻¹ Nᵀ + Σ_{j∈U} λ_j w_j² W_{:j} W_{:j}ᵀ.
//!
//! This contains the telescoped bound with any diagonal scaling and the elementwise one as special scalings; where every
//! slope is certain it is exact. Layers too wide for full matrices are treated in `wide.rs`. Proof and comparison:
//! `proofs/C-slope-interval.md`.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use nalgebra::{DMatrix, DVector};

use super::rounded_network::{RoundedLayer, RoundedNetwork, RoundedVector, NARROW};
use super::secant::{secant_range, SecantRange};
use super::shares;
use super::wide::{WideShape, WideStep};
use crate::certificate::{LayerScalings, NetworkEvidence};
use crate::linalg::{
    eigendecomposition, frobenius_upper, largest_eigenvalue_upper, rounded_up, CertifiedInverse, EnclosedMatrix,
    LinalgError,
};
use crate::quantity::{Estimate, UpperBound};
use crate::stats::Enclosure;

/// Why a norm of the perturbation has no bound of the output.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReachError {
    /// A number is not finite: overflow in the network, or weights beyond double precision.
    #[error("layer {layer}: a number is not finite")]
    NonFinite {
        /// The layer, from 0.
        layer: usize,
    },
    /// The evidence has the wrong number of chains or layers.
    #[error("scalings for {found} layers, expected {expected}")]
    Chains {
        /// How many are needed.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A unit whose slope is not certain has no scaling.
    #[error("layer {layer}, unit {unit}: the slope is not certain, and there is no scaling")]
    MissingScaling {
        /// The layer, from 0.
        layer: usize,
        /// The unit, from 0.
        unit: usize,
    },
    /// The scalings are too small: K is not certainly positive definite.
    #[error("layer {layer}: the scalings are too small")]
    Scalings {
        /// The layer, from 0.
        layer: usize,
    },
    /// The output is too wide for full matrices.
    #[error("the output has {found} values; at most {NARROW} are supported")]
    WideOutput {
        /// Its width.
        found: usize,
    },
    /// The eigenvalues of the last matrix.
    #[error("{0}")]
    Linalg(#[from] LinalgError),
}

/// A network at one input, ready to be asked how far its output can move.
#[derive(Debug)]
pub struct SlopeInterval<'a> {
    network: &'a RoundedNetwork,
    /// Pre-activations of every layer, a maximum over windows being two: their places and their sums.
    values: Vec<RoundedVector>,
    /// The diagonal of M⁻¹, where the output is scaled.
    output_scale: Option<DVector<f64>>,
    /// Full matrices of the narrow layers after the first of them, the last one scaled from the left; empty for others.
    weights: Vec<Arc<EnclosedMatrix>>,
    /// Q₀: W₀W₀ᵀ, or M W₀W₀ᵀM where the first layer is the last; empty where the first layer is wide.
    first: Arc<DMatrix<f64>>,
    /// Norms of the columns of every layer's successor.
    outgoing: Vec<Vec<f64>>,
}

/// Factor of a pre-activation's error for which the linear region leaves room.
const KNOWN_LESS_WELL: f64 = 16.0;
/// Factor of a unit's reach within which another arithmetic might find its slope uncertain.
const REACHED_ELSEWHERE: f64 = 1.0 + 1e-6;
/// A column's norm counts as at least this share of the largest.
const LEAST_SHARE: f64 = 1e-3;

/// The secant slopes of one layer's units.
#[derive(Debug, Clone)]
pub(crate) struct Slopes {
    /// c, `[width]`.
    pub(crate) centres: DVector<f64>,
    /// w, `[width]`, at least 0.
    pub(crate) half_widths: DVector<f64>,
    /// Units with w > 0, and those that another arithmetic might find to have w > 0; ascending.
    pub(crate) listed: Vec<usize>,
    /// The diagonal of Q, `[width]`.
    pub(crate) reach_squares: DVector<f64>,
    /// Of layer 0, with Q₀, from which every chain starts; made when first used.
    nominal: OnceCell<Nominal>,
}

/// What of a narrow step no scaling changes.
#[derive(Debug, Clone)]
struct Nominal {
    /// RQRᵀ, `[out, out]`.
    next: EnclosedMatrix,
    /// N = (R Q)_{:U}, `[out, |U|]`.
    coupling: EnclosedMatrix,
    /// Q_UU.
    among: DMatrix<f64>,
}

impl Slopes {
    /// U, ascending.
    pub(crate) fn uncertain(&self) -> Vec<usize> {
        (0..self.half_widths.len()).filter(|&unit| self.half_widths[unit] > 0.0).collect()
    }
}

/// Q of one layer.
#[derive(Debug, Clone)]
pub(crate) enum Shape<'a> {
    /// As a full matrix.
    Narrow(Cow<'a, DMatrix<f64>>),
    /// In parts.
    Wide(Arc<WideShape>),
}

/// One application of the lemma, with what its derivatives need.
#[derive(Debug)]
pub(crate) enum Step {
    /// With full matrices.
    Narrow(NarrowStep),
    /// Without.
    Wide(WideStep),
}

/// One application of the lemma with full matrices.
#[derive(Debug)]
pub(crate) struct NarrowStep {
    /// U, ascending.
    pub(crate) uncertain: Vec<usize>,
    /// N K⁻¹, how the uncertain units respond at worst, `[out, |U|]`; none where U is empty.
    pub(crate) response: Option<DMatrix<f64>>,
}

/// How far the output moves.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Q with ΔaΔaᵀ ≼ ρ²Q for the scaled output, `[out, out]`: an upper bound in the Loewner order.
    pub shape: DMatrix<f64>,
    /// A number not below sup ‖M Δoutput‖₂ over the ball.
    pub norm: f64,
}

impl Reach {
    /// Of the output's Q.
    pub(crate) fn of(shape: Shape<'_>, norm: f64) -> Result<Self, ReachError> {
        let shape = full(shape)?;
        Ok(Self { norm: moved(&shape, norm)?, shape })
    }
}

impl<'a> SlopeInterval<'a> {
    /// The network at `input`. The output is scaled by M = diag(1/`output_scale`) where one is given: positive numbers,
    /// `[out]`. A network without layers is not supported by any model.
    #[must_use]
    pub fn new(network: &'a RoundedNetwork, input: &[f32], output_scale: Option<&DVector<f64>>) -> Self {
        let values = network.step_values(input);
        let network = network.steps();
        let mut weights = network.weights().to_vec();
        if let (Some(scale), Some(last)) = (output_scale, weights.last_mut()) {
            let mut scaled = last.value.clone();
            for (mut row, &scale) in scaled.row_iter_mut().zip(scale) {
                row /= scale;
            }
            *last = Arc::new(EnclosedMatrix::rounded_once(scaled));
        }
        let first = match &weights[..] {
            [only] => Arc::new(only.times_transposed(only).loewner_upper()),
            _ => network.first_gram(),
        };
        let mut problem =
            Self { network, values, output_scale: output_scale.cloned(), weights, first, outgoing: vec![] };
        problem.outgoing = (1..network.layers().len()).map(|layer| problem.outgoing_of(layer)).collect();
        problem
    }

    /// Refuses what no bound is made for.
    fn check(&self) -> Result<(), ReachError> {
        match self.output_dim() {
            found if found > NARROW => Err(ReachError::WideOutput { found }),
            _ => Ok(()),
        }
    }

    /// Layers with an activation in front of another layer: L − 1 of L layers, and one more for each maximum over windows.
    #[must_use]
    pub fn hidden_layers(&self) -> usize {
        self.network.layers().len().saturating_sub(1)
    }

    /// Width of the output.
    #[must_use]
    pub fn output_dim(&self) -> usize {
        self.network.layers().last().map_or(0, |layer| layer.map.outputs())
    }

    /// Whether a layer is too wide for full matrices.
    #[must_use]
    pub fn has_wide_layers(&self) -> bool {
        self.network.tail_start() > 0
    }

    /// The network.
    pub(crate) fn network(&self) -> &'a RoundedNetwork {
        self.network
    }

    /// How strongly each input of `layer` acts on it: ‖W_{:j}‖₂, raised to a small share of the largest.
    fn outgoing_of(&self, layer: usize) -> Vec<f64> {
        let weight = &self.weights[layer].value;
        let map = &self.network.layers()[layer].map;
        let norms: Vec<f64> = if weight.is_empty() {
            let rows = DVector::from_element(map.outputs(), 1.0);
            map.mapped(|weight| weight * weight).transposed_times(&rows).iter().map(|square| square.sqrt()).collect()
        } else {
            weight.column_iter().map(|column| column.norm()).collect()
        };
        let least = LEAST_SHARE * norms.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        norms.into_iter().map(|norm| norm.max(least)).collect()
    }

    /// Q₀.
    pub(crate) fn first(&self) -> Result<Shape<'_>, ReachError> {
        self.check()?;
        Ok(if self.network.tail_start() > 0 {
            Shape::Wide(Arc::new(WideShape::first(self.network)))
        } else {
            Shape::Narrow(Cow::Borrowed(&*self.first))
        })
    }

    /// The diagonal of Q: `[width]`.
    pub(crate) fn reach_squares(&self, shape: &Shape<'_>) -> Result<DVector<f64>, ReachError> {
        match shape {
            Shape::Narrow(matrix) => Ok(matrix.diagonal()),
            Shape::Wide(wide) => wide.reach_squares(self.network).cloned(),
        }
    }

    /// How strongly a unit of `layer` acts on the next layer: ‖W_{:j}‖₂ as computed, at least a small share of the largest.
    pub(crate) fn outgoing(&self, layer: usize, unit: usize) -> f64 {
        self.outgoing[layer][unit]
    }

    /// The output as computed, with its error: `[out]`.
    #[must_use]
    pub fn output(&self) -> Option<&RoundedVector> {
        self.values.last()
    }

    /// Whether no slope of `layer` is uncertain for small enough moves.
    pub(crate) fn has_certain_slopes(&self, layer: usize) -> bool {
        self.network.layers()[layer].activation.is_piecewise_linear()
    }

    /// About how far each unit of `layer` may move before its slope becomes uncertain: to its activation's next kink, or
    /// half of a window's gap. `[width]`.
    pub(crate) fn distances(&self, layer: usize) -> Vec<f64> {
        let RoundedLayer { activation, windows, .. } = &*self.network.layers()[layer];
        let values = self.values[layer].values.as_slice();
        if windows.is_empty() {
            let kinks = activation.kinks();
            return values.iter().map(|value| nearest(*value, &kinks)).collect();
        }
        in_windows(windows).flat_map(|window| shares::distances(&values[window])).collect()
    }

    /// The ranges of the secant slopes of `layer` when its units, known up to `error`, move by at most `reaches`.
    fn ranges(&self, layer: usize, error: f64, reaches: &[f64]) -> Vec<SecantRange> {
        let RoundedLayer { activation, windows, .. } = &*self.network.layers()[layer];
        let values = self.values[layer].values.as_slice();
        if windows.is_empty() {
            let range = |(&value, &reach)| secant_range(*activation, Enclosure { value, error }, reach);
            return values.iter().zip(reaches).map(range).collect();
        }
        let window = |window: Range<usize>| shares::share_ranges(&values[window.clone()], error, &reaches[window]);
        in_windows(windows).flat_map(window).collect()
    }

    /// The ranges at the input itself.
    fn slopes_here(&self, layer: usize) -> Vec<f64> {
        let RoundedLayer { activation, windows, .. } = &*self.network.layers()[layer];
        let values = self.values[layer].values.as_slice();
        if windows.is_empty() {
            return values.iter().map(|value| activation.slope_at_output(activation.value(*value))).collect();
        }
        in_windows(windows).flat_map(|window| shares::shares(&values[window])).collect()
    }

    /// The norm of the perturbation up to which no slope of `layer` changes when a unit moves by at most its rate times the
    /// norm: rounded down, with room for pre-activations that are known less well elsewhere.
    fn certain_up_to(&self, layer: usize, rates: &[f64]) -> f64 {
        let RoundedLayer { activation, windows, .. } = &*self.network.layers()[layer];
        let RoundedVector { values, error } = &self.values[layer];
        let error = KNOWN_LESS_WELL * error;
        if windows.is_empty() {
            let kinks = activation.kinks();
            let up_to = |(value, rate): (&f64, &f64)| {
                let room = (nearest(*value, &kinks).next_down() - error).max(0.0);
                (room / rate).next_down().max(0.0)
            };
            return values.iter().zip(rates).map(up_to).fold(f64::INFINITY, f64::min);
        }
        let values = values.as_slice();
        let up_to = |window: Range<usize>| shares::certain_up_to(&values[window.clone()], error, &rates[window]);
        in_windows(windows).map(up_to).fold(f64::INFINITY, f64::min)
    }

    /// The slopes of `layer`'s units when unit j's pre-activation moves by at most ρ√Q_jj; `squares`: the diagonal of Q.
    pub(crate) fn slopes(&self, layer: usize, squares: &DVector<f64>, norm: f64) -> Result<Slopes, ReachError> {
        let error = self.values[layer].error;
        let reaches: Vec<f64> = squares.iter().map(|square| rounded_up(norm * root_up(*square))).collect();
        let ranges = self.ranges(layer, error, &reaches);
        let centres = DVector::from_iterator(ranges.len(), ranges.iter().map(SecantRange::centre));
        let half_widths = DVector::from_iterator(ranges.len(), ranges.iter().map(SecantRange::half_width));
        if !reaches.iter().chain(&half_widths).all(|value| value.is_finite()) {
            return Err(ReachError::NonFinite { layer });
        }
        let elsewhere: Vec<f64> = reaches.iter().map(|reach| reach * REACHED_ELSEWHERE).collect();
        let vaguer = self.ranges(layer, KNOWN_LESS_WELL * error, &elsewhere);
        let all = !self.has_certain_slopes(layer);
        let listed = (0..ranges.len()).filter(|&unit| all || vaguer[unit].half_width() > 0.0).collect();
        Ok(Slopes { centres, half_widths, listed, reach_squares: squares.clone(), nominal: OnceCell::new() })
    }

    /// Whether the lemma leads from this layer without full matrices: from a wide layer, or from one behind it in which so
    /// many slopes are uncertain, or which leads to so many units, that full matrices would cost too much.
    pub(crate) fn goes_wide(&self, layer: usize, shape: &Shape<'_>, slopes: &Slopes) -> bool {
        let limit = self.network.most_behind_wide();
        let uncertain = || slopes.half_widths.iter().filter(|&&width| width > 0.0).count();
        let next = || self.network.layers().get(layer + 1).map_or(0, |next| next.map.outputs());
        matches!(shape, Shape::Wide(_)) && (layer < self.network.tail_start() || next() > limit || uncertain() > limit)
    }

    /// The lemma for `layer`: from Q_l to Q_{l+1}.
    pub(crate) fn step(
        &self,
        layer: usize,
        shape: &Shape<'_>,
        slopes: &Slopes,
        scalings: &LayerScalings,
    ) -> Result<(Shape<'static>, Step), ReachError> {
        match shape {
            Shape::Narrow(matrix) => {
                let (matrix, step) = self.narrow_step(layer, matrix, slopes, scalings)?;
                Ok((Shape::Narrow(Cow::Owned(matrix)), Step::Narrow(step)))
            }
            Shape::Wide(wide) if self.goes_wide(layer, shape, slopes) => {
                let step = wide.step(self.network, slopes, scalings)?;
                if layer + 1 < self.hidden_layers() {
                    return Ok((Shape::Wide(Arc::clone(&step.next)), Step::Wide(step)));
                }
                let scaled = match &self.output_scale {
                    None => EnclosedMatrix::exact(DMatrix::identity(self.output_dim(), self.output_dim())),
                    Some(scale) => EnclosedMatrix::rounded_once(DMatrix::from_diagonal(&scale.map(f64::recip))),
                };
                let rows = step.next.rows(self.network, &scaled, &[]);
                let shape = step.next.form(self.network, &rows)?;
                Ok((Shape::Narrow(Cow::Owned(shape)), Step::Wide(step)))
            }
            Shape::Wide(wide) => {
                let (matrix, step) = self.entering_step(layer, wide, slopes, scalings)?;
                Ok((Shape::Narrow(Cow::Owned(matrix)), Step::Narrow(step)))
            }
        }
    }

    /// The lemma for the first narrow layer behind wide ones: only the parts of its Q that are needed are formed.
    fn entering_step(
        &self,
        layer: usize,
        shape: &WideShape,
        slopes: &Slopes,
        scalings: &LayerScalings,
    ) -> Result<(DMatrix<f64>, NarrowStep), ReachError> {
        let weight = &self.weights[layer + 1];
        let nominal = scaled_columns(&weight.value, weight.error, &slopes.centres);
        let uncertain = slopes.uncertain();
        let parts = shape.form(self.network, &shape.rows(self.network, &nominal, &uncertain))?;
        let (outputs, units) = (nominal.value.nrows(), uncertain.len());
        let next = EnclosedMatrix::exact(parts.view((0, 0), (outputs, outputs)).into_owned());
        let coupling = EnclosedMatrix::exact(parts.view((0, outputs), (outputs, units)).into_owned());
        let among = parts.view((outputs, outputs), (units, units)).into_owned();
        self.widened(layer, &Nominal { next, coupling, among }, slopes, scalings)
    }

    fn narrow_step(
        &self,
        layer: usize,
        shape: &DMatrix<f64>,
        slopes: &Slopes,
        scalings: &LayerScalings,
    ) -> Result<(DMatrix<f64>, NarrowStep), ReachError> {
        match layer {
            0 => {
                self.widened(layer, slopes.nominal.get_or_init(|| self.nominal(layer, shape, slopes)), slopes, scalings)
            }
            _ => self.widened(layer, &self.nominal(layer, shape, slopes), slopes, scalings),
        }
    }

    fn nominal(&self, layer: usize, shape: &DMatrix<f64>, slopes: &Slopes) -> Nominal {
        let weight = &self.weights[layer + 1];
        let nominal = scaled_columns(&weight.value, weight.error, &slopes.centres);
        let mapped = nominal.times_exact(shape);
        let next = mapped.times_transposed(&nominal);
        let uncertain = slopes.uncertain();
        let coupling = EnclosedMatrix { value: mapped.value.select_columns(&uncertain), error: mapped.error };
        let among = shape.select_rows(&uncertain).select_columns(&uncertain);
        Nominal { next, coupling, among }
    }

    /// RQRᵀ + N K⁻¹ Nᵀ + Σ λw² WWᵀ.
    fn widened(
        &self,
        layer: usize,
        Nominal { next, coupling, among }: &Nominal,
        slopes: &Slopes,
        scalings: &LayerScalings,
    ) -> Result<(DMatrix<f64>, NarrowStep), ReachError> {
        let (weight, mut next, uncertain) = (&self.weights[layer + 1], next.clone(), slopes.uncertain());
        let response = if uncertain.is_empty() {
            None
        } else {
            let lambda = scalings_of(layer, &uncertain, scalings)?;
            let inverse = CertifiedInverse::new(&lambda, among).ok_or(ReachError::Scalings { layer })?;
            let (quadratic, response) = inverse.quadratic(coupling);
            next = next.plus(&quadratic);
            // The root of λw², rounded up.
            let root = |(&unit, lambda): (&usize, &f64)| rounded_up(lambda.sqrt() * slopes.half_widths[unit]);
            let spread = DVector::from_iterator(uncertain.len(), uncertain.iter().zip(&lambda).map(root));
            let slack = scaled_columns(&weight.value.select_columns(&uncertain), weight.error, &spread);
            next = next.plus(&slack.times_transposed(&slack));
            Some(response)
        };
        if !(next.error.is_finite() && frobenius_upper(&next.value).is_finite()) {
            return Err(ReachError::NonFinite { layer: layer + 1 });
        }
        Ok((next.loewner_upper(), NarrowStep { uncertain, response }))
    }

    /// The ball in which no unit with a kink changes its slope, and the shape Q of the scaled output there; a curved
    /// unit has the slope φ′(a), which is right at the input only, and makes the ball a point. The radius is rounded
    /// down and leaves room for a pre-activation that is known less well elsewhere.
    ///
    /// # Errors
    /// [`ReachError::NonFinite`].
    pub fn linear_region(&self) -> Result<(f64, DMatrix<f64>), ReachError> {
        let mut shape = self.first()?;
        let mut radius = f64::INFINITY;
        for layer in 0..self.hidden_layers() {
            if !self.has_certain_slopes(layer) {
                radius = 0.0;
            }
            if radius > 0.0 && self.distances(layer).iter().any(|distance| distance.is_finite()) {
                let squares = self.reach_squares(&shape)?;
                let rates: Vec<f64> = squares.iter().map(|square| rounded_up(root_up(*square))).collect();
                radius = radius.min(self.certain_up_to(layer, &rates));
            }
            let centres = DVector::from_vec(self.slopes_here(layer));
            let half_widths = DVector::zeros(centres.len());
            let (listed, reach_squares) = (vec![], DVector::zeros(0));
            let slopes = Slopes { centres, half_widths, listed, reach_squares, nominal: OnceCell::new() };
            shape = self.step(layer, &shape, &slopes, &LayerScalings::default())?.0;
        }
        Ok((radius, full(shape)?))
    }

    /// Bounds the output for perturbations of L2 norm at most `norm` (ρ), with the scalings of `evidence`.
    ///
    /// The bound holds for the network over the real numbers. Error: upwards, by rounding only.
    ///
    /// # Errors
    /// [`ReachError`] where the scalings do not fit or a number is not finite: nothing is known then.
    pub fn reach(&self, norm: f64, evidence: &NetworkEvidence) -> Result<Reach, ReachError> {
        Reach::of(self.chains(norm, evidence)?.shape, norm)
    }

    /// Follows every chain of the evidence.
    fn chains(&self, norm: f64, evidence: &NetworkEvidence) -> Result<Chains<'_>, ReachError> {
        let expected = self.hidden_layers();
        if evidence.chains.len() != expected {
            return Err(ReachError::Chains { expected, found: evidence.chains.len() });
        }
        let mut found = Chains { shape: self.first()?, slopes: Vec::with_capacity(expected), steps: vec![] };
        for (target, chain) in evidence.chains.iter().enumerate() {
            if chain.len() != target + 1 {
                return Err(ReachError::Chains { expected: target + 1, found: chain.len() });
            }
            found.slopes.push(self.slopes(target, &self.reach_squares(&found.shape)?, norm)?);
            found.shape = self.first()?;
            found.steps.clear();
            for (layer, (slopes, scalings)) in found.slopes.iter().zip(chain).enumerate() {
                let (next, step) = self.step(layer, &found.shape, slopes, scalings)?;
                found.shape = next;
                found.steps.push(step);
            }
        }
        Ok(found)
    }
}

/// The units of each window.
fn in_windows(ends: &[usize]) -> impl Iterator<Item = Range<usize>> + '_ {
    std::iter::once(0).chain(ends.iter().copied()).zip(ends).map(|(start, &end)| start..end)
}

/// The distance to the nearest of these; infinite where there is none.
fn nearest(value: f64, kinks: &[f64]) -> f64 {
    kinks.iter().map(|kink| (value - kink).abs()).fold(f64::INFINITY, f64::min)
}

/// √q, rounded up; a q below 0, which only rounding makes, counts as 0.
fn root_up(square: f64) -> f64 {
    rounded_up(square.max(0.0).sqrt())
}

/// What all chains together give.
struct Chains<'a> {
    /// Q of the output.
    shape: Shape<'a>,
    /// The slopes of every hidden layer.
    slopes: Vec<Slopes>,
    /// The steps of the last chain.
    steps: Vec<Step>,
}

/// A number not below ρ‖Q‖₂^½.
fn moved(shape: &DMatrix<f64>, norm: f64) -> Result<f64, LinalgError> {
    Ok(rounded_up(norm * rounded_up(largest_eigenvalue_upper(shape)?.sqrt())))
}

/// Q of the output, which is narrow.
fn full(shape: Shape<'_>) -> Result<DMatrix<f64>, ReachError> {
    match shape {
        Shape::Narrow(matrix) => Ok(matrix.into_owned()),
        // Refused before anything was computed.
        Shape::Wide(_) => Err(ReachError::WideOutput { found: NARROW + 1 }),
    }
}

/// Where a bound is loose.
#[derive(Debug, Clone, PartialEq)]
pub struct Looseness {
    /// ρ‖MJ‖₂, what the bound would be without a change of slope.
    pub first_order: Estimate,
    /// The bound.
    pub norm: UpperBound,
    /// Per hidden layer.
    pub layers: Vec<LayerLooseness>,
}

/// What the uncertain slopes of one layer do to a bound.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerLooseness {
    /// Units of the layer.
    pub units: usize,
    /// Units whose slope is not certain.
    pub uncertain: usize,
    /// The units whose ranges make up the largest parts of the bound's square in its worst direction, largest first:
    /// (unit, share).
    pub worst: Vec<(usize, f64)>,
}

/// Units named per layer.
const NAMED_UNITS: usize = 5;

impl SlopeInterval<'_> {
    /// Where the bound for `norm` with these scalings is loose. The shares are estimates, for reading only.
    ///
    /// # Errors
    /// As [`SlopeInterval::reach`].
    pub fn looseness(&self, norm: f64, evidence: &NetworkEvidence) -> Result<Looseness, ReachError> {
        let (_, linear) = self.linear_region()?;
        let Chains { shape, slopes, steps } = self.chains(norm, evidence)?;
        let shape = full(shape)?;
        let bound = moved(&shape, norm)?;
        let eigen = eigendecomposition(shape)?;
        let top = eigen.eigenvalues.imax();
        let largest = eigen.eigenvalues[top].max(f64::MIN_POSITIVE);
        let direction = eigen.eigenvectors.column(top).into_owned();
        let mut functional = DMatrix::from_row_slice(1, direction.len(), direction.as_slice());
        let mut layers = Vec::with_capacity(steps.len());
        for (layer, step) in steps.iter().enumerate().rev() {
            let scalings = evidence.chains.last().and_then(|chain| chain.get(layer)).cloned().unwrap_or_default();
            let lambda = scalings_of(layer, step.uncertain(), &scalings)?;
            let Slopes { centres, half_widths, .. } = &slopes[layer];
            let mut back = self.pulled_back(layer, &functional);
            let part =
                |(&unit, lambda): (&usize, &f64)| (unit, lambda * (half_widths[unit] * back[unit]).powi(2) / largest);
            let mut worst: Vec<(usize, f64)> = step.uncertain().iter().zip(&lambda).map(part).collect();
            worst.sort_by(|a, b| b.1.total_cmp(&a.1));
            worst.truncate(NAMED_UNITS);
            layers.push(LayerLooseness { units: half_widths.len(), uncertain: step.uncertain().len(), worst });
            back.column_iter_mut().zip(centres).for_each(|(mut column, &centre)| column *= centre);
            if let Step::Narrow(step) = step {
                step.add_worst(&functional, &mut back);
            }
            functional = back;
        }
        layers.reverse();
        let not_finite = |_| ReachError::NonFinite { layer: self.hidden_layers() };
        let first_order = Estimate::new(moved(&linear, norm)?).map_err(not_finite)?;
        Ok(Looseness { first_order, norm: UpperBound::new(bound).map_err(not_finite)?, layers })
    }
}

impl SlopeInterval<'_> {
    /// F W for rows F at layer `layer` + 1: `[rows, width of layer]`.
    pub(crate) fn pulled_back(&self, layer: usize, functional: &DMatrix<f64>) -> DMatrix<f64> {
        let weight = &self.weights[layer + 1].value;
        if !weight.is_empty() {
            return functional * weight;
        }
        let scale = self.output_scale.as_ref().filter(|_| layer + 1 == self.hidden_layers());
        let mut functional = functional.clone();
        if let Some(scale) = scale {
            functional.column_iter_mut().zip(scale).for_each(|(mut column, &scale)| column /= scale);
        }
        self.network.layers()[layer + 1].map.rows_times(&functional)
    }
}

impl Step {
    /// U, ascending.
    pub(crate) fn uncertain(&self) -> &[usize] {
        match self {
            Self::Narrow(step) => &step.uncertain,
            Self::Wide(step) => &step.uncertain,
        }
    }
}

impl NarrowStep {
    /// X = F N K⁻¹, the worst response of the uncertain units to each row of F, `[rows, |U|]`; added to their columns of
    /// `back` = F R, it carries the derivative of the lemma one layer back. None where every slope is certain.
    pub(crate) fn add_worst(&self, functional: &DMatrix<f64>, back: &mut DMatrix<f64>) -> Option<DMatrix<f64>> {
        let worst = functional * self.response.as_ref()?;
        for (place, &unit) in self.uncertain.iter().enumerate() {
            let sum = back.column(unit) + worst.column(place);
            back.set_column(unit, &sum);
        }
        Some(worst)
    }
}

/// M diag(v), each entry rounded once more, for an M known up to `error`.
pub(crate) fn scaled_columns(matrix: &DMatrix<f64>, error: f64, scale: &DVector<f64>) -> EnclosedMatrix {
    let mut value = matrix.clone();
    let mut largest: f64 = 0.0;
    for (mut column, &scale) in value.column_iter_mut().zip(scale) {
        column *= scale;
        largest = largest.max(scale.abs());
    }
    let rounded = EnclosedMatrix::rounded_once(value);
    EnclosedMatrix { error: rounded_up(rounded.error + error * largest), value: rounded.value }
}

/// λ of every uncertain unit.
pub(crate) fn scalings_of(layer: usize, uncertain: &[usize], scalings: &LayerScalings) -> Result<Vec<f64>, ReachError> {
    let find = |&unit: &usize| {
        let place = scalings.units.binary_search(&unit).ok();
        place.and_then(|place| scalings.scalings.get(place)).copied().ok_or(ReachError::MissingScaling { layer, unit })
    };
    uncertain.iter().map(find).collect()
}
