//! Tensors by name, and the number formats they come in.

use std::collections::BTreeMap;

use half::{bf16, f16};

/// Most numbers read from one file: two gigabytes in double precision.
pub(super) const MAX_NUMBERS: usize = 1 << 28;

/// A tensor of real numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers, row-major.
    pub values: Vec<f64>,
}

/// What a file of tensors holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tensors {
    /// Tensors of real numbers, by name.
    pub real: BTreeMap<String, NamedTensor>,
    /// Tensors of other types (counters, for example): name and type.
    pub others: BTreeMap<String, String>,
}

/// A format of real numbers, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Half,
    Brain,
    Single,
    Double,
}

impl Format {
    /// Bytes of one number.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Half | Self::Brain => 2,
            Self::Single => 4,
            Self::Double => 8,
        }
    }

    /// The number that `bytes` starts with; 0 where they are too few.
    pub(super) fn decode(self, bytes: &[u8]) -> f64 {
        match (self, bytes) {
            (Self::Half, &[a, b, ..]) => f16::from_le_bytes([a, b]).to_f64(),
            (Self::Brain, &[a, b, ..]) => bf16::from_le_bytes([a, b]).to_f64(),
            (Self::Single, &[a, b, c, d, ..]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            (Self::Double, &[a, b, c, d, e, f, g, h, ..]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => 0.0,
        }
    }
}
