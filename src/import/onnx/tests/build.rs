//! Files built by hand.

use prost::Message;

use crate::import::onnx::proto::{
    attribute_type, AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// `TensorProto.DataType` of single precision.
const FLOAT: i32 = 1;
/// `TensorProto.DataType` of 64-bit integers.
const INT64: i32 = 7;

/// A node without attributes; it is named after its operator and its first output.
pub(super) fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    NodeProto {
        input: texts(inputs),
        output: texts(outputs),
        name: format!("{operator}_{}", outputs[0]),
        op_type: operator.to_owned(),
        ..NodeProto::default()
    }
}

pub(super) fn with_ints(mut node: NodeProto, name: &str, values: &[i64]) -> NodeProto {
    let ints = values.to_vec();
    node.attribute.push(AttributeProto { name: name.into(), r#type: attribute_type::INTS, ints, ..Default::default() });
    node
}

pub(super) fn with_int(mut node: NodeProto, name: &str, i: i64) -> NodeProto {
    node.attribute.push(AttributeProto { name: name.into(), r#type: attribute_type::INT, i, ..Default::default() });
    node
}

/// Weights that are all 0.5.
pub(super) fn weight(name: &str, dims: &[i64]) -> TensorProto {
    let count = usize::try_from(dims.iter().product::<i64>()).unwrap();
    let float_data = vec![0.5; count];
    TensorProto { name: name.into(), dims: dims.to_vec(), data_type: FLOAT, float_data, ..Default::default() }
}

pub(super) fn integers(name: &str, values: &[i64]) -> TensorProto {
    let dims = vec![i64::try_from(values.len()).unwrap()];
    TensorProto { name: name.into(), dims, data_type: INT64, int64_data: values.to_vec(), ..Default::default() }
}

/// A weight whose values lie elsewhere.
pub(super) fn external(name: &str, dims: &[i64], entries: &[(&str, &str)]) -> TensorProto {
    let entry = |&(key, value): &(&str, &str)| StringStringEntryProto { key: key.into(), value: value.into() };
    let external_data = entries.iter().map(entry).collect();
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: FLOAT,
        data_location: 1,
        external_data,
        ..Default::default()
    }
}

/// An input or output; sizes below 0 are written as a name.
pub(super) fn port(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims
        .iter()
        .map(|&size| {
            let known = (size >= 0).then_some(size);
            DimensionProto { dim_value: known, dim_param: known.is_none().then(|| "n".to_owned()) }
        })
        .collect();
    let tensor_type = TensorTypeProto { elem_type: FLOAT, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}

pub(super) fn model(
    nodes: Vec<NodeProto>,
    weights: Vec<TensorProto>,
    inputs: Vec<ValueInfoProto>,
    outputs: &[&str],
) -> ModelProto {
    let output = outputs.iter().map(|name| port(name, &[-1, 2])).collect();
    let graph = GraphProto { node: nodes, initializer: weights, input: inputs, output, ..Default::default() };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
    ModelProto { ir_version: 8, opset_import, graph: Some(graph), functions: vec![] }
}

/// A decoder "z" (4 values) → "y" of these nodes.
pub(super) fn decoder(nodes: Vec<NodeProto>, weights: Vec<TensorProto>) -> Vec<u8> {
    model(nodes, weights, vec![port("z", &[-1, 4])], &["y"]).encode_to_vec()
}

/// A dense encoder "x" (4 values) → two outputs (2 values each) of these names.
pub(super) fn encoder(outputs: &[&str]) -> Vec<u8> {
    let nodes = outputs.iter().map(|name| node("MatMul", &["x", "w"], &[name])).collect();
    model(nodes, vec![weight("w", &[4, 2])], vec![port("x", &[-1, 4])], outputs).encode_to_vec()
}
