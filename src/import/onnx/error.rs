//! What can go wrong while an ONNX file is read.

use std::fmt;
use std::path::PathBuf;

use super::operators;
use crate::import::sequence::SequenceError;

/// Which node: its name, or where it has none the value it gives, and its operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The node's name; empty where it has none.
    pub name: String,
    /// The first value that the node gives.
    pub output: String,
    /// The operator.
    pub operator: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            write!(f, "the {} node that gives {:?}", self.operator, self.output)
        } else {
            write!(f, "node {:?} ({})", self.name, self.operator)
        }
    }
}

/// An output of the graph as a message shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its shape as the file gives it, the batch axis first.
    pub shape: String,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.name, self.shape)
    }
}

/// Why an ONNX file gives no model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The bytes are not an ONNX file, or only the beginning of one.
    #[error("this is not an ONNX file, or it is cut short: {reason}; export or download it again")]
    NotOnnx {
        /// What the protobuf decoder says.
        reason: String,
    },
    /// The file has no graph.
    #[error("the file holds no graph of nodes; is it an ONNX model?")]
    NoGraph,
    /// The operators' version is missing or not one of those that are known.
    #[error(
        "the file uses {}, versions {} to {} are supported; export it again with one of them, e.g. opset 17",
        found.map_or_else(|| "no version of ONNX's operators".to_owned(), |version| format!("version {version} of ONNX's operators")),
        super::OPSETS.start(), super::OPSETS.end()
    )]
    Opset {
        /// The version found; none where the file names none.
        found: Option<i64>,
    },
    /// More nodes than any model that can be read has.
    #[error("the graph has {found} nodes; at most {limit} are supported")]
    TooManyNodes {
        /// The number found.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// Two nodes, or a node and a weight or input, give a value of the same name.
    #[error("two sources give the value {value:?}; in an ONNX graph every value has one")]
    Duplicate {
        /// The value's name.
        value: String,
    },
    /// Nothing gives a value that something needs: most often a weight that is missing from the file.
    #[error(
        "{needed_by} needs the value {value:?}, but the file has no input, no weight (initializer) and no node that gives \
         it; was the model saved without its weights?"
    )]
    MissingValue {
        /// The value's name.
        value: String,
        /// Who needs it.
        needed_by: String,
    },
    /// Nodes wait for each other.
    #[error("{place} depends on its own result; an ONNX graph must not have cycles")]
    Cycle {
        /// A node of the cycle.
        place: Place,
    },
    /// A weight cannot be read.
    #[error("the weight {name:?} cannot be read: {fault}")]
    Weight {
        /// Its name.
        name: String,
        /// Why.
        fault: Box<TensorFault>,
    },
    /// A node cannot be read.
    #[error("{place}: {fault}")]
    Node {
        /// The node.
        place: Place,
        /// Why.
        fault: Box<NodeFault>,
    },
    /// The graph has no input to start from, or several among which nothing decides.
    #[error("expected one input that is not a weight, found {}; name the right one with --input", listed(found))]
    Inputs {
        /// Those found.
        found: Vec<Listed>,
    },
    /// A name that the caller gave is not one of the graph's.
    #[error("the graph has no {kind} called {name:?}; it has {}", listed(known))]
    UnknownName {
        /// `input` or `output`.
        kind: &'static str,
        /// The name given.
        name: String,
        /// Those there are.
        known: Vec<Listed>,
    },
    /// The size of an axis other than the first is not in the file.
    #[error(
        "dynamic shape: the size of axis {axis} of the input {input:?} ({found}) is not in the file; give the shape of one input \
         (without the batch axis) with --input-shape"
    )]
    DynamicShape {
        /// The input's name.
        input: String,
        /// The axis, the batch axis being 0.
        axis: usize,
        /// What the file says instead of a number.
        found: String,
    },
    /// An input without a batch axis and at least one more, or of an impossible size.
    #[error("the input {input:?} has the shape {found}; expected a batch axis and at least one more, {limit} values at most")]
    InputShape {
        /// The input's name.
        input: String,
        /// The shape as the file gives it.
        found: String,
        /// The limit.
        limit: usize,
    },
    /// The shape the caller gave and the one in the file contradict each other.
    #[error("the input {input:?} has the shape {found} in the file (batch axis first), which does not fit the given {given:?}")]
    ShapeConflict {
        /// The input's name.
        input: String,
        /// The shape as the file gives it.
        found: String,
        /// The shape given, without the batch axis.
        given: Vec<usize>,
    },
    /// Which outputs are mean and standard deviation is not plain.
    #[error(
        "which outputs are the code's mean and standard deviation is not plain ({reason}); the graph has {}; name them with \
         --mean-output and one of --std-output, --logvar-output, --log-std-output",
        listed(found)
    )]
    Heads {
        /// What is not plain.
        reason: String,
        /// All outputs.
        found: Vec<Listed>,
    },
    /// There is one output, which may hold mean and standard deviation side by side.
    #[error(
        "the only output is {output}; if it holds mean and log-variance side by side, say so with --concatenated mean,logvar \
         (or mean,logstd; mean,std; logvar,mean …)"
    )]
    OneOutput {
        /// The output.
        output: Listed,
    },
    /// An output that should hold two heads cannot be halved.
    #[error("the output {output:?} has {found} values, which cannot be split into mean and standard deviation")]
    Halves {
        /// The output's name.
        output: String,
        /// Its values.
        found: usize,
    },
    /// An output is not computed from the input.
    #[error("the output {output:?} is {found}, expected a value computed from {expected}")]
    Output {
        /// The output's name.
        output: String,
        /// What it is.
        found: &'static str,
        /// What it should depend on.
        expected: &'static str,
    },
    /// A standard deviation that is none of the supported functions.
    #[error(
        "the standard deviation {output:?} is {found}; expected exp(s/2), sqrt(exp(s)), exp(s) or softplus(s), where s is any \
         value of the network, plus a constant of at least 0"
    )]
    Std {
        /// The output's name.
        output: String,
        /// The function found.
        found: String,
    },
    /// The outputs' last steps cannot be read.
    #[error("the output {output:?}: {fault}")]
    OutputFault {
        /// The output's name.
        output: String,
        /// Why.
        fault: Box<NodeFault>,
    },
    /// No point where encoder and decoder meet.
    #[error(
        "found no point at which the encoder ends and the decoder starts: neither a draw mean + std · noise, nor a mean output from \
         which a reconstruction is computed; export encoder and decoder apart"
    )]
    NoCut,
    /// Several draws.
    #[error("{place} draws a second time; expected one draw z = mean + std · noise")]
    SecondDraw {
        /// The second addition.
        place: Place,
    },
    /// Which output is the reconstruction is not plain.
    #[error("{} outputs depend on the code where one was expected ({}); name the reconstruction with --reconstruction-output", found.len(), listed(found))]
    Reconstruction {
        /// The candidates.
        found: Vec<Listed>,
    },
}

fn listed(items: &[Listed]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Why a constant tensor cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorFault {
    /// A type that no weight can have.
    #[error("its elements are of type {found}; expected one of {}", super::tensor::READABLE)]
    Type {
        /// The type's name, or its number where it has none.
        found: String,
    },
    /// A size below 0.
    #[error("its shape is {found:?}; sizes must be at least 0")]
    NegativeSize {
        /// The shape.
        found: Vec<i64>,
    },
    /// More elements than any weight of a model has.
    #[error("its shape is {found:?}; at most {limit} elements are supported")]
    TooLarge {
        /// The shape.
        found: Vec<i64>,
        /// The limit.
        limit: usize,
    },
    /// More axes than any weight has.
    #[error("it has {found} axes; at most {limit} are supported")]
    TooManyAxes {
        /// The number found.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The data do not fill the shape, or overfill it.
    #[error("its shape {shape:?} calls for {expected} {unit}, found {found}")]
    Length {
        /// The shape.
        shape: Vec<usize>,
        /// What the shape calls for.
        expected: usize,
        /// What is there.
        found: u64,
        /// `bytes` or `elements`.
        unit: &'static str,
    },
    /// A part of a tensor.
    #[error("it is a segment of a larger tensor, which is not supported; save the model with whole tensors")]
    Segment,
    /// A sparse tensor.
    #[error("it is a sparse tensor, which is not supported; save the model with dense ones")]
    Sparse,
    /// Its values lie in another file, and that cannot be used.
    #[error(transparent)]
    External(#[from] ExternalFault),
}

/// Why values in a file beside the model cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExternalFault {
    /// The caller has no folder to look in.
    #[error("its values lie in the file {location:?}, but where the model lies is not known; read it from a file, or save it as one file")]
    NoFolder {
        /// The file as the model names it.
        location: String,
    },
    /// The model does not say which file.
    #[error("its values lie in another file, which the model does not name")]
    NoLocation,
    /// A location that does not start at the model's folder.
    #[error("its values lie at {location:?}; only files in the model's folder are read, save the model with a relative location")]
    Absolute {
        /// The location.
        location: String,
    },
    /// A location with `..`.
    #[error(
        "its values lie at {location:?}, and a location must not contain \"..\"; put the file into the model's folder"
    )]
    ParentFolder {
        /// The location.
        location: String,
    },
    /// A symbolic link that leads elsewhere.
    #[error("its values lie at {location:?}, which leads out of the model's folder to {}; put the file itself there", target.display())]
    OutsideFolder {
        /// The location.
        location: String,
        /// Where it leads.
        target: PathBuf,
    },
    /// No such file.
    #[error("its values lie in {}, which cannot be read: {source}; was it moved with the model?", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason given.
        source: std::io::Error,
    },
    /// Not a plain file.
    #[error("its values lie in {}, which is not a plain file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Offset or length is not a number of at least 0.
    #[error("its external data have {key} {found:?}, expected a number of at least 0")]
    BadNumber {
        /// `offset` or `length`.
        key: &'static str,
        /// The text found.
        found: String,
    },
    /// The file ends before the values do.
    #[error("its values end at byte {end} of {}, which has {found}; was it copied completely?", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where the values end.
        end: u64,
        /// Length of the file.
        found: u64,
    },
}

/// Why a node cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeFault {
    /// An operator that is not read.
    #[error("the operator {operator} is not supported; supported are {}", operators::NAMES.join(", "))]
    Operator {
        /// The operator.
        operator: String,
    },
    /// An operator of another domain.
    #[error("the operator {operator} of the domain {domain:?} is not supported, only ONNX's own operators are: {}", operators::NAMES.join(", "))]
    Domain {
        /// The domain.
        domain: String,
        /// The operator.
        operator: String,
    },
    /// An operator that the file itself defines.
    #[error("{domain}::{operator} is a function that the file defines, which is not supported; inline it (onnx.inliner.inline_local_functions)")]
    Function {
        /// The domain.
        domain: String,
        /// The operator.
        operator: String,
    },
    /// An operator with graphs inside.
    #[error("{operator} has a subgraph; branches and loops are not supported")]
    Subgraph {
        /// The operator.
        operator: String,
    },
    /// An attribute of the wrong kind or with an impossible value.
    #[error("the attribute {name} is {found}; expected {expected}")]
    Attribute {
        /// Its name.
        name: String,
        /// What there is.
        found: String,
        /// What there should be.
        expected: &'static str,
    },
    /// Too few inputs.
    #[error("input {position} is missing; it should be {expected}")]
    MissingInput {
        /// Which, from 0.
        position: usize,
        /// What it is for.
        expected: &'static str,
    },
    /// An input is not of the needed kind.
    #[error("input {position} is {found}; expected {expected}")]
    Input {
        /// Which, from 0.
        position: usize,
        /// What there is.
        found: String,
        /// What there should be.
        expected: &'static str,
    },
    /// Two values of the network are added.
    #[error(
        "it adds, subtracts or joins two values that both depend on the network's input; skip connections are not supported, only \
         chains of layers"
    )]
    SkipConnection,
    /// Two values of the network are multiplied, divided or compared.
    #[error(
        "it multiplies, divides or compares two values that both depend on the network's input; gates, attention and the activations \
         SiLU and GELU are not supported"
    )]
    Product,
    /// The batch axis would be moved, cut or mixed.
    #[error("{what}; the first axis is the batch, whose items must stay apart")]
    Batch {
        /// What would happen to the batch axis.
        what: String,
    },
    /// Shapes that do not fit.
    #[error("{what}: expected {expected}, found {found:?}")]
    Shape {
        /// Of what.
        what: &'static str,
        /// What would fit.
        expected: String,
        /// The shape found; of values of the network without the batch axis.
        found: Vec<usize>,
    },
    /// Larger than anything this program handles.
    #[error("{what} is too large; at most {limit} is supported")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A function of one value that is part of no known activation.
    #[error(
        "{found} is not supported here; exp, log, sqrt and reciprocals are read only as parts of softplus, of a sigmoid, or of a \
         standard deviation"
    )]
    Formula {
        /// The function so far.
        found: String,
    },
    /// A constant that is infinite or not a number.
    #[error("a constant that meets values of the network is {found}; expected finite numbers")]
    NotFinite {
        /// The value.
        found: f64,
    },
    /// A second draw.
    #[error("it draws a second time; expected one draw z = mean + std · noise")]
    SecondDraw,
    /// Anything else that the operator could do and this program does not.
    #[error("{what} is not supported; {instead}")]
    Unsupported {
        /// What the node does.
        what: String,
        /// What to do.
        instead: &'static str,
    },
    /// A constant inside the node cannot be read.
    #[error("its constant cannot be read: {0}")]
    Tensor(#[from] TensorFault),
    /// The layer itself is impossible.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
}
