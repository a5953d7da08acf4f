//! Infobip's status and error codes. Source: Infobip, "Response status and error codes" and API description; the
//! classes are ours. A status is written with an `s`, as in `s12`, because errors have other numbers.

use super::wire::{Error, Status};
use crate::replies::{Meaning, Pause};
use otpost_domain::receipt::ErrorClass::{ConfigError, Expired, RateLimited, RecipientUnreachable, Retryable};
use otpost_domain::receipt::{Failure, Scope};

/// `REJECTED` without a reason: the error is more precise.
const JUST_REJECTED: u32 = 99;

/// The deciding code, with its class, for a message that was not accepted or failed later.
///
/// For undeliverable and expired messages the error decides; for a rejected one the status does.
pub(super) fn failure(status: &Status, error: Option<Error>) -> Failure {
    let error = error.filter(|error| error.id != 0);
    let status_code = format!("s{}", status.id);
    let most_exact = error.as_ref().map_or_else(|| status_code.clone(), |error| error.id.to_string());
    let by_status = of_status(status.id).map(|meaning| (status_code, meaning));
    let by_error = error.as_ref().and_then(|error| Some((error.id.to_string(), of_error(error.id)?)));
    let known = match status.group_id {
        5 if status.id != JUST_REJECTED => by_status.or(by_error),
        // Its life ended, whatever kept it from the phone. Messages blocked as fraud are in this group too.
        4 => by_status
            .filter(|(_, meaning)| meaning.class == ConfigError)
            .or_else(|| Some((most_exact.clone(), Meaning::of(Expired)))),
        _ => by_error.or(by_status),
    };
    let (code, meaning) = known.unwrap_or_else(|| (most_exact, unlisted(status, error.as_ref())));
    meaning.failure(code)
}

/// Neither number is in the tables, so it may concern this person alone.
fn unlisted(status: &Status, error: Option<&Error>) -> Meaning {
    let class = match (status.group_id, error.and_then(|error| error.permanent)) {
        (_, Some(false)) => Retryable,
        (2, _) => RecipientUnreachable,
        _ => ConfigError,
    };
    Meaning::of(class).about(Scope::Recipient)
}

/// How long a refused request should wait.
pub(super) fn pause(code: &str) -> Pause {
    // Infobip's flood filter: the same message would be filtered again.
    if code == "s20" { Pause::TooLong } else { Pause::NONE }
}

fn of_status(id: u32) -> Option<Meaning> {
    let (class, scope) = match id {
        // A missing prefix; on a block list; not registered at a test account.
        8 | 10 | 14 | 18 | 52 => (RecipientUnreachable, Scope::Recipient),
        21 => (Retryable, Scope::Account),
        // Infobip's filter against floods to one number.
        20 => (RateLimited, Scope::Recipient),
        // The network of this number, or the route to it.
        6 | 19 => (ConfigError, Scope::Recipient),
        // Credit and package.
        12 | 17 => (ConfigError, Scope::Account),
        11 | 13 => (ConfigError, Scope::Sender),
        // Blocked as fraud: numbers of this range.
        87 => (ConfigError, Scope::Recipient),
        // The request itself, including the number; or rejected without a reason.
        24 | 25 | 51 | 99 | 100 => (ConfigError, Scope::Recipient),
        15 | 29 => (Expired, Scope::Recipient),
        _ => return None,
    };
    Some(Meaning::of(class).about(scope))
}

fn of_error(id: u32) -> Option<Meaning> {
    let (class, scope) = match id {
        // WhatsApp: no such user, blocked, an app or a device that cannot receive it, limits and opt-outs.
        7002 | 7003 | 7020 | 7025 | 7029 | 7030 | 7032 | 7033 | 7102 | 7201 => (RecipientUnreachable, Scope::Recipient),
        7012 | 7050 | 7051 | 7082 => (Retryable, Scope::Account),
        7016 | 7017 | 7026 => (RateLimited, Scope::Account),
        7001 | 7004..=7011 | 7018 | 7019 | 7021..=7023 | 7027 | 7031 | 7034 | 7036..=7038 => {
            (ConfigError, Scope::Template)
        }
        7080 | 7081 | 7083 | 7084 | 7280 | 7281 => (ConfigError, Scope::Template),
        // SMS: the subscriber, the handset, the number.
        1 | 5..=9 | 11..=13 | 27 | 31 | 351 | 352 => (RecipientUnreachable, Scope::Recipient),
        565 | 566 | 568 | 569 | 573 | 628 | 629 | 2049 | 2050 | 2052 => (RecipientUnreachable, Scope::Recipient),
        34 | 255 | 256 | 260 | 500 | 502 | 504 | 630 | 631 | 2048 => (Retryable, Scope::Recipient),
        541 | 542 | 4099 | 4103 | 4104 | 4202 => (RateLimited, Scope::Recipient),
        355 | 368 | 433 | 561 | 603 | 607 | 608 | 2053 => (ConfigError, Scope::Sender),
        811 | 4098 | 4101 => (Expired, Scope::Recipient),
        _ => return None,
    };
    Some(Meaning::of(class).about(scope))
}
