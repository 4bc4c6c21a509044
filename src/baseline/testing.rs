//! Baselines made up for tests.

use super::file::{Baseline, BaselineInput};
use crate::audit::run::DataChoice;
use crate::audit::{AuditPlan, Outcome, RunIdentity};
use crate::data::{DataSource, Split};
use crate::model::device::DeviceChoice;
use crate::model::embedded;
use crate::quantity::{LowerBound, Probability, Radius, RadiusRule, UpperBound};
use crate::seed::Seed;

fn identity(inputs: usize) -> RunIdentity {
    let source = DataSource::digits();
    let dataset = source.load(Split::Test, Seed(0)).unwrap();
    let choice = DataChoice { source, split: Split::Test, seed: Seed(0), first: 3, inputs };
    let rule = RadiusRule::Quantile(Probability::new(0.9).unwrap());
    let plan = AuditPlan::standard(rule, Probability::new(0.001).unwrap(), Seed(0));
    RunIdentity::new(&embedded::digits().unwrap(), &DeviceChoice::Cpu.open().unwrap(), choice, &dataset, plan).unwrap()
}

/// An input with these bounds of its margin; undecided where there is no upper one.
pub(super) fn input(index: usize, lower: f64, upper: Option<f64>) -> BaselineInput {
    BaselineInput {
        input: index,
        outcome: if upper.is_some() { Outcome::Bracketed } else { Outcome::Undecided },
        radius: Some(Radius::new(1.0).unwrap()),
        certified: LowerBound::new(lower).unwrap(),
        margin: upper.map(|upper| UpperBound::new(upper).unwrap()),
        probability: None,
    }
}

/// Inputs from 3 on with these bounds.
pub(super) fn baseline(bounds: &[(f64, Option<f64>)]) -> Baseline {
    let inputs: Vec<_> = (3..).zip(bounds).map(|(index, (lower, upper))| input(index, *lower, *upper)).collect();
    Baseline { format: 1, identity: identity(inputs.len()), inputs }
}
