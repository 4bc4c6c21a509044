//! Verdicts as a table for people, as lines of JSON and as Markdown. Times are shown to people only: all else is the
//! same for the same seed.

use std::io;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::super::json::{line_of, Last};
use crate::claims::{
    Claim, Counterexample, Expectation, Finding, Judgement, Number, SearchPlan, Searched, Verdict, REGISTRY,
};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns.
    Table,
    /// One JSON object per line.
    Json,
    /// A table in Markdown.
    Markdown,
}

/// Width of the column of ids.
const ID_WIDTH: usize = 19;
/// Width of the column of claims that others belong to.
const OF_WIDTH: usize = 14;
/// Width of the column of sources.
const SOURCE_WIDTH: usize = 23;

/// What is searched, and the columns' titles.
#[must_use]
pub fn heading(plan: &SearchPlan, format: Format) -> String {
    let SearchPlan { seed, cases, failure_probability } = plan;
    match format {
        Format::Json => String::new(),
        Format::Markdown => {
            "| claim | source | verdict | on record | cases | counterexample |\n|---|---|---|---|---|---|\n".to_owned()
        }
        Format::Table => {
            format!(
            "up to {cases} {} per claim, seed {}; decisions by draws hold together except with probability {}\n\
             holds: no case contradicted the claim; refuted: a counterexample follows; whether it is proved: vaecert explain ID\n\n\
             {:<ID_WIDTH$} {:<SOURCE_WIDTH$} {:<10} {:<9} {:>6} {:>8}\n",
            plural(*cases, "case"), seed.0, failure_probability.get(), "claim", "source", "verdict", "on record", "cases", "time"
        )
        }
    }
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        noun.to_owned()
    } else {
        format!("{noun}s")
    }
}

/// One claim.
///
/// # Errors
/// None in practice: everything has a JSON form.
pub fn row(searched: &Searched, format: Format) -> io::Result<String> {
    let Searched { claim, verdict, elapsed } = searched;
    let remark = remark(verdict);
    let recorded = recorded(searched);
    Ok(match format {
        Format::Json => line_of(&SearchedLine::from(searched))?,
        Format::Markdown => format!(
            "| {} | {} | {} | {recorded} | {} | {} |\n",
            claim.id,
            claim.source,
            verdict.name(),
            verdict.cases(),
            // A bar would end the cell.
            remark.replace('|', "\\|")
        ),
        Format::Table => {
            let line = format!(
                "{:<ID_WIDTH$} {:<SOURCE_WIDTH$} {:<10} {recorded:<9} {:>6} {:>6.1} s\n",
                claim.id,
                claim.source,
                verdict.name(),
                verdict.cases(),
                elapsed.as_secs_f64(),
            );
            // A counterexample is long: a line of its own, which a narrow terminal may wrap without breaking the columns.
            if remark.is_empty() {
                line
            } else {
                format!("{line}    {remark}\n")
            }
        }
    })
}

/// The verdict on record, as compared with the one found.
fn recorded(searched: &Searched) -> String {
    match searched.verdict.is(searched.claim.expected) {
        Some(true) => "the same".to_owned(),
        Some(false) => format!("≠ {}", searched.claim.expected),
        None => searched.claim.expected.to_string(),
    }
}

/// The counterexample in one line, or why there is no verdict.
fn remark(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Holds { unclear: 0, .. } => String::new(),
        Verdict::Holds { unclear, .. } => format!("({unclear} more too close to call)"),
        Verdict::Refuted { counterexample, complete: true, .. } => counterexample.line.clone(),
        Verdict::Refuted { counterexample, complete: false, .. } => {
            format!("{} (the time was spent: fewer cases, or not shrunk to the end)", counterexample.line)
        }
        Verdict::Undecided { reason, .. } => reason.clone(),
    }
}

/// What a line says of the claim itself.
#[derive(Serialize, JsonSchema)]
struct ClaimFields {
    /// Its id.
    claim: &'static str,
    /// How it relates to the paper.
    #[schemars(extend("enum" = ["printed", "amended", "supporting"]))]
    form: &'static str,
    /// The claim it belongs to; null for printed ones.
    of: Option<&'static str>,
    /// Where the paper has it.
    source: &'static str,
    /// What it says.
    statement: &'static str,
    /// What it takes for granted.
    assumptions: &'static str,
    /// The verdict on record.
    recorded: Expectation,
}

impl From<&Claim> for ClaimFields {
    fn from(claim: &Claim) -> Self {
        Self {
            claim: claim.id,
            form: claim.form.name(),
            of: claim.form.of(),
            source: claim.source,
            statement: claim.statement,
            assumptions: claim.assumptions,
            recorded: claim.expected,
        }
    }
}

/// A claim that was searched.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct SearchedLine<'a> {
    #[serde(flatten)]
    claim: ClaimFields,
    /// Whether the verdict is the one on record; null where undecided.
    as_recorded: Option<bool>,
    #[serde(flatten)]
    verdict: VerdictFields<'a>,
}

/// How the search ended.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
enum VerdictFields<'a> {
    /// No case contradicted the claim.
    Holds {
        /// Cases that agree with it.
        agreeing: usize,
        /// Cases that were too close to call.
        unclear: usize,
        /// The first of these.
        first_unclear: Option<&'a str>,
    },
    /// A case contradicts it.
    Refuted {
        /// Cases tried.
        tried: usize,
        /// Those that contradict it.
        contradicting: usize,
        /// Whether the time sufficed for all cases and for shrinking.
        complete: bool,
        /// The smallest one found.
        counterexample: &'a Counterexample,
    },
    /// Neither.
    Undecided {
        /// Cases that agree with it.
        agreeing: usize,
        /// Cases that were to be tried.
        planned: usize,
        /// Why there is no verdict.
        reason: &'a str,
    },
}

impl<'a> From<&'a Searched> for SearchedLine<'a> {
    fn from(searched: &'a Searched) -> Self {
        let Searched { claim, verdict, .. } = searched;
        let fields = match verdict {
            Verdict::Holds { agreeing, unclear, first_unclear } => {
                VerdictFields::Holds { agreeing: *agreeing, unclear: *unclear, first_unclear: first_unclear.as_deref() }
            }
            Verdict::Refuted { tried, contradicting, counterexample, complete } => VerdictFields::Refuted {
                tried: *tried,
                contradicting: *contradicting,
                complete: *complete,
                counterexample,
            },
            Verdict::Undecided { agreeing, planned, reason } => {
                VerdictFields::Undecided { agreeing: *agreeing, planned: *planned, reason }
            }
        };
        Self { claim: claim.into(), as_recorded: verdict.is(claim.expected), verdict: fields }
    }
}

/// What all verdicts say together.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct SummaryFields<'a> {
    /// Claims searched.
    claims: usize,
    /// Those with the verdict on record.
    as_recorded: usize,
    /// Ids of those with another.
    differing: Vec<&'a str>,
    /// Ids of those without one.
    undecided: Vec<&'a str>,
    plan: &'a SearchPlan,
    vaecert_version: &'static str,
}

/// A claim that was not searched.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct ListedLine {
    #[serde(flatten)]
    claim: ClaimFields,
    /// How instances are drawn.
    drawn: &'static str,
    /// What is computed of each.
    computed: &'static str,
    /// What contradicts the claim.
    refuted_by: &'static str,
}

impl From<&Claim> for ListedLine {
    fn from(claim: &Claim) -> Self {
        let Claim { drawn, computed, refuted_by, .. } = *claim;
        Self { claim: claim.into(), drawn, computed, refuted_by }
    }
}

/// A counterexample judged again.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct ReplayedLine<'a> {
    /// The claim's id.
    claim: &'static str,
    finding: Finding,
    /// Whether line and numbers are those in the file.
    as_saved: bool,
    /// What happens, in one line.
    line: &'a str,
    /// The numbers computed.
    numbers: &'a [Number],
}

/// What all verdicts say together, and where counterexamples are.
///
/// # Errors
/// None in practice: everything has a JSON form.
pub fn summary(plan: &SearchPlan, searched: &[Searched], folder: &Path, format: Format) -> io::Result<String> {
    let ids = |wanted: Option<bool>| -> Vec<&str> {
        let chosen = searched.iter().filter(|result| result.verdict.is(result.claim.expected) == wanted);
        chosen.map(|result| result.claim.id).collect()
    };
    let (same, differing, undecided) = (ids(Some(true)), ids(Some(false)), ids(None));
    let refuted = searched.iter().filter(|result| matches!(result.verdict, Verdict::Refuted { .. })).count();
    if format == Format::Json {
        let (claims, as_recorded) = (searched.len(), same.len());
        let vaecert_version = env!("CARGO_PKG_VERSION");
        return line_of(&Last {
            summary: SummaryFields { claims, as_recorded, differing, undecided, plan, vaecert_version },
        });
    }
    let list = |what: &str, ids: &[&str]| match ids {
        [] => format!("0 {what}"),
        ids => format!("{} {what} ({})", ids.len(), ids.join(", ")),
    };
    let mut text = format!(
        "\n{} {}: {} with the verdict on record, {}, {}\n",
        searched.len(),
        plural(searched.len(), "claim"),
        same.len(),
        list("with another", &differing),
        list("undecided", &undecided)
    );
    if refuted > 0 && format == Format::Table {
        text += &format!(
            "counterexamples: {}; judge one again with `vaecert claims --replay FILE`, read about it with `vaecert explain ID`\n",
            folder.display()
        );
    }
    Ok(text)
}

/// The claims, unsearched.
///
/// # Errors
/// None in practice: everything has a JSON form.
pub fn list(claims: &[Claim], format: Format) -> io::Result<String> {
    let mut text = match format {
        Format::Json => String::new(),
        Format::Markdown => {
            "| claim | form | of | source | on record | statement |\n|---|---|---|---|---|---|\n".to_owned()
        }
        Format::Table => format!(
            "{:<ID_WIDTH$} {:<10} {:<OF_WIDTH$} {:<SOURCE_WIDTH$} {:<9}  statement\n",
            "claim", "form", "of", "source", "on record"
        ),
    };
    for claim in claims {
        let Claim { id, source, expected, statement, .. } = claim;
        let (form, of) = (claim.form.name(), claim.form.of().unwrap_or_default());
        text += &match format {
            Format::Json => line_of(&ListedLine::from(claim))?,
            Format::Markdown => {
                format!("| {id} | {form} | {of} | {source} | {expected} | {} |\n", statement.replace('|', "\\|"))
            }
            Format::Table => {
                let assumptions = claim.assumptions;
                format!(
                    "{id:<ID_WIDTH$} {form:<10} {of:<OF_WIDTH$} {source:<SOURCE_WIDTH$} {expected:<9}  {statement}\n    \
                     assuming: {assumptions}\n"
                )
            }
        };
    }
    Ok(text)
}

/// A counterexample judged again.
///
/// # Errors
/// None in practice: everything has a JSON form.
pub fn replayed(
    claim: &Claim,
    counterexample: &Counterexample,
    judgement: &Judgement,
    format: Format,
) -> io::Result<String> {
    if format == Format::Json {
        return line_of(&ReplayedLine {
            claim: claim.id,
            finding: judgement.finding,
            as_saved: counterexample.agrees_with(judgement),
            line: &judgement.line,
            numbers: &judgement.numbers,
        });
    }
    let outcome = match judgement.finding {
        Finding::Contradicts => "contradicts the claim",
        Finding::Agrees => "does not contradict the claim",
        Finding::TooClose => "is too close to call",
        Finding::Vacuous => "does not meet the claim's assumptions",
    };
    let mut text = format!("{}, {}: {}\n", claim.id, claim.source, claim.statement);
    text += &format!("assuming {}\n\n", claim.assumptions);
    text += &format!("instance  {}\nfound     {}\n", counterexample.instance, judgement.line);
    for number in &judgement.numbers {
        text += &format!("          {number}\n");
    }
    if !counterexample.agrees_with(judgement) {
        text += "note      the line or the numbers saved in the file are not these\n";
    }
    text += &format!("outcome   {outcome}\n");
    Ok(text)
}

/// The page of a claim, with links and escapes of Markdown as plain text, and how it is searched.
#[must_use]
pub fn explanation(claim: &Claim) -> String {
    format!(
        "{}\n## The search\n\n\
         * Recorded verdict: {} ({})\n* Assumptions: {}\n* Drawn: {}\n* Computed: {}\n* Refuted by: {}\n\n\
         A counterexample that the search finds may have other numbers than one above. Pages named above: vaecert explain ID.\n",
        plain(claim.page),
        claim.expected,
        match claim.form.of() {
            Some(of) => format!("{}, belongs to {of}", claim.form.name()),
            None => claim.form.name().to_owned(),
        },
        claim.assumptions,
        claim.drawn,
        claim.computed,
        claim.refuted_by
    )
}

/// `[P1-exact](P1-exact.md)` as `P1-exact`.
fn plain(page: &str) -> String {
    let mut text = page.to_owned();
    for claim in REGISTRY {
        text = text.replace(&format!("[{0}]({0}.md)", claim.id), claim.id);
    }
    text
}
