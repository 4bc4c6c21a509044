//! Objectives against finite differences; attacks that stay in their ball and find what is there to find.

use candle_core::{DType, Device, Tensor};
use nalgebra::{DMatrix, DVector};
use proptest::prelude::*;

use super::ascent::Objective;
use super::*;
use crate::model::architecture::{Architecture, Likelihood};
use crate::model::{Activation, Vae};
use crate::quantity::Radius;
use crate::seed::{standard_normal, Seed};
use crate::testing::seeded;

/// A smooth VAE (so that differences never straddle a kink) in double precision.
fn smooth_vae(seed: u64, likelihood: Likelihood) -> Vae {
    let layers = [(6, Activation::Tanh)];
    let architecture = Architecture::of_dense_layers(&[5], 2, [&layers, &[], &[], &layers], likelihood);
    Vae::initialised(architecture, Seed(seed), &Device::Cpu).unwrap().converted(DType::F64, &Device::Cpu).unwrap()
}

/// g(z) = w z and μ(x) = a·x with σ = 1, single precision.
fn linear_vae(encoder: &[f32], decoder: &[f32]) -> Vae {
    let dim = encoder.len();
    let architecture = Architecture::preset("linear", &[dim]).unwrap().with_latent_dim(1);
    let matrix = |values: &[f32], shape: (usize, usize)| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let parameters = [
        matrix(encoder, (1, dim)),
        zeros(&[1]),
        zeros(&[1, dim]),
        zeros(&[1]),
        matrix(decoder, (dim, 1)),
        zeros(&[dim]),
    ];
    Vae::from_parameters(architecture, &parameters).unwrap()
}

fn task<'a>(victim: &'a Victim<'a>, directions: &'a [Vec<f32>], norm: f64) -> Task<'a> {
    Task {
        victim,
        radius: Radius::new(0.5).unwrap(),
        constraint: Constraint { norm, pixel_box: None },
        directions,
        warm_start: None,
        gives_up_starts: true,
        effort: Effort { restarts: 3, steps: 15, draws: 8 },
    }
}

/// Step of the central differences; perturbed inputs are stored in single precision, so it cannot be tiny.
const STEP: f32 = 1.0 / 1024.0;
/// Truncation error of differences with [`STEP`] on networks whose third derivatives are of order 1.
const DIFFERENCE_TOLERANCE: f64 = 1e-4;

proptest! {
    #![proptest_config(seeded(24))]

    #[test]
    fn every_objectives_gradient_agrees_with_finite_differences(seed in 0..500u64, joint: bool, bernoulli: bool) {
        let likelihood = if bernoulli { Likelihood::Bernoulli } else { Likelihood::Gaussian { std: 1.0 } };
        let vae = smooth_vae(seed, likelihood);
        let threat = if joint { Threat::Joint } else { Threat::Mean };
        let input = standard_normal(&mut Seed(seed).stream("input"), 5);
        let victim = Victim::new(&vae, &input, threat).unwrap();
        let task = task(&victim, &[], 1.0);
        let attacked = standard_normal(&mut Seed(seed).stream("attacked"), 10);
        let noise = standard_normal(&mut Seed(seed).stream("noise"), 6);
        let objectives: [&dyn Objective; 3] = [&MaxDamage, &Exceedance, &Latent];
        for (which, objective) in objectives.iter().enumerate() {
            let exact = objective.evaluate(&task, &attacked, &noise).unwrap();
            for coordinate in 0..attacked.len() {
                let shifted = |step: f32| {
                    let mut shifted = attacked.clone();
                    shifted[coordinate] += step;
                    let value = objective.evaluate(&task, &shifted, &noise).unwrap().values[coordinate / 5];
                    (value, f64::from(shifted[coordinate]))
                };
                let ((high, high_at), (low, low_at)) = (shifted(STEP), shifted(-STEP));
                let difference = (high - low) / (high_at - low_at);
                let found = f64::from(exact.gradient[coordinate]);
                prop_assert!((found - difference).abs() < DIFFERENCE_TOLERANCE * found.abs().max(1.0),
                    "objective {which}: {found} against {difference}");
            }
        }
    }

    #[test]
    fn proposals_stay_inside_the_ball(seed in 0..500u64, norm in 0.01..3.0f64) {
        let vae = smooth_vae(seed, Likelihood::Bernoulli).converted(DType::F32, &Device::Cpu).unwrap();
        let input = standard_normal(&mut Seed(seed).stream("input"), 5);
        let victim = Victim::new(&vae, &input, Threat::Joint).unwrap();
        for kind in AttackKind::ALL {
            let mut stream = Seed(seed).stream("attack");
            let proposals = kind.attack().propose(&task(&victim, &[], norm), &mut stream).unwrap();
            prop_assert_eq!(proposals.candidates.len(), kind.proposals(0, task(&victim, &[], norm).effort));
            for candidate in proposals.candidates {
                // x + δ is rounded once per coordinate.
                prop_assert!(candidate.norm().get() <= norm + 1e-5, "{kind}: {} above {norm}", candidate.norm());
            }
        }
    }
}

#[test]
fn on_a_linear_vae_every_gradient_attack_finds_the_best_direction() {
    // μ = 3x₁ + 4x₂, so the best unit direction is ±(0.6, 0.8) and moves the code by 5.
    let vae = linear_vae(&[3.0, 4.0], &[1.0, 0.0]);
    let victim = Victim::new(&vae, &[0.1, 0.2], Threat::Mean).unwrap();
    let task = Task { radius: Radius::new(4.0).unwrap(), ..task(&victim, &[], 1.0) };
    for kind in [AttackKind::MaxDamage, AttackKind::Exceedance, AttackKind::Latent] {
        let proposals = kind.attack().propose(&task, &mut Seed(1).stream("a")).unwrap();
        let shift = |a: &AttackedInput| {
            let d = a.perturbation(&[0.1, 0.2]);
            (3.0 * d[0] + 4.0 * d[1]).abs()
        };
        let best = proposals.candidates.iter().map(shift).fold(0.0, f64::max);
        assert!(best > 4.99, "{kind} moved the code by {best} of 5");
        assert_eq!(proposals.notes, AscentNotes::default());
    }
}

#[test]
fn a_dead_encoder_is_reported_as_blindness_of_the_attack() {
    let vae = linear_vae(&[0.0, 0.0], &[1.0, 1.0]);
    let victim = Victim::new(&vae, &[0.1, 0.2], Threat::Mean).unwrap();
    let proposals = AttackKind::MaxDamage.attack().propose(&task(&victim, &[], 1.0), &mut Seed(1).stream("a")).unwrap();
    assert!(proposals.notes.zero_gradients > 0);
    assert_eq!(proposals.notes.non_finite, 0);
}

#[test]
fn an_overflowing_network_is_counted_as_not_finite() {
    let vae = linear_vae(&[1e30, 1e30], &[1e30, 1e30]);
    let victim = Victim::new(&vae, &[1.0, 1.0], Threat::Mean).unwrap();
    let proposals = AttackKind::MaxDamage.attack().propose(&task(&victim, &[], 1.0), &mut Seed(1).stream("a")).unwrap();
    assert!(proposals.notes.non_finite > 0);
}

#[test]
fn an_attack_depends_on_its_stream_only() {
    let vae = smooth_vae(2, Likelihood::Bernoulli).converted(DType::F32, &Device::Cpu).unwrap();
    let victim = Victim::new(&vae, &[0.1, 0.2, 0.3, 0.4, 0.5], Threat::Mean).unwrap();
    let propose = |seed| {
        AttackKind::Exceedance
            .attack()
            .propose(&task(&victim, &[], 1.0), &mut Seed(seed).stream("a"))
            .unwrap()
            .candidates
    };
    assert_eq!(propose(1), propose(1));
    assert_ne!(propose(1), propose(2));
}

#[test]
fn structured_directions_are_singular_vectors_of_both_signs() {
    let jacobian = DMatrix::from_row_slice(2, 3, &[2.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    let gram = DMatrix::from_row_slice(2, 2, &[1.0, 0.0, 0.0, 100.0]);
    let directions = structured_directions(&jacobian, &DVector::from_element(2, 1.0), &gram).unwrap();
    // The code reacts most to the first coordinate, the reconstruction (2 against 10) to the second.
    let signed = |i: usize| directions[i].iter().map(|v| v.abs()).collect::<Vec<_>>();
    assert_eq!(directions.len(), 4);
    for (i, expected) in [(0, [1.0, 0.0, 0.0]), (1, [1.0, 0.0, 0.0]), (2, [0.0, 1.0, 0.0]), (3, [0.0, 1.0, 0.0])] {
        assert!(signed(i).iter().zip(expected).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6), "{:?}", directions[i]);
    }
    assert_eq!(directions[0], directions[1].iter().map(|v| -v).collect::<Vec<_>>());
    let none = structured_directions(&DMatrix::zeros(2, 3), &DVector::from_element(2, 1.0), &gram).unwrap();
    assert!(none.is_empty());
}
