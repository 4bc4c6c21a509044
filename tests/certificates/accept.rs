//! What the prover writes, the checker verifies: every family of networks, and random ones.

use candle_core::{DType, Device, Tensor};
use nalgebra::DVector;
use proptest::prelude::*;
use vaecert::bounds::{first_order_ladder, LadderOutcome};
use vaecert::certificate::{Method, Outcome};
use vaecert::model::architecture::{Architecture, Likelihood, StdLink};
use vaecert::model::{embedded, Activation, Model, Vae};
use vaecert::quantity::{Probability, Radius, RadiusRule, Threat};
use vaecert::seed::Seed;
use vaecert::sensitivity::encoder_jacobian;
use vaecert::verify::Verdict;

use super::{digits, plan, Case, ACTIVATIONS};
use crate::support::seeded;

fn relu(widths: &[usize]) -> Vec<(usize, Activation)> {
    widths.iter().map(|&width| (width, Activation::Relu)).collect()
}

/// Other hidden layers: trunk, mean head, standard-deviation head, decoder.
fn rebuild(architecture: &mut Architecture, hidden: [&[(usize, Activation)]; 4]) {
    *architecture = architecture.clone().with_hidden(hidden);
}

/// A model for digits with freshly drawn weights.
fn model(change: impl FnOnce(&mut Architecture), seed: u64) -> Model {
    let mut architecture = Architecture::preset("digits", &[8, 8]).unwrap();
    change(&mut architecture);
    architecture.check().unwrap();
    let vae = Vae::initialised(architecture, Seed(seed), &Device::Cpu).unwrap();
    Model::new(&vae, None).unwrap()
}

/// Every entry is verified; how many are certified.
fn verified(case: &Case) -> usize {
    for report in case.check().unwrap() {
        assert_eq!(report.verdict, Verdict::Verified, "{report:?}");
    }
    case.entries.iter().filter(|entry| entry.claim.is_some()).count()
}

#[test]
fn the_trained_digits_model_is_certified_and_verified_under_both_threats() {
    let model = embedded::digits().unwrap();
    for threat in [Threat::Mean, Threat::Joint] {
        assert_eq!(verified(&Case::new(&model, digits(), 4, &plan(threat))), 4, "{threat}");
    }
}

#[test]
fn every_activation_is_certified_and_verified_under_both_threats() {
    for activation in ACTIVATIONS {
        for threat in [Threat::Mean, Threat::Joint] {
            let model = model(
                |a| {
                    a.latent_dim = 3;
                    let [trunk, mean_head, decoder] = [12, 9, 10].map(|width| [(width, activation)]);
                    rebuild(a, [&trunk, &mean_head, &[], &decoder]);
                },
                1,
            );
            assert_eq!(verified(&Case::new(&model, digits(), 1, &plan(threat))), 1, "{activation:?} {threat}");
        }
    }
}

type Change = Box<dyn Fn(&mut Architecture)>;

#[test]
fn depth_links_floors_and_likelihoods_are_certified_and_verified() {
    let changes: [Change; 6] = [
        Box::new(|a| rebuild(a, [&relu(&[12, 10, 8, 6]), &[], &[], &relu(&[64])])),
        Box::new(|a| rebuild(a, [&[], &relu(&[7]), &relu(&[5, 5]), &relu(&[64])])),
        Box::new(|a| a.std_link = StdLink::Softplus),
        Box::new(|a| a.std_floor = 0.3),
        Box::new(|a| (a.std_link, a.std_floor) = (StdLink::Softplus, 0.1)),
        Box::new(|a| a.likelihood = Likelihood::Gaussian { std: 0.5 }),
    ];
    for (number, change) in changes.iter().enumerate() {
        for threat in [Threat::Mean, Threat::Joint] {
            let model = model(change, 2);
            assert_eq!(verified(&Case::new(&model, digits(), 1, &plan(threat))), 1, "{number} {threat}");
        }
    }
}

#[test]
fn a_linear_model_is_certified_by_its_linear_region_up_to_the_whitened_radius() {
    let model = model(|a| *a = Architecture::preset("linear", &[8, 8]).unwrap(), 3);
    let mut plan = plan(Threat::Mean);
    // So small an r that Lipschitz constants say nothing.
    plan.radius = RadiusRule::Quantile(Probability::new(0.6).unwrap());
    let case = Case::new(&model, digits(), 3, &plan);
    assert_eq!(verified(&case), 3);
    let vae = model.vae.converted(DType::F64, &Device::Cpu).unwrap();
    for entry in &case.entries {
        let claim = entry.claim.as_ref().unwrap();
        assert_eq!(claim.method, Method::LinearRegion);
        let row = Tensor::from_slice(case.data.row(entry.input).unwrap(), (1, 64), &Device::Cpu).unwrap();
        let row = row.to_dtype(DType::F64).unwrap();
        let std = vae.encoder().forward(&row).unwrap().std.squeeze(0).unwrap().to_vec1::<f64>().unwrap();
        let jacobian = encoder_jacobian(&vae, &row).unwrap();
        let probability = entry.draws.unwrap().probability_lower;
        let ladder = first_order_ladder(&jacobian, &DVector::from_vec(std), probability, plan.level).unwrap();
        let LadderOutcome::Ladder(ladder) = ladder else { panic!("abstained") };
        let share = claim.certified_radius.get().unwrap().get() / ladder.whitened.get();
        assert!((1.0 - 1e-9..=1.0).contains(&share), "{share}");
    }
}

#[test]
fn a_large_given_radius_is_certified_without_draws_and_verified() {
    let model = model(|a| a.likelihood = Likelihood::Gaussian { std: 1.0 }, 4);
    for (threat, change) in [(Threat::Mean, StdLink::HalfLogVariance), (Threat::Joint, StdLink::Softplus)] {
        let mut model = model.clone();
        let mut architecture = model.vae.architecture().clone();
        architecture.std_link = change;
        model = Model::new(&Vae::from_parameters(architecture, &model.vae.parameters()).unwrap(), None).unwrap();
        let mut plan = plan(threat);
        plan.radius = RadiusRule::Absolute(Radius::new(200.0).unwrap());
        let case = Case::new(&model, digits(), 1, &plan);
        assert_eq!(verified(&case), 1);
        assert_eq!(case.entries[0].claim.as_ref().unwrap().method, Method::APriori);
    }
}

#[test]
fn a_network_that_overflows_is_undecided_and_claims_nothing() {
    let mut model = model(|a| rebuild(a, [&relu(&[9, 8, 7, 6]), &[], &[], &relu(&[64])]), 5);
    let parameters: Vec<Tensor> = model.vae.parameters().iter().map(|t| (t * 1e38).unwrap()).collect();
    let vae = Vae::from_parameters(model.vae.architecture().clone(), &parameters).unwrap();
    model = Model::new(&vae, None).unwrap();
    let case = Case::new(&model, digits(), 1, &plan(Threat::Mean));
    assert_eq!(case.entries[0].outcome, Outcome::Undecided, "{:?}", case.entries[0].reasons);
    assert!(case.entries[0].claim.is_none() && !case.entries[0].reasons.is_empty());
}

#[test]
fn an_input_that_abstains_claims_nothing_and_is_verified_as_that() {
    let mut plan = plan(Threat::Mean);
    plan.radius = RadiusRule::Absolute(Radius::new(1e-3).unwrap());
    let case = Case::new(&embedded::digits().unwrap(), digits(), 2, &plan);
    assert_eq!(verified(&case), 0);
    assert!(case.check().unwrap().iter().all(|report| report.claims_nothing && report.certified_radius.is_none()));
}

proptest! {
    #![proptest_config(seeded(400))]

    #[test]
    fn prover_and_checker_agree_on_random_certificates(
        seed in 0..1000u64, widths in 0..6usize, kinds in prop::collection::vec(0..7usize, 4), depth in 0..4usize, joint in any::<bool>(),
        latent in 1..4usize, level in 0.3..0.8f64, softplus in any::<bool>(), floor in prop_oneof![Just(0.0), 0.0..0.5f64],
    ) {
        let layer = |i: usize| (3 + (widths + i) % 6, ACTIVATIONS[kinds[i]]);
        let model = model(|a| {
            a.latent_dim = latent;
            let chain = |count: usize| (0..count).map(layer).collect::<Vec<_>>();
            rebuild(a, [&chain(depth), &chain(depth / 2), &[], &[layer(3)]]);
            a.std_link = if softplus { StdLink::Softplus } else { StdLink::HalfLogVariance };
            a.std_floor = floor;
        }, seed);
        let mut plan = plan(if joint { Threat::Joint } else { Threat::Mean });
        plan.level = Probability::new(level).unwrap();
        verified(&Case::new(&model, digits(), 1, &plan));
    }
}
