//! Twilio's error codes. Source: Twilio, "Error and warning dictionary"; the classes are ours.

use std::time::Duration;

use super::wire::Status;
use crate::replies::{Meaning, Pause};
use otpost_domain::channel::Channel;
use otpost_domain::receipt::ErrorClass::{ConfigError, Expired, RateLimited, RecipientUnreachable, Retryable};
use otpost_domain::receipt::{Failure, Scope};

/// `None` for a code that is not in the table.
pub(super) fn lookup(code: &str) -> Option<Meaning> {
    let (class, scope) = match code {
        // Faults of Twilio, possibly after the message was created: its status has to be queried.
        "20500" | "20503" => return Some(Meaning::of(Retryable).indefinite()),
        // Not a valid number, opted out, unreachable from this sender, not a mobile number, a landline.
        "21211" | "21610" | "21612" | "21614" | "21635" | "30006" => (RecipientUnreachable, Scope::Recipient),
        // 30003 is often a phone that is switched off.
        "30003" | "30004" | "30005" => (RecipientUnreachable, Scope::Recipient),
        "63003" | "63014" | "63024" | "63029" | "63032" | "63033" | "63049" => (RecipientUnreachable, Scope::Recipient),
        "30008" | "63023" => (Retryable, Scope::Recipient),
        "30017" | "30410" => (Retryable, Scope::Country),
        "63009" | "63010" | "63012" => (Retryable, Scope::Account),
        // 14107: between the same two numbers. 30450: to the same range of numbers.
        "14107" | "30450" => (RateLimited, Scope::Recipient),
        "20429" | "30001" | "63017" | "63018" | "63038" => (RateLimited, Scope::Account),
        "21611" | "30022" | "30027" => (RateLimited, Scope::Sender),
        "20003" | "20404" | "21609" | "21910" | "30002" => (ConfigError, Scope::Account),
        "63001" | "63008" | "63020" | "63051" | "63112" => (ConfigError, Scope::Account),
        // 21606: the sender cannot be used for this number.
        "21212" | "21601" | "21606" | "21703" | "21705" => (ConfigError, Scope::Sender),
        // 30007: filtered for its content or its sender.
        "30007" | "30018" | "30023" | "30024" | "30032" | "30034" | "30035" => (ConfigError, Scope::Sender),
        "63002" | "63007" | "63022" => (ConfigError, Scope::Sender),
        // Not enabled; more expensive than the account allows.
        "21408" | "30010" => (ConfigError, Scope::Country),
        // Not on the list of a trial account or of the sandbox.
        "21608" | "63015" => (ConfigError, Scope::Recipient),
        "21617" | "21654" | "21655" | "21656" => (ConfigError, Scope::Template),
        "63005" | "63006" | "63013" | "63016" | "63019" | "63021" | "63025" => (ConfigError, Scope::Template),
        "63027" | "63028" | "63030" | "63041" | "63042" => (ConfigError, Scope::Template),
        // Assumed: its meaning is not published in full.
        "30036" => (Expired, Scope::Recipient),
        _ => return None,
    };
    Some(Meaning::of(class).about(scope))
}

/// How long a refused request should wait.
pub(super) fn pause(code: &str) -> Pause {
    match code {
        // Blocked against SMS pumping for 15 to 30 minutes; the daily limit of the account.
        "30450" | "63038" => Pause::TooLong,
        "20429" => Pause::AtLeast(Duration::from_secs(1)),
        _ => Pause::NONE,
    }
}

/// Failure of a message that was accepted before. `ErrorCode` may be absent.
pub(super) fn failure(channel: Channel, status: Status, code: Option<String>) -> Failure {
    match (code, status) {
        (None, Status::Canceled) => Failure::new("canceled", Expired),
        (None, _) => Failure::new("none", Retryable).about(Scope::Recipient),
        (Some(code), _) => lookup(&code).unwrap_or(Meaning::unlisted(channel)).failure(code),
    }
}
