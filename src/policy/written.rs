//! A policy file as it is written, and what that means.

use std::fmt::Display;
use std::marker::PhantomData;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::error::PolicyError;
use super::file::{check_requirements, place, Policy, Required};
use super::requirement::{AtNorm, Ending, Norm, Requirement};
use crate::allowance::duration;
use crate::attack::{AttackKind, Effort, PixelBox, Threat};
use crate::audit::run::DataChoice;
use crate::audit::AuditPlan;
use crate::data::{DataError, DataSource, Layout, Preprocessing, Resize, Split};
use crate::margin::{Protocol, SearchPlan};
use crate::model::device::DeviceChoice;
use crate::quantity::{Probability, QuantityError, Radius, RadiusRule};
use crate::seed::Seed;

/// Inputs where the file names no number.
const DEFAULT_INPUTS: usize = 20;
const DEFAULT_FAILURE_PROBABILITY: f64 = 0.001;

/// The whole file; what its keys mean, the options of `vaecert audit` say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFile {
    model: Option<PathBuf>,
    device: Option<Word<DeviceChoice>>,
    data: Option<String>,
    data_dir: Option<PathBuf>,
    #[serde(default)]
    data_seed: u64,
    layout: Option<Word<Layout>>,
    resize: Option<Word<Resize>>,
    scale: Option<f64>,
    #[serde(default)]
    mean: Numbers,
    #[serde(default)]
    std: Numbers,
    split: Option<SplitName>,
    #[serde(default)]
    first: usize,
    inputs: Option<usize>,
    r: Option<Radius>,
    r_quantile: Option<Probability>,
    level: Option<Probability>,
    threat: Option<Word<Threat>>,
    failure_probability: Option<Probability>,
    selection_draws: Option<usize>,
    draws: Option<usize>,
    attack: Option<Vec<Word<AttackKind>>>,
    #[serde(default)]
    protocol: ProtocolName,
    tolerance: Option<f64>,
    decrement: Option<f64>,
    max_norm: Option<f64>,
    r#box: Option<(f32, f32)>,
    restarts: Option<usize>,
    steps: Option<usize>,
    attack_draws: Option<usize>,
    decision_draws: Option<usize>,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    require: Require,
    #[serde(default)]
    budget: Budget,
}

/// What is required; the values say what they mean.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Require {
    #[serde(default)]
    certified: Vec<Spanned<AtNorm>>,
    median_certified: Option<Spanned<Norm>>,
    median_margin: Option<Spanned<Norm>>,
    #[serde(default)]
    refuted_at_most: Vec<Spanned<AtNorm>>,
    alarms_at_most: Option<Spanned<usize>>,
    undecided_at_most: Option<Spanned<usize>>,
    failed_at_most: Option<Spanned<usize>>,
}

/// What the audit may use.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Budget {
    time: Option<Word<TimeSpan>>,
    time_per_input: Option<Word<TimeSpan>>,
    draws_per_input: Option<usize>,
}

/// A time such as `90s`.
#[derive(Debug, Clone, Copy)]
struct TimeSpan(Duration);

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        duration(text).map(Self)
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SplitName {
    Train,
    Test,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProtocolName {
    #[default]
    Bisect,
    Paper,
}

/// A value that the command line reads from the same word.
#[derive(Debug, Clone, Copy)]
struct Word<T>(T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<T: FromStr<Err: Display>> Visitor<'_> for Reader<T> {
            type Value = Word<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Word<T>, E> {
                text.parse().map(Word).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Reader(PhantomData))
    }
}

/// One number, or several.
#[derive(Debug, Default)]
struct Numbers(Vec<f64>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            One(f64),
            Several(Vec<f64>),
        }
        match Form::deserialize(deserializer) {
            Ok(Form::One(number)) => Ok(Self(vec![number])),
            Ok(Form::Several(numbers)) => Ok(Self(numbers)),
            Err(_) => Err(D::Error::custom("expected a number or a list of numbers, one per channel")),
        }
    }
}

impl PolicyFile {
    /// What it means, read from `text` at `path`.
    ///
    /// # Errors
    /// [`PolicyError`] where its parts do not go together.
    pub(super) fn understood(self, text: &str, path: &Path) -> Result<Policy, PolicyError> {
        let line = |span: Range<usize>| place(text, span.start).0;
        let requirements = self.require.list(line);
        let folder = path.parent().unwrap_or(Path::new(""));
        let plan = self.plan(path)?;
        check_requirements(&requirements, self.inputs.unwrap_or(DEFAULT_INPUTS), &plan, path)?;
        Ok(Policy {
            time: self.budget.time.map(|time| time.0 .0),
            model: self.model.as_ref().map(|model| folder.join(model)),
            device: self.device.map(|device| device.0).unwrap_or_default(),
            data: self.choice(folder).map_err(|source| PolicyError::Data { path: path.to_owned(), source })?,
            plan,
            requirements,
        })
    }

    fn choice(&self, folder: &Path) -> Result<DataChoice, DataError> {
        let source = DataSource::parse(self.data.as_deref().unwrap_or("digits"), self.data_dir.as_deref())?;
        let preprocessing = Preprocessing {
            layout: self.layout.map(|layout| layout.0),
            resize: self.resize.map(|resize| resize.0),
            scale: self.scale,
            mean: self.mean.0.clone(),
            std: self.std.0.clone(),
        };
        Ok(DataChoice {
            source: source.with(preprocessing)?.within(folder),
            split: match self.split {
                Some(SplitName::Train) => Split::Train,
                Some(SplitName::Test) | None => Split::Test,
            },
            seed: Seed(self.data_seed),
            first: self.first,
            inputs: self.inputs.unwrap_or(DEFAULT_INPUTS),
        })
    }

    fn plan(&self, path: &Path) -> Result<AuditPlan, PolicyError> {
        let constant = |error: QuantityError| self.conflict(path, error.to_string());
        let radius = match (self.r, self.r_quantile) {
            (Some(_), Some(_)) => return Err(self.conflict(path, "name r or r_quantile, not both")),
            (Some(radius), None) => RadiusRule::Absolute(radius),
            (None, Some(order)) => RadiusRule::Quantile(order),
            (None, None) => RadiusRule::Quantile(Probability::new(AuditPlan::DEFAULT_QUANTILE).map_err(constant)?),
        };
        let failure_probability = match self.failure_probability {
            Some(probability) => probability,
            None => Probability::new(DEFAULT_FAILURE_PROBABILITY).map_err(constant)?,
        };
        let standard = AuditPlan::standard(radius, failure_probability, Seed(self.seed));
        let effort = standard.search.effort;
        let plan = AuditPlan {
            level: self.level.unwrap_or(standard.level),
            threat: self.threat.map_or(standard.threat, |threat| threat.0),
            selection_draws: self.selection_draws.unwrap_or(standard.selection_draws),
            estimation_draws: self.draws.unwrap_or(standard.estimation_draws),
            attacks: match &self.attack {
                Some(attacks) => attacks.iter().map(|attack| attack.0).collect(),
                None => standard.attacks,
            },
            search: SearchPlan {
                protocol: self.protocol(path)?,
                max_norm: self.max_norm.unwrap_or(standard.search.max_norm),
                pixel_box: self.r#box.map(|(low, high)| PixelBox { low, high }),
                decision_draws: self.decision_draws.unwrap_or(standard.search.decision_draws),
                effort: Effort {
                    restarts: self.restarts.unwrap_or(effort.restarts),
                    steps: self.steps.unwrap_or(effort.steps),
                    draws: self.attack_draws.unwrap_or(effort.draws),
                },
            },
            draws_per_input: self.budget.draws_per_input,
            machine_dependent_milliseconds_per_input: self
                .budget
                .time_per_input
                .map(|time| u64::try_from(time.0 .0.as_millis()).unwrap_or(u64::MAX)),
            ..standard
        };
        plan.check().map_err(|source| PolicyError::Plan { path: path.to_owned(), source })?;
        Ok(plan)
    }

    fn protocol(&self, path: &Path) -> Result<Protocol, PolicyError> {
        match (self.protocol, self.tolerance, self.decrement) {
            (ProtocolName::Bisect, tolerance, None) => {
                Ok(Protocol::Bisect { tolerance: tolerance.unwrap_or(Protocol::DEFAULT_TOLERANCE) })
            }
            (ProtocolName::Paper, None, decrement) => {
                Ok(Protocol::Paper { decrement: decrement.unwrap_or(Protocol::DEFAULT_DECREMENT) })
            }
            (ProtocolName::Bisect, _, Some(_)) => {
                Err(self
                    .conflict(path, "decrement means nothing with the protocol \"bisect\"; say protocol = \"paper\""))
            }
            (ProtocolName::Paper, Some(_), _) => {
                Err(self.conflict(path, "tolerance means nothing with the protocol \"paper\"; leave it out"))
            }
        }
    }

    fn conflict(&self, path: &Path, reason: impl Into<String>) -> PolicyError {
        PolicyError::Conflict { path: path.to_owned(), reason: reason.into() }
    }
}

impl Require {
    /// In the order of the keys' documentation.
    fn list(&self, line: impl Fn(Range<usize>) -> usize) -> Vec<Required> {
        let norms = [
            (&self.certified, Requirement::Certified as fn(AtNorm) -> Requirement),
            (&self.refuted_at_most, Requirement::Refuted),
        ];
        let medians = [
            (&self.median_certified, Requirement::MedianCertified as fn(Norm) -> Requirement),
            (&self.median_margin, Requirement::MedianMargin),
        ];
        let counts = [
            (&self.alarms_at_most, Ending::Alarm),
            (&self.undecided_at_most, Ending::Undecided),
            (&self.failed_at_most, Ending::Failed),
        ];
        let mut list = Vec::new();
        for (entries, requirement) in norms {
            list.extend(entries.iter().map(|at| (requirement(*at.get_ref()), at.span())));
        }
        for (norm, requirement) in medians {
            list.extend(norm.iter().map(|norm| (requirement(*norm.get_ref()), norm.span())));
        }
        for (count, ending) in counts {
            list.extend(count.iter().map(|count| (Requirement::AtMost(ending, *count.get_ref()), count.span())));
        }
        list.into_iter().map(|(requirement, span)| Required { requirement, line: line(span) }).collect()
    }
}
