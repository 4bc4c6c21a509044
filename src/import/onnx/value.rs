//! What a value of the graph is while the graph is read: a constant, a value of the network, or noise.

use std::rc::Rc;

use super::error::NodeFault;
use super::formula::Formula;
use super::placement::Placement;
use super::tensor::Tensor;
use crate::import::sequence::Sequence;

/// Where a chain of layers starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// At the network's input.
    Input,
    /// At the code.
    Code,
}

/// A chain of layers from the input, or from the code, to some value.
#[derive(Debug)]
pub(super) struct Chain {
    /// Chains with the same number give the same value.
    pub(super) number: usize,
    pub(super) origin: Origin,
    pub(super) sequence: Sequence,
}

/// A value that depends on the network's input: a formula of rearranged outputs of a chain.
///
/// Rearrangement and formula become layers only when the next layer needs them ([`super::call::Context::settle`]).
#[derive(Debug, Clone)]
pub(super) struct Signal {
    pub(super) chain: Rc<Chain>,
    /// Element i is output `view[i]` of the chain, or 0; none: all outputs in order.
    pub(super) view: Option<Rc<Vec<Option<usize>>>>,
    /// Without the batch axis.
    pub(super) shape: Vec<usize>,
    pub(super) formula: Formula,
}

impl Signal {
    pub(super) fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether both are made of the same outputs of the same chain, formulas aside.
    pub(super) fn same_source(&self, other: &Self) -> bool {
        self.chain.number == other.chain.number && self.shape == other.shape && self.view == other.view
    }

    /// The elements in another place. Only without a formula may places be empty: a formula of 0 need not be 0.
    pub(super) fn rearranged(mut self, placement: &Placement) -> Self {
        if !placement.is_identity(self.width()) {
            let view = match &self.view {
                Some(view) => placement.after(view),
                None => placement.index.clone(),
            };
            self.view = Some(Rc::new(view));
        }
        self.shape.clone_from(&placement.shape);
        self
    }
}

/// The value of one name in the graph.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Constant(Rc<Tensor>),
    Signal(Signal),
    /// One number at every place of a shape with a batch axis.
    Filled {
        value: f64,
        shape: Vec<usize>,
    },
    /// Independent standard normal numbers.
    Noise {
        shape: Vec<usize>,
    },
    /// A standard deviation times noise.
    Disturbance {
        std: Signal,
    },
    /// Where a value is above a number.
    Above {
        signal: Signal,
        bound: f64,
    },
    /// Where a value is below a number.
    Below {
        signal: Signal,
        bound: f64,
    },
    /// A result that is not supported; an error for whatever uses it.
    Absent(&'static str),
}

impl Value {
    pub(super) fn constant(tensor: Tensor) -> Self {
        Self::Constant(Rc::new(tensor))
    }

    /// For messages.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Constant(tensor) => format!("a constant of shape {:?}", tensor.shape),
            Self::Signal(signal) => format!("a value of the network, {:?} per item", signal.shape),
            Self::Filled { value, .. } => format!("{value} for every item of the batch"),
            Self::Noise { shape } => format!("noise, {shape:?} per item"),
            Self::Disturbance { .. } => "a standard deviation times noise".to_owned(),
            Self::Above { .. } | Self::Below { .. } => "a comparison of a value of the network".to_owned(),
            Self::Absent(what) => (*what).to_owned(),
        }
    }

    /// The shape; (true, _) with a batch axis in front of it.
    pub(super) fn shape(&self) -> Result<(bool, &[usize]), NodeFault> {
        match self {
            Self::Constant(tensor) => Ok((false, &tensor.shape)),
            Self::Signal(signal) | Self::Disturbance { std: signal } => Ok((true, &signal.shape)),
            Self::Above { signal, .. } | Self::Below { signal, .. } => Ok((true, &signal.shape)),
            Self::Filled { shape, .. } | Self::Noise { shape } => Ok((true, shape)),
            Self::Absent(_) => Err(NodeFault::Input { position: 0, found: self.kind(), expected: "a tensor" }),
        }
    }
}
