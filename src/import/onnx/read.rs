//! From a file to the chains of an encoder, of a decoder, or of both.

use std::path::Path;

use super::call::Context;
use super::error::{Listed, OnnxError};
use super::evaluate::{evaluate, Evaluated, Start};
use super::formula::Step;
use super::graph::{AxisSize, Graph, Port};
use super::names::{OnnxNames, Role, StdKind};
use super::placement::{Placement, MAX_AXES};
use super::value::{Origin, Signal, Value};
use crate::import::assemble::{DecoderParts, EncoderParts};
use crate::import::sequence::Sequence;
use crate::model::architecture::StdLink;
use crate::model::layer::MAX_WIDTH;

/// What was read, and what the user should know about it.
#[derive(Debug, Clone)]
pub struct Read<T> {
    /// The chains.
    pub parts: T,
    /// Decisions that change values, however little.
    pub notes: Vec<String>,
}

/// Reads an encoder: one input, and outputs for mean and standard deviation of the code. Other outputs are ignored.
///
/// `folder` is the model's, where weights in files of their own are looked for; `input_shape` is the shape of one
/// input, for files that do not give it.
///
/// # Errors
/// The first [`OnnxError`] found.
pub fn read_encoder(
    bytes: &[u8],
    folder: Option<&Path>,
    names: &OnnxNames,
    input_shape: Option<&[usize]>,
) -> Result<Read<EncoderParts>, OnnxError> {
    let graph = Graph::decode(bytes)?;
    let input = choose_input(&graph, names.input.as_deref(), &[names.noise_input.as_deref()])?;
    let start = start_at(input, input_shape)?;
    let heads = heads(&graph, names)?;
    let mut targets = vec![heads.mean.clone()];
    if heads.std != heads.mean {
        targets.push(heads.std.clone());
    }
    let mut evaluated = evaluate(&graph, folder, &start, &targets)?;
    let mean = signal(&evaluated, &heads.mean, Origin::Input)?;
    let std = signal(&evaluated, &heads.std, Origin::Input)?;
    evaluated.outputs.clear();
    let (mean, std) = match heads.halves {
        Some(mean_first) => halves(&heads.mean, mean, mean_first)?,
        None => (mean, std),
    };
    let shape = start.input.map(|(_, shape, _)| shape).unwrap_or_default();
    let parts = encoder(&mut evaluated.context, shape, (&heads.mean, mean), (&heads.std, std), heads.kind)?;
    Ok(Read { parts, notes: evaluated.context.notes })
}

/// Reads a decoder: one input, the code, and one output, the reconstruction.
///
/// # Errors
/// The first [`OnnxError`] found.
pub fn read_decoder(
    bytes: &[u8],
    folder: Option<&Path>,
    names: &OnnxNames,
    latent_shape: Option<&[usize]>,
) -> Result<Read<DecoderParts>, OnnxError> {
    let graph = Graph::decode(bytes)?;
    let input = choose_input(&graph, names.latent_input.as_deref(), &[])?;
    let start = Start { at_code: true, ..start_at(input, latent_shape)? };
    let output = match (&names.reconstruction_output, graph.outputs.as_slice()) {
        (Some(name), _) => known(&graph.outputs, name, "output")?.name.clone(),
        (None, [output]) => output.name.clone(),
        (None, outputs) => {
            named(outputs, Role::Reconstruction).ok_or_else(|| OnnxError::Reconstruction { found: listed(outputs) })?
        }
    };
    let mut evaluated = evaluate(&graph, folder, &start, std::slice::from_ref(&output))?;
    let value = signal(&evaluated, &output, Origin::Code)?;
    evaluated.outputs.clear();
    let decoder = settled(&mut evaluated.context, &output, value)?;
    Ok(Read { parts: DecoderParts { decoder }, notes: evaluated.context.notes })
}

/// Reads a whole model, from the input to the reconstruction, and divides it where the code is drawn: at mean + std ·
/// noise, or, in a model that decodes the mean, at the mean.
///
/// # Errors
/// The first [`OnnxError`] found.
pub fn read_whole(
    bytes: &[u8],
    folder: Option<&Path>,
    names: &OnnxNames,
    input_shape: Option<&[usize]>,
) -> Result<Read<(EncoderParts, DecoderParts)>, OnnxError> {
    let graph = Graph::decode(bytes)?;
    let targets: Vec<String> = match &names.reconstruction_output {
        Some(name) => vec![known(&graph.outputs, name, "output")?.name.clone()],
        None => graph.outputs.iter().map(|output| output.name.clone()).collect(),
    };
    let mut first_error = None;
    for start in whole_starts(&graph, names, input_shape)? {
        match evaluate(&graph, folder, &start, &targets) {
            Ok(evaluated) if evaluated.draw.is_some() => return drawn(&graph, names, &start, evaluated),
            Ok(_) => {}
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    match at_mean(&graph, folder, names, input_shape) {
        Err(OnnxError::NoCut | OnnxError::Heads { .. } | OnnxError::OneOutput { .. }) => {
            Err(first_error.unwrap_or(OnnxError::NoCut))
        }
        outcome => outcome,
    }
}

/// Which inputs may be the model's and which noise: as named, or each input in turn.
fn whole_starts(graph: &Graph, names: &OnnxNames, shape: Option<&[usize]>) -> Result<Vec<Start>, OnnxError> {
    let noise = names.noise_input.as_deref();
    if let Some(noise) = noise {
        known(&graph.inputs, noise, "input")?;
    }
    let candidates: Vec<&Port> = match &names.input {
        Some(name) => vec![known(&graph.inputs, name, "input")?],
        None => graph.inputs.iter().filter(|input| Some(input.name.as_str()) != noise).collect(),
    };
    let mut starts = Vec::new();
    let mut first_error = None;
    // More inputs than these make no model that can be read, and each costs an evaluation.
    for input in candidates.iter().take(4) {
        match start_at(input, shape) {
            Ok(start) => {
                let others = graph.inputs.iter().filter(|other| other.name != input.name);
                let noise = others.filter(|other| noise.is_none_or(|noise| other.name == noise));
                let noise = noise.filter_map(|other| Some((other.name.clone(), start_at(other, None).ok()?.input?.1)));
                starts.push(Start { noise: noise.collect(), ..start });
            }
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    match (starts.is_empty(), first_error) {
        (true, Some(error)) => Err(error),
        (true, None) => Err(OnnxError::Inputs { found: listed(&graph.inputs) }),
        (false, _) => Ok(starts),
    }
}

type Both = Read<(EncoderParts, DecoderParts)>;

fn drawn(graph: &Graph, names: &OnnxNames, start: &Start, mut evaluated: Evaluated<'_>) -> Result<Both, OnnxError> {
    let draw = evaluated.draw.take().ok_or(OnnxError::NoCut)?;
    let (output, value) = reconstruction(graph, names, &evaluated)?;
    evaluated.outputs.clear();
    let shape = start.input.as_ref().map(|(_, shape, _)| shape.clone()).unwrap_or_default();
    let (mean, std) = (("mean of the draw", draw.mean), ("std of the draw", draw.std));
    let encoder = encoder(&mut evaluated.context, shape, mean, std, StdKind::Std)?;
    let decoder = DecoderParts { decoder: settled(&mut evaluated.context, &output, value)? };
    Ok(Read { parts: (encoder, decoder), notes: evaluated.context.notes })
}

/// The output that depends on the code.
fn reconstruction(graph: &Graph, names: &OnnxNames, evaluated: &Evaluated<'_>) -> Result<(String, Signal), OnnxError> {
    let after_code = |port: &&Port| match evaluated.outputs.get(&port.name) {
        // The code itself may be an output as well.
        Some(Value::Signal(signal)) => {
            signal.chain.origin == Origin::Code
                && !(signal.chain.sequence.pieces().is_empty() && signal.formula.is_identity())
        }
        _ => false,
    };
    if let Some(name) = &names.reconstruction_output {
        return Ok((name.clone(), signal(evaluated, name, Origin::Code)?));
    }
    let found: Vec<Port> = graph.outputs.iter().filter(after_code).cloned().collect();
    let name = match found.as_slice() {
        [one] => one.name.clone(),
        several => {
            named(several, Role::Reconstruction).ok_or_else(|| OnnxError::Reconstruction { found: listed(several) })?
        }
    };
    let value = signal(evaluated, &name, Origin::Code)?;
    Ok((name, value))
}

/// A model that decodes the mean itself: divided at the mean's output.
fn at_mean(
    graph: &Graph,
    folder: Option<&Path>,
    names: &OnnxNames,
    input_shape: Option<&[usize]>,
) -> Result<Both, OnnxError> {
    let heads = heads(graph, names)?;
    if heads.halves.is_some() {
        return Err(OnnxError::NoCut);
    }
    let input = choose_input(graph, names.input.as_deref(), &[names.noise_input.as_deref()])?;
    let start = Start { cut: Some(source_of(graph, &heads.mean)), ..start_at(input, input_shape)? };
    let targets: Vec<String> = graph.outputs.iter().map(|output| output.name.clone()).collect();
    let mut evaluated = evaluate(graph, folder, &start, &targets)?;
    let mean = evaluated.cut.take().ok_or(OnnxError::NoCut)?;
    let std = signal(&evaluated, &heads.std, Origin::Input)?;
    let others: Vec<Port> = graph.outputs.iter().filter(|output| output.name != heads.mean).cloned().collect();
    let after = |port: &Port| matches!(evaluated.outputs.get(&port.name), Some(Value::Signal(signal)) if signal.chain.origin == Origin::Code);
    if !others.iter().any(after) {
        return Err(OnnxError::NoCut);
    }
    let (output, value) = reconstruction(graph, names, &evaluated)?;
    evaluated.outputs.clear();
    let shape = start.input.map(|(_, shape, _)| shape).unwrap_or_default();
    let encoder = encoder(&mut evaluated.context, shape, (&heads.mean, mean), (&heads.std, std), heads.kind)?;
    let decoder = DecoderParts { decoder: settled(&mut evaluated.context, &output, value)? };
    Ok(Read { parts: (encoder, decoder), notes: evaluated.context.notes })
}

/// The value that an output is another name of.
fn source_of(graph: &Graph, output: &str) -> String {
    let mut name = output.to_owned();
    for _ in 0..graph.nodes.len() {
        let node = graph.giver(&name).map(|node| &graph.nodes[node]);
        match node
            .filter(|node| matches!(node.op_type.as_str(), "Identity" | "Dropout"))
            .and_then(|node| node.input.first())
        {
            Some(input) => name.clone_from(input),
            None => break,
        }
    }
    name
}

/// Which outputs are the heads.
struct Heads {
    mean: String,
    std: String,
    kind: StdKind,
    /// Both are halves of the same output; whether the mean is the first.
    halves: Option<bool>,
}

fn heads(graph: &Graph, names: &OnnxNames) -> Result<Heads, OnnxError> {
    let outputs = &graph.outputs;
    if let Some(halves) = names.heads {
        let output = match (&names.mean_output, outputs.as_slice()) {
            (Some(name), _) => known(outputs, name, "output")?.name.clone(),
            (None, [output]) => output.name.clone(),
            _ => return Err(doubt(outputs, "several outputs, none of which was named as the concatenated one")),
        };
        return Ok(Heads { mean: output.clone(), std: output, kind: halves.kind, halves: Some(halves.mean_first) });
    }
    let mean = match &names.mean_output {
        Some(name) => Some(known(outputs, name, "output")?.name.clone()),
        None => None,
    };
    let std = match &names.std {
        Some((kind, name)) => Some((*kind, known(outputs, name, "output")?.name.clone())),
        None => None,
    };
    if let ([output], None, None) = (outputs.as_slice(), &mean, &std) {
        return Err(OnnxError::OneOutput { output: output.listed() });
    }
    let mean = mean.map_or_else(|| mean_by_name(outputs), Ok)?;
    let (kind, std) = std.map_or_else(|| std_by_name(outputs, &mean), Ok)?;
    Ok(Heads { mean, std, kind, halves: None })
}

fn mean_by_name(outputs: &[Port]) -> Result<String, OnnxError> {
    let found: Vec<&Port> = outputs.iter().filter(|port| Role::of(&port.name) == Some(Role::Mean)).collect();
    match found.as_slice() {
        [one] => Ok(one.name.clone()),
        [] => Err(doubt(outputs, "no output has a name that means the mean")),
        _ => Err(doubt(outputs, "several outputs have names that mean the mean")),
    }
}

fn std_by_name(outputs: &[Port], mean: &str) -> Result<(StdKind, String), OnnxError> {
    let roles = outputs.iter().filter(|port| port.name != mean).map(|port| (Role::of(&port.name), &port.name));
    let found: Vec<(StdKind, &String)> = roles
        .filter_map(|(role, name)| if let Some(Role::Std(kind)) = role { Some((kind, name)) } else { None })
        .collect();
    match found.as_slice() {
        [(kind, name)] => Ok((*kind, (*name).clone())),
        [] => Err(doubt(outputs, "no output has a name that means the standard deviation")),
        _ => Err(doubt(outputs, "several outputs have names that mean the standard deviation")),
    }
}

fn doubt(outputs: &[Port], reason: &str) -> OnnxError {
    OnnxError::Heads { reason: reason.to_owned(), found: listed(outputs) }
}

fn listed(ports: &[Port]) -> Vec<Listed> {
    ports.iter().map(Port::listed).collect()
}

fn known<'p>(ports: &'p [Port], name: &str, kind: &'static str) -> Result<&'p Port, OnnxError> {
    let port = ports.iter().find(|port| port.name == name);
    port.ok_or_else(|| OnnxError::UnknownName { kind, name: name.to_owned(), known: listed(ports) })
}

/// The one output with a role.
fn named(outputs: &[Port], role: Role) -> Option<String> {
    let mut found = outputs.iter().filter(|port| Role::of(&port.name) == Some(role));
    match (found.next(), found.next()) {
        (Some(one), None) => Some(one.name.clone()),
        _ => None,
    }
}

fn choose_input<'g>(graph: &'g Graph, name: Option<&str>, not: &[Option<&str>]) -> Result<&'g Port, OnnxError> {
    if let Some(name) = name {
        return known(&graph.inputs, name, "input");
    }
    let mut left = graph.inputs.iter().filter(|input| !not.contains(&Some(input.name.as_str())));
    match (left.next(), left.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(OnnxError::Inputs { found: listed(&graph.inputs) }),
    }
}

/// Chains start at this input.
fn start_at(input: &Port, given: Option<&[usize]>) -> Result<Start, OnnxError> {
    let (shape, batch) = item_shape(input, given)?;
    let width = shape.iter().fold(1_usize, |product, &size| product.saturating_mul(size));
    if width == 0 || width > MAX_WIDTH || shape.is_empty() || shape.len() >= MAX_AXES {
        let (input, found) = (input.name.clone(), input.shape_text());
        return Err(OnnxError::InputShape { input, found, limit: MAX_WIDTH });
    }
    Ok(Start { input: Some((input.name.clone(), shape, batch)), ..Start::default() })
}

/// The shape without the batch axis, and the batch size if the file fixes it.
fn item_shape(input: &Port, given: Option<&[usize]>) -> Result<(Vec<usize>, Option<i64>), OnnxError> {
    let conflict = |given: &[usize]| OnnxError::ShapeConflict {
        input: input.name.clone(),
        found: input.shape_text(),
        given: given.to_vec(),
    };
    let unknown = |axis: usize, found: String| OnnxError::DynamicShape { input: input.name.clone(), axis, found };
    let Some(shape) = &input.shape else {
        return given.map(|given| (given.to_vec(), None)).ok_or_else(|| unknown(1, input.shape_text()));
    };
    let Some((first, rest)) = shape.split_first() else {
        let (input, found) = (input.name.clone(), input.shape_text());
        return Err(OnnxError::InputShape { input, found, limit: MAX_WIDTH });
    };
    let batch = if let AxisSize::Known(size) = first { Some(*size) } else { None };
    if let Some(given) = given.filter(|given| given.len() != rest.len()) {
        return Err(conflict(given));
    }
    let mut sizes = Vec::with_capacity(rest.len());
    for (axis, size) in rest.iter().enumerate() {
        let in_file = match size {
            AxisSize::Known(size) => Some(usize::try_from(*size).unwrap_or(usize::MAX)),
            AxisSize::Named(_) | AxisSize::Unknown => None,
        };
        sizes.push(match (in_file, given.map(|given| given[axis])) {
            (Some(in_file), Some(given_size)) if in_file != given_size => return Err(conflict(given.unwrap_or(&[]))),
            (Some(size), _) | (None, Some(size)) => size,
            (None, None) => return Err(unknown(axis + 1, size.to_string())),
        });
    }
    Ok((sizes, batch))
}

fn signal(evaluated: &Evaluated<'_>, output: &str, origin: Origin) -> Result<Signal, OnnxError> {
    let expected = match origin {
        Origin::Input => "the input",
        Origin::Code => "the code",
    };
    let fault = |found| OnnxError::Output { output: output.to_owned(), found, expected };
    match evaluated.outputs.get(output) {
        Some(Value::Signal(signal)) if signal.chain.origin == origin => Ok(signal.clone()),
        Some(Value::Signal(signal)) if signal.chain.origin == Origin::Code => {
            Err(fault("computed from a draw of the code"))
        }
        Some(Value::Signal(_)) => Err(fault("computed from the input")),
        Some(Value::Constant(_)) => Err(fault("a constant")),
        Some(Value::Noise { .. } | Value::Disturbance { .. }) => Err(fault("random")),
        _ => Err(fault("something else")),
    }
}

fn halves(output: &str, both: Signal, mean_first: bool) -> Result<(Signal, Signal), OnnxError> {
    let found = both.width();
    if !found.is_multiple_of(2) || found == 0 {
        return Err(OnnxError::Halves { output: output.to_owned(), found });
    }
    let half = found / 2;
    let part = |start: usize| {
        let index = (start..start + half).map(Some).collect();
        let mut whole = both.clone();
        whole.shape = vec![found];
        whole.rearranged(&Placement { shape: vec![half], index })
    };
    let (first, second) = (part(0), part(half));
    Ok(if mean_first { (first, second) } else { (second, first) })
}

fn settled(context: &mut Context<'_>, output: &str, signal: Signal) -> Result<Sequence, OnnxError> {
    let fault = |fault| OnnxError::OutputFault { output: output.to_owned(), fault: Box::new(fault) };
    context.settle(signal).map(|(_, sequence)| sequence).map_err(fault)
}

fn encoder(
    context: &mut Context<'_>,
    input_shape: Vec<usize>,
    (mean_name, mean): (&str, Signal),
    (std_name, std): (&str, Signal),
    kind: StdKind,
) -> Result<EncoderParts, OnnxError> {
    let mean = settled(context, mean_name, mean)?;
    let mut argument = std;
    let (link, floor) = match kind {
        StdKind::LogVariance => (StdLink::HalfLogVariance, 0.0),
        StdKind::LogStd => {
            let fault = |fault| OnnxError::OutputFault { output: std_name.to_owned(), fault: Box::new(fault) };
            argument.formula.push(Step::Scale(2.0)).map_err(fault)?;
            (StdLink::HalfLogVariance, 0.0)
        }
        StdKind::Std => {
            let read = argument.formula.standard_deviation();
            let (formula, link, floor) = read
                .ok_or_else(|| OnnxError::Std { output: std_name.to_owned(), found: argument.formula.to_string() })?;
            argument.formula = formula;
            (link, floor)
        }
    };
    let std = settled(context, std_name, argument)?;
    Ok(EncoderParts { input_shape, mean, std, std_link: link, std_floor: floor })
}
