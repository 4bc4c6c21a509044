//! The name nearest in spelling.

/// Longer names are compared no further than this.
const MAX_LENGTH: usize = 200;

/// The name that takes the fewest letters inserted, left out or replaced, if these are at most half of them.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Option<String> {
    let best = known.map(|other| (distance(name, other), other)).min()?;
    (best.0 <= name.chars().count().div_ceil(2)).then(|| best.1.clone())
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(MAX_LENGTH).collect();
    let mut costs: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().take(MAX_LENGTH).enumerate() {
        let mut diagonal = i;
        costs[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = costs[j + 1];
            costs[j + 1] = replaced.min(costs[j] + 1).min(diagonal + 1);
        }
    }
    costs[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_match_ones_counted_by_hand() {
        for (a, b, expected) in [("", "abc", 3), ("kitten", "sitting", 3), ("fc.weight", "fc1.weight", 1)] {
            assert_eq!([distance(a, b), distance(b, a)], [expected; 2], "{a} {b}");
        }
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["encoder.fc.weight".to_owned(), "decoder.fc.weight".to_owned()];
        assert_eq!(nearest("encoder.fc.wieght", known.iter()), Some(known[0].clone()));
        assert_eq!(nearest("x", known.iter()), None);
    }
}
