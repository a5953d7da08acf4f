//! Settings that several sections of a description have.

use std::collections::BTreeMap;

use otpost_domain::receipt::Status;
use otpost_domain::words;
use otpost_settings::section::Section;

use super::shape::{Pointer, Statuses};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentType {
    Json,
    Form,
}

words! {
    ContentType { Json = "json", Form = "form" }
}

pub(super) const POINTER: &str = "must be a JSON pointer such as /data/id";

pub(super) fn pointer(section: &Section<'_>, key: &str) -> Option<Pointer> {
    section.parsed(key, POINTER, |text| Pointer::parse(text).filter(|_| !text.is_empty()))
}

/// Setting names for the provider's status words; `None` for known words that say nothing about the delivery.
const STATUSES: [(&str, Option<Status>); 5] = [
    ("sent", Some(Status::Sent)),
    ("delivered", Some(Status::Delivered)),
    ("read", Some(Status::Read)),
    ("failed", Some(Status::Failed)),
    ("ignored", None),
];

pub(super) fn statuses(section: Section<'_>) -> Option<Statuses> {
    let statuses = Statuses(words_of(&section, &STATUSES));
    let has_delivered = statuses.0.values().any(|status| *status == Some(Status::Delivered));
    if !has_delivered {
        let allowed = "must be a list of the provider's words for it, such as [\"DELIVRD\"]";
        section.required("delivered", None::<()>, allowed);
    }
    section.finish();
    has_delivered.then_some(statuses)
}

/// Inverts lists of the provider's words. A word has one meaning.
pub(super) fn words_of<T: Copy>(section: &Section<'_>, ours: &[(&str, T)]) -> BTreeMap<String, T> {
    let mut meanings = BTreeMap::new();
    for (key, meaning) in ours {
        let allowed = "must be a list of texts in quotes, each in one list only";
        for word in section.list(key, allowed).unwrap_or_default() {
            if word.is_empty() {
                section.complain(key, "has an empty entry", allowed);
            } else if meanings.insert(word.clone(), *meaning).is_some() {
                section.complain(key, format!("has {word:?}, which has a meaning already"), allowed);
            }
        }
    }
    meanings
}
