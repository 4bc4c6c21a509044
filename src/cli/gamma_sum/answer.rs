//! Questions about a form and their answers, as values and as JSON lines.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::super::exit_code::ExitCode;
use super::super::json::line_of;
use crate::quantity::Probability;
use crate::stats::quadratic_form::{Algorithm, Evaluation, QuadraticForm, QuadraticFormError, Tails};
use crate::stats::Enclosure;

/// What the library answers.
pub type Reached<T> = Result<T, QuadraticFormError>;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Question {
    /// Mean, variance, third and fourth cumulant.
    Moments,
    /// Probabilities and the density at a point.
    Point(f64),
    /// The q with P(Q ≤ q) = p.
    Quantile(Probability),
    /// The q with P(Q > q) = p.
    SurvivalQuantile(Probability),
}

/// A question with its answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The first four cumulants.
    Moments([Reached<Enclosure>; 4]),
    /// At a point.
    Point {
        /// q.
        q: f64,
        /// P(Q ≤ q) and P(Q > q).
        tails: Reached<Tails>,
        /// The density.
        density: Reached<Evaluation>,
        /// The probabilities by the second algorithm, where they were asked for.
        cross_check: Option<Reached<Tails>>,
    },
    /// A quantile.
    Quantile {
        /// p.
        probability: Probability,
        /// The q with P(Q ≤ q) = p.
        quantile: Reached<Evaluation>,
    },
    /// A quantile of the upper tail.
    SurvivalQuantile {
        /// p.
        probability: Probability,
        /// The q with P(Q > q) = p.
        quantile: Reached<Evaluation>,
    },
}

/// An algorithm as users read it.
#[must_use]
pub fn algorithm_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Exact => "closed-form",
        Algorithm::Hyperbola => "hyperbola",
        Algorithm::Ruben => "ruben",
        Algorithm::TiltedDavies => "tilted-davies",
    }
}

impl Question {
    /// Asks the library.
    #[must_use]
    pub fn ask(self, form: &QuadraticForm, cross_check: bool) -> Answer {
        match self {
            Self::Moments => Answer::Moments([1, 2, 3, 4].map(|order| form.cumulant(order))),
            Self::Point(q) => Answer::Point {
                q,
                tails: form.tails(q),
                density: form.density(q),
                cross_check: cross_check.then(|| form.cross_check(q)),
            },
            Self::Quantile(probability) => Answer::Quantile { probability, quantile: form.quantile(probability) },
            Self::SurvivalQuantile(probability) => {
                Answer::SurvivalQuantile { probability, quantile: form.survival_quantile(probability) }
            }
        }
    }
}

impl Answer {
    /// 0, 3 where something was not reached, 70 where the two algorithms contradict each other.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        if self.disagreement().is_some() {
            ExitCode::Bug
        } else if self.undecided().is_some() {
            ExitCode::Undecided
        } else {
            ExitCode::Met
        }
    }

    /// What was not reached. An unbounded density is an answer, and a cross-check is no question.
    fn undecided(&self) -> Option<String> {
        let named = |what: &str, error: Option<&QuadraticFormError>| {
            error.filter(|error| !is_unbounded(error)).map(|error| format!("{what}: {error}"))
        };
        let found: Vec<String> = match self {
            Self::Moments(cumulants) => CUMULANTS
                .iter()
                .zip(cumulants)
                .filter_map(|(name, cumulant)| named(name, cumulant.as_ref().err()))
                .collect(),
            Self::Point { tails, density, .. } => {
                [named("tails", tails.as_ref().err()), named("density", density.as_ref().err())]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Self::Quantile { quantile, .. } | Self::SurvivalQuantile { quantile, .. } => {
                named("quantile", quantile.as_ref().err()).into_iter().collect()
            }
        };
        (!found.is_empty()).then(|| found.join("; "))
    }

    /// Where the two algorithms differ by more than both bounds allow.
    #[must_use]
    pub fn disagreement(&self) -> Option<String> {
        let Self::Point { q, tails: Ok(tails), cross_check: Some(Ok(checked)), .. } = self else { return None };
        let pairs = [("P(Q ≤ q)", tails.cdf, checked.cdf), ("P(Q > q)", tails.survival, checked.survival)];
        let apart = |a: &Enclosure, b: &Enclosure| a.lower() > b.upper() || b.lower() > a.upper();
        let (what, one, other) = pairs.into_iter().find(|(_, one, other)| apart(one, other))?;
        let show = |enclosure: Enclosure, algorithm| {
            format!("{:?} ± {:e} ({})", enclosure.value, enclosure.error, algorithm_name(algorithm))
        };
        Some(format!(
            "{what} at {q:?} is {} by one algorithm and {} by the other: this is a bug in vaecert; please report it with \
             the form",
            show(one, tails.algorithm),
            show(other, checked.algorithm)
        ))
    }

    /// The answer as one line, with what the asker calls the question.
    ///
    /// # Errors
    /// Where serialisation fails.
    pub fn json(&self, id: Option<&Value>) -> std::io::Result<String> {
        let line = match self {
            Self::Moments(cumulants) => AnswerLine::Moments(MomentsLine::new(cumulants, self.undecided())),
            Self::Point { q, tails, density, cross_check } => AnswerLine::Point(PointLine {
                id,
                q: *q,
                tails: TailFields::new(tails),
                density: DensityFields::new(density),
                cross_check: cross_check.as_ref().map(CrossCheckFields::new),
                undecided: self.undecided(),
                error: self.disagreement(),
            }),
            Self::Quantile { probability, quantile } => {
                AnswerLine::Quantile(QuantileLine::new(id, (Some(*probability), None), quantile, self.undecided()))
            }
            Self::SurvivalQuantile { probability, quantile } => {
                AnswerLine::Quantile(QuantileLine::new(id, (None, Some(*probability)), quantile, self.undecided()))
            }
        };
        line_of(&line)
    }
}

pub(super) fn is_unbounded(error: &QuadraticFormError) -> bool {
    matches!(error, QuadraticFormError::UnboundedDensity(_))
}

/// The names of the first four cumulants.
pub(super) const CUMULANTS: [&str; 4] = ["mean", "variance", "third cumulant", "fourth cumulant"];

fn value(reached: &Reached<Enclosure>) -> Option<f64> {
    reached.as_ref().ok().map(|enclosure| enclosure.value)
}

fn error(reached: &Reached<Enclosure>) -> Option<f64> {
    reached.as_ref().ok().map(|enclosure| enclosure.error)
}

/// The nodes spent, also in vain.
fn nodes_spent(error: &QuadraticFormError) -> usize {
    match error {
        QuadraticFormError::NotConverged { nodes, .. } => *nodes,
        _ => 0,
    }
}

/// A line that answers a question.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::cli) enum AnswerLine<'a> {
    Moments(MomentsLine),
    Point(PointLine<'a>),
    Quantile(QuantileLine<'a>),
}

/// The first four cumulants.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct MomentsLine {
    mean: Option<f64>,
    mean_error: Option<f64>,
    variance: Option<f64>,
    variance_error: Option<f64>,
    third_cumulant: Option<f64>,
    third_cumulant_error: Option<f64>,
    fourth_cumulant: Option<f64>,
    fourth_cumulant_error: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undecided: Option<String>,
}

impl MomentsLine {
    fn new([mean, variance, third, fourth]: &[Reached<Enclosure>; 4], undecided: Option<String>) -> Self {
        Self {
            mean: value(mean),
            mean_error: error(mean),
            variance: value(variance),
            variance_error: error(variance),
            third_cumulant: value(third),
            third_cumulant_error: error(third),
            fourth_cumulant: value(fourth),
            fourth_cumulant_error: error(fourth),
            undecided,
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct PointLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Value>,
    q: f64,
    #[serde(flatten)]
    tails: TailFields,
    #[serde(flatten)]
    density: DensityFields,
    #[serde(flatten)]
    cross_check: Option<CrossCheckFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undecided: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct TailFields {
    cdf: Option<f64>,
    cdf_error: Option<f64>,
    sf: Option<f64>,
    sf_error: Option<f64>,
    algorithm: Option<&'static str>,
    nodes: usize,
}

impl TailFields {
    fn new(tails: &Reached<Tails>) -> Self {
        let tails = tails.as_ref();
        Self {
            cdf: tails.ok().map(|tails| tails.cdf.value),
            cdf_error: tails.ok().map(|tails| tails.cdf.error),
            sf: tails.ok().map(|tails| tails.survival.value),
            sf_error: tails.ok().map(|tails| tails.survival.error),
            algorithm: tails.ok().map(|tails| algorithm_name(tails.algorithm)),
            nodes: tails.map_or_else(nodes_spent, |tails| tails.nodes),
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct DensityFields {
    density: Option<f64>,
    density_error: Option<f64>,
    density_algorithm: Option<&'static str>,
    density_nodes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    density_note: Option<&'static str>,
}

impl DensityFields {
    fn new(density: &Reached<Evaluation>) -> Self {
        let density = density.as_ref();
        Self {
            density: density.ok().map(|density| density.enclosure.value),
            density_error: density.ok().map(|density| density.enclosure.error),
            density_algorithm: density.ok().map(|density| algorithm_name(density.algorithm)),
            density_nodes: density.map_or_else(nodes_spent, |density| density.nodes),
            density_note: density.err().filter(|error| is_unbounded(error)).map(|_| "unbounded"),
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct CrossCheckFields {
    cross_check_cdf: Option<f64>,
    cross_check_cdf_error: Option<f64>,
    cross_check_sf: Option<f64>,
    cross_check_sf_error: Option<f64>,
    cross_check_algorithm: Option<&'static str>,
    cross_check_nodes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    cross_check_note: Option<String>,
}

impl CrossCheckFields {
    fn new(checked: &Reached<Tails>) -> Self {
        let TailFields { cdf, cdf_error, sf, sf_error, algorithm, nodes } = TailFields::new(checked);
        Self {
            cross_check_cdf: cdf,
            cross_check_cdf_error: cdf_error,
            cross_check_sf: sf,
            cross_check_sf_error: sf_error,
            cross_check_algorithm: algorithm,
            cross_check_nodes: nodes,
            cross_check_note: checked.as_ref().err().map(ToString::to_string),
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct QuantileLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<Probability>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p_upper: Option<Probability>,
    quantile: Option<f64>,
    quantile_error: Option<f64>,
    algorithm: Option<&'static str>,
    nodes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    undecided: Option<String>,
}

impl<'a> QuantileLine<'a> {
    fn new(
        id: Option<&'a Value>,
        (p, p_upper): (Option<Probability>, Option<Probability>),
        quantile: &Reached<Evaluation>,
        undecided: Option<String>,
    ) -> Self {
        let quantile = quantile.as_ref();
        Self {
            id,
            p,
            p_upper,
            quantile: quantile.ok().map(|quantile| quantile.enclosure.value),
            quantile_error: quantile.ok().map(|quantile| quantile.enclosure.error),
            algorithm: quantile.ok().map(|quantile| algorithm_name(quantile.algorithm)),
            nodes: quantile.map_or_else(nodes_spent, |quantile| quantile.nodes),
            undecided,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(cdf: f64, checked: f64, error: f64) -> Answer {
        let tails = |cdf: f64, algorithm| {
            let survival = Enclosure { value: 1.0 - cdf, error };
            Ok(Tails { cdf: Enclosure { value: cdf, error }, survival, algorithm, nodes: 8 })
        };
        Answer::Point {
            q: 2.0,
            tails: tails(cdf, Algorithm::Hyperbola),
            density: Err(QuadraticFormError::UnboundedDensity(0.0)),
            cross_check: Some(tails(checked, Algorithm::Ruben)),
        }
    }

    #[test]
    fn two_algorithms_contradict_each_other_only_beyond_both_bounds() {
        let agreeing = answer(0.25, 0.25 + 2e-10, 1e-10);
        assert_eq!((agreeing.disagreement(), agreeing.exit_code()), (None, ExitCode::Met));
        let apart = answer(0.25, 0.25 + 3e-10, 1e-10);
        assert_eq!(apart.exit_code(), ExitCode::Bug);
        let message = apart.disagreement().unwrap();
        for fragment in ["P(Q ≤ q) at 2.0", "(hyperbola)", "(ruben)", "a bug in vaecert"] {
            assert!(message.contains(fragment), "{message}");
        }
        assert!(apart.json(None).unwrap().contains("\"error\":\"P(Q"));
    }

    #[test]
    fn a_cross_check_that_does_not_converge_is_said_and_changes_nothing() {
        let Answer::Point { q, tails, density, .. } = answer(0.25, 0.25, 1e-10) else { unreachable!() };
        let out_of_reach = QuadraticFormError::NotConverged { relative_error: 0.5, nodes: 99 };
        let unchecked = Answer::Point { q, tails, density, cross_check: Some(Err(out_of_reach.clone())) };
        assert_eq!(unchecked.exit_code(), ExitCode::Met);
        let line: Value = serde_json::from_str(&unchecked.json(None).unwrap()).unwrap();
        assert_eq!((&line["cross_check_cdf"], &line["cross_check_nodes"]), (&Value::Null, &Value::from(99)));
        assert!(line["cross_check_note"].as_str().unwrap().contains("not converged"));
        assert_eq!((&line["density"], &line["density_note"]), (&Value::Null, &Value::from("unbounded")));

        let Answer::Point { q, density, cross_check, .. } = unchecked else { unreachable!() };
        let undecided = Answer::Point { q, tails: Err(out_of_reach), density, cross_check };
        assert_eq!(undecided.exit_code(), ExitCode::Undecided);
        assert!(undecided.json(None).unwrap().contains("\"undecided\":\"tails: not converged"));
    }
}
