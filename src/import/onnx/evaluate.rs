//! The graph evaluated with chains of layers in place of numbers.

use std::collections::HashMap;
use std::path::Path;

use super::call::{Call, Context, Draw};
use super::error::{NodeFault, OnnxError};
use super::graph::{is_own_domain, Graph};
use super::operators;
use super::placement::MAX_AXES;
use super::tensor::Tensor;
use super::value::{Origin, Signal, Value};

/// What stands for the inputs of the graph.
#[derive(Debug, Clone, Default)]
pub(super) struct Start {
    /// The input that the chains start at, its shape without the batch axis, and what it is.
    pub(super) input: Option<(String, Vec<usize>, Option<i64>)>,
    /// Inputs that are standard normal noise, with their shapes.
    pub(super) noise: Vec<(String, Vec<usize>)>,
    /// Whether the chains start at the code.
    pub(super) at_code: bool,
    /// The value at which the encoder ends and the decoder starts.
    pub(super) cut: Option<String>,
}

/// The values that were asked for.
#[derive(Debug)]
pub(super) struct Evaluated<'a> {
    pub(super) outputs: HashMap<String, Value>,
    pub(super) draw: Option<Draw>,
    /// The value in front of the cut.
    pub(super) cut: Option<Signal>,
    pub(super) context: Context<'a>,
}

/// Evaluates what `targets` need and nothing else.
///
/// # Errors
/// The first [`OnnxError`] on the way.
pub(super) fn evaluate<'a>(
    graph: &Graph,
    folder: Option<&'a Path>,
    start: &Start,
    targets: &[String],
) -> Result<Evaluated<'a>, OnnxError> {
    let order = graph.order(targets)?;
    let batch = start.input.as_ref().and_then(|(_, _, batch)| *batch);
    let mut state = State {
        graph,
        start,
        context: Context::new(graph.opset, folder, batch),
        values: HashMap::new(),
        uses: uses(graph, &order, targets),
        cut: None,
    };
    for node in order {
        state.node(node)?;
    }
    let mut outputs = HashMap::new();
    for target in targets {
        let value = state.value(target)?;
        outputs.insert(target.clone(), value);
    }
    Ok(Evaluated { outputs, draw: state.context.draw.take(), cut: state.cut, context: state.context })
}

/// How often each value is needed, so that it can be handed over to its last user instead of copied.
fn uses(graph: &Graph, order: &[usize], targets: &[String]) -> HashMap<String, usize> {
    let mut uses = HashMap::new();
    let inputs = order.iter().flat_map(|&node| &graph.nodes[node].input);
    for value in inputs.chain(targets) {
        *uses.entry(value.clone()).or_insert(0) += 1;
    }
    uses
}

struct State<'g, 'a> {
    graph: &'g Graph,
    start: &'g Start,
    context: Context<'a>,
    values: HashMap<String, Value>,
    uses: HashMap<String, usize>,
    cut: Option<Signal>,
}

impl State<'_, '_> {
    fn value(&mut self, name: &str) -> Result<Value, OnnxError> {
        if !self.values.contains_key(name) {
            let value = self.outside(name)?;
            self.values.insert(name.to_owned(), value);
        }
        let left = self.uses.get_mut(name).map_or(0, |left| {
            *left = left.saturating_sub(1);
            *left
        });
        let value = if left == 0 { self.values.remove(name) } else { self.values.get(name).cloned() };
        value.ok_or_else(|| OnnxError::MissingValue { value: name.to_owned(), needed_by: "a node".to_owned() })
    }

    /// An input or a weight.
    fn outside(&mut self, name: &str) -> Result<Value, OnnxError> {
        if let Some(weight) = self.graph.weights.get(name) {
            let tensor = Tensor::read(weight, self.context.folder);
            return tensor
                .map(Value::constant)
                .map_err(|fault| OnnxError::Weight { name: name.to_owned(), fault: Box::new(fault) });
        }
        if let Some((_, shape, _)) = self.start.input.as_ref().filter(|(input, ..)| input == name) {
            let origin = if self.start.at_code { Origin::Code } else { Origin::Input };
            return Ok(Value::Signal(self.context.start(origin, shape)));
        }
        if let Some((_, shape)) = self.start.noise.iter().find(|(noise, _)| noise == name) {
            return Ok(Value::Noise { shape: shape.clone() });
        }
        Ok(Value::Absent("another input of the graph"))
    }

    fn node(&mut self, number: usize) -> Result<(), OnnxError> {
        let node = &self.graph.nodes[number];
        let mut inputs = Vec::with_capacity(node.input.len());
        for name in &node.input {
            inputs.push(if name.is_empty() { None } else { Some(self.value(name)?) });
        }
        let fault = |fault| match fault {
            NodeFault::SecondDraw => OnnxError::SecondDraw { place: self.graph.place(number) },
            fault => OnnxError::Node { place: self.graph.place(number), fault: Box::new(fault) },
        };
        self.check(number).map_err(fault)?;
        let mut call = Call { node, context: &mut self.context, inputs };
        let values = operators::apply(&mut call).map_err(fault)?;
        for (name, value) in node.output.iter().zip(values) {
            if let Value::Constant(tensor) = &value {
                self.context.keep(tensor.len()).map_err(fault)?;
            }
            if value.shape().is_ok_and(|(_, shape)| shape.len() >= MAX_AXES) {
                return Err(fault(NodeFault::TooLarge { what: "the number of axes", limit: MAX_AXES }));
            }
            let value = self.started(name, value);
            if self.uses.get(name).is_some_and(|&uses| uses > 0) {
                self.values.insert(name.clone(), value);
            }
        }
        // Outputs that no operator of ours gives.
        for name in node.output.iter().filter(|name| self.uses.contains_key(*name)) {
            self.values.entry(name.clone()).or_insert(Value::Absent("a further result, which is not supported"));
        }
        Ok(())
    }

    /// The value itself, or the code in its place where the decoder starts.
    fn started(&mut self, name: &str, value: Value) -> Value {
        match value {
            Value::Signal(signal) if self.start.cut.as_deref() == Some(name) => {
                let code = self.context.start(Origin::Code, &signal.shape);
                self.cut = Some(signal);
                Value::Signal(code)
            }
            value => value,
        }
    }

    fn check(&self, number: usize) -> Result<(), NodeFault> {
        let node = &self.graph.nodes[number];
        let (domain, operator) = (node.domain.clone(), node.op_type.clone());
        let defined = (domain, operator);
        if self.graph.functions.contains(&defined) {
            return Err(NodeFault::Function { domain: defined.0, operator: defined.1 });
        }
        let (domain, operator) = defined;
        if !is_own_domain(&domain) {
            return Err(NodeFault::Domain { domain, operator });
        }
        if node.attribute.iter().any(|attribute| attribute.g.is_some() || !attribute.graphs.is_empty()) {
            return Err(NodeFault::Subgraph { operator });
        }
        Ok(())
    }
}
