//! A part of a run's inputs, for a process or a machine of its own.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Shard `index` of `count`, counted from 0: a contiguous part of the inputs. All shards together are the run; their
/// sizes differ by at most one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Numbers")]
pub struct Shard {
    index: usize,
    count: usize,
}

/// The two numbers as they come from a file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Numbers {
    index: usize,
    count: usize,
}

/// Not a shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// Beyond the last one.
    #[error("there is no shard {index} of {count}: shards are counted from 0, so K/N must have K below N")]
    Number {
        /// K.
        index: usize,
        /// N.
        count: usize,
    },
    /// No two numbers.
    #[error("expected K/N, shard K of N with K from 0 to N − 1, found {found:?}")]
    Form {
        /// The text found.
        found: String,
    },
}

impl Shard {
    /// Shard `index` of `count`.
    ///
    /// # Errors
    /// [`ShardError::Number`] unless `index` is below `count`.
    pub fn new(index: usize, count: usize) -> Result<Self, ShardError> {
        if index < count {
            Ok(Self { index, count })
        } else {
            Err(ShardError::Number { index, count })
        }
    }

    /// K, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        self.index
    }

    /// N.
    #[must_use]
    pub fn count(self) -> usize {
        self.count
    }

    /// Its part of the inputs `first`, …, `first + inputs − 1`: ⌊K·n/N⌋ of them lie before it.
    #[must_use]
    pub fn range(self, first: usize, inputs: usize) -> Range<usize> {
        // The quotient is at most `inputs`, so it fits; the product may not.
        let before = |shards: usize| shards as u128 * inputs as u128 / self.count as u128;
        let before = |shards: usize| usize::try_from(before(shards)).unwrap_or(inputs);
        first.saturating_add(before(self.index))..first.saturating_add(before(self.index + 1))
    }
}

/// The part of the inputs that a shard, or the whole run where there is none, is about.
#[must_use]
pub fn range_of(shard: Option<Shard>, first: usize, inputs: usize) -> Range<usize> {
    shard.map_or_else(|| first..first.saturating_add(inputs), |shard| shard.range(first, inputs))
}

impl TryFrom<Numbers> for Shard {
    type Error = ShardError;
    fn try_from(Numbers { index, count }: Numbers) -> Result<Self, ShardError> {
        Self::new(index, count)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = ShardError;
    fn from_str(text: &str) -> Result<Self, ShardError> {
        let numbers = text.split_once('/').and_then(|(k, n)| Some((k.trim().parse().ok()?, n.trim().parse().ok()?)));
        let (index, count) = numbers.ok_or_else(|| ShardError::Form { found: text.to_owned() })?;
        Self::new(index, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_every_input_once_in_order_and_evenly() {
        for inputs in 0..40 {
            for count in 1..12 {
                let ranges: Vec<_> = (0..count).map(|k| Shard::new(k, count).unwrap().range(5, inputs)).collect();
                assert_eq!(ranges.iter().cloned().flatten().collect::<Vec<_>>(), (5..5 + inputs).collect::<Vec<_>>());
                let sizes = ranges.iter().map(ExactSizeIterator::len);
                assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1, "{inputs} {count}");
            }
        }
        assert_eq!(range_of(None, 3, 4), 3..7);
    }

    #[test]
    fn numbers_near_the_largest_do_not_overflow() {
        let last = Shard::new(usize::MAX - 1, usize::MAX).unwrap();
        assert_eq!(last.range(0, usize::MAX), usize::MAX - 1..usize::MAX);
        assert_eq!(last.range(usize::MAX, usize::MAX), usize::MAX..usize::MAX);
    }

    #[test]
    fn what_is_no_shard_is_refused_on_the_command_line_and_in_files() {
        assert_eq!("2/4".parse(), Shard::new(2, 4));
        assert_eq!("2/4".parse::<Shard>().unwrap().to_string(), "2/4");
        assert_eq!("4/4".parse::<Shard>(), Err(ShardError::Number { index: 4, count: 4 }));
        assert_eq!("0/0".parse::<Shard>(), Err(ShardError::Number { index: 0, count: 0 }));
        for text in ["", "3", "-1/4", "1/", "/4", "1/2/3", "a/b"] {
            assert!(matches!(text.parse::<Shard>(), Err(ShardError::Form { .. })), "{text}");
        }
        assert_eq!(serde_json::from_str::<Shard>(r#"{"index":1,"count":2}"#).unwrap(), Shard::new(1, 2).unwrap());
        for json in [r#"{"index":2,"count":2}"#, r#"{"index":0,"count":0}"#, r#"{"index":0,"count":1,"x":0}"#] {
            assert!(serde_json::from_str::<Shard>(json).is_err(), "{json}");
        }
    }
}
