//! What the tests beside the code share.

use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

/// Property tests draw the same `cases` cases in every run and leave no files behind.
pub(crate) fn seeded(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(0), failure_persistence: None, ..ProptestConfig::default() }
}
