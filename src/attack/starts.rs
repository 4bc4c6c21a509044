//! Directions to try first: where the code, or the reconstruction, reacts most to first order.

use nalgebra::{DMatrix, DVector};

use crate::linalg::{symmetric_square_root, top_right_singular_vector, LinalgError};

/// Unit directions ±v for the top right singular vectors v of S⁻¹J (the code's whitened shift) and of J_gJ (the
/// reconstruction's shift). `encoder_jacobian`: `[d_z, d_x]`; `encoder_std`: `[d_z]`; `decoder_gram` = J_gᵀJ_g: `[d_z, d_z]`.
/// Empty where the Jacobian vanishes.
///
/// # Errors
/// If an entry is not finite or an eigenvalue iteration does not converge.
pub fn structured_directions(
    encoder_jacobian: &DMatrix<f64>,
    encoder_std: &DVector<f64>,
    decoder_gram: &DMatrix<f64>,
) -> Result<Vec<Vec<f32>>, LinalgError> {
    if encoder_jacobian.iter().all(|&entry| entry == 0.0) {
        return Ok(vec![]);
    }
    let mut whitened = encoder_jacobian.clone();
    for (mut row, std) in whitened.row_iter_mut().zip(encoder_std.iter()) {
        row /= *std;
    }
    // J_gJ and (J_gᵀJ_g)^{1/2}J have the same right singular vectors, and the latter is only d_z × d_x.
    let damage = symmetric_square_root(decoder_gram)? * encoder_jacobian;
    let mut directions = Vec::new();
    for matrix in [whitened, damage] {
        if matrix.iter().any(|&entry| entry != 0.0) {
            let vector = top_right_singular_vector(&matrix)?;
            directions.push(single_precision(&vector, 1.0));
            directions.push(single_precision(&vector, -1.0));
        }
    }
    Ok(directions)
}

// Directions are only starting points; their rounding is immaterial.
#[allow(clippy::cast_possible_truncation)]
fn single_precision(vector: &DVector<f64>, sign: f64) -> Vec<f32> {
    vector.iter().map(|&entry| (sign * entry) as f32).collect()
}
