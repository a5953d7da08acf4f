//! EngageLab's error codes. Source: EngageLab, OTP, SMS and WhatsApp references, "Error codes"; the classes are ours.

use super::wire::Status;
use crate::replies::{Meaning, Pause};
use otpost_domain::channel::Channel;
use otpost_domain::receipt::ErrorClass::{ConfigError, Expired, RateLimited, RecipientUnreachable, Retryable};
use otpost_domain::receipt::{Failure, Scope};

/// Only in the OTP product; the others use this code when a business rule refuses the request.
const EXPIRED_OR_USED: &str = "3003";

/// `None` for a code that is not documented.
pub(super) fn lookup(code: &str, is_otp: bool) -> Option<Meaning> {
    let (class, scope) = match code {
        // "Internal error", possibly after the message was sent.
        "1000" => return Some(Meaning::of(Retryable).indefinite()),
        "5001" | "5016" => (Retryable, Scope::Account),
        // The same template to the same number while the first code is valid.
        "3004" => (RateLimited, Scope::Recipient),
        EXPIRED_OR_USED if is_otp => (Expired, Scope::Recipient),
        "2001" | "2002" | "2003" | "2004" => (ConfigError, Scope::Account),
        // The body or a business rule: the number may be the cause.
        "3001" | "3002" | EXPIRED_OR_USED => (ConfigError, Scope::Recipient),
        // 4001: a template or another resource does not exist. 5002: refused at WhatsApp. 5014, 5015: the content.
        "4001" | "5002" | "5014" | "5015" => (ConfigError, Scope::Template),
        // Mainland China.
        "5017" => (ConfigError, Scope::Country),
        // 5011: not a number. 5013: on a block list. 5019: unsubscribed.
        "5011" | "5012" | "5013" | "5018" | "5019" | "5020" => (RecipientUnreachable, Scope::Recipient),
        _ => return None,
    };
    Some(Meaning::of(class).about(scope))
}

/// How long a refused request should wait.
pub(super) fn pause(code: &str) -> Pause {
    if code == "3004" { Pause::TooLong } else { Pause::NONE }
}

/// An answer that counts no accepted target and gives no reason.
pub(super) fn took_none() -> Failure {
    Failure::new("not_accepted", ConfigError).about(Scope::Recipient)
}

/// Failure of a message that was accepted before. The status and its text take precedence over the code: EngageLab's
/// own example of an invalid number has 4001, which means a missing template.
pub(super) fn failure(
    channel: Channel,
    is_otp: bool,
    status: &Status,
    code: Option<String>,
    text: Option<String>,
) -> Failure {
    let Some(code) = code else {
        return match status {
            Status::TargetInvalid => Failure::new("target_invalid", RecipientUnreachable),
            _ => Failure::new("none", Retryable).about(Scope::Recipient),
        };
    };
    let failure = lookup(&code, is_otp).unwrap_or(Meaning::unlisted(channel)).failure(&code);
    let condemned = *status == Status::TargetInvalid || text.is_some_and(|text| speaks_of_the_number(&text));
    if condemned && failure.class != RecipientUnreachable {
        return Failure::new(code, RecipientUnreachable);
    }
    failure
}

fn speaks_of_the_number(text: &str) -> bool {
    let text = text.to_lowercase();
    ["phone number", "not registered", "unreachable"].iter().any(|words| text.contains(words))
}
