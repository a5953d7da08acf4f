//! YCloud's error codes. Source: YCloud, OpenAPI file and "Errors"; the classes are ours. Numeric codes are WhatsApp's,
//! passed through. The codes of failed SMS are not published.

use super::wire::Status;
use crate::replies::{Meaning, Pause};
use crate::whatsapp;
use otpost_domain::channel::Channel;
use otpost_domain::receipt::ErrorClass::{ConfigError, RateLimited, RecipientUnreachable, Retryable};
use otpost_domain::receipt::{Failure, Scope};

/// `None` for a code that is not documented.
pub(super) fn lookup(code: &str) -> Option<Meaning> {
    let (class, scope) = match code {
        // "Something went wrong", possibly after WhatsApp received it.
        "INTERNAL_SERVER_ERROR" => return Some(Meaning::of(Retryable).indefinite()),
        "SERVICE_UNAVAILABLE" => (Retryable, Scope::Account),
        "ACCOUNT_RATE_LIMITED" | "TOO_MANY_REQUESTS" => (RateLimited, Scope::Account),
        "SENDER_RATE_LIMITED" => (RateLimited, Scope::Sender),
        // Lists of the account; the last code was observed at YCloud and is not in WhatsApp's table.
        "RECIPIENT_IN_BLOCK_LIST" | "RECIPIENT_UNSUBSCRIBED" | "131013" => (RecipientUnreachable, Scope::Recipient),
        "UNAUTHORIZED" | "FORBIDDEN" | "ACCOUNT_LIMITED" | "ACCOUNT_UNAVAILABLE" | "BALANCE_INSUFFICIENT" => {
            (ConfigError, Scope::Account)
        }
        "WHATSAPP_BUSINESS_ACCOUNT_UNAVAILABLE" | "WHATSAPP_WABA_UNAVAILABLE" => (ConfigError, Scope::Account),
        // A parameter: the number is one of them. `ALREADY_EXISTS`: this one message.
        "BAD_REQUEST" | "PARAM_INVALID" | "PARAM_INVALID_LENGTH" | "PARAM_MISSING" | "PARAM_NOT_MATCH" => {
            (ConfigError, Scope::Recipient)
        }
        "ALREADY_EXISTS" | "NOT_FOUND" => (ConfigError, Scope::Recipient),
        "CONTENT_PROHIBITED" | "CONTENT_TOO_LARGE" => (ConfigError, Scope::Template),
        "WHATSAPP_TEMPLATE_UNAVAILABLE" | "WHATSAPP_DIRECT_SEND_UNSUPPORTED_COMPONENT" => {
            (ConfigError, Scope::Template)
        }
        "MESSAGING_REGION_UNSUPPORTED" => (ConfigError, Scope::Country),
        "SENDER_ID_UNAVAILABLE" | "SMS_SIGNATURE_UNAVAILABLE" | "WHATSAPP_PHONE_NUMBER_UNAVAILABLE" => {
            (ConfigError, Scope::Sender)
        }
        // Observed at YCloud on direct sends, not in WhatsApp's table.
        "139000" => (ConfigError, Scope::Recipient),
        other => return whatsapp::errors::lookup(other),
    };
    Some(Meaning::of(class).about(scope))
}

/// How long a refused request should wait; only WhatsApp's codes define it.
pub(super) fn pause(code: &str) -> Pause {
    whatsapp::errors::pause(code)
}

/// Failure of a message that was accepted before.
pub(super) fn failure(channel: Channel, status: &Status, code: Option<String>) -> Failure {
    let known = code.as_deref().and_then(lookup);
    match (code, status) {
        // The network's final status of the phone. Its codes are not published.
        (code, Status::Undelivered) => {
            known.unwrap_or(Meaning::of(RecipientUnreachable)).failure(code.unwrap_or_else(|| "undelivered".to_owned()))
        }
        // An SMS that never left YCloud, for an unpublished reason.
        (Some(code), _) => known.unwrap_or(Meaning::unlisted(channel)).failure(code),
        (None, _) => Failure::new("none", Retryable).about(Scope::Recipient),
    }
}
