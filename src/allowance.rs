//! What the work on one input may use: time and draws. Whoever works asks between two steps whether to go on.
//!
//! Draws are counted, so results under such a limit are the same everywhere. Time is not: where a limit of time per input
//! takes effect depends on the machine. The time of a whole run decides only when it stops, never what an input's result
//! is: what is unfinished then is thrown away and computed again.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// What was used up first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// The time of the whole run: the input's result must not be kept.
    RunTime,
    /// The time of this input.
    InputTime,
    /// The draws of this input.
    Draws,
}

/// The limits of one input, and what is left of them. No limit by default.
#[derive(Debug, Default)]
pub struct Allowance {
    run_ends: Option<Instant>,
    input_ends: Option<Instant>,
    draws_left: Cell<Option<usize>>,
    spent: Cell<Option<Spent>>,
}

impl Allowance {
    /// The limits of an input whose work begins now: when the run ends, the time of the input, its draws.
    #[must_use]
    pub fn starting_now(run_ends: Option<Instant>, time: Option<Duration>, draws: Option<usize>) -> Self {
        let input_ends = time.and_then(|time| Instant::now().checked_add(time));
        Self { run_ends, input_ends, draws_left: Cell::new(draws), spent: Cell::new(None) }
    }

    /// What is used up, if anything. Once something is, that stays the answer.
    #[must_use]
    pub fn spent(&self) -> Option<Spent> {
        if self.spent.get().is_none() {
            let is_over = |end: Option<Instant>| end.is_some_and(|end| Instant::now() >= end);
            if is_over(self.run_ends) {
                self.spent.set(Some(Spent::RunTime));
            } else if is_over(self.input_ends) {
                self.spent.set(Some(Spent::InputTime));
            }
        }
        self.spent.get()
    }

    /// What was found to be used up so far; does not look at the clock.
    #[must_use]
    pub fn was_spent(&self) -> Option<Spent> {
        self.spent.get()
    }

    /// Takes draws, all or none. Whether there were as many.
    pub fn take_draws(&self, draws: usize) -> bool {
        match self.draws_left.get() {
            None => true,
            Some(left) if left >= draws => {
                self.draws_left.set(Some(left - draws));
                true
            }
            Some(_) => {
                self.spent.set(self.spent.get().or(Some(Spent::Draws)));
                false
            }
        }
    }
}

/// Milliseconds in each unit.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
/// A hundred years in milliseconds.
const LONGEST: u64 = 3_155_760_000_000;

/// A sum of whole numbers with units, above 0: `90s`, `1h30m`, `250ms`.
///
/// # Errors
/// What was expected and what was found, where the text is not that.
pub fn duration(text: &str) -> Result<Duration, String> {
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
    fn without_a_limit_nothing_is_ever_used_up() {
        let allowance = Allowance::default();
        assert!(allowance.take_draws(usize::MAX) && allowance.take_draws(usize::MAX));
        assert_eq!(allowance.spent(), None);
    }

    #[test]
    fn draws_are_taken_whole_or_not_at_all() {
        let allowance = Allowance::starting_now(None, None, Some(10));
        assert!(allowance.take_draws(6));
        assert_eq!(allowance.spent(), None);
        assert!(!allowance.take_draws(5));
        assert_eq!(allowance.spent(), Some(Spent::Draws));
        // What is left still serves smaller demands, but the verdict stays.
        assert!(allowance.take_draws(4));
        assert_eq!(allowance.spent(), Some(Spent::Draws));
    }

    #[test]
    fn time_that_is_over_is_noticed_and_the_runs_comes_first() {
        let past = Some(Instant::now());
        assert_eq!(Allowance::starting_now(None, Some(Duration::ZERO), None).spent(), Some(Spent::InputTime));
        assert_eq!(Allowance::starting_now(past, Some(Duration::ZERO), None).spent(), Some(Spent::RunTime));
        let hour = Duration::from_secs(3600);
        let allowance = Allowance::starting_now(Some(Instant::now() + hour), Some(hour), None);
        assert_eq!((allowance.spent(), allowance.was_spent()), (None, None));
    }

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
}
