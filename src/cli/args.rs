//! The command line as typed.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::check::CheckArguments;
use super::diff::DiffArguments;
use super::limits::{DrawArguments, ShardArguments, TimeArguments};
use super::merge::MergeArguments;
use super::pages::{CompletionsArguments, ManArguments};
use super::report::{self, ReportArguments};
use super::schema::SchemaArguments;
use super::terminal::OutputArguments;
use crate::attack::{AttackKind, PixelBox, Threat};
use crate::audit::run::DataChoice;
use crate::audit::AuditPlan;
use crate::claims::{DEFAULT_CASES, MAX_CASES};
use crate::data::{DataError, DataSource, Layout, Preprocessing, Resize, Split};
use crate::import::onnx::ConcatenatedHeads;
use crate::import::LikelihoodChoice;
use crate::model::device::DeviceChoice;
use crate::quantity::{Probability, QuantityError, Radius, RadiusRule};
use crate::seed::Seed;

/// Brackets how robust a variational autoencoder is, and puts the theory behind that on trial.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    /// Settings file. Default: .vaecert.toml in the current folder, if it is there.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Every command")]
    pub(crate) settings: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bracket the robustness margin of every input: Theorem 1's first-order estimates against attacks.
    ///
    /// Without arguments: the embedded digits and a small β-VAE trained on them. Exit status 0 if every input is
    /// bracketed, 1 on an alarm (a first-order estimate above the norm of a perturbation that breaks robustness), 3 if an
    /// input is undecided.
    #[command(after_long_help = AUDIT_EXAMPLES, allow_negative_numbers = true)]
    Audit(Box<AuditArguments>),
    /// Certify every input: a radius within which no perturbation breaks robustness, with evidence that can be re-checked.
    ///
    /// Nothing is dropped: the bound holds for the network over the real numbers, except with the failure probability.
    /// Without arguments: the embedded digits and a small β-VAE trained on them. Exit status 0 if every input has a
    /// certified radius above 0, 3 if one has none.
    #[command(after_long_help = CERTIFY_EXAMPLES, allow_negative_numbers = true)]
    Certify(Box<CertifyArguments>),
    /// Join the shards of an audit or a certificate: byte for byte what one process would have written.
    ///
    /// Refuses missing, repeated and unfinished shards and those of different runs, and then writes nothing. Exit status as
    /// that of the whole audit or certificate; 2 if the shards do not go together, 3 if one is unfinished, 5 if something
    /// cannot be read or written.
    #[command(after_long_help = super::merge::EXAMPLES)]
    Merge(MergeArguments),
    /// Audit by a policy file and judge what it requires: the gate of a continuous-integration job.
    ///
    /// Exit status 0 if every requirement is passed, 1 if one failed, 3 if none failed but one is undecided, 2 if the policy
    /// makes no sense, 5 if something cannot be read or written.
    #[command(after_long_help = super::check::EXAMPLES)]
    Check(Box<CheckArguments>),
    /// Compare a run with a baseline, input by input: has the model become worse?
    ///
    /// Worse is a mean change of the certified radius, or of the margin found by attacks, whose interval lies below 0, or an
    /// input that newly is an alarm or failed. Exit status 0 if that is not shown, 1 if it is, 3 if it cannot be decided (too
    /// few pairs, or inputs newly undecided), 2 if the two do not go together, 5 if something cannot be read or written.
    /// Another model, device or version is compared and said; anything else that differs is refused.
    #[command(after_long_help = super::diff::EXAMPLES)]
    Diff(DiffArguments),
    /// Check a certificate with code that shares nothing with the code that wrote it.
    ///
    /// Evaluates the networks, bounds every norm, redraws the noise and derives each radius anew. Exit status 0 if every
    /// entry is verified, 3 if one is incomplete, missing or claims nothing, 4 if one is rejected.
    #[command(after_long_help = VERIFY_EXAMPLES)]
    Verify(Box<VerifyArguments>),
    /// Train a β-VAE.
    #[command(after_long_help = TRAIN_EXAMPLES, allow_negative_numbers = true)]
    Train(Box<TrainArguments>),
    /// Make a model file of a model trained elsewhere, and say what was understood.
    ///
    /// From ONNX files, or from a state dict (safetensors, or what torch.save wrote) and a description of its layers.
    /// Prints every layer, what was decided, the reconstruction error on the data, and with --check how far the outputs are
    /// from the framework's own. Exit status 1 if they are farther than the tolerance.
    #[command(after_long_help = IMPORT_EXAMPLES, allow_negative_numbers = true)]
    Import(Box<ImportArguments>),
    /// Fetch a public data set, check it and write it in the form that --data-dir reads.
    #[command(subcommand)]
    Data(DataCommand),
    /// Check the perturbations that an audit saved: norms measured anew, fresh draws.
    #[command(after_long_help = REPLAY_EXAMPLES)]
    Replay(ReplayArguments),
    /// Make a page, a comment, a table, a document or a picture of a run, finished or not.
    ///
    /// The page needs no other file and no network. Exit status 0 if the report is written; what the audit itself said is
    /// the first thing in it.
    #[command(after_long_help = report::EXAMPLES)]
    Report(ReportArguments),
    /// Compare the decoder with its tangent: Proposition 1's first-order P(‖Δ‖ ≤ r) against draws, as σ shrinks.
    #[command(after_long_help = LINEARIZATION_EXAMPLES, allow_negative_numbers = true)]
    Linearization(LinearizationArguments),
    /// The distribution of a sum of Gamma variables, by itself: probabilities, densities and quantiles with error bounds.
    ///
    /// The sum is a quadratic form in normal variables, Q = Σλ(U + b)² + σZ with U and Z independent standard normal.
    /// Every value comes with a bound on its error, for the numbers as doubles. Without --eigenvalues, questions are
    /// read from stdin, one JSON object per line, and answered line by line as JSON. Exit status 0 if every question is
    /// answered, 3 if an answer was not reached, 5 if a line of stdin makes no sense.
    #[command(after_long_help = GAMMA_SUM_EXAMPLES)]
    GammaSum(Box<GammaSumArguments>),
    /// Put the paper's statements on trial: search random instances for counterexamples and shrink them to minimal ones.
    ///
    /// Claims are as printed in the paper, amended (what is true instead) or supporting (needed to judge another). A
    /// verdict `holds` means that no case contradicted the claim; whether it is also proved, `vaecert explain` says.
    /// Exit status 0 if every verdict is the one on record, 1 if one differs, 3 if one is undecided, 2 for arguments that
    /// make no sense, 5 for files that cannot be read or written. With --replay: 0 if the counterexample still contradicts
    /// its claim, 1 if it does not, 3 if that cannot be decided.
    #[command(after_long_help = CLAIMS_EXAMPLES, allow_negative_numbers = true)]
    Claims(ClaimsArguments),
    /// Print the proof or the counterexample of a claim, and how it is searched.
    #[command(after_long_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArguments),
    /// Print the JSON Schema of an output that programs read, or list these outputs.
    ///
    /// A file of one document is valid if it is; a file of lines, if each line is. Exit status 0, 2 for an unknown name.
    #[command(after_long_help = super::schema::EXAMPLES)]
    Schema(SchemaArguments),
    /// Print the completions of a shell.
    #[command(after_long_help = super::pages::COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArguments),
    /// Print the manual page of the program, or write the pages of all commands.
    #[command(after_long_help = super::pages::MAN_EXAMPLES)]
    Man(ManArguments),
}

/// What `vaecert data` does.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Fetch MNIST, Fashion-MNIST or CIFAR-10.
    ///
    /// What is there and right is left alone; a download that broke off is continued. MNIST and Fashion-MNIST are checked
    /// pixel by pixel against the original files. CIFAR-10 is checked against the SHA-256 published for the hub's file, not
    /// against the original archive. fetched.json records what was found, and later fetches must find the same. Proxies
    /// are taken from HTTPS_PROXY and ALL_PROXY. Exit status 0 if both splits are there and right, 2 for an unknown name, 5
    /// if they could not be fetched, read or written or are not what they must be.
    #[command(after_long_help = FETCH_EXAMPLES)]
    Fetch(FetchArguments),
}

const FETCH_EXAMPLES: &str = "Examples:
  vaecert data fetch mnist
  vaecert data fetch cifar10 --out data/cifar10
  vaecert data fetch mnist --base-url https://mirror.example
  vaecert data fetch fashion-mnist --base-url /media/stick/fashion-mnist

Then:
  vaecert train --data mnist --data-dir data/mnist --out mnist.safetensors

A folder given as --base-url holds the finished files (idx, plain or .gz, or .bin batches) or the
hub's parquet files, by their names in the repository.";

const AUDIT_EXAMPLES: &str = "Examples:
  vaecert audit
  vaecert audit --model mnist.safetensors --data mnist --data-dir data/mnist --inputs 25 --out run
  vaecert audit --out run --resume
  vaecert audit --inputs 10000 --time 2h --out run          (go on with --resume)
  vaecert audit --inputs 10000 --shard 0/4 --out shard-0    (join with vaecert merge)
  vaecert audit --draws-per-input 40000 --time-per-input 5m
  vaecert audit --r 4.0 --threat joint --attack max-damage,random --box 0,1 --json";

const CERTIFY_EXAMPLES: &str = "Examples:
  vaecert certify
  vaecert certify --model mnist.safetensors --data mnist --data-dir data/mnist --out mnist.jsonl
  vaecert certify --inputs 10000 --time 2h --out c.jsonl           (go on with --resume)
  vaecert certify --inputs 10000 --shard 0/4 --out shard-0.jsonl   (join with vaecert merge)
  vaecert certify --threat joint --r 4.0 --failure-probability 1e-6 --explain";

const VERIFY_EXAMPLES: &str = "Examples:
  vaecert verify certificate.jsonl
  vaecert verify mnist.jsonl --model mnist.safetensors --data-dir data/mnist
  vaecert verify mnist.jsonl --model mnist.safetensors --data-dir data/mnist --fresh 20261126";

const IMPORT_EXAMPLES: &str = "Examples:
  vaecert import --encoder encoder.onnx --decoder decoder.onnx --out vae.safetensors
  vaecert import --onnx vae.onnx --logvar-output log_var --likelihood bernoulli --out v.safetensors
  vaecert import --weights vae.pt --architecture vae.toml --out vae.safetensors
  vaecert import --weights vae.safetensors --architecture vae.toml --out vae.vaecert.safetensors \\
      --data mnist --data-dir data/mnist --check reconstructions.npy";

const TRAIN_EXAMPLES: &str = "Examples:
  vaecert train --data digits --epochs 300 --batch-size 64 --out digits.safetensors
  vaecert train --data mnist --data-dir data/mnist --beta 4 --epochs 5 --out mnist-beta4.safetensors
  vaecert train --data photos/ --resize 32x32 --mean 0.5 --gaussian-std 0.1 --out p.safetensors
  vaecert train --data mnist.npz:x_train --resize pad:32x32 --out padded.safetensors
  vaecert train --data gaussian:4,1,0.25 --architecture linear --latent-dim 2 --out l.safetensors";

const REPLAY_EXAMPLES: &str = "Examples:
  vaecert replay run
  vaecert replay run --input 17 --draws 100000 --seed 99";

const LINEARIZATION_EXAMPLES: &str = "Examples:
  vaecert linearization
  vaecert linearization --model mnist.safetensors --data mnist --data-dir data/mnist --inputs 10
  vaecert linearization --scales 1,0.1,0.01 --probabilities 0.5 --draws 100000 --json";

const GAMMA_SUM_EXAMPLES: &str = "Examples:
  vaecert gamma-sum --eigenvalues 1,0.5,0.1 --at 2.3
  vaecert gamma-sum --eigenvalues 1,-0.5 --at -1.5,0,4 --cross-check
  vaecert gamma-sum --eigenvalues 7,3 --multiplicities 6,2 --noncentrality 6,2 --at 20 --moments
  vaecert gamma-sum --eigenvalues 1,0.5 --quantile 0.5,0.95 --survival-quantile 1e-6 --json
  vaecert gamma-sum < questions.jsonl > answers.jsonl

Lines of stdin:
  {\"lambdas\": [1, 0.5, 0.1], \"q\": 2.3}
  {\"id\": 7, \"lambdas\": [1, 0.5], \"b\": [0, 2], \"sigma\": 0.1, \"q\": [1, 2], \"p\": 0.5, \"p_upper\": 1e-6}
b are the shifts; p asks for a quantile, p_upper for one of the upper tail. One answer per q, then
per p, then per p_upper. A line that makes no sense is answered with its number and an error.

For users of CompQuadForm in R: lambda is --eigenvalues, h is --multiplicities, delta is
--noncentrality, sigma is --sigma, and Qq is P(Q > q).";

const CLAIMS_EXAMPLES: &str = "Examples:
  vaecert claims
  vaecert claims --list
  vaecert claims --only T2,P1-necessary --cases 5000 --seed 7
  vaecert claims --json --out evidence
  vaecert claims --replay evidence/P1-necessary.json";

const EXPLAIN_EXAMPLES: &str = "Examples:
  vaecert explain T2-variance";

/// Which data.
#[derive(Debug, Args)]
pub(crate) struct DataArguments {
    /// digits, mnist, fashion-mnist, cifar10, FILE.npy or FILE.npz[:NAME] or FILE.safetensors[:NAME] ([n, …]),
    /// FILE-idx3-ubyte[.gz] or FILE.idx[.gz], FILE.bin (records of CIFAR-10), FOLDER/ (PNG and JPEG images),
    /// gaussian:EIGENVALUES or mixture:K,D,SEPARATION,STD.
    #[arg(long, default_value = "digits", value_name = "DATA", help_heading = "Data")]
    pub(crate) data: String,
    /// Folder of the idx files (mnist, fashion-mnist; plain or .gz) or of the binary batches (cifar10), as written by
    /// `vaecert data fetch`.
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Seed of synthetic data.
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "Data")]
    pub(crate) data_seed: u64,
    #[command(flatten)]
    pub(crate) preprocessing: PreprocessingArguments,
}

impl DataArguments {
    /// The source and what is done to its items.
    pub(crate) fn source(&self) -> Result<DataSource, DataError> {
        DataSource::parse(&self.data, self.data_dir.as_deref())?.with(self.preprocessing.understood())
    }
}

/// What is done to every item: layout, size, then x ← (x · scale − mean) / std.
#[derive(Debug, Args)]
pub(crate) struct PreprocessingArguments {
    /// How the file stores its items: nchw, nhwc, nhw or flat. Items are taken as [C, H, W], [H, W] or [d]. A folder of
    /// grey and colour images needs nchw, which makes all of them RGB. Default: as they are.
    #[arg(long, value_name = "LAYOUT", value_parser = one_of::<Layout>(&["nchw", "nhwc", "nhw", "flat"]), hide_possible_values = true, help_heading = "Data")]
    pub(crate) layout: Option<Layout>,
    /// Bring images to this size: HxW stretches (bilinear, half-pixel centres, no antialiasing), pad:HxW puts zeros around.
    #[arg(long, value_name = "SIZE", help_heading = "Data")]
    pub(crate) resize: Option<Resize>,
    /// Multiply the raw numbers. Default: 1/255 for bytes and pixels (digits: 1/16), 1 for floating-point arrays.
    #[arg(long, value_name = "S", value_parser = finite_number, allow_hyphen_values = true, help_heading = "Data")]
    pub(crate) scale: Option<f64>,
    /// Subtract after scaling: one number, or one per channel, separated by commas.
    #[arg(long, value_name = "M,…", value_parser = numbers, allow_hyphen_values = true, help_heading = "Data")]
    pub(crate) mean: Option<List<f64>>,
    /// Divide by this at the end: one number, or one per channel, separated by commas.
    #[arg(long, value_name = "S,…", value_parser = numbers, allow_hyphen_values = true, help_heading = "Data")]
    pub(crate) std: Option<List<f64>>,
}

impl PreprocessingArguments {
    fn understood(&self) -> Preprocessing {
        let numbers = |list: &Option<List<f64>>| list.as_ref().map(|list| list.0.clone()).unwrap_or_default();
        Preprocessing {
            layout: self.layout,
            resize: self.resize,
            scale: self.scale,
            mean: numbers(&self.mean),
            std: numbers(&self.std),
        }
    }
}

/// Which inputs of which data.
#[derive(Debug, Args)]
pub(crate) struct InputArguments {
    #[command(flatten)]
    pub(crate) data: DataArguments,
    /// Part of the data.
    #[arg(long, value_enum, default_value = "test")]
    pub(crate) split: SplitArgument,
    /// Index of the first input.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) first: usize,
    /// Number of inputs.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) inputs: usize,
}

impl InputArguments {
    /// The same, understood.
    pub(crate) fn choice(&self) -> Result<DataChoice, DataError> {
        Ok(DataChoice {
            source: self.data.source()?,
            split: self.split.understood(),
            seed: Seed(self.data.data_seed),
            first: self.first,
            inputs: self.inputs,
        })
    }
}

/// Where runs go that nobody named.
#[derive(Debug, Args)]
pub(crate) struct RunsArguments {
    /// Folder of what --out does not name.
    #[arg(long, value_name = "DIR", default_value = "vaecert-runs", help_heading = "Output")]
    pub(crate) runs_dir: PathBuf,
}

/// Where to compute.
#[derive(Debug, Args)]
pub(crate) struct ComputeArguments {
    /// cpu, cuda:N or auto.
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    pub(crate) device: DeviceChoice,
    /// Threads; results do not depend on it. Default: as many as the machine has.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SplitArgument {
    Train,
    Test,
}

impl SplitArgument {
    /// The same, understood.
    pub(crate) fn understood(self) -> Split {
        match self {
            Self::Train => Split::Train,
            Self::Test => Split::Test,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProtocolArgument {
    /// Bracket and bisect.
    Bisect,
    /// The paper's Algorithm 2: walk down by a fixed step.
    Paper,
}

/// What is asked of every reconstruction, and how surely.
#[derive(Debug, Args)]
pub(crate) struct RobustnessArguments {
    /// The same radius r for every input, in output units.
    #[arg(long, value_name = "R", value_parser = radius, conflicts_with = "r_quantile", help_heading = "Robustness")]
    pub(crate) r: Option<Radius>,
    /// Choose r per input: this quantile of ‖Δ(x,0)‖, from draws used for nothing else. Default: 0.9.
    #[arg(long, value_name = "Q", value_parser = probability, help_heading = "Robustness")]
    pub(crate) r_quantile: Option<Probability>,
    /// m: a reconstruction must stay within r with more than this probability.
    #[arg(long, default_value = "0.5", value_name = "M", value_parser = probability, help_heading = "Robustness")]
    pub(crate) level: Probability,
    /// mean: the attacker reaches the code's mean only (what Theorem 1 is about); joint: also its standard deviation.
    #[arg(long, default_value = "mean", value_name = "THREAT", value_parser = one_of::<Threat>(&["mean", "joint"]), hide_possible_values = true, help_heading = "Robustness")]
    pub(crate) threat: Threat,
    /// All probability bounds and refutations of the run hold together, except with this probability.
    #[arg(long, default_value = "0.001", value_name = "P", value_parser = probability, help_heading = "Robustness")]
    pub(crate) failure_probability: Probability,
    /// Draws that choose r.
    #[arg(long, default_value_t = 2_000, value_name = "N", help_heading = "Robustness")]
    pub(crate) selection_draws: usize,
    /// Fresh draws that estimate P(‖Δ(x,0)‖ ≤ r).
    #[arg(long, default_value_t = 10_000, value_name = "N", help_heading = "Robustness")]
    pub(crate) draws: usize,
}

impl RobustnessArguments {
    /// Where r comes from.
    pub(crate) fn radius_rule(&self) -> Result<RadiusRule, QuantityError> {
        Ok(match (self.r, self.r_quantile) {
            (Some(radius), _) => RadiusRule::Absolute(radius),
            (None, Some(order)) => RadiusRule::Quantile(order),
            (None, None) => RadiusRule::Quantile(Probability::new(AuditPlan::DEFAULT_QUANTILE)?),
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    /// Model file written by `vaecert train` or `vaecert import`. Default: a small β-VAE of the embedded digits.
    #[arg(long, value_name = "FILE", conflicts_with = "train")]
    pub(crate) model: Option<PathBuf>,
    /// Train the default model on the spot instead of using the embedded one.
    #[arg(long)]
    pub(crate) train: bool,
    #[command(flatten)]
    pub(crate) chosen: InputArguments,

    #[command(flatten)]
    pub(crate) robustness: RobustnessArguments,

    /// Attacks, separated by commas: exceedance, max-damage, latent, random.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "exceedance,max-damage,latent,random",
        value_name = "NAMES",
        help_heading = "Attacks"
    )]
    pub(crate) attack: Vec<AttackKind>,
    /// How norms are visited.
    #[arg(long, value_enum, default_value = "bisect", help_heading = "Attacks")]
    pub(crate) protocol: ProtocolArgument,
    /// Bisect until the bracket's ends differ by less than this fraction. Default: 0.05.
    #[arg(long, value_name = "FRACTION", help_heading = "Attacks")]
    pub(crate) tolerance: Option<f64>,
    /// Step of the protocol `paper`, in input units. Default: 0.1.
    #[arg(long, conflicts_with = "tolerance", value_name = "STEP", help_heading = "Attacks")]
    pub(crate) decrement: Option<f64>,
    /// Largest perturbation norm tried, in input units.
    #[arg(long, default_value_t = 10.0, value_name = "NORM", help_heading = "Attacks")]
    pub(crate) max_norm: f64,
    /// Keep every coordinate of the attacked input in this range.
    #[arg(long = "box", value_name = "LOW,HIGH", value_parser = pixel_box, allow_hyphen_values = true, help_heading = "Attacks")]
    pub(crate) pixel_box: Option<PixelBox>,
    /// Random starts per attack and norm, beside the structured ones and the warm one.
    #[arg(long, default_value_t = 4, value_name = "N", help_heading = "Attacks")]
    pub(crate) restarts: usize,
    /// Gradient steps per attack and norm; random directions of the random attack.
    #[arg(long, default_value_t = 40, value_name = "N", help_heading = "Attacks")]
    pub(crate) steps: usize,
    /// Draws of the code shared by one optimisation.
    #[arg(long, default_value_t = 32, value_name = "N", help_heading = "Attacks")]
    pub(crate) attack_draws: usize,
    /// Fresh draws that decide whether a perturbation breaks robustness.
    #[arg(long, default_value_t = 4_000, value_name = "N", help_heading = "Attacks")]
    pub(crate) decision_draws: usize,

    /// Seed of all draws.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// Folder of the run. Default: one in --runs-dir, named after everything that decides the results; an interrupted run
    /// there is continued.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) runs: RunsArguments,
    /// Continue the run in --out.
    #[arg(long, conflicts_with = "overwrite", help_heading = "Output")]
    pub(crate) resume: bool,
    /// Replace the run that is already there.
    #[arg(long, help_heading = "Output")]
    pub(crate) overwrite: bool,
    /// Print one JSON line per input and one for the summary instead of tables.
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    /// Also write a report, as `vaecert report` does: a page, or what the file's ending says (md, csv, json, png).
    /// A file that is there is replaced with --overwrite and with --resume.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) shard: ShardArguments,
    #[command(flatten)]
    pub(crate) time: TimeArguments,
    #[command(flatten)]
    pub(crate) budget: DrawArguments,
    #[command(flatten)]
    pub(crate) compute: ComputeArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CertifyArguments {
    /// Model file written by `vaecert train` or `vaecert import`. Default: a small β-VAE of the embedded digits.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) chosen: InputArguments,
    #[command(flatten)]
    pub(crate) robustness: RobustnessArguments,
    /// Seed of all draws.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// Say for every input where its bound is loose: which layers, which units.
    #[arg(long, conflicts_with = "json", help_heading = "Output")]
    pub(crate) explain: bool,
    /// Certificate file to write. Default: one in --runs-dir, named after everything that decides its contents; what is
    /// there of it is continued.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) runs: RunsArguments,
    /// Continue the certificate in --out.
    #[arg(long, conflicts_with = "overwrite", requires = "out", help_heading = "Output")]
    pub(crate) resume: bool,
    /// Replace the file that is already there.
    #[arg(long, help_heading = "Output")]
    pub(crate) overwrite: bool,
    /// Print the lines of the certificate instead of a table.
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) shard: ShardArguments,
    #[command(flatten)]
    pub(crate) time: TimeArguments,
    /// Threads; results do not depend on it. Default: as many as the machine has.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// Certificate file written by `vaecert certify`.
    #[arg(value_name = "CERT")]
    pub(crate) certificate: PathBuf,
    /// The model file that the certificate is about. Default: the embedded one.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// The data, as in `vaecert certify`. Default: what the certificate names.
    #[arg(long, value_name = "DATA")]
    pub(crate) data: Option<String>,
    /// Folder of the data.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Also hold the probability against draws with this seed, which the prover has never seen.
    #[arg(long, value_name = "SEED")]
    pub(crate) fresh: Option<u64>,
    /// Fresh draws per entry. Default: as many as the certificate used.
    #[arg(long, value_name = "N", requires = "fresh", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) fresh_draws: Option<u64>,
    /// Print JSON lines instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Threads; verdicts do not depend on it. Default: as many as the machine has.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LinkArgument {
    /// The head gives the log-variance.
    LogVariance,
    /// log(1 + exp of the head).
    Softplus,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// ONNX file of the encoder: input → mean and standard deviation (or its logarithm) of the code.
    #[arg(long, value_name = "FILE.onnx", requires = "decoder", conflicts_with_all = ["onnx", "weights"], help_heading = "Model")]
    pub(crate) encoder: Option<PathBuf>,
    /// ONNX file of the decoder: code → reconstruction (or its logits).
    #[arg(long, value_name = "FILE.onnx", requires = "encoder", help_heading = "Model")]
    pub(crate) decoder: Option<PathBuf>,
    /// ONNX file of the whole model, with its sampling node.
    #[arg(long, value_name = "FILE.onnx", conflicts_with = "weights", help_heading = "Model")]
    pub(crate) onnx: Option<PathBuf>,
    /// State dict: a safetensors file, or a .pt or .pth file written by torch.save(model.state_dict(), …).
    #[arg(long, value_name = "FILE", requires = "architecture", help_heading = "Model")]
    pub(crate) weights: Option<PathBuf>,
    /// Description of its layers in TOML.
    #[arg(long, value_name = "FILE", requires = "weights", help_heading = "Model")]
    pub(crate) architecture: Option<PathBuf>,
    /// p(x | z): auto (Bernoulli if the decoder ends in a sigmoid, else gaussian:1), bernoulli or gaussian:STD. Default: what
    /// the description says, or auto.
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub(crate) likelihood: Option<LikelihoodArgument>,
    /// Shape of one input, where the ONNX file leaves it open.
    #[arg(long, value_name = "C,H,W", value_delimiter = ',', help_heading = "Names in ONNX files")]
    pub(crate) input_shape: Option<Vec<usize>>,
    /// The output that is the code's mean.
    #[arg(long, value_name = "NAME", help_heading = "Names in ONNX files")]
    pub(crate) mean_output: Option<String>,
    /// The output that is the code's standard deviation.
    #[arg(long, value_name = "NAME", group = "std_name", help_heading = "Names in ONNX files")]
    pub(crate) std_output: Option<String>,
    /// The output that is its log-variance.
    #[arg(long, value_name = "NAME", group = "std_name", help_heading = "Names in ONNX files")]
    pub(crate) logvar_output: Option<String>,
    /// The output that is its logarithm.
    #[arg(long, value_name = "NAME", group = "std_name", help_heading = "Names in ONNX files")]
    pub(crate) log_std_output: Option<String>,
    /// What the halves of an only output are: mean,logvar, mean,logstd, mean,std, or the other way round.
    #[arg(long, value_name = "KINDS", help_heading = "Names in ONNX files")]
    pub(crate) concatenated: Option<ConcatenatedHeads>,
    /// The input of the encoder, or of the whole model.
    #[arg(long, value_name = "NAME", help_heading = "Names in ONNX files")]
    pub(crate) input: Option<String>,
    /// The input of the decoder.
    #[arg(long, value_name = "NAME", help_heading = "Names in ONNX files")]
    pub(crate) latent_input: Option<String>,
    /// An input of the whole model that is standard normal noise.
    #[arg(long, value_name = "NAME", help_heading = "Names in ONNX files")]
    pub(crate) noise_input: Option<String>,
    /// The output that is the reconstruction.
    #[arg(long, value_name = "NAME", help_heading = "Names in ONNX files")]
    pub(crate) reconstruction_output: Option<String>,
    /// Model file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace the file that is already there.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Outputs of the framework for the first inputs of the data, [n, …]: reconstructions of the code's mean, or the means
    /// themselves, whichever fits.
    #[arg(long, value_name = "FILE.npy", help_heading = "Check")]
    pub(crate) check: Option<PathBuf>,
    /// Largest difference allowed, relative to 1 + the size of the value.
    #[arg(long, default_value_t = 1e-4, value_name = "T", requires = "check", help_heading = "Check")]
    pub(crate) check_tolerance: f64,
    /// Part of the data.
    #[arg(long, value_enum, default_value = "test", help_heading = "Data")]
    pub(crate) split: SplitArgument,
    /// Inputs that are reconstructed.
    #[arg(long, default_value = "100", value_name = "N", help_heading = "Data")]
    pub(crate) inputs: NonZeroUsize,
    #[command(flatten)]
    pub(crate) data: DataArguments,
}

/// A likelihood by its name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LikelihoodArgument(pub(crate) LikelihoodChoice);

impl std::str::FromStr for LikelihoodArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let choice = match text.split_once(':') {
            None if text == "auto" => LikelihoodChoice::Auto,
            None if text == "bernoulli" => LikelihoodChoice::Bernoulli,
            Some(("gaussian", std)) => match std.parse::<f64>() {
                Ok(std) if std.is_finite() && std > 0.0 => LikelihoodChoice::Gaussian { std },
                _ => return Err(format!("{std:?} is not a finite number above 0")),
            },
            _ => return Err("expected auto, bernoulli or gaussian:STD".to_owned()),
        };
        Ok(Self(choice))
    }
}

#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    #[command(flatten)]
    pub(crate) data: DataArguments,
    /// Model file to write; beside it FILE.metrics.jsonl and, until the end, FILE.checkpoint.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// digits, paper-mnist, paper-cifar or linear. Default: what fits the data.
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub(crate) architecture: Option<String>,
    /// Latent size. Default: the architecture's.
    #[arg(long, value_name = "N", help_heading = "Model")]
    pub(crate) latent_dim: Option<usize>,
    /// τ: added to the encoder's standard deviation, which is then never below it.
    #[arg(long, default_value_t = 0.0, value_name = "TAU", help_heading = "Model")]
    pub(crate) std_floor: f64,
    /// From the standard-deviation head to a standard deviation.
    #[arg(long, value_enum, default_value = "log-variance", help_heading = "Model")]
    pub(crate) std_link: LinkArgument,
    /// Use a Gaussian likelihood of this standard deviation. Default: the architecture's (Bernoulli except linear).
    #[arg(long, value_name = "STD", help_heading = "Model")]
    pub(crate) gaussian_std: Option<f64>,
    /// Weight of the divergence term.
    #[arg(long, default_value_t = 1.0, value_name = "BETA", help_heading = "Training")]
    pub(crate) beta: f64,
    /// Passes over the data.
    #[arg(long, default_value_t = 100, value_name = "N", help_heading = "Training")]
    pub(crate) epochs: usize,
    /// Inputs per step.
    #[arg(long, default_value_t = 512, value_name = "N", help_heading = "Training")]
    pub(crate) batch_size: usize,
    /// Adam's step size.
    #[arg(long, default_value_t = 1e-3, value_name = "RATE", help_heading = "Training")]
    pub(crate) learning_rate: f64,
    /// Seed of weights, order and noise.
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "Training")]
    pub(crate) seed: u64,
    /// Continue from FILE.checkpoint.
    #[arg(long, conflicts_with = "overwrite")]
    pub(crate) resume: bool,
    /// Replace a model or a checkpoint that is already there.
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) compute: ComputeArguments,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArguments {
    /// mnist, fashion-mnist or cifar10.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Folder of the files. Default: data/NAME.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Server with the paths of the Hugging Face hub, or a folder. Default: $HF_ENDPOINT, or the hub itself.
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// Print one JSON line per split instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// Folder of a run written by `vaecert audit`.
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Only these inputs, separated by commas. Default: all that have a perturbation.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub(crate) input: Vec<usize>,
    /// Model file, if it has moved since the audit.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// The data as in `vaecert audit`, if they have moved since then.
    #[arg(long, value_name = "DATA")]
    pub(crate) data: Option<String>,
    /// Folder of the data, if it has moved since the audit.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Fresh draws per perturbation.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) draws: u64,
    /// Seed of the fresh draws.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// Print JSON lines instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Threads; results do not depend on it. Default: as many as the machine has.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
pub(crate) struct LinearizationArguments {
    /// Model file written by `vaecert train` or `vaecert import`. Default: a small β-VAE of the embedded digits.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) chosen: InputArguments,
    /// Factors of σ, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "1,0.5,0.25,0.125", value_name = "FACTORS", value_parser = number)]
    pub(crate) scales: Vec<f64>,
    /// First-order probabilities that choose r, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "0.1,0.5,0.9", value_name = "P", value_parser = probability)]
    pub(crate) probabilities: Vec<Probability>,
    /// Draws per input.
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub(crate) draws: usize,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// Print one JSON line per input and one for the table instead of the table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Threads; results do not depend on it. Default: as many as the machine has.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// Numbers separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

#[derive(Debug, Args)]
pub(crate) struct GammaSumArguments {
    /// Eigenvalues λ, of either sign. Without them questions are read from stdin.
    #[arg(long, value_name = "λ,…", value_parser = numbers, allow_hyphen_values = true, help_heading = "Form")]
    pub(crate) eigenvalues: Option<List<f64>>,
    /// Shifts b, one per eigenvalue, of either sign. Default: 0.
    #[arg(
        long,
        value_name = "B,…",
        value_parser = numbers,
        allow_hyphen_values = true,
        requires = "eigenvalues",
        conflicts_with = "noncentrality",
        help_heading = "Form"
    )]
    pub(crate) shifts: Option<List<f64>>,
    /// Noncentrality parameters b², one per eigenvalue, 0 or more. Their square roots are rounded, and error bounds
    /// hold for the rounded ones; --shifts is exact.
    #[arg(
        long,
        value_name = "B²,…",
        value_parser = numbers_from_zero,
        allow_hyphen_values = true,
        requires = "eigenvalues",
        help_heading = "Form"
    )]
    pub(crate) noncentrality: Option<List<f64>>,
    /// How often each eigenvalue occurs. Its shift or noncentrality is then that of all of them together. Default: 1.
    #[arg(
        long,
        value_name = "H,…",
        value_parser = multiplicities,
        allow_hyphen_values = true,
        requires = "eigenvalues",
        help_heading = "Form"
    )]
    pub(crate) multiplicities: Option<List<usize>>,
    /// Standard deviation σ of the normal term. Default: 0.
    #[arg(
        long,
        value_name = "σ",
        value_parser = number_from_zero,
        allow_hyphen_values = true,
        requires = "eigenvalues",
        help_heading = "Form"
    )]
    pub(crate) sigma: Option<f64>,

    /// P(Q ≤ q), P(Q > q) and the density at these q.
    #[arg(
        long,
        value_name = "Q,…",
        value_parser = numbers,
        allow_hyphen_values = true,
        requires = "eigenvalues",
        help_heading = "Questions"
    )]
    pub(crate) at: Vec<List<f64>>,
    /// The q with P(Q ≤ q) = p.
    #[arg(
        long,
        value_name = "P,…",
        value_parser = probabilities,
        allow_hyphen_values = true,
        requires = "eigenvalues",
        help_heading = "Questions"
    )]
    pub(crate) quantile: Vec<List<Probability>>,
    /// The q with P(Q > q) = p, for upper tails too small to be written as one minus something.
    #[arg(
        long,
        value_name = "P,…",
        value_parser = probabilities,
        allow_hyphen_values = true,
        requires = "eigenvalues",
        help_heading = "Questions"
    )]
    pub(crate) survival_quantile: Vec<List<Probability>>,
    /// Mean, variance, third and fourth cumulant.
    #[arg(long, requires = "eigenvalues", help_heading = "Questions")]
    pub(crate) moments: bool,
    /// Compute the probabilities at every q by a second, independent algorithm too. A disagreement beyond both bounds is
    /// an error; out of reach, as with fewer than four eigenvalues of either sign, the second one says so and nothing
    /// else changes.
    #[arg(long)]
    pub(crate) cross_check: bool,
    /// Print one JSON line per answer instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ClaimsArguments {
    /// List the claims instead of searching them.
    #[arg(long, conflicts_with_all = ["cases", "seed", "failure_probability", "time_limit", "out", "overwrite", "replay"])]
    pub(crate) list: bool,
    /// Judge the counterexample in this file again instead of searching. For an instance of your own, change one that was
    /// saved: only format, claim and instance are needed.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "cases", "seed", "failure_probability", "time_limit", "out", "overwrite"])]
    pub(crate) replay: Option<PathBuf>,
    /// Only these claims, separated by commas: ids (T2-variance) or how they begin (T2, T1-relu).
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) only: Vec<String>,
    /// Random instances per claim; claims whose instances are dear get a share of it.
    #[arg(long, default_value_t = DEFAULT_CASES, value_name = "N", value_parser = cases)]
    pub(crate) cases: usize,
    /// Seed of instances and draws.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// All decisions that rest on draws are right together, except with this probability.
    #[arg(long, default_value = "0.001", value_name = "P", value_parser = probability)]
    pub(crate) failure_probability: Probability,
    /// Stop after this many seconds, shared by the claims; one that is not finished then is undecided. Default: no limit.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) time_limit: Option<Duration>,
    /// Folder for counterexamples, one file per refuted claim. Default: one in --runs-dir, named after everything that
    /// decides the results.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) runs: RunsArguments,
    /// Replace counterexamples that are already in --out.
    #[arg(long, help_heading = "Output", requires = "out")]
    pub(crate) overwrite: bool,
    /// Print one JSON line per claim and one for the summary instead of a table.
    #[arg(long, help_heading = "Output", conflicts_with = "markdown")]
    pub(crate) json: bool,
    /// Print a table in Markdown.
    #[arg(long, help_heading = "Output")]
    pub(crate) markdown: bool,
    /// Threads; results do not depend on it. Default: as many as the machine has.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// Id of a claim; `vaecert claims --list` shows them.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// One of a few words; a misspelt one is answered with the nearest.
fn one_of<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Display> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| word.parse::<T>().map_err(|error| error.to_string()))
}

fn cases(text: &str) -> Result<usize, String> {
    let found = text.trim().parse().ok().filter(|cases| (1..=MAX_CASES).contains(cases));
    found.ok_or_else(|| format!("expected a whole number from 1 to {MAX_CASES}, found {text:?}"))
}

/// A time that fits a clock.
const LONGEST_SECONDS: f64 = 1e9;

fn seconds(text: &str) -> Result<Duration, String> {
    let found = text.trim().parse().ok().filter(|seconds: &f64| *seconds > 0.0 && *seconds <= LONGEST_SECONDS);
    found.map(Duration::from_secs_f64).ok_or_else(|| format!("expected a number of seconds above 0, found {text:?}"))
}

fn number(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| format!("expected a number, found {text:?}"))
}

/// More threads than any machine has would only take memory.
const MAX_THREADS: usize = 1024;

pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let found = text.trim().parse().ok().filter(|&threads: &NonZeroUsize| threads.get() <= MAX_THREADS);
    found.ok_or_else(|| format!("expected a number from 1 to {MAX_THREADS}, found {text:?}"))
}

fn radius(text: &str) -> Result<Radius, String> {
    Radius::new(number(text)?).map_err(|error| error.to_string())
}

fn probability(text: &str) -> Result<Probability, String> {
    Probability::new(number(text)?).map_err(|error| error.to_string())
}

/// A list whose errors name the entry.
fn list<T>(text: &str, entry: impl Fn(&str) -> Result<T, String>) -> Result<List<T>, String> {
    let entries: Vec<&str> = text.split(',').map(str::trim).collect();
    let named = |(index, text): (usize, &&str)| {
        entry(text).map_err(|reason| format!("entry {} of {}: {reason}", index + 1, entries.len()))
    };
    entries.iter().enumerate().map(named).collect::<Result<_, _>>().map(List)
}

fn finite_number(text: &str) -> Result<f64, String> {
    let found = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    found.ok_or_else(|| format!("expected a finite number, found {text:?}"))
}

fn number_from_zero(text: &str) -> Result<f64, String> {
    let found = finite_number(text).ok().filter(|number| *number >= 0.0);
    found.ok_or_else(|| format!("expected a finite number, 0 or more, found {text:?}"))
}

fn multiplicity(text: &str) -> Result<usize, String> {
    let found = text.parse().ok().filter(|multiplicity: &usize| *multiplicity >= 1);
    found.ok_or_else(|| format!("expected a whole number, 1 or more, found {text:?}"))
}

fn numbers(text: &str) -> Result<List<f64>, String> {
    list(text, finite_number)
}

fn numbers_from_zero(text: &str) -> Result<List<f64>, String> {
    list(text, number_from_zero)
}

fn multiplicities(text: &str) -> Result<List<usize>, String> {
    list(text, multiplicity)
}

fn probabilities(text: &str) -> Result<List<Probability>, String> {
    list(text, probability)
}

fn pixel_box(text: &str) -> Result<PixelBox, String> {
    let expected = || format!("expected two numbers LOW,HIGH, found {text:?}");
    let (low, high) = text.split_once(',').ok_or_else(expected)?;
    let end = |text: &str| text.trim().parse::<f32>().map_err(|_| expected());
    Ok(PixelBox { low: end(low)?, high: end(high)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    /// Columns of the help where no terminal says otherwise.
    const HELP_WIDTH: usize = 100;

    /// The commands without commands below them.
    fn leaves(command: &clap::Command) -> Vec<clap::Command> {
        let inner = command.get_subcommands().filter(|inner| inner.get_name() != "help");
        let leaves: Vec<_> = inner.flat_map(leaves).collect();
        if leaves.is_empty() {
            vec![command.clone()]
        } else {
            leaves
        }
    }

    #[test]
    fn every_commands_long_help_has_examples_that_can_be_typed() {
        for command in leaves(&Arguments::command()) {
            let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            // Longer lines break on a usual terminal, and where they break they cannot be typed.
            let too_long = help.lines().find(|line| line.chars().count() > HELP_WIDTH);
            assert_eq!(too_long, None, "{}", command.get_name());
            let help = help.replace("\\\n", " ");
            let examples = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{}", command.get_name())).1;
            let lines: Vec<&str> = examples.lines().filter(|line| line.starts_with("  vaecert ")).collect();
            assert!(!lines.is_empty(), "{}", command.get_name());
            for line in lines {
                // Behind two spaces stands a remark; behind an angle, where output goes or input comes from.
                let typed =
                    line.trim().split("  ").next().unwrap_or_default().split(['<', '>']).next().unwrap_or_default();
                let parsed = Arguments::try_parse_from(typed.split_whitespace());
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            }
        }
    }

    #[test]
    fn numbers_without_meaning_are_refused_with_the_reason() {
        for (text, reason) in [("0", "above 0"), ("-1", "above 0"), ("nan", "above 0"), ("x", "expected a number")] {
            assert!(radius(text).unwrap_err().contains(reason), "{text}");
        }
        for text in ["0", "1", "1.5", "nan"] {
            assert!(probability(text).unwrap_err().contains("strictly between 0 and 1"), "{text}");
        }
        assert!(pixel_box("0").unwrap_err().contains("LOW,HIGH"));
        assert_eq!(numbers("-1, 2e3"), Ok(List(vec![-1.0, 2000.0])));
        for (text, reason) in
            [("1,x", "entry 2 of 2"), ("1,,2", "found \"\""), ("1e400", "a finite number"), ("nan", "NaN")]
        {
            assert!(numbers(text).unwrap_err().to_lowercase().contains(&reason.to_lowercase()), "{text}");
        }
        assert!(numbers_from_zero("0,-1").unwrap_err().contains("entry 2 of 2: expected a finite number, 0 or more"));
        assert!(multiplicities("2,1.5").unwrap_err().contains("entry 2 of 2: expected a whole number, 1 or more"));
        assert!(multiplicities("0").is_err());
        assert!(probabilities("0.5,1").unwrap_err().contains("entry 2 of 2: a probability must lie strictly"));
        assert_eq!(pixel_box("-1, 1"), Ok(PixelBox { low: -1.0, high: 1.0 }));
    }
}
