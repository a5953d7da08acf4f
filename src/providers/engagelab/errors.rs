//! EngageLab's error codes. Source: EngageLab, OTP, SMS and WhatsApp references, "Error codes"; the classes are ours.

use crate::domain::channel::Channel;
use crate::domain::receipt::ErrorClass::{ConfigError, Expired, RateLimited, RecipientUnreachable, Retryable};
use crate::domain::receipt::Failure;
use crate::providers::engagelab::wire::Status;
use crate::providers::replies::{Meaning, Pause};

/// Of the OTP product alone: the others refuse for a rule of the business with this code.
const EXPIRED_OR_USED: &str = "3003";

/// `None` for a code that is not documented.
pub fn lookup(code: &str, is_otp: bool) -> Option<Meaning> {
    let class = match code {
        "1000" | "5001" | "5016" => Retryable,
        // The same template to the same number while the first code lives.
        "3004" => RateLimited,
        EXPIRED_OR_USED if is_otp => Expired,
        "2001" | "2002" | "2003" | "2004" => ConfigError,
        "3001" | "3002" | EXPIRED_OR_USED | "4001" => ConfigError,
        "5002" | "5014" | "5015" | "5017" => ConfigError,
        "5011" | "5012" | "5013" | "5018" | "5019" | "5020" => RecipientUnreachable,
        _ => return None,
    };
    Some(Meaning {
        class,
        // Not a number, on a block list, unsubscribed.
        number_is_bad: matches!(code, "5011" | "5013" | "5019"),
        // "Internal error", perhaps after it left.
        definite: code != "1000",
    })
}

/// How long a refused request should wait.
pub fn pause(code: &str) -> Pause {
    if code == "3004" { Pause::TooLong } else { Pause::NONE }
}

/// An answer that counts no accepted target and says no reason.
pub fn took_none() -> Failure {
    Failure::new("not_accepted", ConfigError)
}

/// Of a message that failed after it was taken. The status and its text count more than the code: their own example of
/// an invalid number carries 4001, which is a missing template.
pub fn failure(channel: Channel, is_otp: bool, status: &Status, code: Option<String>, text: Option<String>) -> Failure {
    let Some(code) = code else {
        return match status {
            Status::TargetInvalid => Failure::new("target_invalid", RecipientUnreachable),
            _ => Failure::new("none", Retryable),
        };
    };
    let unlisted = match channel {
        Channel::Whatsapp => ConfigError,
        // Why an SMS failed is not always listed: worth one more try.
        Channel::Sms => Retryable,
    };
    let failure = lookup(&code, is_otp).map_or_else(|| Failure::new(&code, unlisted), |meaning| meaning.failure(&code));
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
