//! The steps of the check.

use sha2::{Digest, Sha256};

use super::binomial::{at_least, at_most, MOST_TRIALS};
use super::draws::{quantile_rank, Distances};
use super::matrix::{largest_eigenvalue, Matrix};
use super::model::{Code, Model, StdLink};
use super::normal::{cumulative, quantile};
use super::reach::reach;
use super::report::{Rejection, Report, Step, Verdict};
use super::rounding::{lowered, norm, raised, GUARD, SYSTEM, UNIT};
use crate::certificate::{
    encode, sha256, Claim, Draws, Entry, Evidence, Header, Method, NetworkEvidence, Outcome, FORMAT, GENERATOR,
    SEMANTICS,
};
use crate::quantity::{Radius, RadiusRule, Threat};

/// How far, relatively, r may lie outside the range found for it.
const RADIUS_TOLERANCE: f64 = 1e-9;
/// Fresh draws contradict a probability if they are less likely than this.
const CONTRADICTION: f64 = 1e-6;

/// The data set that a certificate is about.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// The axes of one item.
    pub item_shape: &'a [usize],
    /// Every item, one after the other.
    pub values: &'a [f32],
}

/// Draws of one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fresh {
    /// Their seed; any but the certificate's.
    pub seed: u64,
    /// How many per entry.
    pub draws: u64,
}

/// Checks the entries of one certificate.
#[derive(Debug)]
pub struct Checker {
    header: Header,
    run: String,
    model: Model,
    /// SHA-256 of each input that the header announces.
    inputs: Vec<String>,
}

/// What came to light on the way to a verdict.
#[derive(Default)]
struct Found {
    incomplete: Option<String>,
    fresh: Option<(u64, u64)>,
}

fn refuse<T>(step: Step, reason: impl Into<String>) -> Result<T, Rejection> {
    Err(Rejection { step, reason: reason.into() })
}

fn expect(holds: bool, step: Step, reason: impl FnOnce() -> String) -> Result<(), Rejection> {
    if holds {
        Ok(())
    } else {
        refuse(step, reason())
    }
}

fn same(step: Step, what: &str, expected: &str, found: &str) -> Result<(), Rejection> {
    expect(expected == found, step, || format!("{what}: expected {expected:?}, found {found:?}"))
}

fn value_hash(values: &[f32]) -> String {
    sha256(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

impl Checker {
    /// Checks everything that holds for all entries. `model_file` is the whole file.
    ///
    /// # Errors
    /// The first [`Rejection`] found.
    pub fn new(header: &Header, model_file: &[u8], data: &Data<'_>) -> Result<Self, Rejection> {
        check_header(header)?;
        let line = encode(header).or_else(|error| refuse(Step::Header, error.to_string()))?;
        let run = sha256(line.strip_suffix(b"\n").unwrap_or(&line));
        same(Step::Model, "SHA-256 of the model file", &header.model.file_sha256, &sha256(model_file))?;
        let model = Model::read(model_file)?;
        same(Step::Model, "hash recorded in the model file", &header.model.weights_sha256, &model.weights_sha256)?;
        let inputs = check_data(header, data, model.input_dim)?.chunks_exact(model.input_dim).map(value_hash).collect();
        Ok(Self { header: header.clone(), run, model, inputs })
    }

    /// Checks one entry. `input` is the item of the data with the entry's index.
    #[must_use]
    pub fn check(&self, entry: &Entry, input: &[f32], fresh: Option<Fresh>) -> Report {
        let mut found = Found::default();
        let outcome = self.examine(entry, input, fresh, &mut found);
        let (verdict, step, reason) = match (outcome, found.incomplete) {
            (Err(rejection), _) => (Verdict::Rejected, Some(rejection.step), Some(rejection.reason)),
            (Ok(()), Some(reason)) => (Verdict::Incomplete, Some(Step::Draws), Some(reason)),
            (Ok(()), None) => (Verdict::Verified, None, None),
        };
        let claimed = entry.claim.as_ref().and_then(|claim| claim.certified_radius.get());
        let certified_radius = claimed.filter(|_| verdict == Verdict::Verified);
        let claims_nothing = entry.claim.is_none();
        Report { input: entry.input, verdict, certified_radius, step, reason, claims_nothing, fresh: found.fresh }
    }

    fn examine(&self, entry: &Entry, input: &[f32], fresh: Option<Fresh>, found: &mut Found) -> Result<(), Rejection> {
        self.check_place(entry, input)?;
        let code = self.model.encode(input);
        let distances = Distances::new(&self.model, &code);
        if let Some(radius) = entry.radius {
            self.check_radius(entry.input, radius, &distances)?;
        }
        if let Some(draws) = &entry.draws {
            let Some(radius) = entry.radius else {
                return refuse(Step::Draws, "draws were counted, and there is no r");
            };
            found.incomplete = self.check_draws(entry.input, radius, draws, &distances)?;
            self.check_probability(draws)?;
        }
        if let Some(claim) = &entry.claim {
            let Some(radius) = entry.radius else {
                return refuse(Step::Radius, "something is claimed, and there is no r");
            };
            self.check_claim(claim, radius, entry.draws.as_ref(), &code)?;
            let words = Claim::words(&self.header, entry.input, radius, &claim.certified_radius);
            same(Step::Words, "the claim", &words, &claim.words)?;
        }
        match (fresh, entry.radius) {
            (Some(fresh), Some(radius)) => self.check_fresh(entry, radius, fresh, &distances, found),
            _ => Ok(()),
        }
    }

    /// Whether the entry is this run's, and the input the one it is about.
    fn check_place(&self, entry: &Entry, input: &[f32]) -> Result<(), Rejection> {
        same(Step::Entry, "the run", &self.run, &entry.run)?;
        let place = entry.input.checked_sub(self.header.first).and_then(|place| self.inputs.get(place));
        let Some(expected) = place else {
            let (first, inputs) = (self.header.first, self.header.inputs);
            return refuse(Step::Entry, format!("input {}, expected one of {inputs} from {first}", entry.input));
        };
        let certified = entry.outcome == Outcome::Certified;
        expect(certified == entry.claim.is_some(), Step::Entry, || {
            format!("the outcome is {:?}, and a claim is present: {}", entry.outcome, entry.claim.is_some())
        })?;
        same(Step::Input, "SHA-256 of the data's item", expected, &entry.input_sha256)?;
        same(Step::Input, "SHA-256 of the input", &value_hash(input), &entry.input_sha256)
    }

    /// r is the one given, or a quantile of the draws that were to choose it.
    fn check_radius(&self, input: usize, radius: Radius, distances: &Distances<'_>) -> Result<(), Rejection> {
        let (header, r) = (&self.header, radius.get());
        match header.radius_rule {
            RadiusRule::Absolute(given) => expect(given.get().to_bits() == r.to_bits(), Step::Radius, || {
                format!("r is {r:?}, expected {:?}", given.get())
            }),
            RadiusRule::Quantile(order) => {
                let rank = quantile_rank(header.selection_draws, order.get());
                let name = Header::stream(&header.streams.selection, input);
                let (low, high) = (r * (1.0 - RADIUS_TOLERANCE), r * (1.0 + RADIUS_TOLERANCE));
                let (at_most, below) = distances.ranks(header.seed, &name, header.selection_draws, low, high);
                expect(below < rank && rank <= at_most, Step::Radius, || {
                    format!("r = {r:?} is not the smallest draw but {} of the stream {name}", rank - 1)
                })
            }
        }
    }

    /// Counts the draws; a reason if they cannot be told apart from r well enough.
    fn check_draws(
        &self,
        input: usize,
        radius: Radius,
        draws: &Draws,
        distances: &Distances<'_>,
    ) -> Result<Option<String>, Rejection> {
        let (n, k) = (self.header.estimation_draws, draws.inside);
        expect(draws.draws == n, Step::Draws, || format!("{} draws, expected {n}", draws.draws))?;
        expect(k <= n, Step::Draws, || format!("{k} of {n} draws inside"))?;
        let name = Header::stream(&self.header.streams.estimation, input);
        let tally = distances.tally(self.header.seed, &name, n, radius.get());
        let counted =
            || format!("{k} of {n} draws inside, counted {} to {} of stream {name}", tally.certain, tally.possible);
        expect(k <= tally.possible && k.saturating_add(tally.near) >= tally.certain, Step::Draws, counted)?;
        Ok((k > tally.certain).then(|| format!("{}: some are too close to r for this arithmetic", counted())))
    }

    /// p̲ is at most Clopper's and Pearson's bound: P(Bin(n, p̲) ≥ k) ≤ α/N.
    fn check_probability(&self, draws: &Draws) -> Result<(), Rejection> {
        let p = draws.probability_lower.get();
        if p <= 0.0 {
            return Ok(());
        }
        let share = (self.header.failure_probability.get() / self.header.inputs as f64).next_down();
        let tail = at_least(draws.inside, draws.draws, p);
        expect(p < 1.0 && tail <= share, Step::Probability, || {
            let (k, n) = (draws.inside, draws.draws);
            format!("P(Bin({n}, {p:?}) ≥ {k}) is at most {tail:e}, expected at most {share:e}")
        })
    }

    fn check_claim(&self, claim: &Claim, radius: Radius, draws: Option<&Draws>, code: &Code) -> Result<(), Rejection> {
        let Some(certified) = claim.certified_radius.get().map(crate::quantity::LowerBound::get) else {
            return refuse(Step::Norm, "the certified radius is no number or its two forms disagree");
        };
        expect(certified > 0.0, Step::Norm, || "the certified radius is 0".to_owned())?;
        match (claim.method, &claim.evidence) {
            (Method::APriori, Evidence::Norms) => self.check_a_priori(certified, radius, code),
            (Method::LinearRegion | Method::SlopeInterval, Evidence::Reach { norm, mean, std }) => {
                let Some(rho) = norm.get().map(crate::quantity::LowerBound::get) else {
                    return refuse(Step::Norm, "the norm of the evidence is no number or its two forms disagree");
                };
                expect(certified <= rho, Step::Norm, || {
                    format!("the certified radius {certified:?} exceeds the norm {rho:?} for which the evidence argues")
                })?;
                let networks = || std::iter::once(mean).chain(std);
                let empty = networks().all(|network| network.chains.iter().flatten().all(|l| l.units.is_empty()));
                expect(claim.method != Method::LinearRegion || empty, Step::Evidence, || {
                    "scalings are given within a linear region".to_owned()
                })?;
                let Some(draws) = draws else {
                    return refuse(Step::Evidence, "the argument needs a probability, and there are no draws");
                };
                self.check_reach(rho, mean, std.as_ref(), draws, code)
            }
            (method, _) => refuse(Step::Evidence, format!("the evidence is not of the kind that {method:?} needs")),
        }
    }

    /// Moments: E‖Δ‖² ≤ a²(‖μ(x+δ) − μ(x)‖² + ‖σ‖²) for a Lipschitz constant a of the decoder, and the median of a convex
    /// function of normal variables does not exceed its mean (Kwapień, 1994).
    fn check_a_priori(&self, certified: f64, radius: Radius, code: &Code) -> Result<(), Rejection> {
        let level = self.header.level.get();
        expect(level <= 0.5, Step::Evidence, || format!("the level {level} is above 1/2, where moments say nothing"))?;
        let model = &self.model;
        let moved = raised(model.mean.lipschitz() * certified, 1.0);
        let std_moved = raised(model.std.lipschitz() * certified, 1.0);
        let std = norm(&code.std.iter().map(|(_, high)| *high).collect::<Vec<f64>>());
        let std = match (self.header.threat, model.link()) {
            (Threat::Mean, _) => std,
            (Threat::Joint, StdLink::Softplus) => raised(std + std_moved, 1.0),
            (Threat::Joint, StdLink::HalfLogVariance) => raised(std * (0.5 * std_moved).exp(), SYSTEM + 1.0),
        };
        let spread = raised((moved * moved + std * std).sqrt(), 3.0);
        let allowed = lowered(radius.get() / model.decoder.lipschitz(), 1.0);
        expect(spread < allowed, Step::Reach, || {
            format!("code and noise reach {spread:?}, and only less than r/a = {allowed:?} is allowed")
        })
    }

    /// The shifted code: A = {η : ‖Δ(x, 0)‖ ≤ r} has probability at least p̲, so a shift of the noise by v leaves it
    /// Φ(Φ⁻¹(p̲) − ‖v‖) (Neyman and Pearson), and another σ takes away at most the total variation.
    fn check_reach(
        &self,
        rho: f64,
        mean: &NetworkEvidence,
        std: Option<&NetworkEvidence>,
        draws: &Draws,
        code: &Code,
    ) -> Result<(), Rejection> {
        let (p, m, threat) = (draws.probability_lower.get(), self.header.level.get(), self.header.threat);
        expect(std.is_some() == (threat == Threat::Joint), Step::Evidence, || {
            format!("threat {threat}, and evidence for σ is present: {}", std.is_some())
        })?;
        let moved = self.code_distance(rho, mean, code)?;
        let base = if p > 0.0 && p < 1.0 { quantile(p).lower } else { f64::NEG_INFINITY };
        let Some(std) = std else {
            let allowed = (base - quantile(m).upper).next_down();
            return expect(moved < allowed, Step::Reach, || {
                format!("the code moves by up to {moved:?}σ, and only less than {allowed:?}σ is allowed")
            });
        };
        let variation = self.std_variation(rho, std, code)?;
        let kept = (cumulative((base - moved).next_down()).lower - variation).next_down();
        expect(kept > m, Step::Reach, || {
            format!("the code moves by up to {moved:?}σ and its law by {variation:?}: {kept:?} is left, not above {m}")
        })
    }

    /// At least ‖S⁻¹(μ(x+δ) − μ(x))‖ for every ‖δ‖ ≤ ρ: the rows of the last weight are divided by the least σ.
    fn code_distance(&self, rho: f64, evidence: &NetworkEvidence, code: &Code) -> Result<f64, Rejection> {
        let scale: Vec<f64> = code.std.iter().map(|(low, _)| (1.0 / low).next_up()).collect();
        let reached = reach(&self.model.mean, &code.mean_trace, rho, evidence, Some(&scale))
            .map_err(|Rejection { step, reason }| Rejection { step, reason: format!("mean network, {reason}") })?;
        Ok(reached.distance(rho))
    }

    /// At least the total variation between N(μ, σ(x+δ)²) and N(μ, σ(x)²) for every ‖δ‖ ≤ ρ: √(1 − e^{−E}) with
    /// E ≥ Σ ln cosh(Δ ln σᵢ), since the Bhattacharyya coefficient is Π cosh(Δ ln σᵢ)^{−1/2}. As ln cosh √v is concave in v,
    /// the sum is also at most d_z ln cosh(‖Δ ln σ‖/√d_z).
    fn std_variation(&self, rho: f64, evidence: &NetworkEvidence, code: &Code) -> Result<f64, Rejection> {
        let Some((outputs, error)) = code.std_trace.last() else {
            return refuse(Step::Model, "no layer leads to the standard deviation");
        };
        let reached = reach(&self.model.std, &code.std_trace, rho, evidence, None)
            .map_err(|Rejection { step, reason }| Rejection { step, reason: format!("σ network, {reason}") })?;
        let moves = reached.moves(rho);
        let slopes: Vec<f64> =
            outputs.iter().zip(&moves).map(|(&s, t)| self.model.log_std_slope(s, (t + error).next_up())).collect();
        let each: f64 = slopes.iter().zip(&moves).map(|(slope, t)| log_cosh(raised(slope * t, 1.0))).sum();
        let q = &reached.gram;
        let scaled = Matrix::new(q.rows, q.rows, |i, j| slopes[i] * slopes[j] * q.at(i, j));
        let top = (largest_eigenvalue(&scaled) + GUARD * 2.0 * UNIT * scaled.norm()).next_up();
        let dim = self.model.latent_dim as f64;
        let together = dim * log_cosh(raised(rho * (top / dim).sqrt(), 4.0));
        let exponent = if each <= together { raised(each, dim) } else { raised(together, 1.0) };
        Ok(raised((-(-exponent).exp_m1()).sqrt(), SYSTEM + 2.0))
    }

    /// Draws of the caller's own: at δ = 0 the entry says that P(‖Δ‖ ≤ r) is at least p̲ or, without draws, above m.
    fn check_fresh(
        &self,
        entry: &Entry,
        radius: Radius,
        fresh: Fresh,
        distances: &Distances<'_>,
        found: &mut Found,
    ) -> Result<(), Rejection> {
        let counted = entry.draws.as_ref().map(|draws| draws.probability_lower.get());
        let Some(p) = counted.or(entry.claim.as_ref().map(|_| self.header.level.get())) else {
            return Ok(());
        };
        expect(fresh.draws <= MOST_TRIALS, Step::Fresh, || format!("{} draws, at most {MOST_TRIALS}", fresh.draws))?;
        let name = format!("verify/{}/fresh", entry.input);
        let inside = distances.tally(fresh.seed, &name, fresh.draws, radius.get()).possible;
        found.fresh = Some((inside, fresh.draws));
        let chance = if p > 0.0 { at_most(inside, fresh.draws, p) } else { 1.0 };
        expect(chance >= CONTRADICTION, Step::Fresh, || {
            format!("{inside} of {} fresh draws are within r; with {p:?} the chance is {chance:e}", fresh.draws)
        })
    }
}

/// At least ln cosh x = ½ ln(1 + sinh²x) for x ≥ 0; x itself where sinh overflows.
fn log_cosh(x: f64) -> f64 {
    raised(0.5 * (x.sinh() * x.sinh()).ln_1p(), 4.0 * SYSTEM).min(if x.is_nan() { f64::NAN } else { raised(x, 0.0) })
}

fn check_header(header: &Header) -> Result<(), Rejection> {
    let step = Step::Header;
    expect(header.format == FORMAT, step, || format!("format {}, expected {FORMAT}", header.format))?;
    same(step, "semantics", SEMANTICS, &header.semantics)?;
    same(step, "norm", "l2", &header.norm)?;
    same(step, "generator", GENERATOR, &header.streams.generator)?;
    same(step, "selection stream", "input/{input}/selection", &header.streams.selection)?;
    same(step, "estimation stream", "input/{input}/estimation", &header.streams.estimation)?;
    same(Step::Words, "the claim", &header.words(), &header.claim)?;
    expect(header.inputs >= 1, step, || "no inputs".to_owned())?;
    let has_inputs = header.shard.is_none_or(|shard| shard.count() <= header.inputs);
    expect(has_inputs, step, || format!("more shards than the {} inputs", header.inputs))?;
    let within = |draws: u64| (1..=MOST_TRIALS).contains(&draws);
    expect(within(header.estimation_draws), step, || {
        format!("{} estimation draws, expected 1 to {MOST_TRIALS}", header.estimation_draws)
    })?;
    let (chosen, draws) = (matches!(header.radius_rule, RadiusRule::Quantile(_)), header.selection_draws);
    expect(if chosen { within(draws) } else { draws == 0 }, step, || {
        format!("{draws} selection draws for the rule {:?}", header.radius_rule)
    })?;
    match header.radius_rule {
        RadiusRule::Quantile(order) => expect(order > header.level, step, || {
            format!("r is a quantile of order {}, expected above the level {}", order.get(), header.level.get())
        }),
        RadiusRule::Absolute(_) => Ok(()),
    }
}

/// The values of the inputs that the header announces.
fn check_data<'a>(header: &Header, data: &Data<'a>, input_dim: usize) -> Result<&'a [f32], Rejection> {
    let mut hasher = Sha256::new();
    for axis in std::iter::once(data.item_shape.len()).chain(data.item_shape.iter().copied()) {
        hasher.update((axis as u64).to_le_bytes());
    }
    data.values.iter().for_each(|value| hasher.update(value.to_le_bytes()));
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    same(Step::Data, "SHA-256 of the data", &header.data.sha256, &found)?;
    let dim = data.item_shape.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis));
    expect(dim == Some(input_dim) && !data.item_shape.is_empty(), Step::Data, || {
        format!("items of shape {:?}, and the model takes {input_dim} values", data.item_shape)
    })?;
    expect(data.values.iter().all(|value| value.is_finite()), Step::Data, || "a value is not finite".to_owned())?;
    let end = header.first.checked_add(header.inputs).and_then(|end| end.checked_mul(input_dim));
    let range = header.first.checked_mul(input_dim).zip(end).and_then(|(start, end)| data.values.get(start..end));
    range.filter(|_| data.values.len().is_multiple_of(input_dim)).map_or_else(
        || {
            let (first, inputs, values) = (header.first, header.inputs, data.values.len());
            refuse(Step::Data, format!("{inputs} inputs from {first}, of {input_dim} values each, in {values} values"))
        },
        Ok,
    )
}
