//! `vaecert merge`: the shards of a run become the run.

use std::path::PathBuf;

use clap::Args;

use super::audit::{exit_code, print_minimum_radii, SoFar};
use super::certify::Summary as CertificateSummary;
use super::exit_code::ExitCode;
use super::failure::Failure;
use super::json::{line_of, Last};
use super::table;
use super::terminal::Terminal;
use crate::audit::merge::{ShardCertificates, ShardRuns};
use crate::progress::Progress;

pub(crate) const EXAMPLES: &str = "Examples:
  vaecert audit --inputs 20 --shard 0/2 --out shard-0     (on one machine)
  vaecert audit --inputs 20 --shard 1/2 --out shard-1     (on another)
  vaecert merge shard-0 shard-1 --out run

  vaecert certify --inputs 20 --shard 0/2 --out shard-0.jsonl
  vaecert certify --inputs 20 --shard 1/2 --out shard-1.jsonl
  vaecert merge shard-*.jsonl --out certificate.jsonl

In a Slurm array, --shard $SLURM_ARRAY_TASK_ID/4 with --array=0-3; in an indexed Kubernetes job
of four completions, --shard $JOB_COMPLETION_INDEX/4.";

#[derive(Debug, Args)]
pub(crate) struct MergeArguments {
    /// The folder of every shard of an audit, or the file of every shard of a certificate, in any order.
    #[arg(value_name = "SHARD", required = true)]
    pub(crate) shards: Vec<PathBuf>,
    /// Folder, or certificate file, to write.
    #[arg(long, value_name = "RUN")]
    pub(crate) out: PathBuf,
    /// Replace the run or the certificate that is already there.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print one JSON line with the summary instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Joins shards and says what the joined run says.
pub(crate) fn merge(arguments: &MergeArguments, terminal: Terminal) -> Result<ExitCode, Failure> {
    if arguments.shards.first().is_some_and(|first| first.is_dir()) {
        merge_runs(arguments, terminal)
    } else {
        merge_certificates(arguments, terminal)
    }
}

fn merge_runs(arguments: &MergeArguments, mut terminal: Terminal) -> Result<ExitCode, Failure> {
    let shards = ShardRuns::open(&arguments.shards)?;
    let mut so_far = SoFar::default();
    terminal.begin("inputs", shards.identity().inputs, 0);
    let summary = shards.write(&arguments.out, arguments.overwrite, |record| {
        so_far.add(record);
        terminal.step(&so_far.text());
        Ok(())
    });
    terminal.end();
    let summary = summary?;
    if arguments.json {
        terminal.print_as_is(&line_of(&Last { summary: &summary })?)?;
    } else {
        print_minimum_radii(&terminal, &arguments.out, shards.identity())?;
        terminal.print(&table::summary(&summary))?;
        terminal.print(&format!("{} shards joined in {}\n", arguments.shards.len(), arguments.out.display()))?;
    }
    Ok(exit_code(&summary))
}

fn merge_certificates(arguments: &MergeArguments, mut terminal: Terminal) -> Result<ExitCode, Failure> {
    let shards = ShardCertificates::open(&arguments.shards)?;
    let mut summary = CertificateSummary::default();
    terminal.begin("entries", shards.header().inputs, 0);
    let outcome = shards.write(&arguments.out, arguments.overwrite, |entry| {
        summary.add(entry);
        terminal.step(&summary.certified_so_far());
        Ok(())
    });
    terminal.end();
    outcome?;
    if arguments.json {
        terminal.print_as_is(&line_of(&Last { summary: summary.counts() })?)?;
    } else {
        terminal.print(&summary.text(&arguments.out))?;
    }
    Ok(summary.exit_code())
}
