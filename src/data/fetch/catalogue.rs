//! The data sets that can be fetched: where they are and what they must be.

use std::fmt;
use std::str::FromStr;

use super::FetchError;
use crate::data::Split;

/// A data set that can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetchable {
    /// 70 000 handwritten digits of 28 x 28 pixels.
    Mnist,
    /// 70 000 pictures of clothes of 28 x 28 pixels.
    FashionMnist,
    /// 60 000 photographs of 32 x 32 pixels in three colours.
    Cifar10,
}

/// How the loaders expect the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    /// One idx file of grey images per split.
    Idx,
    /// Five binary batches of CIFAR-10, and one.
    Cifar,
}

/// What is known about one data set.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// As on the command line.
    pub(super) name: &'static str,
    /// Owner and name on the hub.
    pub(super) repository: &'static str,
    /// The commit on the hub.
    pub(super) revision: &'static str,
    pub(super) container: Container,
    pub(super) train: Part,
    pub(super) test: Part,
}

/// One split.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// The parquet file in the repository.
    pub(super) file: &'static str,
    /// SHA-256 of that file, published for the revision; used where the content has no constant.
    pub(super) file_sha256: Option<&'static str>,
    /// [`Dataset::sha256`](crate::data::Dataset::sha256) of the split, computed from the original files.
    pub(super) content_sha256: Option<&'static str>,
}

impl Entry {
    pub(super) fn part(&self, split: Split) -> &Part {
        match split {
            Split::Train => &self.train,
            Split::Test => &self.test,
        }
    }
}

impl Fetchable {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mnist, Self::FashionMnist, Self::Cifar10];

    pub(super) fn entry(self) -> Entry {
        match self {
            Self::Mnist => Entry {
                name: "mnist",
                repository: "ylecun/mnist",
                revision: "77f3279092a1c1579b2250db8eafed0ad422088c",
                container: Container::Idx,
                train: Part {
                    file: "mnist/train-00000-of-00001.parquet",
                    file_sha256: None,
                    content_sha256: Some("aff4822bc64ea1688c8b73212ec91e232bba9e98de2b6fa762cb9347af171e8b"),
                },
                test: Part {
                    file: "mnist/test-00000-of-00001.parquet",
                    file_sha256: None,
                    content_sha256: Some("db1bcd5229cb675c3e4818d7928a4f9c604250aff27cc5e48fb1bb94cb1decbb"),
                },
            },
            Self::FashionMnist => Entry {
                name: "fashion-mnist",
                repository: "zalando-datasets/fashion_mnist",
                revision: "531be5e2ccc9dba0c201ad3ae567a4f3d16ecdd2",
                container: Container::Idx,
                train: Part {
                    file: "fashion_mnist/train-00000-of-00001.parquet",
                    file_sha256: None,
                    content_sha256: Some("5e84df8cce30ed87e8846630d30f1ec3991f90960bc2e4617755aad6e4f43272"),
                },
                test: Part {
                    file: "fashion_mnist/test-00000-of-00001.parquet",
                    file_sha256: None,
                    content_sha256: Some("652049505dcc192e2369ebd834f1e3c6508445c8ee6e0345ded25db4c505a3a5"),
                },
            },
            Self::Cifar10 => Entry {
                name: "cifar10",
                repository: "uoft-cs/cifar10",
                revision: "0b2714987fa478483af9968de7c934580d0bb9a2",
                container: Container::Cifar,
                train: Part {
                    file: "plain_text/train-00000-of-00001.parquet",
                    file_sha256: Some("8428b53a88a11ac374111006708df51469e315a22ac6d66470afd9c78d2ae883"),
                    content_sha256: None,
                },
                test: Part {
                    file: "plain_text/test-00000-of-00001.parquet",
                    file_sha256: Some("841389e6f2d64f28bf17310e430aebac20ec3ba611a3c5e231dc93c645ce84de"),
                    content_sha256: None,
                },
            },
        }
    }
}

impl fmt::Display for Fetchable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.entry().name)
    }
}

impl FromStr for Fetchable {
    type Err = FetchError;

    fn from_str(text: &str) -> Result<Self, FetchError> {
        let found = Self::ALL.into_iter().find(|fetchable| fetchable.to_string() == text);
        found.ok_or_else(|| FetchError::Unknown { found: text.to_owned() })
    }
}
