//! Options for long runs and for several machines: `--shard`, and how much time and how many draws may be used.

use std::time::{Duration, Instant};

use clap::Args;

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
    /// Stop after this time (90s, 15m, 2h, 1h30m): finished inputs are kept, the exit status is 3, and --resume continues.
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

/// What a run says whose time is up; `named` is whether somebody chose where it is written.
pub(super) fn unfinished(finished: usize, inputs: usize, named: bool) -> String {
    let continued = if named { "the same command and --resume" } else { "the same command" };
    format!("the time is up: {finished} of {inputs} inputs are finished; continue with {continued}")
}

/// Milliseconds in each unit.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
/// A hundred years in milliseconds.
const LONGEST: u64 = 3_155_760_000_000;

/// A sum of whole numbers with units: `90s`, `1h30m`, `250ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("expected a time above 0 such as 90s, 15m, 2h or 1h30m (units: ms, s, m, h, d), found {text:?}");
    let mut rest = text.trim();
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let (_, milliseconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        total = number.checked_mul(*milliseconds).and_then(|time| total.checked_add(time)).ok_or_else(wrong)?;
        rest = after;
    }
    if (1..=LONGEST).contains(&total) {
        Ok(Duration::from_millis(total))
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        let seconds = |text: &str| duration(text).unwrap().as_secs_f64();
        assert_eq!((seconds("90s"), seconds("15m"), seconds("2h")), (90.0, 900.0, 7200.0));
        assert_eq!((seconds("1h30m"), seconds("250ms"), seconds(" 1d ")), (5400.0, 0.25, 86_400.0));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in
            ["", "0s", "90", "s", "1.5h", "-1s", "1y", "1h30", "1 h", "99999999999999999999s", "1e3s", "999999d"]
        {
            assert!(duration(text).unwrap_err().contains("90s, 15m, 2h"), "{text}");
        }
    }

    #[test]
    fn draws_of_a_run_are_shared_equally() {
        let arguments = DrawArguments { draws_per_input: None, draws_per_run: Some(100) };
        assert_eq!(arguments.per_input(3), Some(33));
        let arguments = DrawArguments { draws_per_input: Some(7), draws_per_run: None };
        assert_eq!(arguments.per_input(3), Some(7));
    }
}
