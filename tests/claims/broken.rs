//! Wrong formulas: each must turn the verdict of the claims that rest on it, and of no other.

use nalgebra::{DMatrix, DVector};
use vaecert::bounds::{first_order_ladder, BoundError, FirstOrderLadder, LadderOutcome};
use vaecert::claims::{Claim, Expectation, Stated, Theory, Verdict, REGISTRY};
use vaecert::linalg::{frobenius_norm, LinalgError};
use vaecert::quantity::{Estimate, LowerBound, Probability};
use vaecert::sensitivity::slope_interval::{ReachError, SlopeInterval};
use vaecert::stats::Enclosure;

use super::search;

/// Enough cases to notice.
const CASES: usize = 96;

/// The ids whose verdict is not the one on record, under a theory. Training is left out: it takes long, and only one of
/// the theories is about it.
fn differing(theory: &dyn Theory, also_training: bool) -> Vec<&'static str> {
    let claims: Vec<Claim> =
        REGISTRY.iter().filter(|claim| also_training || claim.id != "S5-trained").copied().collect();
    let searched = search(&claims, theory, 0, CASES);
    searched.iter().filter(|r| r.verdict.is(r.claim.expected) != Some(true)).map(|r| r.claim.id).collect()
}

#[test]
fn half_the_scale_of_the_gamma_variables_is_noticed() {
    struct Broken;
    impl Theory for Broken {
        fn gamma_scale(&self, eigenvalue: f64) -> f64 {
            eigenvalue
        }
    }
    assert_eq!(differing(&Broken, false), ["P1-exact", "Q-contour"]);
}

/// `operator` from ‖J‖_F/√d_z, as if that were at least ‖J‖₂: the inequality ‖J‖₂ ≤ ‖J‖_F ≤ √d_z‖J‖₂ read backwards.
struct FrobeniusTheWrongWayRound;

impl Theory for FrobeniusTheWrongWayRound {
    fn ladder(
        &self,
        encoder_jacobian: &DMatrix<f64>,
        encoder_std: &DVector<f64>,
        probability_lower: LowerBound,
        level: Probability,
    ) -> Result<LadderOutcome, BoundError> {
        let outcome = first_order_ladder(encoder_jacobian, encoder_std, probability_lower, level)?;
        let LadderOutcome::Ladder(ladder) = outcome else { return Ok(outcome) };
        let factor = (encoder_jacobian.nrows() as f64).sqrt();
        let operator = Estimate::new(ladder.theorem1.get() * factor)?;
        Ok(LadderOutcome::Ladder(FirstOrderLadder { operator, ..ladder }))
    }

    fn operator_norm(&self, matrix: &DMatrix<f64>) -> Result<Enclosure, LinalgError> {
        let value = frobenius_norm(matrix)? / (matrix.nrows() as f64).sqrt();
        Ok(Enclosure { value, error: 1e-13 * value })
    }
}

#[test]
fn the_frobenius_norm_used_the_wrong_way_round_is_noticed() {
    assert_eq!(differing(&FrobeniusTheWrongWayRound, false), ["T1-linear", "T1-eq22-reversed"]);
}

#[test]
fn a_norm_beyond_the_theorem_is_noticed_by_the_margin() {
    struct Broken;
    impl Theory for Broken {
        fn ladder(
            &self,
            encoder_jacobian: &DMatrix<f64>,
            encoder_std: &DVector<f64>,
            probability_lower: LowerBound,
            level: Probability,
        ) -> Result<LadderOutcome, BoundError> {
            // J halved: every radius doubles, and the order of the radii stays.
            first_order_ladder(&(encoder_jacobian * 0.5), encoder_std, probability_lower, level)
        }
    }
    assert_eq!(differing(&Broken, false), ["T1-linear"]);
}

#[test]
fn beta_in_place_of_its_inverse_is_noticed() {
    struct Broken;
    impl Theory for Broken {
        fn likelihood_exponent(&self, beta: f64) -> Enclosure {
            Enclosure::exact(beta)
        }
    }
    let expected = ["T2-posterior", "T2-identity", "T2-variance-linear", "T2-limit-support", "E6-linear"];
    assert_eq!(differing(&Broken, false), expected);
}

#[test]
fn a_linear_region_twice_as_wide_is_noticed() {
    struct Broken;
    impl Theory for Broken {
        fn linear_region(&self, nearest_kink: f64) -> f64 {
            2.0 * nearest_kink
        }
    }
    assert_eq!(differing(&Broken, false), ["T1-relu-local"]);
}

#[test]
fn constants_that_are_too_bold_are_noticed() {
    struct Broken;
    impl Theory for Broken {
        fn sufficient_share(&self) -> f64 {
            0.5
        }
        fn necessary_share(&self) -> Enclosure {
            Enclosure::exact(0.46)
        }
        fn interval_slope(&self) -> f64 {
            0.7
        }
    }
    assert_eq!(differing(&Broken, false), ["S3-sigma-limit", "P1-sufficient", "P1-envelope"]);
}

#[test]
fn noise_that_falls_with_beta_is_noticed() {
    struct Broken;
    impl Theory for Broken {
        fn equivalent_noise(&self, beta: f64, likelihood_variance: f64) -> Enclosure {
            Enclosure::exact(likelihood_variance) / beta
        }
    }
    assert_eq!(differing(&Broken, true), ["S5-jacobian", "S5-optimum", "S5-trained", "D1-r-grows-small"]);
}

#[test]
fn slopes_of_half_the_ball_are_noticed() {
    struct Broken;
    impl Theory for Broken {
        fn output_reach(&self, problem: &SlopeInterval<'_>, outputs: usize, norm: f64) -> Result<f64, ReachError> {
            // V(ρ)/ρ grows with ρ: that of half the ball knows too little about the slopes.
            Ok(2.0 * Stated.output_reach(problem, outputs, 0.5 * norm)?)
        }
    }
    assert_eq!(differing(&Broken, false), ["C-slope-interval"]);
}

#[test]
fn a_variation_without_its_root_is_noticed() {
    struct Broken;
    impl Theory for Broken {
        fn spread_variation(&self, squared_affinity: Enclosure) -> Enclosure {
            Enclosure::exact(1.0) - squared_affinity
        }
    }
    assert_eq!(differing(&Broken, false), ["C-joint"]);
}

#[test]
fn a_mean_square_without_the_mean_is_noticed() {
    struct Broken;
    impl Theory for Broken {
        fn mean_square(&self, trace: Enclosure, _: Enclosure) -> Enclosure {
            trace
        }
    }
    assert_eq!(differing(&Broken, false), ["C-a-priori"]);
}

#[test]
fn a_claim_that_is_true_by_mistake_is_not_the_verdict_on_record() {
    // With the likelihood left out the tempered posterior is the prior: what was refuted holds.
    struct Broken;
    impl Theory for Broken {
        fn likelihood_exponent(&self, _: f64) -> Enclosure {
            Enclosure::exact(0.0)
        }
    }
    let claim = vaecert::claims::registry::find("T2-variance").unwrap();
    assert_eq!(claim.expected, Expectation::Refuted);
    let searched = search(&[claim], &Broken, 0, CASES).remove(0);
    assert!(matches!(searched.verdict, Verdict::Holds { .. }), "{:?}", searched.verdict);
    assert_eq!(searched.verdict.is(claim.expected), Some(false));
}
