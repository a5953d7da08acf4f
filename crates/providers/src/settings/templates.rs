//! The approved templates of an account: one in short form, and one for each further language.

use otpost_domain::language::{Language, LanguageError};
use otpost_settings::section::Section;

use crate::Template;
use crate::templates::{AccountTemplate, Button, Templates};

/// WhatsApp's limits of `message_send_ttl_seconds` for authentication templates.
const LIFETIME_S: std::ops::RangeInclusive<u16> = 30..=900;

/// A word for a template's own language, where a provider has one.
const DEFAULT: &str = "default";

const LANGUAGE_ALLOWED: &str = "must be the template's language as the provider writes it, such as en_US or id";

/// How a provider names its templates.
pub(crate) struct Naming {
    pub name: fn(&str) -> Option<String>,
    pub allowed: &'static str,
    pub language: Written,
}

/// Whether a template's language is sent with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Needed,
    /// A template has one language, which its name implies.
    NotSent,
    /// If it is not given, `default` is sent, which is the template's own language.
    OrDefault,
}

impl Naming {
    /// WhatsApp's names, which most providers use. Source: WhatsApp Business Platform, "Template components".
    pub(crate) const WHATSAPP: Self = Self {
        name: |text| is_word(text).then(|| text.to_owned()),
        allowed: "must be the name of an approved authentication template: a-z, 0-9 and _",
        language: Written::Needed,
    };
}

/// At most 512 of a-z, 0-9 and _.
pub(crate) fn is_word(text: &str) -> bool {
    let fits = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_');
    (1..=512).contains(&text.len()) && text.bytes().all(fits)
}

fn written_language(text: &str) -> Option<String> {
    let fits = text.as_bytes().get(..2).is_some_and(|start| start.iter().all(u8::is_ascii_lowercase));
    (fits && !text.contains('-') && Language::parse(text).is_ok()).then(|| text.to_owned())
}

/// The short form comes first and is used for languages without a template; without it the one in `default`, the texts'
/// default language, or the nearest to it.
pub(crate) fn read(section: &Section<'_>, naming: &Naming, default: &Language) -> Option<Templates> {
    let tables = section.section("templates");
    let has_short_form = section.has("template") || section.has("language");
    let short_form = if has_short_form || !tables.is_given() { Some(short(section, naming, default)) } else { None };
    let mut all_right = short_form.as_ref().is_none_or(Option::is_some);
    let mut templates: Vec<AccountTemplate> = short_form.flatten().into_iter().collect();
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
        match one(child, naming, language) {
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

/// For a provider with at most one template; an empty one counts as none.
pub(crate) fn only(template: Template, default: &Language) -> Templates {
    if template.name.is_empty() && template.language.is_empty() {
        return Templates::default();
    }
    let language = Language::parse(&template.language).unwrap_or_else(|_| default.clone());
    Templates::new(vec![AccountTemplate::new(language, template)])
}

/// `template`, `language` and `lifetime_s` of the account itself.
fn short(section: &Section<'_>, naming: &Naming, default: &Language) -> Option<AccountTemplate> {
    let name = section.required("template", section.parsed("template", naming.allowed, naming.name), naming.allowed);
    let written = match naming.language {
        Written::Needed => {
            let written = section.parsed("language", LANGUAGE_ALLOWED, written_language);
            section.required("language", written, LANGUAGE_ALLOWED)
        }
        Written::NotSent => {
            let written = section.parsed("language", LANGUAGE_ALLOWED, written_language);
            Some(written.unwrap_or_else(|| default.with_underscore()))
        }
        Written::OrDefault => {
            let allowed = "must be \"default\" or a language of the template, such as en or zh_CN";
            let read = |text: &str| if text == DEFAULT { Some(text.to_owned()) } else { written_language(text) };
            Some(section.parsed("language", allowed, read).unwrap_or_else(|| DEFAULT.to_owned()))
        }
    };
    let lifetime_s = section.integer("lifetime_s", LIFETIME_S, "seconds");
    let (name, written) = (name?, written?);
    let language = if written == DEFAULT { default.clone() } else { Language::parse(&written).ok()? };
    Some(AccountTemplate { lifetime_s, ..AccountTemplate::new(language, naming.template(name, &written)) })
}

fn one(section: Section<'_>, naming: &Naming, language: Language) -> Option<AccountTemplate> {
    let name = section.required("name", section.parsed("name", naming.allowed, naming.name), naming.allowed);
    let written = section.parsed("language", LANGUAGE_ALLOWED, written_language);
    let written = written.unwrap_or_else(|| language.with_underscore());
    let android = section.parsed("android", naming.allowed, naming.name);
    let button = section.word("button", Button::ALL).unwrap_or_default();
    let lifetime_s = section.integer("lifetime_s", LIFETIME_S, "seconds");
    section.finish();
    Some(AccountTemplate {
        template: naming.template(name?, &written),
        android: android.map(|name| naming.template(name, &written)),
        language,
        button,
        lifetime_s,
    })
}

impl Naming {
    fn template(&self, name: String, written: &str) -> Template {
        let language = match self.language {
            Written::Needed | Written::OrDefault => written.to_owned(),
            Written::NotSent => String::new(),
        };
        Template { name, language }
    }
}
