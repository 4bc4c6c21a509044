//! What requirements need to know about the inputs of an audit.

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
    /// A certificate does not count where the computation failed or where a refutation contradicts it. A refutation
    /// always counts: its perturbation is there.
    #[must_use]
    pub fn of(record: &InputRecord) -> Self {
        let certified = record.certified.map_or(0.0, |certified| certified.best.get());
        let upper = record.margin_upper.map_or(f64::INFINITY, |upper| upper.get());
        let counts = record.outcome != Outcome::Failed && certified <= upper;
        Self { input: record.input, outcome: record.outcome, lower: if counts { certified } else { 0.0 }, upper }
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
    }

    #[test]
    fn inputs_that_were_not_reached_stay_in_the_denominator() {
        let evidence = vec![Evidence::of(&InputRecord::empty(3))];
        let audited = Audited { asked: 4, evidence };
        assert_eq!((audited.inputs(), audited.unreached()), (4, 3));
        assert_eq!(audited.with(Outcome::Failed), [3]);
    }
}
