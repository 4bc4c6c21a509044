//! What a run claims, in words that can be quoted.

use super::content::Report;
use crate::audit::summary::Verdict;
use crate::margin::RadiusRule;
use crate::quantity::Threat;

/// The claim in one paragraph.
#[must_use]
pub fn paragraph(report: &Report<'_>) -> String {
    let (identity, plan) = (&report.run.identity, &report.run.identity.plan);
    let reached = match plan.threat {
        Threat::Mean => "threat “mean”: the perturbation reaches the code's mean only",
        Threat::Joint => "threat “joint”: the perturbation reaches the code's mean and its standard deviation",
    };
    let radius = match plan.radius {
        RadiusRule::Absolute(radius) => format!("r is {} (output units) for every input", radius.get()),
        RadiusRule::Quantile(order) => format!(
            "r is chosen per input as the {}-quantile of the distance without a perturbation, from {} draws of its own",
            order.get(),
            plan.selection_draws
        ),
    };
    let level = plan.level.get();
    format!(
        "For each of the {} audited inputs (data {}, {} split, {}): under every perturbation δ of the input whose \
         L2 norm is at most the certified radius, the reconstruction stays within the L2 distance r of the undisturbed one with \
         a probability that exceeds m = {level}: P(‖Δ(x, δ)‖₂ ≤ r) > {level}, over the draws of the code ({reached}). {radius}. \
         Where the \
         certified radius is 0 or missing, the computation failed, or an alarm contradicts the certificate, nothing is claimed \
         from below. Where a refuted norm is given, a perturbation of that norm was found for which this probability is at most {level}, so \
         that the margin R(x) lies between the two. All these statements hold together, for all {} inputs of the run, except \
         with a failure probability of {} (random draws only). They are about the network over the real numbers with the \
         stored weights (SHA-256 {}), not about the rounding of a deployed copy. The columns theorem1, operator and whitened are \
         first-order estimates and no part of the claim.",
        report.records.len(),
        identity.data,
        identity.split,
        inputs(report),
        identity.inputs,
        plan.failure_probability.get(),
        identity.model_sha256,
    )
}

/// Which inputs the run is about.
#[must_use]
pub fn inputs(report: &Report<'_>) -> String {
    let identity = &report.run.identity;
    let range = identity.range();
    let part =
        identity.shard.map_or_else(String::new, |shard| format!(", shard {shard} of {} inputs", identity.inputs));
    format!("inputs {} to {}{part}", range.start, range.end.saturating_sub(1))
}

/// What has to be believed for the claim to hold.
#[must_use]
pub fn trusted() -> &'static str {
    "Trusted: this program and the machine that ran it; that the seed was not chosen after looking at the results, and that the \
     draws of ChaCha8 behave as independent ones; that the system's exp, ln, tanh and the like are within four units in the \
     last place. vaecert replay checks the perturbations again on other draws; vaecert certify writes the lower bounds \
     with their evidence, and vaecert verify checks that with code that shares nothing with this one."
}

/// The verdict as one word, and what it means.
#[must_use]
pub fn verdict(report: &Report<'_>) -> (&'static str, &'static str) {
    match report.summary.verdict() {
        Verdict::NotMet => (
            "not met",
            "at least one alarm: a lower bound or estimate lies above a refuted norm; exit status 1 of vaecert audit",
        ),
        _ if !report.is_finished() => {
            ("undecided", "the run is not finished; vaecert audit has given no exit status yet")
        }
        Verdict::Met => ("met", "every input is bracketed; exit status 0 of vaecert audit"),
        Verdict::Undecided => (
            "undecided",
            "at least one input is undecided or failed, and there is no alarm; exit status 3 of vaecert audit",
        ),
    }
}
