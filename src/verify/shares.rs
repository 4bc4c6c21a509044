//! A maximum over a window as a weighted sum: between which numbers the weights lie.
//!
//! Along the segment from a window's values a to a + Δa the maximum changes by ∫₀¹ Δa_{k(u)} du, where k(u) is a place
//! that is largest at a + uΔa. So Δmax = Σ s_kΔa_k with the share s_k ≥ 0 of the segment on which k leads, Σ s_k = 1.
//!
//! Let |Δa_k| ≤ t_k and let k* lead at first, g_k = a_k* − a_k. As long as uT_k < g_k, T_k = t_k* + t_k, k does not lead:
//! s_k ≤ 1 − g_k/T_k, or s_k = 0 if g_k ≥ T_k; and k* leads at least until one of the others can.

use super::map::runs;
use super::secant::Slope;

/// The shares of every value in windows that end there, for values within `error` of these that move by at most `reached`.
///
/// Nothing is known of values and moves that are not finite.
pub(super) fn shares(ends: &[usize], values: &[f64], error: f64, reached: &[f64]) -> Result<Vec<Slope>, String> {
    if let Some(k) = (0..values.len()).find(|&k| !(values[k] + reached[k] + error).is_finite()) {
        return Err(format!("unit {k} of a window: {:e} within {error:e}, moved by {:e}", values[k], reached[k]));
    }
    Ok(runs(ends).flat_map(|range| window(&values[range.clone()], error, &reached[range])).collect())
}

fn window(values: &[f64], error: f64, reached: &[f64]) -> Vec<Slope> {
    let leader = (0..values.len()).fold(0, |leader, k| if values[k] > values[leader] { k } else { leader });
    // How much of the segment passes at least before a place can lead; none if all of it does.
    let until = |k: usize| {
        let ahead = ((values[leader] - values[k]).next_down() - 2.0 * error).next_down();
        let moved = (reached[leader] + reached[k]).next_up();
        (ahead < moved).then(|| (ahead / moved).next_down().max(0.0))
    };
    let others = (0..values.len()).filter(|&k| k != leader);
    let undisputed = others.filter_map(until).reduce(f64::min);
    let range = |k: usize| match (k == leader, until(k)) {
        (true, _) => (undisputed.unwrap_or(1.0), 1.0),
        (false, Some(until)) => (0.0, (1.0 - until).next_up().min(1.0)),
        (false, None) => (0.0, 0.0),
    };
    (0..values.len()).map(|k| Slope::new(range(k))).collect()
}
