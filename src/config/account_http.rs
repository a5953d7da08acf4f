//! The settings that describe a provider which the program does not know.

use std::collections::BTreeMap;

use std::borrow::Cow;

use crate::config::account_callback;
use crate::config::account_providers::{HEADER, header_name, secret};
use crate::config::accounts::ProviderSettings;
use crate::config::address;
use crate::config::section::Section;
use crate::domain::channel::Channel;
use crate::domain::receipt::{ErrorClass, Status};
use crate::domain::secret::Secret;
use crate::domain::words::words;
use crate::providers::http::{
    AnswerShape, AskShape, Body, Codes, Escape, HttpConfig, Meaning, Pattern, PatternError, Place, Pointer, Statuses,
};
use crate::providers::{Template, basic};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentType {
    Json,
    Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum YesOrNo {
    Yes,
    No,
}

words! {
    ContentType { Json = "json", Form = "form" }
    YesOrNo { Yes = "yes", No = "no" }
}

/// Headers that are made from the rest of the request.
const MADE: [&str; 5] = ["content-type", "content-length", "host", "transfer-encoding", "connection"];

const POINTER: &str = "must be a JSON pointer such as /data/id";

/// Every setting is read before the first `?`, so that everything wrong is said at once.
pub(super) fn read(section: &Section<'_>, channel: Channel) -> Option<HttpConfig> {
    let url = address_pattern(section, "url", Place::OF_AN_ADDRESS);
    let content_type = section.word("content_type", ContentType::ALL).unwrap_or(ContentType::Json);
    let body = body(section, content_type);
    if let (Some((_, url)), Some(body)) = (&url, &body) {
        complete(section, url, body);
    }
    let (login, mut headers) = auth(section.section("auth"), body.as_ref());
    headers.extend(self::headers(section.section("headers"), !headers.is_empty()));
    let answer = answer(section.section("answer"));
    let codes = codes(section.section("codes"));
    let child = section.section("callback");
    let has_callback = child.is_given();
    let callback = if has_callback { account_callback::read(child, content_type) } else { None };
    let child = section.section("ask");
    let has_ask = child.is_given();
    let usual = callback.as_ref().map(|shape| &shape.statuses);
    let ask = if has_ask { ask(child, has_callback, usual) } else { None };
    let deduplicates = section.word("deduplicates", YesOrNo::ALL) == Some(YesOrNo::Yes);
    if !has_callback && !has_ask {
        section.complain("callback", "is missing", "must say what callbacks look like, or give `ask` instead");
        return None;
    }
    if (has_callback && callback.is_none()) || (has_ask && ask.is_none()) {
        return None;
    }
    let (base_url, url) = url?;
    let (body, answer) = (body?, answer?);
    Some(HttpConfig { channel, base_url, url, body, headers, login, answer, codes, callback, ask, deduplicates })
}

/// With its scheme and host.
fn address_pattern(section: &Section<'_>, key: &str, allowed: &[Place]) -> Option<(String, Pattern)> {
    let rule = "must begin with https://, or with http:// on this machine, without a password, and with places behind \
                its host only";
    let text = section.required(key, section.parsed(key, rule, address::call), rule)?;
    match Pattern::parse(&text, allowed) {
        Ok(pattern) => Some((address::origin(&text), pattern)),
        Err(error) => {
            section.complain(key, error.to_string(), format!("in an address can stand {}", list(allowed)));
            None
        }
    }
}

fn list(places: &[Place]) -> String {
    Vec::from_iter(places.iter().map(|place| format!("{{{place}}}"))).join(", ")
}

fn body(section: &Section<'_>, content_type: ContentType) -> Option<Body> {
    let rule = "must be the text of the request, with places such as {to} and {code}";
    let text = section.required("body", section.text("body"), rule)?;
    let (escape, rule) = match content_type {
        ContentType::Json => {
            (Escape::Json, "must be JSON, with the places between quotes; {life_s} and {to_digits} can also be numbers")
        }
        ContentType::Form => (Escape::Percent, "must be such as to={to}&text={text}, all else percent-encoded"),
    };
    match Body::parse(&text, escape) {
        Ok(body) => Some(body),
        Err(error @ PatternError::UnknownPlace(_)) => {
            section.complain("body", error.to_string(), format!("here can stand {}", list(Place::OF_A_MESSAGE)));
            None
        }
        Err(error) => {
            section.complain("body", error.to_string(), rule);
            None
        }
    }
}

/// A request must say what is sent, and to whom.
fn complete(section: &Section<'_>, url: &Pattern, body: &Body) {
    let has = |place| url.has(place) || body.has(place);
    if !has(Place::To) && !has(Place::ToDigits) {
        section.complain("body", "does not say to whom", "must have {to} or {to_digits}");
    }
    if !has(Place::Code) && !has(Place::Text) {
        section.complain("body", "does not have the code", "must have {code} or {text}");
    }
}

type Headers = Vec<(Cow<'static, str>, Secret)>;

/// The login for the body, or the header `Authorization`.
fn auth(section: Section<'_>, body: Option<&Body>) -> (Option<(String, Secret)>, Headers) {
    let in_body = body.is_some_and(|body| body.has(Place::User) || body.has(Place::Password));
    let (user, bearer) = (section.text("user"), section.secret("bearer"));
    let password = if user.is_some() || in_body { secret(&section, "password") } else { section.secret("password") };
    if user.is_none() && (in_body || password.is_some()) {
        section.complain("user", "is missing", "must be the user name, beside `password`");
    }
    if user.is_some() && bearer.is_some() {
        section.complain("bearer", "is given beside `user`", "must be one of the two");
    }
    section.finish();
    match (user.zip(password), bearer) {
        (Some(login), _) if in_body => (Some(login), Vec::new()),
        (Some((user, password)), _) => (None, vec![("authorization".into(), basic::authorization(&user, &password))]),
        (None, Some(token)) => {
            (None, vec![("authorization".into(), Secret::new(format!("Bearer {}", token.expose())))])
        }
        (None, None) => (None, Vec::new()),
    }
}

fn headers(section: Section<'_>, has_authorization: bool) -> Headers {
    let mut headers = Vec::new();
    for name in section.keys() {
        let value = section.secret(&name);
        let lower = name.to_ascii_lowercase();
        if header_name(&name).is_none() {
            section.complain(&name, "is no name of a header", HEADER);
        } else if MADE.contains(&lower.as_str()) {
            section.complain(&name, "is made from the rest of the request", "must be left out");
        } else if lower == "authorization" && has_authorization {
            section.complain(&name, "is given beside `auth`", "must be one of the two");
        } else if let Some(value) = value {
            if value.expose().bytes().all(|b| matches!(b, b' '..=b'~')) {
                headers.push((lower.into(), value));
            } else {
                section.complain(&name, "has characters that no header can have", "must be plain ASCII");
            }
        }
    }
    section.finish();
    headers
}

fn answer(section: Section<'_>) -> Option<AnswerShape> {
    let id = section.required("id", pointer(&section, "id"), POINTER);
    let place = pointer(&section, "accepted");
    let value = section.text("accepted_value");
    let error_code = pointer(&section, "error_code");
    let both = "must be given together: where they say whether they took it, and the word for yes";
    match (place.is_some(), value.is_some()) {
        (true, false) => section.complain("accepted_value", "is missing beside `accepted`", both),
        (false, true) => section.complain("accepted", "is missing beside `accepted_value`", both),
        _ => {}
    }
    section.finish();
    Some(AnswerShape { id: id?, accepted: place.zip(value), error_code })
}

pub(super) fn pointer(section: &Section<'_>, key: &str) -> Option<Pointer> {
    section.parsed(key, POINTER, Pointer::parse)
}

/// Our word for what they mean, and their codes.
const CLASSES: [(&str, Meaning); 7] = [
    ("recipient_unreachable", Meaning::of(ErrorClass::RecipientUnreachable)),
    ("number_is_bad", Meaning { number_is_bad: true, ..Meaning::of(ErrorClass::RecipientUnreachable) }),
    ("retryable", Meaning::of(ErrorClass::Retryable)),
    ("rate_limited", Meaning::of(ErrorClass::RateLimited)),
    ("config_error", Meaning::of(ErrorClass::ConfigError)),
    ("expired", Meaning::of(ErrorClass::Expired)),
    ("may_have_left", Meaning { definite: false, ..Meaning::of(ErrorClass::Retryable) }),
];

fn codes(section: Section<'_>) -> Codes {
    let codes = Codes(words_of(&section, &CLASSES));
    section.finish();
    codes
}

/// Their words for each of ours; `None` for what is known and tells nothing.
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
        let allowed = "must be a list of their words for it, such as [\"DELIVRD\"]";
        section.required("delivered", None::<()>, allowed);
    }
    section.finish();
    has_delivered.then_some(statuses)
}

/// Lists of their words under ours, turned round. A word has one meaning.
fn words_of<T: Copy>(section: &Section<'_>, ours: &[(&str, T)]) -> BTreeMap<String, T> {
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

/// `usual`: the words of callbacks, unless it has its own.
fn ask(section: Section<'_>, has_callback: bool, usual: Option<&Statuses>) -> Option<AskShape> {
    let url = address_pattern(&section, "url", Place::OF_A_QUESTION);
    if let Some((_, pattern)) = &url
        && !Place::OF_A_QUESTION.iter().any(|place| pattern.has(*place))
    {
        section.complain("url", "does not say which message", "must have {provider_message_id} or {attempt_id}");
    }
    let status = section.required("status", pointer(&section, "status"), POINTER);
    let (time, error_code) = (pointer(&section, "time"), pointer(&section, "error_code"));
    let child = section.section("statuses");
    let statuses = if child.is_given() || !has_callback { statuses(child) } else { usual.cloned() };
    section.finish();
    Some(AskShape { url: url?.1, status: status?, statuses: statuses?, time, error_code })
}

/// As they write it, where the request has places for it.
pub(super) fn template(section: &Section<'_>, provider: Option<&ProviderSettings>) -> Option<Template> {
    let has = |place| match provider {
        Some(ProviderSettings::Http(config)) => Some(config.url.has(place) || config.body.has(place)),
        _ => None,
    };
    let read = |key: &str, has: Option<bool>| {
        let allowed = format!("must be what {{{key}}} stands for, 1 to 512 characters");
        let fits = |text: &str| (1..=512).contains(&text.len()) && !text.contains(char::is_control);
        match has {
            Some(false) => Some(String::new()),
            Some(true) => {
                let value = section.parsed(key, &allowed, |text| fits(text).then(|| text.to_owned()));
                section.required(key, value, &allowed)
            }
            // Much else is wrong; whether it belongs here is not known.
            None => section.text(key),
        }
    };
    let (name, language) = (read("template", has(Place::Template)), read("language", has(Place::Language)));
    Some(Template { name: name?, language: language? })
}
