//! Names of accounts and pools.

use std::collections::BTreeSet;

use otpost_settings::spelling;

pub(super) const NAME_ALLOWED: &str = "must be 1 to 63 of a-z, 0-9 and -, not beginning with -";

/// `^[a-z0-9][a-z0-9-]{0,62}$`: it is part of addresses and, in capitals, of variables.
pub(super) fn is_name(text: &str) -> bool {
    let fits = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=63).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('-')
}

/// A suggestion for a name that is not in `known`.
pub(super) fn one_of(name: &str, known: &BTreeSet<String>) -> String {
    match spelling::closest(name, known.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("there are: {}", Vec::from_iter(known.iter().map(String::as_str)).join(", ")),
    }
}
