//! WhatsApp's own formats, which providers pass on: message ids and the titles of error codes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::engine::draw::Draws;
use crate::wire::digits;

/// WhatsApp's id of a message. It contains the number, as in real ones.
pub(crate) fn wamid(to: &str, draws: &Draws) -> String {
    let digits = digits(to).as_bytes();
    let mut bytes = vec![0x1c, 0x18, digits.len() as u8];
    bytes.extend_from_slice(digits);
    bytes.extend_from_slice(&[0x15, 0x02, 0x00, 0x11, 0x18, 0x12]);
    let unique = format!("{:016X}{:02X}", draws.bits("wamid"), draws.bits("wamid's end") & 0xff);
    bytes.extend_from_slice(unique.as_bytes());
    bytes.push(0);
    format!("wamid.{}", STANDARD.encode(bytes))
}

pub(crate) fn title(code: u32) -> &'static str {
    match code {
        130_403 => "Business has blocked this user",
        130_429 => "Rate limit hit",
        131_000 => "Something went wrong",
        131_016 => "Service unavailable",
        131_026 => "Message undeliverable",
        131_042 => "Business eligibility payment issue",
        131_048 => "Spam rate limit hit",
        131_049 => "This message was not delivered to maintain healthy ecosystem engagement.",
        131_056 => "(Business Account, Consumer Account) pair rate limit hit",
        131_057 => "Account in maintenance mode",
        _ => "Message failed",
    }
}
