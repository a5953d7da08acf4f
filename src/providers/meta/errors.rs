//! Cloud API's error codes. Source: Meta, Cloud API, "Error codes" (v25.0); the classes are ours. A code may come with
//! the answer or by callback: Meta does not say which, so every one is read in both places.
//!
//! None of them condemns the number itself: each is about WhatsApp, so an SMS may help.

use std::time::Duration;

use crate::domain::receipt::ErrorClass;
use crate::domain::receipt::ErrorClass::{ConfigError, Expired, RateLimited, RecipientUnreachable, Retryable};
use crate::providers::replies::Pause;

/// `None` for a code that is not documented.
pub fn lookup(code: &str) -> Option<ErrorClass> {
    Some(match code.parse::<u32>().ok()? {
        // Authentication, permissions, the request or the business behind it.
        0 | 3 | 10 | 33 | 100 | 190 | 200..=299 | 368 | 470 => ConfigError,
        // May also be a malformed request, which a second refusal then shows.
        1 => Retryable,
        // Their API is down or overloaded.
        2 => Retryable,
        // Calls of the app, calls of the business account, messages of the number.
        4 | 80007 | 130_429 => RateLimited,
        // The business itself blocked this person.
        130_403 => RecipientUnreachable,
        // Experiments and caps for marketing, unexpected for a code.
        130_472 | 131_049 | 131_050 => RecipientUnreachable,
        // This account may not write to that country.
        130_497 => ConfigError,
        131_000 | 131_016 => Retryable,
        131_005 | 131_008 | 131_009 => ConfigError,
        // Sender and recipient are the same; not on WhatsApp, or with too old an app; an id instead of a number.
        131_021 | 131_026 | 131_062 => RecipientUnreachable,
        131_030 | 131_031 | 131_035 | 131_037 | 131_042 | 131_045 | 131_047 => ConfigError,
        // Could not be decrypted within the hour that an account without storage has.
        131_036 => Expired,
        // Quality limits of the number or of its templates; this pair of numbers.
        131_048 | 131_056 | 131_064 => RateLimited,
        131_051 | 131_052 | 131_053 | 131_055 | 131_063 => ConfigError,
        // Maintenance, for up to a minute.
        131_057 | 133_004 | 2_494_100 => Retryable,
        132_000 | 132_001 | 132_005 | 132_007 | 132_012 | 132_015 | 132_016 | 132_018 | 132_068 | 132_069 => {
            ConfigError
        }
        133_000 | 133_005 | 133_006 | 133_008..=133_010 | 133_015 => ConfigError,
        133_016 => RateLimited,
        134_000..=134_999 | 135_000 | 139_200 => ConfigError,
        _ => return None,
    })
}

/// How long a refused request should wait.
pub fn pause(code: &str) -> Pause {
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
