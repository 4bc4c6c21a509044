//! The model and its coordinates in which the damage is a diagonal quadratic form, with bounds of every rounding.

use crate::bounds::{check_std, BoundError};
use crate::linalg::{frobenius_norm, relative_rounding as relative, VerifiedEigen};
use nalgebra::{DMatrix, DVector};

/// Largest size, and inverse of the smallest one, that a scaled matrix may have: its fourth power is a double.
const LARGEST_SCALE: f64 = 1e60;
/// Smaller rows count as of this share: weights so large that rounding errors took over would only harm.
const LEAST_ROW: f64 = 1e-12;

/// Encoder mean Ax + a with constant standard deviation σ, decoder Wz + b.
#[derive(Debug, Clone, Copy)]
pub struct LinearGaussian<'a> {
    encoder_gain: &'a DMatrix<f64>,
    encoder_std: &'a DVector<f64>,
    decoder_gain: &'a DMatrix<f64>,
}

impl<'a> LinearGaussian<'a> {
    /// `encoder_gain` A, `[d_z, d_x]`; `encoder_std` σ, `[d_z]`; `decoder_gain` W, `[outputs, d_z]`.
    ///
    /// # Errors
    /// [`BoundError::Shape`], [`BoundError::StandardDeviation`], [`BoundError::Linalg`] for entries that are not finite.
    pub fn new(
        encoder_gain: &'a DMatrix<f64>,
        encoder_std: &'a DVector<f64>,
        decoder_gain: &'a DMatrix<f64>,
    ) -> Result<Self, BoundError> {
        let expected = encoder_gain.nrows();
        if expected == 0 {
            return Err(BoundError::Shape { what: "the code", expected: 1, found: 0 });
        }
        for (what, found) in [("the encoder std", encoder_std.len()), ("a decoder row", decoder_gain.ncols())] {
            if found != expected {
                return Err(BoundError::Shape { what, expected, found });
            }
        }
        for (index, &value) in encoder_std.iter().enumerate() {
            check_std(index, value)?;
        }
        // Fails on entries that are not finite.
        frobenius_norm(encoder_gain)?;
        frobenius_norm(decoder_gain)?;
        Ok(Self { encoder_gain, encoder_std, decoder_gain })
    }

    /// d_x, the length of δ.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.encoder_gain.ncols()
    }

    /// The model in the eigenvectors of SWᵀWS/r².
    pub(super) fn whitened(&self, radius: f64) -> Result<Whitened, BoundError> {
        let latents = self.encoder_std.len();
        let mut output = self.decoder_gain.clone();
        let mut gain = self.encoder_gain.clone();
        for (i, &std) in self.encoder_std.iter().enumerate() {
            let factor = std / radius;
            if !factor.is_normal() {
                return Err(BoundError::OutOfRange { what: "the encoder's standard deviation over the radius" });
            }
            // What underflows here is nothing beside a norm in range.
            output.column_mut(i).iter_mut().for_each(|entry| *entry *= factor);
            gain.row_mut(i).iter_mut().for_each(|entry| *entry /= std);
        }
        let output_norm = in_range("the decoder gain times the std over the radius", self.decoder_gain, &output)?;
        let gain_norm = in_range("the encoder gain over the std", self.encoder_gain, &gain)?;
        let gram = output.tr_mul(&output);
        let eigen = VerifiedEigen::new(gram)?;
        let error = eigen.error + 1.01 * relative(output.nrows()) * output_norm * output_norm;
        // ‖V̂ − Ṽ‖₂ ≤ departure, then the rounding of the product and of the quotients.
        let gain_error = 1.1 * gain_norm * (eigen.departure + relative(latents) * (latents as f64).sqrt());
        let gain = eigen.vectors.tr_mul(&gain);
        let gram = &gain * gain.transpose();
        let least = LEAST_ROW * gram.trace();
        Ok(Whitened {
            low: eigen.values.iter().map(|value| ((value - error) * (1.0 - f64::EPSILON)).max(0.0)).collect(),
            high: eigen.values.iter().map(|value| (value + error) * (1.0 + f64::EPSILON)).collect(),
            gain_error,
            gram_error: 1.01 * relative(gain.ncols()) * gain.norm_squared(),
            row_sizes: gram.diagonal().iter().map(|size| size.max(least)).collect(),
            gram,
            gain,
        })
    }
}

/// The damage in whitened coordinates: ‖Δ‖²/r² = (η + ν)ᵀG(η + ν) with ν = S⁻¹Aδ and G = SWᵀWS/r².
///
/// Let Ṽ be the orthogonal polar factor of the computed eigenvectors V̂. Then G = Ṽ Λ̂ Ṽᵀ + E with ‖E‖₂ ≤ ε, so
/// in the positive semidefinite order Ṽ(Λ̂ − ε)Ṽᵀ ⪯ G ⪯ Ṽ(Λ̂ + ε)Ṽᵀ. Since Ṽᵀη is standard normal, with
/// u = ṼᵀS⁻¹Aδ and F(λ, u) = P(Σ λ_i(N_i + u_i)² ≤ 1)
///
/// F(Λ̂ + ε, u) ≤ P(δ) ≤ F(max(Λ̂ − ε, 0), u).
pub(super) struct Whitened {
    /// Lower bounds of Λ̂ − ε, at least 0.
    pub(super) low: Vec<f64>,
    /// Upper bounds of Λ̂ + ε; positive unless W = 0.
    pub(super) high: Vec<f64>,
    /// V̂ᵀS⁻¹A as computed, `[d_z, d_x]`.
    pub(super) gain: DMatrix<f64>,
    /// A bound of ‖gain − ṼᵀS⁻¹A‖₂.
    pub(super) gain_error: f64,
    /// MMᵀ for M = gain, as computed, `[d_z, d_z]`.
    pub(super) gram: DMatrix<f64>,
    /// A bound of the Frobenius norm of its rounding.
    gram_error: f64,
    /// ‖M_i‖² for the rows of M, at least [`LEAST_ROW`] of their sum.
    pub(super) row_sizes: Vec<f64>,
}

impl Whitened {
    /// √c MMᵀ √c for `weights` c.
    pub(super) fn weighted_gram(&self, weights: &[f64]) -> DMatrix<f64> {
        DMatrix::from_fn(weights.len(), weights.len(), |i, j| self.gram[(i, j)] * weights[i].sqrt() * weights[j].sqrt())
    }

    /// A lower bound of ‖δ‖ over all δ with c·(Mδ)² ≥ 1, for `weights` c ≥ 0, and the x with δ = Mᵀx that about
    /// attains it. ‖√c Mδ‖ ≤ (√λ_max + √max c·‖M̂ − M‖)‖δ‖ with the roundings of M̂M̂ᵀ inside the root.
    pub(super) fn distance(&self, weights: &[f64]) -> Result<(f64, DVector<f64>), BoundError> {
        let eigen = VerifiedEigen::new(self.weighted_gram(weights))?;
        let (value, vector) = eigen.top();
        let largest = weights.iter().copied().fold(0.0, f64::max);
        let squared = value * (1.0 + 1e-14) + eigen.error + 1.1 * largest * self.gram_error;
        let norm = squared.sqrt() + largest.sqrt() * self.gain_error;
        let attains = DVector::from_fn(weights.len(), |i, _| vector[i] * weights[i].sqrt());
        Ok(((1.0 - 1e-14) / norm, attains))
    }

    /// A bound of ‖M_i‖₂, which bounds |u_i| for perturbations of norm 1.
    pub(super) fn row_norm(&self, row: usize) -> f64 {
        ((self.gram[(row, row)] + self.gram_error).sqrt() + self.gain_error) * (1.0 + 1e-14)
    }

    /// `(low, high)` with low_i ≤ |u_i| ≤ high_i for u = ṼᵀS⁻¹Aδ and a δ of norm at most 1 + 1e-12.
    pub(super) fn shifts(&self, perturbation: &DVector<f64>) -> (Vec<f64>, Vec<f64>) {
        let computed = &self.gain * perturbation;
        let error = 1.1 * (self.gain_error + relative(perturbation.len()) * self.gain.norm());
        let low = computed.iter().map(|u| ((u.abs() - error) * (1.0 - 1e-15)).max(0.0)).collect();
        (low, computed.iter().map(|u| (u.abs() + error) * (1.0 + 1e-15)).collect())
    }
}

/// ‖`scaled`‖_F, 0 only where `raw` is 0.
fn in_range(what: &'static str, raw: &DMatrix<f64>, scaled: &DMatrix<f64>) -> Result<f64, BoundError> {
    let norm = scaled.norm();
    let zero = raw.iter().all(|entry| entry.abs() <= 0.0);
    if zero || (1.0 / LARGEST_SCALE..=LARGEST_SCALE).contains(&norm) {
        Ok(norm)
    } else {
        Err(BoundError::OutOfRange { what })
    }
}
