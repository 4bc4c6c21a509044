//! The operators that are read, by family.

mod activation;
mod affine;
mod arithmetic;
mod constant;
mod convolution;
mod pool;
mod rearrange;
mod reduce;
mod resize;
mod shape;
mod windows;

use super::call::Call;
use super::error::NodeFault;
use super::value::Value;

/// Every operator that is read.
pub(super) const NAMES: &[&str] = &[
    "Abs",
    "Add",
    "And",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Elu",
    "Equal",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "Identity",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "PRelu",
    "Pad",
    "Pow",
    "RandomNormal",
    "RandomNormalLike",
    "Range",
    "Reciprocal",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Selu",
    "Shape",
    "Sigmoid",
    "Size",
    "Slice",
    "Softplus",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    "Upsample",
    "Where",
];

/// The values that a node gives.
///
/// # Errors
/// Whatever the operator cannot do, and [`NodeFault::Operator`] for one that is not in [`NAMES`].
pub(super) fn apply(call: &mut Call<'_, '_>) -> Result<Vec<Value>, NodeFault> {
    use constant::Binary;
    let value = match call.node.op_type.as_str() {
        "Identity" => call.take(0, "a tensor")?,
        "Cast" | "CastLike" => constant::cast(call)?,
        "Constant" => constant::literal(call)?,
        "ConstantOfShape" => constant::filled(call)?,
        "Range" => constant::range(call)?,
        "Shape" => shape::shape(call)?,
        "Size" => shape::size(call)?,
        "Dropout" => return shape::dropout(call),
        "Add" => arithmetic::add(call)?,
        "Sub" => arithmetic::subtract(call)?,
        "Mul" => arithmetic::multiply(call)?,
        "Div" => arithmetic::divide(call)?,
        "Pow" => arithmetic::power(call)?,
        "Neg" => arithmetic::negate(call)?,
        "Exp" | "Log" | "Sqrt" | "Reciprocal" | "Softplus" => arithmetic::step(call)?,
        "Max" => arithmetic::extreme(call, Binary::Max)?,
        "Min" => arithmetic::extreme(call, Binary::Min)?,
        "Greater" | "GreaterOrEqual" => arithmetic::compare(call, true)?,
        "Less" | "LessOrEqual" => arithmetic::compare(call, false)?,
        "Where" => arithmetic::choose(call)?,
        "Equal" => constant::binary_node(call, Binary::Equal)?,
        "And" => constant::binary_node(call, Binary::And)?,
        "Or" => constant::binary_node(call, Binary::Or)?,
        "Abs" | "Ceil" | "Floor" | "Not" => constant::unary_node(call)?,
        "Relu" | "LeakyRelu" | "PRelu" | "Elu" | "Selu" | "Celu" | "Sigmoid" | "HardSigmoid" | "Tanh" | "Clip" => {
            activation::apply(call)?
        }
        "Gemm" => affine::gemm(call)?,
        "MatMul" => affine::matmul(call)?,
        "BatchNormalization" => affine::batch_normalisation(call)?,
        "Conv" => convolution::convolution(call)?,
        "ConvTranspose" => convolution::transposed(call)?,
        "MaxPool" => return pool::maximum(call),
        "AveragePool" => pool::average(call)?,
        "GlobalMaxPool" => pool::global_maximum(call)?,
        "GlobalAveragePool" => reduce::global_average(call)?,
        "ReduceMean" | "ReduceSum" | "ReduceProd" | "ReduceMax" | "ReduceMin" => reduce::reduce(call)?,
        "Flatten" => shape::flatten(call)?,
        "Reshape" => shape::reshape(call)?,
        "Squeeze" => shape::squeeze(call)?,
        "Unsqueeze" => shape::unsqueeze(call)?,
        "Expand" => shape::expand(call)?,
        "Transpose" => rearrange::transpose(call)?,
        "Slice" => rearrange::slice(call)?,
        "Gather" => rearrange::gather(call)?,
        "Split" => return rearrange::split(call),
        "Concat" => rearrange::concat(call)?,
        "Pad" => rearrange::pad(call)?,
        "DepthToSpace" => rearrange::depth_to_space(call)?,
        "SpaceToDepth" => rearrange::space_to_depth(call)?,
        "Resize" | "Upsample" => resize::nearest(call)?,
        "RandomNormal" | "RandomNormalLike" => arithmetic::noise(call)?,
        other => return Err(NodeFault::Operator { operator: other.to_owned() }),
    };
    Ok(vec![value])
}
