//! The approved templates of a WhatsApp account: one in short form, and one for each further language.

use crate::config::accounts;
use crate::config::section::Section;
use crate::domain::language::{Language, LanguageError};
use crate::providers::Template;
use crate::providers::templates::{AccountTemplate, Button, Templates};

/// Meta's bounds of `message_send_ttl_seconds` for authentication templates.
const LIFETIME_S: std::ops::RangeInclusive<u16> = 30..=900;

/// The short form comes first and stands in for languages without a template; without it the one in `default`, the
/// texts' default language, or what is nearest to it.
pub(super) fn read(section: &Section<'_>, default: &Language) -> Option<Templates> {
    let tables = section.section("templates");
    let has_short_form = section.has("template") || section.has("language");
    let short_form = if has_short_form || !tables.is_given() { Some(accounts::template(section)) } else { None };
    let mut templates = Vec::new();
    let mut all_right = true;
    if let Some(short_form) = short_form {
        let language = short_form.as_ref().and_then(|template| Language::parse(&template.language).ok());
        match language.zip(short_form) {
            Some((language, template)) => {
                let lifetime_s = section.integer("lifetime_s", LIFETIME_S, "seconds");
                templates.push(AccountTemplate { lifetime_s, ..AccountTemplate::new(language, template) });
            }
            None => all_right = false,
        }
    }
    for (tag, child) in tables.children() {
        let Ok(language) = Language::parse(&tag) else {
            child.complain_here("is no language", LanguageError.to_string());
            child.give_up();
            all_right = false;
            continue;
        };
        if templates.iter().any(|one: &AccountTemplate| one.language == language) {
            let wrong = format!("is {language}, in which this account has a template already");
            child.complain_here(wrong, "must be there once, or as `template` and `language` of the account");
        }
        match one(child, language) {
            Some(template) => templates.push(template),
            None => all_right = false,
        }
    }
    tables.finish();
    if !has_short_form {
        templates.sort_by_key(|one| default.distance(&one.language).unwrap_or(u8::MAX));
    }
    all_right.then(|| Templates::new(templates))
}

fn one(section: Section<'_>, language: Language) -> Option<AccountTemplate> {
    let name = section.parsed("name", accounts::TEMPLATE_ALLOWED, accounts::template_name);
    let name = section.required("name", name, accounts::TEMPLATE_ALLOWED);
    let written = section.parsed("language", accounts::TEMPLATE_LANGUAGE_ALLOWED, accounts::template_language);
    let written = written.unwrap_or_else(|| language.with_underscore());
    let android = section.parsed("android", accounts::TEMPLATE_ALLOWED, accounts::template_name);
    let button = section.word("button", Button::ALL).unwrap_or_default();
    let lifetime_s = section.integer("lifetime_s", LIFETIME_S, "seconds");
    section.finish();
    Some(AccountTemplate {
        template: Template { name: name?, language: written.clone() },
        android: android.map(|name| Template { name, language: written }),
        language,
        button,
        lifetime_s,
    })
}
