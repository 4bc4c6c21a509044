//! The narrow interface between networks and arithmetic: product, bias and activation, forwards and backwards.
//!
//! Every function takes and returns row-major batches `[rows, width]`. On the CPU the elementwise part runs in one
//! pass over memory; on any other device it is plain candle. Weights that do not change any more are laid out for the
//! processor once, and what follows their product happens while its values are at hand. Nothing outside this file and
//! [`super::adam`] looks inside a tensor's storage, so faster kernels replace these functions and nothing else.

use std::sync::OnceLock;

use candle_core::{bail, CpuStorage, DType, Device, InplaceOp2, Layout, Result, Storage, Tensor};
use pulp::{Arch, Simd, WithSimd};

use super::activation::{constant, Activation};
use super::direct::{Direct, Direction};
use super::elementary::Elementary;
use super::layer::Windows;
use super::product::{multiply, Finish, Lanes, Packed};

/// Slopes with which a derivative is multiplied on its way: φ′ at `output` `[rows, width]`.
#[derive(Clone, Copy)]
pub(crate) struct Slopes<'a> {
    pub(crate) output: &'a Tensor,
    pub(crate) activation: Activation,
}

/// What follows a product.
#[derive(Clone, Copy)]
pub(crate) enum Then<'a> {
    Nothing,
    /// φ(· + bias), `[width]`.
    Activate(&'a Tensor, Activation),
    Slopes(Slopes<'a>),
}

impl Then<'_> {
    /// Applies it to `[rows, width]`, whose memory must be shared with nobody.
    pub(crate) fn apply(self, values: Tensor) -> Result<Tensor> {
        match self {
            Self::Nothing => Ok(values),
            Self::Activate(bias, activation) => add_and_activate(values, bias, activation),
            Self::Slopes(Slopes { output, activation }) => times_slope(values, output, activation),
        }
    }
}

/// A linear map on the CPU whose weights have been laid out in one precision.
#[derive(Debug)]
enum Frozen<T> {
    Product(Packed<T>),
    Convolution(Direct<T>),
}

#[derive(Debug)]
enum AnyFrozen {
    Single(Frozen<f32>),
    Double(Frozen<f64>),
}

/// A linear map with weights that do not change any more and its adjoint; each is laid out when it is first used.
#[derive(Debug, Default)]
pub(crate) struct FrozenMap {
    forward: OnceLock<Option<AnyFrozen>>,
    adjoint: OnceLock<Option<AnyFrozen>>,
}

impl FrozenMap {
    /// x Wᵀ, or the windows' convolution, for `Forward`, otherwise the adjoint; then what follows. None if it cannot be done
    /// here: on another device than the CPU, in another precision, or where the plain way is better.
    pub(crate) fn apply(
        &self,
        input: &Tensor,
        weight: &Tensor,
        windows: Option<&Windows>,
        direction: Direction,
        then: Then,
    ) -> Result<Option<Tensor>> {
        if !is_cpu(weight) || !is_cpu(input) || weight.dtype() != input.dtype() {
            return Ok(None);
        }
        let cell = match direction {
            Direction::Forward => &self.forward,
            Direction::Adjoint => &self.adjoint,
        };
        if cell.get().is_none() {
            let frozen = match weight.dtype() {
                DType::F32 => Frozen::of(weight, windows, direction)?.map(AnyFrozen::Single),
                DType::F64 => Frozen::of(weight, windows, direction)?.map(AnyFrozen::Double),
                _ => None,
            };
            // Another thread's is the same.
            _ = cell.set(frozen);
        }
        match cell.get() {
            Some(Some(AnyFrozen::Single(frozen))) => frozen.apply(input, then).map(Some),
            Some(Some(AnyFrozen::Double(frozen))) => frozen.apply(input, then).map(Some),
            _ => Ok(None),
        }
    }
}

impl<T: Real> Frozen<T> {
    fn of(weight: &Tensor, windows: Option<&Windows>, direction: Direction) -> Result<Option<Self>> {
        with_values(weight, |values: &[T]| {
            if let Some(windows) = windows {
                return Ok(Direct::new(windows, values, direction).map(Self::Convolution));
            }
            let (outputs, inputs) = weight.dims2()?;
            Ok(Some(Self::Product(match direction {
                Direction::Forward => Packed::of_columns(values, inputs, outputs),
                Direction::Adjoint => Packed::of_rows(values, outputs, inputs),
            })))
        })
    }

    fn apply(&self, input: &Tensor, then: Then) -> Result<Tensor> {
        let rows = input.dim(0)?;
        let (inputs, outputs) = match self {
            Self::Product(packed) => (packed.depth(), packed.columns()),
            Self::Convolution(direct) => (direct.inputs(), direct.outputs()),
        };
        same_width(input, inputs)?;
        let apply = |then: ThenValues<T>| {
            let values = with_values(input, |input: &[T]| {
                Ok(match self {
                    Self::Product(packed) => multiply(input, packed, &then),
                    Self::Convolution(direct) => direct.apply(input, &then),
                })
            })?;
            Tensor::from_vec(values, (rows, outputs), &Device::Cpu)
        };
        let expected = |tensor: &Tensor, shape: &[usize]| match tensor.dims() == shape {
            true => Ok(()),
            false => bail!("shapes disagree: {:?} and {shape:?}", tensor.dims()),
        };
        match then {
            Then::Nothing => apply(ThenValues::Nothing),
            Then::Activate(bias, activation) => {
                expected(bias, &[outputs])?;
                with_values(bias, |bias| apply(ThenValues::Activate(bias, AddBiasAndActivate { activation })))
            }
            Then::Slopes(Slopes { output, activation }) => {
                expected(output, &[rows, outputs])?;
                with_values(output, |output| apply(ThenValues::Slopes(output, MultiplyBySlope { activation })))
            }
        }
    }
}

/// [`Then`] with the numbers in hand.
enum ThenValues<'a, T> {
    Nothing,
    Activate(&'a [T], AddBiasAndActivate),
    /// Outputs.
    Slopes(&'a [T], MultiplyBySlope),
}

impl<T: Real> Finish<T> for ThenValues<'_, T> {
    #[inline(always)]
    fn finish(&self, row: usize, values: &mut [T]) {
        match self {
            Self::Nothing => {}
            Self::Activate(bias, update) => update.update(values, bias),
            Self::Slopes(output, update) => update.update(values, &output[row * values.len()..][..values.len()]),
        }
    }
}

/// The values of a tensor on the CPU, in their order.
fn with_values<T: Real, R>(tensor: &Tensor, use_values: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(values) = &*storage else { bail!("expected a tensor on the CPU") };
    let (begin, end) = contiguous(layout)?;
    use_values(&values.as_slice::<T>()?[begin..end])
}

/// φ(a + b) where `bias` `[width]` fits the last axis of `a`, whose memory must be shared with nobody.
pub(crate) fn add_and_activate(a: Tensor, bias: &Tensor, activation: Activation) -> Result<Tensor> {
    same_width(&a, bias.dim(0)?)?;
    if is_cpu(&a) {
        a.inplace_op2(bias, &OnCpu(&AddBiasAndActivate { activation }))?;
        return Ok(a);
    }
    plain_activate(&a.broadcast_add(bias)?, activation)
}

/// `gradient` ∘ φ′, with φ′ taken at `output`; both `[rows, width]`. `gradient` must share its memory with nobody.
pub(crate) fn times_slope(gradient: Tensor, output: &Tensor, activation: Activation) -> Result<Tensor> {
    same_shape(&gradient, output)?;
    if activation == Activation::Identity {
        return Ok(gradient);
    }
    if is_cpu(&gradient) {
        let output = output.contiguous()?;
        gradient.inplace_op2(&output, &OnCpu(&MultiplyBySlope { activation }))?;
        return Ok(gradient);
    }
    gradient.mul(&slope(output, activation)?)
}

/// The gradients with respect to weight and bias: (`gradient`ᵀ x, column sums). Returns (`[out, in]`, `[out]`).
pub(crate) fn parameter_gradients(gradient: &Tensor, input: &Tensor) -> Result<(Tensor, Tensor)> {
    let sums = if is_cpu(gradient) {
        on_cpu(gradient, gradient, ColumnSums { width: gradient.dim(1)? })?
    } else {
        gradient.sum(0)?
    };
    Ok((gradient.t()?.matmul(input)?, sums))
}

/// The sum of all squares, finite only if every value is and none is beyond half the range of exponents.
pub(crate) fn sum_of_squares(values: &Tensor) -> Result<f64> {
    if is_cpu(values) {
        return on_cpu(values, values, SumOfSquares);
    }
    values.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()
}

/// The L2 distance of every row of `points` `[rows, width]` from its reference. `reference` is `[n, width]` with n
/// dividing rows: consecutive blocks of rows/n rows share one. Accumulated in double precision on the CPU.
pub(crate) fn row_distances(points: &Tensor, reference: &Tensor) -> Result<Vec<f64>> {
    check_blocks(points, reference)?;
    if is_cpu(points) {
        return on_cpu(points, reference, RowDistances { width: points.dim(1)? });
    }
    let difference = blocks(points, reference)?;
    difference.sqr()?.sum(2)?.sqrt()?.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()
}

/// Row i of the result is `scales[i]` · (points_i − reference_i), with references as in [`row_distances`].
pub(crate) fn scaled_differences(points: &Tensor, reference: &Tensor, scales: &[f64]) -> Result<Tensor> {
    check_blocks(points, reference)?;
    if scales.len() != points.dim(0)? {
        bail!("{} scales for {} rows", scales.len(), points.dim(0)?);
    }
    if is_cpu(points) {
        return on_cpu(points, reference, ScaledDifferences { scales, shape: points.dims2()? });
    }
    let (rows, width) = points.dims2()?;
    let groups = reference.dim(0)?;
    let scales = Tensor::from_slice(scales, (groups, rows / groups, 1), points.device())?.to_dtype(points.dtype())?;
    blocks(points, reference)?.broadcast_mul(&scales)?.reshape((rows, width))
}

/// Bernoulli negative log-likelihood −Σ log p(x | logits), in nats, and its gradient with respect to the logits
/// `[rows, width]`. Stable for any finite logit: log p = x·l − max(l, 0) − log(1 + exp −|l|).
pub(crate) fn bernoulli_loss(logits: &Tensor, targets: &Tensor) -> Result<(f64, Tensor)> {
    same_shape(logits, targets)?;
    if is_cpu(logits) {
        return on_cpu(logits, targets, BernoulliLoss { shape: logits.dims2()? });
    }
    let softplus = plain_activate(logits, Activation::Softplus)?;
    let loss = softplus.sub(&logits.mul(targets)?)?.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?;
    Ok((loss, plain_activate(logits, Activation::Sigmoid)?.sub(targets)?))
}

/// Half the squared distance Σ ½(output − target)² / `variance`, in nats, and its gradient `[rows, width]`.
pub(crate) fn gaussian_loss(output: &Tensor, targets: &Tensor, variance: f64) -> Result<(f64, Tensor)> {
    same_shape(output, targets)?;
    if is_cpu(output) {
        return on_cpu(output, targets, GaussianLoss { variance, shape: output.dims2()? });
    }
    let difference = output.sub(targets)?;
    let sum_of_squares = difference.sqr()?.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?;
    Ok((0.5 * sum_of_squares / variance, (difference / variance)?))
}

/// φ(a) elementwise, accurate for every finite a; `a` is left as it is.
pub(crate) fn activate(a: &Tensor, activation: Activation) -> Result<Tensor> {
    if !is_cpu(a) {
        return plain_activate(a, activation);
    }
    let output = a.contiguous()?.copy()?;
    let no_bias = Tensor::zeros(1, a.dtype(), a.device())?;
    output.inplace_op2(&no_bias, &OnCpu(&AddBiasAndActivate { activation }))?;
    Ok(output)
}

/// φ applied with candle's own operations.
pub(crate) fn plain_activate(a: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Identity => Ok(a.clone()),
        Activation::Relu => a.relu(),
        Activation::LeakyRelu { slope } => candle_nn::ops::leaky_relu(a, slope),
        Activation::Elu { alpha } => a.elu(alpha),
        Activation::Softplus => a.relu()?.add(&((a.abs()?.neg()?.exp()? + 1.0)?.log()?)),
        Activation::Tanh => a.tanh(),
        Activation::Sigmoid => candle_nn::ops::sigmoid(a),
        Activation::Clip { low, high } => a.clamp(low, high),
    }
}

/// φ′ at the output h with candle's own operations.
pub(crate) fn slope(h: &Tensor, activation: Activation) -> Result<Tensor> {
    let positive = h.gt(0.0)?.to_dtype(h.dtype())?;
    match activation {
        Activation::Identity => h.ones_like(),
        Activation::Relu => Ok(positive),
        Activation::LeakyRelu { slope } => positive.affine(1.0 - slope, slope),
        Activation::Elu { alpha } => h.gt(0.0)?.where_cond(&h.ones_like()?, &(h + alpha)?),
        Activation::Softplus => h.neg()?.exp()?.affine(-1.0, 1.0),
        Activation::Tanh => h.sqr()?.affine(-1.0, 1.0),
        Activation::Sigmoid => h.mul(&h.affine(-1.0, 1.0)?),
        Activation::Clip { low, high } => h.gt(low)?.mul(&h.lt(high)?)?.to_dtype(h.dtype()),
    }
}

/// points − reference as `[n, rows/n, width]`.
fn blocks(points: &Tensor, reference: &Tensor) -> Result<Tensor> {
    let (rows, width) = points.dims2()?;
    let groups = reference.dim(0)?;
    points.reshape((groups, rows / groups, width))?.broadcast_sub(&reference.unsqueeze(1)?)
}

fn same_shape(a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dims() != b.dims() {
        bail!("shapes disagree: {:?} and {:?}", a.dims(), b.dims());
    }
    Ok(())
}

fn same_width(rows: &Tensor, width: usize) -> Result<()> {
    if rows.dim(1)? != width {
        bail!("shapes disagree: rows of {} values where {width} were expected", rows.dim(1)?);
    }
    Ok(())
}

/// Whether `reference` serves the rows of `points` in equal blocks.
fn check_blocks(points: &Tensor, reference: &Tensor) -> Result<()> {
    let (rows, groups) = (points.dim(0)?, reference.dim(0)?);
    if groups == 0 || rows % groups != 0 {
        bail!("{groups} references cannot be shared equally by {rows} rows");
    }
    same_width(points, reference.dim(1)?)
}

pub(crate) fn is_cpu(tensor: &Tensor) -> bool {
    matches!(tensor.device(), Device::Cpu)
}

/// An elementwise update of one slice from another.
pub(crate) trait Update {
    /// Shown in error messages.
    const NAME: &'static str;
    /// Updates `target` in place.
    fn update<T: Real>(&self, target: &mut [T], source: &[T]);
}

/// Runs an [`Update`] in place on contiguous CPU tensors of equal type.
pub(crate) struct OnCpu<'a, U>(pub(crate) &'a U);

impl<U: Update> InplaceOp2 for OnCpu<'_, U> {
    fn name(&self) -> &'static str {
        U::NAME
    }

    fn cpu_fwd(
        &self,
        target: &mut CpuStorage,
        target_layout: &Layout,
        source: &CpuStorage,
        source_layout: &Layout,
    ) -> Result<()> {
        let ((t0, t1), (s0, s1)) = (contiguous(target_layout)?, contiguous(source_layout)?);
        let (longer, shorter) = ((t1 - t0).max(s1 - s0), (t1 - t0).min(s1 - s0));
        if shorter == 0 || longer % shorter != 0 {
            bail!("{}: {} and {} values do not fit each other", U::NAME, t1 - t0, s1 - s0);
        }
        match (target, source) {
            (CpuStorage::F32(target), CpuStorage::F32(source)) => {
                Arch::new().dispatch(Updated(self.0, &mut target[t0..t1], &source[s0..s1]));
            }
            (CpuStorage::F64(target), CpuStorage::F64(source)) => {
                Arch::new().dispatch(Updated(self.0, &mut target[t0..t1], &source[s0..s1]));
            }
            _ => bail!("{} expects two f32 or two f64 tensors", U::NAME),
        }
        Ok(())
    }
}

/// An [`Update`], compiled for every width of vectors; the widest that the processor has is chosen when it runs. Which one
/// changes speed, not results: nothing is reordered.
struct Updated<'a, U, T>(&'a U, &'a mut [T], &'a [T]);

impl<U: Update, T: Real> WithSimd for Updated<'_, U, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.0.update(self.1, self.2);
    }
}

/// The same for a [`Combine`].
struct Combined<'a, C, T>(C, &'a [T], &'a [T]);

impl<C: Combine, T: Real> WithSimd for Combined<'_, C, T> {
    type Output = Result<C::Output>;
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        self.0.combine(self.1, self.2)
    }
}

fn contiguous(layout: &Layout) -> Result<(usize, usize)> {
    match layout.contiguous_offsets() {
        Some(range) => Ok(range),
        None => bail!("expected a contiguous tensor, found strides {:?}", layout.stride()),
    }
}

struct AddBiasAndActivate {
    activation: Activation,
}

impl Update for AddBiasAndActivate {
    const NAME: &'static str = "bias and activation";
    #[inline(always)]
    fn update<T: Real>(&self, target: &mut [T], bias: &[T]) {
        /// The activation is matched once, outside the loops.
        #[inline(always)]
        fn rows<T: Real>(target: &mut [T], bias: &[T], activation: impl Fn(T) -> T) {
            for row in target.chunks_exact_mut(bias.len()) {
                for (value, &bias) in row.iter_mut().zip(bias) {
                    *value = activation(*value + bias);
                }
            }
        }
        match self.activation {
            Activation::Identity => rows(target, bias, |a| a),
            Activation::Relu => rows(target, bias, |a| Activation::Relu.value(a)),
            Activation::Sigmoid => rows(target, bias, |a| Activation::Sigmoid.value(a)),
            other => rows(target, bias, |a| other.value(a)),
        }
    }
}

struct MultiplyBySlope {
    activation: Activation,
}

impl Update for MultiplyBySlope {
    const NAME: &'static str = "multiplication by the slope";
    #[inline(always)]
    fn update<T: Real>(&self, target: &mut [T], output: &[T]) {
        #[inline(always)]
        fn all<T: Real>(target: &mut [T], output: &[T], slope: impl Fn(T) -> T) {
            for (value, &h) in target.iter_mut().zip(output) {
                *value *= slope(h);
            }
        }
        match self.activation {
            Activation::Identity => {}
            Activation::Relu => all(target, output, |h| Activation::Relu.slope_at_output(h)),
            Activation::Sigmoid => all(target, output, |h| Activation::Sigmoid.slope_at_output(h)),
            other => all(target, output, |h| other.slope_at_output(h)),
        }
    }
}

/// Something computed from two contiguous CPU slices of the same type.
pub(crate) trait Combine {
    type Output;
    fn combine<T: Real>(self, points: &[T], other: &[T]) -> Result<Self::Output>;
}

/// The element types of a network.
pub(crate) trait Real: Elementary + Lanes + candle_core::WithDType {
    /// Exact for f32 and f64.
    fn widen(self) -> f64;
}

impl Real for f32 {
    fn widen(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn widen(self) -> f64 {
        self
    }
}

pub(crate) fn on_cpu<C: Combine>(points: &Tensor, other: &Tensor, combine: C) -> Result<C::Output> {
    let (points, other) = (points.contiguous()?, other.contiguous()?);
    let (points_storage, points_layout) = points.storage_and_layout();
    let (other_storage, other_layout) = other.storage_and_layout();
    let ((p0, p1), (o0, o1)) = (contiguous(points_layout)?, contiguous(other_layout)?);
    match (&*points_storage, &*other_storage) {
        (Storage::Cpu(CpuStorage::F32(points)), Storage::Cpu(CpuStorage::F32(other))) => {
            Arch::new().dispatch(Combined(combine, &points[p0..p1], &other[o0..o1]))
        }
        (Storage::Cpu(CpuStorage::F64(points)), Storage::Cpu(CpuStorage::F64(other))) => {
            Arch::new().dispatch(Combined(combine, &points[p0..p1], &other[o0..o1]))
        }
        _ => bail!("expected two f32 or two f64 tensors on the CPU"),
    }
}

/// Every row of `points` with its reference; consecutive blocks of rows share one.
#[inline(always)]
fn rows_with_reference<'a, T>(
    points: &'a [T],
    reference: &'a [T],
    width: usize,
) -> impl Iterator<Item = (&'a [T], &'a [T])> {
    let rows_per_reference = (points.len() / reference.len().max(1)).max(1);
    points.chunks_exact(width).enumerate().map(move |(i, row)| {
        let start = i / rows_per_reference * width;
        (row, &reference[start..start + width])
    })
}

struct RowDistances {
    width: usize,
}

impl Combine for RowDistances {
    type Output = Vec<f64>;
    #[inline(always)]
    fn combine<T: Real>(self, points: &[T], reference: &[T]) -> Result<Vec<f64>> {
        let mut distances = Vec::with_capacity(points.len() / self.width.max(1));
        // A loop, not a chain of adapters, which would be compiled apart from it and for no vectors.
        for (row, reference) in rows_with_reference(points, reference, self.width) {
            distances.push(distance(row, reference));
        }
        Ok(distances)
    }
}

/// Lanes summed apart, so that the sum vectorises in an order that never changes.
const LANES: usize = 8;

#[inline(always)]
fn distance<T: Real>(a: &[T], b: &[T]) -> f64 {
    let mut sums = [0.0_f64; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f64 =
        a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(&a, &b)| square_of_difference(a, b)).sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += square_of_difference(a[lane], b[lane]);
        }
    }
    (sums.iter().sum::<f64>() + tail).sqrt()
}

#[inline(always)]
fn square_of_difference<T: Real>(a: T, b: T) -> f64 {
    let difference = a.widen() - b.widen();
    difference * difference
}

struct ColumnSums {
    width: usize,
}

impl Combine for ColumnSums {
    type Output = Tensor;
    #[inline(always)]
    fn combine<T: Real>(self, values: &[T], _: &[T]) -> Result<Tensor> {
        let mut sums = vec![T::zero(); self.width];
        for row in values.chunks_exact(self.width.max(1)) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
        Tensor::from_vec(sums, self.width, &Device::Cpu)
    }
}

struct SumOfSquares;

impl Combine for SumOfSquares {
    type Output = f64;
    #[inline(always)]
    fn combine<T: Real>(self, values: &[T], _: &[T]) -> Result<f64> {
        let mut sums = [0.0_f64; LANES];
        for values in values.chunks(LANES) {
            for (sum, value) in sums.iter_mut().zip(values) {
                let value = value.widen();
                *sum += value * value;
            }
        }
        Ok(sums.iter().sum())
    }
}

struct ScaledDifferences<'a> {
    scales: &'a [f64],
    shape: (usize, usize),
}

impl Combine for ScaledDifferences<'_> {
    type Output = Tensor;
    #[inline(always)]
    fn combine<T: Real>(self, points: &[T], reference: &[T]) -> Result<Tensor> {
        let mut scaled = Vec::with_capacity(points.len());
        for ((row, reference), &scale) in rows_with_reference(points, reference, self.shape.1).zip(self.scales) {
            let scale = constant::<T>(scale);
            scaled.extend(row.iter().zip(reference).map(|(&a, &b)| scale * (a - b)));
        }
        Tensor::from_vec(scaled, self.shape, &Device::Cpu)
    }
}

/// Values of which the losses are summed at a time.
const BLOCK: usize = 64;

struct BernoulliLoss {
    shape: (usize, usize),
}

impl Combine for BernoulliLoss {
    type Output = (f64, Tensor);
    #[inline(always)]
    fn combine<T: Real>(self, logits: &[T], targets: &[T]) -> Result<(f64, Tensor)> {
        let mut gradient = vec![T::zero(); logits.len()];
        let mut losses = [T::zero(); BLOCK];
        let mut loss = 0.0;
        for ((gradient, logits), targets) in
            gradient.chunks_mut(BLOCK).zip(logits.chunks(BLOCK)).zip(targets.chunks(BLOCK))
        {
            // Two loops: only the first one vectorises, and sums must keep their order.
            for (((gradient, loss), &logit), &target) in gradient.iter_mut().zip(&mut losses).zip(logits).zip(targets) {
                let e = (-num_traits::Float::abs(logit)).exp_of_negative();
                let mean = (if logit >= T::zero() { T::one() } else { e }) / (T::one() + e);
                *gradient = mean - target;
                *loss = num_traits::Float::max(logit, T::zero()) - logit * target + e.ln_1p_of_fraction();
            }
            loss += losses[..logits.len()].iter().map(|loss| loss.widen()).sum::<f64>();
        }
        Ok((loss, Tensor::from_vec(gradient, self.shape, &Device::Cpu)?))
    }
}

struct GaussianLoss {
    variance: f64,
    shape: (usize, usize),
}

impl Combine for GaussianLoss {
    type Output = (f64, Tensor);
    #[inline(always)]
    fn combine<T: Real>(self, output: &[T], targets: &[T]) -> Result<(f64, Tensor)> {
        let precision = constant::<T>(1.0 / self.variance);
        let mut sum_of_squares = 0.0;
        let mut gradient = Vec::with_capacity(output.len());
        for (&output, &target) in output.iter().zip(targets) {
            let difference = output - target;
            gradient.push(difference * precision);
            sum_of_squares += difference.widen() * difference.widen();
        }
        Ok((0.5 * sum_of_squares / self.variance, Tensor::from_vec(gradient, self.shape, &Device::Cpu)?))
    }
}
