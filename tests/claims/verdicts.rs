//! One test per claim, named after it; refuted ones show how small their counterexample is.

use serde_json::{json, Value};
use vaecert::claims::Finding;

use super::{counterexamples, holds, judged};

fn length(value: &Value) -> usize {
    value.as_array().unwrap().len()
}

#[test]
fn d31_iff_is_refuted_by_a_harmless_direction() {
    for found in counterexamples("D31-iff") {
        // One latent coordinate and two inputs, as with one input every direction does harm.
        let latents = &found.instance["model"]["latents"];
        assert_eq!((length(latents), length(&latents[0]["encoder"])), (1, 2), "{found:?}");
        assert!(found.numbers[2].value > 0.5 && found.numbers[1].value > found.numbers[0].value);
    }
}

#[test]
fn d31_infimum_holds() {
    holds("D31-infimum");
}

#[test]
fn s3_sigma_limit_holds() {
    holds("S3-sigma-limit");
}

#[test]
fn t1_linear_holds() {
    holds("T1-linear");
}

#[test]
fn t1_ladder_holds() {
    holds("T1-ladder");
}

#[test]
fn t1_relu_global_is_refuted_by_one_unit() {
    for found in counterexamples("T1-relu-global") {
        let (units, latents) = (&found.instance["units"], &found.instance["head"]["latents"]);
        assert_eq!((length(units), length(&units[0]["weights"]), length(latents)), (1, 1, 1), "{found:?}");
        assert!(found.numbers[2].value < found.numbers[1].value && found.numbers[3].value <= 0.5);
    }
}

#[test]
fn t1_relu_local_holds() {
    holds("T1-relu-local");
}

#[test]
fn t1_eq22_is_refuted_by_a_direction_the_code_ignores() {
    for found in counterexamples("T1-eq22") {
        let jacobian = &found.instance["jacobian"];
        assert_eq!((length(jacobian), length(&jacobian[0])), (1, 2), "{found:?}");
    }
}

#[test]
fn t1_eq22_reversed_holds() {
    holds("T1-eq22-reversed");
}

#[test]
fn t1_sigma_fixed_holds() {
    holds("T1-sigma-fixed");
}

#[test]
fn p1_necessary_is_refuted_in_one_dimension() {
    for found in counterexamples("P1-necessary") {
        let latents = &found.instance["latents"];
        assert_eq!((length(latents), length(&latents[0]["decoder"])), (1, 1), "{found:?}");
        assert_eq!((latents[0]["std"].as_f64(), latents[0]["decoder"][0].as_f64()), (Some(1.0), Some(1.0)));
    }
}

#[test]
fn p1_sufficient_holds() {
    holds("P1-sufficient");
}

#[test]
fn p1_envelope_holds() {
    holds("P1-envelope");
}

#[test]
fn p1_exact_holds() {
    holds("P1-exact");
}

#[test]
fn p1_invertible_is_refuted_by_one_latent_coordinate() {
    for found in counterexamples("P1-invertible") {
        let latents = &found.instance["latents"];
        assert_eq!((length(latents), length(&latents[0]["decoder"])), (1, 2), "{found:?}");
    }
}

#[test]
fn q_contour_holds() {
    holds("Q-contour");
}

#[test]
fn t2_posterior_holds() {
    holds("T2-posterior");
}

#[test]
fn t2_identity_holds() {
    holds("T2-identity");
}

#[test]
fn t2_variance_is_refuted_by_two_modes() {
    for found in counterexamples("T2-variance") {
        assert_eq!(length(&found.instance["likelihood"]["modes"]), 2, "{found:?}");
        assert!(found.numbers[0].value > found.numbers[1].value);
    }
}

#[test]
fn t2_variance_linear_holds() {
    holds("T2-variance-linear");
}

#[test]
fn t2_limit_is_refuted_by_a_state_of_likelihood_zero() {
    for found in counterexamples("T2-limit") {
        assert_eq!(length(&found.instance), 2, "{found:?}");
        let mut likelihoods = [0, 1].map(|state| found.instance[state]["likelihood"].as_f64().unwrap());
        likelihoods.sort_by(f64::total_cmp);
        assert_eq!(likelihoods, [0.0, 1.0], "{found:?}");
    }
}

#[test]
fn t2_limit_support_holds() {
    holds("T2-limit-support");
}

#[test]
fn e6_linear_holds() {
    holds("E6-linear");
}

#[test]
fn s5_jacobian_holds() {
    holds("S5-jacobian");
}

#[test]
fn s5_optimum_holds() {
    holds("S5-optimum");
}

#[test]
fn s5_trained_holds() {
    holds("S5-trained");
    // Every β, whatever was drawn; at 8 the second direction collapses.
    for beta in [1.0, 2.0, 8.0] {
        let judgement = judged("S5-trained", json!({ "data_variances": [4.0, 1.0], "beta": beta }));
        assert_eq!(judgement.finding, Finding::Agrees, "{}", judgement.line);
    }
}

#[test]
fn d1_r_grows_is_refuted() {
    for found in counterexamples("D1-r-grows") {
        assert_eq!(length(&found.instance["data_variances"]), 1, "{found:?}");
    }
}

#[test]
fn d1_r_grows_small_holds() {
    holds("D1-r-grows-small");
}

#[test]
fn c_slope_interval_holds() {
    holds("C-slope-interval");
    // One ReLU at a distance of 1 from its kink, a ball of radius 2: half of the ball's 2 is left, and both sides find it.
    let unit = json!({ "activation": "relu", "units": [{ "weights": [1.0], "bias": -1.0 }] });
    let network = json!({ "hidden": [unit], "output": [[1.0]] });
    let instance = json!({ "network": network, "input": [0.0], "std": [1.0], "norm": 2.0, "directions": [] });
    let judgement = judged("C-slope-interval", instance);
    assert_eq!(judgement.finding, Finding::Agrees, "{}", judgement.line);
    let values: Vec<f64> = judgement.numbers.iter().map(|number| number.value).collect();
    assert!((values[0] - 1.0).abs() < 1e-3 && (values[1] - 1.0).abs() < 1e-9, "{}", judgement.line);
}

#[test]
fn c_joint_holds() {
    holds("C-joint");
}

#[test]
fn c_a_priori_holds() {
    holds("C-a-priori");
}
