//! Activations.

use super::arithmetic::activate;
use crate::import::onnx::call::Call;
use crate::import::onnx::error::NodeFault;
use crate::import::onnx::formula::Step;
use crate::import::onnx::value::{Signal, Value};
use crate::model::Activation;

/// Defaults of the attributes, in the single precision in which ONNX has them.
const LEAKY_SLOPE: f32 = 0.01;
const HARD_SIGMOID_ALPHA: f32 = 0.2;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_GAMMA: f64 = 1.050_700_987_355_480_5;
/// Exporters write SELU's constants in single precision.
const SELU_TOLERANCE: f64 = 1e-6;

pub(super) fn apply(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let signal = call.take_signal(0)?;
    let operator = call.node.op_type.clone();
    match operator.as_str() {
        "Relu" => activate(call, signal, Activation::Relu),
        "Tanh" => activate(call, signal, Activation::Tanh),
        "Sigmoid" => {
            let mut signal = signal;
            signal.formula.push(Step::Sigmoid)?;
            Ok(Value::Signal(signal))
        }
        "LeakyRelu" => {
            let slope = call.float("alpha", f64::from(LEAKY_SLOPE))?;
            activate(call, signal, Activation::LeakyRelu { slope })
        }
        "PRelu" => prelu(call, signal),
        "Elu" => {
            let alpha = call.float("alpha", 1.0)?;
            activate(call, signal, Activation::Elu { alpha })
        }
        "Celu" => celu(call, signal),
        "Selu" => selu(call, signal),
        "HardSigmoid" => hard_sigmoid(call, signal),
        _ => clip_node(call, signal),
    }
}

fn prelu(call: &mut Call<'_, '_>, signal: Signal) -> Result<Value, NodeFault> {
    let slope = call.constant(1, "a constant slope")?;
    let slope = slope.uniform().filter(|slope| (0.0..=1.0).contains(slope)).ok_or_else(|| NodeFault::Unsupported {
        what: "a PRelu whose slopes differ or lie outside [0, 1]".to_owned(),
        instead: "train with one slope in [0, 1], or with LeakyReLU",
    })?;
    activate(call, signal, Activation::LeakyRelu { slope })
}

/// max(x, 0) + min(0, α (exp(x/α) − 1)) = α ELU₁(x/α).
fn celu(call: &mut Call<'_, '_>, mut signal: Signal) -> Result<Value, NodeFault> {
    let alpha = call.float("alpha", 1.0)?;
    if !(alpha > 0.0 && alpha.is_finite()) {
        return Err(Call::bad_attribute("alpha", alpha, "a number above 0"));
    }
    signal.formula.push(Step::Scale(alpha.recip()))?;
    scaled(activate(call, signal, Activation::Elu { alpha: 1.0 })?, alpha)
}

/// γ ELU_α. With the usual constants they are exact, not as rounded in the file.
fn selu(call: &mut Call<'_, '_>, signal: Signal) -> Result<Value, NodeFault> {
    let (alpha, gamma) = (call.float("alpha", SELU_ALPHA)?, call.float("gamma", SELU_GAMMA)?);
    if (alpha - SELU_ALPHA).abs() < SELU_TOLERANCE && (gamma - SELU_GAMMA).abs() < SELU_TOLERANCE {
        let shape = signal.shape.clone();
        return call.extend(signal, crate::import::sequence::Sequence::selu, shape);
    }
    if !gamma.is_finite() {
        return Err(Call::bad_attribute("gamma", gamma, "a finite number"));
    }
    scaled(activate(call, signal, Activation::Elu { alpha })?, gamma)
}

fn scaled(value: Value, scale: f64) -> Result<Value, NodeFault> {
    let Value::Signal(mut signal) = value else { return Ok(value) };
    signal.formula.push(Step::Scale(scale))?;
    Ok(Value::Signal(signal))
}

/// max(0, min(1, α x + β)).
fn hard_sigmoid(call: &mut Call<'_, '_>, mut signal: Signal) -> Result<Value, NodeFault> {
    let alpha = call.float("alpha", f64::from(HARD_SIGMOID_ALPHA))?;
    let beta = call.float("beta", 0.5)?;
    crate::import::onnx::call::finite(vec![alpha, beta])?;
    signal.formula.push(Step::Scale(alpha))?;
    signal.formula.push(Step::Shift(beta))?;
    activate(call, signal, Activation::Clip { low: 0.0, high: 1.0 })
}

fn clip_node(call: &mut Call<'_, '_>, signal: Signal) -> Result<Value, NodeFault> {
    let (low, high) = if call.opset() < 11 {
        (call.maybe_float("min")?, call.maybe_float("max")?)
    } else {
        let bound = |position| -> Result<Option<f64>, NodeFault> {
            call.has(position).then(|| call.number(position, "one number")).transpose()
        };
        (bound(1)?, bound(2)?)
    };
    clip(call, signal, low, high)
}

/// The value between two bounds, either of which may be missing.
pub(super) fn clip(
    call: &mut Call<'_, '_>,
    mut signal: Signal,
    low: Option<f64>,
    high: Option<f64>,
) -> Result<Value, NodeFault> {
    // The largest number of the type is what files write for "no bound".
    let bound = |bound: Option<f64>| bound.filter(|bound| bound.abs() < f64::from(f32::MAX));
    match (bound(low), bound(high)) {
        (None, None) => Ok(Value::Signal(signal)),
        (Some(low), Some(high)) => activate(call, signal, Activation::Clip { low, high }),
        // max(x, low) = relu(x − low) + low.
        (Some(low), None) => {
            signal.formula.push(Step::Shift(-low))?;
            shifted(activate(call, signal, Activation::Relu)?, 1.0, low)
        }
        // min(x, high) = high − relu(high − x).
        (None, Some(high)) => {
            signal.formula.push(Step::Scale(-1.0))?;
            signal.formula.push(Step::Shift(high))?;
            shifted(activate(call, signal, Activation::Relu)?, -1.0, high)
        }
    }
}

fn shifted(value: Value, scale: f64, shift: f64) -> Result<Value, NodeFault> {
    let Value::Signal(mut signal) = value else { return Ok(value) };
    signal.formula.push(Step::Scale(scale))?;
    signal.formula.push(Step::Shift(shift))?;
    Ok(Value::Signal(signal))
}
