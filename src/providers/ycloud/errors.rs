//! YCloud's error codes. Source: YCloud, OpenAPI file and "Errors"; the classes are ours. Numeric codes are Meta's,
//! passed through. None of them condemns the number itself; the codes of failed SMS are not published.

use crate::domain::channel::Channel;
use crate::domain::receipt::ErrorClass::{ConfigError, RateLimited, RecipientUnreachable, Retryable};
use crate::domain::receipt::Failure;
use crate::providers::meta;
use crate::providers::replies::{Meaning, Pause};
use crate::providers::ycloud::wire::Status;

/// `None` for a code that is not documented.
pub fn lookup(code: &str) -> Option<Meaning> {
    let class = match code {
        // "Something went wrong", perhaps after Meta had it.
        "INTERNAL_SERVER_ERROR" => return Some(Meaning { definite: false, ..Meaning::of(Retryable) }),
        "SERVICE_UNAVAILABLE" => Retryable,
        "ACCOUNT_RATE_LIMITED" | "SENDER_RATE_LIMITED" | "TOO_MANY_REQUESTS" => RateLimited,
        // Lists of the account; the last one was seen by YCloud and is not in Meta's table.
        "RECIPIENT_IN_BLOCK_LIST" | "RECIPIENT_UNSUBSCRIBED" | "131013" => RecipientUnreachable,
        "UNAUTHORIZED" | "FORBIDDEN" | "ACCOUNT_LIMITED" | "ACCOUNT_UNAVAILABLE" | "BALANCE_INSUFFICIENT" => {
            ConfigError
        }
        "BAD_REQUEST" | "PARAM_INVALID" | "PARAM_INVALID_LENGTH" | "PARAM_MISSING" | "PARAM_NOT_MATCH" => ConfigError,
        "CONTENT_PROHIBITED" | "CONTENT_TOO_LARGE" | "ALREADY_EXISTS" | "NOT_FOUND" => ConfigError,
        "MESSAGING_REGION_UNSUPPORTED" | "SENDER_ID_UNAVAILABLE" | "SMS_SIGNATURE_UNAVAILABLE" => ConfigError,
        "WHATSAPP_BUSINESS_ACCOUNT_UNAVAILABLE"
        | "WHATSAPP_WABA_UNAVAILABLE"
        | "WHATSAPP_PHONE_NUMBER_UNAVAILABLE"
        | "WHATSAPP_TEMPLATE_UNAVAILABLE"
        | "WHATSAPP_DIRECT_SEND_UNSUPPORTED_COMPONENT" => ConfigError,
        // Seen by YCloud on direct sends, not in Meta's table.
        "139000" => ConfigError,
        other => meta::errors::lookup(other)?,
    };
    Some(Meaning::of(class))
}

/// How long a refused request should wait; only Meta's codes say it.
pub fn pause(code: &str) -> Pause {
    meta::errors::pause(code)
}

/// Of a message that failed after it was taken.
pub fn failure(channel: Channel, status: &Status, code: Option<String>) -> Failure {
    let known = code.as_deref().and_then(lookup).map(|meaning| meaning.class);
    match (code, status) {
        // The network's last word on the phone. Its codes are not published.
        (code, Status::Undelivered) => {
            Failure::new(code.unwrap_or_else(|| "undelivered".to_owned()), known.unwrap_or(RecipientUnreachable))
        }
        (Some(code), _) => {
            let unlisted = match channel {
                Channel::Whatsapp => ConfigError,
                // It never left YCloud, and why is not published.
                Channel::Sms => Retryable,
            };
            Failure::new(code, known.unwrap_or(unlisted))
        }
        (None, _) => Failure::new("none", Retryable),
    }
}
