//! Lists of countries.

use std::collections::BTreeSet;

use crate::config::section::{Section, shown};
use crate::domain::phone;

pub(super) const ALLOWED: &str =
    "must be a list of countries by two capital letters (ISO 3166-1), such as [\"ID\", \"BR\"]";

pub(super) fn read(section: &Section<'_>, key: &str) -> Option<BTreeSet<String>> {
    let countries = section.list(key, ALLOWED)?;
    if countries.is_empty() {
        section.complain(key, "is empty", ALLOWED);
    }
    for country in countries.iter().filter(|country| !phone::is_country(country)) {
        section.complain(key, format!("has {}, which is no country with a calling code", shown(country)), ALLOWED);
    }
    Some(countries.into_iter().collect())
}
