//! Where every random number comes from: a seed and the name of a stream.
//!
//! A stream is a ChaCha8 generator keyed by SHA-256 of the seed and the name, so a draw depends on what it is
//! for (`"input/17/selection"`) and on nothing else: not on the order of work, the thread or the shard. The instances of
//! claims are drawn by proptest, from ChaCha streams with the same keys.

use proptest::test_runner::{RngAlgorithm, TestRng};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A named generator made by [`Seed::stream`].
pub type Stream = ChaCha8Rng;

/// Separates these keys from any other use of SHA-256 and allows the scheme to change with a new version.
const DOMAIN: &[u8] = b"vaecert stream 1\0";

/// The seed of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// The generator for `name`. The same seed and name always give the same numbers; different names give
    /// independent ones.
    #[must_use]
    pub fn stream(self, name: &str) -> Stream {
        ChaCha8Rng::from_seed(self.key(name))
    }

    /// The generator for `name` from which proptest draws and shrinks.
    #[must_use]
    pub fn instances(self, name: &str) -> TestRng {
        TestRng::from_seed(RngAlgorithm::ChaCha, &self.key(name))
    }

    fn key(self, name: &str) -> [u8; 32] {
        let key = Sha256::new()
            .chain_update(DOMAIN)
            .chain_update(self.0.to_le_bytes())
            .chain_update(name.as_bytes())
            .finalize();
        key.into()
    }
}

/// `count` independent N(0, 1) draws, in single or double precision.
pub fn standard_normal<T>(stream: &mut Stream, count: usize) -> Vec<T>
where
    StandardNormal: Distribution<T>,
{
    StandardNormal.sample_iter(stream).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_seed_and_name_only() {
        let draw = |seed, name: &str| standard_normal::<f32>(&mut Seed(seed).stream(name), 4);
        assert_eq!(draw(1, "input/0/selection"), draw(1, "input/0/selection"));
        assert_ne!(draw(1, "input/0/selection"), draw(1, "input/0/estimation"));
        assert_ne!(draw(1, "input/0/selection"), draw(2, "input/0/selection"));
    }

    #[test]
    fn the_numbers_of_a_stream_never_change_between_versions() {
        // Recorded once: results in old evidence must stay reproducible.
        assert_eq!(Seed(0).stream("pinned").get_seed()[..4], PINNED_KEY_START);
    }

    /// First bytes of SHA-256("vaecert stream 1\0" + eight zero bytes + "pinned"), from `sha256sum`.
    const PINNED_KEY_START: [u8; 4] = [0x53, 0x70, 0xd8, 0x4b];

    #[test]
    fn normal_draws_have_mean_zero_and_variance_one() {
        let draws: Vec<f64> = standard_normal(&mut Seed(7).stream("moments"), 200_000);
        let n = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / n;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        // Six standard errors of the mean and of the variance at this sample size.
        assert!(mean.abs() < 6.0 / n.sqrt(), "mean {mean}");
        assert!((variance - 1.0).abs() < 6.0 * (2.0 / n).sqrt(), "variance {variance}");
    }
}
