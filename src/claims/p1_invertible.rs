//! P1-invertible: whether Σ = J_gS²J_gᵀ has an inverse.

use proptest::prelude::*;

use super::claim::{Experiment, Finding, Judgement, Obstacle, Trial};
use super::truth::linear_vae::{LinearVae, Sizes};
use crate::linalg::EnclosedCholesky;
use crate::stats::Enclosure;

/// det Σ ≠ 0, for decoders without a direction of the code that they ignore.
pub(super) struct Invertible;

/// Powers of 1/8 in an entry of Σ: σ², w and w.
const DIGITS: i32 = 12;
/// Entries of W and σ up to here make sums of products exact in doubles.
const LARGEST: f64 = 16.0;

impl Experiment for Invertible {
    type Instance = LinearVae;

    fn instances(&self) -> BoxedStrategy<LinearVae> {
        LinearVae::strategy(Sizes { inputs: 1, outputs: 3, latents: 3 }, 1.0)
    }

    fn judge(&self, instance: &LinearVae, _: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let (decoder, std) = (instance.decoder()?, instance.std());
        let eighths = |value: &f64| value.abs() <= LARGEST && (8.0 * value).fract() == 0.0;
        if !std.iter().all(|std| *std > 0.0 && eighths(std)) || !decoder.iter().all(eighths) {
            let expected = format!("expected multiples of 1/8 up to {LARGEST} in W and σ, and σ above 0");
            return Err(Obstacle(format!("det Σ is computed in integers: {expected}")));
        }
        // J_gᵀJ_g has an inverse, or the decoder ignores a direction of the code.
        let gram = |i: usize, j: usize| Enclosure::dot(decoder.column(i), decoder.column(j));
        if EnclosedCholesky::new(decoder.ncols(), gram).is_none() {
            return Ok(Judgement::vacuous("J_g has not full column rank"));
        }
        // Σ in units of 8⁻⁴ is a matrix of integers for the instances drawn.
        let outputs = decoder.nrows();
        let unit = 2f64.powi(DIGITS);
        let mut entries = vec![vec![0_i128; outputs]; outputs];
        for (i, row) in entries.iter_mut().enumerate() {
            for (j, entry) in row.iter_mut().enumerate() {
                let sum: f64 = (0..std.len()).map(|k| decoder[(i, k)] * decoder[(j, k)] * std[k] * std[k]).sum();
                // An integer far below 2⁵³.
                #[allow(clippy::cast_possible_truncation)]
                let whole = (sum * unit) as i128;
                *entry = whole;
            }
        }
        let determinant = determinant(entries).ok_or_else(|| Obstacle("the determinant is out of reach".to_owned()))?;
        let finding = if determinant == 0 { Finding::Contradicts } else { Finding::Agrees };
        let line = format!(
            "{}: Σ is {outputs}×{outputs} of rank {}, det Σ {} 0",
            instance.show_decoder(),
            std.len(),
            if determinant == 0 { "=" } else { "≠" }
        );
        Ok(Judgement::new(finding, line, &[]))
    }
}

/// The determinant of integers, exactly, by fraction-free elimination (Bareiss, 1968); none where it overflows.
fn determinant(mut rows: Vec<Vec<i128>>) -> Option<i128> {
    let size = rows.len();
    let (mut previous, mut sign) = (1_i128, 1_i128);
    for k in 0..size {
        let Some(pivot) = (k..size).find(|&row| rows[row][k] != 0) else { return Some(0) };
        if pivot != k {
            rows.swap(pivot, k);
            sign = -sign;
        }
        for i in k + 1..size {
            for j in k + 1..size {
                let cross = rows[i][j].checked_mul(rows[k][k])?.checked_sub(rows[i][k].checked_mul(rows[k][j])?)?;
                rows[i][j] = cross / previous;
            }
        }
        previous = rows[k][k];
    }
    Some(sign * previous)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn determinants_found_by_hand() {
        assert_eq!(determinant(vec![vec![2, 3], vec![1, 4]]), Some(5));
        assert_eq!(determinant(vec![vec![0, 1], vec![1, 0]]), Some(-1));
        assert_eq!(determinant(vec![vec![1, 2, 3], vec![4, 5, 6], vec![7, 8, 9]]), Some(0));
        assert_eq!(determinant(vec![vec![2, 0, 1], vec![1, 3, 2], vec![1, 1, 4]]), Some(18));
    }

    #[test]
    fn numbers_that_integers_cannot_hold_are_refused() {
        use crate::claims::theory::Stated;
        use crate::claims::truth::linear_vae::Latent;
        let judge = |std: f64, entry: f64| {
            let latent = |decoder: &[f64]| Latent { encoder: vec![1.0], std, decoder: decoder.to_vec() };
            let model = LinearVae { latents: vec![latent(&[1.0, 1.0]), latent(&[0.0, entry])], radius_factor: 1.0 };
            let failure_probability = crate::quantity::Probability::HALF;
            let trial = Trial { theory: &Stated, seed: crate::seed::Seed(0), stream: "test", failure_probability };
            Invertible.judge(&model, &trial)
        };
        assert_eq!(judge(1.0, 0.125).unwrap().finding, Finding::Agrees);
        // det Σ = 1e-18, which rounding would make 0.
        assert!(judge(1.0, 1e-9).unwrap_err().0.contains("multiples of 1/8"));
        assert!(judge(0.0, 1.0).is_err() && judge(1.0, 1e30).is_err());
    }
}
