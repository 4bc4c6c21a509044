//! Made-up records.

use crate::attack::AttackKind;
use crate::audit::certificates::CertifiedRecord;
use crate::audit::run::{RunFile, RunIdentity};
use crate::audit::{AuditPlan, InputRecord, Outcome};
use crate::bounds::FirstOrderLadder;
use crate::certificate::Method;
use crate::data::{DataSource, Split};
use crate::margin::RadiusRule;
use crate::quantity::{Estimate, LowerBound, Probability, Radius, UpperBound};
use crate::seed::Seed;

/// An input certified up to `lower` and refuted at `upper`.
pub(super) fn bracketed(input: usize, lower: f64, upper: f64) -> InputRecord {
    let best = LowerBound::new(lower).unwrap();
    let method = (lower > 0.0).then_some(Method::SlopeInterval);
    let estimate = |share: f64| Estimate::new(share * lower).unwrap();
    InputRecord {
        outcome: Outcome::Bracketed,
        radius: Some(Radius::new(1.25).unwrap()),
        certified: Some(CertifiedRecord {
            linear_region: None,
            slope_interval: Some(best),
            a_priori: None,
            best,
            method,
        }),
        first_order: Some(FirstOrderLadder {
            theorem1: estimate(0.5),
            operator: estimate(0.75),
            whitened: estimate(1.25),
        }),
        margin_upper: Some(UpperBound::new(upper).unwrap()),
        best_attack: Some(AttackKind::MaxDamage),
        ..InputRecord::empty(input)
    }
}

/// An input that no attack refuted and nothing certifies.
pub(super) fn undecided(input: usize) -> InputRecord {
    InputRecord {
        outcome: Outcome::Undecided,
        reasons: vec!["no attack succeeded".to_owned()],
        ..InputRecord::empty(input)
    }
}

/// A run of so many inputs of the digits.
pub(super) fn run(inputs: usize) -> RunFile {
    let rule = RadiusRule::Quantile(Probability::new(0.9).unwrap());
    let identity = RunIdentity {
        format: 2,
        vaecert_version: "0.1.0".to_owned(),
        model_sha256: "ab".repeat(32),
        data: "digits".to_owned(),
        split: Split::Test,
        data_seed: Seed(0),
        data_sha256: "cd".repeat(32),
        first: 0,
        inputs,
        shard: None,
        device: "cpu".to_owned(),
        plan: AuditPlan::standard(rule, Probability::new(0.001).unwrap(), Seed(0)),
    };
    RunFile { identity, model: None, source: DataSource::digits() }
}
