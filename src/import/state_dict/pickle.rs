//! A machine for the pickles of `torch.save` that calls nothing.
//!
//! It knows the instructions that pickle writes for dictionaries, numbers and tensors, and a fixed list of global names, each
//! of which is only a mark. What it builds is bounded by the file: every instruction adds at most one value.

use std::collections::HashMap;

use super::error::TensorFileError;
use super::tensors::Format;

/// Texts that are copied are no longer, so that many references to one text take no more memory than the file allows.
const MAX_NAME: usize = 256;
/// A tensor has no more axes.
const MAX_AXES: usize = 64;

/// A value; others refer to it by its place in [`Pickle::values`].
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Sequence(Vec<usize>),
    /// Keys and values in turn.
    Dictionary(Vec<(usize, usize)>),
    Global(Global),
    Storage {
        kind: Storage,
        key: String,
        numbers: usize,
    },
    Tensor {
        storage: usize,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    },
    /// Something that no tensor needs.
    Other,
}

/// A global name that is understood.
#[derive(Debug, Clone)]
pub(super) enum Global {
    RebuildTensor,
    RebuildParameter,
    OrderedDictionary,
    Storage(Storage),
    /// Sizes, and scalars of numpy: harmless, and nothing that a weight needs.
    Ignored,
}

/// The type of the numbers in a storage.
#[derive(Debug, Clone)]
pub(super) enum Storage {
    Real(Format),
    Other(String),
}

/// What a pickle holds.
#[derive(Debug)]
pub(super) struct Pickle {
    pub(super) values: Vec<Value>,
    pub(super) root: usize,
}

/// Runs a pickle to its end.
pub(super) fn read(bytes: &[u8]) -> Result<Pickle, TensorFileError> {
    let mut machine = Machine {
        bytes,
        at: 0,
        start: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    while machine.step()? {}
    let root = machine.pop()?;
    Ok(Pickle { values: machine.values, root })
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the present instruction starts.
    start: usize,
    values: Vec<Value>,
    stack: Vec<usize>,
    marks: Vec<usize>,
    memo: HashMap<usize, usize>,
}

impl Machine<'_> {
    /// One instruction; false after the last.
    fn step(&mut self) -> Result<bool, TensorFileError> {
        self.start = self.at;
        let opcode = self.take(1)?[0];
        match opcode {
            b'.' => return Ok(false),
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'}' => self.push(Value::Dictionary(vec![])),
            b']' | b')' => self.push(Value::Sequence(vec![])),
            b'N' | 0x88 | 0x89 => self.push(Value::Other),
            b'G' => {
                self.take(8)?;
                self.push(Value::Other);
            }
            b'K' | b'M' | b'J' | 0x8a => self.integer(opcode)?,
            b'X' | 0x8c | b'T' | b'U' | b'B' | b'C' => self.text(opcode)?,
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.remember(opcode)?,
            b't' | b'l' => {
                let items = self.since_mark()?;
                self.push(Value::Sequence(items));
            }
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let at = self.stack.len().checked_sub(count).ok_or_else(|| self.malformed("nothing to pack"))?;
                let items = self.stack.split_off(at);
                self.push(Value::Sequence(items));
            }
            b'a' | b'e' | b's' | b'u' => self.fill(opcode)?,
            b'c' | 0x93 => self.global(opcode)?,
            b'R' => self.reduce()?,
            // The state of a dictionary is its _metadata.
            b'b' => drop(self.pop()?),
            b'Q' => self.storage()?,
            _ => return Err(TensorFileError::Opcode { opcode, position: self.start }),
        }
        Ok(true)
    }

    fn malformed(&self, reason: &'static str) -> TensorFileError {
        TensorFileError::Pickle { reason, position: self.start }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], TensorFileError> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| self.malformed("it ends in the middle of an instruction"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn unsigned(&mut self, size: usize) -> Result<usize, TensorFileError> {
        Ok(self.take(size)?.iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte)))
    }

    fn line(&mut self) -> Result<String, TensorFileError> {
        let length = self.bytes[self.at..].iter().position(|&byte| byte == b'\n');
        let length = length.ok_or_else(|| self.malformed("a name does not end"))?;
        let line = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.take(1)?;
        Ok(line)
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<usize, TensorFileError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.malformed("a value is missing"));
        }
        self.stack.pop().ok_or_else(|| self.malformed("a value is missing"))
    }

    fn since_mark(&mut self) -> Result<Vec<usize>, TensorFileError> {
        let mark = self.marks.pop().ok_or_else(|| self.malformed("a mark is missing"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn integer(&mut self, opcode: u8) -> Result<(), TensorFileError> {
        let size = match opcode {
            b'K' => 1,
            b'M' => 2,
            b'J' => 4,
            _ => self.unsigned(1)?,
        };
        let bytes = self.take(size)?;
        let is_negative = matches!(opcode, b'J' | 0x8a) && bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut number = [if is_negative { 0xff } else { 0 }; 8];
        // Numbers beyond 64 bits are no sizes.
        let value = if size > number.len() {
            Value::Other
        } else {
            number[..size].copy_from_slice(bytes);
            Value::Number(i64::from_le_bytes(number))
        };
        self.push(value);
        Ok(())
    }

    fn text(&mut self, opcode: u8) -> Result<(), TensorFileError> {
        let size = self.unsigned(if matches!(opcode, b'X' | b'T' | b'B') { 4 } else { 1 })?;
        let text = String::from_utf8_lossy(self.take(size)?).into_owned();
        self.push(Value::Text(text));
        Ok(())
    }

    fn remember(&mut self, opcode: u8) -> Result<(), TensorFileError> {
        let key = match opcode {
            b'q' | b'h' => self.unsigned(1)?,
            0x94 => self.memo.len(),
            _ => self.unsigned(4)?,
        };
        if matches!(opcode, b'h' | b'j') {
            let value = self.memo.get(&key).copied().ok_or_else(|| self.malformed("nothing is remembered there"))?;
            self.stack.push(value);
        } else {
            let value = self.stack.last().copied().ok_or_else(|| self.malformed("a value is missing"))?;
            self.memo.insert(key, value);
        }
        Ok(())
    }

    /// Items into a list or a dictionary: one, or all since the last mark.
    fn fill(&mut self, opcode: u8) -> Result<(), TensorFileError> {
        let items = match opcode {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.since_mark()?,
        };
        let into = self.stack.last().copied().ok_or_else(|| self.malformed("a value is missing"))?;
        match (&mut self.values[into], opcode) {
            (Value::Sequence(list), b'a' | b'e') => list.extend(items),
            (Value::Dictionary(entries), b's' | b'u') if items.len() % 2 == 0 => {
                entries.extend(items.chunks(2).map(|entry| (entry[0], entry[1])));
            }
            _ => return Err(self.malformed("items go into something that holds none")),
        }
        Ok(())
    }

    fn global(&mut self, opcode: u8) -> Result<(), TensorFileError> {
        let (module, name) = if opcode == b'c' {
            (self.line()?, self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (&self.values[module], &self.values[name]) {
                (Value::Text(module), Value::Text(name)) if module.len() + name.len() <= MAX_NAME => {
                    (module.clone(), name.clone())
                }
                _ => return Err(self.malformed("a global without a name, or with too long a one")),
            }
        };
        let global =
            known(&module, &name).ok_or_else(|| TensorFileError::Global { name: format!("{module}.{name}") })?;
        self.push(Value::Global(global));
        Ok(())
    }

    /// What a call of a known global stands for.
    fn reduce(&mut self) -> Result<(), TensorFileError> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let Value::Sequence(arguments) = &self.values[arguments] else {
            return Err(self.malformed("a call without arguments"));
        };
        let first: Vec<usize> = arguments.iter().copied().take(4).collect();
        match (&self.values[callee], first.as_slice()) {
            (Value::Global(Global::OrderedDictionary), []) => self.push(Value::Dictionary(vec![])),
            (Value::Global(Global::RebuildTensor), &[storage, offset, shape, strides]) => {
                let tensor = self.tensor(storage, offset, shape, strides);
                let tensor = tensor.ok_or_else(|| self.malformed("a tensor of unknown form"))?;
                self.push(tensor);
            }
            (Value::Global(Global::RebuildParameter), &[data, ..]) => self.stack.push(data),
            (Value::Global(Global::Ignored), _) => self.push(Value::Other),
            _ => return Err(self.malformed("a call that torch.save does not write")),
        }
        Ok(())
    }

    fn tensor(&self, storage: usize, offset: usize, shape: usize, strides: usize) -> Option<Value> {
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        let is_storage = matches!(self.values[storage], Value::Storage { .. });
        let offset = self.size(offset)?;
        (is_storage && shape.len() == strides.len()).then_some(Value::Tensor { storage, offset, shape, strides })
    }

    fn size(&self, value: usize) -> Option<usize> {
        match self.values[value] {
            Value::Number(number) => usize::try_from(number).ok(),
            _ => None,
        }
    }

    fn sizes(&self, value: usize) -> Option<Vec<usize>> {
        match &self.values[value] {
            Value::Sequence(items) if items.len() <= MAX_AXES => items.iter().map(|&item| self.size(item)).collect(),
            _ => None,
        }
    }

    /// A reference to a storage: ("storage", type, key, device, numbers).
    fn storage(&mut self) -> Result<(), TensorFileError> {
        let reference = self.pop()?;
        let storage = match &self.values[reference] {
            Value::Sequence(items) => self.stored(items),
            _ => None,
        };
        let storage = storage.ok_or_else(|| self.malformed("a reference to no storage"))?;
        self.push(storage);
        Ok(())
    }

    fn stored(&self, reference: &[usize]) -> Option<Value> {
        let &[_, kind, key, _, numbers] = reference else { return None };
        match (&self.values[kind], &self.values[key]) {
            (Value::Global(Global::Storage(kind)), Value::Text(key)) if key.len() <= MAX_NAME => {
                Some(Value::Storage { kind: kind.clone(), key: key.clone(), numbers: self.size(numbers)? })
            }
            _ => None,
        }
    }
}

fn known(module: &str, name: &str) -> Option<Global> {
    let global = match (module, name) {
        ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
        ("collections", "OrderedDict") => Global::OrderedDictionary,
        ("torch", "Size")
        | ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar")
        | ("numpy", "dtype")
        | ("_codecs", "encode") => Global::Ignored,
        ("torch", storage) => Global::Storage(match storage.strip_suffix("Storage")? {
            "Float" => Storage::Real(Format::Single),
            "Double" => Storage::Real(Format::Double),
            "Half" => Storage::Real(Format::Half),
            "BFloat16" => Storage::Real(Format::Brain),
            other => Storage::Other(other.to_owned()),
        }),
        _ => return None,
    };
    Some(global)
}
