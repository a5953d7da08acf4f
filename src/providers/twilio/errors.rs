//! Twilio's error codes. Source: Twilio, "Error and warning dictionary"; the classes are ours.

use std::time::Duration;

use crate::domain::channel::Channel;
use crate::domain::receipt::ErrorClass::{ConfigError, Expired, RateLimited, RecipientUnreachable, Retryable};
use crate::domain::receipt::Failure;
use crate::providers::replies::{Meaning, Pause};
use crate::providers::twilio::wire::Status;

/// `None` for a code that is not in the table.
pub fn lookup(code: &str) -> Option<Meaning> {
    let class = match code {
        // Their own faults, perhaps after the message was made: it has to be looked up.
        "20500" | "20503" => return Some(Meaning { definite: false, ..Meaning::of(Retryable) }),
        // Not a valid number, opted out, out of reach for any SMS, not a mobile one, a landline.
        "21211" | "21610" | "21612" | "21614" | "21635" | "30006" => {
            return Some(Meaning { number_is_bad: true, ..Meaning::of(RecipientUnreachable) });
        }
        // 30003 is often a phone that is switched off.
        "30003" | "30004" | "30005" => RecipientUnreachable,
        "63003" | "63014" | "63024" | "63029" | "63032" | "63033" | "63049" => RecipientUnreachable,
        "30008" | "30017" | "30410" | "63009" | "63010" | "63012" | "63023" => Retryable,
        "14107" | "20429" | "21611" | "30001" | "30022" | "30027" | "30450" => RateLimited,
        "63017" | "63018" | "63038" => RateLimited,
        "20003" | "20404" | "21212" | "21408" | "21601" | "21606" | "21608" | "21609" | "21617" => ConfigError,
        "21654" | "21655" | "21656" | "21703" | "21705" | "21910" => ConfigError,
        // 30007: filtered for its content or its sender.
        "30002" | "30007" | "30010" | "30018" | "30023" | "30024" | "30032" | "30034" | "30035" => ConfigError,
        "63001" | "63002" | "63005" | "63006" | "63007" | "63008" | "63013" | "63015" | "63016" => ConfigError,
        "63019" | "63020" | "63021" | "63022" | "63025" | "63027" | "63028" | "63030" => ConfigError,
        "63041" | "63042" | "63051" | "63112" => ConfigError,
        // Assumed: its meaning is not published in full.
        "30036" => Expired,
        _ => return None,
    };
    Some(Meaning::of(class))
}

/// How long a refused request should wait.
pub fn pause(code: &str) -> Pause {
    match code {
        // Blocked against SMS pumping for 15 to 30 minutes; the day's limit of the account.
        "30450" | "63038" => Pause::TooLong,
        "20429" => Pause::AtLeast(Duration::from_secs(1)),
        _ => Pause::NONE,
    }
}

/// Of a message that failed after it was taken. `ErrorCode` may be absent.
pub fn failure(channel: Channel, status: Status, code: Option<String>) -> Failure {
    match (code, status) {
        (None, Status::Canceled) => Failure::new("canceled", Expired),
        (None, _) => Failure::new("none", Retryable),
        (Some(code), _) => lookup(&code).map(|meaning| meaning.failure(&code)).unwrap_or_else(|| {
            let unlisted = match channel {
                Channel::Whatsapp => ConfigError,
                // Worth one more try.
                Channel::Sms => Retryable,
            };
            Failure::new(code, unlisted)
        }),
    }
}
