//! The words around a code in an SMS.

use crate::config::section::Section;
use crate::domain::text::SmsText;

/// Reads well in the default text: "493817 is your verification code."
const DEFAULT_BRAND: &str = "verification";

/// With the digits of the longest code this stays within two parts of an SMS, in characters.
const MAX_TEXT: usize = 250;
const MAX_BRAND: usize = 30;

pub(super) fn read(section: Section<'_>) -> SmsText {
    let fits = |text: &str, most| (1..=most).contains(&text.chars().count()) && !text.contains(['\0', '\r']);
    let brand = section.parsed("brand", "must be 1 to 30 characters", |s| fits(s, MAX_BRAND).then(|| s.to_owned()));
    let brand = brand.unwrap_or_else(|| DEFAULT_BRAND.to_owned());
    let sms = section.parsed("sms", "must be 1 to 250 characters", |s| fits(s, MAX_TEXT).then(|| s.to_owned()));
    let text = SmsText::new(sms.as_deref().unwrap_or(SmsText::DEFAULT), &brand);
    let text =
        text.map_err(|e| section.complain("sms", e.to_string(), "such as \"{code} is your {brand} code.\"")).ok();
    section.finish();
    text.or_else(|| SmsText::new(SmsText::DEFAULT, &brand).ok()).expect("the default text is a text")
}
