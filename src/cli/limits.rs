//! Options for long runs and for several machines: `--shard`, and how much time and how many draws may be used.

use std::time::{Duration, Instant};

use clap::Args;

use crate::allowance::duration;
use crate::certificate::Shard;

/// Which part of a run.
#[derive(Debug, Args)]
pub(crate) struct ShardArguments {
    /// Only shard K of N, from 0 to N − 1: a contiguous part of the inputs, into an --out of its own. All inputs still share
    /// the failure probability. `vaecert merge` joins the shards to what one process would have written.
    #[arg(long, value_name = "K/N", help_heading = "Long runs")]
    pub(crate) shard: Option<Shard>,
}

/// How long.
#[derive(Debug, Args)]
pub(crate) struct TimeArguments {
    /// Stop after this time (90s, 15m, 2h, 1h30m): finished inputs are kept, the exit status is 3 (1 after
    /// an alarm), and --resume continues.
    /// Changes no result: an input cut off by the end of the run is computed again from its start.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Long runs")]
    pub(crate) time: Option<Duration>,
    /// Give an input up after this time: it is undecided, and its record says so. RESULTS THEN DEPEND ON THE MACHINE and
    /// its load, which run.json or the certificate's header records. Looked at between steps: one may take longer.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Long runs")]
    pub(crate) time_per_input: Option<Duration>,
}

impl TimeArguments {
    /// When a run that began at `begin` stops.
    pub(crate) fn ends(&self, begin: Instant) -> Option<Instant> {
        // A moment beyond what a clock can hold never comes.
        self.time.and_then(|time| begin.checked_add(time))
    }

    /// The time per input as it is recorded.
    pub(crate) fn milliseconds_per_input(&self) -> Option<u64> {
        self.time_per_input.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }
}

/// How many draws.
#[derive(Debug, Args)]
pub(crate) struct DrawArguments {
    /// Draws of evidence per input at most: those that choose r, estimate P and decide on perturbations (the attacks' own
    /// are not counted). An input for which they do not suffice is undecided. The same on every machine.
    #[arg(long, value_name = "N", conflicts_with = "draws_per_run", help_heading = "Long runs")]
    pub(crate) draws_per_input: Option<usize>,
    /// The same for all inputs of the run together, of which each has an equal share.
    #[arg(long, value_name = "N", help_heading = "Long runs")]
    pub(crate) draws_per_run: Option<usize>,
}

impl DrawArguments {
    /// Draws per input, for a run of this many inputs.
    pub(crate) fn per_input(&self, inputs: usize) -> Option<usize> {
        self.draws_per_input.or(self.draws_per_run.map(|draws| draws / inputs.max(1)))
    }
}

/// What a run says whose time is up; `named` is whether somebody chose where it is written, `overwrites` whether --overwrite was
/// given.
pub(super) fn unfinished(finished: usize, inputs: usize, named: bool, overwrites: bool) -> String {
    let continued = match (named, overwrites) {
        (true, true) => "the same command and --resume in place of --overwrite",
        (true, false) => "the same command and --resume",
        (false, true) => "the same command without --overwrite",
        (false, false) => "the same command",
    };
    format!("the time is up: {finished} of {inputs} inputs are finished; continue with {continued}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_of_a_run_are_shared_equally() {
        let arguments = DrawArguments { draws_per_input: None, draws_per_run: Some(100) };
        assert_eq!(arguments.per_input(3), Some(33));
        let arguments = DrawArguments { draws_per_input: Some(7), draws_per_run: None };
        assert_eq!(arguments.per_input(3), Some(7));
    }
}
