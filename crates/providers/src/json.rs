//! Reads JSON from providers, and writes ours.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::Unreadable;

/// Maximum length of a stored provider message id, in bytes. WhatsApp's, the longest known, have about 80.
pub(crate) const MAX_PROVIDER_MESSAGE_ID: usize = 256;

/// A request body is written into one allocation of this many bytes, so that no outgrown copy of the code stays behind
/// unwiped. 1600 characters of text fit, escaped or not.
pub(crate) const BODY_CAPACITY: usize = 16 * 1024;

/// Text, or a number as text: providers write the same id or code sometimes as text and sometimes as a number. A whole
/// number becomes its digits, however it is written (`12345.0`, `1e5`) and however long it is, so that an id is always
/// the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scalar(pub String);

/// Only from JSON text, and not inside an untagged enum: the number's own digits are needed, because floating point has
/// too few.
impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        match raw.as_bytes().first() {
            Some(b'"') => serde_json::from_str(raw).map(Self).map_err(D::Error::custom),
            Some(b'-' | b'0'..=b'9') => Ok(Self(plain_number(raw))),
            _ => Err(D::Error::custom("neither text nor a number")),
        }
    }
}

/// Maximum number of digits of an expanded number.
const MOST_DIGITS: usize = 64;

/// A JSON number without a fraction of zeros and without an exponent, if it is whole and not too long; else unchanged.
fn plain_number(raw: &str) -> String {
    let (sign, magnitude) = raw.strip_prefix('-').map_or(("", raw), |rest| ("-", rest));
    let (mantissa, exponent) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let Ok(exponent) = exponent.trim_start_matches('+').parse::<i32>() else { return raw.to_owned() };
    let zeros = i64::from(exponent) - fraction.len() as i64;
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let plain = match usize::try_from(zeros) {
        _ if digits.is_empty() => return "0".to_owned(),
        Ok(zeros) if zeros + digits.len() <= MOST_DIGITS.max(digits.len()) => format!("{digits}{}", "0".repeat(zeros)),
        // `1200e-2`
        Err(_) => {
            let cut = usize::try_from(-zeros).unwrap_or(usize::MAX);
            let (kept, dropped) = digits.split_at(digits.len().saturating_sub(cut));
            if kept.is_empty() || dropped.bytes().any(|b| b != b'0') {
                return raw.to_owned();
            }
            kept.to_owned()
        }
        Ok(_) => return raw.to_owned(),
    };
    format!("{sign}{plain}")
}

/// Reads an optional field: a value of any other type counts as absent, instead of making its object unreadable.
pub(crate) fn lenient<'a, T: Deserialize<'a>>(field: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(field?.get()).ok()
}

/// The id without surrounding spaces. `None` when it cannot be stored: empty, longer than [`MAX_PROVIDER_MESSAGE_ID`],
/// with control characters (Postgres refuses NUL), or with invalid UTF-8, which would differ each time.
pub(crate) fn provider_message_id(id: &str) -> Option<String> {
    let id = id.trim();
    let is_bad = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
    let fits = !id.is_empty() && id.len() <= MAX_PROVIDER_MESSAGE_ID && !id.chars().any(is_bad);
    fits.then(|| id.to_owned())
}

/// A number as most carriers write it: E.164 without its `+`.
pub(crate) fn msisdn(e164: &str) -> &str {
    e164.trim_start_matches('+')
}

/// ISO 8601 with an offset, with or without a colon. Years that Postgres or arithmetic cannot hold count as absent.
pub(crate) fn iso_instant(text: &str) -> Option<DateTime<Utc>> {
    let extended = DateTime::parse_from_rfc3339(text);
    plausible(extended.or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z")).ok()?.to_utc())
}

/// In the format of e-mails: `Tue, 14 Jul 2026 09:30:01 +0000`.
pub(crate) fn rfc2822_instant(text: &str) -> Option<DateTime<Utc>> {
    plausible(DateTime::parse_from_rfc2822(text).ok()?.to_utc())
}

/// Unix seconds as text.
pub(crate) fn unix_instant(text: &str) -> Option<DateTime<Utc>> {
    plausible(DateTime::from_timestamp(text.parse().ok()?, 0)?)
}

/// 2000 to 2100: outside this range the sender's clock is wrong.
fn plausible(at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (946_684_800..4_102_444_800).contains(&at.timestamp()).then_some(at)
}

/// Our own request, which always serializes: no maps with unusual keys, no failing implementations.
pub(crate) fn body(request: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(BODY_CAPACITY));
    serde_json::to_writer(&mut *bytes, request).expect("requests are plain structs of text and integers");
    bytes
}

/// The body as text: without a byte order mark, and with U+FFFD for invalid UTF-8, which may occur in a field that
/// nobody reads.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        [0xff, 0xfe, rest @ ..] => Cow::Owned(utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(utf16(rest, u16::from_be_bytes)),
        _ => String::from_utf8_lossy(bytes),
    }
}

fn utf16(bytes: &[u8], unit: impl Fn([u8; 2]) -> u16) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

/// Parses without ever repeating the content in the reason. `text`: from [`text`].
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a str, what: &str) -> Result<T, Unreadable> {
    serde_json::from_str(text.trim_end_matches('\0')).map_err(|e| {
        let kind = match e.classify() {
            serde_json::error::Category::Data => "not the documented shape",
            _ => "not JSON",
        };
        Unreadable { reason: format!("{what}: {kind} at line {} column {}", e.line(), e.column()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_cannot_be_kept_are_refused() {
        assert_eq!(provider_message_id("wamid.x"), Some("wamid.x".to_owned()));
        assert_eq!(provider_message_id(" a b\r\n"), Some("a b".to_owned()));
        for bad in ["", " ", "a\0b", "a\nb", "a\u{fffd}b", &"x".repeat(MAX_PROVIDER_MESSAGE_ID + 1)] {
            assert_eq!(provider_message_id(bad), None);
        }
        assert!(provider_message_id(&"x".repeat(MAX_PROVIDER_MESSAGE_ID)).is_some());
    }

    #[test]
    fn text_and_numbers_of_any_form_are_scalars_and_nothing_else_is() {
        for (json, text) in [
            ("\"a\"", "a"),
            ("\"1.0\"", "1.0"),
            ("131026", "131026"),
            ("-1", "-1"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "18446744073709551616"),
            ("340282366920938463463374607431768211456", "340282366920938463463374607431768211456"),
            ("12345.0", "12345"),
            ("12345.000", "12345"),
            ("1e5", "100000"),
            ("1E+5", "100000"),
            ("1.25e2", "125"),
            ("1200e-2", "12"),
            ("-7.0", "-7"),
            ("0", "0"),
            ("-0.0", "0"),
            ("0e9", "0"),
            ("1.5", "1.5"),
            ("15e-1", "15e-1"),
            ("1e-400", "1e-400"),
            ("1e999999999", "1e999999999"),
            ("1e99999999999999999999", "1e99999999999999999999"),
        ] {
            assert_eq!(serde_json::from_str::<Scalar>(json).unwrap().0, text, "{json}");
        }
        for bad in ["null", "true", "[]", "{}", r#""\ud800""#] {
            assert!(serde_json::from_str::<Scalar>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mark_of_byte_order_and_bytes_that_are_no_text_hide_nothing_else() {
        let marked = |mark: &[u8], body: &[u8]| [mark, body].concat();
        let wide = |unit: fn(u16) -> [u8; 2]| "{\"id\":\"é\"}".encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        for body in [
            "{\"id\":\"é\"}".as_bytes().to_vec(),
            marked(b"\xef\xbb\xbf", "{\"id\":\"é\"}".as_bytes()),
            marked(b"\xff\xfe", &wide(u16::to_le_bytes)),
            marked(b"\xfe\xff", &wide(u16::to_be_bytes)),
        ] {
            assert_eq!(text(&body), "{\"id\":\"é\"}");
        }
        assert_eq!(text(b"{\"a\":\"\xf3\",\"id\":1}"), "{\"a\":\"\u{fffd}\",\"id\":1}");
    }

    #[test]
    fn times_far_off_count_as_absent() {
        assert!(unix_instant("1789034403").is_some());
        assert!(iso_instant("2026-09-10T10:00:03.000Z").is_some());
        assert_eq!(iso_instant("2026-09-10T12:00:03.494+0200"), iso_instant("2026-09-10T10:00:03.494Z"));
        assert_eq!(rfc2822_instant("Thu, 10 Sep 2026 10:00:03 +0000"), unix_instant("1789034403"));
        for bad in ["", "Thu, 10 Sep 1926 10:00:03 +0000", "2026-09-10T10:00:03Z"] {
            assert_eq!(rfc2822_instant(bad), None, "{bad}");
        }
        for bad in ["", "-1", "9223372036854775807", "1789034403000", "x"] {
            assert_eq!(unix_instant(bad), None, "{bad}");
        }
        for bad in ["", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-09-10", "2026-13-10T10:00:03Z"] {
            assert_eq!(iso_instant(bad), None, "{bad}");
        }
    }
}
