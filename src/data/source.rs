//! The names that inputs go by on a command line and in a report.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::info;

use super::array::{Array, PIXEL_FULL_SCALE};
use super::synthetic::{self, GAUSSIAN_FORM, MIXTURE_FORM};
use super::{cifar, digits, idx, images, npy, npz, tensors, DataError, Dataset, Layout, Preprocessing, Split};
use crate::seed::Seed;
use crate::spelling::typos;

/// Every form of text that [`DataSource::parse`] understands.
const KNOWN: &[&str] = &[
    "digits",
    "mnist",
    "fashion-mnist",
    "cifar10",
    "PATH.npy",
    "PATH.npz[:NAME]",
    "PATH.safetensors[:NAME]",
    "PATH-idx3-ubyte[.gz]",
    "PATH.idx[.gz]",
    "PATH.bin",
    "FOLDER/",
    "gaussian:E1,E2,...",
    "mixture:K,D,SEPARATION,STD",
];
/// A suggestion differs from the text in at most this many letters.
const MAX_TYPOS: usize = 2;
const IDX_ENDINGS: [&str; 4] = ["-idx3-ubyte", "-idx3-ubyte.gz", ".idx", ".idx.gz"];

/// Where a data set comes from and what is done to its items.
///
/// `Display` gives back the text it was parsed from, without the directory, and with the preprocessing in parentheses if
/// there is any: `mnist (resize pad:32x32, mean 0.1307)`. [`DataSource::parse`] reads both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DataSource {
    /// Where the numbers come from.
    #[serde(flatten)]
    pub origin: Origin,
    /// What is done to them.
    #[serde(default, skip_serializing_if = "Preprocessing::is_default")]
    pub preprocessing: Preprocessing,
}

/// Where the numbers of a data set come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Origin {
    /// The 8 x 8 handwritten digits that are part of the program: 1437 to train on, 360 to test on.
    Digits,
    /// `train-images-idx3-ubyte` and `t10k-images-idx3-ubyte`, each plain or with `.gz`, of MNIST.
    Mnist {
        /// Where the files are.
        directory: PathBuf,
    },
    /// The files of the same names of Fashion-MNIST.
    FashionMnist {
        /// Where the files are.
        directory: PathBuf,
    },
    /// `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, the binary version of CIFAR-10.
    Cifar10 {
        /// Where the files are.
        directory: PathBuf,
    },
    /// One `.npy` array of shape `[n, ...]`; both splits are the whole of it, as for every file and folder below.
    Npy {
        /// The file, relative to the working directory.
        path: PathBuf,
    },
    /// One array of a `.npz` file.
    Npz {
        /// The file, relative to the working directory.
        path: PathBuf,
        /// Which array; none where there is only one.
        array: Option<String>,
    },
    /// One tensor of a `.safetensors` file.
    Safetensors {
        /// The file, relative to the working directory.
        path: PathBuf,
        /// Which tensor; none where there is only one.
        array: Option<String>,
    },
    /// One file of images in the idx format, plain or gzipped.
    Idx {
        /// The file, relative to the working directory.
        path: PathBuf,
    },
    /// One file of records in the binary format of CIFAR-10.
    CifarBatch {
        /// The file, relative to the working directory.
        path: PathBuf,
    },
    /// A folder of PNG and JPEG images.
    Images {
        /// The folder, relative to the working directory.
        directory: PathBuf,
    },
    /// A zero-mean Gaussian with randomly oriented axes ([`gaussian`](super::gaussian)).
    Gaussian {
        /// The eigenvalues of its covariance.
        spectrum: Vec<f64>,
    },
    /// Equally likely round Gaussians with means on a sphere ([`mixture`](super::mixture)).
    Mixture {
        /// Number of Gaussians.
        components: usize,
        /// Values per item.
        dim: usize,
        /// Radius of the sphere, in data units.
        separation: f64,
        /// Standard deviation of every coordinate around its mean, in data units.
        std: f64,
    },
}

impl DataSource {
    /// Items in the training split of a synthetic source.
    pub const SYNTHETIC_TRAIN_ITEMS: usize = 10_000;
    /// Items in the test split of a synthetic source.
    pub const SYNTHETIC_TEST_ITEMS: usize = 1_000;

    /// The digits that are part of the program, as they are.
    #[must_use]
    pub fn digits() -> Self {
        Origin::Digits.into()
    }

    /// Understands `digits`; `mnist`, `fashion-mnist` and `cifar10`, whose files lie in `directory`; files by their
    /// endings (`.npy`, `.npz` and `.safetensors`, both with `:NAME` for one of several arrays, `-idx3-ubyte` and `.idx`,
    /// both also with `.gz`, and `.bin`); `FOLDER/`, with the slash, for a folder of images; `gaussian:E1,E2,...` with the
    /// eigenvalues of the covariance; and `mixture:K,D,SEPARATION,STD`. Any of these may be followed by a space and
    /// preprocessing in parentheses. Reads no file. Sources that need no directory ignore it.
    ///
    /// # Errors
    /// [`DataError::UnknownSource`] for any other text; [`DataError::MissingDirectory`];
    /// [`DataError::BadSpecification`] for a synthetic source that cannot be made.
    pub fn parse(text: &str, directory: Option<&Path>) -> Result<Self, DataError> {
        let suffix = text.strip_suffix(')').and_then(|text| text.rsplit_once(" ("));
        // Text in parentheses that is no preprocessing belongs to a name.
        match suffix.and_then(|(origin, suffix)| Some((origin, suffix.parse().ok()?))) {
            Some((origin, preprocessing)) => Ok(Self { origin: Origin::parse(origin, directory)?, preprocessing }),
            None => Ok(Origin::parse(text, directory)?.into()),
        }
    }

    /// The same source with this preprocessing.
    ///
    /// # Errors
    /// [`DataError::BadOption`] as [`Preprocessing::check`], and where both this and the source name some.
    pub fn with(self, preprocessing: Preprocessing) -> Result<Self, DataError> {
        preprocessing.check()?;
        if preprocessing.is_default() {
            return Ok(self);
        }
        if !self.preprocessing.is_default() {
            return Err(DataError::BadOption {
                option: "--data",
                found: self.to_string(),
                expected: "preprocessing in parentheses or as options, not both",
            });
        }
        Ok(Self { preprocessing, ..self })
    }

    /// Reads or makes one split, named as `Display` says. `seed` matters to synthetic sources only, `split` to those and
    /// to the sources that are named by a word. Synthetic sources have [`Self::SYNTHETIC_TRAIN_ITEMS`] and
    /// [`Self::SYNTHETIC_TEST_ITEMS`] items.
    ///
    /// # Errors
    /// Any [`DataError`] that reading the files, making the samples or preprocessing them gives.
    pub fn load(&self, split: Split, seed: Seed) -> Result<Dataset, DataError> {
        let Preprocessing { layout, resize, .. } = self.preprocessing;
        self.preprocessing.check()?;
        let mut array = self.origin.load(layout, resize, split, seed)?;
        array.name = self.to_string();
        let dataset = match self.origin {
            // Channels and sizes were dealt with image by image.
            Origin::Images { .. } => {
                let layout = layout.filter(|layout| *layout == Layout::Flat);
                Preprocessing { layout, resize: None, ..self.preprocessing.clone() }.apply(array)
            }
            _ => self.preprocessing.apply(array),
        }?;
        info!(name = dataset.name(), %split, items = dataset.len(), shape = ?dataset.item_shape(), "data read");
        Ok(dataset)
    }

    /// The same source with an absolute path, so that it is found from any folder.
    #[must_use]
    pub fn absolute(&self) -> Self {
        self.with_path(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }

    /// The same source with its path taken relative to `folder`; an absolute path stays.
    #[must_use]
    pub fn within(&self, folder: &Path) -> Self {
        self.with_path(|path| folder.join(path))
    }

    /// The same source with its path changed, if it has one.
    fn with_path(&self, change: impl Fn(&Path) -> PathBuf) -> Self {
        let mut source = self.clone();
        match &mut source.origin {
            Origin::Mnist { directory: path }
            | Origin::FashionMnist { directory: path }
            | Origin::Cifar10 { directory: path }
            | Origin::Images { directory: path }
            | Origin::Npy { path }
            | Origin::Npz { path, .. }
            | Origin::Safetensors { path, .. }
            | Origin::Idx { path }
            | Origin::CifarBatch { path } => *path = change(path),
            Origin::Digits | Origin::Gaussian { .. } | Origin::Mixture { .. } => {}
        }
        source
    }
}

impl From<Origin> for DataSource {
    /// Without preprocessing.
    fn from(origin: Origin) -> Self {
        Self { origin, preprocessing: Preprocessing::default() }
    }
}

impl Origin {
    fn parse(text: &str, directory: Option<&Path>) -> Result<Self, DataError> {
        let needed = |name| directory.map(Path::to_owned).ok_or(DataError::MissingDirectory { name });
        match text {
            "digits" => Ok(Self::Digits),
            "mnist" => Ok(Self::Mnist { directory: needed("mnist")? }),
            "fashion-mnist" => Ok(Self::FashionMnist { directory: needed("fashion-mnist")? }),
            "cifar10" => Ok(Self::Cifar10 { directory: needed("cifar10")? }),
            _ => {
                if let Some(origin) = Self::by_ending(text) {
                    return Ok(origin);
                }
                match text.split_once(':') {
                    Some(("gaussian", numbers)) => parse_gaussian(text, numbers),
                    Some(("mixture", numbers)) => parse_mixture(text, numbers),
                    _ => Err(DataError::UnknownSource {
                        found: text.to_owned(),
                        known: KNOWN,
                        suggestion: nearest(text),
                    }),
                }
            }
        }
    }

    /// The file or folder that the text names, if its form is that of one.
    fn by_ending(text: &str) -> Option<Self> {
        let path = PathBuf::from(text);
        if text.ends_with('/') || text.ends_with(std::path::MAIN_SEPARATOR) {
            return Some(Self::Images { directory: path });
        }
        if text.ends_with(".npy") {
            return Some(Self::Npy { path });
        }
        if IDX_ENDINGS.iter().any(|ending| text.ends_with(ending)) {
            return Some(Self::Idx { path });
        }
        if let Some((path, array)) = file_and_array(text, ".npz") {
            return Some(Self::Npz { path, array });
        }
        if let Some((path, array)) = file_and_array(text, ".safetensors") {
            return Some(Self::Safetensors { path, array });
        }
        text.ends_with(".bin").then_some(Self::CifarBatch { path })
    }

    /// The numbers before preprocessing; of it, only folders of images need to know.
    fn load(
        &self,
        layout: Option<Layout>,
        resize: Option<super::Resize>,
        split: Split,
        seed: Seed,
    ) -> Result<Array, DataError> {
        let count = match split {
            Split::Train => DataSource::SYNTHETIC_TRAIN_ITEMS,
            Split::Test => DataSource::SYNTHETIC_TEST_ITEMS,
        };
        match self {
            Self::Digits => digits::load(split),
            Self::Mnist { directory } | Self::FashionMnist { directory } => {
                idx::load(directory, idx::file_name(split), PIXEL_FULL_SCALE)
            }
            Self::Cifar10 { directory } => cifar::load(directory, split),
            Self::Npy { path } => npy::load(path),
            Self::Npz { path, array } => npz::load(path, array.as_deref()),
            Self::Safetensors { path, array } => tensors::load(path, array.as_deref()),
            Self::Idx { path } => idx::load_file(path, PIXEL_FULL_SCALE),
            Self::CifarBatch { path } => cifar::load_file(path),
            Self::Images { directory } => images::load(directory, layout, resize),
            Self::Gaussian { spectrum } => synthetic::gaussian(spectrum, count, seed, split).map(Array::from),
            Self::Mixture { components, dim, separation, std } => {
                synthetic::mixture(*components, *dim, *separation, *std, count, seed, split).map(Array::from)
            }
        }
    }
}

/// `a.npz` or `a.npz:NAME`.
fn file_and_array(text: &str, ending: &str) -> Option<(PathBuf, Option<String>)> {
    if text.ends_with(ending) {
        return Some((text.into(), None));
    }
    let (stem, array) = text.split_once(&format!("{ending}:"))?;
    Some((format!("{stem}{ending}").into(), Some(array.to_owned())))
}

impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.preprocessing.is_default() {
            self.origin.fmt(f)
        } else {
            write!(f, "{} ({})", self.origin, self.preprocessing)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digits => f.write_str("digits"),
            Self::Mnist { .. } => f.write_str("mnist"),
            Self::FashionMnist { .. } => f.write_str("fashion-mnist"),
            Self::Cifar10 { .. } => f.write_str("cifar10"),
            Self::Npy { path } | Self::Idx { path } | Self::CifarBatch { path } => path.display().fmt(f),
            Self::Npz { path, array } | Self::Safetensors { path, array } => match array {
                Some(array) => write!(f, "{}:{array}", path.display()),
                None => path.display().fmt(f),
            },
            // A path loses its last slash on the way to an absolute one.
            Self::Images { directory } => match directory.display().to_string() {
                text if text.ends_with(['/', std::path::MAIN_SEPARATOR]) => f.write_str(&text),
                text => write!(f, "{text}/"),
            },
            Self::Gaussian { spectrum } => f.write_str(&synthetic::gaussian_text(spectrum)),
            Self::Mixture { components, dim, separation, std } => {
                f.write_str(&synthetic::mixture_text(*components, *dim, *separation, *std))
            }
        }
    }
}

fn parse_gaussian(text: &str, numbers: &str) -> Result<Origin, DataError> {
    let spectrum =
        numbers.split(',').map(|number| parse_number(text, number, GAUSSIAN_FORM)).collect::<Result<Vec<f64>, _>>()?;
    synthetic::check_spectrum(&spectrum)?;
    Ok(Origin::Gaussian { spectrum })
}

fn parse_mixture(text: &str, numbers: &str) -> Result<Origin, DataError> {
    let numbers: Vec<&str> = numbers.split(',').collect();
    let &[components, dim, separation, std] = numbers.as_slice() else {
        let reason = format!("it has {} numbers", numbers.len());
        return Err(DataError::BadSpecification { text: text.to_owned(), reason, expected: MIXTURE_FORM });
    };
    let components = parse_number(text, components, MIXTURE_FORM)?;
    let dim = parse_number(text, dim, MIXTURE_FORM)?;
    let separation = parse_number(text, separation, MIXTURE_FORM)?;
    let std = parse_number(text, std, MIXTURE_FORM)?;
    synthetic::check_mixture(components, dim, separation, std)?;
    Ok(Origin::Mixture { components, dim, separation, std })
}

fn parse_number<T: std::str::FromStr>(text: &str, number: &str, expected: &'static str) -> Result<T, DataError> {
    number.trim().parse().map_err(|_| DataError::BadSpecification {
        text: text.to_owned(),
        reason: format!("{number:?} is not a number of the kind expected there"),
        expected,
    })
}

/// The known form whose name is nearest in spelling, if it is near; what follows a colon does not count.
fn nearest(text: &str) -> Option<&'static str> {
    let name = |form: &str| form.split(':').next().unwrap_or_default().to_lowercase();
    let wanted = name(text);
    KNOWN
        .iter()
        .map(|&known| (typos(&wanted, &name(known)), known))
        .filter(|&(typos, _)| typos <= MAX_TYPOS)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests;
