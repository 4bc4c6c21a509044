//! The images and labels in a parquet file of the hub.
//!
//! Each row has a group with the bytes of a PNG file and an integer label.

use std::fs::File;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use super::catalogue::Container;
use super::FetchError;
use crate::data::images;

/// Most rows of a file.
const MAX_ROWS: i64 = 1 << 20;

/// The bytes that the loaders read: an idx file, or records of CIFAR-10.
pub(super) fn convert(path: &Path, container: Container) -> Result<Vec<u8>, FetchError> {
    // The parser may panic on files that are damaged on purpose.
    let outcome = catch_unwind(AssertUnwindSafe(|| rows(path, container)));
    let outcome = outcome.unwrap_or_else(|_| Err("it is damaged".to_owned()));
    outcome.map_err(|reason| FetchError::BadRows { path: path.to_owned(), reason })
}

fn rows(path: &Path, container: Container) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let reader = SerializedFileReader::new(file).map_err(|error| error.to_string())?;
    let count = reader.metadata().file_metadata().num_rows();
    if !(1..=MAX_ROWS).contains(&count) {
        return Err(format!("it announces {count} rows, expected 1 to {MAX_ROWS}"));
    }
    let mut bytes = match container {
        Container::Idx => [&[0, 0, 8, 3][..], &u32::try_from(count).unwrap_or_default().to_be_bytes()].concat(),
        Container::Cifar => Vec::new(),
    };
    let mut found = 0_i64;
    let mut size = None;
    for (index, row) in reader.get_row_iter(None).map_err(|error| error.to_string())?.enumerate() {
        let row = row.map_err(|error| format!("row {index}: {error}"))?;
        let picture = picture(&row, container).map_err(|reason| format!("row {index}: {reason}"))?;
        let first = *size.get_or_insert(picture.size);
        if picture.size != first {
            return Err(format!("row {index} has {:?} pixels, the first one {first:?}", picture.size));
        }
        if container == Container::Idx && index == 0 {
            bytes.extend([first.0, first.1].iter().flat_map(|side| side.to_be_bytes()));
        }
        bytes.extend(picture.bytes);
        found += 1;
    }
    if found != count {
        return Err(format!("it has {found} rows and announces {count}"));
    }
    Ok(bytes)
}

/// One image as the loaders read it.
struct Picture {
    /// Rows and columns.
    size: (u32, u32),
    bytes: Vec<u8>,
}

fn picture(row: &Row, container: Container) -> Result<Picture, String> {
    let (mut image, mut label) = (None, None);
    for (_, field) in row.get_column_iter() {
        match field {
            Field::Group(group) => {
                image = group.get_column_iter().find_map(|(_, field)| match field {
                    Field::Bytes(bytes) => Some(bytes.data().to_vec()),
                    _ => None,
                });
            }
            Field::Long(number) => label = u8::try_from(*number).ok(),
            Field::Int(number) => label = u8::try_from(*number).ok(),
            _ => {}
        }
    }
    let image = image.ok_or("it holds no image")?;
    let (channels, rows, columns, values) = images::decode_bytes(&image)?;
    let mut bytes = Vec::with_capacity(values.len() + 1);
    match (container, channels, rows, columns) {
        (Container::Idx, 1, ..) => {}
        (Container::Cifar, 3, 32, 32) => {
            bytes.push(label.filter(|label| *label < 10).ok_or("its label is not 0 to 9")?)
        }
        _ => return Err(format!("its image has {channels} channels and {rows}x{columns} pixels")),
    }
    for value in values {
        if value.fract() != 0.0 {
            return Err("its image has more than 8 bits".to_owned());
        }
        // Whole and 0 to 255.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        bytes.push(value as u8);
    }
    let side = |side: usize| u32::try_from(side).map_err(|error| error.to_string());
    Ok(Picture { size: (side(rows)?, side(columns)?), bytes })
}
