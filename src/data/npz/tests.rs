//! Archives written by the `zip` crate and damaged by hand.

use std::io::{Cursor, Write};

use super::*;
use crate::data::Dataset;
use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn npy(description: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{description}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

fn archive(entries: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn read(bytes: &[u8], wanted: Option<&str>) -> Result<Dataset, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    std::fs::write(&path, bytes).unwrap();
    load(&path, wanted)?.dataset()
}

fn two() -> [(&'static str, Vec<u8>); 3] {
    let floats = [0.5_f32, -2.0].map(f32::to_le_bytes).concat();
    [
        ("x_test.npy", npy("|u1", "(2, 2)", &[0, 51, 102, 255])),
        ("notes.txt", b"not an array".to_vec()),
        ("y.npy", npy("<f4", "(1, 2)", &floats)),
    ]
}

#[test]
fn stored_and_deflated_arrays_are_read_by_name() {
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let bytes = archive(&two(), method);
        assert_eq!(read(&bytes, Some("x_test")).unwrap().values(), [0.0, 0.2, 0.4, 1.0]);
        assert_eq!(read(&bytes, Some("y")).unwrap().values(), [0.5, -2.0]);
    }
}

#[test]
fn the_only_array_needs_no_name() {
    let bytes = archive(&two()[1..], CompressionMethod::Deflated);
    assert_eq!(read(&bytes, None).unwrap().values(), [0.5, -2.0]);
}

#[test]
fn several_arrays_are_listed_with_types_and_shapes() {
    let bytes = archive(&two(), CompressionMethod::Deflated);
    let error = read(&bytes, None).unwrap_err();
    assert!(matches!(&error, DataError::SeveralArrays { arrays, .. } if arrays.len() == 2));
    assert!(error.to_string().contains("holds x_test u1 [2, 2], y f4 [1, 2]; choose one as "), "{error}");
    let labels = ("labels.npy", npy("<i8", "(1,)", &[0; 8]));
    let bytes_with_labels = archive(&[two()[0].clone(), labels], CompressionMethod::Stored);
    let error = read(&bytes_with_labels, None).unwrap_err();
    assert!(error.to_string().contains("labels (of type <i8, which is not read)"), "{error}");
    let error = read(&bytes, Some("z")).unwrap_err();
    assert!(matches!(&error, DataError::NoSuchArray { found, arrays, .. } if found == "z" && arrays.len() == 2));
    let none = read(&archive(&two()[1..2], CompressionMethod::Stored), None).unwrap_err();
    assert!(none.to_string().contains("it holds no array"), "{none}");
}

#[test]
fn a_name_that_looks_like_a_path_is_only_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let bytes = archive(&[("../x.npy", npy("|u1", "(1, 1)", &[255]))], CompressionMethod::Stored);
    std::fs::write(inner.join("a.npz"), bytes).unwrap();
    let data = load(&inner.join("a.npz"), Some("../x")).unwrap().dataset().unwrap();
    assert_eq!(data.values(), [1.0]);
    assert!(!folder.path().join("x.npy").exists());
}

#[test]
fn a_truncated_archive_is_rejected() {
    let bytes = archive(&two(), CompressionMethod::Deflated);
    for kept in [0, 4, 30, bytes.len() / 2, bytes.len() - 1] {
        assert!(matches!(read(&bytes[..kept], Some("y")), Err(DataError::BadArchive { .. })), "{kept}");
    }
    assert!(matches!(read(b"\x93NUMPY not a zip archive", None), Err(DataError::BadArchive { .. })));
}

#[test]
fn an_array_with_less_or_more_data_than_its_header_says_is_rejected() {
    for (data, longer) in [(3, false), (5, true)] {
        let bytes = archive(&[("x.npy", npy("|u1", "(2, 2)", &vec![0; data]))], CompressionMethod::Deflated);
        match read(&bytes, None).unwrap_err() {
            DataError::Truncated { .. } => assert!(!longer),
            DataError::TrailingBytes { .. } => assert!(longer),
            other => panic!("{other}"),
        }
    }
}

/// The bytes of the central directory's entry from its signature on.
fn directory(bytes: &[u8]) -> usize {
    bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap()
}

#[test]
fn an_archive_that_announces_more_than_its_bytes_can_hold_is_rejected_before_decompression() {
    // Header and archive agree on 2^30 bytes; a handful are there.
    let array = npy("|u1", "(32768, 32768)", &[]);
    let announced = u32::try_from(array.len() + (1 << 30)).unwrap();
    let mut bytes = archive(&[("x.npy", array)], CompressionMethod::Deflated);
    let at = directory(&bytes);
    bytes[at + 24..at + 28].copy_from_slice(&announced.to_le_bytes());
    let error = read(&bytes, None).unwrap_err();
    assert!(matches!(&error, DataError::BadArchive { reason, .. } if reason.contains("hold at most")), "{error}");
    // The archive alone exaggerates.
    let mut bytes = archive(&[("x.npy", npy("|u1", "(1, 1)", &[1]))], CompressionMethod::Deflated);
    let at = directory(&bytes);
    bytes[at + 24..at + 28].copy_from_slice(&u32::MAX.wrapping_sub(1).to_le_bytes());
    let error = read(&bytes, None).unwrap_err();
    assert!(matches!(error, DataError::TrailingBytes { .. }), "{error}");
}

#[test]
fn a_flipped_bit_in_the_data_is_caught_by_the_checksum() {
    let mut bytes = archive(&[("x.npy", npy("|u1", "(1, 4)", b"data"))], CompressionMethod::Stored);
    let at = bytes.windows(4).position(|window| window == b"data").unwrap();
    bytes[at] ^= 1;
    assert!(matches!(read(&bytes, None), Err(DataError::Io { .. })));
}

#[test]
fn an_encrypted_entry_is_rejected() {
    let mut bytes = archive(&[("x.npy", npy("|u1", "(1, 1)", &[1]))], CompressionMethod::Stored);
    let at = directory(&bytes);
    bytes[at + 8] |= 1;
    bytes[6] |= 1;
    assert!(matches!(read(&bytes, None), Err(DataError::BadArchive { .. })));
}

#[test]
fn a_value_that_is_not_a_number_is_rejected() {
    let bytes = archive(&[("x.npy", npy("<f4", "(1, 1)", &f32::NAN.to_le_bytes()))], CompressionMethod::Stored);
    assert!(matches!(read(&bytes, None), Err(DataError::NonFinite { .. })));
}

proptest! {
    #![proptest_config(crate::testing::seeded(128))]

    #[test]
    fn damaged_archives_never_panic(flips in proptest::collection::vec((0..400_usize, any::<u8>()), 1..4)) {
        let mut bytes = archive(&two(), CompressionMethod::Deflated);
        for (at, with) in flips {
            let at = at % bytes.len();
            bytes[at] = with;
        }
        let _ = read(&bytes, None);
        let _ = read(&bytes, Some("y"));
    }
}
