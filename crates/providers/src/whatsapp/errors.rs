//! Cloud API's error codes. Source: WhatsApp Business Platform, Cloud API, "Error codes" (v25.0); the classes are ours.
//! A code may come in the answer or in a callback: the source does not say which, so every code is accepted in both.
//!
//! An account has one sender here, so a fault of the sender is a fault of the account. If both a wrong number and a
//! wrong setting can cause a code, the narrower scope is used.

use std::time::Duration;

use crate::replies::{Meaning, Pause};
use otpost_domain::receipt::ErrorClass::{ConfigError, Expired, RateLimited, RecipientUnreachable, Retryable};
use otpost_domain::receipt::{Failure, Scope};

/// `None` for a code that is not documented.
pub(crate) fn lookup(code: &str) -> Option<Meaning> {
    let (class, scope) = match code.parse::<u32>().ok()? {
        // Authentication, permissions, the business behind it.
        0 | 3 | 10 | 33 | 190 | 200..=299 | 368 => (ConfigError, Scope::Account),
        // A parameter: the number is one of them.
        100 | 131_009 => (ConfigError, Scope::Recipient),
        // May also be a malformed request, which a second refusal then shows.
        1 => (Retryable, Scope::Account),
        // The API is down or overloaded.
        2 => (Retryable, Scope::Account),
        // Limits on calls of the app, calls of the business account, messages of the number.
        4 | 80007 | 130_429 => (RateLimited, Scope::Account),
        // The business itself blocked this person.
        130_403 => (RecipientUnreachable, Scope::Recipient),
        // Experiments and limits for marketing messages, unexpected for a code.
        130_472 | 131_049 | 131_050 => (RecipientUnreachable, Scope::Recipient),
        // This account may not write to that country.
        130_497 => (ConfigError, Scope::Country),
        131_000 | 131_016 => (Retryable, Scope::Account),
        131_005 | 131_031 | 131_035 | 131_042 => (ConfigError, Scope::Account),
        // Sender and recipient are the same; not on WhatsApp, or with too old an app; an id instead of a number.
        131_021 | 131_026 | 131_062 => (RecipientUnreachable, Scope::Recipient),
        // The number is not on the list of a test account.
        131_030 => (ConfigError, Scope::Recipient),
        // Display name; registration.
        131_037 | 131_045 => (ConfigError, Scope::Sender),
        // Could not be decrypted within the hour that an account without storage allows.
        131_036 => (Expired, Scope::Recipient),
        // Quality limits of the number; misused templates of the account; this pair of numbers.
        131_048 => (RateLimited, Scope::Sender),
        131_064 => (RateLimited, Scope::Account),
        131_056 => (RateLimited, Scope::Recipient),
        // The request does not fit the template, or is not about a template: 470 and 131047 concern free text.
        470 | 131_008 | 131_047 | 131_051..=131_053 | 135_000 => (ConfigError, Scope::Template),
        // Only for marketing messages.
        131_055 | 131_063 | 134_000..=134_999 => (ConfigError, Scope::Account),
        // Maintenance, for up to a minute.
        131_057 | 133_004 | 2_494_100 => (Retryable, Scope::Account),
        // Missing in this language, paused, disabled, or of another shape.
        132_000 | 132_001 | 132_005 | 132_007 | 132_012 | 132_015 | 132_016 | 132_018 | 132_068 | 132_069 => {
            (ConfigError, Scope::Template)
        }
        133_000 | 133_005 | 133_006 | 133_008..=133_010 | 133_015 => (ConfigError, Scope::Sender),
        133_016 => (RateLimited, Scope::Sender),
        139_200 => (ConfigError, Scope::Account),
        _ => return None,
    };
    Some(Meaning::of(class).about(scope))
}

/// Failure of a message that was accepted before. An undocumented code may concern this person alone.
pub(crate) fn failure(code: Option<String>) -> Failure {
    let Some(code) = code else { return Failure::new("none", Retryable).about(Scope::Recipient) };
    lookup(&code).unwrap_or(Meaning::of(ConfigError).about(Scope::Recipient)).failure(code)
}

/// How long a refused request should wait.
pub(crate) fn pause(code: &str) -> Pause {
    match code {
        // One message per pair and 6 s.
        "131056" => Pause::AtLeast(Duration::from_secs(6)),
        // Limits of the app or the business account, and maintenance: lifted within minutes.
        "4" | "80007" | "2494100" => Pause::AtLeast(Duration::from_mins(1)),
        // Quality limits and registrations: lifted within hours or days.
        "131048" | "131064" | "133016" => Pause::TooLong,
        _ => Pause::NONE,
    }
}
