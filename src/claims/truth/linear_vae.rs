//! Linear-Gaussian VAEs: μ(x) = Ax, constant σ, g(z) = Wz.

use candle_core::{Device, Tensor};
use nalgebra::{DMatrix, DVector};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bounds::LinearGaussian;
use crate::claims::claim::{show, Obstacle};
use crate::claims::grid;
use crate::model::{Architecture, Vae};
use crate::quantity::Radius;
use crate::stats::Enclosure;

/// One latent coordinate of a linear VAE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Latent {
    /// Its row of A, [d_x].
    pub(crate) encoder: Vec<f64>,
    /// σ.
    pub(crate) std: f64,
    /// Its column of W, one entry per output.
    pub(crate) decoder: Vec<f64>,
}

/// A linear VAE and a radius r = `radius_factor`·√(Tr Σ), Σ = WS²Wᵀ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinearVae {
    pub(crate) latents: Vec<Latent>,
    pub(crate) radius_factor: f64,
}

/// How large drawn models are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) latents: usize,
}

/// Largest size in any direction that a file may ask for.
const LARGEST_SIZE: usize = 64;

/// Factors of √(Tr Σ) around those at which P(‖Δ(x, 0)‖ ≤ r) is one half.
pub(crate) const RADIUS_FACTORS: [f64; 16] =
    [1.0, 2.0, 0.5, 1.5, 3.0, 1.25, 0.75, 1.75, 2.5, 0.625, 0.875, 1.125, 1.375, 0.6875, 0.8125, 0.9375];

impl LinearVae {
    /// Models of up to these sizes, with a radius factor of at least `least_factor`.
    pub(crate) fn strategy(largest: Sizes, least_factor: f64) -> BoxedStrategy<Self> {
        Self::with_perturbation(largest, least_factor).prop_map(|(model, _)| model).boxed()
    }

    /// The same, each with a perturbation of its input. Latent coordinates, inputs and outputs can each be left out in
    /// shrinking.
    pub(crate) fn with_perturbation(largest: Sizes, least_factor: f64) -> impl Strategy<Value = (Self, Vec<f64>)> {
        let factors: Vec<f64> = RADIUS_FACTORS.into_iter().filter(|factor| *factor >= least_factor).collect();
        let stds = grid::several(grid::positive(), largest.latents);
        let inputs = grid::several((grid::any(), grid::vector(largest.latents)), largest.inputs);
        let outputs = grid::several(grid::vector(largest.latents), largest.outputs);
        (stds, inputs, outputs, grid::one_of(&factors)).prop_map(|(stds, inputs, outputs, radius_factor)| {
            let latent = |(i, std): (usize, &f64)| Latent {
                encoder: inputs.iter().map(|(_, gains)| gains[i]).collect(),
                std: *std,
                decoder: outputs.iter().map(|gains| gains[i]).collect(),
            };
            let latents = stds.iter().enumerate().map(latent).collect();
            (Self { latents, radius_factor }, inputs.iter().map(|(shift, _)| *shift).collect())
        })
    }

    /// A, [d_z, d_x].
    pub(crate) fn encoder(&self) -> Result<DMatrix<f64>, Obstacle> {
        let rows: Vec<&[f64]> = self.latents.iter().map(|latent| latent.encoder.as_slice()).collect();
        matrix("the encoder", &rows)
    }

    /// σ, [d_z].
    pub(crate) fn std(&self) -> DVector<f64> {
        DVector::from_iterator(self.latents.len(), self.latents.iter().map(|latent| latent.std))
    }

    /// W, [outputs, d_z].
    pub(crate) fn decoder(&self) -> Result<DMatrix<f64>, Obstacle> {
        let rows: Vec<&[f64]> = self.latents.iter().map(|latent| latent.decoder.as_slice()).collect();
        Ok(matrix("the decoder", &rows)?.transpose())
    }

    /// Tr Σ = Σσ²‖w‖².
    pub(crate) fn trace(&self) -> Enclosure {
        let squares =
            |latent: &Latent| latent.decoder.iter().map(|&w| Enclosure::exact(w).squared()).sum::<Enclosure>();
        self.latents.iter().map(|latent| squares(latent) * Enclosure::exact(latent.std).squared()).sum()
    }

    /// r, `radius_factor`·√(Tr Σ) rounded to a double; none where W = 0.
    pub(crate) fn radius(&self) -> Option<Radius> {
        Radius::new((self.trace().sqrt() * self.radius_factor).value).ok()
    }

    /// The model with W, A and σ as they are, for `read` to use.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&LinearGaussian<'_>) -> Result<T, Obstacle>) -> Result<T, Obstacle> {
        let (encoder, std, decoder) = (self.encoder()?, self.std(), self.decoder()?);
        read(&LinearGaussian::new(&encoder, &std, &decoder)?)
    }

    /// P(‖Δ(x, 0)‖ ≤ r).
    pub(crate) fn probability_unperturbed(&self, radius: Radius) -> Result<Enclosure, Obstacle> {
        self.with(|model| Ok(model.probability(&DVector::zeros(model.inputs()), radius)?))
    }

    /// The same model as a VAE in single precision, inputs and outputs filled up with zeros to the same number.
    pub(crate) fn vae(&self) -> Result<Vae, Obstacle> {
        let (encoder, decoder) = (self.encoder()?, self.decoder()?);
        let latents = self.latents.len();
        let inputs = encoder.ncols().max(decoder.nrows());
        let preset = Architecture::preset("linear", &[inputs])?;
        let architecture = preset.with_latent_dim(latents);
        let entry =
            |matrix: &DMatrix<f64>, row: usize, column: usize| matrix.get((row, column)).copied().unwrap_or(0.0);
        let rows = |matrix: &DMatrix<f64>, rows: usize, columns: usize| -> Result<Tensor, Obstacle> {
            let values = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
            single(values.map(|(row, column)| entry(matrix, row, column)).collect(), &[rows, columns])
        };
        let log_variances = self.latents.iter().map(|latent| 2.0 * latent.std.ln()).collect();
        let parameters = [
            rows(&encoder, latents, inputs)?,
            single(vec![0.0; latents], &[latents])?,
            single(vec![0.0; latents * inputs], &[latents, inputs])?,
            single(log_variances, &[latents])?,
            rows(&decoder, inputs, latents)?,
            single(vec![0.0; inputs], &[inputs])?,
        ];
        Ok(Vae::from_parameters(architecture, &parameters)?)
    }

    /// [`show_latents`] without the encoder, which plays no part where nothing is perturbed.
    pub(crate) fn show_decoder(&self) -> String {
        let line = |latent: &Latent| format!("σ = {}, W = {}", latent.std, show(&latent.decoder));
        self.latents.iter().map(line).collect::<Vec<_>>().join("; ")
    }
}

/// `A = [1, 0], σ = 1, W = 1`, and so on for every latent coordinate.
pub(crate) fn show_latents(latents: &[Latent]) -> String {
    let line =
        |latent: &Latent| format!("A = {}, σ = {}, W = {}", show(&latent.encoder), latent.std, show(&latent.decoder));
    latents.iter().map(line).collect::<Vec<_>>().join("; ")
}

/// A single-precision tensor.
pub(crate) fn single(values: Vec<f64>, shape: &[usize]) -> Result<Tensor, Obstacle> {
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(candle_core::DType::F32)?)
}

/// Rows of equal length as a matrix; refuses what a drawn instance never has.
pub(crate) fn matrix(what: &str, rows: &[&[f64]]) -> Result<DMatrix<f64>, Obstacle> {
    let columns = rows.first().map_or(0, |row| row.len());
    let sizes_make_sense = (1..=LARGEST_SIZE).contains(&rows.len()) && (1..=LARGEST_SIZE).contains(&columns);
    if !sizes_make_sense || rows.iter().any(|row| row.len() != columns) {
        let lengths: Vec<usize> = rows.iter().map(|row| row.len()).take(8).collect();
        return Err(Obstacle(format!(
            "{what}: expected 1 to {LARGEST_SIZE} rows of 1 to {LARGEST_SIZE} numbers each, all of the same length; found {} \
             rows, of lengths {lengths:?}{}",
            rows.len(),
            if rows.len() > lengths.len() { " and so on" } else { "" }
        )));
    }
    if rows.iter().any(|row| row.iter().any(|entry| entry.is_nan() || entry.abs() > grid::LARGEST)) {
        return Err(Obstacle(format!("{what}: an entry is not a number between −{0} and {0}", grid::LARGEST)));
    }
    Ok(DMatrix::from_fn(rows.len(), columns, |i, j| rows[i][j]))
}

/// A vector of `length` entries; refuses what a drawn instance never has.
pub(crate) fn vector(what: &str, entries: &[f64], length: usize) -> Result<DVector<f64>, Obstacle> {
    if entries.len() != length {
        return Err(Obstacle(format!("{what} has {} entries where {length} are needed", entries.len())));
    }
    Ok(matrix(what, &[entries])?.transpose().column(0).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeded;

    fn one(encoder: &[f64], std: f64, decoder: &[f64]) -> LinearVae {
        let latent = Latent { encoder: encoder.to_vec(), std, decoder: decoder.to_vec() };
        LinearVae { latents: vec![latent], radius_factor: 2.0 }
    }

    #[test]
    fn a_model_found_by_hand() {
        // Tr Σ = ¼·25, so r = 2·2.5 = 5 = 2σ‖w‖ and P = P(|N| ≤ 2).
        let model = one(&[1.0, 0.0], 0.5, &[3.0, 4.0]);
        let (radius, exact) = (model.radius().unwrap(), model.trace().sqrt() * model.radius_factor);
        assert_eq!((radius.get(), exact), (5.0, Enclosure::exact(5.0)));
        let inside = model.probability_unperturbed(radius).unwrap();
        assert!((inside.value - 0.954_499_736_103_641_6).abs() <= inside.error && inside.error < 1e-12, "{inside:?}");
        assert_eq!(show_latents(&model.latents), "A = [1, 0], σ = 0.5, W = [3, 4]");
        assert!(one(&[1.0], 1.0, &[0.0]).radius().is_none());
    }

    #[test]
    fn instances_that_make_no_sense_are_refused() {
        let mut ragged = one(&[1.0], 1.0, &[1.0]);
        ragged.latents.push(Latent { encoder: vec![1.0, 2.0], std: 1.0, decoder: vec![1.0] });
        assert!(ragged.encoder().unwrap_err().0.contains("all of the same length; found 2 rows, of lengths [1, 2]"));
        assert!(one(&[1e9], 1.0, &[1.0]).encoder().unwrap_err().0.contains("between −1000000 and 1000000"));
        assert!(LinearVae { latents: vec![], radius_factor: 1.0 }.encoder().is_err());
        assert!(one(&[], 1.0, &[1.0]).encoder().is_err());
        assert!(vector("δ", &[1.0], 2).unwrap_err().0.contains("1 entries where 2"));
        let flat = one(&[1.0], 0.0, &[1.0]);
        assert!(flat.probability_unperturbed(Radius::new(1.0).unwrap()).unwrap_err().0.contains("standard deviation"));
    }

    proptest! {
        #![proptest_config(seeded(48))]

        #[test]
        fn the_vae_computes_the_same_code_and_reconstruction(
            model in LinearVae::strategy(Sizes { inputs: 3, outputs: 3, latents: 3 }, 0.5),
        ) {
            let vae = model.vae().unwrap();
            let (encoder, decoder) = (model.encoder().unwrap(), model.decoder().unwrap());
            let width = vae.architecture().input_dim();
            let input = DVector::from_fn(width, |i, _| if i < encoder.ncols() { 0.5 } else { 0.0 });
            let tensor = single(input.as_slice().to_vec(), &[1, width]).unwrap();
            let code = vae.encoder().forward(&tensor).unwrap();
            let expected = &encoder * input.rows(0, encoder.ncols());
            let found: Vec<f32> = code.mean.squeeze(0).unwrap().to_vec1().unwrap();
            prop_assert!(found.iter().zip(expected.iter()).all(|(a, b)| f64::from(*a) == *b));
            let output: Vec<f32> = vae.decoder_mean().forward(&code.mean).unwrap().squeeze(0).unwrap().to_vec1().unwrap();
            let expected = decoder * expected;
            prop_assert!(expected.iter().zip(&output).all(|(a, b)| f64::from(*b) == *a));
            let std: Vec<f32> = code.std.squeeze(0).unwrap().to_vec1().unwrap();
            prop_assert!(std.iter().zip(&model.latents).all(|(a, b)| (f64::from(*a) - b.std).abs() < 1e-6));
        }
    }
}
