//! What an operator sees of its node: inputs, attributes, and the state of the evaluation.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use super::error::NodeFault;
use super::proto::{attribute_type, AttributeProto, NodeProto};
use super::tensor::{Size, Tensor};
use super::value::{Chain, Origin, Signal, Value};
use crate::import::sequence::Sequence;
use crate::model::layer::MAX_WIDTH;

/// Work allowed for one file, counted in numbers written: enough for every model that fits the other limits, and a
/// bound on what a malformed file can cost.
const MAX_WORK: usize = 1 << 29;

/// Elements of all constants that nodes compute; weights come out of the file and are as large as it.
const MAX_COMPUTED: usize = 1 << 26;

/// The draw of a code.
#[derive(Debug, Clone)]
pub(super) struct Draw {
    pub(super) mean: Signal,
    pub(super) std: Signal,
}

/// State that lasts from node to node.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) opset: i64,
    /// Where weights beside the model are looked for.
    pub(super) folder: Option<&'a Path>,
    /// The batch size that the file fixes.
    pub(super) batch: Option<i64>,
    /// The draw found so far.
    pub(super) draw: Option<Draw>,
    /// What the user should know.
    pub(super) notes: Vec<String>,
    chains: usize,
    work: Cell<usize>,
    computed: usize,
}

impl<'a> Context<'a> {
    pub(super) fn new(opset: i64, folder: Option<&'a Path>, batch: Option<i64>) -> Self {
        Self { opset, folder, batch, draw: None, notes: vec![], chains: 0, work: Cell::new(0), computed: 0 }
    }

    /// Counts numbers written.
    ///
    /// # Errors
    /// [`NodeFault::TooLarge`] beyond the limit.
    pub(super) fn spend(&self, numbers: usize) -> Result<(), NodeFault> {
        self.work.set(self.work.get().saturating_add(numbers));
        if self.work.get() > MAX_WORK {
            return Err(NodeFault::TooLarge { what: "the work that the graph takes up to here", limit: MAX_WORK });
        }
        Ok(())
    }

    /// Counts the elements of a constant that a node has computed.
    ///
    /// # Errors
    /// [`NodeFault::TooLarge`] beyond the limit.
    pub(super) fn keep(&mut self, elements: usize) -> Result<(), NodeFault> {
        self.computed = self.computed.saturating_add(elements);
        if self.computed > MAX_COMPUTED {
            return Err(NodeFault::TooLarge {
                what: "the number of elements of all computed constants",
                limit: MAX_COMPUTED,
            });
        }
        Ok(())
    }

    /// A value that starts a chain.
    pub(super) fn start(&mut self, origin: Origin, shape: &[usize]) -> Signal {
        self.signal(origin, Sequence::new(shape), shape.to_vec())
    }

    /// The value at the end of a chain.
    pub(super) fn signal(&mut self, origin: Origin, sequence: Sequence, shape: Vec<usize>) -> Signal {
        self.chains += 1;
        let chain = Rc::new(Chain { number: self.chains, origin, sequence });
        Signal { chain, view: None, shape, formula: super::formula::Formula::default() }
    }

    /// Rearrangement and formula turned into layers.
    ///
    /// # Errors
    /// [`NodeFault::Formula`] and [`NodeFault::TooLarge`].
    pub(super) fn settle(&mut self, signal: Signal) -> Result<(Origin, Sequence), NodeFault> {
        let Signal { chain, view, shape, formula } = signal;
        let (origin, mut sequence) = match Rc::try_unwrap(chain) {
            Ok(chain) => (chain.origin, chain.sequence),
            Err(shared) => {
                let numbers = |piece: &crate::import::sequence::Piece| {
                    piece.parameters.iter().fold(1, |sum: usize, parameter| sum.saturating_add(parameter.len()))
                };
                self.spend(shared.sequence.pieces().iter().map(numbers).fold(0, usize::saturating_add))?;
                (shared.origin, shared.sequence.clone())
            }
        };
        if let Some(view) = view {
            self.spend(view.len())?;
            sequence.gather(&view, &shape)?;
        }
        self.spend(shape.iter().product())?;
        sequence.reshape(&shape)?;
        formula.settle(&mut sequence)?;
        Ok((origin, sequence))
    }
}

/// One application of an operator.
pub(super) struct Call<'c, 'a> {
    pub(super) node: &'c NodeProto,
    pub(super) context: &'c mut Context<'a>,
    /// In the order of the node; none where left out.
    pub(super) inputs: Vec<Option<Value>>,
}

impl Call<'_, '_> {
    pub(super) fn opset(&self) -> i64 {
        self.context.opset
    }

    pub(super) fn has(&self, position: usize) -> bool {
        matches!(self.inputs.get(position), Some(Some(_)))
    }

    /// An input, taken out so that its chain need not be copied.
    pub(super) fn take(&mut self, position: usize, expected: &'static str) -> Result<Value, NodeFault> {
        let missing = NodeFault::MissingInput { position, expected };
        self.inputs.get_mut(position).and_then(Option::take).ok_or(missing)
    }

    pub(super) fn take_signal(&mut self, position: usize) -> Result<Signal, NodeFault> {
        let expected = "a value of the network";
        match self.take(position, expected)? {
            Value::Signal(signal) => Ok(signal),
            other => Err(NodeFault::Input { position, found: other.kind(), expected }),
        }
    }

    pub(super) fn constant(&self, position: usize, expected: &'static str) -> Result<Rc<Tensor>, NodeFault> {
        match self.inputs.get(position) {
            Some(Some(Value::Constant(tensor))) => {
                // Whoever asks reads all of it.
                self.context.spend(tensor.len())?;
                Ok(Rc::clone(tensor))
            }
            Some(Some(other)) => Err(NodeFault::Input { position, found: other.kind(), expected }),
            _ => Err(NodeFault::MissingInput { position, expected }),
        }
    }

    /// A constant input's elements as finite real numbers, with their shape.
    pub(super) fn floats(&self, position: usize, expected: &'static str) -> Result<(Vec<usize>, Vec<f64>), NodeFault> {
        let tensor = self.constant(position, expected)?;
        let values = tensor.to_floats().ok_or_else(|| NodeFault::Input {
            position,
            found: "the size of the batch".to_owned(),
            expected,
        })?;
        Ok((tensor.shape.clone(), finite(values)?))
    }

    pub(super) fn integers(&self, position: usize, expected: &'static str) -> Result<Vec<i64>, NodeFault> {
        let tensor = self.constant(position, expected)?;
        tensor.to_integers().ok_or_else(|| {
            let found = "not made of known integers".to_owned();
            NodeFault::Input { position, found, expected }
        })
    }

    pub(super) fn sizes(&self, position: usize, expected: &'static str) -> Result<Vec<Size>, NodeFault> {
        let tensor = self.constant(position, expected)?;
        let found = || "not made of integers".to_owned();
        tensor.to_sizes().ok_or_else(|| NodeFault::Input { position, found: found(), expected })
    }

    /// A constant input that is one number.
    pub(super) fn number(&self, position: usize, expected: &'static str) -> Result<f64, NodeFault> {
        let tensor = self.constant(position, expected)?;
        let found = || format!("a constant of shape {:?}", tensor.shape);
        let number = (tensor.len() == 1).then(|| tensor.uniform()).flatten();
        number.ok_or_else(|| NodeFault::Input { position, found: found(), expected })
    }

    fn attribute(&self, name: &str, kind: i32, expected: &'static str) -> Result<Option<&AttributeProto>, NodeFault> {
        let Some(attribute) = self.node.attribute.iter().find(|attribute| attribute.name == name) else {
            return Ok(None);
        };
        let fault = |found: String| NodeFault::Attribute { name: name.to_owned(), found, expected };
        if !attribute.ref_attr_name.is_empty() {
            return Err(fault("a reference to a function's attribute".to_owned()));
        }
        // Version 0 of the format did not write the type.
        if attribute.r#type != kind && attribute.r#type != 0 {
            return Err(fault(format!("of type {}", attribute.r#type)));
        }
        Ok(Some(attribute))
    }

    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64, NodeFault> {
        Ok(self.attribute(name, attribute_type::INT, "an integer")?.map_or(default, |attribute| attribute.i))
    }

    pub(super) fn float(&self, name: &str, default: f64) -> Result<f64, NodeFault> {
        Ok(self.maybe_float(name)?.unwrap_or(default))
    }

    pub(super) fn maybe_float(&self, name: &str) -> Result<Option<f64>, NodeFault> {
        let attribute = self.attribute(name, attribute_type::FLOAT, "a number")?;
        Ok(attribute.map(|attribute| f64::from(attribute.f)))
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, NodeFault> {
        let attribute = self.attribute(name, attribute_type::INTS, "a list of integers")?;
        Ok(attribute.map(|attribute| attribute.ints.clone()))
    }

    pub(super) fn float_list(&self, name: &str) -> Result<Option<Vec<f64>>, NodeFault> {
        let attribute = self.attribute(name, attribute_type::FLOATS, "a list of numbers")?;
        Ok(attribute.map(|attribute| attribute.floats.iter().copied().map(f64::from).collect()))
    }

    pub(super) fn text(&self, name: &str, default: &str) -> Result<String, NodeFault> {
        let attribute = self.attribute(name, attribute_type::STRING, "a text")?;
        Ok(attribute.map_or_else(|| default.to_owned(), |attribute| String::from_utf8_lossy(&attribute.s).into_owned()))
    }

    /// A tensor attribute.
    pub(super) fn tensor(&self, name: &str) -> Result<Option<Tensor>, NodeFault> {
        let attribute = self.attribute(name, attribute_type::TENSOR, "a tensor")?;
        let Some(proto) = attribute.and_then(|attribute| attribute.t.as_ref()) else { return Ok(None) };
        Ok(Some(Tensor::read(proto, self.context.folder)?))
    }

    pub(super) fn bad_attribute(name: &str, found: impl ToString, expected: &'static str) -> NodeFault {
        NodeFault::Attribute { name: name.to_owned(), found: found.to_string(), expected }
    }

    /// Appends layers to a value.
    pub(super) fn extend(
        &mut self,
        signal: Signal,
        append: impl FnOnce(&mut Sequence) -> Result<(), crate::import::sequence::SequenceError>,
        shape: Vec<usize>,
    ) -> Result<Value, NodeFault> {
        checked_width(&shape)?;
        let (origin, mut sequence) = self.context.settle(signal)?;
        append(&mut sequence)?;
        sequence.reshape(&shape)?;
        Ok(Value::Signal(self.context.signal(origin, sequence, shape)))
    }
}

/// The number of values per item, if it can be held and is not 0.
pub(super) fn checked_width(shape: &[usize]) -> Result<usize, NodeFault> {
    let width = shape.iter().fold(1_usize, |product, &size| product.saturating_mul(size));
    match width {
        0 => Err(NodeFault::Shape {
            what: "a value",
            expected: "at least one element".to_owned(),
            found: shape.to_vec(),
        }),
        width if width > MAX_WIDTH => {
            Err(NodeFault::TooLarge { what: "the number of elements per item", limit: MAX_WIDTH })
        }
        width => Ok(width),
    }
}

/// The same numbers, if all are finite.
pub(super) fn finite(values: Vec<f64>) -> Result<Vec<f64>, NodeFault> {
    match values.iter().find(|value| !value.is_finite()) {
        Some(&found) => Err(NodeFault::NotFinite { found }),
        None => Ok(values),
    }
}

/// A whole number of at least 0.
pub(super) fn count(value: i64, name: &str) -> Result<usize, NodeFault> {
    usize::try_from(value).map_err(|_| Call::bad_attribute(name, value, "a number of at least 0"))
}
