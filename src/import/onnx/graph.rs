//! A decoded file as a graph: who gives each value, and in which order nodes can be evaluated.

use std::collections::{HashMap, HashSet};

use prost::Message;

use super::error::{Listed, OnnxError, Place, TensorFault};
use super::proto::{DimensionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};

/// More nodes than any model has that can be read.
const MAX_NODES: usize = 1 << 16;

/// An axis of an input or output as the file gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AxisSize {
    Known(i64),
    Named(String),
    Unknown,
}

impl AxisSize {
    fn of(dimension: &DimensionProto) -> Self {
        match (dimension.dim_value, &dimension.dim_param) {
            // Some writers have −1 or 0 for a size they do not know.
            (Some(size), _) if size > 0 => Self::Known(size),
            (None, Some(name)) if !name.is_empty() => Self::Named(name.clone()),
            _ => Self::Unknown,
        }
    }
}

impl std::fmt::Display for AxisSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known(size) => write!(f, "{size}"),
            Self::Named(name) => f.write_str(name),
            Self::Unknown => f.write_str("?"),
        }
    }
}

/// An input or output of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) name: String,
    /// Batch axis first; none where the file says nothing.
    pub(super) shape: Option<Vec<AxisSize>>,
}

impl Port {
    fn of(info: &ValueInfoProto) -> Self {
        let tensor = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
        Self { name: info.name.clone(), shape: shape.map(|shape| shape.dim.iter().map(AxisSize::of).collect()) }
    }

    /// For messages.
    pub(super) fn shape_text(&self) -> String {
        match &self.shape {
            Some(shape) => {
                let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
                format!("[{}]", sizes.join(", "))
            }
            None => "of unknown shape".to_owned(),
        }
    }

    pub(super) fn listed(&self) -> Listed {
        Listed { name: self.name.clone(), shape: self.shape_text() }
    }
}

/// A file, decoded and wired.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) opset: i64,
    pub(super) nodes: Vec<NodeProto>,
    /// Inputs that are not weights.
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    pub(super) weights: HashMap<String, TensorProto>,
    /// Weights of a kind that is not read.
    pub(super) sparse: HashSet<String>,
    /// (domain, name) of the functions that the file defines.
    pub(super) functions: HashSet<(String, String)>,
    givers: HashMap<String, usize>,
    /// Names of inputs and weights.
    outside: HashSet<String>,
}

impl Graph {
    /// Decodes a file.
    ///
    /// # Errors
    /// [`OnnxError::NotOnnx`], [`OnnxError::NoGraph`], [`OnnxError::Opset`], [`OnnxError::TooManyNodes`],
    /// [`OnnxError::Duplicate`].
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, OnnxError> {
        let model = ModelProto::decode(bytes).map_err(|error| OnnxError::NotOnnx { reason: error.to_string() })?;
        let opset = opset(&model)?;
        let functions = model.functions.into_iter().map(|function| (function.domain, function.name)).collect();
        let graph = model.graph.filter(|graph| !graph.output.is_empty()).ok_or(OnnxError::NoGraph)?;
        Self::wire(graph, opset, functions)
    }

    fn wire(graph: GraphProto, opset: i64, functions: HashSet<(String, String)>) -> Result<Self, OnnxError> {
        let found = graph.node.len();
        if found > MAX_NODES {
            return Err(OnnxError::TooManyNodes { found, limit: MAX_NODES });
        }
        let mut weights = HashMap::new();
        for weight in graph.initializer {
            let value = weight.name.clone();
            if weights.insert(weight.name.clone(), weight).is_some() {
                return Err(OnnxError::Duplicate { value });
            }
        }
        let sparse = graph.sparse_initializer.into_iter().filter_map(|sparse| sparse.values.map(|v| v.name)).collect();
        // Before version 4 of the format, weights had to be inputs as well.
        let inputs: Vec<Port> =
            graph.input.iter().filter(|input| !weights.contains_key(&input.name)).map(Port::of).collect();
        let names = inputs.iter().map(|input| &input.name).chain(weights.keys());
        let outside: HashSet<String> = names.cloned().collect();
        let mut givers = HashMap::new();
        for (number, node) in graph.node.iter().enumerate() {
            for value in node.output.iter().filter(|value| !value.is_empty()) {
                if givers.insert(value.clone(), number).is_some() || outside.contains(value) {
                    return Err(OnnxError::Duplicate { value: value.clone() });
                }
            }
        }
        let outputs = graph.output.iter().map(Port::of).collect();
        Ok(Self { opset, nodes: graph.node, inputs, outputs, weights, sparse, functions, givers, outside })
    }

    /// The node that gives a value.
    pub(super) fn giver(&self, value: &str) -> Option<usize> {
        self.givers.get(value).copied()
    }

    /// For messages.
    pub(super) fn place(&self, node: usize) -> Place {
        let node = &self.nodes[node];
        Place {
            name: node.name.clone(),
            output: node.output.first().cloned().unwrap_or_default(),
            operator: node.op_type.clone(),
        }
    }

    /// The nodes that some values need, each after those it needs itself. The order in the file is not trusted.
    ///
    /// # Errors
    /// [`OnnxError::Cycle`] and [`OnnxError::MissingValue`].
    pub(super) fn order(&self, targets: &[String]) -> Result<Vec<usize>, OnnxError> {
        #[derive(Clone, Copy, PartialEq)]
        enum State {
            New,
            Waiting,
            Done,
        }
        let mut states = vec![State::New; self.nodes.len()];
        let mut order = Vec::new();
        // (node, how many of its inputs have been looked at); a stack of our own, since graphs may be deep.
        let mut stack: Vec<(usize, usize)> = Vec::new();
        for target in targets {
            match self.source(target, || format!("the output {target:?}"))? {
                Some(node) if states[node] == State::New => stack.push((node, 0)),
                _ => continue,
            }
            while let Some((node, seen)) = stack.pop() {
                states[node] = State::Waiting;
                let Some(input) = self.nodes[node].input.get(seen) else {
                    states[node] = State::Done;
                    order.push(node);
                    continue;
                };
                stack.push((node, seen + 1));
                if let Some(next) = self.source(input, || self.place(node).to_string())? {
                    match states[next] {
                        State::New => stack.push((next, 0)),
                        State::Waiting => return Err(OnnxError::Cycle { place: self.place(next) }),
                        State::Done => {}
                    }
                }
            }
        }
        Ok(order)
    }

    /// The node that gives a value; none if it comes from outside or is left out.
    fn source(&self, value: &str, needed_by: impl Fn() -> String) -> Result<Option<usize>, OnnxError> {
        if let Some(node) = self.giver(value) {
            return Ok(Some(node));
        }
        if self.sparse.contains(value) {
            return Err(OnnxError::Weight { name: value.to_owned(), fault: Box::new(TensorFault::Sparse) });
        }
        if value.is_empty() || self.outside.contains(value) {
            return Ok(None);
        }
        Err(OnnxError::MissingValue { value: value.to_owned(), needed_by: needed_by() })
    }
}

fn opset(model: &ModelProto) -> Result<i64, OnnxError> {
    let own = model.opset_import.iter().find(|opset| is_own_domain(&opset.domain));
    match own.map(|opset| opset.version) {
        Some(version) if super::OPSETS.contains(&version) => Ok(version),
        found => Err(OnnxError::Opset { found }),
    }
}

/// Whether a domain is that of ONNX's own operators.
pub(super) fn is_own_domain(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}
