//! Arithmetic of constants, as far as exporters leave it in their graphs: mostly shapes that are computed.

use crate::import::onnx::call::{checked_width, Call};
use crate::import::onnx::error::NodeFault;
use crate::import::onnx::placement::{common_shape, elements, Placement};
use crate::import::onnx::tensor::{Numbers, Size, Tensor};
use crate::import::onnx::value::Value;

/// A function of two numbers; truth is 1, falsehood 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Max,
    Min,
    Equal,
    Above,
    AtLeast,
    Below,
    AtMost,
    And,
    Or,
}

impl Binary {
    fn of_floats(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Pow => a.powf(b),
            Self::Max => a.max(b),
            Self::Min => a.min(b),
            _ => f64::from(u8::from(self.holds(&a, &b))),
        }
    }

    fn of_integers(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Self::Add => a.checked_add(b),
            Self::Sub => a.checked_sub(b),
            Self::Mul => a.checked_mul(b),
            Self::Div => a.checked_div(b),
            Self::Pow => a.checked_pow(u32::try_from(b).ok()?),
            Self::Max => Some(a.max(b)),
            Self::Min => Some(a.min(b)),
            Self::And => Some(i64::from(a != 0 && b != 0)),
            Self::Or => Some(i64::from(a != 0 || b != 0)),
            _ => Some(i64::from(self.holds(&a, &b))),
        }
    }

    fn holds<T: PartialOrd>(self, a: &T, b: &T) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Above => a > b,
            Self::AtLeast => a >= b,
            Self::Below => a < b,
            Self::AtMost => a <= b,
            _ => false,
        }
    }

    fn is_comparison(self) -> bool {
        matches!(self, Self::Equal | Self::Above | Self::AtLeast | Self::Below | Self::AtMost)
    }

    /// As far as nothing depends on how large the batch is; it is at least 1.
    fn of_sizes(self, a: Size, b: Size) -> Option<Size> {
        use Size::{Batch, Known};
        match (self, a, b) {
            (_, Known(a), Known(b)) => self.of_integers(a, b).map(Known),
            (Self::Add, Batch, Known(0)) | (Self::Add, Known(0), Batch) | (Self::Sub, Batch, Known(0)) => Some(Batch),
            (Self::Mul | Self::Div, Batch, Known(1)) | (Self::Mul, Known(1), Batch) => Some(Batch),
            (Self::Mul, Batch, Known(0)) | (Self::Mul, Known(0), Batch) => Some(Known(0)),
            (Self::Max | Self::Min | Self::And | Self::Or, Batch, Batch) => Some(Batch),
            (Self::Max, Batch, Known(other)) | (Self::Max, Known(other), Batch) if other <= 1 => Some(Batch),
            (Self::Equal, Batch, Known(other)) | (Self::Equal, Known(other), Batch) if other < 1 => Some(Known(0)),
            (Self::Equal, Batch, Batch) => Some(Known(1)),
            _ => None,
        }
    }
}

/// Two constants with broadcasting.
pub(super) fn binary(call: &mut Call<'_, '_>, function: Binary, a: &Tensor, b: &Tensor) -> Result<Tensor, NodeFault> {
    let shape = common_shape(&a.shape, &b.shape).ok_or_else(|| misfit(&a.shape, &b.shape))?;
    call.context.spend(elements(&shape)?)?;
    let numbers = match (broadcast(a, &shape)?, broadcast(b, &shape)?) {
        (Numbers::Int(a), Numbers::Int(b)) => {
            let results = a.iter().zip(&b).map(|(&a, &b)| function.of_integers(a, b));
            Numbers::Int(
                results.collect::<Option<_>>().ok_or_else(|| unsupported("integer arithmetic beyond 64 bits"))?,
            )
        }
        (Numbers::Float(a), Numbers::Float(b)) => floats(function, &a, &b),
        (Numbers::Float(a), Numbers::Int(b)) => floats(function, &a, &to_floats(&b)),
        (Numbers::Int(a), Numbers::Float(b)) => floats(function, &to_floats(&a), &b),
        (a, b) => {
            let (Some(a), Some(b)) = (sizes(&a), sizes(&b)) else { return Err(batch_arithmetic()) };
            let results: Option<Vec<Size>> = a.iter().zip(&b).map(|(&a, &b)| function.of_sizes(a, b)).collect();
            return Ok(Tensor::sizes(shape, results.ok_or_else(batch_arithmetic)?));
        }
    };
    Ok(Tensor { shape, numbers })
}

fn floats(function: Binary, a: &[f64], b: &[f64]) -> Numbers {
    let pairs = a.iter().zip(b);
    if function.is_comparison() {
        Numbers::Int(pairs.map(|(a, b)| i64::from(function.holds(a, b))).collect())
    } else {
        Numbers::Float(pairs.map(|(&a, &b)| function.of_floats(a, b)).collect())
    }
}

fn to_floats(values: &[i64]) -> Vec<f64> {
    values.iter().map(|&value| value as f64).collect()
}

fn sizes(numbers: &Numbers) -> Option<Vec<Size>> {
    match numbers {
        Numbers::Float(_) => None,
        Numbers::Int(values) => Some(values.iter().map(|&value| Size::Known(value)).collect()),
        Numbers::Sizes(values) => Some(values.clone()),
    }
}

/// The numbers of a constant, repeated to fill a shape it broadcasts to.
pub(super) fn broadcast(tensor: &Tensor, shape: &[usize]) -> Result<Numbers, NodeFault> {
    let placement = Placement::broadcast(&tensor.shape, shape)?.ok_or_else(|| misfit(&tensor.shape, shape))?;
    Ok(place(&tensor.numbers, &placement))
}

/// Rearranged numbers, 0 where there is no source.
pub(super) fn place(numbers: &Numbers, placement: &Placement) -> Numbers {
    match numbers {
        Numbers::Float(values) => Numbers::Float(placement.apply(values, 0.0)),
        Numbers::Int(values) => Numbers::Int(placement.apply(values, 0)),
        Numbers::Sizes(values) => Numbers::Sizes(placement.apply(values, Size::Known(0))),
    }
}

fn misfit(a: &[usize], b: &[usize]) -> NodeFault {
    NodeFault::Shape { what: "its inputs", expected: format!("a shape that broadcasts with {a:?}"), found: b.to_vec() }
}

fn unsupported(what: &str) -> NodeFault {
    let instead = "export the model again with constant folding";
    NodeFault::Unsupported { what: what.to_owned(), instead }
}

fn batch_arithmetic() -> NodeFault {
    NodeFault::Batch { what: "it computes with the size of the batch".to_owned() }
}

/// A node that knows constants only.
pub(super) fn binary_node(call: &mut Call<'_, '_>, function: Binary) -> Result<Value, NodeFault> {
    let (a, b) = (call.constant(0, "a constant")?, call.constant(1, "a constant")?);
    binary(call, function, &a, &b).map(Value::constant)
}

/// A function of one constant.
pub(super) fn unary(call: &mut Call<'_, '_>, tensor: &Tensor) -> Result<Value, NodeFault> {
    call.context.spend(tensor.len())?;
    let operator = call.node.op_type.as_str();
    let numbers = match (&tensor.numbers, operator) {
        (Numbers::Int(values), "Neg") => Numbers::Int(values.iter().map(|v| v.saturating_neg()).collect()),
        (Numbers::Int(values), "Abs") => Numbers::Int(values.iter().map(|v| v.saturating_abs()).collect()),
        (Numbers::Int(values), "Not") => Numbers::Int(values.iter().map(|&v| i64::from(v == 0)).collect()),
        _ => {
            let values = tensor.to_floats().ok_or_else(batch_arithmetic)?;
            Numbers::Float(values.into_iter().map(|value| function(operator, value)).collect())
        }
    };
    Ok(Value::constant(Tensor { shape: tensor.shape.clone(), numbers }))
}

fn function(operator: &str, value: f64) -> f64 {
    match operator {
        "Neg" => -value,
        "Abs" => value.abs(),
        "Ceil" => value.ceil(),
        "Floor" => value.floor(),
        "Exp" => value.exp(),
        "Log" => value.ln(),
        "Sqrt" => value.sqrt(),
        "Reciprocal" => value.recip(),
        "Softplus" => value.max(0.0) + (-value.abs()).exp().ln_1p(),
        _ => f64::NAN,
    }
}

pub(super) fn unary_node(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let tensor = call.constant(0, "a constant")?;
    unary(call, &tensor)
}

/// Elements of the second where the first is not 0, of the third elsewhere.
pub(super) fn choose(call: &mut Call<'_, '_>, which: &Tensor, yes: &Tensor, no: &Tensor) -> Result<Value, NodeFault> {
    let shape = common_shape(&which.shape, &yes.shape)
        .and_then(|shape| common_shape(&shape, &no.shape))
        .ok_or_else(|| misfit(&yes.shape, &no.shape))?;
    call.context.spend(elements(&shape)?)?;
    let Numbers::Int(which) = broadcast(which, &shape)? else { return Err(batch_arithmetic()) };
    let (yes, no) = (broadcast(yes, &shape)?, broadcast(no, &shape)?);
    if let (Some(yes), Some(no)) = (sizes(&yes), sizes(&no)) {
        let chosen =
            which.iter().zip(yes.iter().zip(&no)).map(|(&which, (&yes, &no))| if which != 0 { yes } else { no });
        return Ok(Value::constant(Tensor::sizes(shape, chosen.collect())));
    }
    let floats = |numbers| Tensor { shape: vec![], numbers }.to_floats().ok_or_else(batch_arithmetic);
    let (yes, no) = (floats(yes)?, floats(no)?);
    let chosen = which.iter().zip(yes.iter().zip(&no)).map(|(&which, (&yes, &no))| if which != 0 { yes } else { no });
    Ok(Value::constant(Tensor::floats(shape, chosen.collect())))
}

/// Types are not followed beyond "integer or not"; values of the network are real numbers.
pub(super) fn cast(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let to_float = if call.node.op_type == "CastLike" {
        !matches!(call.inputs.get(1), Some(Some(Value::Constant(like))) if !matches!(like.numbers, Numbers::Float(_)))
    } else {
        let to = call.int("to", 0)?;
        match to {
            1 | 10 | 11 | 16 => true,
            2..=7 | 9 | 12 | 13 => false,
            _ => return Err(Call::bad_attribute("to", to, "a type of real numbers or integers")),
        }
    };
    match call.take(0, "a tensor")? {
        Value::Constant(tensor) => {
            let numbers = match (&tensor.numbers, to_float) {
                (Numbers::Float(values), false) => Numbers::Int(values.iter().map(|&value| truncated(value)).collect()),
                (Numbers::Int(values), true) => Numbers::Float(to_floats(values)),
                (numbers, _) => numbers.clone(),
            };
            call.context.spend(tensor.len())?;
            Ok(Value::constant(Tensor { shape: tensor.shape.clone(), numbers }))
        }
        value if to_float => Ok(value),
        value => Err(NodeFault::Unsupported {
            what: format!("rounding {} to integers", value.kind()),
            instead: "networks must stay real-valued",
        }),
    }
}

/// Towards 0, as a conversion to an integer type does; what does not fit becomes the nearest that does.
#[allow(clippy::cast_possible_truncation)]
fn truncated(value: f64) -> i64 {
    value as i64
}

pub(super) fn literal(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    if let Some(tensor) = call.tensor("value")? {
        call.context.spend(tensor.len())?;
        return Ok(Value::constant(tensor));
    }
    if let Some(value) = call.maybe_float("value_float")? {
        return Ok(Value::constant(Tensor::floats(vec![], vec![value])));
    }
    if let Some(values) = call.float_list("value_floats")? {
        return Ok(Value::constant(Tensor::floats(vec![values.len()], values)));
    }
    if let Some(values) = call.ints("value_ints")? {
        return Ok(Value::constant(Tensor::integers(vec![values.len()], values)));
    }
    if call.node.attribute.iter().any(|attribute| attribute.name == "value_int") {
        return Ok(Value::constant(Tensor::integers(vec![], vec![call.int("value_int", 0)?])));
    }
    let found = call.node.attribute.first().map_or_else(|| "missing".to_owned(), |attribute| attribute.name.clone());
    Err(Call::bad_attribute("value", found, "value, value_float, value_floats, value_int or value_ints"))
}

/// A known shape, or one whose first axis is the batch.
pub(super) fn filled(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let sizes = call.sizes(0, "a shape")?;
    let value = call.tensor("value")?.unwrap_or_else(|| Tensor::floats(vec![1], vec![0.0]));
    let number = value.uniform().filter(|_| value.len() == 1);
    let number = number.ok_or_else(|| Call::bad_attribute("value", "of another length", "one number"))?;
    let known = |sizes: &[Size]| -> Result<Vec<usize>, NodeFault> {
        let fault = || NodeFault::Batch { what: "its shape has the size of the batch in another place".to_owned() };
        sizes
            .iter()
            .map(|size| match size {
                Size::Known(size) => crate::import::onnx::call::count(*size, "shape"),
                Size::Batch => Err(fault()),
            })
            .collect()
    };
    if let Some((Size::Batch, rest)) = sizes.split_first() {
        let shape = known(rest)?;
        checked_width(&shape)?;
        return Ok(Value::Filled { value: number, shape });
    }
    let shape = known(&sizes)?;
    let count = elements(&shape)?;
    call.context.spend(count)?;
    let one = Tensor { shape: vec![], numbers: value.numbers };
    let source = Placement { shape: shape.clone(), index: vec![Some(0); count] };
    Ok(Value::constant(Tensor { shape, numbers: place(&one.numbers, &source) }))
}

pub(super) fn range(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let integers = |position| call.integers(position, "a number").ok().filter(|values| values.len() == 1);
    let (Some(start), Some(limit), Some(step)) = (integers(0), integers(1), integers(2)) else {
        return Err(unsupported("a range that is not of known integers"));
    };
    let (start, limit, step) = (i128::from(start[0]), i128::from(limit[0]), i128::from(step[0]));
    if step == 0 {
        return Err(unsupported("a range with step 0"));
    }
    let span = limit - start;
    let count = if (span > 0) == (step > 0) { span.unsigned_abs().div_ceil(step.unsigned_abs()) } else { 0 };
    let count = elements(&[usize::try_from(count).unwrap_or(usize::MAX)])?;
    call.context.spend(count)?;
    let values = (0..count).map(|place| i64::try_from(start + step * place as i128).unwrap_or(i64::MAX)).collect();
    Ok(Value::constant(Tensor::integers(vec![count], values)))
}
