//! Cliqtel's errors. Source: Cliqtel, API reference: 401, 403 and 429 are documented, the rest is assumed. None of
//! them condemns the number itself.

use crate::domain::channel::Channel;
use crate::domain::receipt::ErrorClass::{ConfigError, RecipientUnreachable, Retryable};
use crate::domain::receipt::{ErrorClass, Failure};
use crate::providers::cliqtel::wire::Status;
use crate::providers::meta;
use crate::providers::replies::Pause;

/// The words of an answer's `error` that mean the same behind any HTTP status. `None` leaves it to the status.
pub fn lookup(word: &str) -> Option<ErrorClass> {
    match word {
        "unauthenticated" | "insufficient_scope" => Some(ConfigError),
        _ => None,
    }
}

/// Meta's codes are assumed to be passed through.
pub fn pause(code: &str) -> Pause {
    meta::errors::pause(code)
}

/// Of a message that failed after it was taken.
pub fn failure(channel: Channel, status: &Status, code: Option<String>) -> Failure {
    let known = code.as_deref().and_then(meta::errors::lookup);
    let unlisted = match (channel, status, &code) {
        (_, Status::Undelivered, _) => RecipientUnreachable,
        (_, _, None) => Retryable,
        (Channel::Whatsapp, _, Some(_)) => ConfigError,
        // Why an SMS failed is not published: worth one more try.
        (Channel::Sms, _, Some(_)) => Retryable,
    };
    let word = if matches!(status, Status::Undelivered) { "undelivered" } else { "none" };
    Failure::new(code.unwrap_or_else(|| word.to_owned()), known.unwrap_or(unlisted))
}
