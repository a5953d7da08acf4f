//! Lists of countries.

use std::collections::BTreeSet;

use crate::domain::language::{self, Language};
use crate::domain::phone;
use otpost_settings::section::{Section, shown};

pub(super) const ALLOWED: &str =
    "must be a list of countries by two capital letters (ISO 3166-1), such as [\"ID\", \"BR\"]";

/// A single country.
pub(super) const ONE_ALLOWED: &str = "must be a country by two capital letters (ISO 3166-1), such as IN";

/// Maximum number of countries in a suggestion.
const MOST: usize = 4;

pub(super) fn read(section: &Section<'_>, key: &str) -> Option<BTreeSet<String>> {
    let countries = section.list(key, ALLOWED)?;
    if countries.is_empty() {
        section.complain(key, "is empty", ALLOWED);
    }
    for country in countries.iter().filter(|country| !phone::is_country(country)) {
        section.complain(key, wrong(country), meant(country).unwrap_or_else(|| ALLOWED.to_owned()));
    }
    Some(countries.into_iter().collect())
}

/// What is wrong with a text that is not a country.
fn wrong(text: &str) -> String {
    format!("has {}, which is no country with a calling code", shown(text))
}

/// A suggestion for a text that is not a country: it may be another name, small letters, a language or a locale, or a
/// calling code.
pub(super) fn meant(text: &str) -> Option<String> {
    let text = text.trim();
    let capital = text.to_ascii_uppercase();
    // Common names, such as those of the EU, where ISO 3166-1 has another one.
    let other_name = match capital.as_str() {
        "UK" => Some("GB"),
        "EL" => Some("GR"),
        "USA" => Some("US"),
        "UAE" => Some("AE"),
        _ => None,
    };
    if let Some(iso) = other_name {
        return Some(format!("did you mean \"{iso}\"?"));
    }
    if let Some(code) = code_of(text) {
        let names = one_of(&code.countries);
        return Some(format!("+{} is a calling code; did you mean {names}?", code.digits));
    }
    if let Some(region) = text.split(['-', '_']).next_back().filter(|_| text.contains(['-', '_']))
        && phone::is_country(&region.to_ascii_uppercase())
    {
        let region = region.to_ascii_uppercase();
        return Some(format!("that is a language with its country; did you mean \"{region}\"?"));
    }
    // Not by a former code: `in` was Indonesian and means India here.
    let language = Language::parse(text).ok().filter(|language| language.to_string().eq_ignore_ascii_case(text));
    let speakers = language.map_or(Vec::new(), |language| language::spoken_first(&language));
    // Only small letters: `id` is both, and the country is meant.
    if phone::is_country(&capital) && (speakers.is_empty() || speakers.contains(&capital)) {
        return Some(format!("did you mean \"{capital}\"?"));
    }
    if speakers.is_empty() {
        return None;
    }
    Some(format!("that is a language and a country is wanted; did you mean {}?", one_of(&largest_first(speakers))))
}

/// Large countries have short calling codes; among those that share one, the first.
fn largest_first(mut countries: Vec<String>) -> Vec<String> {
    let codes: Vec<phone::CallingCode> = phone::calling_codes().collect();
    let rank = |country: &String| {
        let code = codes.iter().find(|code| code.countries.contains(country))?;
        Some((code.countries.first() != Some(country), code.digits.len(), code.digits.clone()))
    };
    countries.sort_by_key(|country| rank(country).unwrap_or((true, usize::MAX, String::new())));
    countries
}

fn code_of(text: &str) -> Option<phone::CallingCode> {
    let digits = text.strip_prefix('+').or_else(|| text.strip_prefix("00")).unwrap_or(text);
    phone::calling_codes().find(|code| code.digits == digits)
}

/// `"GB", "GG", "IM" or "JE"`; only the first few of many.
fn one_of(countries: &[String]) -> String {
    let quoted: Vec<String> = countries.iter().take(MOST).map(|country| format!("\"{country}\"")).collect();
    let more = countries.len().saturating_sub(MOST);
    match quoted.as_slice() {
        [one] => one.clone(),
        several if more > 0 => format!("{} or one of {more} others", several.join(", ")),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
        [] => String::new(),
    }
}
