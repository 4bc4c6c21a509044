//! Requirements held against the evidence.

use super::evidence::{Audited, Evidence};
use super::finding::{Finding, Verdict};
use super::requirement::{AtNorm, Ending, Norm, Requirement};
use crate::audit::Outcome;
use crate::quantity::{LowerBound, UpperBound};
use crate::stats::lower_median;

/// On which side of a requirement an input stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    For,
    Against,
    Open,
}

/// Inputs by side.
struct Sides {
    inputs: usize,
    against: Vec<usize>,
    open: Vec<usize>,
    broken: Vec<usize>,
    unreached: usize,
}

impl Sides {
    fn of(audited: &Audited, side: impl Fn(&Evidence) -> Side) -> Self {
        let mut sides = Self {
            inputs: audited.inputs(),
            against: vec![],
            open: vec![],
            broken: vec![],
            unreached: audited.unreached(),
        };
        for evidence in &audited.evidence {
            match side(evidence) {
                Side::For => {}
                Side::Against => sides.against.push(evidence.input),
                Side::Open => {
                    sides.open.push(evidence.input);
                    sides.broken.extend((evidence.outcome == Outcome::Failed).then_some(evidence.input));
                }
            }
        }
        sides
    }

    /// Inputs that may stand against.
    fn possible(&self) -> usize {
        self.against.len() + self.open.len() + self.unreached
    }

    fn finding(self, requirement: &Requirement, range: (f64, f64), found: String, verdict: Verdict) -> Finding {
        // Without inputs there is no evidence.
        let verdict = if self.inputs == 0 { Verdict::Undecided } else { verdict };
        Finding {
            key: requirement.key(),
            name: requirement.name(),
            required: requirement.required(),
            unit: requirement.unit(),
            found,
            verdict,
            lowest: range.0,
            highest: range.1,
            against: self.against,
            open: self.open,
            broken: self.broken,
            unreached: self.unreached,
        }
    }
}

/// `passed` and `failed` exclude each other; comparisons with NaN are neither.
fn verdict(passed: bool, failed: bool) -> Verdict {
    match (passed, failed) {
        (true, false) => Verdict::Passed,
        (false, true) => Verdict::Failed,
        _ => Verdict::Undecided,
    }
}

/// count / n, rounded to the nearest double, so that 7 of 10 is the fraction written as 0.7.
fn share(count: usize, inputs: usize) -> f64 {
    count as f64 / inputs.max(1) as f64
}

impl Requirement {
    /// Holds the requirement against the evidence, by the rules at each variant.
    #[must_use]
    pub fn evaluate(&self, audited: &Audited) -> Finding {
        match *self {
            Self::Certified(at) => self.certified(audited, at),
            Self::Refuted(at) => self.refuted(audited, at),
            Self::MedianCertified(norm) => self.median_certified(audited, norm),
            Self::MedianMargin(norm) => self.median_margin(audited, norm),
            Self::AtMost(ending, count) => self.at_most(audited, ending, count),
        }
    }

    fn certified(&self, audited: &Audited, AtNorm { radius, fraction }: AtNorm) -> Finding {
        let sides = Sides::of(audited, |evidence| certified_side(evidence, radius.get()));
        let (n, refuted) = (sides.inputs, sides.against.len());
        let certified = n - sides.possible();
        let range = (share(certified, n), share(n - refuted, n));
        let found = format!("{certified} of {n} certified, {refuted} refuted, {} neither", n - certified - refuted);
        let verdict = verdict(range.0 >= fraction.get(), range.1 < fraction.get());
        sides.finding(self, range, found, verdict)
    }

    fn refuted(&self, audited: &Audited, AtNorm { radius, fraction }: AtNorm) -> Finding {
        let side = |evidence: &Evidence| {
            if evidence.upper <= radius.get() {
                Side::Against
            } else if evidence.lower >= radius.get() || is_unbroken_at(evidence, radius.get()) {
                Side::For
            } else {
                Side::Open
            }
        };
        let sides = Sides::of(audited, side);
        let (n, refuted) = (sides.inputs, sides.against.len());
        let range = (share(refuted, n), share(sides.possible(), n));
        let found = format!("{refuted} of {n} refuted, {} may be", sides.possible() - refuted);
        let verdict = verdict(range.1 <= fraction.get(), range.0 > fraction.get());
        sides.finding(self, range, found, verdict)
    }

    fn median_certified(&self, audited: &Audited, norm: Norm) -> Finding {
        let required = norm.get();
        let sides = Sides::of(audited, |evidence| certified_side(evidence, required));
        let range = medians(audited, |evidence| (evidence.lower, evidence.upper));
        let found = format!("the median of R(x) is {}", between(range));
        let verdict = verdict(range.0 >= required, range.1 <= required);
        sides.finding(self, range, found, verdict)
    }

    fn median_margin(&self, audited: &Audited, norm: Norm) -> Finding {
        let required = norm.get();
        // Attacks that found nothing, or did not come to their end, leave everything from the certificate on.
        let bounds = |evidence: &Evidence| {
            let is_known = evidence.complete && evidence.upper.is_finite();
            (if is_known { evidence.upper } else { evidence.lower.min(evidence.upper) }, evidence.upper)
        };
        let side = |evidence: &Evidence| match bounds(evidence) {
            (lowest, _) if lowest >= required => Side::For,
            (_, highest) if highest < required => Side::Against,
            _ => Side::Open,
        };
        let sides = Sides::of(audited, side);
        let found_on = audited.evidence.iter().filter(|evidence| evidence.upper.is_finite()).count();
        let range = medians(audited, bounds);
        let found = format!("the median is {}; {found_on} of {} inputs refuted", between(range), sides.inputs);
        let verdict = verdict(range.0 >= required && found_on > 0, range.1 < required);
        sides.finding(self, range, found, verdict)
    }

    fn at_most(&self, audited: &Audited, ending: Ending, count: usize) -> Finding {
        let counted = match ending {
            Ending::Alarm => Outcome::Alarm,
            Ending::Undecided => Outcome::Undecided,
            Ending::Failed => Outcome::Failed,
        };
        let side = |evidence: &Evidence| match evidence.outcome {
            outcome if outcome == counted => Side::Against,
            Outcome::Failed => Side::Open,
            // What was not done might have contradicted a bound.
            _ if ending == Ending::Alarm && !evidence.complete => Side::Open,
            _ => Side::For,
        };
        let sides = Sides::of(audited, side);
        let (certain, possible, n) = (sides.against.len(), sides.possible(), sides.inputs);
        let found = match possible - certain {
            0 => format!("{certain} of {n}"),
            open => format!("{certain} of {n}, {open} may be"),
        };
        let verdict = verdict(possible <= count, certain > count);
        sides.finding(self, (certain as f64, possible as f64), found, verdict)
    }
}

/// Whether all attacks came to their end, tried this norm or a larger one, and broke the input only above it.
fn is_unbroken_at(evidence: &Evidence, norm: f64) -> bool {
    evidence.complete && evidence.upper.is_finite() && evidence.withstood >= norm
}

fn certified_side(evidence: &Evidence, norm: f64) -> Side {
    if evidence.upper <= norm {
        Side::Against
    } else if evidence.lower >= norm {
        Side::For
    } else {
        Side::Open
    }
}

/// The lower medians of the smallest and of the largest possible values. Order statistics are monotone, so the median of
/// the values themselves lies between them.
fn medians(audited: &Audited, bounds: impl Fn(&Evidence) -> (f64, f64)) -> (f64, f64) {
    let unreached = std::iter::repeat_n((0.0, f64::INFINITY), audited.unreached());
    let all = audited.evidence.iter().map(bounds).chain(unreached);
    let (lowest, highest): (Vec<f64>, Vec<f64>) = all.unzip();
    (lower_median(lowest).unwrap_or(0.0), lower_median(highest).unwrap_or(f64::INFINITY))
}

/// A range in words, its ends rounded outwards.
fn between((lowest, highest): (f64, f64)) -> String {
    let (Ok(low), Ok(high)) = (LowerBound::new(lowest), UpperBound::new(highest)) else {
        return "unknown".to_owned();
    };
    if highest.is_infinite() {
        format!("at least {low}")
    } else if lowest.total_cmp(&highest).is_eq() {
        high.to_string()
    } else {
        format!("between {low} and {high}")
    }
}

#[cfg(test)]
mod tests;
