//! Where F falls to the level along a ray on which log F is concave and falling (Prékopa, 1973; Anderson, 1955).

use crate::bounds::BoundError;

const MAX_STEPS: usize = 200;
/// How far from a scale where F is not known others are tried.
const SMALLEST_SHARE: f64 = 1e-20;
const LARGEST_SHARE: f64 = 1e40;
/// Steps between two bisections, which keep the secants from creeping.
const BISECT_EVERY: usize = 5;

/// The level along one ray s ↦ F(su), s ≥ 0.
#[derive(Debug, Clone)]
pub(super) struct Crossing {
    /// Scales s with a lower bound of F(su) above the level, ascending in s; empty where already F(0) has none.
    pub(super) kept: Vec<(f64, f64)>,
    /// F(su) is at most the level here; infinite where no such scale was seen.
    pub(super) outside: f64,
}

impl Crossing {
    /// The largest scale with F above the level, 0 if none.
    pub(super) fn inside(&self) -> f64 {
        self.kept.last().map_or(0.0, |&(scale, _)| scale)
    }

    /// A scale with F at least `level`, the largest that the kept points prove: log F is concave along the ray, so
    /// between two points it lies above the chord of its lower bounds. `None` where not even F(0) is so large.
    pub(super) fn reach(&self, level: f64) -> Option<f64> {
        let last = self.kept.iter().rposition(|&(_, lower)| lower >= level)?;
        let (scale, lower) = self.kept[last];
        let Some(&(next, next_lower)) = self.kept.get(last + 1) else {
            return Some(scale);
        };
        // 1e-15 covers the rounding of each quotient and logarithm.
        let share = ((lower / level).ln() - 1e-15) / ((lower / next_lower).ln() + 1e-15);
        Some((scale + (next - scale) * share.clamp(0.0, 1.0)) * (1.0 - 1e-15))
    }
}

/// Encloses the scale where F falls to `level`: `probe(s)` gives the lower and upper bound of F that decide there.
/// Stops at a bracket of relative width `tolerance`, at `farthest`, or where the bounds of F no longer separate.
///
/// By concavity of log F the secant through two kept points meets the level outside and the one from a kept point
/// to one outside meets it inside, so the two are used in turn.
pub(super) fn cross(
    level: f64,
    at_zero: (f64, f64),
    guess: f64,
    farthest: f64,
    tolerance: f64,
    mut probe: impl FnMut(f64) -> Result<(f64, f64), BoundError>,
) -> Result<Crossing, BoundError> {
    let mut found = Crossing { kept: Vec::new(), outside: f64::INFINITY };
    if at_zero.1 <= level {
        found.outside = 0.0;
        return Ok(found);
    }
    if at_zero.0 > level {
        found.kept.push((0.0, at_zero.0));
    }
    let height = |probability: f64| (probability.max(f64::MIN_POSITIVE) / level).ln();
    let (mut before, mut low) = ((0.0, f64::NAN), (0.0, height(at_zero.0).max(0.0)));
    let mut high = (f64::INFINITY, 0.0);
    let mut scale = guess.min(farthest);
    for step in 1..=MAX_STEPS {
        let (lower, upper) = probe(scale)?;
        let kept = lower > level;
        if kept {
            (before, low) = (low, (scale, height(lower)));
            found.kept.push((scale, lower));
            if scale >= farthest {
                break;
            }
        } else if upper <= level {
            high = (scale, height(upper));
            found.outside = scale;
        } else {
            separate(&mut found, level, scale, farthest, tolerance, &mut probe)?;
            break;
        }
        if found.outside - low.0 <= tolerance * low.0 {
            break;
        }
        scale = next_scale(before, low, high, scale, tolerance, kept, step).min(farthest);
        if !(scale > low.0 && scale < high.0) {
            break;
        }
    }
    Ok(found)
}

/// The next scale to probe; `before` and `low` are the last two kept points, as (scale, log of F over the level).
fn next_scale(
    before: (f64, f64),
    low: (f64, f64),
    high: (f64, f64),
    scale: f64,
    tolerance: f64,
    kept: bool,
    step: usize,
) -> f64 {
    let beyond = low.0 + low.1 * (low.0 - before.0) / (before.1 - low.1);
    if high.0.is_infinite() {
        let furthest = 8.0 * scale;
        return if beyond > low.0 { (beyond * (1.0 + 0.1 * tolerance)).min(furthest) } else { furthest };
    }
    let width = high.0 - low.0;
    let next = if step.is_multiple_of(BISECT_EVERY) {
        low.0 + 0.5 * width
    } else if kept && beyond > low.0 && beyond < high.0 {
        beyond + 0.1 * tolerance * high.0
    } else {
        low.0 + width * low.1 / (low.1 - high.1)
    };
    // A secant that meets an end is moved off it.
    let step_off = (0.2 * tolerance * high.0).min(0.25 * width);
    next.max(low.0 + step_off).min(high.0 - step_off)
}

/// Steps away from a scale where the bounds of F do not decide, to both sides, until they do.
fn separate(
    found: &mut Crossing,
    level: f64,
    centre: f64,
    farthest: f64,
    tolerance: f64,
    probe: &mut impl FnMut(f64) -> Result<(f64, f64), BoundError>,
) -> Result<(), BoundError> {
    let mut width = tolerance.max(1e-15);
    while width < 1.0 && centre * (1.0 - width) > found.inside() {
        let lower = probe(centre * (1.0 - width))?.0;
        if lower > level {
            found.kept.push((centre * (1.0 - width), lower));
            break;
        }
        width *= 4.0;
    }
    let mut scale = 0.5 * centre;
    while width >= 1.0 && scale > found.inside().max(SMALLEST_SHARE * centre) {
        let lower = probe(scale)?.0;
        if lower > level {
            found.kept.push((scale, lower));
            break;
        }
        scale *= 0.5;
    }
    let mut width = tolerance.max(1e-15);
    while width < LARGEST_SHARE && centre * (1.0 + width) < found.outside.min(farthest) {
        if probe(centre * (1.0 + width))?.1 <= level {
            found.outside = centre * (1.0 + width);
            break;
        }
        width *= 4.0;
    }
    Ok(())
}
