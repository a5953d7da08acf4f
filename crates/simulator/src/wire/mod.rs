//! Formats that several faces share.

pub(crate) mod template;
pub(crate) mod whatsapp;
pub(crate) mod hmac;
#[cfg(test)]
pub(crate) mod shapes;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::engine::draw::Draws;
use crate::engine::plan::Status;
use crate::engine::seen::SeenMessage;

/// Seconds in `Retry-After` of a rate limit, where the provider sends it at all.
pub(crate) const RETRY_AFTER_S: u32 = 30;

/// The latest status that is not in the future: the answer to a status query.
pub(crate) fn known(message: &SeenMessage, now: DateTime<Utc>) -> Option<Status> {
    message.truth.iter().filter(|(at, _)| *at <= now).max_by_key(|(at, _)| *at).map(|(_, status)| *status)
}

pub(crate) fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `+` and 7 to 15 digits. The simulator has no numbering plans, so that any number can be used.
pub(crate) fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|rest| {
        (7..=15).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_digit()) && !rest.starts_with('0')
    })
}

/// An E.164 number from its digits without the `+`.
pub(crate) fn e164_of(digits: &str) -> Option<String> {
    let number = format!("+{digits}");
    is_e164(&number).then_some(number)
}

/// The digits of an E.164 number.
pub(crate) fn digits(e164: &str) -> &str {
    e164.trim_start_matches('+')
}

pub(crate) fn is_web_address(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// The first group of 4 to 15 digits.
pub(crate) fn code_in(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_ascii_digit()).find(|run| (4..=15).contains(&run.len())).map(str::to_owned)
}

/// In whole units of the currency.
pub(crate) fn price(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}

/// An integer id that JSON readers with doubles keep exact.
pub(crate) fn integer_id(draws: &Draws) -> u64 {
    draws.bits("id") >> 12
}
