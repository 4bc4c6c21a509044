//! Fractions of the inputs against a norm: certified at least that far, and not yet refuted there.
//!
//! The denominator is every input of the run, audited or not: one without a certificate that stands is certified nowhere, one
//! without an upper bound refuted nowhere.

use crate::audit::summary::{smallest_upper, standing_certificate};
use crate::audit::InputRecord;

/// A fraction of inputs that falls with the norm, by one input at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Norms at which an input is lost, ascending, finite, in input units.
    losses: Vec<f64>,
    /// Inputs that are there just above the norm 0, or later.
    start: usize,
    /// All inputs.
    total: usize,
    /// Whether an input still counts at the very norm at which it is lost.
    inclusive: bool,
}

impl Curve {
    /// The fraction of `planned` inputs whose robustness is certified for every perturbation of at most the norm: R(x) ≥ it.
    #[must_use]
    pub fn certified(records: &[InputRecord], planned: usize) -> Self {
        let radii = records.iter().map(|record| standing_certificate(record).get()).filter(|radius| *radius > 0.0);
        Self::new(radii.collect(), 0, planned, true)
    }

    /// The fraction of `planned` inputs for which no perturbation of at most the norm is known to break robustness.
    #[must_use]
    pub fn unrefuted(records: &[InputRecord], planned: usize) -> Self {
        let uppers: Vec<f64> = records.iter().filter_map(smallest_upper).collect();
        let never = planned.saturating_sub(uppers.len());
        Self::new(uppers, never, planned, false)
    }

    fn new(norms: Vec<f64>, never_lost: usize, total: usize, inclusive: bool) -> Self {
        let start = norms.len() + never_lost;
        let mut losses: Vec<f64> = norms.into_iter().filter(|norm| norm.is_finite()).collect();
        losses.sort_by(f64::total_cmp);
        Self { losses, start, total, inclusive }
    }

    /// The fraction at a norm; 0 where there is no input.
    #[must_use]
    pub fn at(&self, norm: f64) -> f64 {
        let lost = self.losses.partition_point(|loss| if self.inclusive { *loss < norm } else { *loss <= norm });
        self.share(self.start - lost)
    }

    /// The fraction just above the norm 0, and after each loss, with its norm: the corners of the steps.
    pub fn steps(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let after = |(index, norm): (usize, &f64)| (*norm, self.share(self.start - index - 1));
        std::iter::once((0.0, self.share(self.start))).chain(self.losses.iter().enumerate().map(after))
    }

    /// The largest norm at which an input is lost.
    #[must_use]
    pub fn last_loss(&self) -> Option<f64> {
        self.losses.last().copied()
    }

    fn share(&self, count: usize) -> f64 {
        if self.total == 0 {
            0.0
        } else {
            count as f64 / self.total as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Outcome;
    use crate::report::testing::{bracketed, undecided};

    #[test]
    fn fractions_are_of_all_inputs_and_lose_each_input_on_the_right_side_of_its_norm() {
        // Certified up to 0.25, 0.5, nothing and nothing; refuted at 1, 2, never and never.
        let records = [bracketed(0, 0.25, 1.0), bracketed(1, 0.5, 2.0), undecided(2), InputRecord::empty(3)];
        let certified = Curve::certified(&records, records.len());
        let at = |norm| certified.at(norm);
        assert_eq!([at(0.0), at(0.25), at(0.250_1), at(0.5), at(0.6)], [0.5, 0.5, 0.25, 0.25, 0.0]);
        let unrefuted = Curve::unrefuted(&records, records.len());
        let at = |norm| unrefuted.at(norm);
        assert_eq!([at(0.0), at(0.999), at(1.0), at(1.5), at(2.0), at(1e9)], [1.0, 1.0, 0.75, 0.75, 0.5, 0.5]);
        assert_eq!(certified.steps().collect::<Vec<_>>(), [(0.0, 0.5), (0.25, 0.25), (0.5, 0.0)]);
        assert_eq!(unrefuted.last_loss(), Some(2.0));
    }

    #[test]
    fn a_margin_of_zero_is_refuted_everywhere_and_an_infinite_radius_is_never_lost() {
        let records = [bracketed(0, 0.0, 0.0), bracketed(1, f64::INFINITY, f64::INFINITY)];
        assert_eq!(Curve::unrefuted(&records, records.len()).at(0.0), 0.5);
        assert_eq!(Curve::certified(&records, records.len()).at(1e300), 0.5);
        assert_eq!(Curve::certified(&records, records.len()).steps().collect::<Vec<_>>(), [(0.0, 0.5)]);
    }

    #[test]
    fn a_contradicted_certificate_one_of_a_failed_audit_and_inputs_not_reached_are_certified_nowhere() {
        let failed = InputRecord { outcome: Outcome::Failed, ..bracketed(1, 0.5, 1.0) };
        let records = [bracketed(0, 2.0, 1.0), failed, bracketed(2, 0.5, 1.0)];
        assert_eq!(Curve::certified(&records, 4).at(0.25), 0.25);
        assert_eq!(Curve::unrefuted(&records, 4).at(1.0), 0.25);
    }

    #[test]
    fn no_input_at_all_gives_zero_and_not_a_division_by_it() {
        assert_eq!((Curve::certified(&[], 0).at(0.0), Curve::unrefuted(&[], 0).at(1.0)), (0.0, 0.0));
    }
}
