//! What was found out about a requirement.

use schemars::JsonSchema;
use serde::Serialize;

use super::evidence::Audited;
use super::requirement::{Ending, Requirement};
use crate::audit::Outcome;
use crate::quantity::extended::{self, Extended};

/// How a requirement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The evidence suffices for it.
    Passed,
    /// The evidence is against it, whatever more there might be.
    Failed,
    /// Neither.
    Undecided,
}

/// What the evidence says about a requirement.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Finding {
    /// The requirement's key.
    pub key: &'static str,
    /// What is looked at.
    pub name: String,
    /// What is required of it.
    pub required: String,
    /// What was found, in words.
    pub found: String,
    /// How it stands.
    pub verdict: Verdict,
    /// Unit of the two values below.
    pub unit: &'static str,
    /// Smallest possible value: a fraction, a norm or a count.
    #[serde(with = "extended")]
    #[schemars(with = "Extended")]
    pub lowest: f64,
    /// Largest possible value; infinite where nothing bounds it.
    #[serde(with = "extended")]
    #[schemars(with = "Extended")]
    pub highest: f64,
    /// Inputs that speak against the requirement.
    pub against: Vec<usize>,
    /// Inputs that speak neither for nor against it.
    pub open: Vec<usize>,
    /// Those of them whose computation failed.
    pub broken: Vec<usize>,
    /// Inputs that were not reached.
    pub unreached: usize,
}

impl Verdict {
    /// The word in tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Undecided => "undecided",
        }
    }

    /// Failed if one is, else undecided if one is; undecided if there is none.
    #[must_use]
    pub fn of_all(findings: &[Finding]) -> Self {
        let any = |verdict| findings.iter().any(|finding| finding.verdict == verdict);
        if any(Self::Failed) {
            Self::Failed
        } else if any(Self::Undecided) || findings.is_empty() {
            Self::Undecided
        } else {
            Self::Passed
        }
    }
}

/// Inputs listed by their numbers before the rest is counted.
const LISTED: usize = 20;

impl Finding {
    /// What is looked at and what is required of it; as [`Requirement::title`] has it.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.required)
    }

    /// What is looked at, required and found.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{}: required {}, found {}", self.name, self.required, self.found)
    }

    /// Which inputs are behind a verdict that is not *passed*; empty where none is known.
    #[must_use]
    pub fn inputs_in_words(&self) -> String {
        let open: Vec<usize> = self.open.iter().copied().filter(|input| !self.broken.contains(input)).collect();
        let named =
            [("against", &self.against), ("neither for nor against", &open), ("computation failed", &self.broken)];
        let mut parts: Vec<String> = named
            .into_iter()
            .filter(|(_, inputs)| !inputs.is_empty())
            .map(|(name, inputs)| format!("{name}: inputs {}", listed(inputs)))
            .collect();
        if self.unreached > 0 {
            parts.push(format!("not reached: {} inputs", self.unreached));
        }
        parts.join("; ")
    }
}

fn listed(inputs: &[usize]) -> String {
    let shown: Vec<String> = inputs.iter().take(LISTED).map(usize::to_string).collect();
    let rest = match inputs.len().saturating_sub(LISTED) {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    shown.join(", ") + &rest
}

/// What no requirement of a policy speaks about but its reader should know: alarms and failed inputs.
#[must_use]
pub fn unlimited(requirements: &[Requirement], audited: &Audited) -> Vec<String> {
    let endings = [(Ending::Alarm, Outcome::Alarm, "alarms"), (Ending::Failed, Outcome::Failed, "failed inputs")];
    let silent = |ending| !requirements.iter().any(|found| matches!(found, Requirement::AtMost(e, _) if *e == ending));
    let notes = endings.into_iter().filter_map(|(ending, outcome, name)| {
        let count = audited.with(outcome).len();
        let key = Requirement::AtMost(ending, 0).key();
        (count > 0 && silent(ending)).then(|| format!("{name}: {count}, which no requirement limits; add {key} = 0"))
    });
    let left = (audited.unreached() > 0).then(|| format!("inputs not reached: {}", audited.unreached()));
    notes.chain(left).collect()
}
