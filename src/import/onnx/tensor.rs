//! Constant tensors: weights, and the small integer tensors that say how values are reshaped.

use std::path::Path;

use half::{bf16, f16};

use super::error::TensorFault;
use super::external;
use super::placement::MAX_AXES;
use super::proto::{TensorProto, EXTERNAL};

/// Most elements of one tensor, so that a malformed file cannot ask for unbounded memory.
pub(super) const MAX_ELEMENTS: usize = 1 << 27;

/// The element types that are read, for messages.
pub(super) const READABLE: &str =
    "float, double, float16, bfloat16, bool, and the integers of 8, 16, 32 and 64 bits (uint64 below 2^63)";

/// A size that may be that of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Known(i64),
    /// The size of the batch axis, whatever it is.
    Batch,
}

/// The elements of a tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Numbers {
    /// Any floating-point type.
    Float(Vec<f64>),
    /// Any integer type; truth is 1, falsehood 0.
    Int(Vec<i64>),
    /// Integers at least one of which is the size of the batch.
    Sizes(Vec<Size>),
}

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) numbers: Numbers,
}

impl Tensor {
    pub(super) fn floats(shape: Vec<usize>, values: Vec<f64>) -> Self {
        Self { shape, numbers: Numbers::Float(values) }
    }

    pub(super) fn integers(shape: Vec<usize>, values: Vec<i64>) -> Self {
        Self { shape, numbers: Numbers::Int(values) }
    }

    /// Sizes, or plain integers where none is the batch's.
    pub(super) fn sizes(shape: Vec<usize>, values: Vec<Size>) -> Self {
        let known: Option<Vec<i64>> = values
            .iter()
            .map(|size| match size {
                Size::Known(value) => Some(*value),
                Size::Batch => None,
            })
            .collect();
        let numbers = known.map_or(Numbers::Sizes(values), Numbers::Int);
        Self { shape, numbers }
    }

    pub(super) fn len(&self) -> usize {
        match &self.numbers {
            Numbers::Float(values) => values.len(),
            Numbers::Int(values) => values.len(),
            Numbers::Sizes(values) => values.len(),
        }
    }

    /// All elements as real numbers; none if one is the size of the batch.
    pub(super) fn to_floats(&self) -> Option<Vec<f64>> {
        match &self.numbers {
            Numbers::Float(values) => Some(values.clone()),
            Numbers::Int(values) => Some(values.iter().map(|&value| value as f64).collect()),
            Numbers::Sizes(_) => None,
        }
    }

    /// All elements as integers; none if there are others.
    pub(super) fn to_integers(&self) -> Option<Vec<i64>> {
        match &self.numbers {
            Numbers::Int(values) => Some(values.clone()),
            Numbers::Float(_) | Numbers::Sizes(_) => None,
        }
    }

    /// All elements as sizes; none if they are not integers.
    pub(super) fn to_sizes(&self) -> Option<Vec<Size>> {
        match &self.numbers {
            Numbers::Float(_) => None,
            Numbers::Int(values) => Some(values.iter().map(|&value| Size::Known(value)).collect()),
            Numbers::Sizes(values) => Some(values.clone()),
        }
    }

    /// The one number that all elements are; none where they differ or there are none.
    pub(super) fn uniform(&self) -> Option<f64> {
        let same = |values: &[f64]| {
            let first = *values.first()?;
            values.iter().all(|value| value.to_bits() == first.to_bits()).then_some(first)
        };
        match &self.numbers {
            Numbers::Float(values) => same(values),
            Numbers::Int(values) => {
                let first = *values.first()?;
                values.iter().all(|&value| value == first).then_some(first as f64)
            }
            Numbers::Sizes(_) => None,
        }
    }

    /// Reads a tensor of the file; `folder` is where files beside the model are looked for.
    ///
    /// # Errors
    /// The first [`TensorFault`] found. Nothing is allocated before the data are known to be there.
    pub(super) fn read(proto: &TensorProto, folder: Option<&Path>) -> Result<Self, TensorFault> {
        if proto.segment.is_some() {
            return Err(TensorFault::Segment);
        }
        let kind = Kind::of(proto.data_type)?;
        let shape = shape(&proto.dims)?;
        let count = shape.iter().product::<usize>();
        let numbers = if proto.data_location == EXTERNAL {
            let bytes = external::bytes(proto, folder, &shape, count * kind.bytes())?;
            kind.decode(&bytes)?
        } else if let Some(bytes) = proto.raw_data.as_ref() {
            let expected = count * kind.bytes();
            if bytes.len() != expected {
                return Err(TensorFault::Length { shape, expected, found: bytes.len() as u64, unit: "bytes" });
            }
            kind.decode(bytes)?
        } else {
            kind.collect(proto)?
        };
        let tensor = Self { shape, numbers };
        if tensor.len() != count {
            let found = tensor.len() as u64;
            return Err(TensorFault::Length { shape: tensor.shape, expected: count, found, unit: "elements" });
        }
        Ok(tensor)
    }
}

fn shape(dims: &[i64]) -> Result<Vec<usize>, TensorFault> {
    let sizes: Option<Vec<usize>> = dims.iter().map(|&size| usize::try_from(size).ok()).collect();
    let sizes = sizes.ok_or_else(|| TensorFault::NegativeSize { found: dims.to_vec() })?;
    if sizes.len() > MAX_AXES {
        return Err(TensorFault::TooManyAxes { found: sizes.len(), limit: MAX_AXES });
    }
    // A size of 0 must not hide sizes whose product is beyond all limits.
    let product = sizes.iter().fold(1_usize, |product, &size| product.saturating_mul(size.max(1)));
    if product > MAX_ELEMENTS {
        return Err(TensorFault::TooLarge { found: dims.to_vec(), limit: MAX_ELEMENTS });
    }
    Ok(sizes)
}

/// The element types that are read, numbered as in `TensorProto.DataType`.
#[derive(Debug, Clone, Copy)]
enum Kind {
    F32,
    U8,
    I8,
    U16,
    I16,
    I32,
    I64,
    Bool,
    F16,
    F64,
    U32,
    U64,
    Bf16,
}

/// Names of the element types by number, for messages.
const TYPE_NAMES: [&str; 17] = [
    "undefined",
    "float",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "int32",
    "int64",
    "string",
    "bool",
    "float16",
    "double",
    "uint32",
    "uint64",
    "complex64",
    "complex128",
    "bfloat16",
];

impl Kind {
    fn of(data_type: i32) -> Result<Self, TensorFault> {
        Ok(match data_type {
            1 => Self::F32,
            2 => Self::U8,
            3 => Self::I8,
            4 => Self::U16,
            5 => Self::I16,
            6 => Self::I32,
            7 => Self::I64,
            9 => Self::Bool,
            10 => Self::F16,
            11 => Self::F64,
            12 => Self::U32,
            13 => Self::U64,
            16 => Self::Bf16,
            other => {
                let name = usize::try_from(other).ok().and_then(|number| TYPE_NAMES.get(number));
                return Err(TensorFault::Type {
                    found: name.map_or_else(|| format!("number {other}"), ToString::to_string),
                });
            }
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// Little-endian, whatever the machine.
    fn decode(self, bytes: &[u8]) -> Result<Numbers, TensorFault> {
        Ok(match self {
            Self::F32 => Numbers::Float(each(bytes, |b| f64::from(f32::from_le_bytes(b)))),
            Self::F64 => Numbers::Float(each(bytes, f64::from_le_bytes)),
            Self::F16 => Numbers::Float(each(bytes, |b| f16::from_le_bytes(b).to_f64())),
            Self::Bf16 => Numbers::Float(each(bytes, |b| bf16::from_le_bytes(b).to_f64())),
            Self::I8 => Numbers::Int(each(bytes, |b| i64::from(i8::from_le_bytes(b)))),
            Self::U8 => Numbers::Int(each(bytes, |[b]| i64::from(b))),
            Self::Bool => Numbers::Int(each(bytes, |[b]| i64::from(b != 0))),
            Self::I16 => Numbers::Int(each(bytes, |b| i64::from(i16::from_le_bytes(b)))),
            Self::U16 => Numbers::Int(each(bytes, |b| i64::from(u16::from_le_bytes(b)))),
            Self::I32 => Numbers::Int(each(bytes, |b| i64::from(i32::from_le_bytes(b)))),
            Self::U32 => Numbers::Int(each(bytes, |b| i64::from(u32::from_le_bytes(b)))),
            Self::I64 => Numbers::Int(each(bytes, i64::from_le_bytes)),
            Self::U64 => signed(&each(bytes, u64::from_le_bytes))?,
        })
    }

    /// From the typed lists, which stand in for raw bytes in small tensors.
    fn collect(self, proto: &TensorProto) -> Result<Numbers, TensorFault> {
        // Half-precision values are kept as their bits in the low half of an int32.
        let bits = |value: &i32| u16::try_from(value & 0xffff).unwrap_or_default();
        Ok(match self {
            Self::F32 => Numbers::Float(proto.float_data.iter().copied().map(f64::from).collect()),
            Self::F64 => Numbers::Float(proto.double_data.clone()),
            Self::F16 => Numbers::Float(proto.int32_data.iter().map(|v| f16::from_bits(bits(v)).to_f64()).collect()),
            Self::Bf16 => Numbers::Float(proto.int32_data.iter().map(|v| bf16::from_bits(bits(v)).to_f64()).collect()),
            Self::Bool => Numbers::Int(proto.int32_data.iter().map(|&v| i64::from(v != 0)).collect()),
            Self::I8 | Self::U8 | Self::I16 | Self::U16 | Self::I32 => {
                Numbers::Int(proto.int32_data.iter().copied().map(i64::from).collect())
            }
            Self::I64 => Numbers::Int(proto.int64_data.clone()),
            Self::U32 | Self::U64 => signed(&proto.uint64_data)?,
        })
    }
}

fn each<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| value(*chunk)).collect()
}

fn signed(values: &[u64]) -> Result<Numbers, TensorFault> {
    let signed: Result<Vec<i64>, _> = values.iter().map(|&value| i64::try_from(value)).collect();
    signed.map(Numbers::Int).map_err(|_| TensorFault::Type { found: "uint64 with values of 2^63 and above".to_owned() })
}
