//! Vonage's error codes. Source: Vonage, "Messages API errors"; the classes are ours.

use super::wire::Status;
use crate::replies::Meaning;
use otpost_domain::channel::Channel;
use otpost_domain::receipt::ErrorClass::{ConfigError, Expired, RateLimited, RecipientUnreachable, Retryable};
use otpost_domain::receipt::{Failure, Scope};

/// `None` for a code that is not in the table. Most are numbers; some refusals have a word instead.
pub(super) fn lookup(code: &str) -> Option<Meaning> {
    let (class, scope) = match code {
        // "Internal error", possibly after the message was created.
        "1030" => return Some(Meaning::of(Retryable).indefinite()),
        // Not a valid number; opted out or blocked; barred.
        "1170" | "1240" | "1050" => (RecipientUnreachable, Scope::Recipient),
        // 1180 and 1190: absent, for now or permanently.
        "1180" | "1190" | "1200" | "1220" | "1250" | "1260" | "1270" | "1280" | "1290" => {
            (RecipientUnreachable, Scope::Recipient)
        }
        // 1300: not on WhatsApp.
        "1300" | "1310" | "1320" => (RecipientUnreachable, Scope::Recipient),
        // 1100: "not submitted".
        "1100" => (Retryable, Scope::Account),
        // The network of this person; a reason unknown to Vonage.
        "1230" | "1330" => (Retryable, Scope::Recipient),
        "1000" | "throttled" => (RateLimited, Scope::Account),
        // Too many messages to this number.
        "1241" => (RateLimited, Scope::Recipient),
        "1021" | "1060" | "1070" | "1080" | "1110" | "1130" | "1140" | "1350" | "1370" => (ConfigError, Scope::Account),
        "unauthorized" | "low-balance" => (ConfigError, Scope::Account),
        // A parameter: the number is one of them. 1160: not on the list of a trial account.
        "1010" | "1020" | "1150" | "1160" => (ConfigError, Scope::Recipient),
        // 1210: taken for spam.
        "1120" | "1210" => (ConfigError, Scope::Sender),
        "1022" | "1040" | "1090" | "1340" => (ConfigError, Scope::Template),
        "1360" => (Expired, Scope::Recipient),
        _ => return None,
    };
    Some(Meaning::of(class).about(scope))
}

/// Failure of a message that was accepted before.
pub(super) fn failure(channel: Channel, status: &Status, code: Option<String>) -> Failure {
    match (code, status) {
        // Vonage could not reach WhatsApp or the carrier.
        (None, Status::Undeliverable) => Failure::new("undeliverable", Retryable),
        (None, _) => Failure::new("none", Retryable).about(Scope::Recipient),
        (Some(code), status) => {
            let unlisted = match (channel, status) {
                (Channel::Whatsapp, Status::Rejected) => Meaning::unlisted(channel),
                _ => Meaning::unlisted(Channel::Sms),
            };
            lookup(&code).unwrap_or(unlisted).failure(code)
        }
    }
}
