//! Adam (Kingma & Ba 2015, algorithm 1), updating weights and moments in place.

use candle_core::{Result, Tensor};

use super::activation::constant;
use super::kernel::{is_cpu, OnCpu, Real, Update};

/// Decay of the first moment, the paper's default.
const BETA1: f64 = 0.9;
/// Decay of the second moment, the paper's default.
const BETA2: f64 = 0.999;
/// Added to the root of the second moment, the paper's default.
const EPSILON: f64 = 1e-8;

/// One step's constants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdamStep {
    /// Step size.
    pub(crate) learning_rate: f64,
    /// Steps taken, this one included; at least 1.
    pub(crate) step: u64,
    /// The gradient is multiplied by this first (1/rows turns a sum over rows into a mean).
    pub(crate) gradient_scale: f64,
}

/// Zero moments for a parameter: `[2, number of elements]`, first and second moment.
pub(crate) fn moments_for(parameter: &Tensor) -> Result<Tensor> {
    Tensor::zeros((2, parameter.elem_count()), parameter.dtype(), parameter.device())
}

/// Updates `parameter` and `moments` in place; everyone who shares their memory sees the new values.
pub(crate) fn step(parameter: &Tensor, moments: &Tensor, gradient: &Tensor, adam: AdamStep) -> Result<()> {
    if is_cpu(parameter) {
        moments.inplace_op2(&gradient.contiguous()?, &OnCpu(&MomentUpdate { scale: adam.gradient_scale }))?;
        return parameter.inplace_op2(moments, &OnCpu(&ParameterUpdate::new(adam)));
    }
    let gradient = (gradient.flatten_all()? * adam.gradient_scale)?;
    let first = ((moments.get(0)? * BETA1)? + (&gradient * (1.0 - BETA1))?)?;
    let second = ((moments.get(1)? * BETA2)? + (gradient.sqr()? * (1.0 - BETA2))?)?;
    moments.slice_set(&Tensor::stack(&[&first, &second], 0)?, 0, 0)?;
    let update = ParameterUpdate::new(adam);
    let denominator = ((second * update.second_scale)?.sqrt()? + EPSILON)?;
    let change = ((first * update.rate)? / denominator)?.reshape(parameter.shape())?;
    parameter.slice_set(&(parameter - change)?, 0, 0)
}

struct MomentUpdate {
    scale: f64,
}

impl Update for MomentUpdate {
    const NAME: &'static str = "moment update";
    #[inline(always)]
    fn update<T: Real>(&self, moments: &mut [T], gradient: &[T]) {
        let (scale, beta1, beta2) = (constant::<T>(self.scale), constant::<T>(BETA1), constant::<T>(BETA2));
        let (one_minus_beta1, one_minus_beta2) = (constant::<T>(1.0 - BETA1), constant::<T>(1.0 - BETA2));
        let (first, second) = moments.split_at_mut(gradient.len());
        for ((m, v), &g) in first.iter_mut().zip(second).zip(gradient) {
            let g = g * scale;
            *m = beta1 * *m + one_minus_beta1 * g;
            *v = beta2 * *v + one_minus_beta2 * g * g;
        }
    }
}

struct ParameterUpdate {
    /// Learning rate over the first moment's bias correction.
    rate: f64,
    /// One over the second moment's bias correction.
    second_scale: f64,
}

impl ParameterUpdate {
    fn new(adam: AdamStep) -> Self {
        let steps = adam.step as f64;
        Self { rate: adam.learning_rate / (1.0 - BETA1.powf(steps)), second_scale: 1.0 / (1.0 - BETA2.powf(steps)) }
    }
}

impl Update for ParameterUpdate {
    const NAME: &'static str = "parameter update";
    #[inline(always)]
    fn update<T: Real>(&self, parameter: &mut [T], moments: &[T]) {
        let (rate, second_scale, epsilon) =
            (constant::<T>(self.rate), constant::<T>(self.second_scale), constant::<T>(EPSILON));
        let (first, second) = moments.split_at(parameter.len());
        for ((w, &m), &v) in parameter.iter_mut().zip(first).zip(second) {
            *w -= rate * m / ((v * second_scale).sqrt() + epsilon);
        }
    }
}

/// target += source, in place.
pub(crate) fn accumulate(target: &Tensor, source: &Tensor) -> Result<()> {
    if is_cpu(target) {
        return target.inplace_op2(source, &OnCpu(&Add));
    }
    target.slice_set(&(target + source)?, 0, 0)
}

struct Add;

impl Update for Add {
    const NAME: &'static str = "sum";
    #[inline(always)]
    fn update<T: Real>(&self, target: &mut [T], source: &[T]) {
        for (target, &source) in target.iter_mut().zip(source) {
            *target += source;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn two_steps_match_hand_computed_values() {
        let parameter = Tensor::new(&[1.0_f64], &Device::Cpu).unwrap();
        let moments = moments_for(&parameter).unwrap();
        let gradient = Tensor::new(&[4.0_f64], &Device::Cpu).unwrap();
        let adam = |step| AdamStep { learning_rate: 0.1, step, gradient_scale: 0.5 };
        // Gradient 2: m = 0.2, v = 0.004; corrected 2 and 4: the first step is the learning rate itself.
        super::step(&parameter, &moments, &gradient, adam(1)).unwrap();
        assert!((parameter.to_vec1::<f64>().unwrap()[0] - 0.9).abs() < 1e-8);
        // Gradient −1: m = 0.08, v = 0.004996; corrected 0.08/0.19 and 0.004996/0.001999.
        let gradient = Tensor::new(&[-2.0_f64], &Device::Cpu).unwrap();
        super::step(&parameter, &moments, &gradient, adam(2)).unwrap();
        let expected = 0.9 - 0.1 * (0.08 / 0.19) / (0.004_996_f64 / 0.001_999).sqrt();
        assert!((parameter.to_vec1::<f64>().unwrap()[0] - expected).abs() < 1e-8);
    }
}
