//! What all providers' answers have in common.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::{Reply, Retry, SendOutcome, Unreadable, json, noise};
use otpost_domain::channel::Channel;
use otpost_domain::receipt::{ErrorClass, Failure, Scope};

/// How long the documentation asks to wait before the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    AtLeast(Duration),
    /// Longer than any code lives.
    TooLong,
}

impl Pause {
    pub(crate) const NONE: Self = Self::AtLeast(Duration::ZERO);
}

/// Meaning of one of the provider's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    pub class: ErrorClass,
    pub scope: Scope,
    /// In an answer: the message was certainly not sent.
    pub definite: bool,
}

impl Meaning {
    /// For most codes: certainly not sent, and with the scope of their class.
    pub const fn of(class: ErrorClass) -> Self {
        Self { class, scope: class.scope(), definite: true }
    }

    pub const fn about(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// With this code the message may have been sent.
    pub const fn indefinite(self) -> Self {
        Self { definite: false, ..self }
    }

    /// For a code that is in no table. It may concern this person alone, and an SMS is worth one more try.
    pub const fn unlisted(channel: Channel) -> Self {
        let class = match channel {
            Channel::Whatsapp => ErrorClass::ConfigError,
            Channel::Sms => ErrorClass::Retryable,
        };
        Self::of(class).about(Scope::Recipient)
    }

    pub fn failure(&self, code: impl Into<String>) -> Failure {
        Failure::new(code, self.class).about(self.scope)
    }
}

/// The meaning of an answer, whatever surrounds its JSON. `decide` is called for each object in it. A refusal in any of
/// them counts, so that noise never hides it; else an unclear word counts; else the first object with an id.
pub(crate) fn outcome(reply: &Reply<'_>, decide: impl Fn(&RawValue) -> SendOutcome) -> SendOutcome {
    let values = noise::values(reply.body);
    let objects = values.iter().flat_map(|value| objects(value));
    let outcomes: Vec<SendOutcome> = objects.map(|raw| unless_no(decide(raw), raw, reply)).collect();
    best(outcomes, reply)
}

/// The same for adapters that read an answer from its root, whether that is an object or not.
pub(crate) fn outcome_from_root(reply: &Reply<'_>, decide: impl Fn(&RawValue) -> SendOutcome) -> SendOutcome {
    let values = noise::values(reply.body);
    let roots = values.iter().filter_map(|value| serde_json::from_str::<&RawValue>(value).ok());
    let outcomes: Vec<SendOutcome> = roots.map(decide).collect();
    best(outcomes, reply)
}

/// An object without an id that says no in common words is not an acceptance.
fn unless_no(outcome: SendOutcome, raw: &RawValue, reply: &Reply<'_>) -> SendOutcome {
    match &outcome {
        SendOutcome::Accepted { provider_message_id, .. } if provider_message_id.is_empty() && says_no(raw) => {
            refused(None, reply)
        }
        _ => outcome,
    }
}

/// `"ok": false`, `"success": false`, or an `error` that is not empty.
pub(crate) fn says_no(raw: &RawValue) -> bool {
    if raw.get().starts_with('[') {
        return objects(raw.get()).into_iter().any(says_no);
    }
    let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get()) else { return false };
    fields.into_iter().any(|(name, value)| {
        let value = value.get().trim_matches('"').to_ascii_lowercase();
        match name.to_ascii_lowercase().as_str() {
            "ok" | "success" | "accepted" => matches!(value.as_str(), "false" | "0" | "no"),
            "error" | "errors" => !NO_ERROR.contains(&value.as_str()),
            "status" | "result" => is_no(&value) && !matches!(value.as_str(), "false" | "0" | "no"),
            _ => false,
        }
    })
}

/// A common word for no.
pub(crate) fn is_no(word: &str) -> bool {
    const WORDS: [&str; 12] =
        ["false", "0", "no", "nok", "ko", "error", "failed", "failure", "fail", "rejected", "refused", "denied"];
    WORDS.contains(&word.to_ascii_lowercase().as_str())
}

/// Zeros, with or without letters before them, and words such as `none`.
pub(crate) fn is_no_error(code: &str) -> bool {
    let digits = code.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    NO_ERROR.contains(&code.to_ascii_lowercase().as_str()) || (!digits.is_empty() && digits.bytes().all(|b| b == b'0'))
}

const NO_ERROR: [&str; 10] = ["", "0", "null", "false", "[]", "{}", "none", "no", "ok", "success"];

/// The value if it is an object, or the objects of a list.
fn objects(value: &str) -> Vec<&RawValue> {
    let is_object = |raw: &&RawValue| raw.get().starts_with('{');
    match serde_json::from_str::<&RawValue>(value) {
        Ok(raw) if raw.get().starts_with('[') => {
            let items = serde_json::from_str::<Vec<&RawValue>>(raw.get()).unwrap_or_default();
            items.into_iter().filter(is_object).collect()
        }
        Ok(raw) => Some(raw).filter(is_object).into_iter().collect(),
        Err(_) => Vec::new(),
    }
}

fn best(outcomes: Vec<SendOutcome>, reply: &Reply<'_>) -> SendOutcome {
    let http_code = http_code(reply.status);
    // Most informative first. With a 4xx the codes matter, and one derived from the HTTP status is none.
    let rank = |outcome: &SendOutcome| match outcome {
        SendOutcome::Rejected { failure, .. } if failure.code != http_code => 0,
        SendOutcome::Unknown { failure } if failure.code != http_code => 1,
        SendOutcome::Rejected { .. } => 2,
        SendOutcome::Unknown { .. } => 3,
        SendOutcome::Accepted { provider_message_id, .. } if !provider_message_id.is_empty() => 4,
        SendOutcome::Accepted { .. } => 5,
    };
    // Among equal ones the first.
    outcomes.into_iter().min_by_key(rank).unwrap_or_else(|| by_status(None, reply))
}

/// Why no id could be read in an answer that means "accepted", without repeating the content.
pub fn unread(reply: &Reply<'_>) -> String {
    if reply.body.is_empty() {
        return "answer: empty".to_owned();
    }
    if !noise::values(reply.body).is_empty() {
        return "answer: no id that can be kept".to_owned();
    }
    match json::read::<&RawValue>(&json::text(reply.body), "answer") {
        Ok(_) => "answer: no id that can be kept".to_owned(),
        Err(unreadable) => unreadable.reason,
    }
}

/// Accepted. Without a storable id, receipts are matched by our reference alone, and no status query is possible.
pub(crate) fn accepted(provider_message_id: Option<String>) -> SendOutcome {
    SendOutcome::Accepted { provider_message_id: provider_message_id.unwrap_or_default(), held: false, ask_by: None }
}

/// An answer with an error code. For an unknown code the HTTP status decides, but a 2xx is not an acceptance then: an
/// acceptance would have no code.
pub(crate) fn by_code(code: &str, meaning: Option<Meaning>, pause: Pause, reply: &Reply<'_>) -> SendOutcome {
    match meaning {
        Some(meaning) if meaning.definite => rejected(meaning.failure(code), reply, pause),
        Some(_) => unknown(Some(code.to_owned()), reply),
        None if is_success(reply) => refused(Some(code.to_owned()), reply),
        None => by_status(Some(code.to_owned()), reply),
    }
}

/// A refusal in the provider's own words with a 2xx, for an unknown reason: it may concern this person alone.
pub(crate) fn refused(code: Option<String>, reply: &Reply<'_>) -> SendOutcome {
    let meaning = Meaning::of(ErrorClass::ConfigError).about(Scope::Recipient);
    rejected(meaning.failure(code.unwrap_or_else(|| "refused".to_owned())), reply, Pause::NONE)
}

/// A refusal.
pub(crate) fn rejected(failure: Failure, reply: &Reply<'_>, pause: Pause) -> SendOutcome {
    let retry = match (failure.class, pause) {
        (ErrorClass::Retryable | ErrorClass::RateLimited, Pause::AtLeast(floor)) => {
            Retry::After(reply.retry_after.unwrap_or_default().max(floor))
        }
        _ => Retry::Never,
    };
    SendOutcome::Rejected { failure, retry }
}

/// It may have been sent. `code`: the provider's, or one derived from the HTTP status.
pub(crate) fn unknown(code: Option<String>, reply: &Reply<'_>) -> SendOutcome {
    let code = code.unwrap_or_else(|| http_code(reply.status));
    SendOutcome::Unknown { failure: Failure::new(code, ErrorClass::Retryable) }
}

/// An answer without a known content, so that the HTTP status decides: a 2xx was accepted, whatever can be read of it;
/// 3xx and 4xx were not accepted; with a 5xx the message may have been sent.
///
/// Among the 4xx only the statuses about credentials and credit certainly affect everybody. Any other may be about this
/// number, and people must not be able to stop an account.
pub(crate) fn by_status(code: Option<String>, reply: &Reply<'_>) -> SendOutcome {
    let meaning = match reply.status {
        200..=299 => return accepted(None),
        429 => Meaning::of(ErrorClass::RateLimited),
        300..=399 | 401 | 402 | 407 => Meaning::of(ErrorClass::ConfigError),
        400..=499 => Meaning::of(ErrorClass::ConfigError).about(Scope::Recipient),
        _ => return unknown(code, reply),
    };
    rejected(meaning.failure(code.unwrap_or_else(|| http_code(reply.status))), reply, Pause::NONE)
}

fn http_code(status: u16) -> String {
    format!("http_{status}")
}

pub(crate) fn is_success(reply: &Reply<'_>) -> bool {
    (200..300).contains(&reply.status)
}

/// For the answer to a status query: anything but a 2xx says nothing about the message.
pub(crate) fn answered(reply: &Reply<'_>) -> Result<(), Unreadable> {
    if is_success(reply) { Ok(()) } else { Err(Unreadable { reason: format!("answered {}", reply.status) }) }
}
