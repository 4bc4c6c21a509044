//! Functions of one value, step by step, until it is plain which activation they are.
//!
//! Exporters write some activations in parts: softplus as log(exp(x) + 1), the sigmoid as 1 / (1 + exp(−x)), a standard
//! deviation as exp(x / 2). So single steps are collected, simplified, and only then turned into layers.

use std::fmt;

use super::error::NodeFault;
use crate::import::sequence::Sequence;
use crate::model::architecture::StdLink;
use crate::model::Activation;

/// More steps than this in a row are no activation.
const MAX_STEPS: usize = 16;

/// A step, applied to every element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    Scale(f64),
    Shift(f64),
    Exp,
    Log,
    Sqrt,
    Reciprocal,
    Softplus,
    Sigmoid,
}

/// Steps in the order in which they are applied.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Formula(Vec<Step>);

impl Formula {
    pub(super) fn is_identity(&self) -> bool {
        self.0.is_empty()
    }

    /// One more step.
    ///
    /// # Errors
    /// [`NodeFault::Formula`] after too many steps that make no activation.
    pub(super) fn push(&mut self, step: Step) -> Result<(), NodeFault> {
        self.0.push(step);
        while self.simplify() {}
        if self.0.len() > MAX_STEPS {
            return Err(NodeFault::Formula { found: self.to_string() });
        }
        Ok(())
    }

    /// Shortens the end where it can be; whether it could.
    fn simplify(&mut self) -> bool {
        use Step::{Exp, Log, Reciprocal, Scale, Shift, Sigmoid, Softplus};
        let (drop, put): (usize, &[Step]) = match *self.0.as_slice() {
            [.., Scale(1.0)] => (1, &[]),
            [.., Shift(0.0)] => (1, &[]),
            [.., Scale(a), Scale(b)] => (2, &[Scale(a * b)]),
            [.., Shift(a), Shift(b)] => (2, &[Shift(a + b)]),
            [.., Exp, Shift(1.0), Log] => (3, &[Softplus]),
            [.., Exp, Shift(1.0), Reciprocal] => (3, &[Scale(-1.0), Sigmoid]),
            [.., Scale(a), Scale(b), Sigmoid] => (3, &[Scale(a * b), Sigmoid]),
            [.., Scale(1.0), Sigmoid] => (2, &[Sigmoid]),
            _ => return false,
        };
        self.0.truncate(self.0.len() - drop);
        self.0.extend_from_slice(put);
        true
    }

    /// Whether this is softplus of `argument`.
    pub(super) fn is_softplus_of(&self, argument: &Self) -> bool {
        matches!(self.0.split_last(), Some((Step::Softplus, rest)) if rest == argument.0.as_slice())
    }

    /// Appends the steps as layers.
    ///
    /// # Errors
    /// [`NodeFault::Formula`] for a step that is no layer.
    pub(super) fn settle(&self, sequence: &mut Sequence) -> Result<(), NodeFault> {
        for step in &self.0 {
            match *step {
                Step::Scale(scale) => sequence.scale_and_shift(&[scale], &[0.0])?,
                Step::Shift(shift) => sequence.scale_and_shift(&[1.0], &[shift])?,
                Step::Softplus => sequence.activation(Activation::Softplus)?,
                Step::Sigmoid => sequence.activation(Activation::Sigmoid)?,
                Step::Exp | Step::Log | Step::Sqrt | Step::Reciprocal => {
                    return Err(NodeFault::Formula { found: self.to_string() })
                }
            }
        }
        Ok(())
    }

    /// Reads the steps as link(s) + floor; the formula that is left is s. None if they are not of that form.
    pub(super) fn standard_deviation(&self) -> Option<(Self, StdLink, f64)> {
        let (steps, floor) = match self.0.as_slice() {
            [steps @ .., Step::Shift(floor)] if *floor >= 0.0 => (steps, *floor),
            steps => (steps, 0.0),
        };
        let (argument, link, scale, factor) = match steps {
            [argument @ .., Step::Softplus] => (argument, StdLink::Softplus, 1.0, 1.0),
            [argument @ .., Step::Exp] => (argument, StdLink::HalfLogVariance, 2.0, 1.0),
            [argument @ .., Step::Exp, Step::Scale(factor)] => (argument, StdLink::HalfLogVariance, 2.0, *factor),
            [argument @ .., Step::Exp, Step::Sqrt] => (argument, StdLink::HalfLogVariance, 1.0, 1.0),
            [argument @ .., Step::Exp, Step::Scale(factor), Step::Sqrt] => {
                (argument, StdLink::HalfLogVariance, 1.0, *factor)
            }
            _ => return None,
        };
        if factor <= 0.0 {
            return None;
        }
        // factor · exp(s) = exp(s + ln factor).
        let mut formula = Self(argument.to_vec());
        formula.push(Step::Shift(factor.ln())).ok()?;
        formula.push(Step::Scale(scale)).ok()?;
        Some((formula, link, floor))
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = "s".to_owned();
        for step in &self.0 {
            text = match step {
                Step::Scale(scale) => format!("{scale}·{text}"),
                Step::Shift(shift) => format!("({text} + {shift})"),
                Step::Exp => format!("exp({text})"),
                Step::Log => format!("log({text})"),
                Step::Sqrt => format!("sqrt({text})"),
                Step::Reciprocal => format!("1/({text})"),
                Step::Softplus => format!("softplus({text})"),
                Step::Sigmoid => format!("sigmoid({text})"),
            };
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formula(steps: &[Step]) -> Formula {
        let mut formula = Formula::default();
        for step in steps {
            formula.push(*step).unwrap();
        }
        formula
    }

    #[test]
    fn activations_in_parts_are_put_together() {
        use Step::{Exp, Log, Reciprocal, Scale, Shift, Sigmoid, Softplus};
        assert_eq!(formula(&[Exp, Shift(1.0), Log]).0, [Softplus]);
        assert_eq!(formula(&[Scale(-1.0), Exp, Shift(1.0), Reciprocal]).0, [Sigmoid]);
        assert_eq!(formula(&[Scale(-2.0), Exp, Shift(1.0), Reciprocal]).0, [Scale(2.0), Sigmoid]);
        assert_eq!(formula(&[Shift(1.0), Shift(-1.0)]).0, []);
    }

    #[test]
    fn a_standard_deviation_is_read_as_link_and_floor() {
        use Step::{Exp, Log, Scale, Shift, Softplus, Sqrt};
        let read = |steps: &[Step]| formula(steps).standard_deviation().map(|(s, link, floor)| (s.0, link, floor));
        assert_eq!(read(&[Scale(0.5), Exp]), Some((vec![], StdLink::HalfLogVariance, 0.0)));
        assert_eq!(read(&[Exp, Sqrt]), Some((vec![], StdLink::HalfLogVariance, 0.0)));
        assert_eq!(read(&[Exp]), Some((vec![Scale(2.0)], StdLink::HalfLogVariance, 0.0)));
        assert_eq!(read(&[Softplus, Shift(0.01)]), Some((vec![], StdLink::Softplus, 0.01)));
        let half = vec![Shift(0.5_f64.ln()), Scale(2.0)];
        assert_eq!(read(&[Exp, Scale(0.5)]), Some((half, StdLink::HalfLogVariance, 0.0)));
        for other in
            [vec![], vec![Softplus, Scale(2.0)], vec![Exp, Scale(-1.0)], vec![Softplus, Shift(-1.0)], vec![Log]]
        {
            assert_eq!(read(&other), None, "{other:?}");
        }
    }

    #[test]
    fn steps_without_end_are_refused() {
        let mut endless = Formula::default();
        let outcome = (0..100).try_for_each(|_| endless.push(Step::Exp));
        assert!(matches!(outcome, Err(NodeFault::Formula { .. })));
    }
}
