//! Vonage's error codes. Source: Vonage, "Messages API errors"; the classes are ours.

use crate::domain::channel::Channel;
use crate::domain::receipt::ErrorClass::{ConfigError, Expired, RateLimited, RecipientUnreachable, Retryable};
use crate::domain::receipt::Failure;
use crate::providers::replies::Meaning;
use crate::providers::vonage::wire::Status;

/// `None` for a code that is not in the table. Most are numbers; some refusals have a word instead.
pub fn lookup(code: &str) -> Option<Meaning> {
    let class = match code {
        // "Internal error", perhaps after the message was made.
        "1030" => return Some(Meaning { definite: false, ..Meaning::of(Retryable) }),
        // Not a valid number; opted out or blocked.
        "1170" | "1240" => return Some(Meaning { number_is_bad: true, ..Meaning::of(RecipientUnreachable) }),
        // 1300: not on WhatsApp. 1180 and 1190: absent, for now or for good.
        "1050" | "1180" | "1190" | "1200" | "1220" | "1250" | "1260" | "1270" | "1280" | "1290" => RecipientUnreachable,
        "1300" | "1310" | "1320" => RecipientUnreachable,
        // 1100: "not submitted".
        "1100" | "1230" | "1330" => Retryable,
        "1000" | "1241" | "throttled" => RateLimited,
        "1010" | "1020" | "1021" | "1022" | "1040" | "1060" | "1070" | "1080" | "1090" | "1110" => ConfigError,
        "1120" | "1130" | "1140" | "1150" | "1160" | "1210" | "1340" | "1350" | "1370" => ConfigError,
        "unauthorized" | "low-balance" => ConfigError,
        "1360" => Expired,
        _ => return None,
    };
    Some(Meaning::of(class))
}

/// Of a message that failed after it was taken.
pub fn failure(channel: Channel, status: &Status, code: Option<String>) -> Failure {
    match (code, status) {
        // Vonage could not reach WhatsApp or the carrier.
        (None, Status::Undeliverable) => Failure::new("undeliverable", Retryable),
        (None, _) => Failure::new("none", Retryable),
        (Some(code), status) => lookup(&code).map(|meaning| meaning.failure(&code)).unwrap_or_else(|| {
            let unlisted = match (channel, status) {
                (Channel::Whatsapp, Status::Rejected) => ConfigError,
                // Worth one more try.
                _ => Retryable,
            };
            Failure::new(code, unlisted)
        }),
    }
}
