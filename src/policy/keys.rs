//! The keys of a policy file, for suggestions.

use toml::de::{DeTable, DeValue};

use crate::spelling;

/// Keys of a policy file before its tables, and the names of these.
pub const TOP: &[&str] = &[
    "model",
    "device",
    "data",
    "data_dir",
    "data_seed",
    "layout",
    "resize",
    "scale",
    "mean",
    "std",
    "split",
    "first",
    "inputs",
    "r",
    "r_quantile",
    "level",
    "threat",
    "failure_probability",
    "selection_draws",
    "draws",
    "attack",
    "protocol",
    "tolerance",
    "decrement",
    "max_norm",
    "box",
    "restarts",
    "steps",
    "attack_draws",
    "decision_draws",
    "seed",
    "require",
    "budget",
];
/// Keys of `[require]`.
pub(super) const REQUIRE: &[&str] = &[
    "certified",
    "median_certified",
    "median_margin",
    "refuted_at_most",
    "alarms_at_most",
    "undecided_at_most",
    "failed_at_most",
];
/// Keys of one entry of `certified` or `refuted_at_most`.
pub(super) const AT_NORM: &[&str] = &["radius", "fraction"];
/// Keys of `[budget]`.
pub(super) const BUDGET: &[&str] = &["time", "time_per_input", "draws_per_input"];

/// A key that is not known where it stands.
pub(super) struct Unknown {
    /// Where it starts, in bytes.
    pub(super) start: usize,
    pub(super) key: String,
    /// Where it stands, in words.
    pub(super) place: &'static str,
    /// The nearest known key.
    pub(super) suggestion: Option<String>,
    pub(super) known: &'static [&'static str],
}

/// The first unknown key, in the order of the keys.
pub(super) fn first_unknown(policy: &DeTable<'_>) -> Option<Unknown> {
    let table = |name: &str| policy.get(name).and_then(|value| as_table(value.get_ref()));
    let require = table("require");
    unknown_in(policy, "a policy", TOP)
        .or_else(|| unknown_in(require?, "[require]", REQUIRE))
        .or_else(|| unknown_in(table("budget")?, "[budget]", BUDGET))
        .or_else(|| ["certified", "refuted_at_most"].into_iter().find_map(|name| unknown_in_entries(require?, name)))
}

fn unknown_in_entries(require: &DeTable<'_>, name: &str) -> Option<Unknown> {
    let DeValue::Array(entries) = require.get(name)?.get_ref() else { return None };
    let mut tables = entries.iter().filter_map(|entry| as_table(entry.get_ref()));
    tables.find_map(|entry| unknown_in(entry, "a fraction at a radius", AT_NORM))
}

fn as_table<'a, 'i>(value: &'a DeValue<'i>) -> Option<&'a DeTable<'i>> {
    if let DeValue::Table(table) = value {
        Some(table)
    } else {
        None
    }
}

fn unknown_in(table: &DeTable<'_>, place: &'static str, known: &'static [&'static str]) -> Option<Unknown> {
    let key = table.keys().find(|key| !known.contains(&key.get_ref().as_ref()))?;
    let name = key.get_ref().to_string();
    // A dash for an underscore is the usual slip of those who know the command line.
    let written = name.replace('-', "_");
    let names: Vec<String> = known.iter().map(|&name| name.to_owned()).collect();
    let suggestion = spelling::nearest(&written, names.iter());
    Some(Unknown { start: key.span().start, key: name, place, suggestion, known })
}
