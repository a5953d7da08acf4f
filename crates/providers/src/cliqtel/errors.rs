//! Cliqtel's errors. Source: Cliqtel, API reference: 401, 403 and 429 are documented, the rest is assumed.

use super::wire::Status;
use crate::replies::{Meaning, Pause};
use crate::whatsapp;
use otpost_domain::channel::Channel;
use otpost_domain::receipt::ErrorClass::{ConfigError, RecipientUnreachable, Retryable};
use otpost_domain::receipt::{Failure, Scope};

/// The words in an answer's `error` that have one meaning with any HTTP status. `None`: the status decides.
pub(super) fn lookup(word: &str) -> Option<Meaning> {
    match word {
        "unauthenticated" | "insufficient_scope" => Some(Meaning::of(ConfigError)),
        _ => None,
    }
}

/// WhatsApp's codes are assumed to be passed through.
pub(super) fn pause(code: &str) -> Pause {
    whatsapp::errors::pause(code)
}

/// Failure of a message that was accepted before.
pub(super) fn failure(channel: Channel, status: &Status, code: Option<String>) -> Failure {
    let known = code.as_deref().and_then(whatsapp::errors::lookup);
    let unlisted = match (status, &code) {
        (Status::Undelivered, _) => Meaning::of(RecipientUnreachable),
        (_, None) => Meaning::of(Retryable).about(Scope::Recipient),
        (_, Some(_)) => Meaning::unlisted(channel),
    };
    let word = if matches!(status, Status::Undelivered) { "undelivered" } else { "none" };
    known.unwrap_or(unlisted).failure(code.unwrap_or_else(|| word.to_owned()))
}
