//! Joining the shards of a run: what comes out is, byte for byte, what one process would have written.
//!
//! Shards are parts of one run: equal in everything but their number, all of them there, each once and finished. Whatever
//! is missing or differs is refused before anything is written.

mod certificates;
mod error;
mod runs;

pub use certificates::ShardCertificates;
pub use error::MergeError;
pub use runs::ShardRuns;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::certificate::Shard;
use crate::files;

/// A shard as it was found.
#[derive(Debug)]
struct Found<I> {
    path: PathBuf,
    identity: I,
    shard: Shard,
    /// Keeps writers out until the shards are joined.
    lock: Option<File>,
}

impl<I> Found<I> {
    /// Keeps writers of the file at `path` out. Whether nobody was writing it.
    fn hold(&mut self, path: &Path) -> io::Result<bool> {
        let file = files::open_regular(path)?;
        let held = files::lock_for_reading(&file)?;
        self.lock = Some(file);
        Ok(held)
    }

    /// Fails unless so many inputs are all that the shard should have; `what` else is wrong.
    fn check_count(&self, finished: usize, inputs: usize, what: impl Into<String>) -> Result<(), MergeError> {
        let what = what.into();
        if finished == inputs && what.is_empty() {
            return Ok(());
        }
        Err(MergeError::Unfinished { path: self.path.clone(), shard: self.shard, finished, inputs, what })
    }
}

impl<I: Serialize> Found<I> {
    /// A folder or file with this identity, if that is one of a shard.
    fn new(path: &Path, identity: I, shard: Option<Shard>) -> Result<Self, MergeError> {
        let path = path.to_owned();
        match shard {
            Some(shard) => Ok(Self { path, identity, shard, lock: None }),
            None => Err(MergeError::NotAShard { path }),
        }
    }
}

/// The shards in order, if they are all those of one run.
fn ordered<I: Serialize>(mut found: Vec<Found<I>>) -> Result<Vec<Found<I>>, MergeError> {
    // Stable, so that of two equal ones the one named first comes first.
    found.sort_by_key(|found| found.shard.index());
    let Some(first) = found.first() else { return Err(MergeError::Nothing) };
    for other in &found {
        if let Some(what) = difference(&first.identity, &other.identity) {
            return Err(MergeError::Differs { path: other.path.clone(), other: first.path.clone(), what });
        }
    }
    for pair in found.windows(2) {
        if let [one, other] = pair {
            if one.shard == other.shard {
                let (path, shard) = (other.path.clone(), other.shard);
                return Err(MergeError::Overlap { path, other: one.path.clone(), shard });
            }
        }
    }
    let count = first.shard.count();
    let is_there = |index: &usize| found.iter().any(|found| found.shard.index() == *index);
    match (0..count).find(|index| !is_there(index)) {
        Some(missing) => Err(MergeError::Gap { missing, there: found.len(), count }),
        None => Ok(found),
    }
}

/// The first field in which two identities differ, with both values.
fn difference(one: &impl Serialize, other: &impl Serialize) -> Option<String> {
    // Identities consist of numbers and strings, which always have a JSON form.
    let (one, other) = (serde_json::to_value(one).unwrap_or_default(), serde_json::to_value(other).unwrap_or_default());
    first_difference("", &one, &other)
}

/// What may differ, and what says in words what other fields say in numbers.
const NOT_COMPARED: [&str; 2] = ["shard.index", "claim"];

/// Identities are a few levels deep, and so is this recursion.
fn first_difference(name: &str, one: &Value, other: &Value) -> Option<String> {
    if NOT_COMPARED.contains(&name) || one == other {
        return None;
    }
    let (Value::Object(left), Value::Object(right)) = (one, other) else {
        return Some(format!("{name} is {other}, not {one}"));
    };
    let names: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    names.into_iter().find_map(|key| {
        let full = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        first_difference(&full, left.get(key).unwrap_or(&Value::Null), right.get(key).unwrap_or(&Value::Null))
    })
}

/// Fails where the result would replace one of the shards.
fn check_output<I>(found: &[Found<I>], out: &Path) -> Result<(), MergeError> {
    let Ok(out) = std::fs::canonicalize(out) else { return Ok(()) };
    match found.iter().find(|found| std::fs::canonicalize(&found.path).is_ok_and(|path| path == out)) {
        Some(found) => Err(MergeError::IsOutput { path: found.path.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize)]
    struct Identity {
        seed: u64,
        shard: Shard,
    }

    fn found(path: &str, seed: u64, index: usize, count: usize) -> Found<Identity> {
        let shard = Shard::new(index, count).unwrap();
        Found::new(Path::new(path), Identity { seed, shard }, Some(shard)).unwrap()
    }

    #[test]
    fn shards_come_out_in_order_whatever_the_order_of_their_names() {
        let paths = ordered(vec![found("c", 0, 2, 3), found("a", 0, 0, 3), found("b", 0, 1, 3)]).unwrap();
        assert_eq!(paths.iter().map(|found| found.path.to_str().unwrap()).collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn each_way_of_not_fitting_together_has_its_own_error() {
        let message = |found| ordered(found).unwrap_err().to_string();
        let gap = message(vec![found("a", 0, 0, 4), found("d", 0, 3, 4)]);
        assert!(gap.contains("shard 1/4 is missing") && gap.contains("2 of 4"), "{gap}");
        let overlap = message(vec![found("a", 0, 0, 2), found("b", 0, 0, 2), found("c", 0, 1, 2)]);
        assert!(overlap.contains("a and b are both shard 0/2"), "{overlap}");
        let seed = message(vec![found("a", 0, 0, 2), found("b", 7, 1, 2)]);
        assert!(seed.contains("b does not belong to the run of a: seed is 7, not 0"), "{seed}");
        let count = message(vec![found("a", 0, 0, 2), found("b", 0, 1, 3)]);
        assert!(count.contains("shard.count is 3, not 2"), "{count}");
        assert!(matches!(ordered::<Identity>(vec![]), Err(MergeError::Nothing)));
        let whole = Found::new(Path::new("a"), 0, None);
        assert!(matches!(whole, Err(MergeError::NotAShard { .. })));
    }

    #[test]
    fn a_shard_with_fewer_inputs_than_it_should_have_is_unfinished() {
        let shard = found("a", 0, 0, 2);
        assert!(shard.check_count(3, 3, "").is_ok());
        for (finished, what) in [(2, ""), (4, ""), (3, ", but no summary.json")] {
            let error = shard.check_count(finished, 3, what).unwrap_err().to_string();
            assert!(error.contains(&format!("shard 0/2 is unfinished: {finished} of 3 inputs{what}")), "{error}");
        }
    }

    #[test]
    fn a_field_that_only_one_side_has_is_a_difference() {
        let differs = |one, other| first_difference("", &one, &other).unwrap();
        let text = differs(serde_json::json!({"plan": {}}), serde_json::json!({"plan": {"limit": 3}}));
        assert_eq!(text, "plan.limit is 3, not null");
    }
}
