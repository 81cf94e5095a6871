//! "Did you mean": the known word nearest to a mistyped one.

/// Nothing known is this long, so what is longer has no neighbours.
const LONGEST: usize = 32;

/// The one of `known` nearest to `word`, if a third of its letters at most are wrong. Case does
/// not count: of ASCII letters, as the known words have no others.
pub(crate) fn closest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = letters(word);
    if word.len() > LONGEST {
        return None;
    }
    let mut best = None;
    let mut least = usize::MAX;
    for name in known {
        let letters = letters(name);
        let wrong = distance(&word, &letters);
        if wrong < least && wrong <= (letters.len() / 3).max(1) && 2 * wrong < letters.len() {
            (best, least) = (Some(*name), wrong);
        }
    }
    best
}

fn letters(word: &str) -> Vec<char> {
    word.chars().take(LONGEST + 1).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Letters added, left out, changed or swapped with their neighbour (optimal string alignment).
fn distance(one: &[char], other: &[char]) -> usize {
    let width = other.len() + 1;
    // What it takes from the first `i` letters of one to the first `j` of the other.
    let mut wrong = vec![0; (one.len() + 1) * width];
    for i in 0..=one.len() {
        for j in 0..width {
            let at = i * width + j;
            wrong[at] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let (letter, wanted) = (one[i - 1], other[j - 1]);
                    let changed = wrong[at - width - 1] + usize::from(letter != wanted);
                    let least = changed.min(wrong[at - width] + 1).min(wrong[at - 1] + 1);
                    if i > 1 && j > 1 && one[i - 2] == wanted && letter == other[j - 2] {
                        least.min(wrong[at - 2 * width - 2] + 1)
                    } else {
                        least
                    }
                }
            };
        }
    }
    wrong[wrong.len() - 1]
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
            assert_eq!(closest(word, &known), meant, "{word}");
        }
        assert_eq!(closest(&"q".repeat(100_000), &known), None);
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
