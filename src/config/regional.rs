//! What differs by country for an SMS account: `senders` and `dlt`.

use std::collections::BTreeMap;

use crate::config::countries;
use crate::domain::language::{Language, LanguageError};
use crate::domain::phone;
use crate::providers::configured::{Configured, Kind};
use crate::providers::regional::{Dlt, DltSettings, Regional};
use otpost_settings::section::{Section, shown};

/// Maximum length of a sender name. Source: 3GPP TS 23.040, 9.1.2.5: ten octets of the alphabet with seven bits.
const LONGEST_NAME: usize = 11;

const IDS_ALLOWED: &str = "must be the digits that the DLT platform shows, 4 to 32, in quotes";

/// Every problem is reported before it returns `None`. `provider`: the part that could be read.
pub(super) fn read(section: &Section<'_>, kind: &Kind, provider: Option<&Configured>) -> Option<Regional> {
    let takes_sender = provider.is_none_or(|provider| provider.takes_sender);
    let takes_dlt = provider.is_none_or(|provider| provider.takes_dlt);
    let senders = senders(section, kind, takes_sender);
    let dlt = dlt(section.section("dlt"), kind, takes_dlt);
    Some(Regional { senders: senders?, dlt: dlt? })
}

fn senders(section: &Section<'_>, kind: &Kind, takes_them: bool) -> Option<BTreeMap<String, String>> {
    let table = section.section("senders");
    let mut senders = Some(BTreeMap::new());
    if table.is_given() && !takes_them {
        section.complain("senders", no_place(kind, "sender", "{sender}"), place_for(kind, "sender"));
        table.give_up();
        return None;
    }
    for key in table.keys() {
        let country = if table.is_variable(&key) { key.to_ascii_uppercase() } else { key.clone() };
        if !phone::is_country(&country) {
            let wrong = "is no country with a calling code";
            table.complain(&key, wrong, countries::meant(&country).unwrap_or(countries::ONE_ALLOWED.to_owned()));
            senders = None;
        }
        match table.text(&key).map(|text| sender(&text, kind).map_err(|wrong| (shown(&text), wrong))) {
            Some(Ok(sender)) => senders = senders.map(|some| some.into_iter().chain([(country, sender)]).collect()),
            Some(Err((shown, why))) => {
                table.complain(&key, format!("is {shown}, {why}"), sender_allowed(kind));
                senders = None;
            }
            None => senders = None,
        }
    }
    table.finish();
    senders
}

/// The error says why not.
fn sender(text: &str, kind: &Kind) -> Result<String, &'static str> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'-' | b'_' | b'.' | b'&');
    match () {
        () if kind.sender_form.as_ref().is_some_and(|form| (form.fits)(text)) => {}
        () if is_number && text.starts_with('+') => {
            if !(7..=15).contains(&digits.len()) || digits.starts_with('0') {
                return Err("which is no number");
            }
        }
        () if is_number && (3..=8).contains(&digits.len()) => {}
        () if is_number && digits.len() < 3 => return Err("which is too short"),
        () if is_number => return Err("which is a number without its +"),
        () if text.is_empty() => return Err("which is nothing"),
        () if text.trim() != text || !text.bytes().all(is_name) => return Err("which no phone can show"),
        () if !text.bytes().any(|b| b.is_ascii_alphabetic()) => return Err("which has no letter"),
        () if text.len() > LONGEST_NAME => return Err("which is too long"),
        () => {}
    }
    Ok(text.to_owned())
}

fn sender_allowed(kind: &Kind) -> String {
    let more = kind.sender_form.as_ref().map_or("", |form| form.allowed);
    format!(
        "must be a name of at most {LONGEST_NAME} letters and digits with a letter in it, a number with its +, or a short \
         code of 3 to 8 digits{more}"
    )
}

fn dlt(table: Section<'_>, kind: &Kind, takes_them: bool) -> Option<DltSettings> {
    if !table.is_given() {
        table.finish();
        return Some(DltSettings::NotTold);
    }
    let needed = table.flag("needed");
    let id = |section: &Section<'_>, key: &str| section.parsed(key, IDS_ALLOWED, digits);
    let entity_id = id(&table, "entity_id");
    let child = table.section("templates");
    let has_ids = table.has("entity_id") || child.is_given();
    if needed == Some(false) && !has_ids {
        child.finish();
        table.finish();
        return Some(DltSettings::NotNeeded);
    }
    if has_ids && (!takes_them || needed == Some(false)) {
        let (wrong, allowed) = match needed {
            Some(false) => {
                ("says that no ids are needed, and has some".to_owned(), "must be one of the two".to_owned())
            }
            _ => (no_place(kind, "DLT ids", "{dlt_entity_id} or {dlt_template_id}"), place_for(kind, "DLT ids")),
        };
        table.complain_here(wrong, allowed);
        child.give_up();
        table.give_up();
        return None;
    }
    let entity_id = table.required("entity_id", entity_id, IDS_ALLOWED);
    let mut templates = Some(BTreeMap::new());
    for key in child.keys() {
        let language = Language::parse(&key);
        if language.is_err() {
            child.complain(&key, "is no language", LanguageError.to_string());
        }
        templates = match (templates, language, id(&child, &key)) {
            (Some(mut some), Ok(language), Some(id)) => {
                if some.insert(language.clone(), id).is_some() {
                    child.complain(&key, format!("is {language}, which is there already"), "must be there once");
                }
                Some(some)
            }
            _ => None,
        };
    }
    if child.keys().is_empty() {
        let allowed =
            "must have the id of each registered text by its language, such as { en = \"1107160000000000000\" }";
        table.complain("templates", "is missing", allowed);
        templates = None;
    }
    child.finish();
    table.finish();
    Some(DltSettings::Registered(Dlt { entity_id: entity_id?, templates: templates? }))
}

fn digits(text: &str) -> Option<String> {
    let fits = (4..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.to_owned())
}

fn no_place(kind: &Kind, what: &str, places: &str) -> String {
    if kind.is_described {
        format!("is given, but the request has no {places}")
    } else {
        format!("is given, but {} takes no {what} with a message", kind.title)
    }
}

fn place_for(kind: &Kind, what: &str) -> String {
    let provider = kind.title;
    match what {
        _ if kind.is_described => "put it into `body` or `url`, or leave this out".to_owned(),
        "DLT ids" => format!("register sender and texts at {provider}, and say `dlt = {{ needed = false }}` instead"),
        _ => format!("must be left out: at {provider} the sender belongs to the template"),
    }
}
