//! One row per input, as RFC 4180 has it, with every number to its last bit.

use crate::audit::InputRecord;

/// A column's title with its unit, and its place in a record.
type Column = (&'static str, fn(&InputRecord) -> Option<String>);

const COLUMNS: [Column; 21] = [
    ("input", |r| Some(r.input.to_string())),
    ("outcome", |r| Some(r.outcome.word().to_lowercase())),
    ("r (output units)", |r| show(r.radius?.get())),
    ("P(undisturbed within r) at least (probability)", |r| show(r.probability?.lower.get())),
    ("P(undisturbed within r) at most (probability)", |r| show(r.probability?.upper.get())),
    ("theorem1 estimate (input units)", |r| show(r.first_order?.theorem1.get())),
    ("operator estimate (input units)", |r| show(r.first_order?.operator.get())),
    ("whitened estimate (input units)", |r| show(r.first_order?.whitened.get())),
    ("linear region estimate (input units)", |r| show(r.linear_region?.get())),
    ("certified margin at least (input units)", |r| show(r.certified?.best.get())),
    ("certified by", |r| Some(r.certified?.method?.name().to_owned())),
    ("certified by slope interval at least (input units)", |r| show(r.certified?.slope_interval?.get())),
    ("certified by linear region at least (input units)", |r| show(r.certified?.linear_region?.get())),
    ("certified a priori at least (input units)", |r| show(r.certified?.a_priori?.get())),
    ("exact margin at least (input units)", |r| show(r.exact_margin?.lower.get())),
    ("exact margin at most (input units)", |r| show(r.exact_margin?.upper.get())),
    ("empirical margin at most (input units)", |r| show(r.margin_upper?.get())),
    ("refuted by attack", |r| Some(r.best_attack?.name().to_owned())),
    ("minimum r estimate (output units)", |r| show(r.minimum_radius?.estimate.get())),
    ("first-order minimum r estimate (output units)", |r| show(r.linearization?.radii.exact.get())),
    ("reasons", |r| Some(r.reasons.join("; "))),
];

/// Wrapped because every column's function gives an option.
#[allow(clippy::unnecessary_wraps)]
fn show(value: f64) -> Option<String> {
    Some(value.to_string())
}

/// A header and a row per record; what an input does not have is empty.
pub(super) fn table(records: &[InputRecord]) -> String {
    let mut text = line(COLUMNS.iter().map(|(title, _)| (*title).to_owned()));
    for record in records {
        text += &line(COLUMNS.iter().map(|(_, get)| get(record).unwrap_or_default()));
    }
    text
}

fn line(fields: impl Iterator<Item = String>) -> String {
    fields.map(|field| quoted(&field)).collect::<Vec<_>>().join(",") + "\r\n"
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{bracketed, undecided};

    /// The fields of a table, by the rules of RFC 4180.
    fn parsed(text: &str) -> Vec<Vec<String>> {
        let (mut rows, mut row, mut field, mut inside) = (vec![], vec![], String::new(), false);
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match (inside, character) {
                (true, '"') if characters.peek() == Some(&'"') => field.extend(characters.next()),
                (_, '"') => inside = !inside,
                (false, ',') => row.push(std::mem::take(&mut field)),
                (false, '\r') => {
                    assert_eq!(characters.next(), Some('\n'));
                    row.push(std::mem::take(&mut field));
                    rows.push(std::mem::take(&mut row));
                }
                _ => field.push(character),
            }
        }
        assert!(!inside && row.is_empty() && field.is_empty());
        rows
    }

    #[test]
    fn every_row_has_every_column_whatever_the_reasons_say() {
        let mut hostile = undecided(1);
        hostile.reasons = vec!["a \"quoted\", reason".to_owned(), "two\r\nlines".to_owned()];
        let rows = parsed(&table(&[bracketed(0, 0.1, f64::INFINITY), hostile, InputRecord::empty(2)]));
        assert_eq!(rows.len(), 4);
        assert!(rows.iter().all(|row| row.len() == COLUMNS.len()));
        assert_eq!(rows[2].last().unwrap(), "a \"quoted\", reason; two\r\nlines");
        assert_eq!((rows[1][9].as_str(), rows[1][16].as_str(), rows[3][9].as_str()), ("0.1", "inf", ""));
    }

    #[test]
    fn numbers_read_back_as_the_same_bits() {
        let value = 0.1_f64 + 0.2;
        let rows = parsed(&table(&[bracketed(0, value, 1.0)]));
        assert_eq!(rows[1][9].parse::<f64>().unwrap().to_bits(), value.to_bits());
    }
}
