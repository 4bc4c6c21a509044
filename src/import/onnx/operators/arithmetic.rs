//! Sums, products and comparisons in which a value of the network takes part, and the draw of a code.

use super::constant::{self, Binary};
use crate::import::onnx::call::{checked_width, finite, Call, Draw};
use crate::import::onnx::error::NodeFault;
use crate::import::onnx::formula::Step;
use crate::import::onnx::placement::{common_shape, Placement};
use crate::import::onnx::tensor::Tensor;
use crate::import::onnx::value::{Origin, Signal, Value};
use crate::model::Activation;

/// From this bound on, x and softplus(x) differ by less than exp(−20) ≈ 2·10⁻⁹.
const SOFTPLUS_BOUND: f64 = 20.0;

fn operands(call: &mut Call<'_, '_>) -> Result<(Value, Value), NodeFault> {
    Ok((call.take(0, "a tensor")?, call.take(1, "a tensor")?))
}

/// A filled tensor is a constant as far as arithmetic goes.
fn as_constant(value: Value) -> Result<Value, NodeFault> {
    match value {
        Value::Filled { value, shape } => {
            let width = checked_width(&shape)?;
            let shape = std::iter::once(1).chain(shape).collect();
            Ok(Value::constant(Tensor::floats(shape, vec![value; width])))
        }
        other => Ok(other),
    }
}

fn misplaced(value: &Value, position: usize) -> NodeFault {
    NodeFault::Input { position, found: value.kind(), expected: "a constant or a value of the network" }
}

pub(super) fn add(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let (a, b) = operands(call)?;
    match (as_constant(a)?, as_constant(b)?) {
        (Value::Constant(a), Value::Constant(b)) => constant::binary(call, Binary::Add, &a, &b).map(Value::constant),
        (Value::Signal(signal), Value::Constant(shift)) | (Value::Constant(shift), Value::Signal(signal)) => {
            affine(call, signal, None, Some(&shift))
        }
        (Value::Signal(mean), Value::Disturbance { std }) | (Value::Disturbance { std }, Value::Signal(mean)) => {
            draw(call, mean, std)
        }
        (Value::Signal(_), Value::Signal(_)) => Err(NodeFault::SkipConnection),
        (Value::Noise { shape }, Value::Constant(zero)) | (Value::Constant(zero), Value::Noise { shape })
            if zero.uniform() == Some(0.0) =>
        {
            Ok(Value::Noise { shape })
        }
        (Value::Signal(_) | Value::Constant(_), b) => Err(misplaced(&b, 1)),
        (a, _) => Err(misplaced(&a, 0)),
    }
}

pub(super) fn subtract(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let (a, b) = operands(call)?;
    match (as_constant(a)?, as_constant(b)?) {
        (Value::Constant(a), Value::Constant(b)) => constant::binary(call, Binary::Sub, &a, &b).map(Value::constant),
        (Value::Signal(signal), Value::Constant(shift)) => {
            let minus = mapped(&shift, |value| -value)?;
            affine(call, signal, None, Some(&minus))
        }
        (Value::Constant(shift), Value::Signal(signal)) => {
            affine(call, signal, Some(&Tensor::floats(vec![], vec![-1.0])), Some(&shift))
        }
        (Value::Signal(_), Value::Signal(_)) => Err(NodeFault::SkipConnection),
        (Value::Signal(_) | Value::Constant(_), b) => Err(misplaced(&b, 1)),
        (a, _) => Err(misplaced(&a, 0)),
    }
}

pub(super) fn multiply(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let (a, b) = operands(call)?;
    match (as_constant(a)?, as_constant(b)?) {
        (Value::Constant(a), Value::Constant(b)) => constant::binary(call, Binary::Mul, &a, &b).map(Value::constant),
        (Value::Signal(signal), Value::Constant(scale)) | (Value::Constant(scale), Value::Signal(signal)) => {
            affine(call, signal, Some(&scale), None)
        }
        (Value::Signal(std), Value::Noise { shape }) | (Value::Noise { shape }, Value::Signal(std)) => {
            if std.shape != shape {
                return Err(same_shape("the noise", &std.shape, shape));
            }
            Ok(Value::Disturbance { std })
        }
        (Value::Signal(_), Value::Signal(_)) => Err(NodeFault::Product),
        (Value::Noise { shape }, Value::Constant(one)) | (Value::Constant(one), Value::Noise { shape })
            if one.uniform() == Some(1.0) =>
        {
            Ok(Value::Noise { shape })
        }
        (Value::Signal(_) | Value::Constant(_), b) => Err(misplaced(&b, 1)),
        (a, _) => Err(misplaced(&a, 0)),
    }
}

pub(super) fn divide(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let (a, b) = operands(call)?;
    match (as_constant(a)?, as_constant(b)?) {
        (Value::Constant(a), Value::Constant(b)) => constant::binary(call, Binary::Div, &a, &b).map(Value::constant),
        (Value::Signal(signal), Value::Constant(divisor)) => {
            let scale = mapped(&divisor, f64::recip)?;
            affine(call, signal, Some(&scale), None)
        }
        (Value::Constant(numerator), Value::Signal(mut signal)) => {
            signal.formula.push(Step::Reciprocal)?;
            affine(call, signal, Some(&numerator), None)
        }
        (Value::Signal(_), Value::Signal(_)) => Err(NodeFault::Product),
        (Value::Signal(_) | Value::Constant(_), b) => Err(misplaced(&b, 1)),
        (a, _) => Err(misplaced(&a, 0)),
    }
}

pub(super) fn power(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let exponent = call.constant(1, "a constant exponent")?;
    match call.take(0, "a tensor")? {
        Value::Constant(base) => constant::binary(call, Binary::Pow, &base, &exponent).map(Value::constant),
        Value::Signal(mut signal) => {
            let step = match exponent.uniform() {
                Some(1.0) => return Ok(Value::Signal(signal)),
                Some(0.5) => Step::Sqrt,
                Some(-1.0) => Step::Reciprocal,
                _ => {
                    let instead = "only the exponents 1, 0.5 and -1 are read";
                    return Err(NodeFault::Unsupported {
                        what: "a power of a value of the network".to_owned(),
                        instead,
                    });
                }
            };
            signal.formula.push(step)?;
            Ok(Value::Signal(signal))
        }
        other => Err(misplaced(&other, 0)),
    }
}

pub(super) fn negate(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    match call.take(0, "a tensor")? {
        Value::Constant(tensor) => constant::unary(call, &tensor),
        Value::Signal(mut signal) => {
            signal.formula.push(Step::Scale(-1.0))?;
            Ok(Value::Signal(signal))
        }
        other => Err(misplaced(&other, 0)),
    }
}

pub(super) fn step(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let step = match call.node.op_type.as_str() {
        "Exp" => Step::Exp,
        "Log" => Step::Log,
        "Sqrt" => Step::Sqrt,
        "Reciprocal" => Step::Reciprocal,
        _ => Step::Softplus,
    };
    match call.take(0, "a tensor")? {
        Value::Constant(tensor) => constant::unary(call, &tensor),
        Value::Signal(mut signal) => {
            signal.formula.push(step)?;
            Ok(Value::Signal(signal))
        }
        other => Err(misplaced(&other, 0)),
    }
}

fn mapped(tensor: &Tensor, function: impl Fn(f64) -> f64) -> Result<Tensor, NodeFault> {
    let values = tensor.to_floats().ok_or_else(batch_size)?;
    Ok(Tensor::floats(tensor.shape.clone(), values.into_iter().map(function).collect()))
}

fn batch_size() -> NodeFault {
    NodeFault::Batch { what: "it computes with the size of the batch".to_owned() }
}

fn same_shape(what: &'static str, expected: &[usize], found: Vec<usize>) -> NodeFault {
    NodeFault::Shape { what, expected: format!("{expected:?} per item"), found }
}

/// signal ∘ scale + shift with broadcasting.
pub(super) fn affine(
    call: &mut Call<'_, '_>,
    signal: Signal,
    scale: Option<&Tensor>,
    shift: Option<&Tensor>,
) -> Result<Value, NodeFault> {
    let mut signal = signal;
    for tensor in [scale, shift].into_iter().flatten() {
        call.context.spend(tensor.len())?;
        signal = widened(call, signal, &tensor.shape)?;
    }
    let one = |tensor: Option<&Tensor>, neutral: f64| tensor.map_or(Some(neutral), Tensor::uniform);
    if let (Some(scale), Some(shift)) = (one(scale, 1.0), one(shift, 0.0)) {
        finite(vec![scale, shift])?;
        signal.formula.push(Step::Scale(scale))?;
        signal.formula.push(Step::Shift(shift))?;
        return Ok(Value::Signal(signal));
    }
    let shape = signal.shape.clone();
    call.context.spend(signal.width())?;
    let scale = per_value(scale, &shape, 1.0)?;
    let shift = per_value(shift, &shape, 0.0)?;
    call.extend(signal, |sequence| sequence.scale_and_shift(&scale, &shift), shape)
}

/// One number per value of a shape without the batch axis.
fn per_value(tensor: Option<&Tensor>, shape: &[usize], neutral: f64) -> Result<Vec<f64>, NodeFault> {
    let Some(tensor) = tensor else { return Ok(vec![neutral]) };
    let full: Vec<usize> = std::iter::once(1).chain(shape.iter().copied()).collect();
    let numbers = constant::broadcast(tensor, &full)?;
    let values = Tensor { shape: full, numbers }.to_floats().ok_or_else(batch_size)?;
    finite(values)
}

/// The value repeated along axes of size 1 as a constant of that shape (batch axis included) calls for.
pub(super) fn widened(call: &mut Call<'_, '_>, signal: Signal, shape: &[usize]) -> Result<Signal, NodeFault> {
    let rank = signal.shape.len() + 1;
    if shape.len() > rank {
        let expected = format!("a shape of at most {rank} axes");
        return Err(NodeFault::Shape {
            what: "a constant that meets a value of the network",
            expected,
            found: shape.to_vec(),
        });
    }
    let rest = if shape.len() == rank {
        if shape[0] != 1 {
            return Err(NodeFault::Batch { what: format!("a constant of shape {shape:?} differs from item to item") });
        }
        &shape[1..]
    } else {
        shape
    };
    let common = common_shape(&signal.shape, rest).ok_or_else(|| NodeFault::Shape {
        what: "a constant that meets a value of the network",
        expected: format!("a shape that broadcasts with {:?}", signal.shape),
        found: shape.to_vec(),
    })?;
    if common == signal.shape {
        return Ok(signal);
    }
    call.context.spend(checked_width(&common)?)?;
    let placement = Placement::broadcast(&signal.shape, &common)?;
    let placement = placement.ok_or_else(|| same_shape("a value", &common, signal.shape.clone()))?;
    Ok(signal.rearranged(&placement))
}

/// The larger or smaller of all inputs.
pub(super) fn extreme(call: &mut Call<'_, '_>, function: Binary) -> Result<Value, NodeFault> {
    let mut result = as_constant(call.take(0, "a tensor")?)?;
    for position in 1..call.inputs.len() {
        let next = as_constant(call.take(position, "a tensor")?)?;
        result = match (result, next) {
            (Value::Constant(a), Value::Constant(b)) => Value::constant(constant::binary(call, function, &a, &b)?),
            (Value::Signal(signal), Value::Constant(bound)) | (Value::Constant(bound), Value::Signal(signal)) => {
                let signal = widened(call, signal, &bound.shape)?;
                let bound = bound.uniform().ok_or_else(|| NodeFault::Unsupported {
                    what: "a bound that differs from value to value".to_owned(),
                    instead: "use one number",
                })?;
                let (low, high) = if function == Binary::Max { (Some(bound), None) } else { (None, Some(bound)) };
                super::activation::clip(call, signal, low, high)?
            }
            (Value::Signal(_), Value::Signal(_)) => return Err(NodeFault::Product),
            (Value::Signal(_) | Value::Constant(_), other) => return Err(misplaced(&other, position)),
            (other, _) => return Err(misplaced(&other, position - 1)),
        };
    }
    Ok(result)
}

/// Whether the first input is above the second (or below it). Between a value of the network and a number, equality
/// does not matter: it is read only as the switch of a softplus.
pub(super) fn compare(call: &mut Call<'_, '_>, above: bool) -> Result<Value, NodeFault> {
    let inclusive = call.node.op_type.ends_with("OrEqual");
    let (a, b) = operands(call)?;
    for value in [&a, &b] {
        if let Value::Constant(tensor) = value {
            call.context.spend(tensor.len())?;
        }
    }
    let bound = |tensor: &Tensor| {
        tensor.uniform().ok_or_else(|| NodeFault::Unsupported {
            what: "a comparison with several numbers".to_owned(),
            instead: "only comparisons with one number are read, inside softplus",
        })
    };
    match (as_constant(a)?, as_constant(b)?) {
        (Value::Constant(a), Value::Constant(b)) => {
            let function = match (above, inclusive) {
                (true, false) => Binary::Above,
                (true, true) => Binary::AtLeast,
                (false, false) => Binary::Below,
                (false, true) => Binary::AtMost,
            };
            constant::binary(call, function, &a, &b).map(Value::constant)
        }
        (Value::Signal(signal), Value::Constant(tensor)) if above => {
            Ok(Value::Above { bound: bound(&tensor)?, signal })
        }
        (Value::Signal(signal), Value::Constant(tensor)) => Ok(Value::Below { bound: bound(&tensor)?, signal }),
        (Value::Constant(tensor), Value::Signal(signal)) if above => {
            Ok(Value::Below { bound: bound(&tensor)?, signal })
        }
        (Value::Constant(tensor), Value::Signal(signal)) => Ok(Value::Above { bound: bound(&tensor)?, signal }),
        (Value::Signal(_), Value::Signal(_)) => Err(NodeFault::Product),
        (Value::Signal(_) | Value::Constant(_), b) => Err(misplaced(&b, 1)),
        (a, _) => Err(misplaced(&a, 0)),
    }
}

/// Constants; and "x above 20, else softplus(x)", which is how PyTorch writes softplus.
pub(super) fn choose(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let which = call.take(0, "a condition")?;
    let yes = as_constant(call.take(1, "a tensor")?)?;
    let no = as_constant(call.take(2, "a tensor")?)?;
    let (signal, bound, large, small) = match (which, yes, no) {
        (Value::Constant(which), Value::Constant(yes), Value::Constant(no)) => {
            return constant::choose(call, &which, &yes, &no);
        }
        (Value::Above { signal, bound }, Value::Signal(large), Value::Signal(small))
        | (Value::Below { signal, bound }, Value::Signal(small), Value::Signal(large)) => (signal, bound, large, small),
        _ => return Err(choice()),
    };
    let one_source = signal.same_source(&large) && signal.same_source(&small);
    let is_softplus = signal.formula == large.formula && small.formula.is_softplus_of(&signal.formula);
    if !(one_source && is_softplus && bound >= SOFTPLUS_BOUND) {
        return Err(choice());
    }
    let note = format!(
        "softplus that becomes x above x = {bound} is read as softplus throughout; the two differ by less than exp(-{bound})"
    );
    if !call.context.notes.contains(&note) {
        call.context.notes.push(note);
    }
    Ok(Value::Signal(small))
}

fn choice() -> NodeFault {
    NodeFault::Unsupported {
        what: "a choice between values of the network".to_owned(),
        instead: "only \"x if x > 20 (or a larger bound), else softplus(x)\" is read, as softplus",
    }
}

/// Independent standard normal numbers, of the shape of the input or of the attribute.
pub(super) fn noise(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    for (name, expected) in [("mean", 0.0), ("scale", 1.0)] {
        let found = call.float(name, expected)?;
        if (found - expected).abs() > 0.0 || found.is_nan() {
            return Err(Call::bad_attribute(name, found, "standard normal noise: mean 0, scale 1"));
        }
    }
    if call.node.op_type == "RandomNormalLike" {
        let like = call.take(0, "the value whose shape the noise has")?;
        let shape = batched(&like.shape()?, call.context.batch)?;
        return Ok(Value::Noise { shape });
    }
    let shape = call.ints("shape")?.unwrap_or_default();
    let sizes: Result<Vec<usize>, _> =
        shape.iter().map(|&size| crate::import::onnx::call::count(size, "shape")).collect();
    let shape = batched(&(false, &sizes?), call.context.batch)?;
    Ok(Value::Noise { shape })
}

/// A shape without its batch axis; a constant's first axis is one if its size is that of the batch, or 1.
fn batched(shape: &(bool, &[usize]), batch: Option<i64>) -> Result<Vec<usize>, NodeFault> {
    match shape {
        (true, shape) => Ok(shape.to_vec()),
        (false, [first, rest @ ..]) if *first == 1 || i64::try_from(*first).ok() == batch => Ok(rest.to_vec()),
        (false, shape) => {
            Err(NodeFault::Batch { what: format!("noise of the fixed shape {shape:?} has no batch axis") })
        }
    }
}

/// z = mean + std · noise: here the encoder ends and the decoder starts.
fn draw(call: &mut Call<'_, '_>, mean: Signal, std: Signal) -> Result<Value, NodeFault> {
    if mean.shape != std.shape {
        return Err(same_shape("the standard deviation", &mean.shape, std.shape));
    }
    if call.context.draw.is_some() || mean.chain.origin == Origin::Code {
        return Err(NodeFault::SecondDraw);
    }
    let code = call.context.start(Origin::Code, &mean.shape);
    call.context.draw = Some(Draw { mean, std });
    Ok(Value::Signal(code))
}

/// Applies φ.
pub(super) fn activate(call: &mut Call<'_, '_>, signal: Signal, activation: Activation) -> Result<Value, NodeFault> {
    let shape = signal.shape.clone();
    call.extend(signal, |sequence| sequence.activation(activation), shape)
}
