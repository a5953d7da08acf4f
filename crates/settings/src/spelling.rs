//! Suggestions for misspelt names.

use strsim::osa_distance;

/// The nearest candidate to `word`, if it is near: at most one error in four letters, and three in all. An error is a letter
/// too many, missing or wrong, or two neighbours in the wrong order.
pub fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.len() / 4).clamp(1, 3);
    let near = candidates.map(|c| (osa_distance(word, c), c)).filter(|(d, _)| *d <= most);
    near.min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_is_understood_and_another_word_is_not() {
        let names = ["listen", "public_url", "workers"];
        for (word, meant) in [
            ("lisen", Some("listen")),
            ("lsiten", Some("listen")),
            ("public-url", Some("public_url")),
            ("worker", Some("workers")),
            ("port", None),
            ("", None),
        ] {
            assert_eq!(closest(word, names.into_iter()), meant, "{word}");
        }
    }
}
