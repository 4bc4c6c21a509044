//! The one list of claims.

use super::claim::{Claim, Cost, Expectation, Form};
use super::experiment::AnyExperiment;
use super::{
    c_a_priori, c_joint, c_slope_interval, d1_radius, d31_margin, e6_linear, p1_invertible, p1_radius, q_contour,
    s3_sigma, s5_linear, s5_trained, t1_eq22, t1_ladder, t1_linear, t1_relu, t1_sigma_fixed, t2_limit, t2_posterior,
    t2_variance,
};

/// The page of an id, as text.
macro_rules! page {
    ($id:literal) => {
        include_str!(concat!("../../proofs/", $id, ".md"))
    };
}

/// A claim; the page follows from the id.
macro_rules! claim {
    ($id:literal, $form:expr, $expected:ident, $cost:expr, $experiment:expr,
     source: $source:literal, statement: $statement:literal, assumptions: $assumptions:literal,
     drawn: $drawn:literal, computed: $computed:literal, refuted_by: $refuted_by:literal $(,)?) => {
        Claim {
            id: $id,
            form: $form,
            source: $source,
            statement: $statement,
            assumptions: $assumptions,
            drawn: $drawn,
            computed: $computed,
            refuted_by: $refuted_by,
            expected: Expectation::$expected,
            cost: $cost,
            page: page!($id),
            experiment: {
                const EXPERIMENT: &dyn AnyExperiment = &$experiment;
                EXPERIMENT
            },
        }
    };
}

use Cost::{Full, OneIn, Sampled};
use Form::{Amended, Printed, Supporting};

/// All claims, in the order of the paper.
pub const REGISTRY: &[Claim] = &[
    claim!("D31-iff", Printed, Refuted, OneIn(2), d31_margin::Equivalence,
        source: "equation (3)",
        statement: "‖δ‖ < R(x) if and only if P(‖Δ(x,δ)‖ ≤ r) > 1/2",
        assumptions: "R(x) positive and finite",
        drawn: "linear-Gaussian VAEs with up to 3 inputs and 2 latent coordinates, a radius and a perturbation",
        computed: "an enclosure of R(x) and P(‖Δ(x,δ)‖ ≤ r)",
        refuted_by: "a harmless δ longer than R, or a harmful one shorter",
    ),
    claim!("D31-infimum", Amended("D31-iff"), Holds, OneIn(2), d31_margin::Infimum,
        source: "equation (3)",
        statement: "with R(x) = inf{‖δ‖ : P(‖Δ(x,δ)‖ ≤ r) ≤ 1/2}, ‖δ‖ < R implies P > 1/2, and some δ of norm R has P ≤ 1/2",
        assumptions: "linear-Gaussian VAE, R(x) positive and finite",
        drawn: "as for D31-iff",
        computed: "P just inside R in a random direction, and just outside in the worst",
        refuted_by: "P ≤ 1/2 inside, or P > 1/2 in the worst direction at R",
    ),
    claim!("S3-sigma-limit", Printed, Holds, Full, s3_sigma::SigmaLimit,
        source: "section 3",
        statement: "a large enough σ destroys r-robustness: P(‖Δ(x,0)‖ ≤ r) falls as σ grows and ends at 0",
        assumptions: "linear decoder W ≠ 0; from √(2/π)·r/(m·max σ_i‖w_i‖) times σ on, P ≤ m",
        drawn: "linear decoders with up to 4 latent coordinates and outputs, a radius and a factor of σ",
        computed: "P at σ, at the larger σ, and where it must have fallen to 1/2",
        refuted_by: "a P that grows with σ, or is above 1/2 at the end",
    ),
    claim!("T1-linear", Printed, Holds, OneIn(2), t1_linear::Ladder,
        source: "Theorem 1",
        statement: "R(x) ≥ min σ·c/‖J‖_F; more sharply theorem1 ≤ operator ≤ whitened ≤ R(x)",
        assumptions: "linear-Gaussian VAE, where Theorem 1 drops nothing; c = Φ⁻¹(p) − Φ⁻¹(m) > 0",
        drawn: "VAEs with up to 8 inputs, outputs and latent coordinates, a radius and a level",
        computed: "the three radii as the audit computes them, and the exact margin",
        refuted_by: "radii out of order, or one above the margin",
    ),
    claim!("T1-ladder", Supporting("T1-linear"), Holds, Sampled(8), t1_ladder::Pipeline,
        source: "Theorem 1",
        statement: "a whole audit finds theorem1 ≤ operator ≤ whitened ≤ R(x) ≤ norm of its refuting perturbation",
        assumptions: "linear-Gaussian VAE",
        drawn: "VAEs with up to 4 inputs and latent coordinates, an input and the quantile that chooses r",
        computed: "what `vaecert audit` would write down",
        refuted_by: "an alarm, or figures out of order",
    ),
    claim!("T1-relu-global", Printed, Refuted, Full, t1_relu::Global,
        source: "Theorem 1",
        statement: "R(x) ≥ min σ·Φ⁻¹(p)/‖J‖_F for networks, the O(ε) dropped",
        assumptions: "encoder affine in pieces, x on no kink, J ≠ 0, linear decoder",
        drawn: "one hidden layer of up to 3 leaky rectifiers with kinks near the input, up to 2 inputs and latent coordinates",
        computed: "theorem1, and P(‖Δ(x,δ)‖ ≤ r) for shorter δ across each kink and along J",
        refuted_by: "a δ shorter than theorem1 with P ≤ 1/2",
    ),
    claim!("T1-relu-local", Amended("T1-relu-global"), Holds, Full, t1_relu::Local,
        source: "Theorem 1",
        statement: "nothing is dropped inside the linear region: μ(x+δ) = μ(x) + Jδ for ‖δ‖ < min |a|/‖∇a‖",
        assumptions: "ReLU or leaky ReLU",
        drawn: "networks with up to 2 hidden layers of 4 units, an input and a direction",
        computed: "μ(x+δ) − μ(x) − Jδ by separate code, the region and J as the audit computes them",
        refuted_by: "a difference beyond rounding",
    ),
    claim!("T1-eq22", Printed, Refuted, Full, t1_eq22::AsPrinted,
        source: "equation (22)",
        statement: "‖δ‖ ≤ ‖δ_z‖/‖J‖ for δ_z = Jδ",
        assumptions: "J ≠ 0",
        drawn: "J with up to 4 rows and columns, and δ",
        computed: "‖δ‖, ‖Jδ‖ and ‖J‖₂, enclosed",
        refuted_by: "‖δ‖ above ‖Jδ‖/‖J‖₂",
    ),
    claim!("T1-eq22-reversed", Amended("T1-eq22"), Holds, Full, t1_eq22::Reversed,
        source: "equation (22)",
        statement: "‖δ‖ ≥ ‖δ_z‖/‖J‖₂, and no constant below ‖J‖₂ does",
        assumptions: "J ≠ 0",
        drawn: "as for T1-eq22",
        computed: "both sides for δ and for the top singular direction, and whether ‖J‖₂²I − JᵀJ is positive semidefinite",
        refuted_by: "‖δ‖ below ‖Jδ‖/‖J‖₂, or a top direction stretched by another factor",
    ),
    claim!("T1-sigma-fixed", Printed, Holds, Sampled(32), t1_sigma_fixed::SigmaFixed,
        source: "Theorem 1",
        statement: "σ may be taken as fixed: over several inputs, attacks do their damage through μ rather than σ",
        assumptions: "measured on a trained model, the embedded digits; not a theorem, and single inputs differ",
        drawn: "12 test digits and the norm of a max-damage attack on μ and σ of each",
        computed: "on common draws, the damage with only μ and with only σ perturbed",
        refuted_by: "more damage through σ on more than half of all draws",
    ),
    claim!("P1-necessary", Printed, Refuted, Full, p1_radius::Necessary,
        source: "Proposition 1",
        statement: "P(‖Δ(x,0)‖ ≤ r) > 1/2 needs r > √(2 Tr Σ)",
        assumptions: "linear decoder, Σ ≠ 0",
        drawn: "W with up to 4 rows and columns, σ, and r as a factor of √(Tr Σ)",
        computed: "P(‖Δ(x,0)‖ ≤ r), enclosed",
        refuted_by: "P > 1/2 with r ≤ √(2 Tr Σ)",
    ),
    claim!("P1-sufficient", Amended("P1-necessary"), Holds, Full, p1_radius::Sufficient,
        source: "Proposition 1",
        statement: "r ≥ √(Tr Σ) gives P(‖Δ(x,0)‖ ≤ r) > 1/2, and so does √(2 Tr Σ)",
        assumptions: "linear decoder, Σ ≠ 0",
        drawn: "as for P1-necessary",
        computed: "P(‖Δ(x,0)‖ ≤ r), enclosed",
        refuted_by: "P ≤ 1/2 with r ≥ √(Tr Σ)",
    ),
    claim!("P1-envelope", Amended("P1-necessary"), Holds, Full, p1_radius::Envelope,
        source: "Proposition 1",
        statement: "0.4549·Tr Σ ≤ r*² ≤ Tr Σ·median(χ²_n)/n < Tr Σ, and neither constant can be improved",
        assumptions: "Σ with n eigenvalues above 0",
        drawn: "up to 8 eigenvalues over five decades",
        computed: "the median of ΣλU², of χ²_n, and with all but one λ next to 0",
        refuted_by: "a median outside, or an end that is not approached",
    ),
    claim!("P1-exact", Amended("P1-necessary"), Holds, Full, p1_radius::Exact,
        source: "Proposition 1",
        statement: "P(‖Δ(x,0)‖ ≤ r*) = 1/2 at r* = √median of the sum of Γ(1/2, 2λ_i), to first order in σ",
        assumptions: "exact for linear decoders; else off by at most a bound of first order",
        drawn: "W with up to 4 rows and columns; quadratic decoders with small σ",
        computed: "r* from the spectrum, and P at r* by a route without it",
        refuted_by: "P at r* off by more than 1e-9, or than the bound",
    ),
    claim!("P1-invertible", Printed, Refuted, Full, p1_invertible::Invertible,
        source: "proof of Proposition 1",
        statement: "Σ = J_gS²J_gᵀ is invertible",
        assumptions: "J_g of full column rank",
        drawn: "W with up to 3 rows and columns, and σ",
        computed: "det Σ, exactly",
        refuted_by: "det Σ = 0",
    ),
    claim!("Q-contour", Supporting("P1-exact"), Holds, OneIn(4), q_contour::TwoAlgorithms,
        source: "proof of Proposition 1",
        statement: "the enclosures of P(Σλ(U + b)² + σZ ≤ q) hold",
        assumptions: "as computed by this program",
        drawn: "up to 8 eigenvalues of either sign with shifts, σ and a point",
        computed: "both tails by two independent algorithms",
        refuted_by: "enclosures that do not overlap",
    ),
    claim!("T2-posterior", Printed, Holds, Full, t2_posterior::Optimal,
        source: "Theorem 2",
        statement: "q* ∝ p(z)·p(x|z)^(1/β) maximises L_β(q) = E_q log p(x|z) − β KL(q‖p)",
        assumptions: "p(x|z) > 0",
        drawn: "codes that are discrete, Gaussian in up to 10 dimensions, or of several modes in 1 or 2, with β and q",
        computed: "L_β at q and at q*",
        refuted_by: "L_β(q) > L_β(q*)",
    ),
    claim!("T2-identity", Amended("T2-posterior"), Holds, Full, t2_posterior::Identity,
        source: "Theorem 2",
        statement: "L_β(q) = β log Z_β − β KL(q‖q*) for every q",
        assumptions: "p(x|z) > 0",
        drawn: "as for T2-posterior, β from 1/100 to 100",
        computed: "both sides, in closed form or by quadrature with an error bound",
        refuted_by: "sides that differ by more than 1e-10 of max(|L|, 1), by quadrature 1e-6 of all terms",
    ),
    claim!("T2-variance", Printed, Refuted, OneIn(2), t2_variance::Grows,
        source: "section 5",
        statement: "the variance of the optimal encoder grows with β",
        assumptions: "any likelihood",
        drawn: "likelihoods with up to 4 modes in one dimension, and two values of β",
        computed: "the variance of q* at both, by quadrature with an error bound",
        refuted_by: "a smaller variance at the larger β",
    ),
    claim!("T2-variance-linear", Amended("T2-variance"), Holds, Full, t2_variance::LinearGrows,
        source: "section 5",
        statement: "q*'s covariance grows with β in the Loewner order, and so do the best independent variances",
        assumptions: "linear-Gaussian model",
        drawn: "W with up to 10 latent coordinates, s, a direction and two values of β",
        computed: "the variance along the direction and of every coordinate at both",
        refuted_by: "one that is smaller at the larger β",
    ),
    claim!("T2-limit", Printed, Refuted, Full, t2_limit::Limit,
        source: "Theorem 2",
        statement: "q* tends to the prior as β grows",
        assumptions: "Z_β > 0",
        drawn: "up to 5 states, likelihoods of 0 among them",
        computed: "total variation distance of q* and the prior at β = 10⁶",
        refuted_by: "more than likelihoods above 0 account for: (e^(ω/β) − 1)/2, ω the range of their logarithms",
    ),
    claim!("T2-limit-support", Amended("T2-limit"), Holds, OneIn(2), t2_limit::SupportedLimit,
        source: "Theorem 2",
        statement: "KL(q*‖p) ≤ (sup log p(x|z) − E_p log p(x|z))/β, which tends to 0",
        assumptions: "E_p|log p(x|z)| finite, p(x|z) bounded",
        drawn: "codes that are discrete, Gaussian, or of several modes, without likelihoods of 0",
        computed: "both sides",
        refuted_by: "a divergence above the bound",
    ),
    claim!("E6-linear", Printed, Holds, Full, e6_linear::Equation6,
        source: "equation (6)",
        statement: "−L_β(q*) = ½‖x − g(μ)‖² + (β/2)‖μ‖² + (β/2) log det(I + J_gᵀJ_g/β) + constant",
        assumptions: "linear decoder, unit likelihood variance, q with full covariance",
        drawn: "W with up to 10 latent coordinates and 4 outputs, x and β",
        computed: "both sides, with determinants of different size",
        refuted_by: "sides that differ by more than 1e-10 of their terms",
    ),
    claim!("S5-jacobian", Printed, Holds, Full, s5_linear::JacobianFalls,
        source: "section 5",
        statement: "‖J‖_F falls as β grows",
        assumptions: "optimal linear β-VAE",
        drawn: "data covariances of up to 4 values, s² and two values of β",
        computed: "‖J‖_F of the closed form at both",
        refuted_by: "a larger norm at the larger β",
    ),
    claim!("S5-optimum", Supporting("S5-jacobian"), Holds, Full, s5_linear::Optimum,
        source: "section 5",
        statement: "no linear VAE has a larger mean L_β than W = √(γ − βs²), gain √(γ − βs²)/γ, variance min(1, βs²/γ)",
        assumptions: "Gaussian likelihood of variance s², diagonal constant σ",
        drawn: "data variances, β, s² and a rival VAE, all or part of the way from the closed form",
        computed: "the mean objective of both",
        refuted_by: "a rival with a larger one",
    ),
    claim!("S5-trained", Supporting("S5-jacobian"), Holds, OneIn(32), s5_trained::Trained,
        source: "section 5",
        statement: "training a linear β-VAE reaches the closed form of its data, to 5 % of √γ in W, of 1/√γ in A and of 1 in σ²",
        assumptions: "measured with this program's trainer; not a theorem",
        drawn: "Gaussian data of two values, and β of 1, 2 or 8, where one direction collapses",
        computed: "singular values and variances after training, and the closed form of the sample covariance",
        refuted_by: "one that is off by more",
    ),
    claim!("D1-r-grows", Printed, Refuted, Full, d1_radius::Grows,
        source: "appendix D.1",
        statement: "the smallest r with P(‖Δ(x,0)‖ ≤ r) > 1/2 grows with β",
        assumptions: "optimal linear β-VAE, s² = 1",
        drawn: "up to 4 data variances and two values of β",
        computed: "r* of the closed form at both",
        refuted_by: "a smaller r* at the larger β",
    ),
    claim!("D1-r-grows-small", Amended("D1-r-grows"), Holds, Full, d1_radius::GrowsWhileSmall,
        source: "appendix D.1",
        statement: "the smallest r with P(‖Δ(x,0)‖ ≤ r) > 1/2 grows with β while βs² ≤ γ/2 for every data variance γ",
        assumptions: "optimal linear β-VAE, s² = 1",
        drawn: "as for D1-r-grows",
        computed: "r* of the closed form at both",
        refuted_by: "a smaller r* at the larger β",
    ),
    claim!("C-slope-interval", Supporting("T1-relu-global"), Holds, OneIn(2), c_slope_interval::SlopeIntervalBound,
        source: "Theorem 1",
        statement: "‖S⁻¹(μ(x+δ) − μ(x))‖ ≤ V(ρ) for ‖δ‖ ≤ ρ, nothing dropped; V(ρ) ≥ ρ‖S⁻¹J‖, equal inside the linear region",
        assumptions: "fully connected network, each activation one of the program's seven; V of the slope-interval bound",
        drawn: "networks of 1 to 5 layers of up to 6 units, an input, σ, ρ and directions to try",
        computed: "V as certificates use it, and the longest move found by projected gradient ascent from 50 starts",
        refuted_by: "a longer move, V below ρ‖S⁻¹J‖, or V above it where every slope is certain, by more than 1e-9 of V",
    ),
    claim!("C-joint", Supporting("T1-linear"), Holds, Full, c_joint::Joint,
        source: "Theorem 1",
        statement: "P(z′ ∈ B) ≥ Φ(Φ⁻¹(p) − V) − √(1 − Π 1/cosh ℓ_i) when μ moves by V in units of σ and log σ_i by ℓ_i",
        assumptions: "Gaussian code with diagonal covariance, any event B with p = P(z ∈ B)",
        drawn: "up to 3 coordinates, each with an interval or a half-line, a shift and a change of log σ",
        computed: "both sides, enclosed",
        refuted_by: "a probability below the bound",
    ),
    claim!("C-a-priori", Supporting("T1-linear"), Holds, Full, c_a_priori::MedianBelowMean,
        source: "Theorem 1",
        statement: "E‖Δ‖² < t² implies P(‖Δ‖ ≤ t) > 1/2",
        assumptions: "Δ is an affine map of a Gaussian vector",
        drawn: "up to 5 coordinates with a mean and a standard deviation, a constant part, and t² just above E‖Δ‖² or more",
        computed: "P as the distribution of a non-central quadratic form",
        refuted_by: "a P that does not exceed 1/2",
    ),
];

/// The claim with this id.
#[must_use]
pub fn find(id: &str) -> Option<Claim> {
    REGISTRY.iter().find(|claim| claim.id == id).copied()
}

/// The claims that a name stands for, in capitals or not: the one with this id, or all whose ids begin with it up to a
/// hyphen (`T2`, `T1-relu`).
#[must_use]
pub fn matching(name: &str) -> Vec<Claim> {
    if let Some(claim) = REGISTRY.iter().find(|claim| claim.id.eq_ignore_ascii_case(name)) {
        return vec![*claim];
    }
    let begins = |claim: &&Claim| {
        let (start, rest) = claim.id.split_at_checked(name.len()).unwrap_or_default();
        start.eq_ignore_ascii_case(name) && rest.starts_with('-')
    };
    REGISTRY.iter().filter(begins).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_links_lead_to_claims_of_the_other_kind() {
        for (i, claim) in REGISTRY.iter().enumerate() {
            assert!(REGISTRY[..i].iter().all(|earlier| earlier.id != claim.id), "{} twice", claim.id);
            if let Some(of) = claim.form.of() {
                assert!(find(of).is_some() && of != claim.id, "{}: no claim {of}", claim.id);
            }
        }
        let amended = |id| REGISTRY.iter().any(|claim| matches!(claim.form, Amended(of) if of == id));
        for claim in REGISTRY.iter().filter(|claim| claim.expected == Expectation::Refuted) {
            let has_neighbour = amended(claim.id) || claim.id == "P1-invertible";
            assert!(claim.form == Printed && has_neighbour, "{} is refuted without a true neighbour", claim.id);
        }
    }

    #[test]
    fn names_stand_for_one_claim_or_a_part_of_the_paper() {
        let ids = |name| matching(name).iter().map(|claim| claim.id).collect::<Vec<_>>();
        assert_eq!(ids("T2-variance"), ["T2-variance"]);
        assert_eq!(ids("D31"), ["D31-iff", "D31-infimum"]);
        assert_eq!(ids("T2").len(), 6);
        assert_eq!(ids("t1-RELU"), ["T1-relu-global", "T1-relu-local"]);
        assert_eq!((ids("t2").len(), ids("t2-VARIANCE")), (6, vec!["T2-variance"]));
        assert!(
            ids("").is_empty() && ids("T").is_empty() && ids("T1-rel").is_empty() && ids("T2-variance-").is_empty()
        );
    }
}
