//! The command lines that repeat a run.

use std::path::Path;

use crate::audit::run::RunFile;
use crate::data::{DataSource, Origin};
use crate::margin::{Protocol, RadiusRule};

/// The `vaecert audit` that gives the same results.
#[must_use]
pub fn audit(run: &RunFile) -> String {
    let search = &run.identity.plan.search;
    let attacks: Vec<&str> = run.identity.plan.attacks.iter().map(|kind| kind.name()).collect();
    // A relative path is that of a model which the run itself trained.
    let trained = run.model.as_deref().is_some_and(Path::is_relative);
    let named = if trained { Some("--train".to_owned()) } else { run.model.as_deref().map(model) };
    let mut words = shared(run, "audit", named);
    words.extend([option("attack", attacks.join(",")), option("max-norm", search.max_norm)]);
    match search.protocol {
        Protocol::Bisect { tolerance } => words.push(option("tolerance", tolerance)),
        Protocol::Paper { decrement } => words.extend(["--protocol paper".to_owned(), option("decrement", decrement)]),
    }
    if let Some(pixel_box) = search.pixel_box {
        words.push(option("box", format!("{},{}", pixel_box.low, pixel_box.high)));
    }
    words.extend([
        option("restarts", search.effort.restarts),
        option("steps", search.effort.steps),
        option("attack-draws", search.effort.draws),
        option("decision-draws", search.decision_draws),
    ]);
    words.extend(run.identity.plan.draws_per_input.map(|draws| option("draws-per-input", draws)));
    let time = run.identity.plan.machine_dependent_milliseconds_per_input;
    words.extend(time.map(|milliseconds| format!("--time-per-input {milliseconds}ms")));
    if run.identity.device != "cpu" {
        words.push("--device cuda:0".to_owned());
    }
    words.join(" ")
}

/// The `vaecert certify` that asks the same about the same inputs.
#[must_use]
pub fn certify(run: &RunFile) -> String {
    let mut words = shared(run, "certify", run.model.as_deref().map(model));
    words.push("--out certificate.jsonl".to_owned());
    words.join(" ")
}

/// The `vaecert verify` that checks what [`certify`] wrote.
#[must_use]
pub fn verify(run: &RunFile) -> String {
    let mut words = vec!["vaecert verify certificate.jsonl".to_owned()];
    words.extend(run.model.as_deref().map(model));
    words.extend(directory(&run.source).map(|directory| option("data-dir", directory.display())));
    words.join(" ")
}

/// What audits and certificates are both asked.
fn shared(run: &RunFile, command: &str, model: Option<String>) -> Vec<String> {
    let (identity, plan) = (&run.identity, &run.identity.plan);
    let mut words = vec![format!("vaecert {command}")];
    words.extend(model);
    words.extend(match directory(&run.source) {
        Some(directory) => vec![option("data", &identity.data), option("data-dir", directory.display())],
        None => vec![option("data", &run.source)],
    });
    if matches!(run.source.origin, Origin::Gaussian { .. } | Origin::Mixture { .. }) {
        words.push(option("data-seed", identity.data_seed.0));
    }
    words.extend([
        option("split", identity.split),
        option("first", identity.first),
        option("inputs", identity.inputs),
        match plan.radius {
            RadiusRule::Absolute(radius) => option("r", radius.get()),
            RadiusRule::Quantile(order) => option("r-quantile", order.get()),
        },
        option("level", plan.level.get()),
        option("threat", plan.threat),
        option("failure-probability", plan.failure_probability.get()),
        option("selection-draws", plan.selection_draws),
        option("draws", plan.estimation_draws),
        option("seed", plan.seed.0),
    ]);
    words.extend(identity.shard.map(|shard| option("shard", shard)));
    words
}

/// A relative path is relative to the run's folder.
fn model(path: &Path) -> String {
    let path = if path.is_relative() { Path::new("RUN").join(path) } else { path.to_owned() };
    option("model", path.display())
}

fn directory(source: &DataSource) -> Option<&Path> {
    match &source.origin {
        Origin::Mnist { directory } | Origin::FashionMnist { directory } | Origin::Cifar10 { directory } => {
            Some(directory)
        }
        _ => None,
    }
}

fn option(name: &str, value: impl ToString) -> String {
    format!("--{name} {}", quoted(&value.to_string()))
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_the_run_trained_is_trained_again_and_then_found_in_its_folder() {
        let mut run = crate::report::testing::run(2);
        run.model = Some("model.safetensors".into());
        assert!(audit(&run).starts_with("vaecert audit --train --data digits --split test --first 0 --inputs 2 "));
        assert!(certify(&run).starts_with("vaecert certify --model RUN/model.safetensors --data digits "));
        assert_eq!(verify(&run), "vaecert verify certificate.jsonl --model RUN/model.safetensors");
        run.model = Some("/a b/m.safetensors".into());
        assert!(audit(&run).starts_with("vaecert audit --model '/a b/m.safetensors' --data digits "));
    }

    #[test]
    fn words_with_spaces_and_quotation_marks_stay_one_word() {
        assert_eq!(quoted("/a/b-c.npy"), "/a/b-c.npy");
        assert_eq!(quoted("a b$(c)"), "'a b$(c)'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
