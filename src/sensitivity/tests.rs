//! Jacobians against finite differences.

use candle_core::{DType, Device, Tensor};
use nalgebra::DMatrix;
use proptest::prelude::*;

use super::jacobian::to_matrix;
use super::{decoder_gram, encoder_jacobian};
use crate::model::architecture::{Architecture, Likelihood};
use crate::model::{Activation, Vae};
use crate::seed::{standard_normal, Seed};
use crate::testing::seeded;

/// Step of central differences in double precision.
const STEP: f64 = 1e-5;
/// Their error on networks whose third derivatives are of order 1.
const DIFFERENCE_TOLERANCE: f64 = 1e-8;

fn vae(seed: u64) -> Vae {
    let hidden: [&[(usize, Activation)]; 4] =
        [&[(5, Activation::Softplus)], &[(5, Activation::Tanh)], &[], &[(5, Activation::Sigmoid)]];
    let architecture = Architecture::of_dense_layers(&[4], 3, hidden, Likelihood::Bernoulli);
    Vae::initialised(architecture, Seed(seed), &Device::Cpu).unwrap().converted(DType::F64, &Device::Cpu).unwrap()
}

fn row(name: &str, seed: u64, dim: usize) -> Vec<f64> {
    standard_normal(&mut Seed(seed).stream(name), dim)
}

/// Columns are central differences of `function` along each coordinate.
fn differences(point: &[f64], function: impl Fn(&Tensor) -> Tensor) -> DMatrix<f64> {
    let at = |coordinate: usize, step: f64| {
        let mut shifted = point.to_vec();
        shifted[coordinate] += step;
        to_matrix(&function(&Tensor::from_vec(shifted, (1, point.len()), &Device::Cpu).unwrap())).unwrap()
    };
    let columns: Vec<_> = (0..point.len())
        .map(|coordinate| {
            ((at(coordinate, STEP) - at(coordinate, -STEP)) / (2.0 * STEP)).transpose().column(0).into_owned()
        })
        .collect();
    DMatrix::from_columns(&columns)
}

proptest! {
    #![proptest_config(seeded(24))]

    #[test]
    fn the_encoders_jacobian_agrees_with_finite_differences(seed in 0..1000u64) {
        let vae = vae(seed);
        let point = row("x", seed, 4);
        let exact = encoder_jacobian(&vae, &Tensor::from_slice(&point, (1, 4), &Device::Cpu).unwrap()).unwrap();
        let approximate = differences(&point, |x| vae.encoder().mean(x).unwrap());
        prop_assert!((exact - approximate).abs().max() < DIFFERENCE_TOLERANCE);
    }

    #[test]
    fn the_decoders_gram_matrix_is_that_of_its_jacobian(seed in 0..1000u64) {
        let vae = vae(seed);
        let point = row("z", seed, 3);
        let exact = decoder_gram(&vae, &Tensor::from_slice(&point, (1, 3), &Device::Cpu).unwrap()).unwrap();
        let jacobian = differences(&point, |z| vae.decoder_mean().forward(z).unwrap());
        prop_assert!((exact - jacobian.transpose() * jacobian).abs().max() < DIFFERENCE_TOLERANCE);
    }
}
