//! Inputs beside their attacked versions and the reconstructions of both, the most fragile and the most robust.

use std::path::Path;

use super::content::Report;
use super::picture::{element, Form, Undone};
use crate::audit::ray::Reconstructions;
use crate::audit::replay::{Replay, StoredPerturbation};
use crate::audit::InputRecord;

/// Inputs shown on either side.
const PER_SIDE: usize = 6;

/// The pictures of a report.
#[derive(Debug, Default)]
pub(super) struct Gallery {
    /// Inputs with the smallest margins, the smallest first.
    pub(super) fragile: Vec<Exhibit>,
    /// Inputs with the largest margins, the largest first.
    pub(super) robust: Vec<Exhibit>,
    /// What a reader must know: ranges, and what is missing.
    pub(super) notes: Vec<String>,
}

/// One input.
#[derive(Debug)]
pub(super) struct Exhibit {
    /// Index within the split.
    pub(super) input: usize,
    /// What was found about it.
    pub(super) caption: String,
    /// Pictures, each with its name.
    pub(super) pictures: Vec<(&'static str, String)>,
}

/// An input with all that is drawn of it.
struct Found<'a> {
    record: &'a InputRecord,
    stored: StoredPerturbation,
    reconstructions: Option<Reconstructions>,
}

impl Gallery {
    pub(super) fn new(report: &Report<'_>, folder: &Path, replay: Result<&Replay<'_>, &str>) -> Self {
        let mut gallery = Self::default();
        let refuted = report.refuted();
        if refuted.is_empty() {
            gallery.notes.push("The run saved no perturbation, so there is nothing to show.".to_owned());
            return gallery;
        }
        let side = PER_SIDE.min(refuted.len().div_ceil(2));
        let fragile = gallery.find(folder, refuted.iter().take(side), replay);
        let robust = gallery.find(folder, refuted.iter().skip(side).rev().take(side), replay);
        let found: Vec<&Found<'_>> = fragile.iter().chain(&robust).collect();
        let Some(first) = found.first() else { return gallery };
        let form = match gallery.form(first, report, replay) {
            Ok(form) => form,
            Err(reason) => {
                gallery.notes.push(reason);
                return gallery;
            }
        };
        let undone = Undone::new(&report.run.source.preprocessing);
        let range = value_range(&found, form, &undone);
        let difference = largest_difference(&found, form, &undone);
        gallery.describe(range, difference, &undone, form);
        let exhibits = |side: &[Found<'_>]| -> Vec<Exhibit> {
            side.iter().map(|found| found.exhibit(form, range, difference, &undone)).collect()
        };
        (gallery.fragile, gallery.robust) = (exhibits(&fragile), exhibits(&robust));
        gallery
    }

    /// What is saved of the records; what cannot be read becomes a note.
    fn find<'a>(
        &mut self,
        folder: &Path,
        records: impl Iterator<Item = &'a &'a InputRecord>,
        replay: Result<&Replay<'_>, &str>,
    ) -> Vec<Found<'a>> {
        let mut all = Vec::new();
        for record in records {
            // With the data at hand, the saved input must be theirs.
            let stored = match replay {
                Ok(replay) => replay.stored(folder, record),
                Err(_) => StoredPerturbation::read(folder, record),
            };
            match stored {
                Ok(stored) => all.push(Found::new(record, stored, replay.ok())),
                Err(error) => self.notes.push(format!("Input {} is not shown: {error}", record.input)),
            }
        }
        all
    }

    /// How inputs are laid out: as the model says, or, without it, as their number of values suggests.
    fn form(
        &mut self,
        first: &Found<'_>,
        report: &Report<'_>,
        replay: Result<&Replay<'_>, &str>,
    ) -> Result<Form, String> {
        let length = first.stored.input.len();
        let shape = match replay {
            Ok(replay) => replay.input_shape().to_vec(),
            Err(missing) => {
                self.notes.push(format!("Reconstructions are not shown: {missing}"));
                known_shape(report, length)
            }
        };
        let form = Form::of(&shape)?;
        if form.len() == length {
            Ok(form)
        } else {
            Err(format!("The saved inputs have {length} values, which do not fill the shape {shape:?}; none is drawn."))
        }
    }

    fn describe(&mut self, (low, high): (f64, f64), difference: f64, undone: &Undone, form: Form) {
        let units = if undone.does_anything() { "values before --mean and --std were taken out" } else { "values" };
        self.notes.push(match form {
            Form::Image { .. } => format!(
                "Inputs and reconstructions: {units} from {low:.3} (black) to {high:.3} (white). Differences x + δ − x: \
                 from −{difference:.3} (black) over 0 (grey) to {difference:.3} (white), the same for all."
            ),
            Form::Bars(_) => format!("Inputs and reconstructions: {units} from {low:.3} to {high:.3}; differences within ±{difference:.3}."),
        });
        self.notes.push(
            "Reconstructions are the decoder at the code's mean, g(μ(x)) and g(μ(x + δ)). δ is the smallest perturbation that an attack found."
                .to_owned(),
        );
    }
}

/// The shape of the inputs of a named data set; otherwise a flat one.
fn known_shape(report: &Report<'_>, length: usize) -> Vec<usize> {
    use crate::data::Origin;
    let resized = report.run.source.preprocessing.resize.map(|resize| resize.size());
    match (&report.run.source.origin, resized, length) {
        (Origin::Digits, None, 64) => vec![8, 8],
        (Origin::Mnist { .. } | Origin::FashionMnist { .. }, None, 784) => vec![28, 28],
        (Origin::Cifar10 { .. }, None, 3072) => vec![3, 32, 32],
        (_, Some((rows, columns)), _) if rows * columns == length => vec![rows, columns],
        (_, Some((rows, columns)), _) if 3 * rows * columns == length => vec![3, rows, columns],
        _ => vec![length],
    }
}

/// [0, 1] where everything lies in it, otherwise what there is.
fn value_range(found: &[&Found<'_>], form: Form, undone: &Undone) -> (f64, f64) {
    let values = found.iter().flat_map(|found| undone.apply(&found.stored.input, form));
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    // Rounding of a mean taken out and put back.
    let slack = 1e-5;
    if low >= -slack && high <= 1.0 + slack {
        (0.0, 1.0)
    } else if high > low {
        (low, high)
    } else {
        (low - 1.0, low + 1.0)
    }
}

fn largest_difference(found: &[&Found<'_>], form: Form, undone: &Undone) -> f64 {
    let largest = found.iter().flat_map(|found| found.difference(form, undone)).map(f64::abs).fold(0.0, f64::max);
    if largest > 0.0 {
        largest
    } else {
        1.0
    }
}

impl<'a> Found<'a> {
    fn new(record: &'a InputRecord, stored: StoredPerturbation, replay: Option<&Replay<'_>>) -> Self {
        // A model that takes other inputs has nothing to reconstruct here.
        let fits = |replay: &&Replay<'_>| replay.input_shape().iter().product::<usize>() == stored.input.len();
        let reconstructions = replay.filter(fits).and_then(|replay| replay.reconstructions(&stored).ok());
        Self { record, stored, reconstructions }
    }

    fn difference(&self, form: Form, undone: &Undone) -> Vec<f64> {
        let attacked = undone.apply(self.stored.attacked.values(), form);
        attacked.iter().zip(undone.apply(&self.stored.input, form)).map(|(a, x)| a - x).collect()
    }

    fn exhibit(&self, form: Form, range: (f64, f64), difference: f64, undone: &Undone) -> Exhibit {
        let input = self.record.input;
        let drawn = |name: &'static str, values: &[f32]| {
            (name, element(&undone.apply(values, form), form, range, &format!("input {input}: {name}")))
        };
        let delta = element(
            &self.difference(form, undone),
            form,
            (-difference, difference),
            &format!("input {input}: difference"),
        );
        let mut pictures = vec![
            drawn("input", &self.stored.input),
            drawn("attacked", self.stored.attacked.values()),
            ("difference", delta),
        ];
        if let Some(found) = &self.reconstructions {
            pictures.push(drawn("rec. of input", &found.of_input));
            pictures.push(drawn("rec. of attacked", &found.of_attacked));
        }
        Exhibit { input, caption: caption(self.record), pictures }
    }
}

fn caption(record: &InputRecord) -> String {
    let upper = record.margin_upper.map_or_else(String::new, |upper| format!("margin ≤ {upper}"));
    let lower = record.certified.map_or_else(String::new, |certified| format!(", certified ≥ {}", certified.best));
    let attack = record.best_attack.map_or_else(String::new, |attack| format!(", by {attack}"));
    format!("{upper}{lower}{attack}")
}
