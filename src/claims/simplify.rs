//! Simpler instances than a given one, on their JSON: a last round after proptest's shrinking, which visits every part of
//! an instance once and so misses what only becomes possible later.

use serde_json::{Number, Value};

/// Numbers tried in place of another, the simplest first.
const SIMPLE: [f64; 9] = [0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5];
/// Sizes of numbers from here on count the same; a further character counts more than any size.
const LARGEST_COUNTED_SIZE: usize = 16;

/// How much there is to read in an instance: every number counts by its characters, then by its size.
pub(super) fn complexity(instance: &Value) -> usize {
    match instance {
        Value::Array(entries) => entries.iter().map(complexity).sum(),
        Value::Object(fields) => fields.values().map(complexity).sum(),
        Value::Number(number) => {
            let value = number.as_f64().unwrap_or(f64::MAX);
            let sizes = 0..LARGEST_COUNTED_SIZE;
            let size = sizes.clone().find(|size| value.abs() <= *size as f64).unwrap_or(sizes.end);
            LARGEST_COUNTED_SIZE * value.to_string().len() + size
        }
        Value::Null | Value::Bool(_) | Value::String(_) => 1,
    }
}

/// Instances that are less complex by one step: an element left out, in one array or in all of the same length (a row
/// of a matrix, and all its columns with what belongs to them), or a number replaced. Not all make sense.
pub(super) fn simpler(instance: &Value) -> impl Iterator<Item = Value> + '_ {
    let places = places(instance, String::new());
    let arrays: Vec<(String, usize)> = places
        .iter()
        .filter_map(|place| Some((place.clone(), instance.pointer(place)?.as_array()?.len())))
        .filter(|(_, length)| *length > 1)
        .collect();
    let mut lengths: Vec<usize> = arrays.iter().map(|(_, length)| *length).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let single = arrays.clone().into_iter().map(|(place, length)| (vec![place], length));
    let alike = lengths.into_iter().map(move |length| {
        let places = arrays.iter().filter(|(_, other)| *other == length).map(|(place, _)| place.clone());
        (places.collect::<Vec<_>>(), length)
    });
    let shorter = single
        .chain(alike)
        .flat_map(|(places, length)| (0..length).map(move |index| (places.clone(), index)))
        .map(|(places, index)| without(instance, &places, index));
    let replaced = places
        .into_iter()
        .flat_map(|place| SIMPLE.into_iter().map(move |number| (place.clone(), number)))
        .filter_map(|(place, number)| with_number(instance, &place, number));
    shorter.chain(replaced)
}

/// JSON pointers to every value, the innermost last: removals then keep those before them valid.
fn places(value: &Value, at: String) -> Vec<String> {
    let mut found = vec![at.clone()];
    match value {
        Value::Array(entries) => {
            for (i, entry) in entries.iter().enumerate() {
                found.extend(places(entry, format!("{at}/{i}")));
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                found.extend(places(field, format!("{at}/{name}")));
            }
        }
        _ => {}
    }
    found
}

fn without(instance: &Value, places: &[String], index: usize) -> Value {
    let mut changed = instance.clone();
    // Inner arrays first, while the pointers to them still lead there.
    for place in places.iter().rev() {
        if let Some(entries) = changed.pointer_mut(place).and_then(Value::as_array_mut) {
            if index < entries.len() {
                entries.remove(index);
            }
        }
    }
    changed
}

/// The instance with another number in a place that holds a more complex one of the same kind.
fn with_number(instance: &Value, place: &str, number: f64) -> Option<Value> {
    let current = instance.pointer(place)?.as_number()?;
    let replacement = if current.is_f64() {
        Number::from_f64(number)?
    } else {
        // Counts stay whole numbers.
        (0..4u64).map(Number::from).find(|whole| whole.as_f64() == Some(number))?
    };
    let replacement = Value::Number(replacement);
    if complexity(&replacement) >= complexity(instance.pointer(place)?) {
        return None;
    }
    let mut changed = instance.clone();
    *changed.pointer_mut(place)? = replacement;
    Some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fewer_and_simpler_numbers_are_less_complex() {
        for (simple, complex) in [
            (json!([1.0]), json!([2.0])),
            (json!([2.0, 2.0]), json!([-2.0, 2.0])),
            (json!([3.0]), json!([0.5])),
            (json!({ "a": 9.0 }), json!({ "a": [1.0, 1.0] })),
        ] {
            assert!(complexity(&simple) < complexity(&complex), "{simple} against {complex}");
        }
    }

    #[test]
    fn a_matrix_loses_rows_and_columns() {
        let instance = json!({ "matrix": [[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]], "vector": [1.0, 1.0, 0.0] });
        let found: Vec<Value> = simpler(&instance).collect();
        let without_row = json!({ "matrix": [[0.0, 2.0, 1.0]], "vector": [1.0, 1.0, 0.0] });
        let without_column = json!({ "matrix": [[2.0, 1.0], [0.0, 1.0]], "vector": [1.0, 0.0] });
        let with_one = json!({ "matrix": [[1.0, 0.0, 1.0], [0.0, 2.0, 1.0]], "vector": [1.0, 1.0, 0.0] });
        for expected in [without_row, without_column, with_one] {
            assert!(found.contains(&expected), "{expected}");
        }
        assert!(found.iter().all(|other| complexity(other) < complexity(&instance)));
        assert_eq!(simpler(&json!([0.0])).count(), 0);
        assert_eq!(simpler(&json!(7)).collect::<Vec<_>>(), [0, 1, 2, 3].map(|n: u64| json!(n)));
    }
}
