//! "Did you mean": the known word nearest to a mistyped one.

/// The one of `known` nearest to `word`, if a third of its letters at most are wrong. Case does
/// not count.
pub(crate) fn closest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    /// Nothing known is this long, so what is longer has no neighbours.
    const LONGEST: usize = 32;
    let word: Vec<char> = word.to_lowercase().chars().take(LONGEST + 1).collect();
    if word.len() > LONGEST {
        return None;
    }
    let near = |name: &'k str| {
        let letters: Vec<char> = name.to_lowercase().chars().collect();
        let wrong = distance(&word, &letters);
        (wrong <= (letters.len() / 3).max(1) && 2 * wrong < letters.len()).then_some((wrong, name))
    };
    known.into_iter().filter_map(near).min_by_key(|(wrong, _)| *wrong).map(|(_, name)| name)
}

/// Letters added, left out, changed or swapped with their neighbour (optimal string alignment).
fn distance(one: &[char], other: &[char]) -> usize {
    let mut rows = [vec![0; other.len() + 1], (0..=other.len()).collect(), Vec::new()];
    for (i, letter) in one.iter().enumerate() {
        let [before, above, _] = &rows;
        let mut row = vec![i + 1];
        for (j, wanted) in other.iter().enumerate() {
            let changed = above[j] + usize::from(letter != wanted);
            let mut least = changed.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && one[i - 1] == *wanted && *letter == other[j - 1] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        rows[2] = row;
        rows.rotate_left(1);
    }
    rows[1][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_slips_are_seen_through_and_others_are_not() {
        let known = ["mtu", "quiet", "sndwnd", "rcvwnd", "qpp-count", "l", "nc"];
        for (word, meant) in [
            ("quite", Some("quiet")),
            ("mut", Some("mtu")),
            ("MTU", Some("mtu")),
            ("sendwnd", Some("sndwnd")),
            ("qpp_count", Some("qpp-count")),
            ("zzz", None),
            ("x", None),
            ("c", None),
            ("", None),
        ] {
            assert_eq!(closest(word, known), meant, "{word}");
        }
        assert_eq!(closest(&"q".repeat(100_000), known), None);
    }

    proptest! {
        #[test]
        fn distance_is_a_distance(one in "[abc]{0,6}", other in "[abc]{0,6}") {
            let [one, other]: [Vec<char>; 2] = [one.chars().collect(), other.chars().collect()];
            let between = distance(&one, &other);
            prop_assert_eq!(between, distance(&other, &one));
            prop_assert_eq!(between == 0, one == other);
            prop_assert!(between <= one.len().max(other.len()));
            prop_assert!(between >= one.len().abs_diff(other.len()));
        }
    }
}
