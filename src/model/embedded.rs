//! The model that comes with the program, so that the first audit needs no file.

use std::path::Path;

use super::file::{Model, ModelError};

/// The bytes of its file, written by `vaecert train --data digits --epochs 300 --batch-size 64 --out digits.safetensors`.
pub const DIGITS: &[u8] = include_bytes!("../../fixtures/models/digits.safetensors");

/// A β-VAE (β = 1, 64-64-8 encoder, 8-64-64 decoder) trained on the embedded digits.
///
/// # Errors
/// None in practice: the bytes are checked like any model file, and tests load them.
pub fn digits() -> Result<Model, ModelError> {
    Model::from_bytes(DIGITS, Path::new("(embedded)/digits.safetensors"))
}
