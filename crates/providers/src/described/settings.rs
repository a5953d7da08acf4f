//! Reads the settings of an account at a described provider.

use std::borrow::Cow;

use otpost_domain::channel::Channel;
use otpost_domain::language::Language;
use otpost_domain::receipt::{ErrorClass, Scope};
use otpost_domain::secret::Secret;
use otpost_domain::words;
use otpost_settings::address;
use otpost_settings::section::Section;

use super::fields::{ContentType, POINTER, pointer, statuses, words_of};
use super::{
    AnswerShape, Body, CallbackShape, Codes, Content, Described, DescribedConfig, Escape, Field, Meaning, Pattern,
    PatternError, Place, Pointer, QueryShape, Statuses, callback_settings,
};
use crate::configured::{Configured, Kind, Limits, Read};
use crate::settings::{self, HEADER, header_name, secret, templates};
use crate::{Template, basic};

pub static KIND: Kind = Kind {
    name: "http",
    title: "the described provider",
    why_no_sms: None,
    limits,
    sender_form: None,
    is_described: true,
    read,
    #[cfg(test)]
    case: &super::tests::CASE,
};

/// Its limits are unknown: a cautious guess.
fn limits(_: Channel) -> Limits {
    Limits { per_second: 10.0, concurrency: 16 }
}

fn read(section: &Section<'_>, channel: Channel, language: &Language) -> Read {
    let config = config(section, channel);
    let template = template(section, config.as_ref());
    let provider = config.map(|config| {
        let (has, cautions) = (|place| config.has(place), cautions(&config));
        let takes_sender = has(Place::Sender);
        let takes_dlt = has(Place::DltEntityId) || has(Place::DltTemplateId);
        let provider = Configured::new(&KIND, &config.base_url.clone(), config, |c| Box::new(Described::new(c)));
        provider.takes_sender(takes_sender).takes_dlt(takes_dlt).cautions(cautions)
    });
    Read { provider, templates: template.map(|template| templates::only(template, language)) }
}

/// Warnings about what a description leaves open.
fn cautions(config: &DescribedConfig) -> Vec<String> {
    let mut cautions = Vec::new();
    if config.callback.is_none() && config.ask.is_none() {
        cautions.push(
            ".receipts is \"none\": what the provider takes counts as delivered (delivery_inferred), so a step behind it is \
             used only when the provider refuses, or when a person asks again."
                .to_owned(),
        );
    }
    if let Some(CallbackShape { content: Content::Json { list: None }, status: Field::Json(status), .. }) =
        &config.callback
        && let Some((list, within)) = status.split_at_index()
    {
        cautions.push(format!(
            ".callback.status points at one place of a list: every entry is read that has a status; list = \"{list}\" and \
             status = \"{within}\" say so."
        ));
    }
    cautions
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum YesOrNo {
    Yes,
    No,
}

/// Whether the provider ever reports deliveries, if nothing else says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReceiptsGiven {
    None,
}

words! {
    ReceiptsGiven { None = "none" }
    YesOrNo { Yes = "yes", No = "no" }
}

/// Headers that are made from the rest of the request.
const MADE: [&str; 5] = ["content-type", "content-length", "host", "transfer-encoding", "connection"];

/// Every setting is read before the first `?`, so that all problems are reported at once.
fn config(section: &Section<'_>, channel: Channel) -> Option<DescribedConfig> {
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
    let callback = if has_callback { callback_settings::read(child, content_type) } else { None };
    let child = section.section("ask");
    let has_ask = child.is_given();
    let usual = callback.as_ref().map(|shape| &shape.statuses);
    let ask = if has_ask { ask(child, has_callback, usual) } else { None };
    let sender = sender(section, url.as_ref().map(|(_, url)| url), body.as_ref());
    let deduplicates = section.word("deduplicates", YesOrNo::ALL) == Some(YesOrNo::Yes);
    let has_none = section.word("receipts", ReceiptsGiven::ALL) == Some(ReceiptsGiven::None);
    if has_none && (has_callback || has_ask) {
        let allowed = "must be left out where `callback` or `ask` describes how deliveries are reported";
        section.complain("receipts", "is \"none\"", allowed);
        return None;
    }
    if !has_callback && !has_ask && !has_none {
        let allowed = "must say what callbacks look like; else give `ask`, or receipts = \"none\" for a provider that never tells \
                       of a delivery: what it takes then counts as delivered";
        section.complain("callback", "is missing", allowed);
        return None;
    }
    if (has_callback && callback.is_none()) || (has_ask && ask.is_none()) {
        return None;
    }
    let (base_url, url) = url?;
    let (body, answer, sender) = (body?, answer?, sender?);
    Some(DescribedConfig {
        channel,
        base_url,
        url,
        body,
        headers,
        sender,
        login,
        answer,
        codes,
        callback,
        ask,
        deduplicates,
    })
}

/// Returns also its scheme and host.
fn address_pattern(section: &Section<'_>, key: &str, allowed: &[Place]) -> Option<(String, Pattern)> {
    let rule = "must begin with https://, or with http:// on this machine, without a password, and with places behind \
                its host only";
    let text = section.required(key, section.parsed(key, rule, address::call), rule)?;
    match Pattern::parse(&text, allowed) {
        Ok(pattern) => Some((address::origin(&text), pattern)),
        Err(error) => {
            section.complain(key, error.to_string(), format!("allowed in an address: {}", list(allowed)));
            None
        }
    }
}

fn list(places: &[Place]) -> String {
    Vec::from_iter(places.iter().map(|place| format!("{{{place}}}"))).join(", ")
}

fn body(section: &Section<'_>, content_type: ContentType) -> Option<Body> {
    let rule = "must be the text of the request, with placeholders such as {to} and {code}";
    let text = section.required("body", section.text("body"), rule)?;
    let (escape, rule) = match content_type {
        ContentType::Json => (
            Escape::Json,
            "must be JSON, with the placeholders in quotes; {life_s} and {to_digits} can also be numbers",
        ),
        ContentType::Form => (Escape::Percent, "must be such as to={to}&text={text}, all else percent-encoded"),
    };
    match Body::parse(&text, escape) {
        Ok(body) => Some(body),
        Err(error @ PatternError::UnknownPlace(_)) => {
            section.complain("body", error.to_string(), format!("allowed here: {}", list(Place::OF_A_MESSAGE)));
            None
        }
        Err(error) => {
            section.complain("body", error.to_string(), rule);
            None
        }
    }
}

/// A request must contain the code and the recipient.
fn complete(section: &Section<'_>, url: &Pattern, body: &Body) {
    let has = |place| url.has(place) || body.has(place);
    if !has(Place::To) && !has(Place::ToDigits) {
        section.complain("body", "does not say to whom", "must have {to} or {to_digits}");
    }
    if !has(Place::Code) && !has(Place::Text) {
        section.complain("body", "does not have the code", "must have {code} or {text}");
    }
}

/// The value of `{sender}`, if the request uses it; `Some(None)` if it does not.
fn sender(section: &Section<'_>, url: Option<&Pattern>, body: Option<&Body>) -> Option<Option<String>> {
    let sender = section.parsed("sender", SENDER_ALLOWED, settings::sender);
    let (url, body) = (url?, body?);
    match (url.has(Place::Sender) || body.has(Place::Sender), section.has("sender")) {
        (true, _) => section.required("sender", sender, SENDER_ALLOWED).map(Some),
        (false, false) => Some(None),
        (false, true) => {
            section.complain(
                "sender",
                "is given, but the request has no {sender}",
                "put it into `body`, or leave this out",
            );
            None
        }
    }
}

const SENDER_ALLOWED: &str = "must be what {sender} stands for, 1 to 20 characters";

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
    // `""`: the whole answer is the id.
    let id = section.required("id", section.parsed("id", POINTER, Pointer::parse), POINTER);
    let place = pointer(&section, "accepted");
    let value = section.text("accepted_value");
    let error_code = pointer(&section, "error_code");
    let both = "must be given together: the place of the provider's verdict, and the value that means accepted";
    match (place.is_some(), value.is_some()) {
        (true, false) => section.complain("accepted_value", "is missing beside `accepted`", both),
        (false, true) => section.complain("accepted", "is missing beside `accepted_value`", both),
        _ => {}
    }
    section.finish();
    Some(AnswerShape { id: id?, accepted: place.zip(value), error_code })
}

/// Setting names and their meanings; the values are the provider's codes.
const CLASSES: [(&str, Meaning); 11] = [
    ("recipient_unreachable", Meaning::of(ErrorClass::RecipientUnreachable)),
    // A former name for the same: no code ends a message.
    ("number_is_bad", Meaning::of(ErrorClass::RecipientUnreachable)),
    ("retryable", Meaning::of(ErrorClass::Retryable)),
    ("rate_limited", Meaning::of(ErrorClass::RateLimited)),
    ("recipient_limited", Meaning::of(ErrorClass::RateLimited).about(Scope::Recipient)),
    ("config_error", Meaning::of(ErrorClass::ConfigError)),
    ("sender_refused", Meaning::of(ErrorClass::ConfigError).about(Scope::Sender)),
    ("template_refused", Meaning::of(ErrorClass::ConfigError).about(Scope::Template)),
    ("country_refused", Meaning::of(ErrorClass::ConfigError).about(Scope::Country)),
    ("expired", Meaning::of(ErrorClass::Expired)),
    ("may_have_left", Meaning::of(ErrorClass::Retryable).indefinite()),
];

fn codes(section: Section<'_>) -> Codes {
    let codes = Codes(words_of(&section, &CLASSES));
    section.finish();
    codes
}

/// `usual`: the status words of callbacks, used unless it has its own.
fn ask(section: Section<'_>, has_callback: bool, usual: Option<&Statuses>) -> Option<QueryShape> {
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
    Some(QueryShape { url: url?.1, status: status?, statuses: statuses?, time, error_code })
}

/// In the provider's spelling, if the request has placeholders for it.
fn template(section: &Section<'_>, config: Option<&DescribedConfig>) -> Option<Template> {
    let has = |place| config.map(|config| config.has(place));
    let read = |key: &str, has: Option<bool>| {
        let allowed = format!("must be what {{{key}}} stands for, 1 to 512 characters");
        let fits = |text: &str| (1..=512).contains(&text.len()) && !text.contains(char::is_control);
        match has {
            Some(false) => Some(String::new()),
            Some(true) => {
                let value = section.parsed(key, &allowed, |text| fits(text).then(|| text.to_owned()));
                section.required(key, value, &allowed)
            }
            // There are other problems; it is unknown whether this setting belongs here.
            None => section.text(key),
        }
    };
    let (name, language) = (read("template", has(Place::Template)), read("language", has(Place::Language)));
    Some(Template { name: name?, language: language? })
}
