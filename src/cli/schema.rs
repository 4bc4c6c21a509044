//! `vaecert schema`: what every line and file of JSON that this program writes looks like.

use clap::Args;
use schemars::generate::SchemaSettings;
use schemars::transform::{transform_subschemas, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{json, Value};

use super::claims::report as claims;
use super::exit_code::ExitCode;
use super::failure::Failure;
use super::gamma_sum::{AnswerLine, BadLine};
use super::json::{CertificateCounts, ComparisonLine, Last, LinearizationTable, VerifiedCounts, VerifiedEntry};
use super::terminal::Terminal;
use crate::audit::linearization::InputLinearization;
use crate::audit::replay::ReplayRecord;
use crate::audit::run::RunFile;
use crate::audit::{InputRecord, Summary};
use crate::baseline::{Baseline, Pair};
use crate::certificate::{Entry, Header};
use crate::claims::Counterexample;
use crate::model::train::EpochLosses;
use crate::policy::Finding;
use crate::report::ReportDocument;
use crate::spelling::did_you_mean;

/// The examples of the command's long help.
pub(super) const EXAMPLES: &str = "Examples:
  vaecert schema
  vaecert schema audit > audit.schema.json
  vaecert schema certificate";

#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {
    /// Which output. Default: lists them.
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// An output that programs read.
struct Output {
    name: &'static str,
    /// Where it is found.
    place: &'static str,
    /// What it may be; a file is one of these, or each of its lines is.
    forms: fn(&mut SchemaGenerator) -> Vec<Schema>,
}

fn form<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const OUTPUTS: &[Output] = &[
    Output {
        name: "audit",
        place:
            "each line of `audit --json`; its last line also of `merge --json`; without the last one, of inputs.jsonl",
        forms: |g| vec![form::<InputRecord>(g), form::<Last<Summary>>(g)],
    },
    Output { name: "run", place: "run.json in a run's folder", forms: |g| vec![form::<RunFile>(g)] },
    Output { name: "summary", place: "summary.json in a run's folder", forms: |g| vec![form::<Summary>(g)] },
    Output {
        name: "certificate",
        place: "each line of a certificate and of `certify --json`",
        forms: |g| vec![form::<Header>(g), form::<Entry>(g)],
    },
    Output {
        name: "certificate-summary",
        place: "the line of `merge --json` for certificates",
        forms: |g| vec![form::<Last<CertificateCounts>>(g)],
    },
    Output {
        name: "verify",
        place: "each line of `verify --json`",
        forms: |g| vec![form::<VerifiedEntry<'_>>(g), form::<Last<VerifiedCounts>>(g)],
    },
    Output { name: "check", place: "each line of `check --json`", forms: |g| vec![form::<Finding>(g)] },
    Output {
        name: "diff",
        place: "each line of `diff --json`",
        forms: |g| vec![form::<Pair>(g), form::<ComparisonLine<'_>>(g)],
    },
    Output { name: "baseline", place: "a baseline of `diff --accept`", forms: |g| vec![form::<Baseline>(g)] },
    Output { name: "report", place: "`report --format json`", forms: |g| vec![form::<ReportDocument>(g)] },
    Output { name: "replay", place: "each line of `replay --json`", forms: |g| vec![form::<ReplayRecord>(g)] },
    Output {
        name: "linearization",
        place: "each line of `linearization --json`",
        forms: |g| vec![form::<InputLinearization>(g), form::<LinearizationTable<'_>>(g)],
    },
    Output {
        name: "gamma-sum",
        place: "each line of `gamma-sum --json`, and of the answers to stdin",
        forms: |g| vec![form::<AnswerLine<'_>>(g), form::<BadLine<'_>>(g)],
    },
    Output {
        name: "claims",
        place: "each line of `claims --json`",
        forms: |g| vec![form::<claims::SearchedLine<'_>>(g), form::<Last<claims::SummaryFields<'_>>>(g)],
    },
    Output {
        name: "claims-list",
        place: "each line of `claims --list --json`",
        forms: |g| vec![form::<claims::ListedLine>(g)],
    },
    Output {
        name: "claims-replay",
        place: "the line of `claims --replay FILE --json`",
        forms: |g| vec![form::<claims::ReplayedLine<'_>>(g)],
    },
    Output {
        name: "counterexample",
        place: "a counterexample that `claims` saved",
        forms: |g| vec![form::<Counterexample>(g)],
    },
    Output {
        name: "training",
        place: "each line of the .metrics.jsonl beside a trained model",
        forms: |g| vec![form::<EpochLosses>(g)],
    },
    #[cfg(feature = "fetch")]
    Output {
        name: "data-fetch",
        place: "each line of `data fetch --json`",
        forms: |g| vec![form::<super::json::FetchedLine<'_>>(g)],
    },
];

/// Prints a schema, or lists them.
pub(crate) fn schema(arguments: &SchemaArguments, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let Some(name) = &arguments.name else {
        let lines = OUTPUTS.iter().map(|output| format!("{:<20} {}\n", output.name, output.place));
        terminal.print_as_is(&lines.collect::<String>())?;
        return Ok(ExitCode::Met);
    };
    let Some(output) = OUTPUTS.iter().find(|output| output.name == name) else {
        let names: Vec<&str> = OUTPUTS.iter().map(|output| output.name).collect();
        let known = format!("{}known: {}", did_you_mean(name, &names), names.join(", "));
        let message = format!("no output is called {name:?}; {known}");
        return Err(Failure::new(ExitCode::Usage, message));
    };
    let text = serde_json::to_string_pretty(&output.schema()).map_err(|error| Failure::new(ExitCode::Bug, error))?;
    terminal.print_as_is(&(text + "\n"))?;
    Ok(ExitCode::Met)
}

impl Output {
    /// JSON Schema, draft 2020-12.
    fn schema(&self) -> Schema {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        let mut generator = settings.with_transform(Closed).into_generator();
        let forms = (self.forms)(&mut generator);
        let definitions = generator.take_definitions(true);
        let mut schema = Schema::default();
        schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        schema.insert("title".to_owned(), json!(format!("vaecert {}", self.name)));
        schema
            .insert("description".to_owned(), json!(format!("{}, version {}", self.place, env!("CARGO_PKG_VERSION"))));
        match forms.as_slice() {
            [only] => _ = schema.insert("allOf".to_owned(), json!([only])),
            forms => _ = schema.insert("anyOf".to_owned(), json!(forms)),
        }
        schema.insert("$defs".to_owned(), Value::Object(definitions));
        schema
    }
}

/// Refuses fields that are not known, and takes links out of descriptions.
#[derive(Clone)]
struct Closed;

impl Transform for Closed {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = text.replace("[`", "`").replace("`]", "`");
        }
        let is_object = schema.get("properties").is_some();
        let open = ["additionalProperties", "unevaluatedProperties"].iter().all(|key| schema.get(*key).is_none());
        if is_object && open {
            // Fields of a flattened part stand in schemas beside this one, which know nothing of each other.
            let mut key = "additionalProperties";
            for combined in ["allOf", "anyOf", "oneOf"] {
                if let Some(Value::Array(parts)) = schema.get_mut(combined) {
                    parts.iter_mut().filter_map(Value::as_object_mut).for_each(|part| _ = part.remove(key));
                    key = "unevaluatedProperties";
                }
            }
            schema.insert(key.to_owned(), json!(false));
        }
    }
}
