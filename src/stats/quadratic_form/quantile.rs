//! Quantiles: Newton's method on the trapezoid rule, then a bracket checked with bounded tails.
//!
//! One rule serves the Newton steps near its own point, because only e^{−tv} changes with t. They work on the
//! logarithm of the tail, and of t for a lower tail of a form without negative values: there both are nearly
//! linear. What is returned does not depend on how the iteration went: P ≤ p at one end and P ≥ p at the other are
//! read off enclosures.

use super::contour::{Trapezoid, ROUNDING};
use super::form::Form;
use super::scaled::{ldexp, Scaled};
use super::tilt::Side;
use super::{tails, tilted, Algorithm, Enclosure, Evaluation, QuadraticFormError, Tilted, LARGEST_RELATIVE_ERROR};
use crate::stats::normal;

/// Points at which a rule is set up before the search is given up.
const MAX_RULES: usize = 100;
/// Newton steps with one rule.
const MAX_STEPS: usize = 20;
/// Brackets tried, each four times wider than the one before.
const MAX_BRACKETS: usize = 12;
/// A rule is used within this many standard deviations of the tilted form.
const REACH: f64 = 2.0;
/// Steps this small beside t, or beside a tenth of the spread where t is next to 0, are rounding.
const SETTLED: f64 = 16.0 * f64::EPSILON;
/// Towards 0, t shrinks at most this much at once.
const SMALLEST_STEP: f64 = 1e-60;
/// The first guess for a form without negative values is at least this share of its mean.
const SMALLEST_START: f64 = 1e-3;

/// What Newton's method makes of a point.
struct Guess {
    /// Where to go; NaN where the tail underflows.
    t: f64,
    /// Whether the tail at the point is larger than asked for.
    tail_exceeds: bool,
    /// Half the width of a bracket that should hold the quantile; `None` where the rule must be set up anew.
    half_width: Option<f64>,
    /// The tilted form's standard deviation: the scale on which the tail changes here.
    spread: f64,
}

/// The q with P(Q ≤ q) = `probability` (lower side) or P(Q > q) = `probability` (upper side).
pub(super) fn quantile(form: &Form, side: Side, probability: f64) -> Result<Evaluation, QuadraticFormError> {
    // Beyond one half the other tail is the smaller one, and the difference is exact.
    let (side, probability) =
        if probability <= 0.5 { (side, probability) } else { (side.opposite(), 1.0 - probability) };
    let (enclosure, nodes) = bracket(form, side, probability, &search(form, side, probability)?)?;
    let enclosure = enclosure.scaled(form.exponent);
    if enclosure.upper().is_finite() && enclosure.lower().is_finite() {
        Ok(Evaluation { enclosure, algorithm: Algorithm::Hyperbola, nodes })
    } else {
        Err(QuadraticFormError::OUT_OF_REACH)
    }
}

/// A point near the quantile and half the width of a bracket that should hold it.
fn search(form: &Form, side: Side, probability: f64) -> Result<Guess, QuadraticFormError> {
    let reflected = form.reflected();
    let (mean, deviation) = (form.mean(), form.variance().sqrt());
    // One standard deviation beyond the mean leaves at least half behind (Cantelli).
    let (mut low, mut high) = match side {
        Side::Lower => (f64::NEG_INFINITY, mean + deviation),
        Side::Upper => (mean - deviation, f64::INFINITY),
    };
    let mut t = start(form, side, probability).clamp(low, high);
    for _ in 0..MAX_RULES {
        let guess = if t >= 0.0 {
            improve(form, side, probability, t)?
        } else {
            let guess = improve(&reflected, side.opposite(), probability, -t)?;
            Guess { t: -guess.t, ..guess }
        };
        if guess.half_width.is_some() {
            return Ok(guess);
        }
        if guess.tail_exceeds == (side == Side::Lower) {
            high = t;
        } else {
            low = t;
        }
        t = if guess.t >= low && guess.t <= high { guess.t } else { 0.5 * (low + high) };
    }
    Err(QuadraticFormError::OUT_OF_REACH)
}

/// Newton's method with the rule at t ≥ 0, as far as that serves.
fn improve(form: &Form, side: Side, probability: f64, t: f64) -> Result<Guess, QuadraticFormError> {
    let Tilted { side: rule_side, tilt, by } = tilted(form, t)?;
    let rule = Trapezoid::unchecked(&tilt).ok_or(QuadraticFormError::OUT_OF_REACH)?;
    let spread = ldexp(tilt.deviation, -by);
    let (mut distance, mut tail_exceeds) = (0.0f64, None);
    for _ in 0..MAX_STEPS {
        let here = t + distance;
        let (direct, density) = rule.moved(ldexp(distance, by));
        let direct = tilt.peak.times(Scaled::new(direct.max(f64::MIN_POSITIVE) / tilt.c.abs())).get();
        let density = ldexp(tilt.peak.times(Scaled::new(density.max(f64::MIN_POSITIVE))).get(), by);
        let tail = if rule_side == side { direct } else { 1.0 - direct };
        let tail_exceeds = *tail_exceeds.get_or_insert(tail > probability);
        let excess = (probability / tail).ln() * tail / density;
        let step = match side {
            Side::Lower if form.is_nonnegative() => here * (excess / here).exp_m1(),
            Side::Lower => excess,
            Side::Upper => -excess,
        };
        if !step.is_finite() {
            return Ok(Guess { t: f64::NAN, tail_exceeds, half_width: None, spread });
        }
        if step.abs() <= SETTLED * here.max(0.1 * spread) {
            let relative_error = rule.error / rule.value() + tilt.peak_error + 10.0 * ROUNDING;
            let complement = if rule_side == side { 0.0 } else { ROUNDING };
            let half_width = 1.5 * (relative_error * direct + complement) / density + 8.0 * ROUNDING * here;
            return Ok(Guess { t: here, tail_exceeds, half_width: Some(half_width), spread });
        }
        distance += step;
        if !(-0.5 * t..=REACH * spread).contains(&distance) {
            break;
        }
    }
    let end = t + distance;
    let t = if form.is_nonnegative() { end.max(SMALLEST_STEP * t) } else { end };
    Ok(Guess { t, tail_exceeds: tail_exceeds.unwrap_or(false), half_width: None, spread })
}

/// A bracket whose ends are checked, with what it cost.
fn bracket(form: &Form, side: Side, probability: f64, guess: &Guess) -> Result<(Enclosure, usize), QuadraticFormError> {
    let Guess { t, half_width: Some(mut half_width), spread, .. } = *guess else {
        return Err(QuadraticFormError::OUT_OF_REACH);
    };
    let largest = LARGEST_RELATIVE_ERROR * t.abs().max(spread);
    let mut nodes = 0;
    for _ in 0..MAX_BRACKETS {
        let (low, high) = (t - half_width, t + half_width);
        let (below, above) = (tails(form, low)?, tails(form, high)?);
        nodes += below.nodes + above.nodes;
        let holds = match side {
            Side::Lower => below.cdf.upper() <= probability && probability <= above.cdf.lower(),
            Side::Upper => below.survival.lower() >= probability && probability >= above.survival.upper(),
        };
        if holds && half_width <= largest {
            let error = (high - t).max(t - low).next_up();
            return Ok((Enclosure { value: t, error }, nodes));
        }
        half_width *= 4.0;
    }
    Err(QuadraticFormError::NotConverged { relative_error: half_width / t.abs(), nodes })
}

/// A gamma distribution's quantile with the form's first three moments (Wilson & Hilferty, 1931).
fn start(form: &Form, side: Side, probability: f64) -> f64 {
    let quantile = normal::quantile(probability);
    let z = if side == Side::Lower { quantile } else { -quantile };
    let (mean, deviation) = (form.mean(), form.variance().sqrt());
    let skewness = form.third_cumulant() / deviation.powi(3);
    let standardized = if skewness.abs() < 1e-3 {
        z
    } else {
        2.0 / skewness * ((1.0 + skewness * z / 6.0 - skewness * skewness / 36.0).powi(3) - 1.0)
    };
    let t = mean + deviation * standardized;
    if form.is_nonnegative() {
        t.max(SMALLEST_START * mean)
    } else if form.is_nonpositive() {
        t.min(SMALLEST_START * mean)
    } else {
        t
    }
}
