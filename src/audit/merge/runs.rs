//! The folders of an audit's shards become the folder of the audit.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::{check_output, ordered, Found, MergeError};
use crate::audit::folder::{
    claimed_perturbation, read_run_file, Existing, Records, RunFolder, INPUTS_FILE, SUMMARY_FILE,
};
use crate::audit::gathering::Gathering;
use crate::audit::record::InputRecord;
use crate::audit::run::{RunError, RunFile, RunIdentity};
use crate::audit::summary::Summary;
use crate::files;

/// All shards of an audit, in order, each of them finished.
#[derive(Debug)]
pub struct ShardRuns {
    shards: Vec<Found<RunIdentity>>,
    run: RunFile,
}

impl ShardRuns {
    /// Reads what the shards are and checks that they are all those of one run, finished and undamaged.
    ///
    /// # Errors
    /// [`MergeError`] where they are not.
    pub fn open(paths: &[PathBuf]) -> Result<Self, MergeError> {
        let found = |path: &PathBuf| {
            let identity = read_run_file(path)?.identity;
            let shard = identity.shard;
            Found::new(path, identity, shard)
        };
        let mut shards = ordered(paths.iter().map(found).collect::<Result<Vec<_>, MergeError>>()?)?;
        shards.iter_mut().try_for_each(check_finished)?;
        let first = shards.first().ok_or(MergeError::Nothing)?;
        // Where model and data lie is no part of what a run is: what the first shard says is kept.
        let mut run = read_run_file(&first.path)?;
        run.identity.shard = None;
        Ok(Self { shards, run })
    }

    /// What the joined run is.
    #[must_use]
    pub fn identity(&self) -> &RunIdentity {
        &self.run.identity
    }

    /// Writes the joined run to `out` and hands every record to `sink`.
    ///
    /// # Errors
    /// If something cannot be read or written; `out` then holds an interrupted run.
    pub fn write(
        &self,
        out: &Path,
        overwrite: bool,
        mut sink: impl FnMut(&InputRecord) -> io::Result<()>,
    ) -> Result<Summary, MergeError> {
        check_output(&self.shards, out)?;
        let existing = if overwrite { Existing::Overwrite } else { Existing::Refuse };
        let mut folder = RunFolder::open(out, &self.run, existing)?;
        self.copy_model(out)?;
        let mut gathering = Gathering::default();
        for shard in &self.shards {
            let before = gathering.inputs();
            for record in Records::open(&shard.path, &shard.identity)? {
                let record = record?;
                let perturbation = claimed_perturbation(&shard.path, &record)?;
                folder.append_record(&record, perturbation.as_deref())?;
                gathering.add(&record);
                sink(&record).map_err(RunError::Output)?;
            }
            // Where locks do not hold, a shard may have changed since it was checked.
            shard.check_count(gathering.inputs() - before, shard.identity.range().len(), "")?;
        }
        let summary = gathering.summary();
        folder.finish(&summary)?;
        Ok(summary)
    }

    /// A model that lies in the folder of a shard goes into that of the run.
    fn copy_model(&self, out: &Path) -> Result<(), MergeError> {
        let Some(model) = self.run.model.as_deref() else { return Ok(()) };
        let is_a_name = matches!(model.components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
        let (Some(shard), true) = (self.shards.first(), is_a_name) else { return Ok(()) };
        let (from, to) = (shard.path.join(model), out.join(model));
        let bytes = files::read_regular(&from).map_err(|source| RunError::Unreadable { path: from, source })?;
        files::write_atomically(&to, &bytes).map_err(|source| RunError::Io { path: to, source })?;
        Ok(())
    }
}

/// Fails unless a shard holds all its inputs, each with the perturbation it claims, and nobody writes it.
fn check_finished(shard: &mut Found<RunIdentity>) -> Result<(), MergeError> {
    let path = shard.path.join(INPUTS_FILE);
    if !shard.hold(&path).map_err(|source| RunError::Unreadable { path, source })? {
        return Err(RunError::InUse { path: shard.path.clone() }.into());
    }
    let inputs = shard.identity.range().len();
    let mut finished = 0;
    for record in Records::open(&shard.path, &shard.identity)? {
        if let Err(error) = claimed_perturbation(&shard.path, &record?) {
            return shard.check_count(finished, inputs, format!(" ({error})"));
        }
        finished += 1;
    }
    shard.check_count(finished, inputs, "")?;
    let has_summary = shard.path.join(SUMMARY_FILE).exists();
    shard.check_count(finished, inputs, if has_summary { String::new() } else { format!(", but no {SUMMARY_FILE}") })
}
