//! What a report is made of.

use std::path::Path;

use super::figures::Ray;
use super::gallery::Gallery;
use crate::audit::replay::{Replay, ReplayError};
use crate::audit::run::RunFile;
use crate::audit::summary::{certified_for_half, standing_certificate};
use crate::audit::{InputRecord, Summary};
use crate::quantity::LowerBound;
use crate::threads::Workers;

/// A run, finished or not, with what is said about all of it.
#[derive(Debug)]
pub struct Report<'a> {
    /// What the run is.
    pub run: &'a RunFile,
    /// What it says about each input, in order; fewer than planned where it is not finished.
    pub records: &'a [InputRecord],
    /// The summary of `records`.
    pub summary: Summary,
}

/// What needs the run's saved perturbations, and partly its model and data.
#[derive(Debug)]
pub struct Evidence {
    /// Probabilities along saved perturbations; in words why there are none.
    pub(super) rays: Result<Vec<Ray>, String>,
    /// Inputs, attacked inputs and reconstructions.
    pub(super) gallery: Gallery,
}

/// Draws per point of a ray.
pub const RAY_DRAWS: usize = 2_000;
/// Shares of a saved perturbation at which probabilities are measured.
pub const RAY_FRACTIONS: [f64; 6] = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25];
/// Rays in a report; all their probability bounds together have the run's failure probability.
pub const RAYS: usize = 3;
/// Probability bounds to share the failure probability, as [`Replay::new`] counts them.
pub const RAY_DECISIONS: usize = RAYS * RAY_FRACTIONS.len();

impl<'a> Report<'a> {
    /// A report of `records`, the first of the inputs that `run` is about.
    #[must_use]
    pub fn new(run: &'a RunFile, records: &'a [InputRecord]) -> Self {
        Self { run, records, summary: Summary::of(records) }
    }

    /// Inputs that the run was to audit.
    #[must_use]
    pub fn planned(&self) -> usize {
        self.run.identity.range().len()
    }

    /// Whether every input was audited.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.records.len() >= self.planned()
    }

    /// The largest radius up to which half of the run's inputs or more are certified; nothing is of those not audited.
    #[must_use]
    pub fn certified_for_half(&self) -> LowerBound {
        let mut radii: Vec<f64> = self.records.iter().map(|record| standing_certificate(record).get()).collect();
        radii.resize(radii.len().max(self.planned()), 0.0);
        certified_for_half(&radii)
    }

    /// Records with a saved perturbation, the most fragile first.
    pub(super) fn refuted(&self) -> Vec<&'a InputRecord> {
        self.broken().into_iter().filter(|record| record.best_attack.is_some()).collect()
    }

    /// Records of inputs that a perturbation breaks, or none at all, the most fragile first.
    pub(super) fn broken(&self) -> Vec<&'a InputRecord> {
        let mut refuted: Vec<_> = self.records.iter().filter(|record| record.margin_upper.is_some()).collect();
        let margin = |record: &InputRecord| record.margin_upper.map_or(f64::INFINITY, |upper| upper.get());
        refuted.sort_by(|a, b| margin(a).total_cmp(&margin(b)).then(a.input.cmp(&b.input)));
        refuted
    }

    /// Follows a few perturbations and draws many. `replay` is the run's model and data, or in words why they are not
    /// there; it must have been made for [`RAY_DRAWS`] draws and [`RAY_DECISIONS`] perturbations with the plan's seed.
    #[must_use]
    pub fn evidence(&self, folder: &Path, replay: Result<&Replay<'_>, &str>, workers: &Workers) -> Evidence {
        let rays = match replay {
            Ok(replay) => self.rays(folder, replay, workers).map_err(|error| error.to_string()),
            Err(missing) => Err(missing.to_owned()),
        };
        Evidence { rays, gallery: Gallery::new(self, folder, replay) }
    }

    fn rays(&self, folder: &Path, replay: &Replay<'_>, workers: &Workers) -> Result<Vec<Ray>, ReplayError> {
        let chosen = self.chosen();
        let points = RAY_FRACTIONS.len();
        let measured = workers.map(chosen.len() * points, |index| {
            replay.ray_point(folder, chosen[index / points].1, RAY_FRACTIONS[index % points])
        })?;
        let ray = |((name, record), points): (&(&str, &InputRecord), &[_])| Ray {
            name: format!("input {}, {name}", record.input),
            points: points.to_vec(),
        };
        Ok(chosen.iter().zip(measured.chunks(points)).map(ray).collect())
    }

    /// The most fragile, the median and the most robust of the refuted inputs, each once.
    fn chosen(&self) -> Vec<(&'static str, &'a InputRecord)> {
        let refuted = self.refuted();
        let last = refuted.len().saturating_sub(1);
        let mut places = vec![("most fragile", 0), ("median", last / 2), ("most robust", last)];
        places.dedup_by_key(|(_, place)| *place);
        places.into_iter().filter_map(|(name, place)| Some((name, *refuted.get(place)?))).collect()
    }
}
