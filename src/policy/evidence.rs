//! What requirements need to know about the inputs of an audit.

use crate::audit::summary::standing_certificate;
use crate::audit::{InputRecord, Outcome};

/// One audited input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Index within the split.
    pub input: usize,
    /// How its audit ended.
    pub outcome: Outcome,
    /// R(x) is at least this, in input units; 0 where nothing is certified.
    pub lower: f64,
    /// R(x) is at most this: the norm of the smallest refuting perturbation. Infinite where none was found.
    pub upper: f64,
    /// Whether everything that was to be done to the input was done: neither did its computation fail nor a limit cut it
    /// short.
    pub complete: bool,
    /// The largest norm at which every attack was tried and failed.
    pub withstood: f64,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Audited {
    /// Inputs that were to be audited. Those without evidence were not reached.
    pub asked: usize,
    /// What is known, one entry per input reached.
    pub evidence: Vec<Evidence>,
}

impl Evidence {
    /// What an audit's record says.
    ///
    /// A certificate does not count where the computation failed or where an upper bound contradicts it. A refutation
    /// always counts: its perturbation is there.
    #[must_use]
    pub fn of(record: &InputRecord) -> Self {
        let withstood = record.attacks.iter().map(|attack| attack.withstood_estimate.get());
        Self {
            input: record.input,
            outcome: record.outcome,
            lower: standing_certificate(record).get(),
            upper: record.margin_upper.map_or(f64::INFINITY, |upper| upper.get()),
            complete: record.outcome != Outcome::Failed && !record.gave_up,
            withstood: withstood.reduce(f64::min).unwrap_or(0.0),
        }
    }
}

impl Audited {
    /// Every denominator: all inputs that were to be audited.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.asked.max(self.evidence.len())
    }

    /// Inputs that the audit did not reach.
    #[must_use]
    pub fn unreached(&self) -> usize {
        self.inputs() - self.evidence.len()
    }

    /// Inputs with this outcome.
    #[must_use]
    pub fn with(&self, outcome: Outcome) -> Vec<usize> {
        self.evidence.iter().filter(|evidence| evidence.outcome == outcome).map(|evidence| evidence.input).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::certificates::CertifiedRecord;
    use crate::bounds::ExactMargin;
    use crate::quantity::{LowerBound, UpperBound};

    fn record(outcome: Outcome, lower: f64, upper: Option<f64>) -> InputRecord {
        let best = LowerBound::new(lower).unwrap();
        let certified =
            CertifiedRecord { linear_region: None, slope_interval: None, a_priori: None, best, method: None };
        InputRecord {
            outcome,
            certified: Some(certified),
            margin_upper: upper.map(|upper| UpperBound::new(upper).unwrap()),
            ..InputRecord::empty(7)
        }
    }

    #[test]
    fn a_certificate_counts_unless_the_audit_failed_or_contradicts_it() {
        let bounds = |record| {
            let Evidence { lower, upper, .. } = Evidence::of(&record);
            (lower, upper)
        };
        assert_eq!(bounds(record(Outcome::Bracketed, 0.25, Some(0.5))), (0.25, 0.5));
        assert_eq!(bounds(record(Outcome::Undecided, 0.25, None)), (0.25, f64::INFINITY));
        assert_eq!(bounds(record(Outcome::Failed, 0.25, Some(0.5))), (0.0, 0.5));
        // An alarm of an estimate leaves the certificate alone, a contradicted certificate proves nothing.
        assert_eq!(bounds(record(Outcome::Alarm, 0.25, Some(0.5))), (0.25, 0.5));
        assert_eq!(bounds(record(Outcome::Alarm, 0.75, Some(0.5))), (0.0, 0.5));
        assert_eq!(bounds(InputRecord::empty(3)), (0.0, f64::INFINITY));
        // The exact margin of an affine model contradicts as well.
        let exact = ExactMargin { lower: LowerBound::new(0.25).unwrap(), upper: UpperBound::new(0.5).unwrap() };
        let affine = InputRecord { exact_margin: Some(exact), ..record(Outcome::Alarm, 0.75, None) };
        assert_eq!(bounds(affine), (0.0, f64::INFINITY));
    }

    #[test]
    fn what_a_limit_cut_short_or_a_breakdown_ended_is_not_complete() {
        let complete = |record| Evidence::of(&record).complete;
        assert!(complete(record(Outcome::Bracketed, 0.25, Some(0.5))));
        assert!(!complete(record(Outcome::Failed, 0.25, Some(0.5))));
        assert!(!complete(InputRecord { gave_up: true, ..record(Outcome::Undecided, 0.25, Some(0.5)) }));
    }

    #[test]
    fn inputs_that_were_not_reached_stay_in_the_denominator() {
        let evidence = vec![Evidence::of(&InputRecord::empty(3))];
        let audited = Audited { asked: 4, evidence };
        assert_eq!((audited.inputs(), audited.unreached()), (4, 3));
        assert_eq!(audited.with(Outcome::Failed), [3]);
    }
}
