//! The names that inputs go by on a command line and in a report.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::synthetic::{self, GAUSSIAN_FORM, MIXTURE_FORM};
use super::{cifar, digits, idx, npy, DataError, Dataset, Split};
use crate::seed::Seed;

/// Every form of text that [`DataSource::parse`] understands.
const KNOWN: &[&str] =
    &["digits", "mnist", "fashion-mnist", "cifar10", "PATH.npy", "gaussian:E1,E2,...", "mixture:K,D,SEPARATION,STD"];
/// A suggestion differs from the text in at most this many letters.
const MAX_TYPOS: usize = 2;
const PIXEL_FULL_SCALE: f32 = 255.0;

/// Where a data set comes from. `Display` gives back the text it was parsed from, without the directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum DataSource {
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
    /// One `.npy` array of shape `[n, ...]`; both splits are the whole of it.
    Npy {
        /// The file, relative to the working directory.
        path: PathBuf,
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

    /// Understands `digits`; `mnist`, `fashion-mnist` and `cifar10`, whose files lie in `directory`; `PATH.npy`;
    /// `gaussian:E1,E2,...` with the eigenvalues of the covariance; and `mixture:K,D,SEPARATION,STD`. Reads no
    /// file. Sources that need no directory ignore it.
    ///
    /// # Errors
    /// [`DataError::UnknownSource`] for any other text; [`DataError::MissingDirectory`];
    /// [`DataError::BadSpecification`] for a synthetic source that cannot be made.
    pub fn parse(text: &str, directory: Option<&Path>) -> Result<Self, DataError> {
        let needed = |name| directory.map(Path::to_owned).ok_or(DataError::MissingDirectory { name });
        match text {
            "digits" => Ok(Self::Digits),
            "mnist" => Ok(Self::Mnist { directory: needed("mnist")? }),
            "fashion-mnist" => Ok(Self::FashionMnist { directory: needed("fashion-mnist")? }),
            "cifar10" => Ok(Self::Cifar10 { directory: needed("cifar10")? }),
            _ if text.ends_with(".npy") => Ok(Self::Npy { path: text.into() }),
            _ => match text.split_once(':') {
                Some(("gaussian", numbers)) => parse_gaussian(text, numbers),
                Some(("mixture", numbers)) => parse_mixture(text, numbers),
                _ => Err(DataError::UnknownSource { found: text.to_owned(), known: KNOWN, suggestion: nearest(text) }),
            },
        }
    }

    /// Reads or makes one split, named as `Display` says. `seed` matters to synthetic sources only, `split` to
    /// all but `.npy` files. Synthetic sources have [`Self::SYNTHETIC_TRAIN_ITEMS`] and
    /// [`Self::SYNTHETIC_TEST_ITEMS`] items.
    ///
    /// # Errors
    /// Any [`DataError`] that reading the files or making the samples gives.
    pub fn load(&self, split: Split, seed: Seed) -> Result<Dataset, DataError> {
        let count = match split {
            Split::Train => Self::SYNTHETIC_TRAIN_ITEMS,
            Split::Test => Self::SYNTHETIC_TEST_ITEMS,
        };
        match self {
            Self::Digits => digits::load("digits", split),
            Self::Mnist { directory } | Self::FashionMnist { directory } => {
                let file_name = match split {
                    Split::Train => "train-images-idx3-ubyte",
                    Split::Test => "t10k-images-idx3-ubyte",
                };
                idx::load(&self.to_string(), directory, file_name, PIXEL_FULL_SCALE)
            }
            Self::Cifar10 { directory } => cifar::load("cifar10", directory, split),
            Self::Npy { path } => npy::load(path),
            Self::Gaussian { spectrum } => synthetic::gaussian(spectrum, count, seed, split),
            Self::Mixture { components, dim, separation, std } => {
                synthetic::mixture(*components, *dim, *separation, *std, count, seed, split)
            }
        }
    }
}

impl DataSource {
    /// The same source with an absolute path, so that it is found from any folder.
    #[must_use]
    pub fn absolute(&self) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut source = self.clone();
        match &mut source {
            Self::Mnist { directory: path }
            | Self::FashionMnist { directory: path }
            | Self::Cifar10 { directory: path }
            | Self::Npy { path } => *path = absolute(path),
            Self::Digits | Self::Gaussian { .. } | Self::Mixture { .. } => {}
        }
        source
    }
}

impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digits => f.write_str("digits"),
            Self::Mnist { .. } => f.write_str("mnist"),
            Self::FashionMnist { .. } => f.write_str("fashion-mnist"),
            Self::Cifar10 { .. } => f.write_str("cifar10"),
            Self::Npy { path } => path.display().fmt(f),
            Self::Gaussian { spectrum } => f.write_str(&synthetic::gaussian_text(spectrum)),
            Self::Mixture { components, dim, separation, std } => {
                f.write_str(&synthetic::mixture_text(*components, *dim, *separation, *std))
            }
        }
    }
}

fn parse_gaussian(text: &str, numbers: &str) -> Result<DataSource, DataError> {
    let spectrum =
        numbers.split(',').map(|number| parse_number(text, number, GAUSSIAN_FORM)).collect::<Result<Vec<f64>, _>>()?;
    synthetic::check_spectrum(&spectrum)?;
    Ok(DataSource::Gaussian { spectrum })
}

fn parse_mixture(text: &str, numbers: &str) -> Result<DataSource, DataError> {
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
    Ok(DataSource::Mixture { components, dim, separation, std })
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

/// How many letters must be inserted, removed or replaced to turn one word into the other (Levenshtein).
fn typos(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((b, &above), &diagonal) in to.chars().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or_default();
            next.push((diagonal + usize::from(a != b)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
