//! Which known name somebody may have meant.

/// Longer names are compared no further than this.
const MAX_LENGTH: usize = 200;

/// How many letters must be inserted, removed or replaced to turn one word into the other (Levenshtein).
#[must_use]
pub fn typos(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().take(MAX_LENGTH).count()).collect();
    for (i, a) in from.chars().take(MAX_LENGTH).enumerate() {
        let mut next = vec![i + 1];
        for ((b, &above), &diagonal) in to.chars().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or_default();
            next.push((diagonal + usize::from(a != b)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// The known name with the fewest [`typos`], if these are at most half of the letters of `name`.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Option<String> {
    let best = known.map(|other| (typos(name, other), other)).min()?;
    (best.0 <= name.chars().count().div_ceil(2)).then(|| best.1.clone())
}

/// The question that goes before a list of what is known, with a space behind it: `did you mean "joint"? `; empty where
/// nothing is near.
#[must_use]
pub fn did_you_mean(name: &str, known: &[&str]) -> String {
    let known: Vec<String> = known.iter().map(|known| (*known).to_owned()).collect();
    nearest(name, known.iter()).map_or_else(String::new, |nearest| format!("did you mean {nearest:?}? "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_match_ones_counted_by_hand() {
        for (a, b, expected) in [("", "abc", 3), ("kitten", "sitting", 3), ("fc.weight", "fc1.weight", 1)] {
            assert_eq!([typos(a, b), typos(b, a)], [expected; 2], "{a} {b}");
        }
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["encoder.fc.weight".to_owned(), "decoder.fc.weight".to_owned()];
        assert_eq!(nearest("encoder.fc.wieght", known.iter()), Some(known[0].clone()));
        assert_eq!(nearest("x", known.iter()), None);
        assert_eq!(did_you_mean("jiont", &["mean", "joint"]), "did you mean \"joint\"? ");
        assert_eq!(did_you_mean("pixel", &["mean", "joint"]), "");
    }
}
