//! Files written by hand, byte by byte as numpy writes them, against the reader.

use super::*;
use crate::data::{Dataset, Preprocessing};
use proptest::prelude::*;

/// Numbers as they are in the file, bytes too.
fn read(bytes: &[u8]) -> Result<Dataset, DataError> {
    let unscaled = Preprocessing { scale: Some(1.0), ..Preprocessing::default() };
    unscaled.apply(parse(bytes, Path::new("a.npy"))?)
}

/// A version 1.0 file with this header text, padded as numpy does.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let padding = 63 - (10 + header.len()) % 64;
    let text = format!("{header}{}\n", " ".repeat(padding));
    let length = u16::try_from(text.len()).unwrap().to_le_bytes();
    [MAGIC, &[1, 0], &length, text.as_bytes(), data].concat()
}

fn array(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    file(&format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}"), data)
}

fn little(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn a_small_array_of_each_type_and_byte_order_is_read() {
    let expected = [[1.0, 2.0, 3.0], [4.0, 5.0, 250.0]];
    let values: Vec<f32> = expected.concat();
    let big4: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
    let little8: Vec<u8> = values.iter().flat_map(|&value| f64::from(value).to_le_bytes()).collect();
    let big8: Vec<u8> = values.iter().flat_map(|&value| f64::from(value).to_be_bytes()).collect();
    let bytes = [1, 2, 3, 4, 5, 250];
    for (descr, data) in
        [("<f4", &little(&values)[..]), (">f4", &big4), ("<f8", &little8), (">f8", &big8), ("|u1", &bytes)]
    {
        let data = read(&array(descr, false, "(2, 3)", data)).unwrap();
        assert_eq!((data.item_shape(), data.values()), (&[3][..], &values[..]), "{descr}");
    }
}

#[test]
fn bytes_are_pixels_and_other_numbers_are_not() {
    let dataset = |bytes: &[u8]| parse(bytes, Path::new("a.npy")).unwrap().dataset().unwrap();
    assert_eq!(dataset(&array("|u1", false, "(1, 2)", &[51, 255])).values(), [0.2, 1.0]);
    assert_eq!(dataset(&array("<f4", false, "(1, 2)", &little(&[51.0, 255.0]))).values(), [51.0, 255.0]);
}

#[test]
fn fortran_order_is_undone() {
    // [[1, 2, 3], [4, 5, 6]] column by column.
    let data = read(&array("|u1", true, "(2, 3)", &[1, 4, 2, 5, 3, 6])).unwrap();
    assert_eq!(data.values(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}

#[test]
fn versions_two_and_three_are_read() {
    let one = array("|u1", false, "(1, 2)", &[7, 8]);
    for version in [2, 3] {
        let bytes = [MAGIC, &[version, 0], &one[8..10], &[0, 0], &one[10..]].concat();
        assert_eq!(read(&bytes).unwrap().values(), [7.0, 8.0]);
    }
}

#[test]
fn a_file_that_is_not_npy_is_rejected_by_its_magic() {
    let error = read(b"PK\x03\x04 an npz archive").unwrap_err();
    assert!(matches!(error, DataError::WrongMagic { found, .. } if found == b"PK\x03\x04 a"));
}

#[test]
fn a_truncated_npy_file_is_rejected() {
    let whole = array("<f4", false, "(2, 3)", &little(&[0.0; 6]));
    assert_eq!(whole.len(), 152);
    for (kept, needed) in [(6, 12), (7, 12), (9, 12), (100, 128), (128, 152), (151, 152)] {
        let error = read(&whole[..kept]).unwrap_err();
        let DataError::Truncated { expected, found, .. } = error else { panic!("{error}") };
        assert_eq!((expected, found), (needed, kept as u64));
    }
}

#[test]
fn trailing_bytes_are_rejected() {
    let error = read(&array("|u1", false, "(2, 3)", &[0; 7])).unwrap_err();
    assert!(matches!(error, DataError::TrailingBytes { expected: 134, found: 135, .. }));
}

#[test]
fn an_array_larger_than_any_file_is_rejected_without_allocating() {
    let error = read(&array("<f4", false, "(4294967296, 536870911)", &[])).unwrap_err();
    assert!(matches!(error, DataError::Truncated { found: 128, .. }), "{error}");
    for shape in ["(4294967296, 4294967296)", "(0, 4294967296, 4294967296)", "(99999999999999999999999, 2)"] {
        assert!(matches!(read(&array("<f4", false, shape, &[])), Err(DataError::BadHeader { .. })), "{shape}");
    }
}

#[test]
fn a_header_longer_than_any_needed_is_rejected() {
    let bytes = [MAGIC, &[2, 0], &u32::MAX.to_le_bytes(), b"{}"].concat();
    assert!(matches!(read(&bytes), Err(DataError::BadHeader { .. })));
}

#[test]
fn malformed_headers_are_rejected() {
    for header in [
        "",
        "(2, 3)",
        "{'descr': '<f4', 'shape': (2, 3), }",
        "{'descr': '<f4', 'fortran_order': 1, 'shape': (2, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 6, }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0x2, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [2, 3], }",
        "{'descr': '<\\x664', 'fortran_order': False, 'shape': (2, 3), }",
        "{'descr': '<q4', 'fortran_order': False, 'shape': (2, 3), }",
    ] {
        let error = read(&file(header, &[0; 24])).unwrap_err();
        assert!(matches!(error, DataError::BadHeader { .. }), "{header}: {error}");
    }
    let mut unknown_version = array("|u1", false, "(1, 2)", &[7, 8]);
    unknown_version[6] = 4;
    assert!(matches!(read(&unknown_version), Err(DataError::BadHeader { .. })));
}

#[test]
fn deeply_nested_headers_are_rejected_at_once() {
    for bracket in ["[", "(", "{"] {
        let error = read(&file(&bracket.repeat(9_000), &[])).unwrap_err();
        assert!(matches!(error, DataError::WrongType { .. }));
    }
}

#[test]
fn other_element_types_are_rejected() {
    for descr in ["<f2", "<i4", "<c8", "|b1", "|i1", "|O", "<U3", "|S4"] {
        let error = read(&array(descr, false, "(2, 3)", &[0; 48])).unwrap_err();
        assert!(matches!(error, DataError::WrongType { found, .. } if found == descr));
    }
    let structured = "{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2, 3), }";
    assert!(matches!(read(&file(structured, &[0; 24])), Err(DataError::WrongType { .. })));
}

#[test]
fn arrays_without_an_item_axis_are_rejected() {
    let scalar = read(&array("<f4", false, "()", &[0; 4])).unwrap_err();
    assert!(matches!(scalar, DataError::Shape { found, .. } if found.is_empty()));
    let vector = read(&array("<f4", false, "(6,)", &[0; 24])).unwrap_err();
    assert!(matches!(vector, DataError::Shape { found, .. } if found == [6]));
    let no_values = read(&array("<f4", false, "(6, 0)", &[])).unwrap_err();
    assert!(matches!(no_values, DataError::Shape { found, .. } if found == [0]));
    assert!(matches!(read(&array("<f4", false, "(0, 6)", &[])), Err(DataError::Empty { .. })));
}

#[test]
fn a_double_beyond_single_precision_is_rejected() {
    let data = [1.0_f64, 1e300].map(f64::to_le_bytes).concat();
    let error = read(&array("<f8", false, "(1, 2)", &data)).unwrap_err();
    assert!(matches!(error, DataError::NonFinite { item: 0, coordinate: 1, value, .. } if value.is_infinite()));
}

/// A shape of two to four axes and as many values as it holds.
fn arrays() -> impl Strategy<Value = (Vec<usize>, Vec<f32>)> {
    proptest::collection::vec(1..5_usize, 2..5).prop_flat_map(|shape| {
        let count = shape.iter().product::<usize>();
        (Just(shape), proptest::collection::vec(-1e30..1e30_f32, count))
    })
}

proptest! {
    #![proptest_config(crate::testing::seeded(256))]

    #[test]
    fn written_arrays_read_back_in_either_order_and_precision((shape, values) in arrays()) {
        let text = format!("({})", shape.iter().map(|axis| format!("{axis},")).collect::<String>());
        // Element [i, j, ...] of the Fortran file, by the definition of that order: i + n0 (j + n1 (...)).
        let mut fortran = vec![0.0; values.len()];
        for (place, &value) in values.iter().enumerate() {
            let (mut rest, mut index) = (place, vec![]);
            for &axis in shape.iter().rev() {
                index.insert(0, rest % axis);
                rest /= axis;
            }
            let target = index.iter().zip(&shape).rev().fold(0, |target, (&i, &axis)| i + axis * target);
            fortran[target] = value;
        }
        for (stored, is_fortran) in [(&values, false), (&fortran, true)] {
            let double: Vec<u8> = stored.iter().flat_map(|&value| f64::from(value).to_le_bytes()).collect();
            for bytes in [array("<f4", is_fortran, &text, &little(stored)), array("<f8", is_fortran, &text, &double)] {
                let data = read(&bytes).unwrap();
                prop_assert_eq!(data.item_shape(), &shape[1..]);
                prop_assert_eq!(data.values(), &values[..]);
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(tail: Vec<u8>, version in 0..5_u8, flip in 0..152_usize, with: u8) {
        let _ = read(&tail);
        let _ = read(&[MAGIC, &[version, 0], &tail].concat());
        let mut bytes = array("<f4", false, "(2, 3)", &little(&[0.0; 6]));
        bytes[flip] = with;
        let _ = read(&bytes);
    }

    #[test]
    fn random_headers_never_panic(
        descr in "[<>|=]?[a-zA-Z][0-9]{0,20}",
        shape in "[(\\[{]?[-+0-9, xL_.()]{0,30}[)\\]}]?",
        rest in "['\"{}(:, a-zA-Z0-9]{0,20}",
    ) {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, {rest}}}");
        let _ = read(&file(&header, &[0; 8]));
    }
}
