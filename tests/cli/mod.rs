//! What a user sees: tables, JSON lines, training, help.

use vaecert::audit::linearization::LinearizationRow;
use vaecert::audit::{InputRecord, Summary};
use vaecert::model::Model;

use crate::support::{files_below, quick, vaecert};

mod check;
mod claims;
mod data;
mod diff;
mod gamma_sum;
mod import;
mod junit;
mod schemas;
mod shell;
mod snapshots;

#[test]
fn an_audit_prints_a_row_per_input_and_a_summary_with_units() {
    let folder = tempfile::tempdir().unwrap();
    let answer = vaecert(folder.path(), &quick(&[]));
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    for expected in [
        "threat  mean",
        "theorem1",
        "margin ≤",
        "3 inputs: 3 bracketed, 0 undecided, 0 alarms, 0 failed",
        "input units",
        "Pearson",
        "dataset margin E[R(x)]",
        "vaecert replay vaecert-runs/",
    ] {
        assert!(answer.stdout.contains(expected), "{expected:?} is missing from\n{}", answer.stdout);
    }
    assert!(!answer.stderr.contains('█'), "progress is drawn only on a terminal");
}

#[test]
fn json_lines_read_back_as_records_and_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    let answer = vaecert(folder.path(), &quick(&["--json", "--out", "run"]));
    let lines: Vec<&str> = answer.stdout.lines().collect();
    assert_eq!(lines.len(), 4);
    let records: Vec<InputRecord> = lines[..3].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.iter().map(|record| record.input).collect::<Vec<_>>(), [0, 1, 2]);
    let summary: serde_json::Value = serde_json::from_str(lines[3]).unwrap();
    let summary: Summary = serde_json::from_value(summary["summary"].clone()).unwrap();
    assert_eq!(summary, Summary::of(&records));
    // The folder holds the same.
    let file = |name: &str| std::fs::read_to_string(folder.path().join("run").join(name)).unwrap();
    assert_eq!(file("inputs.jsonl").lines().collect::<Vec<_>>(), lines[..3]);
    assert_eq!(serde_json::from_str::<Summary>(&file("summary.json")).unwrap(), summary);
}

#[test]
fn the_linearisation_of_digits_becomes_exact_as_sigma_shrinks() {
    let folder = tempfile::tempdir().unwrap();
    let arguments =
        ["linearization", "--inputs", "4", "--draws", "4000", "--scales", "1,0.0001", "--probabilities", "0.5"];
    let answer = vaecert(folder.path(), &[&arguments[..], &["--json"]].concat());
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let last: serde_json::Value = serde_json::from_str(answer.stdout.lines().last().unwrap()).unwrap();
    let rows: Vec<LinearizationRow> = serde_json::from_value(last["rows"].clone()).unwrap();
    // 16,000 draws of the tangent against the Gamma sum: five standard errors.
    assert!(rows.iter().all(|row| (row.tangent_share - 0.5).abs() < 5.0 * 0.5 / 16_000f64.sqrt()), "{rows:?}");
    assert!(rows[0].rms_difference > 0.01 && rows[1].rms_difference < 0.001, "{rows:?}");
    // The same bytes on any number of threads, and a table for eyes.
    let threaded = vaecert(folder.path(), &[&arguments[..], &["--json", "--threads", "3"]].concat());
    assert_eq!(answer.stdout, threaded.stdout);
    let table = vaecert(folder.path(), &arguments);
    assert!(table.stdout.contains("Gamma sum") && table.stdout.contains("too few factors of σ"), "{}", table.stdout);
}

#[test]
fn an_affine_model_is_audited_with_its_exact_margin() {
    let folder = tempfile::tempdir().unwrap();
    let data = ["--data", "gaussian:4,1,0.25"];
    let train = ["train", "--architecture", "linear", "--latent-dim", "2", "--epochs", "3", "--out", "m.safetensors"];
    assert_eq!(vaecert(folder.path(), &[&train[..], &data].concat()).code, 0);
    let answer = vaecert(folder.path(), &quick(&["--model", "m.safetensors", data[0], data[1], "--json"]));
    for line in answer.stdout.lines().take(3) {
        let record: InputRecord = serde_json::from_str(line).unwrap();
        let exact = record.exact_margin.unwrap();
        assert!(record.first_order.unwrap().whitened.get() <= exact.upper.get(), "{line}");
        assert!(record.margin_upper.is_none_or(|upper| exact.lower.get() <= upper.get()), "{line}");
    }
    let joint =
        vaecert(folder.path(), &quick(&["--model", "m.safetensors", data[0], data[1], "--json", "--threat", "joint"]));
    assert!(joint.stdout.contains("\"exact_margin\":null"), "{}", joint.stdout);
}

#[test]
fn lower_bounds_lie_below_refutations_on_real_digits() {
    let folder = tempfile::tempdir().unwrap();
    let answer = vaecert(folder.path(), &quick(&["--json"]));
    for line in answer.stdout.lines().take(3) {
        let record: InputRecord = serde_json::from_str(line).unwrap();
        let ladder = record.first_order.unwrap();
        assert!(ladder.theorem1.get() <= ladder.operator.get() && ladder.operator.get() <= ladder.whitened.get());
        assert!(ladder.whitened.get() <= record.margin_upper.unwrap().get());
        let best =
            record.attacks.iter().filter_map(|attack| attack.margin_upper).fold(f64::INFINITY, |m, u| m.min(u.get()));
        assert!((best - record.margin_upper.unwrap().get()).abs() < f64::EPSILON);
    }
}

#[test]
fn a_trained_model_is_written_with_its_metrics_and_audited() {
    let folder = tempfile::tempdir().unwrap();
    let train = ["train", "--data", "digits", "--epochs", "2", "--batch-size", "256", "--out", "m.safetensors"];
    let trained = vaecert(folder.path(), &train);
    assert_eq!(trained.code, 0, "{}", trained.stderr);
    assert!(trained.stdout.contains("epoch 2: loss "), "{}", trained.stdout);
    let names: Vec<String> = files_below(folder.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["m.safetensors", "m.safetensors.metrics.jsonl"]);
    let metrics = std::fs::read_to_string(folder.path().join("m.safetensors.metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 2);
    let model = Model::load(&folder.path().join("m.safetensors")).unwrap();
    assert_eq!(model.training.unwrap().final_losses.unwrap().epoch, 2);
    let audited = vaecert(folder.path(), &quick(&["--model", "m.safetensors", "--attack", "latent"]));
    assert!(matches!(audited.code, 0 | 3), "{}", audited.stderr);

    let again = vaecert(folder.path(), &train);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("m.safetensors exists") && again.stderr.contains("--overwrite"), "{}", again.stderr);
}

#[test]
fn a_training_run_killed_between_epochs_resumes_to_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let train = |out: &str, more: &[&str]| {
        let base = ["train", "--data", "mixture:3,6,2.0,0.5", "--epochs", "3", "--batch-size", "2000", "--out"];
        vaecert(folder.path(), &[&base[..], &[out], more].concat())
    };
    assert_eq!(train("whole", &[]).code, 0);
    // A checkpoint of the same run after its first epoch, as a kill would leave it.
    let source = vaecert::data::DataSource::parse("mixture:3,6,2.0,0.5", None).unwrap();
    let seed = vaecert::seed::Seed(0);
    let data = source.load(vaecert::data::Split::Train, seed).unwrap();
    let plan =
        vaecert::model::train::TrainingPlan { epochs: 3, batch_size: 2000, learning_rate: 1e-3, beta: 1.0, seed };
    let architecture = vaecert::model::Architecture::preset("linear", data.item_shape()).unwrap();
    let mut trainer =
        vaecert::model::train::Trainer::new(architecture, &data, plan, &candle_core::Device::Cpu).unwrap();
    trainer.run_epoch(&vaecert::threads::Workers::new(None).unwrap()).unwrap();
    std::fs::write(folder.path().join("killed.checkpoint"), trainer.checkpoint().unwrap()).unwrap();

    let refused = train("killed", &[]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("a run was interrupted: continue it with --resume"), "{}", refused.stderr);
    let resumed = train("killed", &["--resume"]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("killed"), read("whole"));
    assert_eq!(read("killed.metrics.jsonl"), read("whole.metrics.jsonl"));
    assert!(!folder.path().join("killed.checkpoint").exists());
}

#[test]
fn a_loss_that_blows_up_names_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let wild = ["train", "--data", "digits", "--epochs", "9", "--learning-rate", "1e30", "--out", "m"];
    let answer = vaecert(folder.path(), &wild);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    assert!(answer.stderr.contains("in epoch 1, step 2"), "{}", answer.stderr);
    assert!(answer.stderr.contains("there is no checkpoint to continue from"), "{}", answer.stderr);
    assert!(!folder.path().join("m").exists());
}

#[test]
fn every_command_explains_itself_with_examples() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["audit", "certify", "merge", "train", "replay", "linearization", "gamma-sum", "claims", "explain"] {
        let answer = vaecert(folder.path(), &[command, "--help"]);
        assert_eq!(answer.code, 0);
        assert!(answer.stdout.contains("Examples:"), "{command}");
    }
}
