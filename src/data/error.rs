//! What can go wrong while a data set is read or made.

use std::io;
use std::path::PathBuf;

/// Why there is no data set. Every variant says where, what was expected, what was found and what to do; the
/// values are kept in its fields.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The operating system or the gzip decoder refused to read a file.
    #[error("cannot read {}: {source}; check that it is an intact, readable file", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason given.
        source: io::Error,
    },
    /// Neither the plain nor the gzipped form of a file is there.
    #[error(
        "found neither {} nor {}; \
         download the data set there or name another directory",
        path.display(), compressed.display()
    )]
    MissingFile {
        /// The plain file looked for first.
        path: PathBuf,
        /// The gzipped file looked for second.
        compressed: PathBuf,
    },
    /// The first bytes are not those of the format.
    #[error(
        "{} starts with the bytes {found:02x?} where {expected:02x?} was expected; \
         is it the right file?",
        path.display()
    )]
    WrongMagic {
        /// The file.
        path: PathBuf,
        /// The bytes every file of this format starts with.
        expected: &'static [u8],
        /// The bytes found, as many as expected or as there were.
        found: Vec<u8>,
    },
    /// The file ends before the data it announces.
    #[error("{} ends after {found} bytes where {expected} were expected; download or write it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that the header, or the record length, calls for (decompressed).
        expected: u64,
        /// Bytes found (decompressed).
        found: u64,
    },
    /// The file goes on after the data it announces.
    #[error(
        "{} goes on to at least {found} bytes where {expected} were expected; \
         is its header intact?",
        path.display()
    )]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// Bytes that the header calls for (decompressed).
        expected: u64,
        /// Bytes seen before reading stopped; the file may be longer.
        found: u64,
    },
    /// The header of a `.npy` file does not describe an array.
    #[error("the header of {} is not usable: {reason}; write the file again", path.display())]
    BadHeader {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The elements of a `.npy` file have a type that is not read.
    #[error(
        "{} holds elements of type {found} where f4, f8 or u1 was expected; \
         convert with astype('f4')",
        path.display()
    )]
    WrongType {
        /// The file.
        path: PathBuf,
        /// The type as the file gives it.
        found: String,
    },
    /// The elements of a `.safetensors` tensor have a type that is not read.
    #[error(
        "{} holds elements of type {found} where F32, F64, F16, BF16 or U8 was expected; convert the tensor",
        path.display()
    )]
    TensorType {
        /// The file and the tensor.
        path: PathBuf,
        /// The type as the file gives it.
        found: String,
    },
    /// A file of several arrays from which none was chosen.
    #[error(
        "{} holds {}; choose one as {}:NAME",
        path.display(), listing(arrays), path.display()
    )]
    SeveralArrays {
        /// The file.
        path: PathBuf,
        /// Name, type and shape of each array.
        arrays: Vec<String>,
    },
    /// A file does not hold the array asked for.
    #[error("{} holds no array {found:?}; it holds {}", path.display(), listing(arrays))]
    NoSuchArray {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        found: String,
        /// Name, type and shape of each array.
        arrays: Vec<String>,
    },
    /// A zip or safetensors file, or an entry of one, that is damaged or not supported.
    #[error("{} is not usable: {reason}; write or download it again", path.display())]
    BadArchive {
        /// The file, and the entry where it is known.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A PNG or JPEG file that cannot be read.
    #[error("{}: {reason}; expected a PNG or JPEG image", path.display())]
    BadImage {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Two images of a folder differ in size.
    #[error(
        "{} has {}x{} pixels where {expected_in} has {}x{}; bring all to one size with --resize HxW",
        path.display(), found.0, found.1, expected.0, expected.1, expected_in = first.display()
    )]
    ImageSize {
        /// The file.
        path: PathBuf,
        /// Its rows and columns.
        found: (usize, usize),
        /// The first file of the folder.
        first: PathBuf,
        /// Its rows and columns.
        expected: (usize, usize),
    },
    /// Some images of a folder are grey and some are in colour.
    #[error(
        "{} is grey and {} is in colour; read all as colour with --layout nchw",
        grey.display(), colour.display()
    )]
    MixedChannels {
        /// A grey file.
        grey: PathBuf,
        /// A file in colour.
        colour: PathBuf,
    },
    /// A folder without images.
    #[error(
        "{} holds no .png, .jpg or .jpeg file, and neither do its folders; name the folder of the images",
        path.display()
    )]
    NoImages {
        /// The folder.
        path: PathBuf,
    },
    /// A value of a preprocessing option that means nothing.
    #[error("{option}: found {found}, expected {expected}")]
    BadOption {
        /// The option.
        option: &'static str,
        /// The value.
        found: String,
        /// The values that are understood.
        expected: &'static str,
    },
    /// A preprocessing option that does not fit the data.
    #[error("{option} does not fit {name}: {reason}")]
    Unsuitable {
        /// The data set.
        name: String,
        /// The option.
        option: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A CIFAR-10 record has a label that is not a class.
    #[error(
        "record {item} of {} has label {found} where 0 to 9 was expected; \
         is it the binary version of CIFAR-10?",
        path.display()
    )]
    BadLabel {
        /// The file.
        path: PathBuf,
        /// Position of the record in the file, from 0.
        item: usize,
        /// The label found.
        found: u8,
    },
    /// A shape that no data set can have.
    #[error("{name} has shape {found:?} where {expected} was expected; reshape the data")]
    Shape {
        /// The data set or file.
        name: String,
        /// The shapes accepted.
        expected: &'static str,
        /// The shape found.
        found: Vec<usize>,
    },
    /// The number of values is not a whole number of items.
    #[error("{name} has {found} values, not a multiple of the {dim} in an item; pass whole items")]
    Length {
        /// The data set.
        name: String,
        /// Values in one item.
        dim: usize,
        /// Values found.
        found: usize,
    },
    /// A value that is infinite, not a number, or too large for single precision.
    #[error(
        "item {item} of {name} has {value} at coordinate {coordinate} where a finite f32 was expected; clean the data"
    )]
    NonFinite {
        /// The data set.
        name: String,
        /// Position of the item, from 0.
        item: usize,
        /// Position in the flattened item, from 0.
        coordinate: usize,
        /// The value found, after conversion to `f32`.
        value: f32,
    },
    /// No items.
    #[error("{name} has no items where at least one was expected; choose another source or a wider range")]
    Empty {
        /// The data set.
        name: String,
    },
    /// A range of items that does not lie inside the data set.
    #[error("items {start}..{end} were asked of {name}, which has {len}; choose a range within 0..{len}")]
    OutOfRange {
        /// The data set.
        name: String,
        /// First item asked for.
        start: usize,
        /// One past the last item asked for.
        end: usize,
        /// Items there are.
        len: usize,
    },
    /// A source text that means nothing.
    #[error("unknown data source {found:?}; {}known sources: {}", did_you_mean(*suggestion), known.join(", "))]
    UnknownSource {
        /// The text given.
        found: String,
        /// Every form of text that is understood.
        known: &'static [&'static str],
        /// The known form nearest in spelling, where one is near.
        suggestion: Option<&'static str>,
    },
    /// A source made of files was named without saying where they are.
    #[error("the data source {name} reads files and no directory was given; name theirs with --data-dir")]
    MissingDirectory {
        /// The source.
        name: &'static str,
    },
    /// A synthetic data set that cannot be made.
    #[error("cannot make {text:?}: {reason}; expected {expected}")]
    BadSpecification {
        /// The specification.
        text: String,
        /// What is wrong with it.
        reason: String,
        /// The form that is understood.
        expected: &'static str,
    },
}

/// Most arrays named in a message.
const MAX_LISTED: usize = 20;

fn listing(arrays: &[String]) -> String {
    let shown = arrays.iter().take(MAX_LISTED).cloned().collect::<Vec<_>>().join(", ");
    match arrays.len() {
        0 => "no array".to_owned(),
        1..=MAX_LISTED => shown,
        more => format!("{shown} and {} more", more - MAX_LISTED),
    }
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |known| format!("did you mean {known}? "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_where_what_was_expected_what_was_found_and_what_to_do() {
        let truncated = DataError::Truncated { path: "a/b".into(), expected: 20, found: 17 };
        assert_eq!(truncated.to_string(), "a/b ends after 17 bytes where 20 were expected; download or write it again");
        let magic = DataError::WrongMagic { path: "a/b".into(), expected: &[0, 0, 8, 3], found: vec![0x50, 0x4b] };
        assert!(magic.to_string().contains("[50, 4b] where [00, 00, 08, 03]"), "{magic}");
    }

    #[test]
    fn a_suggestion_is_printed_only_where_there_is_one() {
        let unknown =
            |suggestion| DataError::UnknownSource { found: "mnits".into(), known: &["digits", "mnist"], suggestion };
        assert_eq!(
            unknown(Some("mnist")).to_string(),
            "unknown data source \"mnits\"; did you mean mnist? known sources: digits, mnist"
        );
        assert_eq!(unknown(None).to_string(), "unknown data source \"mnits\"; known sources: digits, mnist");
    }
}
