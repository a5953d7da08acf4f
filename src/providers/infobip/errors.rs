//! Infobip's status and error codes. Source: Infobip, "Response status and error codes" and API description; the classes
//! are ours. A status has its number with an `s` before it, as in `s12`: the numbers of errors are others.

use crate::domain::receipt::ErrorClass::{ConfigError, Expired, RateLimited, RecipientUnreachable, Retryable};
use crate::domain::receipt::{ErrorClass, Failure};
use crate::providers::infobip::wire::{Error, Status};
use crate::providers::replies::Pause;

/// `REJECTED`, without a reason of its own: the error says more.
const JUST_REJECTED: u32 = 99;

/// The number itself is wrong: a prefix that is missing, an address that cannot be one.
const NUMBER_IS_BAD: [&str; 2] = ["s8", "351"];

/// Of a message that they did not take, or that failed later: what decides, and its class.
///
/// Undeliverable and expired messages are told apart by their error; of a rejected one the status says the most.
pub fn failure(status: &Status, error: Option<Error>) -> Failure {
    let error = error.filter(|error| error.id != 0);
    let status_code = format!("s{}", status.id);
    let most_exact = error.as_ref().map_or_else(|| status_code.clone(), |error| error.id.to_string());
    let by_status = of_status(status.id).map(|class| (status_code, class));
    let by_error = error.as_ref().and_then(|error| Some((error.id.to_string(), of_error(error.id)?)));
    let known = match status.group_id {
        5 if status.id != JUST_REJECTED => by_status.or(by_error),
        // Its life ended, whatever kept it from the phone. Blocked as fraud is in this group, too.
        4 => by_status.filter(|(_, class)| *class == ConfigError).or_else(|| Some((most_exact.clone(), Expired))),
        _ => by_error.or(by_status),
    };
    let (code, class) = known.unwrap_or_else(|| (most_exact, unlisted(status, error.as_ref())));
    let number_is_bad = NUMBER_IS_BAD.contains(&code.as_str());
    let failure = Failure::new(code, class);
    if number_is_bad { failure.number_is_bad() } else { failure }
}

/// Neither number is in the tables.
fn unlisted(status: &Status, error: Option<&Error>) -> ErrorClass {
    match (status.group_id, error.and_then(|error| error.permanent)) {
        (_, Some(false)) => Retryable,
        (2, _) => RecipientUnreachable,
        _ => ConfigError,
    }
}

/// How long a refused request should wait.
pub fn pause(code: &str) -> Pause {
    // Their filter against floods: the same message is the flood.
    if code == "s20" { Pause::TooLong } else { Pause::NONE }
}

fn of_status(id: u32) -> Option<ErrorClass> {
    Some(match id {
        8 | 10 | 14 | 18 | 52 => RecipientUnreachable,
        21 => Retryable,
        20 => RateLimited,
        // Network, source, credit, sender, package, route.
        6 | 11 | 12 | 13 | 17 | 19 => ConfigError,
        // The request itself; blocked as fraud; rejected without more words.
        24 | 25 | 51 | 87 | 99 | 100 => ConfigError,
        15 | 29 => Expired,
        _ => return None,
    })
}

fn of_error(id: u32) -> Option<ErrorClass> {
    Some(match id {
        // WhatsApp: no such user, blocked, an app or a device that cannot take it, caps and opt-outs.
        7002 | 7003 | 7020 | 7025 | 7029 | 7030 | 7032 | 7033 | 7102 | 7201 => RecipientUnreachable,
        7012 | 7050 | 7051 | 7082 => Retryable,
        7016 | 7017 | 7026 => RateLimited,
        7001 | 7004..=7011 | 7018 | 7019 | 7021..=7023 | 7027 | 7031 | 7034 | 7036..=7038 => ConfigError,
        7080 | 7081 | 7083 | 7084 | 7280 | 7281 => ConfigError,
        // SMS: the subscriber, the handset, the number.
        1 | 5..=9 | 11..=13 | 27 | 31 | 351 | 352 => RecipientUnreachable,
        565 | 566 | 568 | 569 | 573 | 628 | 629 | 2049 | 2050 | 2052 => RecipientUnreachable,
        34 | 255 | 256 | 260 | 500 | 502 | 504 | 630 | 631 | 2048 => Retryable,
        541 | 542 | 4099 | 4103 | 4104 | 4202 => RateLimited,
        355 | 368 | 433 | 561 | 603 | 607 | 608 | 2053 => ConfigError,
        811 | 4098 | 4101 => Expired,
        _ => return None,
    })
}
