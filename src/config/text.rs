//! The text around a code in an SMS, by language, and the last line for autofill.

use crate::domain::language::{Language, LanguageError};
use crate::domain::text::SmsText;
use crate::domain::texts::shipped::{SHIPPED, Shipped};
use crate::domain::texts::{Autofill, Text, Texts};
use otpost_settings::section::Section;

/// With the digits of the longest code this stays within two parts of an SMS, in characters of GSM-7.
const MAX_TEXT: usize = 250;
const MAX_BRAND: usize = 30;
/// Maximum length of a DNS name.
const MAX_HOST: usize = 253;
const HASH: usize = 11;

/// The settings of one language: the text, and the word used without a brand.
struct Pattern {
    language: Language,
    sms: String,
    unbranded: Option<&'static str>,
}

pub(super) fn read(section: Section<'_>) -> Texts {
    let fits = |s: &str| (1..=MAX_BRAND).contains(&s.chars().count()) && !s.chars().any(char::is_control);
    let allowed = "must be 1 to 30 characters on one line";
    let brand = section.parsed("brand", allowed, |text| fits(text).then(|| text.to_owned()));
    let autofill = Autofill {
        web_host: section.parsed("web_host", "must be the name of a host alone, such as example.com", host),
        android_hash: section.parsed("android_hash", "must be the app's 11 characters, such as FA+9qCX9VSu", hash),
    };
    let mut patterns: Vec<Pattern> = SHIPPED.iter().map(shipped).collect();
    let added = languages(section.section("languages"), &mut patterns, brand.is_some());
    let allowed = LanguageError.to_string();
    let default = section.parsed("default_language", &allowed, |text| Language::parse(text).ok());
    let default = default.unwrap_or_else(|| patterns[0].language.clone());
    if let Some(sms) = pattern(&section, "sms") {
        if added.contains(&default) {
            let beside = format!("is given beside text.languages.{default}.sms");
            section.complain("sms", beside, format!("must be one of the two: it is the text in {default}"));
        }
        put(&mut patterns, &default, sms);
    }
    let place = patterns.iter().position(|one| one.language == default);
    if place.is_none() {
        let there = Vec::from_iter(patterns.iter().map(|one| one.language.to_string())).join(", ");
        let allowed = format!("must be one of {there}, or give its text as `sms`");
        section.complain("default_language", format!("is \"{default}\", in which there is no text"), allowed);
    }
    let default = patterns.remove(place.unwrap_or_default());
    let is_nameless = brand.is_none() && default.unbranded.is_none() && SmsText::names_brand(&default.sms);
    if is_nameless && !added.contains(&default.language) {
        section.complain("sms", NAMELESS, SET_BRAND);
    }
    section.finish();
    let text = |one: Pattern| {
        let brand = brand.as_deref().or(one.unbranded).unwrap_or_default();
        Some(Text { sms: SmsText::new(&one.sms, brand).ok()?, language: one.language })
    };
    let others: Vec<Text> = patterns.into_iter().filter_map(text).collect();
    text(default).map_or_else(|| Texts::shipped(None), |default| Texts::new(default, others, autofill))
}

const NAMELESS: &str = "has the place {brand}, for which no word is known in this language";
const SET_BRAND: &str = "set text.brand, or write the text without it";

fn shipped(text: &Shipped) -> Pattern {
    let language = Language::parse(text.tag).expect("a shipped text has a language");
    Pattern { language, sms: text.sms.to_owned(), unbranded: Some(text.unbranded) }
}

/// `[text.languages.TAG]`; returns the languages that were given.
fn languages(section: Section<'_>, patterns: &mut Vec<Pattern>, branded: bool) -> Vec<Language> {
    let mut given = Vec::new();
    for (tag, child) in section.children() {
        let Ok(language) = Language::parse(&tag) else {
            child.complain_here("is no language", LanguageError.to_string());
            child.give_up();
            continue;
        };
        let sms = child.required("sms", pattern(&child, "sms"), "must be the text of an SMS");
        if given.contains(&language) {
            child.complain_here(format!("is {language}, which is there already"), "must be there once");
        }
        if let Some(sms) = sms {
            let names_brand = SmsText::names_brand(&sms);
            let unbranded = put(patterns, &language, sms);
            if !branded && unbranded.is_none() && names_brand {
                child.complain("sms", NAMELESS, SET_BRAND);
            }
        }
        given.push(language);
        child.finish();
    }
    section.finish();
    given
}

/// Returns the language's word that is used without a brand.
fn put(patterns: &mut Vec<Pattern>, language: &Language, sms: String) -> Option<&'static str> {
    match patterns.iter_mut().find(|one| one.language == *language) {
        Some(one) => {
            one.sms = sms;
            one.unbranded
        }
        None => {
            patterns.push(Pattern { language: language.clone(), sms, unbranded: None });
            None
        }
    }
}

fn pattern(section: &Section<'_>, key: &str) -> Option<String> {
    let fits = |s: &str| (1..=MAX_TEXT).contains(&s.chars().count()) && !s.contains(['\0', '\r']);
    let sms = section.parsed(key, "must be 1 to 250 characters", |s| fits(s).then(|| s.to_owned()))?;
    match SmsText::new(&sms, "") {
        Ok(_) => Some(sms),
        Err(e) => {
            section.complain(key, e.to_string(), "such as \"{code} is your {brand} code.\"");
            None
        }
    }
}

/// In lower case, as phones compare it; non-ASCII names in their `xn--` form.
fn host(text: &str) -> Option<String> {
    let fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (text.len() <= MAX_HOST && text.contains('.') && text.split('.').all(fits)).then(|| text.to_ascii_lowercase())
}

/// Base64, the last step of Google's recipe.
fn hash(text: &str) -> Option<String> {
    let fits = text.len() == HASH && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'));
    fits.then(|| text.to_owned())
}
