//! Arrays in a `.safetensors` file.
//!
//! A tensor of shape `[n, ...]` with elements F32, F64, F16, BF16 or U8. U8 counts as pixels. The header is checked by the
//! `safetensors` crate: every tensor's bytes lie inside the file and fill its shape.

use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::array::{Array, PIXEL_FULL_SCALE};
use super::{file, DataError};

/// Reads the tensor called `wanted`, or the only one.
pub(super) fn load(path: &Path, wanted: Option<&str>) -> Result<Array, DataError> {
    parse(&file::read(path)?, path, wanted)
}

fn parse(bytes: &[u8], path: &Path, wanted: Option<&str>) -> Result<Array, DataError> {
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|error| DataError::BadArchive { path: path.to_owned(), reason: error.to_string() })?
        .tensors();
    let chosen = match (wanted, tensors.as_slice()) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(wanted), _) => tensors.iter().find(|(name, _)| name == wanted),
    };
    if let Some((name, tensor)) = chosen {
        return array(tensor, Path::new(&format!("{}:{name}", path.display())));
    }
    let path = path.to_owned();
    let mut arrays: Vec<String> =
        tensors.iter().map(|(name, tensor)| format!("{name} {:?} {:?}", tensor.dtype(), tensor.shape())).collect();
    arrays.sort();
    Err(match wanted {
        Some(found) => DataError::NoSuchArray { path, found: found.to_owned(), arrays },
        None if arrays.is_empty() => DataError::Empty { name: path.display().to_string() },
        None => DataError::SeveralArrays { path, arrays },
    })
}

fn array(tensor: &TensorView<'_>, place: &Path) -> Result<Array, DataError> {
    let name = place.display().to_string();
    let shape = tensor.shape().to_vec();
    if shape.len() < 2 {
        return Err(DataError::Shape { name, expected: "[n, ...] with at least two axes", found: shape });
    }
    let values = match tensor.dtype() {
        Dtype::F32 => numbers(tensor.data(), f32::from_le_bytes),
        // Rounds to nearest; what does not fit becomes infinite, which `Dataset::new` rejects.
        #[allow(clippy::cast_possible_truncation)]
        Dtype::F64 => numbers(tensor.data(), |bytes| f64::from_le_bytes(bytes) as f32),
        Dtype::F16 => numbers(tensor.data(), |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => numbers(tensor.data(), |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Dtype::U8 => numbers(tensor.data(), |[byte]| f32::from(byte)),
        other => return Err(DataError::TensorType { path: PathBuf::from(name), found: format!("{other:?}") }),
    };
    let full_scale = if tensor.dtype() == Dtype::U8 { PIXEL_FULL_SCALE } else { 1.0 };
    Ok(Array { name, shape, values, full_scale })
}

fn numbers<const BYTES: usize>(data: &[u8], number: impl Fn([u8; BYTES]) -> f32) -> Vec<f32> {
    data.chunks_exact(BYTES).filter_map(|chunk| chunk.try_into().ok()).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;
    use proptest::prelude::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    fn one(dtype: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        file(&format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{}]}}}}"#, data.len()), data)
    }

    fn read(bytes: &[u8], wanted: Option<&str>) -> Result<Dataset, DataError> {
        parse(bytes, Path::new("a.safetensors"), wanted)?.dataset()
    }

    #[test]
    fn every_type_gives_its_numbers_and_bytes_are_pixels() {
        let values = [0.5_f32, -2.0];
        for (dtype, data) in [
            ("F32", values.map(f32::to_le_bytes).concat()),
            ("F64", values.map(|value| f64::from(value).to_le_bytes()).concat()),
            // 0.5 and -2 by their bits: sign, exponent, mantissa.
            ("F16", vec![0x00, 0x38, 0x00, 0xc0]),
            ("BF16", vec![0x00, 0x3f, 0x00, 0xc0]),
        ] {
            assert_eq!(read(&one(dtype, "[1,2]", &data), None).unwrap().values(), values, "{dtype}");
        }
        assert_eq!(read(&one("U8", "[1,2]", &[51, 255]), Some("x")).unwrap().values(), [0.2, 1.0]);
    }

    #[test]
    fn several_tensors_are_listed_with_types_and_shapes() {
        let header = r#"{"b":{"dtype":"U8","shape":[1,2],"data_offsets":[0,2]},"a":{"dtype":"F16","shape":[1,1],"data_offsets":[2,4]}}"#;
        let bytes = file(header, &[0, 255, 0, 0x38]);
        let error = read(&bytes, None).unwrap_err();
        assert!(
            error.to_string().contains("holds a F16 [1, 1], b U8 [1, 2]; choose one as a.safetensors:NAME"),
            "{error}"
        );
        assert_eq!(read(&bytes, Some("a")).unwrap().values(), [0.5]);
        assert!(matches!(read(&bytes, Some("c")), Err(DataError::NoSuchArray { found, .. }) if found == "c"));
        assert!(matches!(read(&file("{}", &[]), None), Err(DataError::Empty { .. })));
    }

    #[test]
    fn other_types_and_shapes_without_items_are_rejected() {
        assert!(
            matches!(read(&one("I8", "[1,2]", &[0; 2]), None), Err(DataError::TensorType { found, .. }) if found == "I8")
        );
        assert!(matches!(read(&one("U8", "[2]", &[0; 2]), None), Err(DataError::Shape { .. })));
        assert!(matches!(read(&one("U8", "[0,2]", &[]), None), Err(DataError::Empty { .. })));
        let nan = read(&one("F16", "[1,1]", &[0x00, 0x7e]), None).unwrap_err();
        assert!(matches!(nan, DataError::NonFinite { .. }));
        let huge = read(&one("F64", "[1,1]", &1e300_f64.to_le_bytes()), None).unwrap_err();
        assert!(matches!(huge, DataError::NonFinite { .. }));
    }

    #[test]
    fn damaged_files_are_rejected() {
        let whole = one("F32", "[1,2]", &[0; 8]);
        for bytes in [&whole[..0], &whole[..7], &whole[..20], &whole[..whole.len() - 1], b"\x93NUMPY\x01\x00 and so on"]
        {
            assert!(matches!(read(bytes, None), Err(DataError::BadArchive { .. })));
        }
        assert!(matches!(read(&one("F32", "[4,2]", &[0; 8]), None), Err(DataError::BadArchive { .. })));
        assert!(matches!(
            read(&one("F32", "[4294967296,4294967296]", &[0; 8]), None),
            Err(DataError::BadArchive { .. })
        ));
    }

    proptest! {
        #![proptest_config(crate::testing::seeded(256))]

        #[test]
        fn random_bytes_never_panic(tail: Vec<u8>, flip in 0..60_usize, with: u8) {
            let _ = read(&tail, None);
            let mut bytes = one("F32", "[1,2]", &[0; 8]);
            let at = flip % bytes.len();
            bytes[at] = with;
            let _ = read(&bytes, Some("x"));
        }
    }
}
