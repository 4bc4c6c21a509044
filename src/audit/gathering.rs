//! The numbers of many records that their summary needs, gathered one record after the other: about thirty per input, so
//! that a run holds no record longer than it takes to write it.

use super::record::{InputRecord, Outcome};
use super::summary::{
    margin, smallest_upper, Association, Bound, Column, DatasetMargin, Linearization, NamedSpread, QuantityKind,
    Spread, Summary, BOUNDS, COLUMNS, EXACT, INPUT_UNITS, MEAN_FAILURE_PROBABILITY,
};
use crate::attack::AttackKind;
use crate::certificate::Method;
use crate::quantity::Probability;
use crate::stats::{self, DescriptionError};

/// What is known of the records seen so far.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    outcomes: Vec<Outcome>,
    abstentions: usize,
    /// The values of each of [`COLUMNS`], of the records that have one.
    columns: [Values; COLUMNS.len()],
    exact: [Values; EXACT.len()],
    /// In the order in which the attacks appear.
    attacks: Vec<Attacked>,
    /// For each of [`BOUNDS`].
    bounds: [Pairs; BOUNDS.len()],
    linearization: Linearization,
    uppers: Vec<f64>,
    methods: [usize; Method::ALL.len()],
}

/// Values of one quantity.
#[derive(Debug, Default)]
struct Values(Vec<f64>);

/// What one attack achieved.
#[derive(Debug)]
struct Attacked {
    kind: AttackKind,
    uppers: Values,
    best: usize,
}

/// A bound and the margin of the same input.
#[derive(Debug, Default)]
struct Pairs {
    bounds: Vec<f64>,
    margins: Vec<f64>,
}

impl Values {
    fn add(&mut self, value: Option<f64>) {
        self.0.extend(value.filter(|value| !value.is_nan()));
    }

    fn spread(&self) -> Option<Spread> {
        Some(Spread {
            inputs: self.0.len(),
            median: stats::median(&self.0).ok()?,
            min: stats::min(&self.0).ok()?,
            max: stats::max(&self.0).ok()?,
        })
    }

    fn named(&self, &(quantity, kind, unit, _): &Column) -> NamedSpread {
        NamedSpread::new(quantity, kind, unit, self.spread())
    }
}

impl Gathering {
    /// Records seen so far.
    pub(super) fn inputs(&self) -> usize {
        self.outcomes.len()
    }

    /// Takes the numbers of one more record.
    pub(super) fn add(&mut self, record: &InputRecord) {
        self.outcomes.push(record.outcome);
        self.abstentions += usize::from(record.first_order.is_none());
        let columns = self.columns.iter_mut().zip(&COLUMNS).chain(self.exact.iter_mut().zip(&EXACT));
        columns.for_each(|(values, (.., get))| values.add(get(record)));
        self.add_attacks(record);
        for (pairs, (_, bound)) in self.bounds.iter_mut().zip(&BOUNDS) {
            pairs.add(record, *bound);
        }
        if let Some(found) = record.linearization {
            self.linearization.inputs += 1;
            self.linearization.within_interval += usize::from(found.within_interval);
        }
        self.uppers.extend(smallest_upper(record));
        let method = record.certified.and_then(|certified| certified.method);
        for (count, known) in self.methods.iter_mut().zip(Method::ALL) {
            *count += usize::from(method == Some(known));
        }
    }

    fn add_attacks(&mut self, record: &InputRecord) {
        for attack in &record.attacks {
            let known = self.attacks.iter().position(|known| known.kind == attack.attack);
            let place = known.unwrap_or(self.attacks.len());
            if known.is_none() {
                self.attacks.push(Attacked { kind: attack.attack, uppers: Values::default(), best: 0 });
            }
            if let Some(attacked) = self.attacks.get_mut(place) {
                attacked.uppers.add(attack.margin_upper.map(|upper| upper.get()));
                attacked.best += usize::from(record.best_attack == Some(attack.attack));
            }
        }
    }

    /// The summary of the records seen so far.
    pub(super) fn summary(&self) -> Summary {
        let count = |outcome| self.outcomes.iter().filter(|found| **found == outcome).count();
        let counted = Method::ALL.into_iter().zip(self.methods);
        Summary {
            inputs: self.inputs(),
            bracketed: count(Outcome::Bracketed),
            undecided: count(Outcome::Undecided),
            alarms: count(Outcome::Alarm),
            failed: count(Outcome::Failed),
            abstentions: self.abstentions,
            spreads: self.spreads(),
            associations: self.bounds.iter().zip(&BOUNDS).map(|(pairs, bound)| pairs.association(bound)).collect(),
            linearization: self.linearization,
            dataset_margin: self.dataset_margin(),
            best_certificates: counted.filter(|(_, count)| *count > 0).collect(),
            best_attacks: self.attacks.iter().map(|attacked| (attacked.kind, attacked.best)).collect(),
        }
    }

    fn spreads(&self) -> Vec<NamedSpread> {
        let columns = self.columns.iter().zip(&COLUMNS).map(|(values, column)| values.named(column));
        let exact = self.exact.iter().zip(&EXACT).map(|(values, column)| values.named(column));
        let attacks = self.attacks.iter().map(|Attacked { kind, uppers, .. }| {
            NamedSpread::new(&format!("margin, {kind}"), QuantityKind::UpperBound, INPUT_UNITS, uppers.spread())
        });
        let ratios = self.bounds.iter().zip(&BOUNDS).map(|(pairs, (name, _))| pairs.ratios(name));
        columns.chain(exact.filter(|named| named.spread.is_some())).chain(attacks).chain(ratios).collect()
    }

    fn dataset_margin(&self) -> Option<DatasetMargin> {
        let margins = &self.uppers;
        if margins.is_empty() {
            return None;
        }
        let failure_probability = Probability::new(MEAN_FAILURE_PROBABILITY).ok()?;
        let interval = stats::mean_with_interval(margins, failure_probability).ok();
        Some(DatasetMargin {
            mean: margins.iter().sum::<f64>() / margins.len() as f64,
            // A margin is never negative, so neither is its mean.
            interval: interval.map(|interval| (interval.lower.max(0.0), interval.upper)),
            confidence: 1.0 - MEAN_FAILURE_PROBABILITY,
            inputs: margins.len(),
            without_refutation: self.inputs() - margins.len(),
        })
    }
}

impl Association {
    /// How `bound` goes along with the empirical margin, over the inputs that have both as finite numbers.
    pub(crate) fn of(records: &[InputRecord], name: &'static str, bound: fn(&InputRecord) -> Option<f64>) -> Self {
        let mut pairs = Pairs::default();
        records.iter().for_each(|record| pairs.add(record, bound));
        pairs.association(&(name, bound))
    }
}

impl Pairs {
    fn add(&mut self, record: &InputRecord, bound: fn(&InputRecord) -> Option<f64>) {
        if let (Some(bound), Some(margin)) = (bound(record), margin(record)) {
            self.bounds.push(bound);
            self.margins.push(margin);
        }
    }

    fn ratios(&self, name: &str) -> NamedSpread {
        let mut ratios = Values::default();
        self.margins.iter().zip(&self.bounds).for_each(|(margin, bound)| ratios.add(Some(margin / bound)));
        NamedSpread::new(&format!("margin / {name}"), QuantityKind::Estimate, "ratio", ratios.spread())
    }

    fn association(&self, (name, _): &Bound) -> Association {
        let pairs = self.bounds.iter().copied().zip(self.margins.iter().copied());
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.filter(|(x, y)| x.is_finite() && y.is_finite()).unzip();
        // Two points always lie on a line.
        let enough = x.len() >= 3;
        let of =
            |statistic: fn(&[f64], &[f64]) -> Result<f64, DescriptionError>| statistic(&x, &y).ok().filter(|_| enough);
        let line = stats::least_squares_line(&x, &y).ok().filter(|_| enough);
        Association {
            bound: (*name).to_owned(),
            inputs: x.len(),
            pearson: of(stats::pearson),
            spearman: of(stats::spearman),
            slope: line.map(|line| line.slope),
            intercept: line.map(|line| line.intercept),
        }
    }
}
